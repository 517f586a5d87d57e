//! Passes over the network as recordings: for a number of samples, made once.

use kinglet::opencl::{BatchNorm, Executor, OpenClError, Recording, Slice, StepControl};
use std::sync::Arc;

use super::layers::{Kind, Layer, Layers};
use super::memory::{Memory, part};
use crate::train::optimizer::{AnyOptimizer, Rule};

/// Which statistics normalize.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The batch's own; dropout drops.
    Train,
    /// The running ones.
    Evaluate,
}

/// The values a pass computes with: the network's or their average.
#[derive(Clone, Copy)]
pub(super) struct Values<'b> {
    pub(super) parameters: Slice<'b>,
    pub(super) statistics: Slice<'b>,
}

/// Records passes of that many samples.
pub(super) struct Recorder<'a> {
    layers: &'a Layers,
    memory: &'a Memory,
    values: Values<'a>,
    samples: usize,
    recording: Recording,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(
        executor: &Arc<Executor>,
        layers: &'a Layers,
        memory: &'a Memory,
        values: Values<'a>,
        samples: usize,
    ) -> Self {
        Self {
            layers,
            memory,
            values,
            samples,
            recording: Recording::new(executor),
        }
    }

    pub(super) fn finish(self) -> Recording {
        self.recording
    }

    fn map(&self, map: usize) -> Result<Slice<'a>, OpenClError> {
        self.memory
            .map(map, self.samples * self.layers.map_lens[map])
    }

    fn d_map(&self, map: usize) -> Result<Slice<'a>, OpenClError> {
        self.memory
            .d_map(map, self.samples * self.layers.map_lens[map])
    }

    /// The feature maps and, with that label smoothing, losses, hits and the gradient of the logits.
    pub(super) fn forward(&mut self, mode: Mode, label_smoothing: f32) -> Result<(), OpenClError> {
        for layer in &self.layers.layers {
            self.forward_layer(layer, mode)?;
        }
        let last = self.layers.map_lens.len() - 1;
        let (logits, d_logits) = (self.map(last)?, self.d_map(last)?);
        self.recording.cross_entropy_f32(
            self.layers.classes(),
            label_smoothing,
            logits,
            self.memory.labels.whole().part(0, self.samples)?,
            d_logits,
            self.memory.outcomes.whole(),
        )
    }

    fn forward_layer(&mut self, layer: &Layer, mode: Mode) -> Result<(), OpenClError> {
        let (from, to) = (self.map(layer.from)?, self.map(layer.to)?);
        let parameters = self.values.parameters;
        let bias = |place: &crate::train::stage::Place| {
            let range = place.bias.as_ref();
            range.map(|range| part(parameters, range)).transpose()
        };
        let samples = self.samples;
        match &layer.kind {
            Kind::Conv2d {
                params,
                place,
                packed,
                ..
            } => {
                let packed = part(self.memory.packed.whole(), packed)?;
                let weights = part(parameters, &place.weights)?;
                self.recording.conv2d_f32_pack(params, weights, packed)?;
                let bias = bias(place)?;
                self.recording
                    .conv2d_f32(params, samples, from, packed, bias, to)
            }
            Kind::Linear { params, place, .. } => {
                let weights = part(parameters, &place.weights)?;
                let bias = bias(place)?;
                self.recording
                    .linear_f32(params, samples, from, weights, bias, to)
            }
            Kind::MaxPool2d(params) => self.recording.max_pool2d_f32(params, samples, from, to),
            Kind::AvgPool2d(params) => self.recording.avg_pool2d_f32(params, samples, from, to),
            Kind::Unary(function) => {
                self.copy_unless_in_place(layer, from, to)?;
                self.recording.unary_f32(*function, to)
            }
            Kind::Softmax(channels) => {
                self.copy_unless_in_place(layer, from, to)?;
                self.recording.softmax_f32(*channels, to)
            }
            Kind::Dropout { .. } if mode == Mode::Evaluate => {
                self.copy_unless_in_place(layer, from, to)
            }
            Kind::Dropout { factors, .. } => {
                let factors = self.factors(factors)?;
                self.recording.multiply_f32(from, factors, to)
            }
            Kind::BatchNorm {
                channels, momentum, ..
            } => {
                let of = self.batch_norm(&layer.kind)?;
                let rows = from.len() / channels;
                let scratch = self.memory.scratch.whole();
                match mode {
                    Mode::Train => self
                        .recording
                        .batch_norm_f32_training(&of, rows, *momentum, from, scratch, to),
                    Mode::Evaluate => self.recording.batch_norm_f32(&of, rows, from, to),
                }
            }
        }
    }

    fn copy_unless_in_place(
        &mut self,
        layer: &Layer,
        from: Slice<'_>,
        to: Slice<'_>,
    ) -> Result<(), OpenClError> {
        match layer.from == layer.to {
            true => Ok(()),
            false => self.recording.copy_f32(from, to),
        }
    }

    /// A dropout's factors of all samples, by its part of those of one.
    fn factors(&self, of_sample: &std::ops::Range<usize>) -> Result<Slice<'a>, OpenClError> {
        let factors = self.memory.factors.whole();
        factors.part(
            self.samples * of_sample.start,
            self.samples * of_sample.len(),
        )
    }

    fn batch_norm(&self, kind: &Kind) -> Result<BatchNorm<'a>, OpenClError> {
        let Kind::BatchNorm {
            channels,
            epsilon,
            place,
            running_mean,
            running_variance,
            moments,
            ..
        } = kind
        else {
            return Err(OpenClError::Unsupported {
                reason: "no batch normalization".to_owned(),
            });
        };
        let bias = place.bias.clone().unwrap_or(0..0);
        Ok(BatchNorm {
            channels: *channels,
            epsilon: *epsilon,
            weights: part(self.values.parameters, &place.weights)?,
            bias: part(self.values.parameters, &bias)?,
            running_mean: part(self.values.statistics, running_mean)?,
            running_variance: part(self.values.statistics, running_variance)?,
            moments: part(self.memory.moments.whole(), moments)?,
        })
    }

    /// The gradients of all parameters, after [`Recorder::forward`] in training.
    pub(super) fn backward(&mut self) -> Result<(), OpenClError> {
        let first = self.layers.first_trained;
        for (index, layer) in self.layers.layers.iter().enumerate().skip(first).rev() {
            self.backward_layer(layer, index > first)?;
        }
        Ok(())
    }

    /// `further` if anything before the layer needs the gradient of its input.
    fn backward_layer(&mut self, layer: &Layer, further: bool) -> Result<(), OpenClError> {
        let (from, to) = (self.map(layer.from)?, self.map(layer.to)?);
        let d_to = self.d_map(layer.to)?;
        let gradients = self.memory.gradients.whole();
        let scratch = self.memory.scratch.whole();
        let samples = self.samples;
        match &layer.kind {
            Kind::Conv2d {
                params,
                place,
                function,
                ..
            } => {
                if let Some(function) = function {
                    self.recording.unary_f32_backward(*function, to, d_to)?;
                }
                let d_weights = part(gradients, &place.weights)?;
                let d_bias = place.bias.as_ref().map(|range| part(gradients, range));
                let d_bias = d_bias.transpose()?;
                self.recording.conv2d_f32_backward_weights(
                    params, samples, from, d_to, scratch, d_weights, d_bias,
                )?;
                if further {
                    let weights = part(self.values.parameters, &place.weights)?;
                    let d_from = self.d_map(layer.from)?;
                    self.recording.conv2d_f32_backward_input(
                        params, samples, d_to, weights, scratch, d_from,
                    )?;
                }
                Ok(())
            }
            Kind::Linear {
                params,
                place,
                function,
            } => {
                if let Some(function) = function {
                    self.recording.unary_f32_backward(*function, to, d_to)?;
                }
                let d_weights = part(gradients, &place.weights)?;
                let d_bias = place.bias.as_ref().map(|range| part(gradients, range));
                let d_bias = d_bias.transpose()?;
                self.recording
                    .linear_f32_backward_weights(params, samples, from, d_to, d_weights, d_bias)?;
                if further {
                    let weights = part(self.values.parameters, &place.weights)?;
                    let d_from = self.d_map(layer.from)?;
                    self.recording
                        .linear_f32_backward_input(params, samples, d_to, weights, d_from)?;
                }
                Ok(())
            }
            Kind::BatchNorm {
                channels, place, ..
            } => {
                let of = self.batch_norm(&layer.kind)?;
                let rows = from.len() / channels;
                let d_parameters = part(gradients, &place.range())?;
                let d_from = further.then(|| self.d_map(layer.from)).transpose()?;
                self.recording.batch_norm_f32_backward(
                    &of,
                    rows,
                    from,
                    d_to,
                    scratch,
                    d_parameters,
                    d_from,
                )
            }
            Kind::MaxPool2d(params) => {
                let d_from = self.d_map(layer.from)?;
                self.recording
                    .max_pool2d_f32_backward(params, samples, from, d_to, d_from)
            }
            Kind::AvgPool2d(params) => {
                let d_from = self.d_map(layer.from)?;
                self.recording
                    .avg_pool2d_f32_backward(params, samples, d_to, d_from)
            }
            Kind::Unary(function) => {
                let d_from = self.d_map(layer.from)?;
                self.copy_unless_in_place(layer, d_to, d_from)?;
                self.recording.unary_f32_backward(*function, to, d_from)
            }
            Kind::Softmax(channels) => {
                let d_from = self.d_map(layer.from)?;
                self.copy_unless_in_place(layer, d_to, d_from)?;
                self.recording.softmax_f32_backward(*channels, to, d_from)
            }
            Kind::Dropout { factors, .. } => {
                let factors = self.factors(factors)?;
                let d_from = self.d_map(layer.from)?;
                self.recording.multiply_f32(d_to, factors, d_from)
            }
        }
    }

    /// The optimizer's step and what it does to the averages, unless a loss is not finite.
    pub(super) fn update(&mut self, rule: &Rule) -> Result<(), OpenClError> {
        let memory = self.memory;
        let (rates, finite) = (memory.rates.whole(), memory.finite.whole());
        self.recording
            .losses_are_finite(self.samples, memory.outcomes.whole(), finite)?;
        let control = StepControl { rates, finite };
        let count = memory.parameters.len();
        for (range, decays) in rule.runs(count) {
            let parameters = part(memory.parameters.whole(), &range)?;
            let gradients = part(memory.gradients.whole(), &range)?;
            let slot = |slot: usize| {
                let state = memory.state.whole().part(slot * count, count)?;
                part(state, &range)
            };
            match rule.optimizer() {
                AnyOptimizer::Sgd(mut sgd) => {
                    sgd.weight_decay = if decays { sgd.weight_decay } else { 0.0 };
                    self.recording
                        .sgd_f32(&sgd, control, parameters, gradients, slot(0)?)?;
                }
                AnyOptimizer::Adam(mut adam) => {
                    adam.weight_decay = if decays { adam.weight_decay } else { 0.0 };
                    let (means, squares) = (slot(0)?, slot(1)?);
                    self.recording
                        .adam_f32(&adam, control, parameters, gradients, means, squares)?;
                }
            }
        }
        if let Some(averages) = &memory.averages {
            for (values, start) in [(&memory.parameters, 0), (&memory.statistics, count)] {
                let averages = averages.whole().part(start, values.len())?;
                self.recording
                    .moving_average_f32(control, values.whole(), averages)?;
            }
        }
        Ok(())
    }
}
