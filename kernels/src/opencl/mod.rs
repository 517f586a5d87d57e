//! The kernels for OpenCL devices, as text: real `.cl` files, compiled by the device's driver at run time.
//!
//! The files say what each kernel computes and on what. The host's side, which checks every length before a
//! kernel may run, is the module `opencl` of the runtime.

/// One file of kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Its name, for messages.
    pub name: &'static str,
    /// OpenCL C 1.2, to be compiled behind [`PRELUDE`].
    pub text: &'static str,
}

macro_rules! source {
    ($name:literal) => {
        Source {
            name: $name,
            text: include_str!($name),
        }
    };
    ($name:literal, behind $before:literal) => {
        Source {
            name: $name,
            text: concat!(
                include_str!($before),
                "#line 1 \"",
                $name,
                "\"\n",
                include_str!($name)
            ),
        }
    };
}

/// Storage and functions of one element: stands before each of the others.
pub const PRELUDE: Source = source!("prelude.cl");

/// Batch normalization, forward and backward.
pub const BATCH_NORM: Source = source!("batch_norm.cl");

/// Functions of two tensors, and the affine function of each channel.
pub const BINARY: Source = source!("binary.cl");

/// Convolution, alone and with a max pool: an implicit matrix product.
pub const CONV2D: Source = source!("conv2d.cl", behind "tile.cl");

/// The loss and its gradient.
pub const CROSS_ENTROPY: Source = source!("cross_entropy.cl");

/// Depthwise convolution, alone and with a max pool.
pub const DEPTHWISE_CONV2D: Source = source!("depthwise_conv2d.cl", behind "tile.cl");

/// Gradients of depthwise convolutions.
pub const DEPTHWISE_CONV2D_BACKWARD: Source = source!("depthwise_conv2d_backward.cl");

/// Functions of each element.
pub const ELEMENTWISE: Source = source!("elementwise.cl");

/// Gradients of functions of one element and of softmax, and what dropout takes.
pub const ELEMENTWISE_BACKWARD: Source = source!("elementwise_backward.cl");

/// Matrix product with bias and activation, or added to what is there.
pub const GEMM: Source = source!("gemm.cl", behind "tile.cl");

/// A convolution's input as a matrix, and back.
pub const IM2COL: Source = source!("im2col.cl");

/// Linear layer, with weights as they are.
pub const LINEAR: Source = source!("linear.cl");

/// Steps of the optimizers.
pub const OPTIMIZER: Source = source!("optimizer.cl");

/// Weights in the order that convolutions read.
pub const PACK: Source = source!("pack.cl");

/// Maximum and average pools.
pub const POOL2D: Source = source!("pool2d.cl", behind "tile.cl");

/// Gradients of pools.
pub const POOL2D_BACKWARD: Source = source!("pool2d_backward.cl");

/// Sums in a fixed order.
pub const REDUCE: Source = source!("reduce.cl");

/// Softmax and its logarithm.
pub const SOFTMAX: Source = source!("softmax.cl");

/// Copies between tensors of different shapes.
pub const STRIDED_COPY: Source = source!("strided_copy.cl");

/// Every file, for what depends on any of them.
pub const ALL: &[Source] = &[
    PRELUDE,
    BATCH_NORM,
    BINARY,
    CONV2D,
    CROSS_ENTROPY,
    DEPTHWISE_CONV2D,
    DEPTHWISE_CONV2D_BACKWARD,
    ELEMENTWISE,
    ELEMENTWISE_BACKWARD,
    GEMM,
    IM2COL,
    LINEAR,
    OPTIMIZER,
    PACK,
    POOL2D,
    POOL2D_BACKWARD,
    REDUCE,
    SOFTMAX,
    STRIDED_COPY,
];
