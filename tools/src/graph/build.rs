//! From layers as a recipe has them, with their trained values, to a graph.

use kinglet_kernels::{Activation, Unary};

use super::{Graph, Input, Operation, Output};
use crate::array_layout::ArrayLayout;
use crate::network::{Bias, Network, Operation as Layer, Role};

impl Graph {
    /// The graph of a network with the values it has now. Its arrays are those of PyTorch, NCHW.
    pub fn from_network(name: &str, network: &Network) -> Self {
        let architecture = network.architecture();
        let of = |shape| ArrayLayout::channels_first(shape).source();
        let mut graph = Self::new(
            name,
            vec![Input {
                source: of(architecture.input),
                ..Input::new("input", architecture.input)
            }],
        );
        let mut value = 0;
        for (index, layer) in architecture.layers.iter().enumerate() {
            let values = |role| network.layer_values(index, role).unwrap_or_default();
            let weights = || values(Role::Weights).to_vec();
            let bias = |bias| match bias {
                Bias::Yes => Some(values(Role::Bias).to_vec()),
                Bias::No => None,
            };
            let operation = match layer.operation {
                Layer::Conv2d(params, has_bias) => Operation::Conv2d {
                    params,
                    weights: weights(),
                    weight_scale: None,
                    bias: bias(has_bias),
                    pool: None,
                },
                Layer::Linear(params, has_bias) => Operation::Linear {
                    params,
                    weights: weights(),
                    weight_scale: None,
                    bias: bias(has_bias),
                },
                Layer::MaxPool2d(params) => Operation::MaxPool2d(params),
                Layer::AvgPool2d(params) => Operation::AvgPool2d(params),
                Layer::Unary(function) => Operation::Unary(function),
                Layer::Softmax => Operation::Softmax,
                Layer::BatchNorm2d { epsilon, .. } => channel_affine(
                    values(Role::Weights),
                    values(Role::Bias),
                    values(Role::RunningMean),
                    values(Role::RunningVariance),
                    epsilon,
                ),
                Layer::Dropout(_) | Layer::Dropout2d(_) | Layer::Flatten => Operation::Identity,
            };
            value = graph.push(&layer.text, operation, &[value]);
        }
        graph.outputs.push(Output {
            source: of(architecture.output()),
            ..Output::new("output", value)
        });
        graph
    }
}

/// Batch normalization with its running statistics: `(x - mean) / sqrt(variance + epsilon) * weight + bias`.
pub(crate) fn channel_affine(
    weight: &[f32],
    bias: &[f32],
    mean: &[f32],
    variance: &[f32],
    epsilon: f32,
) -> Operation {
    let scale: Vec<f32> = weight
        .iter()
        .zip(variance)
        .map(|(w, v)| w / (v + epsilon).sqrt())
        .collect();
    let shift = bias
        .iter()
        .zip(mean)
        .zip(&scale)
        .map(|((b, m), s)| b - m * s)
        .collect();
    Operation::ChannelAffine {
        activation: Activation::Identity,
        scale,
        shift,
    }
}

/// The name of an element-wise function in PyTorch.
pub fn unary_name(function: Unary) -> &'static str {
    Layer::Unary(function).name()
}
