//! The model file as data: what each field of the one postcard message means. `FORMAT.md` is this page in
//! prose. Field order and variant order *are* the format; variants are only ever appended.

use heapless::Vec;
use kinglet_kernels::{
    Activation, Axis, BinaryFunction, Concat, CountPadding, PerAxis, Quantization, Rounding, Shape,
    Unary, Window,
};
use serde::{Deserialize, Serialize};

/// First eight bytes of every model file.
pub const MAGIC: [u8; 8] = *b"kinglet\0";
/// The format this crate reads and writes.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes of the prefix.
pub const PREFIX_LEN: usize = 100;
/// Weights begin at a multiple of this within the file.
pub const WEIGHTS_ALIGN: usize = 64;
/// Tensors in the arena, and parameters within the weights, begin at a multiple of this.
pub const TENSOR_ALIGN: usize = 16;
/// Most tensors of one graph. The overlap check is quadratic in it: the cap bounds the time a hostile
/// file can cost.
pub const MAX_TENSORS: usize = 1024;
/// Most inputs of one node.
pub const MAX_INPUTS: usize = Concat::MAX_INPUTS;
/// Most elements of one tensor.
pub const MAX_ELEMENTS: usize = 1 << 28;

/// Element type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DType {
    /// IEEE 754 binary32, little-endian.
    F32,
    /// 8-bit two's complement: `real = scale * (q - zero_point)`.
    I8 {
        /// Finite and positive.
        scale: f32,
        /// The number that means 0.
        zero_point: i8,
    },
}

impl DType {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::I8 { .. } => 1,
        }
    }

    /// What its numbers mean, if it is quantized.
    pub const fn quantization(self) -> Option<Quantization> {
        match self {
            Self::F32 => None,
            Self::I8 { scale, zero_point } => Some(Quantization { scale, zero_point }),
        }
    }
}

impl From<Quantization> for DType {
    fn from(Quantization { scale, zero_point }: Quantization) -> Self {
        Self::I8 { scale, zero_point }
    }
}

/// One tensor of a graph. Tensor 0 is the input, tensor `n + 1` is the output of node `n`, the last one is
/// the output of the model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// Shape of one sample.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Where the plan puts it: bytes from the start of the arena, for one sample. A batch of B multiplies
    /// offset and size by B.
    pub offset: u32,
    /// The last node that reads it (for the output of the model: the last node).
    pub last_use: u16,
}

impl Tensor {
    /// Bytes of one sample.
    pub const fn bytes(&self) -> usize {
        self.shape.len().saturating_mul(self.dtype.size())
    }
}

/// Where a parameter lies: bytes from the start of the weights.
pub type WeightsOffset = u32;

