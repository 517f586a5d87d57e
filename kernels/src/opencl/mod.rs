//! The kernels for OpenCL devices, as text: real `.cl` files, compiled by the device's driver at run time.
//!
//! The files say what each kernel computes and on what. The host's side, which checks every length before a
//! kernel may run, is the module `opencl` of the runtime.

/// Storage and functions of one element: stands before each of the others.
pub const PRELUDE: &str = include_str!("prelude.cl");

/// The kernel `gemm`: matrix product, with bias and activation, or added to what is there.
///
/// Built with `-D TILE_M=` rows and `-D TILE_N=` (4, 8 or 16) columns, as is every file that mentions them.
pub const GEMM: &str = concat!(include_str!("tile.cl"), include_str!("gemm.cl"));
