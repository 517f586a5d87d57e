//! Folds factors and sums by channel (trained batch normalization, or what an exporter made of it) into the
//! convolution or linear layer before them, whose weights and bias take them up (Jacob et al., arXiv 1712.05877,
//! section 3.2).

use kinglet_kernels::{Activation, BinaryFunction, Shape};

use crate::graph::{Graph, Operation};

pub(super) fn run(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.nodes.len() {
        let producer = graph.only_producer(index);
        let folded = producer.is_some_and(|producer| {
            let channels = graph.shapes()[graph.value_of(index)].channels;
            let affine = Affine::of(&graph.nodes[index].operation, channels);
            let before = &mut graph.nodes[producer].operation;
            affine.is_some_and(|affine| fold(before, affine))
        });
        match producer {
            Some(producer) if folded => graph.join(index, producer),
            _ => index += 1,
        }
    }
}

/// `activation(x * scale + shift)`, channel by channel.
pub(crate) struct Affine {
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
    pub(super) activation: Activation,
}

impl Affine {
    /// The operation as an affine function of each channel, if it is one.
    pub(crate) fn of(operation: &Operation, channels: usize) -> Option<Self> {
        let (function, activation, operand) = match operation {
            Operation::ChannelAffine {
                activation,
                scale,
                shift,
            } => {
                return Some(Self {
                    scale: scale.clone(),
                    shift: shift.clone(),
                    activation: *activation,
                });
            }
            Operation::BinaryConstant {
                function,
                activation,
                shape,
                operand,
            } if *shape == Shape::vector(shape.channels) => {
                // One value for all channels, or one for each.
                let operand = operand.iter().cycle().take(channels).copied();
                (*function, *activation, operand)
            }
            _ => return None,
        };
        let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
        let (scale, shift) = match function {
            BinaryFunction::Add => (ones, operand.collect()),
            BinaryFunction::Subtract => (ones, operand.map(|value| -value).collect()),
            BinaryFunction::ReverseSubtract => (vec![-1.0; channels], operand.collect()),
            BinaryFunction::Multiply => (operand.collect(), zeros),
            BinaryFunction::Divide => (operand.map(f32::recip).collect(), zeros),
            _ => return None,
        };
        Some(Self {
            scale,
            shift,
            activation,
        })
    }
}

impl Affine {
    /// What a leaky ReLU makes of numbers below 0, channel by channel, if no slope is above 1: what it computes is the larger
    /// one of this and the number itself, before the activation.
    pub(crate) fn below_zero(operation: &Operation, channels: usize) -> Option<Self> {
        match operation {
            Operation::BinaryConstant {
                function: BinaryFunction::PRelu,
                activation,
                shape,
                operand,
            } if *shape == Shape::vector(shape.channels)
                && operand.iter().all(|slope| *slope <= 1.0) =>
            {
                Some(Self {
                    scale: operand.iter().cycle().take(channels).copied().collect(),
                    shift: vec![0.0; channels],
                    activation: *activation,
                })
            }
            _ => None,
        }
    }
}

/// Scales and shifts the outputs of an operation, if they are sums with weights.
fn fold(operation: &mut Operation, affine: Affine) -> bool {
    let (weights, weight_scale, bias) = match operation {
        Operation::Conv2d {
            params,
            weights,
            weight_scale,
            bias,
            pool: None,
        } if params.activation() == Activation::Identity => {
            *params = params.with_activation(affine.activation);
            (weights, weight_scale, bias)
        }
        Operation::Linear {
            params,
            weights,
            weight_scale,
            bias,
        } if params.activation() == Activation::Identity => {
            *params = params.with_activation(affine.activation);
            (weights, weight_scale, bias)
        }
        _ => return false,
    };
    let Affine { scale, shift, .. } = affine;
    if scale.iter().any(|factor| *factor != 1.0) {
        let row = weights.len() / scale.len();
        for (row, factor) in weights.chunks_exact_mut(row).zip(&scale) {
            row.iter_mut().for_each(|weight| *weight *= factor);
        }
        // Whole multiples of a scale they are no more.
        *weight_scale = None;
    }
    let old = bias.take().unwrap_or_else(|| vec![0.0; scale.len()]);
    let sums = old.iter().zip(&scale).zip(&shift);
    *bias = Some(
        sums.map(|((b, factor), shift)| b * factor + shift)
            .collect(),
    );
    true
}
