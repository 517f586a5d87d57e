//! A graph as a writer of model files describes it: operators with their parameters, shapes left to be found.

mod int8;

pub use int8::{Int8Spec, LayerI8};

use std::string::String;
use std::vec::Vec;

use kinglet_kernels::{
    Activation, Axis, BinaryFunction, CountPadding, PerAxis, Rounding, Shape, Unary, Window,
};

/// A graph to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphSpec {
    /// The model's name.
    pub name: String,
    /// Shape of one input sample.
    pub input: Shape,
    /// Nodes in the order they run; node `n` writes tensor `n + 1`.
    pub nodes: Vec<NodeSpec>,
    /// Mean of each input channel of a picture scaled to 0..1; empty for none.
    pub mean: Vec<f32>,
    /// Standard deviation of each input channel.
    pub std: Vec<f32>,
    /// Class names; empty for none.
    pub labels: Vec<String>,
    /// How many nodes at the end may be trained on the device.
    pub trainable_nodes: usize,
}

/// A node to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeSpec {
    /// What it computes, with its parameters.
    pub operator: OperatorSpec,
    /// The tensors it reads: 0 is the input, `n + 1` the output of node `n`.
    pub inputs: Vec<usize>,
}

/// An operator to be written, with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum OperatorSpec {
    /// See [`Operator::Conv2dF32`](super::schema::Operator::Conv2dF32).
    Conv2d {
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Channel groups.
        groups: usize,
        /// Channels of the output.
        out_channels: usize,
        /// Applied to each output.
        activation: Activation,
        /// OHWI.
        weights: Vec<f32>,
        /// One for each output channel.
        bias: Option<Vec<f32>>,
    },
    /// See [`Operator::Conv2dMaxPool2dF32`](super::schema::Operator::Conv2dMaxPool2dF32).
    Conv2dMaxPool2d {
        /// Kernel, stride, dilation, padding of the convolution.
        window: Window,
        /// Channel groups.
        groups: usize,
        /// Channels of the output.
        out_channels: usize,
        /// Applied to each output of the convolution.
        activation: Activation,
        /// OHWI.
        weights: Vec<f32>,
        /// One for each output channel.
        bias: Option<Vec<f32>>,
        /// Window of the pool.
        pool: Window,
        /// Which way the pool's output size is rounded.
        rounding: Rounding,
    },
    /// See [`Operator::LinearF32`](super::schema::Operator::LinearF32).
    Linear {
        /// Values of the output.
        out_features: usize,
        /// Applied to each output.
        activation: Activation,
        /// `[out_features, in_features]`, the input in NHWC order.
        weights: Vec<f32>,
        /// One for each output.
        bias: Option<Vec<f32>>,
    },
    /// Maximum over a window. This, [`Concat`](Self::Concat), [`Slice`](Self::Slice), [`Pad`](Self::Pad),
    /// [`Upsample`](Self::Upsample), [`Transpose`](Self::Transpose) and [`Reshape`](Self::Reshape) take 8-bit numbers
    /// as well, and leave their quantization as it is.
    MaxPool2d {
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Which way the output size is rounded.
        rounding: Rounding,
    },
    /// Average over a window.
    AvgPool2d {
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Which way the output size is rounded.
        rounding: Rounding,
        /// What an average divides by.
        count_padding: CountPadding,
    },
    /// A function of each element.
    Unary(Unary),
    /// Softmax over the channels.
    Softmax,
    /// Logarithm of softmax over the channels.
    LogSoftmax,
    /// See [`Operator::BinaryF32`](super::schema::Operator::BinaryF32).
    Binary {
        /// Of an element of the first input and its operand in the second.
        function: BinaryFunction,
        /// Applied to each output.
        activation: Activation,
    },
    /// The same with an operand that is the model's.
    BinaryConstant {
        /// Of an element and its operand.
        function: BinaryFunction,
        /// Applied to each output.
        activation: Activation,
        /// The input's shape, or 1 along any axis.
        shape: Shape,
        /// The operand, NHWC.
        operand: Vec<f32>,
    },
    /// `x * scale + shift`, channel by channel.
    ChannelAffine {
        /// Applied to each output.
        activation: Activation,
        /// One for each channel.
        scale: Vec<f32>,
        /// One for each channel.
        shift: Vec<f32>,
    },
    /// The inputs, at most [`MAX_INPUTS`](super::schema::MAX_INPUTS), one after the other.
    Concat {
        /// Along which axis.
        axis: Axis,
    },
    /// Every `step`-th row, column and channel from `start` on.
    Slice {
        /// The first.
        start: PerAxis,
        /// From one to the next.
        step: PerAxis,
        /// How many: the output's shape.
        output: Shape,
    },
    /// The input within a larger tensor.
    Pad {
        /// Rows above, columns to the left, channels before.
        before: PerAxis,
        /// Rows below, columns to the right, channels behind.
        after: PerAxis,
        /// What surrounds the input; of 8-bit numbers the one nearest to it.
        value: f32,
    },
    /// Each row and column repeated.
    Upsample {
        /// How often each row.
        factor_h: usize,
        /// How often each column.
        factor_w: usize,
    },
    /// The axes in another order.
    Transpose {
        /// Which axis of the input becomes height, width and channels of the output.
        order: [Axis; 3],
    },
    /// The same elements, in NHWC order, in another shape.
    Reshape {
        /// The output's shape, of as many elements.
        output: Shape,
    },
    /// An operator on 8-bit numbers, or to or from them.
    Int8(Int8Spec),
}
