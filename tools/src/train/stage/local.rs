//! A run of layers that treat every sample by itself: convolutions, pools, functions, dropout.
//!
//! Each shard of the batch owns its buffers and goes through the whole run. A *slot* is a feature map: slot 0
//! is the stage's input, the last its output, both parts of buffers for the whole batch; those between belong
//! to the shard. Functions and dropout work in place where the value before them is not needed any more.

use kinglet_kernels::{BackwardKernels, Conv2d, Pool2d, Unary};
use rayon::prelude::*;

use super::dropout::{Dropout, Granularity};
use super::{Backward, Mode, Pass, Place, Stage, fused, shard_samples};
use crate::network::{Network, Operation};

/// What a step of the run computes.
enum Kind {
    Conv2d {
        params: Conv2d,
        place: Place,
        /// Its weights in the kernel set's order; empty where the set reads them in place.
        packed: Vec<f32>,
    },
    MaxPool2d(Pool2d),
    AvgPool2d(Pool2d),
    /// Computed in passing by the convolution before it where it is marked so.
    Unary(Unary, Computed),
    Softmax(usize),
    Dropout {
        dropout: Dropout,
        /// Which of a shard's masks is its own.
        mask: usize,
        /// Values of one sample.
        len: usize,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Computed {
    Here,
    ByConvolution,
}

/// One step: from slot `from` to slot `to`, which are the same where it works in place.
struct Step {
    kind: Kind,
    from: usize,
    to: usize,
}

/// Buffers of one shard.
struct Shard {
    /// The slots between the stage's input and output.
    slots: Vec<Vec<f32>>,
    /// Gradients of odd and even slots, of which two at a time are in use.
    d_slots: [Vec<f32>; 2],
    /// Gradients of the stage's parameters, summed over the shard.
    gradients: Vec<f32>,
    /// Factors of each dropout.
    masks: Vec<Vec<f32>>,
    scratch: Vec<f32>,
}

pub(crate) struct LocalStage {
    steps: Vec<Step>,
    /// Values of one sample in each slot.
    slot_lens: Vec<usize>,
    /// Where the stage's parameters begin and end among those of the network.
    parameters: std::ops::Range<usize>,
    /// The step whose input needs no gradient: nothing before it is trained.
    first_trained: Option<usize>,
    /// Samples of one shard.
    samples: usize,
    shards: Vec<Shard>,
}

/// Collects the layers of a run.
#[derive(Default)]
pub(super) struct Builder {
    steps: Vec<Step>,
    slot_lens: Vec<usize>,
    masks: Vec<usize>,
    parameters: Option<std::ops::Range<usize>>,
    first_trained: Option<usize>,
    /// Whether the newest slot's values are needed for a gradient as they are.
    kept: bool,
}

impl Builder {
    /// Adds a layer; `first_trained` marks the network's first with parameters.
    pub(super) fn push(&mut self, network: &Network, index: usize, first_trained: bool) {
        let layer = &network.architecture().layers[index];
        if self.slot_lens.is_empty() {
            self.slot_lens.push(layer.input.len());
            // The input belongs to the stage before.
            self.kept = true;
        }
        if first_trained {
            self.first_trained = Some(self.steps.len());
        }
        let output = layer.output.len();
        match layer.operation {
            Operation::Conv2d(params, _) => {
                let place = Place::of(network, index);
                let range = place.range();
                let start = self.parameters.as_ref().map_or(range.start, |p| p.start);
                self.parameters = Some(start..range.end);
                let packed = Vec::new();
                self.push_step(
                    Kind::Conv2d {
                        params,
                        place,
                        packed,
                    },
                    output,
                    true,
                );
            }
            Operation::MaxPool2d(params) => self.push_step(Kind::MaxPool2d(params), output, true),
            Operation::AvgPool2d(params) => self.push_step(Kind::AvgPool2d(params), output, true),
            Operation::Unary(function) => {
                let computed = self.fuse(function);
                self.push_step(Kind::Unary(function, computed), output, false);
                self.kept = true;
            }
            Operation::Softmax => {
                self.push_step(Kind::Softmax(layer.output.channels), output, false);
                self.kept = true;
            }
            Operation::Dropout(p) => self.push_dropout(index, p, Granularity::Value, output),
            Operation::Dropout2d(p) => {
                let granularity = Granularity::Channel(layer.output.channels);
                self.push_dropout(index, p, granularity, output);
            }
            // These are stages of their own, or nothing at all.
            Operation::Linear(..) | Operation::BatchNorm2d { .. } | Operation::Flatten => {}
        }
    }

    fn push_dropout(&mut self, layer: usize, p: f32, granularity: Granularity, output: usize) {
        let dropout = Dropout::new(layer, p, granularity);
        let (mask, len) = (self.masks.len(), output);
        self.push_step(Kind::Dropout { dropout, mask, len }, output, false);
        self.masks.push(output);
    }

    /// Lets a convolution that comes right before compute the function.
    fn fuse(&mut self, function: Unary) -> Computed {
        match (self.steps.last_mut(), function) {
            (
                Some(Step {
                    kind: Kind::Conv2d { params, .. },
                    ..
                }),
                Unary::Relu | Unary::Relu6,
            ) => {
                *params = params.with_activation(fused(Some(function)));
                Computed::ByConvolution
            }
            _ => Computed::Here,
        }
    }

    fn push_step(&mut self, kind: Kind, output: usize, new_slot: bool) {
        let from = self.slot_lens.len() - 1;
        let to = if new_slot || self.kept {
            from + 1
        } else {
            from
        };
        if to > from {
            self.slot_lens.push(output);
            self.kept = false;
        }
        self.steps.push(Step { kind, from, to });
    }

    /// The stage of the layers so far, if there are any.
    pub(super) fn finish(
        &mut self,
        batch_size: usize,
        kernels: &dyn BackwardKernels,
    ) -> Option<Stage> {
        let run = std::mem::take(self);
        if run.steps.is_empty() {
            return None;
        }
        let samples = shard_samples(batch_size);
        let own = &run.slot_lens[1..run.slot_lens.len() - 1];
        let largest = own.iter().copied().max().unwrap_or(0);
        let parameters = run.parameters.unwrap_or(0..0);
        let scratch = run
            .steps
            .iter()
            .map(|step| scratch_len(step, kernels))
            .max()
            .unwrap_or(0);
        let shard = || Shard {
            slots: own.iter().map(|len| vec![0.0; samples * len]).collect(),
            d_slots: [vec![0.0; samples * largest], vec![0.0; samples * largest]],
            gradients: vec![0.0; parameters.len()],
            masks: run
                .masks
                .iter()
                .map(|len| vec![0.0; samples * len])
                .collect(),
            scratch: vec![0.0; scratch],
        };
        Some(Stage::Local(LocalStage {
            shards: (0..batch_size.div_ceil(samples)).map(|_| shard()).collect(),
            steps: run.steps,
            slot_lens: run.slot_lens,
            parameters,
            first_trained: run.first_trained,
            samples,
        }))
    }
}

fn scratch_len(step: &Step, kernels: &dyn BackwardKernels) -> usize {
    match &step.kind {
        Kind::Conv2d { params, .. } => kernels
            .conv2d_f32_scratch_len(params)
            .max(kernels.conv2d_f32_backward_scratch_len(params)),
        _ => 0,
    }
}

impl LocalStage {
    pub(super) fn output_len(&self) -> usize {
        self.slot_lens.last().copied().unwrap_or(0)
    }

    fn input_len(&self) -> usize {
        self.slot_lens.first().copied().unwrap_or(0)
    }

    pub(super) fn has_parameters(&self) -> bool {
        !self.parameters.is_empty()
    }

    /// Packs the weights for the kernel set, once for all shards.
    pub(super) fn pack(&mut self, pass: &Pass) {
        for step in &mut self.steps {
            if let Kind::Conv2d {
                params,
                place,
                packed,
            } = &mut step.kind
            {
                packed.resize(pass.kernels.conv2d_f32_packed_len(params), 0.0);
                if !packed.is_empty() {
                    let (weights, _) = place.values(pass.parameters);
                    pass.kernels.conv2d_f32_pack(params, weights, packed);
                }
            }
        }
    }

    pub(super) fn forward(&mut self, pass: &Pass, input: &[f32], output: &mut [f32]) {
        let (steps, slot_lens, samples) = (&self.steps, &self.slot_lens, self.samples);
        let run = Run {
            steps,
            slot_lens,
            samples,
        };
        let (input_len, output_len) = (samples * run.input_len(), samples * run.output_len());
        input
            .par_chunks(input_len)
            .zip(output.par_chunks_mut(output_len))
            .zip(self.shards.par_iter_mut())
            .with_max_len(1)
            .enumerate()
            .for_each(|(i, ((input, output), shard))| {
                run.forward(pass, i, input, output, shard);
            });
    }

    pub(super) fn backward(&mut self, pass: &Pass, of: Backward) {
        let (input_len, output_len) = (
            self.samples * self.input_len(),
            self.samples * self.output_len(),
        );
        let run = Run {
            steps: &self.steps,
            slot_lens: &self.slot_lens,
            samples: self.samples,
        };
        let (start, first_trained) = (self.parameters.start, self.first_trained);
        let shards = of
            .input
            .par_chunks(input_len)
            .zip(of.output.par_chunks(output_len))
            .zip(of.d_output.par_chunks_mut(output_len))
            .zip(self.shards.par_iter_mut())
            .with_max_len(1);
        let backward = |input: &[f32],
                        output: &[f32],
                        d_output: &mut [f32],
                        d_input: Option<&mut [f32]>,
                        shard: &mut Shard| {
            let of = ShardBackward {
                input,
                output,
                d_output,
                d_input,
                start,
                first_trained,
            };
            run.backward(pass, of, shard);
        };
        match of.d_input {
            Some(d_input) => shards.zip(d_input.par_chunks_mut(input_len)).for_each(
                |((((input, output), d_output), shard), d_input)| {
                    backward(input, output, d_output, Some(d_input), shard);
                },
            ),
            None => shards.for_each(|(((input, output), d_output), shard)| {
                backward(input, output, d_output, None, shard);
            }),
        }
        let used = of.input.len().div_ceil(input_len);
        self.add_up(used, &mut of.gradients[self.parameters.clone()]);
    }

    /// Adds the shards' gradients in their order.
    fn add_up(&self, used: usize, gradients: &mut [f32]) {
        /// Values of one task: enough to be worth it, few enough to stay in the cache.
        const CHUNK: usize = 2048;
        let chunks = gradients.par_chunks_mut(CHUNK).enumerate();
        chunks.for_each(|(i, total)| {
            for (shard, buffers) in self.shards[..used].iter().enumerate() {
                let part = &buffers.gradients[i * CHUNK..][..total.len()];
                if shard == 0 {
                    total.copy_from_slice(part);
                } else {
                    for (total, part) in total.iter_mut().zip(part) {
                        *total += part;
                    }
                }
            }
        });
    }
}

/// The steps, apart from the shards that go through them.
struct Run<'a> {
    steps: &'a [Step],
    slot_lens: &'a [usize],
    samples: usize,
}

/// One shard's part of a [`Backward`].
struct ShardBackward<'a> {
    input: &'a [f32],
    output: &'a [f32],
    d_output: &'a mut [f32],
    d_input: Option<&'a mut [f32]>,
    /// Where the stage's parameters begin.
    start: usize,
    first_trained: Option<usize>,
}

