//! Operators on 8-bit numbers as a writer of model files describes them.

use std::vec::Vec;

use kinglet_kernels::{CountPadding, Quantization, Rounding, Window};

/// An operator on 8-bit numbers that says how its output is quantized. Those that leave the quantization as it is
/// (maximum over a window, concatenation, slices, padding, transposition, reshaping, upsampling) are the operators of
/// [`OperatorSpec`](super::OperatorSpec) for either element type.
#[derive(Debug, Clone, PartialEq)]
pub enum Int8Spec {
    /// 8-bit numbers from real ones.
    Quantize {
        /// What they mean.
        output: Quantization,
    },
    /// Real numbers from 8-bit ones.
    Dequantize,
    /// See [`Operator::Conv2dI8`](super::super::schema::Operator::Conv2dI8).
    Conv2d {
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Channel groups.
        groups: usize,
        /// Channels of the output.
        out_channels: usize,
        /// The parameters.
        layer: LayerI8,
        /// What the output's numbers mean.
        output: Quantization,
    },
    /// See [`Operator::LinearI8`](super::super::schema::Operator::LinearI8).
    Linear {
        /// Values of the output.
        out_features: usize,
        /// The parameters.
        layer: LayerI8,
        /// What the output's numbers mean.
        output: Quantization,
    },
    /// Average over a window.
    AvgPool2d {
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Which way the output size is rounded.
        rounding: Rounding,
        /// What an average divides by.
        count_padding: CountPadding,
        /// What the output's numbers mean.
        output: Quantization,
    },
    /// The sum of two tensors of one shape.
    Add {
        /// Smallest and largest number of the output.
        bounds: (i8, i8),
        /// What the output's numbers mean.
        output: Quantization,
    },
    /// Softmax over the channels.
    Softmax {
        /// What the output's numbers mean.
        output: Quantization,
    },
    /// The same values as numbers of another scale or zero point.
    Requantize {
        /// Smallest and largest number of the output.
        bounds: (i8, i8),
        /// What the output's numbers mean.
        output: Quantization,
    },
}

/// The parameters of a convolution or linear layer of 8-bit numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerI8 {
    /// OHWI, or `[out_features, in_features]` with the input in NHWC order; their zero point is 0.
    pub weights: Vec<i8>,
    /// One for each output channel, at the scale of the input times that of the channel's weights.
    pub bias: Option<Vec<i32>>,
    /// One for each output channel: `(input scale * weight scale) / output scale`, in `f32` and in this order.
    pub scale: Vec<f32>,
    /// Smallest and largest number of the output: a fused activation.
    pub bounds: (i8, i8),
}
