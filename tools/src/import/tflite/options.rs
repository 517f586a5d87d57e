//! What the operators of TensorFlow Lite files have beside their inputs: a table of one kind for each operator.

use flatbuffers::{InvalidFlatbuffer, Verifier};

use super::names::{ActivationFunctionType, MirrorPadMode, Padding, WeightsFormat};
use super::table::{Field, List, tables};

/// Options of an operator.
pub(super) trait Options<'a>: Field<'a> {
    /// Their number in the schema's union `BuiltinOptions`.
    const TAG: u8;
}

tables! {
    /// Those of a convolution.
    Conv2DOptions {
        0 padding: Padding = Padding::SAME,
        1 stride_w: i32 = 0,
        2 stride_h: i32 = 0,
        3 fused_activation_function: ActivationFunctionType = ActivationFunctionType::NONE,
        4 dilation_w_factor: i32 = 1,
        5 dilation_h_factor: i32 = 1,
    }

    /// Those of a depthwise convolution. The multiplier follows from the weights.
    DepthwiseConv2DOptions {
        0 padding: Padding = Padding::SAME,
        1 stride_w: i32 = 0,
        2 stride_h: i32 = 0,
        4 fused_activation_function: ActivationFunctionType = ActivationFunctionType::NONE,
        5 dilation_w_factor: i32 = 1,
        6 dilation_h_factor: i32 = 1,
    }

    /// Those of a pool.
    Pool2DOptions {
        0 padding: Padding = Padding::SAME,
        1 stride_w: i32 = 0,
        2 stride_h: i32 = 0,
        3 filter_width: i32 = 0,
        4 filter_height: i32 = 0,
        5 fused_activation_function: ActivationFunctionType = ActivationFunctionType::NONE,
    }

    /// Those of a fully connected layer.
    FullyConnectedOptions {
        0 fused_activation_function: ActivationFunctionType = ActivationFunctionType::NONE,
        1 weights_format: WeightsFormat = WeightsFormat::DEFAULT,
        2 keep_num_dims: bool = false,
    }

    /// Those of a softmax.
    SoftmaxOptions {
        0 beta: f32 = 0.0,
    }

    /// Those of a concatenation.
    ConcatenationOptions {
        0 axis: i32 = 0,
        1 fused_activation_function: ActivationFunctionType = ActivationFunctionType::NONE,
    }

    /// Those of a sum.
    AddOptions {
        0 fused_activation_function: ActivationFunctionType = ActivationFunctionType::NONE,
    }

    /// Those of a difference.
    SubOptions {
        0 fused_activation_function: ActivationFunctionType = ActivationFunctionType::NONE,
    }

    /// Those of a product.
    MulOptions {
        0 fused_activation_function: ActivationFunctionType = ActivationFunctionType::NONE,
    }

    /// Those of a quotient.
    DivOptions {
        0 fused_activation_function: ActivationFunctionType = ActivationFunctionType::NONE,
    }

    /// Those of a reshape.
    ReshapeOptions {
        0 new_shape: List<'a, i32>,
    }

    /// Those of what drops axes of 1.
    SqueezeOptions {
        0 squeeze_dims: List<'a, i32>,
    }

    /// Those of a split.
    SplitOptions {
        0 num_splits: i32 = 0,
    }

    /// Those of a strided slice: bits that stand for axes.
    StridedSliceOptions {
        0 begin_mask: i32 = 0,
        1 end_mask: i32 = 0,
        2 ellipsis_mask: i32 = 0,
        3 new_axis_mask: i32 = 0,
        4 shrink_axis_mask: i32 = 0,
    }

    /// Those of a leaky ReLU.
    LeakyReluOptions {
        0 alpha: f32 = 0.0,
    }

    /// Those of a GELU.
    GeluOptions {
        0 approximate: bool = false,
    }

    /// Those of a mean.
    ReducerOptions {
        0 keep_dims: bool = false,
    }

    /// Those of channels as blocks of rows and columns.
    DepthToSpaceOptions {
        0 block_size: i32 = 0,
    }

    /// Those of blocks of rows and columns as channels.
    SpaceToDepthOptions {
        0 block_size: i32 = 0,
    }

    /// Those of a transposed convolution.
    TransposeConvOptions {
        0 padding: Padding = Padding::SAME,
        1 stride_w: i32 = 0,
        2 stride_h: i32 = 0,
        3 fused_activation_function: ActivationFunctionType = ActivationFunctionType::NONE,
    }

    /// Those of a mirrored padding.
    MirrorPadOptions {
        0 mode: MirrorPadMode = MirrorPadMode::REFLECT,
    }

    /// Those of resizing between two.
    ResizeBilinearOptions {
        2 align_corners: bool = false,
        3 half_pixel_centers: bool = false,
    }

    /// Those of resizing to the nearest.
    ResizeNearestNeighborOptions {
        0 align_corners: bool = false,
        1 half_pixel_centers: bool = false,
    }
}

/// Which number of the union stands for which options.
macro_rules! union {
    ($($tag:literal $name:ident,)*) => {
        $(impl<'a> Options<'a> for $name<'a> {
            const TAG: u8 = $tag;
        })*

        /// Verifies the options at a position. Those that are not read may be anything.
        pub(super) fn verify(
            tag: u8,
            verifier: &mut Verifier<'_, '_>,
            position: usize,
        ) -> Result<(), InvalidFlatbuffer> {
            match tag {
                $($tag => {
                    type Options<'a> = <$name<'a> as Field<'a>>::Verified;
                    verifier.verify_union_variant::<Options<'_>>(stringify!($name), position)
                })*
                _ => Ok(()),
            }
        }
    };
}

union! {
    1 Conv2DOptions,
    2 DepthwiseConv2DOptions,
    5 Pool2DOptions,
    8 FullyConnectedOptions,
    9 SoftmaxOptions,
    10 ConcatenationOptions,
    11 AddOptions,
    15 ResizeBilinearOptions,
    17 ReshapeOptions,
    19 SpaceToDepthOptions,
    21 MulOptions,
    27 ReducerOptions,
    28 SubOptions,
    29 DivOptions,
    30 SqueezeOptions,
    32 StridedSliceOptions,
    35 SplitOptions,
    49 TransposeConvOptions,
    74 ResizeNearestNeighborOptions,
    75 LeakyReluOptions,
    77 MirrorPadOptions,
    94 DepthToSpaceOptions,
    116 GeluOptions,
}