impl Run<'_> {
    fn input_len(&self) -> usize {
        self.slot_lens.first().copied().unwrap_or(0)
    }

    fn output_len(&self) -> usize {
        self.slot_lens.last().copied().unwrap_or(0)
    }

    fn last_slot(&self) -> usize {
        self.slot_lens.len() - 1
    }

    fn forward(
        &self,
        pass: &Pass,
        index: usize,
        input: &[f32],
        output: &mut [f32],
        shard: &mut Shard,
    ) {
        let samples = input.len() / self.input_len();
        let first_sample = index * self.samples;
        for step in self.steps {
            let to_len = samples * self.slot_lens[step.to];
            let (before, from_on) = shard.slots.split_at_mut(step.to - 1);
            let to = match from_on.first_mut() {
                Some(slot) => &mut slot[..to_len],
                None => &mut *output,
            };
            if step.from == step.to {
                step.forward_in_place(pass, first_sample, to, &mut shard.masks);
                continue;
            }
            let from = match step.from {
                0 => input,
                from => &before[from - 1][..samples * self.slot_lens[from]],
            };
            let (masks, scratch) = (&mut shard.masks, &mut shard.scratch);
            step.forward(pass, first_sample, from, to, masks, scratch);
        }
    }

    fn backward(&self, pass: &Pass, mut of: ShardBackward, shard: &mut Shard) {
        let samples = of.input.len() / self.input_len();
        let len = |slot: usize| samples * self.slot_lens[slot];
        shard.gradients.fill(0.0);
        let Shard {
            slots,
            d_slots,
            gradients,
            masks,
            scratch,
        } = shard;
        let value = |slot: usize| match slot {
            0 => of.input,
            slot if slot == self.last_slot() => of.output,
            slot => &slots[slot - 1][..len(slot)],
        };
        let stop = of.first_trained.unwrap_or(0);
        for (i, step) in self.steps.iter().enumerate().skip(stop).rev() {
            let [even, odd] = &mut *d_slots;
            let (d_of_to, d_of_from) = if step.to % 2 == 0 {
                (even, odd)
            } else {
                (odd, even)
            };
            let d_to = if step.to == self.last_slot() {
                &mut *of.d_output
            } else {
                &mut d_of_to[..len(step.to)]
            };
            if step.from == step.to {
                step.backward_in_place(pass, value(step.to), d_to, masks);
                continue;
            }
            let d_from = match step.from {
                // Nothing before the first trained layer needs a gradient.
                _ if of.first_trained == Some(i) => None,
                0 => of.d_input.as_deref_mut(),
                from => Some(&mut d_of_from[..len(from)]),
            };
            let step_of = StepBackward {
                from: value(step.from),
                to: value(step.to),
                d_to,
                d_from,
                gradients,
                start: of.start,
                scratch,
            };
            step.backward(pass, step_of, masks);
        }
    }
}

