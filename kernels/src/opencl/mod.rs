//! The kernels for OpenCL devices, as text: real `.cl` files, compiled by the device's driver at run time.
//!
//! The files say what each kernel computes and on what. The host's side, which checks every length before a
//! kernel may run, is the module `opencl` of the runtime.

/// Storage and functions of one element: stands before each of the others.
pub const PRELUDE: &str = include_str!("prelude.cl");
