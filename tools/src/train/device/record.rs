//! Passes over the network as recordings: for a number of samples, made once.

use std::ops::Range;
use std::sync::Arc;

use kinglet::opencl::{
    BatchNorm, CrossEntropy, Executor, OpenClError, Recording, Slice, StepControl,
};
use kinglet_kernels::{Activation, Binary, BinaryFunction, Shape};

use super::layers::Layers;
use super::memory::{Memory, part};
use crate::train::loss::Loss;
use crate::train::optimizer::{AnyOptimizer, Rule};
use crate::train::plan::{Affine, Copies, Gradient, Kind, Normalization, Place, Step};
use crate::train::values::Moving;

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
        let len = self.samples * self.layers.plan.map_lens[map];
        self.memory.map(self.layers.stored[map], len)
    }

    fn d_map(&self, map: usize) -> Result<Slice<'a>, OpenClError> {
        let len = self.samples * self.layers.plan.map_lens[map];
        let buffer = self.layers.gradients.of[self.layers.stored[map]];
        self.memory.d_map(buffer, len)
    }

    /// The feature maps, losses, hits and the gradient of what the loss is taken of.
    pub(super) fn forward(&mut self, mode: Mode, loss: &Loss) -> Result<(), OpenClError> {
        for (step, part) in self.layers.plan.steps.iter().zip(&self.layers.parts) {
            self.forward_step(step, part, mode)?;
        }
        let (plan, memory) = (&self.layers.plan, self.memory);
        let (outputs, d_outputs) = (self.map(plan.outputs)?, self.d_map(plan.outputs)?);
        let (share, outcomes) = (memory.share.whole(), memory.outcomes.whole());
        match loss {
            Loss::CrossEntropy(of) => self.recording.cross_entropy_f32(
                &CrossEntropy {
                    label_smoothing: of.label_smoothing,
                    class_weights: memory.class_weights.whole(),
                    share,
                },
                outputs,
                memory.labels.whole().part(0, self.samples)?,
                d_outputs,
                outcomes,
            ),
            Loss::SquaredError => self.recording.squared_error_f32(
                plan.output_len(),
                share,
                outputs,
                memory.targets.whole().part(0, outputs.len())?,
                d_outputs,
                outcomes,
            ),
        }
    }

    /// `own` is the step's part of what steps of its kind share.
    fn forward_step(
        &mut self,
        step: &Step,
        own: &Range<usize>,
        mode: Mode,
    ) -> Result<(), OpenClError> {
        let (from, to) = (self.map(step.from[0])?, self.map(step.to)?);
        let samples = self.samples;
        match &step.kind {
            Kind::Conv2d(params, place) => {
                let packed = part(self.memory.packed.whole(), own)?;
                let (weights, bias) = weights_and_bias(self.values.parameters, place)?;
                self.recording.conv2d_f32_pack(params, weights, packed)?;
                self.recording
                    .conv2d_f32(params, samples, from, packed, bias, to)
            }
            Kind::Linear(params, place) => {
                let (weights, bias) = weights_and_bias(self.values.parameters, place)?;
                self.recording
                    .linear_f32(params, samples, from, weights, bias, to)
            }
            Kind::MaxPool2d(params) => self.recording.max_pool2d_f32(params, samples, from, to),
            Kind::AvgPool2d(params) => self.recording.avg_pool2d_f32(params, samples, from, to),
            Kind::Unary(function) => {
                self.copy_unless_in_place(step, from, to)?;
                self.recording.unary_f32(*function, to)
            }
            Kind::Softmax(channels) => {
                self.copy_unless_in_place(step, from, to)?;
                self.recording.softmax_f32(*channels, to)
            }
            Kind::LogSoftmax(channels) => {
                self.copy_unless_in_place(step, from, to)?;
                self.recording.log_softmax_f32(*channels, to)
            }
            Kind::Dropout(_) if mode == Mode::Evaluate => self.copy_unless_in_place(step, from, to),
            Kind::Dropout(_) => {
                let factors = self.factors(own)?;
                self.recording.multiply_f32(from, factors, to)
            }
            Kind::BatchNorm(normalization) => {
                let of = self.batch_norm(normalization, own)?;
                let momentum = normalization.momentum;
                let rows = from.len() / of.channels;
                let scratch = self.memory.scratch.whole();
                match mode == Mode::Train && !normalization.frozen {
                    true => self
                        .recording
                        .batch_norm_f32_training(&of, rows, momentum, from, scratch, to),
                    false => self.recording.batch_norm_f32(&of, rows, from, to),
                }
            }
            Kind::ChannelAffine(of) => {
                self.recording.copy_f32(from, to)?;
                let (scale, shift) = self.scale_and_shift(of, own)?;
                self.recording
                    .channel_affine_f32(of.activation, scale, shift, to)
            }
            Kind::BinaryConstant(params, _) => {
                self.recording.copy_f32(from, to)?;
                let operand = part(self.memory.constants.whole(), own)?;
                self.recording.binary_f32(params, operand, to)
            }
            // The engine has refused it.
            Kind::FakeQuantize(_) => Ok(()),
            Kind::Binary(params) => {
                self.recording.copy_f32(from, to)?;
                let operand = self.map(step.from[1])?;
                self.recording.binary_f32(params, operand, to)
            }
            Kind::Copies(copies) => {
                if let Some(value) = copies.fill {
                    self.recording.fill_f32(value, to)?;
                }
                copies.parts.iter().try_for_each(|(which, part)| {
                    let from = self.map(step.from[*which])?;
                    self.recording.strided_copy_f32(part, from, to)
                })
            }
        }
    }

    fn copy_unless_in_place(
        &mut self,
        step: &Step,
        from: Slice<'_>,
        to: Slice<'_>,
    ) -> Result<(), OpenClError> {
        match step.in_place {
            true => Ok(()),
            false => self.recording.copy_f32(from, to),
        }
    }

    /// A dropout's factors of all samples, by its part of those of one.
    fn factors(&self, of_sample: &Range<usize>) -> Result<Slice<'a>, OpenClError> {
        let factors = self.memory.factors.whole();
        factors.part(
            self.samples * of_sample.start,
            self.samples * of_sample.len(),
        )
    }

    fn batch_norm(
        &self,
        of: &Normalization,
        moments: &Range<usize>,
    ) -> Result<BatchNorm<'a>, OpenClError> {
        let (weights, bias) = weights_and_bias(self.values.parameters, &of.place)?;
        let statistics = self.values.statistics;
        Ok(BatchNorm {
            channels: of.channels,
            epsilon: of.epsilon,
            weights,
            // Every batch normalization has one.
            bias: bias.unwrap_or(weights),
            running_mean: part(statistics, &of.running_mean)?,
            running_variance: part(statistics, &of.running_variance)?,
            moments: part(self.memory.moments.whole(), moments)?,
        })
    }

    /// What an affine function of channels computes with. `constants` are its own: zeros, and then ones.
    fn scale_and_shift(
        &self,
        of: &Affine,
        constants: &Range<usize>,
    ) -> Result<(Slice<'a>, Slice<'a>), OpenClError> {
        let (scale, shift) = weights_and_bias(self.values.parameters, &of.place)?;
        let zeros = self.memory.constants.whole();
        let zeros = zeros.part(constants.start, of.channels)?;
        Ok((scale, shift.unwrap_or(zeros)))
    }

    /// The normalization by mean 0 and variance 1 that an affine function of channels is.
    fn affine_as_norm(
        &self,
        of: &Affine,
        constants: &Range<usize>,
    ) -> Result<BatchNorm<'a>, OpenClError> {
        let (weights, bias) = self.scale_and_shift(of, constants)?;
        let moments = part(self.memory.constants.whole(), constants)?;
        Ok(BatchNorm {
            channels: of.channels,
            epsilon: 0.0,
            weights,
            bias,
            running_mean: moments.part(0, of.channels)?,
            running_variance: moments.part(of.channels, of.channels)?,
            moments,
        })
    }

    /// The gradients of all parameters, after [`Recorder::forward`] in training.
    pub(super) fn backward(&mut self) -> Result<(), OpenClError> {
        let steps = self.layers.plan.steps.iter().zip(&self.layers.parts);
        for (step, part) in steps.rev().filter(|(step, _)| step.learns) {
            self.backward_step(step, part)?;
        }
        Ok(())
    }

    fn backward_step(&mut self, step: &Step, own: &Range<usize>) -> Result<(), OpenClError> {
        let (from, to) = (self.map(step.from[0])?, self.map(step.to)?);
        let d_to = self.d_map(step.to)?;
        let d_from = self.d_from(step, 0)?;
        let gradients = self.memory.gradients.whole();
        let scratch = self.memory.scratch.whole();
        let samples = self.samples;
        if let Some(function) = step.kind.function() {
            self.recording.unary_f32_backward(function, to, d_to)?;
        }
        match &step.kind {
            Kind::Conv2d(params, place) => {
                let (d_weights, d_bias) = weights_and_bias(gradients, place)?;
                self.recording.conv2d_f32_backward_weights(
                    params, samples, from, d_to, scratch, d_weights, d_bias,
                )?;
            }
            Kind::Linear(params, place) => {
                let (d_weights, d_bias) = weights_and_bias(gradients, place)?;
                self.recording
                    .linear_f32_backward_weights(params, samples, from, d_to, d_weights, d_bias)?;
            }
            Kind::BatchNorm(normalization) => {
                let of = self.batch_norm(normalization, own)?;
                let rows = from.len() / of.channels;
                let d_parameters = part(gradients, &normalization.place.range())?;
                self.recording.batch_norm_f32_backward(
                    &of,
                    rows,
                    from,
                    d_to,
                    scratch,
                    d_parameters,
                    d_from,
                )?;
            }
            Kind::ChannelAffine(affine) => {
                let of = self.affine_as_norm(affine, own)?;
                let rows = from.len() / of.channels;
                let d_parameters = part(gradients, &affine.place.range())?;
                self.recording.batch_norm_f32_backward(
                    &of,
                    rows,
                    from,
                    d_to,
                    scratch,
                    d_parameters,
                    None,
                )?;
            }
            _ => {}
        }
        match &step.kind {
            Kind::Binary(params) => return self.backward_binary(params, step),
            Kind::Copies(copies) => return self.backward_copies(copies, step),
            _ => {}
        }
        let Some(d_from) = d_from else { return Ok(()) };
        match &step.kind {
            Kind::Conv2d(params, place) => {
                let weights = part(self.values.parameters, &place.weights)?;
                self.recording
                    .conv2d_f32_backward_input(params, samples, d_to, weights, scratch, d_from)
            }
            Kind::Linear(params, place) => {
                let weights = part(self.values.parameters, &place.weights)?;
                self.recording
                    .linear_f32_backward_input(params, samples, d_to, weights, d_from)
            }
            Kind::MaxPool2d(params) => self
                .recording
                .max_pool2d_f32_backward(params, samples, from, d_to, d_from),
            Kind::AvgPool2d(params) => self
                .recording
                .avg_pool2d_f32_backward(params, samples, d_to, d_from),
            Kind::Unary(function) => {
                self.copy_unless_in_place(step, d_to, d_from)?;
                match function.has_backward() {
                    true => self.recording.unary_f32_backward(*function, to, d_from),
                    false => self
                        .recording
                        .unary_f32_backward_from_input(*function, from, d_from),
                }
            }
            Kind::Softmax(channels) => {
                self.copy_unless_in_place(step, d_to, d_from)?;
                self.recording.softmax_f32_backward(*channels, to, d_from)
            }
            Kind::LogSoftmax(channels) => {
                self.copy_unless_in_place(step, d_to, d_from)?;
                self.recording
                    .log_softmax_f32_backward(*channels, to, d_from)
            }
            Kind::ChannelAffine(of) => {
                self.recording.copy_f32(d_to, d_from)?;
                let (scale, _) = self.scale_and_shift(of, own)?;
                let zeros = self.memory.constants.whole();
                let zeros = zeros.part(own.start, of.channels)?;
                self.recording
                    .channel_affine_f32(Activation::Identity, scale, zeros, d_from)
            }
            Kind::BinaryConstant(params, _) => {
                let operand = part(self.memory.constants.whole(), own)?;
                self.recording
                    .binary_f32_backward(params, [from, operand], d_to, false, d_from)
            }
            Kind::Dropout(_) => {
                let factors = self.factors(own)?;
                self.recording.multiply_f32(d_to, factors, d_from)
            }
            // Done with above.
            Kind::BatchNorm(_) | Kind::Binary(_) | Kind::Copies(_) | Kind::FakeQuantize(_) => {
                Ok(())
            }
        }?;
        self.add_up(step, 0)
    }

    /// Where a step's gradient of the map `step.from[which]` goes: if others have computed one before it, elsewhere first.
    fn d_from(&self, step: &Step, which: usize) -> Result<Option<Slice<'a>>, OpenClError> {
        let map = step.from[which];
        match step.d_from[which] {
            Gradient::Unwanted => Ok(None),
            Gradient::Write => self.d_map(map).map(Some),
            Gradient::Add => self.further(map).map(Some),
        }
    }

    /// Values as many as a map has, for what is added to its gradient.
    fn further(&self, map: usize) -> Result<Slice<'a>, OpenClError> {
        let len = self.samples * self.layers.plan.map_lens[map];
        self.memory.further.whole().part(0, len)
    }

    /// Adds what [`Recorder::d_from`] had elsewhere.
    fn add_up(&mut self, step: &Step, which: usize) -> Result<(), OpenClError> {
        match step.d_from[which] {
            Gradient::Add => self.add(step.from[which]),
            Gradient::Unwanted | Gradient::Write => Ok(()),
        }
    }

    /// Adds to the gradient of a map what lies in [`Recorder::further`].
    fn add(&mut self, map: usize) -> Result<(), OpenClError> {
        let shape = Shape::vector(self.layers.plan.map_lens[map]);
        // No map is empty.
        let Ok(add) = Binary::new(BinaryFunction::Add, Activation::Identity, shape, shape) else {
            return Ok(());
        };
        let (further, sums) = (self.further(map)?, self.d_map(map)?);
        self.recording.binary_f32(&add, further, sums)
    }

    fn backward_binary(&mut self, params: &Binary, step: &Step) -> Result<(), OpenClError> {
        let operands = [self.map(step.from[0])?, self.map(step.from[1])?];
        let d_to = self.d_map(step.to)?;
        for which in 0..2 {
            if let Some(d_from) = self.d_from(step, which)? {
                self.recording
                    .binary_f32_backward(params, operands, d_to, which == 1, d_from)?;
                self.add_up(step, which)?;
            }
        }
        Ok(())
    }

    fn backward_copies(&mut self, copies: &Copies, step: &Step) -> Result<(), OpenClError> {
        let d_to = self.d_map(step.to)?;
        for (which, &map) in step.from.iter().enumerate() {
            let mut gradient = step.d_from[which];
            if gradient == Gradient::Unwanted {
                continue;
            }
            for (_, part) in copies.parts.iter().filter(|(from, _)| *from == which) {
                let d_from = match gradient {
                    Gradient::Add => self.further(map)?,
                    _ => self.d_map(map)?,
                };
                if part.len() < part.input_len() {
                    self.recording.fill_f32(0.0, d_from)?;
                }
                self.recording
                    .strided_copy_f32(&part.reversed(), d_to, d_from)?;
                if gradient == Gradient::Add {
                    self.add(map)?;
                }
                gradient = Gradient::Add;
            }
        }
        Ok(())
    }

    /// The optimizer's step and what it does to the averages, unless a loss is not finite.
    pub(super) fn update(&mut self, rule: &Rule, moving: &Moving) -> Result<(), OpenClError> {
        let memory = self.memory;
        let (rates, finite) = (memory.rates.whole(), memory.finite.whole());
        self.recording
            .losses_are_finite(self.samples, memory.outcomes.whole(), finite)?;
        let control = StepControl { rates, finite };
        let count = moving.parameters.len();
        let moving_parameters = part(memory.parameters.whole(), &moving.parameters)?;
        let moving_gradients = part(memory.gradients.whole(), &moving.parameters)?;
        for (range, decays) in rule.runs(count) {
            let parameters = part(moving_parameters, &range)?;
            let gradients = part(moving_gradients, &range)?;
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
                AnyOptimizer::AdamW(mut adam_w) => {
                    adam_w.0.weight_decay = if decays { adam_w.0.weight_decay } else { 0.0 };
                    let (means, squares) = (slot(0)?, slot(1)?);
                    self.recording
                        .adam_w_f32(&adam_w, control, parameters, gradients, means, squares)?;
                }
            }
        }
        if let Some(averages) = &memory.averages {
            let of_parameters = memory.parameters.len();
            for (values, start, moving) in [
                (&memory.parameters, 0, &moving.parameters),
                (&memory.statistics, of_parameters, &moving.statistics),
            ] {
                let values = part(values.whole(), moving)?;
                let averages = averages.whole().part(start + moving.start, moving.len())?;
                self.recording
                    .moving_average_f32(control, values, averages)?;
            }
        }
        Ok(())
    }
}

/// A layer's parts of all parameters, or of their gradients.
fn weights_and_bias<'b>(
    all: Slice<'b>,
    place: &Place,
) -> Result<(Slice<'b>, Option<Slice<'b>>), OpenClError> {
    let bias = place.bias.as_ref().map(|range| part(all, range));
    Ok((part(all, &place.weights)?, bias.transpose()?))
}
