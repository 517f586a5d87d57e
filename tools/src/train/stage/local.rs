//! A run of layers that treat every sample by itself: convolutions, pools, functions, dropout, what is computed with constants.
//!
//! Each shard of the batch owns its buffers and goes through the whole run. A *slot* is a feature map: slot 0
//! is the stage's input, the last its output, both parts of buffers for the whole batch; those between belong
//! to the shard. Functions and dropout work in place where the value before them is not needed any more. What is frozen
//! has no gradients: those are of the steps from the first one on that learns.

use kinglet_kernels::BackwardKernels;
use rayon::prelude::*;

use super::join::binary_backward;
use super::{Backward, Mode, Pass, shard_samples};
use crate::train::plan::{self, Kind};

/// One step: from slot `from` to slot `to`, which are the same where it works in place.
struct Step {
    kind: Kind,
    from: usize,
    to: usize,
    /// A convolution's weights in the kernel set's order; empty where the set reads them in place.
    packed: Vec<f32>,
    /// Which of a shard's masks is a dropout's own.
    mask: usize,
    /// Values of one sample in what it writes.
    len: usize,
    /// Whether a gradient has to come this far, and to what it reads.
    learns: bool,
    passes_on: bool,
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
    /// Samples of one shard.
    samples: usize,
    shards: Vec<Shard>,
}

/// Collects the steps of a run.
#[derive(Default)]
pub(super) struct Builder {
    steps: Vec<Step>,
    slot_lens: Vec<usize>,
    masks: Vec<usize>,
    parameters: Option<std::ops::Range<usize>>,
}

impl Builder {
    /// Whether a step treats every sample by itself.
    pub(super) fn takes(kind: &Kind) -> bool {
        match kind {
            Kind::Conv2d(..)
            | Kind::MaxPool2d(_)
            | Kind::AvgPool2d(_)
            | Kind::Unary(_)
            | Kind::Softmax(_)
            | Kind::LogSoftmax(_)
            | Kind::Dropout(_)
            | Kind::BinaryConstant(..) => true,
            Kind::Linear(..)
            | Kind::BatchNorm(_)
            | Kind::ChannelAffine(_)
            | Kind::FakeQuantize(_)
            | Kind::Binary(_)
            | Kind::Copies(_) => false,
        }
    }

    /// Adds a step; `map_lens` are the values of one sample in the maps of its plan.
    pub(super) fn push(&mut self, step: &plan::Step, map_lens: &[usize]) {
        let len = map_lens[step.to];
        if self.slot_lens.is_empty() {
            self.slot_lens.push(map_lens[step.from[0]]);
        }
        if let Kind::Conv2d(_, place) = &step.kind
            && step.learns
        {
            let range = place.range();
            let start = self.parameters.as_ref().map_or(range.start, |p| p.start);
            self.parameters = Some(start..range.end);
        }
        let from = self.slot_lens.len() - 1;
        // The input belongs to the stage before.
        let in_place = step.in_place && from > 0;
        if !in_place {
            self.slot_lens.push(len);
        }
        let mask = self.masks.len();
        if let Kind::Dropout(_) = step.kind {
            self.masks.push(len);
        }
        self.steps.push(Step {
            kind: step.kind.clone(),
            from,
            to: self.slot_lens.len() - 1,
            packed: Vec::new(),
            mask,
            len,
            learns: step.learns,
            passes_on: step.d_from[0] != plan::Gradient::Unwanted,
        });
    }

    /// The stage of the steps so far, of which there is at least one.
    pub(super) fn finish(self, batch_size: usize, kernels: &dyn BackwardKernels) -> LocalStage {
        let samples = shard_samples(batch_size);
        let own = &self.slot_lens[1..self.slot_lens.len() - 1];
        let largest = own.iter().copied().max().unwrap_or(0);
        let parameters = self.parameters.unwrap_or(0..0);
        let scratch = self.steps.iter().map(|step| scratch_len(step, kernels));
        let scratch = scratch.max().unwrap_or(0);
        let shard = || Shard {
            slots: own.iter().map(|len| vec![0.0; samples * len]).collect(),
            d_slots: [vec![0.0; samples * largest], vec![0.0; samples * largest]],
            gradients: vec![0.0; parameters.len()],
            masks: self
                .masks
                .iter()
                .map(|len| vec![0.0; samples * len])
                .collect(),
            scratch: vec![0.0; scratch],
        };
        LocalStage {
            shards: (0..batch_size.div_ceil(samples)).map(|_| shard()).collect(),
            steps: self.steps,
            slot_lens: self.slot_lens,
            parameters,
            samples,
        }
    }
}