/// What a node computes. The position of a variant is its bit in the prefix's operator bitmap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Operator {
    /// Convolution with fused activation; weights OHWI.
    Conv2dF32 {
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Channel groups.
        groups: u32,
        /// Applied to each output.
        activation: Activation,
        /// `[out_channels, kernel_h, kernel_w, in_channels / groups]`.
        weights: WeightsOffset,
        /// `[out_channels]`.
        bias: Option<WeightsOffset>,
    },
    /// Linear layer over the whole input read as one vector (NHWC order).
    LinearF32 {
        /// Applied to each output.
        activation: Activation,
        /// `[out_features, in_features]`.
        weights: WeightsOffset,
        /// `[out_features]`.
        bias: Option<WeightsOffset>,
    },
    /// Maximum over a window.
    MaxPool2dF32 {
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Which way the output size was rounded.
        rounding: Rounding,
    },
    /// Average over a window.
    AvgPool2dF32 {
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Which way the output size was rounded.
        rounding: Rounding,
        /// What an average divides by.
        count_padding: CountPadding,
    },
    /// `max(x, 0)`.
    ReluF32,
    /// `min(max(x, 0), 6)`.
    Relu6F32,
    /// `x` or `slope * x`.
    LeakyReluF32 {
        /// Factor of negative inputs.
        slope: f32,
    },
    /// `1 / (1 + exp(-x))`.
    SigmoidF32,
    /// Hyperbolic tangent.
    TanhF32,
    /// Softmax over the channels of each position.
    SoftmaxF32,
    /// Convolution with fused activation, and the maximum over each window of the result, which is never stored.
    Conv2dMaxPool2dF32 {
        /// Kernel, stride, dilation, padding of the convolution.
        window: Window,
        /// Channel groups.
        groups: u32,
        /// Applied to each output of the convolution.
        activation: Activation,
        /// `[out_channels, kernel_h, kernel_w, in_channels / groups]`.
        weights: WeightsOffset,
        /// `[out_channels]`.
        bias: Option<WeightsOffset>,
        /// Window of the pool: no padding, no dilation, no overlap.
        pool: Window,
        /// Which way the pool's output size was rounded.
        rounding: Rounding,
    },
    /// A function of each element of the first input and the element of the second at its place. The second has
    /// the shape of the first, or 1 along any axis.
    BinaryF32 {
        /// Of an element and its operand.
        function: BinaryFunction,
        /// Applied to each output.
        activation: Activation,
    },
    /// The same with an operand of the file.
    BinaryConstantF32 {
        /// Of an element and its operand.
        function: BinaryFunction,
        /// Applied to each output.
        activation: Activation,
        /// Shape of the operand.
        shape: Shape,
        /// `[height, width, channels]` of that shape.
        operand: WeightsOffset,
    },
    /// `x * scale + shift`, channel by channel.
    ChannelAffineF32 {
        /// Applied to each output.
        activation: Activation,
        /// `[channels]`.
        scale: WeightsOffset,
        /// `[channels]`.
        shift: WeightsOffset,
    },
    /// `min(max(x, low), high)`.
    ClipF32 {
        /// Smallest output; may be minus infinity.
        low: f32,
        /// Largest output; may be infinite.
        high: f32,
    },
    /// `x`, or `alpha * (exp(x) - 1)` where not positive.
    EluF32 {
        /// Factor of the curved side.
        alpha: f32,
    },
    /// `min(max(alpha * x + beta, 0), 1)`.
    HardSigmoidF32 {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// `x * min(max(x / 6 + 1/2, 0), 1)`.
    HardSwishF32,
    /// Logarithm of softmax over the channels of each position.
    LogSoftmaxF32,
    /// The inputs one after the other along an axis.
    ConcatF32 {
        /// Along which.
        axis: Axis,
    },
    /// Every `step`-th row, column and channel from `start` on, as many as the output has.
    SliceF32 {
        /// The first.
        start: PerAxis,
        /// From one to the next.
        step: PerAxis,
    },
    /// The input within a larger tensor that is `value` everywhere else.
    PadF32 {
        /// Rows above, columns to the left and channels before; the output's shape tells what is behind.
        before: PerAxis,
        /// What surrounds the input.
        value: f32,
    },
    /// Each row and column repeated.
    UpsampleF32 {
        /// How often each row.
        factor_h: u32,
        /// How often each column.
        factor_w: u32,
    },
    /// The axes in another order.
    TransposeF32 {
        /// Which axis of the input becomes height, width and channels of the output.
        order: [Axis; 3],
    },
    /// The same elements in another shape.
    ReshapeF32,
    /// 8-bit numbers from real ones: `rint(x / scale) + zero_point` by the output's scale and zero point.
    QuantizeI8,
    /// Real numbers from 8-bit ones: `(q - zero_point) * scale` by the input's.
    DequantizeI8,
    /// Convolution of 8-bit numbers; weights OHWI.
    Conv2dI8 {
        /// Kernel, stride, dilation, padding; the padding is the input's zero point.
        window: Window,
        /// Channel groups.
        groups: u32,
        /// Smallest number of the output.
        low: i8,
        /// Largest number of the output.
        high: i8,
        /// `i8`, `[out_channels, kernel_h, kernel_w, in_channels / groups]`.
        weights: WeightsOffset,
        /// `i32`, `[out_channels]`.
        bias: Option<WeightsOffset>,
        /// `f32`, `[out_channels]`: what each sum is multiplied by.
        scale: WeightsOffset,
    },
    /// Linear layer of 8-bit numbers over the whole input read as one vector (NHWC order).
    LinearI8 {
        /// Smallest number of the output.
        low: i8,
        /// Largest number of the output.
        high: i8,
        /// `i8`, `[out_features, in_features]`.
        weights: WeightsOffset,
        /// `i32`, `[out_features]`.
        bias: Option<WeightsOffset>,
        /// `f32`, `[out_features]`: what each sum is multiplied by.
        scale: WeightsOffset,
    },
    /// Maximum over a window, of 8-bit numbers; input and output are quantized alike.
    MaxPool2dI8 {
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Which way the output size was rounded.
        rounding: Rounding,
    },
    /// Average over a window, of 8-bit numbers.
    AvgPool2dI8 {
        /// Kernel, stride, dilation, padding.
        window: Window,
        /// Which way the output size was rounded.
        rounding: Rounding,
        /// What an average divides by.
        count_padding: CountPadding,
    },
    /// The sum of two tensors of 8-bit numbers and one shape.
    AddI8 {
        /// Smallest number of the output.
        low: i8,
        /// Largest number of the output.
        high: i8,
    },
    /// Softmax of 8-bit numbers over the channels of each position.
    SoftmaxI8,
    /// 8-bit numbers as such of another scale or zero point.
    RequantizeI8 {
        /// Smallest number of the output.
        low: i8,
        /// Largest number of the output.
        high: i8,
    },
    /// The same 8-bit numbers in another shape. This and what follows leaves the quantization as it is.
    ReshapeI8,
    /// The input within a larger tensor that is `value` everywhere else.
    PadI8 {
        /// Rows above, columns to the left and channels before; the output's shape tells what is behind.
        before: PerAxis,
        /// What surrounds the input.
        value: i8,
    },
    /// The inputs, all quantized alike, one after the other along an axis.
    ConcatI8 {
        /// Along which.
        axis: Axis,
    },
    /// Every `step`-th row, column and channel from `start` on, as many as the output has.
    SliceI8 {
        /// The first.
        start: PerAxis,
        /// From one to the next.
        step: PerAxis,
    },
    /// The axes in another order.
    TransposeI8 {
        /// Which axis of the input becomes height, width and channels of the output.
        order: [Axis; 3],
    },
    /// Each row and column repeated.
    UpsampleI8 {
        /// How often each row.
        factor_h: u32,
        /// How often each column.
        factor_w: u32,
    },
}

