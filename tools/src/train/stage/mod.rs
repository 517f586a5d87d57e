//! The network as training computes it: a few stages, each of which uses all threads by itself.
//!
//! Convolutions, pools and functions of elements treat every sample by itself, so a run of them is one
//! [`LocalStage`]: a shard of the batch goes through all of its layers without waiting for the others, and
//! its feature maps stay in the cache of one core. Linear layers want the whole batch at once (their weights
//! are read once for all samples), batch normalization needs it, factors of channels have gradients over all of it: these
//! are stages of their own.
//!
//! Between stages lie buffers for the whole batch. What no thread's timing may change: partial gradients are
//! kept for each shard, shards depend on the batch size alone, and their sums are added in their order.

mod batch_norm;
mod channel_affine;
mod channel_sums;
pub(super) mod dropout;
pub(super) mod fake_quantize;
mod join;
mod linear;
mod local;

use kinglet_kernels::{BackwardKernels, Unary};
use rayon::prelude::*;

use super::plan::{Gradient, Kind, Plan};
use batch_norm::BatchNormStage;
use channel_affine::ChannelAffineStage;
use fake_quantize::FakeQuantizeStage;
use join::Join;
pub(super) use join::Map;
use linear::LinearStage;
use local::LocalStage;

/// Shards of a full batch. More would balance threads better and cost more memory and sums.
const SHARDS: usize = 16;

/// Samples of one shard: a function of the batch size alone, so that results are too.
pub(super) fn shard_samples(batch_size: usize) -> usize {
    batch_size.div_ceil(SHARDS).max(1)
}

/// What a pass over the network is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mode<'a> {
    /// Running statistics, no dropout.
    Evaluate,
    /// The batch's own statistics, dropout keyed by these.
    Train(Keys<'a>),
}

/// What the random numbers of a batch depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) seed: u64,
    pub(super) epoch: u64,
    /// The place in the data set of each sample of the batch.
    pub(super) samples: &'a [usize],
}

/// What all stages of a pass see.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub(super) kernels: &'a dyn BackwardKernels,
    pub(super) mode: Mode<'a>,
    /// All parameters of the network.
    pub(super) parameters: &'a [f32],
}

/// One stage: reads maps, writes one.
pub(super) struct Stage {
    pub(super) computes: Computes,
    /// The maps it reads: one, but of a [`Join`].
    pub(super) from: Vec<usize>,
    /// The map it writes.
    pub(super) to: usize,
    /// Whether a gradient has to come this far.
    pub(super) learns: bool,
    /// What it does to the gradient of each map it reads.
    pub(super) d_from: Vec<Gradient>,
}

pub(super) enum Computes {
    Local(LocalStage),
    Linear(LinearStage),
    BatchNorm(BatchNormStage),
    ChannelAffine(ChannelAffineStage),
    FakeQuantize(FakeQuantizeStage),
    /// With the function behind it.
    Join(Join, Option<Unary>),
}

/// What a stage gives back from its backward pass.
pub(super) struct Backward<'a> {
    /// The stage's input, as in the forward pass.
    pub(super) input: &'a [f32],
    /// The stage's output, as in the forward pass.
    pub(super) output: &'a [f32],
    /// Gradient of the output; overwritten.
    pub(super) d_output: &'a mut [f32],
    /// Where the gradient of the input goes, if anyone needs it.
    pub(super) d_input: Option<&'a mut [f32]>,
    /// Gradients of all parameters of the network; a stage writes those of its own.
    pub(super) gradients: &'a mut [f32],
}

impl Stage {
    /// Takes note of changed parameters.
    pub(super) fn prepare(&mut self, pass: &Pass) {
        if let Computes::Local(stage) = &mut self.computes {
            stage.pack(pass);
        }
    }

    pub(super) fn forward(
        &mut self,
        pass: &Pass,
        statistics: &mut [f32],
        inputs: &[Map],
        output: &mut [f32],
        len: usize,
    ) {
        let input = inputs[0].values;
        match &mut self.computes {
            Computes::Local(stage) => stage.forward(pass, input, output),
            Computes::Linear(stage) => stage.forward(pass, input, output),
            Computes::BatchNorm(stage) => stage.forward(pass, statistics, input, output),
            Computes::ChannelAffine(stage) => stage.forward(pass, input, output),
            Computes::FakeQuantize(stage) => stage.forward(pass, statistics, input, output),
            Computes::Join(join, _) => join.forward(pass, inputs, output, len),
        }
    }

    /// Whether its gradient goes elsewhere first, and is added to what others have computed.
    pub(super) fn adds(&self) -> bool {
        !matches!(self.computes, Computes::Join(..)) && self.d_from[0] == Gradient::Add
    }

    /// The way back of a stage that reads one map; of a [`Join`] what comes before the gradient of each.
    pub(super) fn backward(&mut self, pass: &Pass, of: Backward) {
        match &mut self.computes {
            Computes::Local(stage) => stage.backward(pass, of),
            Computes::Linear(stage) => stage.backward(pass, of),
            Computes::BatchNorm(stage) => stage.backward(pass, of),
            Computes::ChannelAffine(stage) => stage.backward(pass, of),
            Computes::FakeQuantize(stage) => stage.backward(of),
            Computes::Join(_, None) => {}
            Computes::Join(_, Some(function)) => {
                /// Values of one task: enough to be worth it.
                const CHUNK: usize = 1 << 14;
                let chunks = of.output.par_chunks(CHUNK);
                let chunks = chunks.zip(of.d_output.par_chunks_mut(CHUNK));
                chunks.for_each(|(output, d)| {
                    pass.kernels.unary_f32_backward(*function, output, d);
                });
            }
        }
    }
}

/// The stages of a plan, with buffers for `batch_size` samples.
pub(super) fn build(plan: &Plan, batch_size: usize, kernels: &dyn BackwardKernels) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut index = 0;
    while let Some(first) = plan.steps.get(index) {
        let (computes, count) = match &first.kind {
            Kind::Linear(params, place) => {
                let stage = LinearStage::new(*params, place.clone());
                (Computes::Linear(stage), 1)
            }
            Kind::BatchNorm(of) => {
                let len = plan.map_lens[first.to];
                let stage = BatchNormStage::new(of.clone(), len, batch_size);
                (Computes::BatchNorm(stage), 1)
            }
            Kind::ChannelAffine(of) => {
                let len = plan.map_lens[first.to];
                let stage = ChannelAffineStage::new(of.clone(), len, batch_size);
                (Computes::ChannelAffine(stage), 1)
            }
            Kind::FakeQuantize(of) => {
                let stage = FakeQuantizeStage::new(of.clone());
                (Computes::FakeQuantize(stage), 1)
            }
            Kind::Binary(params) => (
                Computes::Join(Join::Binary(*params), first.kind.function()),
                1,
            ),
            Kind::Copies(copies) => (Computes::Join(Join::Copies(copies.clone()), None), 1),
            _ => {
                let count = plan.run_from(index, |step| local::Builder::takes(&step.kind));
                let mut run = local::Builder::default();
                for step in &plan.steps[index..index + count] {
                    run.push(step, &plan.map_lens);
                }
                (Computes::Local(run.finish(batch_size, kernels)), count)
            }
        };
        let last = &plan.steps[index + count - 1];
        stages.push(Stage {
            computes,
            from: first.from.clone(),
            to: last.to,
            learns: last.learns,
            d_from: first.d_from.clone(),
        });
        index += count;
    }
    stages
}