fn scratch_len(step: &Step, kernels: &dyn BackwardKernels) -> usize {
    match &step.kind {
        Kind::Conv2d(params, _) => kernels
            .conv2d_f32_scratch_len(params)
            .max(kernels.conv2d_f32_backward_scratch_len(params)),
        _ => 0,
    }
}

impl LocalStage {
    fn output_len(&self) -> usize {
        self.slot_lens.last().copied().unwrap_or(0)
    }

    fn input_len(&self) -> usize {
        self.slot_lens.first().copied().unwrap_or(0)
    }

    /// Packs the weights for the kernel set, once for all shards.
    pub(super) fn pack(&mut self, pass: &Pass) {
        for step in &mut self.steps {
            if let Kind::Conv2d(params, place) = &step.kind {
                let packed = &mut step.packed;
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
        let start = self.parameters.start;
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
        for step in self.steps.iter().rev().take_while(|step| step.learns) {
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
                _ if !step.passes_on => None,
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
            Kind::Conv2d(params, place) => {
                let (weights, bias) = place.values(pass.parameters);
                let weights = match self.packed.as_slice() {
                    [] => weights,
                    packed => packed,
                };
                kernels.conv2d_f32(params, from, weights, bias, scratch, to);
            }
            Kind::MaxPool2d(params) => kernels.max_pool2d_f32(params, from, to),
            Kind::AvgPool2d(params) => kernels.avg_pool2d_f32(params, from, to),
            Kind::BinaryConstant(params, operand) => {
                to.copy_from_slice(from);
                kernels.binary_f32(params, operand, to);
            }
            _ => {
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
        match &self.kind {
            Kind::Unary(function) => pass.kernels.unary_f32(*function, data),
            Kind::Softmax(channels) => pass.kernels.softmax_f32(*channels, data),
            Kind::LogSoftmax(channels) => pass.kernels.log_softmax_f32(*channels, data),
            Kind::Dropout(dropout) => {
                let Mode::Train(keys) = pass.mode else { return };
                let len = self.len;
                let factors = &mut masks[self.mask][..data.len()];
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
            Kind::Conv2d(params, place) => {
                if let Some(function) = self.kind.function() {
                    kernels.unary_f32_backward(function, of.to, of.d_to);
                }
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
            Kind::BinaryConstant(params, operand) => {
                if let Some(function) = self.kind.function() {
                    kernels.unary_f32_backward(function, of.to, of.d_to);
                }
                if let Some(d_from) = of.d_from {
                    d_from.fill(0.0);
                    let samples = of.from.chunks(self.len).zip(of.d_to.chunks(self.len));
                    for ((x, d_to), d_from) in samples.zip(d_from.chunks_mut(self.len)) {
                        binary_backward(params, 0, [x, operand], d_to, d_from);
                    }
                }
            }
            Kind::Unary(function) if !function.has_backward() => {
                if let Some(d_from) = of.d_from {
                    d_from.copy_from_slice(of.d_to);
                    kernels.unary_f32_backward_from_input(*function, of.from, d_from);
                }
            }
            _ => {
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
        match &self.kind {
            Kind::Unary(function) => pass.kernels.unary_f32_backward(*function, output, d),
            Kind::Softmax(channels) => pass.kernels.softmax_f32_backward(*channels, output, d),
            Kind::LogSoftmax(channels) => {
                pass.kernels.log_softmax_f32_backward(*channels, output, d);
            }
            Kind::Dropout(_) => multiply(d, &masks[self.mask][..d.len()]),
            _ => {}
        }
    }
}

fn multiply(data: &mut [f32], factors: &[f32]) {
    for (x, factor) in data.iter_mut().zip(factors) {
        *x *= factor;
    }
}