/// Bits of the operator bitmap.
pub mod bits {
    /// `Conv2dF32`.
    pub const CONV2D_F32: u64 = 1 << 0;
    /// `LinearF32`.
    pub const LINEAR_F32: u64 = 1 << 1;
    /// `MaxPool2dF32`.
    pub const MAX_POOL2D_F32: u64 = 1 << 2;
    /// `AvgPool2dF32`.
    pub const AVG_POOL2D_F32: u64 = 1 << 3;
    /// `ReluF32`.
    pub const RELU_F32: u64 = 1 << 4;
    /// `Relu6F32`.
    pub const RELU6_F32: u64 = 1 << 5;
    /// `LeakyReluF32`.
    pub const LEAKY_RELU_F32: u64 = 1 << 6;
    /// `SigmoidF32`.
    pub const SIGMOID_F32: u64 = 1 << 7;
    /// `TanhF32`.
    pub const TANH_F32: u64 = 1 << 8;
    /// `SoftmaxF32`.
    pub const SOFTMAX_F32: u64 = 1 << 9;
    /// `Conv2dMaxPool2dF32`.
    pub const CONV2D_MAX_POOL2D_F32: u64 = 1 << 10;
    /// `BinaryF32`.
    pub const BINARY_F32: u64 = 1 << 11;
    /// `BinaryConstantF32`.
    pub const BINARY_CONSTANT_F32: u64 = 1 << 12;
    /// `ChannelAffineF32`.
    pub const CHANNEL_AFFINE_F32: u64 = 1 << 13;
    /// `ClipF32`.
    pub const CLIP_F32: u64 = 1 << 14;
    /// `EluF32`.
    pub const ELU_F32: u64 = 1 << 15;
    /// `HardSigmoidF32`.
    pub const HARD_SIGMOID_F32: u64 = 1 << 16;
    /// `HardSwishF32`.
    pub const HARD_SWISH_F32: u64 = 1 << 17;
    /// `LogSoftmaxF32`.
    pub const LOG_SOFTMAX_F32: u64 = 1 << 18;
    /// `ConcatF32`.
    pub const CONCAT_F32: u64 = 1 << 19;
    /// `SliceF32`.
    pub const SLICE_F32: u64 = 1 << 20;
    /// `PadF32`.
    pub const PAD_F32: u64 = 1 << 21;
    /// `UpsampleF32`.
    pub const UPSAMPLE_F32: u64 = 1 << 22;
    /// `TransposeF32`.
    pub const TRANSPOSE_F32: u64 = 1 << 23;
    /// `ReshapeF32`.
    pub const RESHAPE_F32: u64 = 1 << 24;
    /// `QuantizeI8`.
    pub const QUANTIZE_I8: u64 = 1 << 25;
    /// `DequantizeI8`.
    pub const DEQUANTIZE_I8: u64 = 1 << 26;
    /// `Conv2dI8`.
    pub const CONV2D_I8: u64 = 1 << 27;
    /// `LinearI8`.
    pub const LINEAR_I8: u64 = 1 << 28;
    /// `MaxPool2dI8`.
    pub const MAX_POOL2D_I8: u64 = 1 << 29;
    /// `AvgPool2dI8`.
    pub const AVG_POOL2D_I8: u64 = 1 << 30;
    /// `AddI8`.
    pub const ADD_I8: u64 = 1 << 31;
    /// `SoftmaxI8`.
    pub const SOFTMAX_I8: u64 = 1 << 32;
    /// `RequantizeI8`.
    pub const REQUANTIZE_I8: u64 = 1 << 33;
    /// `ReshapeI8`.
    pub const RESHAPE_I8: u64 = 1 << 34;
    /// `PadI8`.
    pub const PAD_I8: u64 = 1 << 35;
    /// `ConcatI8`.
    pub const CONCAT_I8: u64 = 1 << 36;
    /// `SliceI8`.
    pub const SLICE_I8: u64 = 1 << 37;
    /// `TransposeI8`.
    pub const TRANSPOSE_I8: u64 = 1 << 38;
    /// `UpsampleI8`.
    pub const UPSAMPLE_I8: u64 = 1 << 39;
    /// Every operator that reads or writes 8-bit numbers.
    pub const INT8: u64 = ALL & !(QUANTIZE_I8 - 1);
    /// Every operator this crate has: what hosts take.
    pub const ALL: u64 = (1 << 40) - 1;
}