/// What a step that does not work in place needs for its gradients.
struct StepBackward<'a> {
    from: &'a [f32],
    to: &'a [f32],
    d_to: &'a mut [f32],
    d_from: Option<&'a mut [f32]>,
    gradients: &'a mut [f32],
    start: usize,
    scratch: &'a mut [f32],
}

impl Step {
    fn forward(
        &self,
        pass: &Pass,
        first_sample: usize,
        from: &[f32],
        to: &mut [f32],
        masks: &mut [Vec<f32>],
        scratch: &mut [f32],
    ) {
        let kernels = pass.kernels;
        match &self.kind {
            Kind::Conv2d {
                params,
                place,
                packed,
            } => {
                let (weights, bias) = place.values(pass.parameters);
                let weights = if packed.is_empty() { weights } else { packed };
                kernels.conv2d_f32(params, from, weights, bias, scratch, to);
            }
            Kind::MaxPool2d(params) => kernels.max_pool2d_f32(params, from, to),
            Kind::AvgPool2d(params) => kernels.avg_pool2d_f32(params, from, to),
            Kind::Unary(..) | Kind::Softmax(_) | Kind::Dropout { .. } => {
                to.copy_from_slice(from);
                self.forward_in_place(pass, first_sample, to, masks);
            }
        }
    }

