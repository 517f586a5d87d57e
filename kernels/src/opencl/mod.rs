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
}

/// Storage and functions of one element: stands before each of the others.
pub const PRELUDE: Source = source!("prelude.cl");

/// Every file, for what depends on any of them.
pub const ALL: &[Source] = &[PRELUDE];