/// Name of the operator at a position of the bitmap.
pub const fn operator_name(bit: u32) -> &'static str {
    match bit {
        0 => "Conv2dF32",
        1 => "LinearF32",
        2 => "MaxPool2dF32",
        3 => "AvgPool2dF32",
        4 => "ReluF32",
        5 => "Relu6F32",
        6 => "LeakyReluF32",
        7 => "SigmoidF32",
        8 => "TanhF32",
        9 => "SoftmaxF32",
        10 => "Conv2dMaxPool2dF32",
        11 => "BinaryF32",
        12 => "BinaryConstantF32",
        13 => "ChannelAffineF32",
        14 => "ClipF32",
        15 => "EluF32",
        16 => "HardSigmoidF32",
        17 => "HardSwishF32",
        18 => "LogSoftmaxF32",
        19 => "ConcatF32",
        20 => "SliceF32",
        21 => "PadF32",
        22 => "UpsampleF32",
        23 => "TransposeF32",
        24 => "ReshapeF32",
        25 => "QuantizeI8",
        26 => "DequantizeI8",
        27 => "Conv2dI8",
        28 => "LinearI8",
        29 => "MaxPool2dI8",
        30 => "AvgPool2dI8",
        31 => "AddI8",
        32 => "SoftmaxI8",
        33 => "RequantizeI8",
        34 => "ReshapeI8",
        35 => "PadI8",
        36 => "ConcatI8",
        37 => "SliceI8",
        38 => "TransposeI8",
        39 => "UpsampleI8",
        _ => "unknown",
    }
}

