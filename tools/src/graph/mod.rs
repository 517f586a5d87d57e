//! The rich form of a network between training and the model file: named, on the heap, easy to rewrite.
//!
//! Value 0 is the input, value `n + 1` the output of node `n`; the last value is the output of the network.
//! [`crate::optimize`] rewrites a graph until the runtime has an operator for every node, and
//! [`crate::export`] writes it down.

mod build;
mod network;

pub(crate) use build::channel_affine;
pub use build::unary_name;
use kinglet_kernels::{Conv2d, Linear, Pool2d, Shape, Unary};
pub use network::ToNetworkError;

/// A network as nodes in the order they run.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The network's name.
    pub name: String,
    /// Shape of one input sample.
    pub input: Shape,
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// One operation and the values it reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What a person calls it: the layer's text in its recipe, or those of the layers joined in it.
    pub name: String,
    /// What it computes.
    pub operation: Operation,
    /// The values it reads.
    pub inputs: Vec<usize>,
}

/// What a node computes, with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Convolution; weights OHWI.
    Conv2d {
        /// Geometry and activation.
        params: Conv2d,
        /// `[out_channels, kernel_h, kernel_w, in_channels / groups]`.
        weights: Vec<f32>,
        /// `[out_channels]`.
        bias: Option<Vec<f32>>,
        /// The max pool that follows, joined with it.
        pool: Option<Pool2d>,
    },
    /// Linear layer over the input as one vector in NHWC order.
    Linear {
        /// Sizes and activation.
        params: Linear,
        /// `[out_features, in_features]`.
        weights: Vec<f32>,
        /// `[out_features]`.
        bias: Option<Vec<f32>>,
    },
    /// Largest value of each window.
    MaxPool2d(Pool2d),
    /// Mean of each window.
    AvgPool2d(Pool2d),
    /// A function of each element.
    Unary(Unary),
    /// Softmax over the channels.
    Softmax,
    /// `scale * x + shift`, channel by channel: what batch normalization is once trained.
    ChannelAffine {
        /// Factor of each channel.
        scale: Vec<f32>,
        /// Added to each channel.
        shift: Vec<f32>,
    },
    /// Passes its input on: dropout once trained, flatten in NHWC.
    Identity,
}

impl Operation {
    /// Shape of the output for an input of shape `input`.
    pub fn output(&self, input: Shape) -> Shape {
        match self {
            Self::Conv2d { params, pool, .. } => pool.map_or(params.output(), |pool| pool.output()),
            Self::Linear { params, .. } => Shape::vector(params.out_features()),
            Self::MaxPool2d(params) | Self::AvgPool2d(params) => params.output(),
            Self::Unary(_) | Self::Softmax | Self::ChannelAffine { .. } | Self::Identity => input,
        }
    }
}

impl Graph {
    /// Shape of every value: the input, then each node's output.
    pub fn shapes(&self) -> Vec<Shape> {
        let mut shapes = vec![self.input];
        for node in &self.nodes {
            shapes.push(node.operation.output(shapes[node.inputs[0]]));
        }
        shapes
    }

    /// The only node that reads `value`; None if there are none or several, or if it is the network's output.
    pub fn only_reader(&self, value: usize) -> Option<usize> {
        let mut readers = (0..self.nodes.len()).filter(|n| self.nodes[*n].inputs.contains(&value));
        match (readers.next(), readers.next()) {
            (Some(reader), None) if value != self.nodes.len() => Some(reader),
            _ => None,
        }
    }

    /// The node that computes what node `index` reads, if that is all node `index` reads and nobody else
    /// reads it.
    pub fn only_producer(&self, index: usize) -> Option<usize> {
        match self.nodes[index].inputs.as_slice() {
            [value] if self.only_reader(*value) == Some(index) => value.checked_sub(1),
            _ => None,
        }
    }

    /// Removes node `index`; whoever read its output reads its input instead.
    pub fn remove(&mut self, index: usize) {
        let node = self.nodes.remove(index);
        let (output, input) = (index + 1, node.inputs[0]);
        for value in self.nodes.iter_mut().flat_map(|node| &mut node.inputs) {
            if *value == output {
                *value = input;
            } else if *value > output {
                *value -= 1;
            }
        }
    }

    /// Multiply-accumulates of one sample.
    pub fn macs(&self) -> u64 {
        self.nodes
            .iter()
            .map(|node| match &node.operation {
                Operation::Conv2d { params, .. } => params.macs(),
                Operation::Linear { params, .. } => params.weights_len() as u64,
                _ => 0,
            })
            .sum()
    }
}
