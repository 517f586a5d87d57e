//! The network as training computes it: a few stages, each of which uses all threads by itself.
//!
//! Convolutions, pools and functions of elements treat every sample by itself, so a run of them is one
//! [`LocalStage`]: a shard of the batch goes through all of its layers without waiting for the others, and
//! its feature maps stay in the cache of one core. Linear layers want the whole batch at once (their weights
//! are read once for all samples), batch normalization needs it: these are stages of their own.
//!
//! Between stages lie buffers for the whole batch. What no thread's timing may change: partial gradients are
//! kept for each shard, shards depend on the batch size alone, and their sums are added in their order.

mod batch_norm;
pub(super) mod dropout;
mod linear;
mod local;

use std::ops::Range;

use kinglet_kernels::{BackwardKernels, Unary};

use crate::network::{Network, Operation, Role};
use batch_norm::BatchNormStage;
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

/// One stage: reads the feature maps before it, writes those behind it.
pub(super) enum Stage {
    Local(LocalStage),
    Linear(LinearStage),
    BatchNorm(BatchNormStage),
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
    /// Values of one sample's output.
    pub(super) fn output_len(&self) -> usize {
        match self {
            Self::Local(stage) => stage.output_len(),
            Self::Linear(stage) => stage.output_len(),
            Self::BatchNorm(stage) => stage.len(),
        }
    }

    /// Whether training moves anything in it.
    pub(super) fn has_parameters(&self) -> bool {
        match self {
            Self::Local(stage) => stage.has_parameters(),
            Self::Linear(_) | Self::BatchNorm(_) => true,
        }
    }

    /// Takes note of changed parameters.
    pub(super) fn prepare(&mut self, pass: &Pass) {
        if let Self::Local(stage) = self {
            stage.pack(pass);
        }
    }

    pub(super) fn forward(
        &mut self,
        pass: &Pass,
        statistics: &mut [f32],
        input: &[f32],
        output: &mut [f32],
    ) {
        match self {
            Self::Local(stage) => stage.forward(pass, input, output),
            Self::Linear(stage) => stage.forward(pass, input, output),
            Self::BatchNorm(stage) => stage.forward(pass, statistics, input, output),
        }
    }

    pub(super) fn backward(&mut self, pass: &Pass, of: Backward) {
        match self {
            Self::Local(stage) => stage.backward(pass, of),
            Self::Linear(stage) => stage.backward(pass, of),
            Self::BatchNorm(stage) => stage.backward(pass, of),
        }
    }
}

/// Where a layer's weights and bias lie among the parameters.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) weights: Range<usize>,
    pub(super) bias: Option<Range<usize>>,
}

impl Place {
    pub(super) fn of(network: &Network, layer: usize) -> Self {
        let range = |role| {
            network
                .tensor(layer, role)
                .map(|tensor| tensor.range.clone())
        };
        Self {
            weights: range(Role::Weights).unwrap_or(0..0),
            bias: range(Role::Bias),
        }
    }

    /// Weights and bias together: they lie one after the other.
    pub(super) fn range(&self) -> Range<usize> {
        self.weights.start..self.bias.as_ref().map_or(self.weights.end, |bias| bias.end)
    }

    fn values<'a>(&self, parameters: &'a [f32]) -> (&'a [f32], Option<&'a [f32]>) {
        let bias = self.bias.clone().map(|bias| &parameters[bias]);
        (&parameters[self.weights.clone()], bias)
    }

    /// The gradients of weights and bias, out of those of all parameters from `start` on.
    fn gradients<'a>(
        &self,
        gradients: &'a mut [f32],
        start: usize,
    ) -> (&'a mut [f32], Option<&'a mut [f32]>) {
        let range = self.range();
        let own = &mut gradients[range.start - start..range.end - start];
        let (weights, bias) = own.split_at_mut(self.weights.len());
        (weights, self.bias.is_some().then_some(bias))
    }
}

/// Cuts the first `layers` layers of a network into stages with buffers for `batch_size` samples.
pub(super) fn build(
    network: &Network,
    layers: usize,
    batch_size: usize,
    kernels: &dyn BackwardKernels,
) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    let mut run = local::Builder::default();
    let layers = &network.architecture().layers[..layers];
    let first_trained = layers.iter().position(|layer| layer.parameters() > 0);
    let mut skip = false;
    for (index, layer) in layers.iter().enumerate() {
        if std::mem::take(&mut skip) {
            continue;
        }
        match layer.operation {
            Operation::Linear(params, _) => {
                stages.extend(run.finish(batch_size, kernels));
                // The function behind a linear layer is computed in passing.
                let function = match layers.get(index + 1).map(|next| next.operation) {
                    Some(Operation::Unary(function)) => Some(function),
                    _ => None,
                };
                skip = function.is_some();
                let place = Place::of(network, index);
                stages.push(Stage::Linear(LinearStage::new(params, place, function)));
            }
            Operation::BatchNorm2d { epsilon, momentum } => {
                stages.extend(run.finish(batch_size, kernels));
                stages.push(Stage::BatchNorm(BatchNormStage::new(
                    network, index, batch_size, epsilon, momentum,
                )));
            }
            Operation::Flatten => {}
            _ => run.push(network, index, first_trained == Some(index)),
        }
    }
    stages.extend(run.finish(batch_size, kernels));
    stages
}

/// The activation that a convolution or linear layer can apply in passing, with the same bits.
pub(super) fn fused(function: Option<Unary>) -> kinglet_kernels::Activation {
    match function {
        Some(Unary::Relu) => kinglet_kernels::Activation::Relu,
        Some(Unary::Relu6) => kinglet_kernels::Activation::Relu6,
        _ => kinglet_kernels::Activation::Identity,
    }
}