impl Operator {
    /// The operator's bit in the bitmap.
    pub const fn bit(&self) -> u64 {
        match self {
            Self::Conv2dF32 { .. } => bits::CONV2D_F32,
            Self::LinearF32 { .. } => bits::LINEAR_F32,
            Self::MaxPool2dF32 { .. } => bits::MAX_POOL2D_F32,
            Self::AvgPool2dF32 { .. } => bits::AVG_POOL2D_F32,
            Self::ReluF32 => bits::RELU_F32,
            Self::Relu6F32 => bits::RELU6_F32,
            Self::LeakyReluF32 { .. } => bits::LEAKY_RELU_F32,
            Self::SigmoidF32 => bits::SIGMOID_F32,
            Self::TanhF32 => bits::TANH_F32,
            Self::SoftmaxF32 => bits::SOFTMAX_F32,
            Self::Conv2dMaxPool2dF32 { .. } => bits::CONV2D_MAX_POOL2D_F32,
            Self::BinaryF32 { .. } => bits::BINARY_F32,
            Self::BinaryConstantF32 { .. } => bits::BINARY_CONSTANT_F32,
            Self::ChannelAffineF32 { .. } => bits::CHANNEL_AFFINE_F32,
            Self::ClipF32 { .. } => bits::CLIP_F32,
            Self::EluF32 { .. } => bits::ELU_F32,
            Self::HardSigmoidF32 { .. } => bits::HARD_SIGMOID_F32,
            Self::HardSwishF32 => bits::HARD_SWISH_F32,
            Self::LogSoftmaxF32 => bits::LOG_SOFTMAX_F32,
            Self::ConcatF32 { .. } => bits::CONCAT_F32,
            Self::SliceF32 { .. } => bits::SLICE_F32,
            Self::PadF32 { .. } => bits::PAD_F32,
            Self::UpsampleF32 { .. } => bits::UPSAMPLE_F32,
            Self::TransposeF32 { .. } => bits::TRANSPOSE_F32,
            Self::ReshapeF32 => bits::RESHAPE_F32,
            Self::QuantizeI8 => bits::QUANTIZE_I8,
            Self::DequantizeI8 => bits::DEQUANTIZE_I8,
            Self::Conv2dI8 { .. } => bits::CONV2D_I8,
            Self::LinearI8 { .. } => bits::LINEAR_I8,
            Self::MaxPool2dI8 { .. } => bits::MAX_POOL2D_I8,
            Self::AvgPool2dI8 { .. } => bits::AVG_POOL2D_I8,
            Self::AddI8 { .. } => bits::ADD_I8,
            Self::SoftmaxI8 => bits::SOFTMAX_I8,
            Self::RequantizeI8 { .. } => bits::REQUANTIZE_I8,
            Self::ReshapeI8 => bits::RESHAPE_I8,
            Self::PadI8 { .. } => bits::PAD_I8,
            Self::ConcatI8 { .. } => bits::CONCAT_I8,
            Self::SliceI8 { .. } => bits::SLICE_I8,
            Self::TransposeI8 { .. } => bits::TRANSPOSE_I8,
            Self::UpsampleI8 { .. } => bits::UPSAMPLE_I8,
        }
    }

    /// The operator's name, as in the bitmap and in messages.
    pub const fn name(&self) -> &'static str {
        operator_name(self.bit().trailing_zeros())
    }

    /// True when the output may take the place of the first input.
    pub const fn in_place(&self) -> bool {
        self.unary().is_some()
            || matches!(
                self,
                Self::SoftmaxF32
                    | Self::LogSoftmaxF32
                    | Self::BinaryF32 { .. }
                    | Self::BinaryConstantF32 { .. }
                    | Self::ChannelAffineF32 { .. }
                    | Self::ReshapeF32
                    | Self::AddI8 { .. }
                    | Self::SoftmaxI8
                    | Self::RequantizeI8 { .. }
                    | Self::ReshapeI8
            )
    }

    /// True when it reads 8-bit numbers, false when it reads `f32`.
    pub const fn reads_i8(&self) -> bool {
        self.bit() & bits::INT8 & !bits::QUANTIZE_I8 != 0
    }

    /// True when it writes 8-bit numbers, false when it writes `f32`.
    pub const fn writes_i8(&self) -> bool {
        self.bit() & bits::INT8 & !bits::DEQUANTIZE_I8 != 0
    }

    /// True when its output is quantized as all of its inputs are.
    pub const fn keeps_quantization(&self) -> bool {
        matches!(
            self,
            Self::MaxPool2dI8 { .. }
                | Self::ReshapeI8
                | Self::PadI8 { .. }
                | Self::ConcatI8 { .. }
                | Self::SliceI8 { .. }
                | Self::TransposeI8 { .. }
                | Self::UpsampleI8 { .. }
        )
    }

    /// The element-wise function, if the operator is one.
    pub const fn unary(&self) -> Option<Unary> {
        match *self {
            Self::ReluF32 => Some(Unary::Relu),
            Self::Relu6F32 => Some(Unary::Relu6),
            Self::LeakyReluF32 { slope } => Some(Unary::LeakyRelu { slope }),
            Self::SigmoidF32 => Some(Unary::Sigmoid),
            Self::TanhF32 => Some(Unary::Tanh),
            Self::ClipF32 { low, high } => Some(Unary::Clip { low, high }),
            Self::EluF32 { alpha } => Some(Unary::Elu { alpha }),
            Self::HardSigmoidF32 { alpha, beta } => Some(Unary::HardSigmoid { alpha, beta }),
            Self::HardSwishF32 => Some(Unary::HardSwish),
            _ => None,
        }
    }
}

