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

/// Convolution, alone and with a max pool: an implicit matrix product.
pub const CONV2D: Source = source!("conv2d.cl", behind "tile.cl");

/// Depthwise convolution, alone and with a max pool.
pub const DEPTHWISE_CONV2D: Source = source!("depthwise_conv2d.cl", behind "tile.cl");

/// Functions of each element.
pub const ELEMENTWISE: Source = source!("elementwise.cl");

/// Matrix product with bias and activation, or added to what is there.
pub const GEMM: Source = source!("gemm.cl", behind "tile.cl");

/// Linear layer, with weights as they are.
pub const LINEAR: Source = source!("linear.cl");

/// Weights in the order that convolutions read.
pub const PACK: Source = source!("pack.cl");

/// Maximum and average pools.
pub const POOL2D: Source = source!("pool2d.cl", behind "tile.cl");

/// Softmax.
pub const SOFTMAX: Source = source!("softmax.cl");

/// Every file, for what depends on any of them.
pub const ALL: &[Source] = &[
    PRELUDE,
    CONV2D,
    DEPTHWISE_CONV2D,
    ELEMENTWISE,
    GEMM,
    LINEAR,
    PACK,
    POOL2D,
    SOFTMAX,
];