    fn forward_in_place(
        &self,
        pass: &Pass,
        first_sample: usize,
        data: &mut [f32],
        masks: &mut [Vec<f32>],
    ) {
        match self.kind {
            Kind::Unary(function, Computed::Here) => pass.kernels.unary_f32(function, data),
            Kind::Softmax(channels) => pass.kernels.softmax_f32(channels, data),
            Kind::Dropout { dropout, mask, len } => {
                let Mode::Train(keys) = pass.mode else { return };
                let factors = &mut masks[mask][..data.len()];
                for (i, factors) in factors.chunks_mut(len).enumerate() {
                    dropout.draw(&keys, first_sample + i, factors);
                }
                multiply(data, factors);
            }
            _ => {}
        }
    }

    fn backward(&self, pass: &Pass, of: StepBackward, masks: &[Vec<f32>]) {
        let kernels = pass.kernels;
        match &self.kind {
            Kind::Conv2d { params, place, .. } => {
                let (weights, _) = place.values(pass.parameters);
                let (d_weights, d_bias) = place.gradients(of.gradients, of.start);
                kernels.conv2d_f32_backward_weights(
                    params, of.from, of.d_to, of.scratch, d_weights, d_bias,
                );
                if let Some(d_from) = of.d_from {
                    kernels.conv2d_f32_backward_input(params, of.d_to, weights, of.scratch, d_from);
                }
            }
            Kind::MaxPool2d(params) => {
                if let Some(d_from) = of.d_from {
                    kernels.max_pool2d_f32_backward(params, of.from, of.d_to, d_from);
                }
            }
            Kind::AvgPool2d(params) => {
                if let Some(d_from) = of.d_from {
                    kernels.avg_pool2d_f32_backward(params, of.d_to, d_from);
                }
            }
            Kind::Unary(..) | Kind::Softmax(_) | Kind::Dropout { .. } => {
                if let Some(d_from) = of.d_from {
                    d_from.copy_from_slice(of.d_to);
                    self.backward_in_place(pass, of.to, d_from, masks);
                }
            }
        }
    }

    /// Turns the gradient of the output into that of the input. Dropout happens in training alone, and so
    /// do gradients.
    fn backward_in_place(&self, pass: &Pass, output: &[f32], d: &mut [f32], masks: &[Vec<f32>]) {
        match self.kind {
            Kind::Unary(function, _) => pass.kernels.unary_f32_backward(function, output, d),
            Kind::Softmax(channels) => pass.kernels.softmax_f32_backward(channels, output, d),
            Kind::Dropout { mask, .. } => multiply(d, &masks[mask][..d.len()]),
            Kind::Conv2d { .. } | Kind::MaxPool2d(_) | Kind::AvgPool2d(_) => {}
        }
    }
}

fn multiply(data: &mut [f32], factors: &[f32]) {
    for (x, factor) in data.iter_mut().zip(factors) {
        *x *= factor;
    }
}
