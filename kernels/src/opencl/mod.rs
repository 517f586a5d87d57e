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

/// Matrix product with bias and activation, or added to what is there.
pub const GEMM: Source = source!("gemm.cl", behind "tile.cl");

/// Convolution, alone and with a max pool: an implicit matrix product.
pub const CONV2D: Source = source!("conv2d.cl", behind "tile.cl");

/// Weights in the order that matrix products read.
pub const PACK: Source = source!("pack.cl");

/// Every file, for what depends on any of them.
pub const ALL: &[Source] = &[PRELUDE, GEMM, CONV2D, PACK];