/// One node: an operator and the tensors it reads. It writes the tensor after its own position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// What it computes.
    pub operator: Operator,
    /// Tensors it reads, in the operator's order.
    pub inputs: Vec<u16, MAX_INPUTS>,
}

impl Node {
    /// The tensor whose place the output may take, once nobody reads it any more. Not one that is read twice: it
    /// would change while it is read.
    pub fn replaces(&self) -> Option<u16> {
        let (first, others) = self.inputs.split_first()?;
        (self.operator.in_place() && !others.contains(first)).then_some(*first)
    }
}

/// Something a later version added. A reader that does not know a required one refuses the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension<'a> {
    /// What it is; assigned in `FORMAT.md`.
    pub id: u32,
    /// Whether the model means something else without it.
    pub required: bool,
    /// Its content.
    pub bytes: &'a [u8],
}

/// The whole file, for hosts: any postcard implementation can read a model from this alone.
///
/// A microcontroller never builds it; [`Model`](crate::Model) walks the same bytes in place.
#[cfg(feature = "std")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct File<'a> {
    /// Identity and sizes.
    pub prefix: Prefix,
    /// Tensors, nodes and what goes with them.
    #[serde(borrow)]
    pub graph: Graph<'a>,
    /// Zeros that bring `weights` to a multiple of [`WEIGHTS_ALIGN`].
    pub padding: &'a [u8],
    /// All parameters.
    pub weights: &'a [u8],
}

/// Identity and sizes, in fixed-size byte arrays: postcard writes them as they are, so their places are
/// known to a `const fn`. All numbers are little-endian `u32` unless said otherwise.
#[cfg(feature = "std")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefix {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`FORMAT_VERSION`].
    pub format_version: [u8; 4],
    /// First 16 bytes of the SHA-256 of the encoded graph followed by the weights.
    pub model_id: [u8; 16],
    /// The model this one was fine-tuned from; zeros if none.
    pub parent_id: [u8; 16],
    /// CRC-32/ISO-HDLC of everything after the prefix.
    pub body_crc: [u8; 4],
    /// Length of the file.
    pub file_len: [u8; 4],
    /// Where the weights begin.
    pub weights_offset: [u8; 4],
    /// Bytes of weights.
    pub weights_len: [u8; 4],
    /// Elements of one input sample.
    pub input_len: [u8; 4],
    /// Elements of one output sample.
    pub output_len: [u8; 4],
    /// Bytes of tensors at the plan's peak, for one sample.
    pub activation_bytes: [u8; 4],
    /// Bytes of scratch: the most any operator's formula asks for.
    pub scratch_bytes: [u8; 4],
    /// Session records: one for each node.
    pub records: [u8; 4],
    /// Parameters of the trainable suffix.
    pub trainable_parameters: [u8; 4],
    /// Elements of the outputs of the trainable suffix's nodes, for one sample.
    pub suffix_values: [u8; 4],
    /// Bitmap of the operators in use, `u64`.
    pub operators: [u8; 8],
    /// CRC-32/ISO-HDLC of all of the above.
    pub prefix_crc: [u8; 4],
}

/// What is computed, where everything lies, and what the numbers mean.
#[cfg(feature = "std")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph<'a> {
    /// The model's name.
    pub name: &'a str,
    /// Tensors; see [`Tensor`] for their order.
    pub tensors: std::vec::Vec<Tensor>,
    /// Nodes in the order they run.
    pub nodes: std::vec::Vec<Node>,
    /// Mean of each input channel of a picture with values 0 to 1; empty if pictures are not normalized.
    pub mean: std::vec::Vec<f32>,
    /// Standard deviation of each input channel; as many as `mean`.
    pub std: std::vec::Vec<f32>,
    /// Class names, one for each output; or none.
    #[serde(borrow)]
    pub labels: std::vec::Vec<&'a str>,
    /// How many nodes at the end make up the trainable suffix.
    pub trainable_nodes: u16,
    /// What later versions added.
    #[serde(borrow)]
    pub extensions: std::vec::Vec<Extension<'a>>,
}
