//! What can go wrong between a program and an OpenCL device.

use std::string::{String, ToString};
use std::time::Duration;

use ocl::OclCoreError;

/// Why a device was not used, or not any further.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum OpenClError {
    /// The driver refused a call, or the device was lost.
    Driver {
        /// The function: `clEnqueueReadBuffer`.
        call: &'static str,
        /// OpenCL's name for the error: `CL_OUT_OF_RESOURCES`.
        status: String,
    },
    /// The driver could not compile the kernels.
    Build {
        /// The file.
        source: &'static str,
        /// The beginning of the compiler's log.
        log: String,
    },
    /// The driver has not come back.
    Hangs {
        /// From what: `compiling gemm.cl`.
        work: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A buffer is larger than the device allows for one, or than its memory.
    Memory {
        /// Bytes it takes.
        needed: u64,
        /// Bytes the device allows.
        limit: u64,
    },
    /// A number does not fit the 32 bits that kernels count in.
    TooLarge {
        /// The number.
        found: usize,
        /// The largest that is possible.
        limit: usize,
    },
    /// A tensor is shorter than its operation needs.
    Length {
        /// The operation and its tensor: `conv2d_f32: output`.
        tensor: &'static str,
        /// Elements it takes.
        needed: usize,
        /// Elements given.
        found: usize,
    },
    /// The device computes something other than the CPU.
    WrongResult {
        /// What was computed.
        what: String,
        /// The first element that differs.
        element: usize,
        /// What the device says.
        found: f32,
        /// What the CPU says.
        expected: f32,
    },
    /// There is no such device.
    NoDevice {
        /// What was asked for, and what there is.
        reason: String,
    },
    /// The device lacks something that every kernel needs.
    Unsupported {
        /// What.
        reason: String,
    },
}

impl OpenClError {
    /// The error of a call into the driver, in one line: the text of `ocl` is a page.
    pub(super) fn driver(call: &'static str, error: &OclCoreError) -> Self {
        let status = error
            .api_status()
            .map_or_else(|| first_line(&error.to_string()), |s| std::format!("{s:?}"));
        Self::Driver { call, status }
    }
}

/// The first line that is not decoration.
pub(super) fn first_line(text: &str) -> String {
    let mut lines = text.lines().map(|line| line.trim_matches(['#', ' ']));
    lines.find(|line| !line.is_empty()).unwrap_or("").into()
}

impl core::fmt::Display for OpenClError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Driver { call, status } => write!(f, "{call} failed with {status}"),
            Self::Build { source, log } => {
                write!(f, "the driver cannot compile {source}: {log}")
            }
            Self::Hangs { work, limit } => write!(
                f,
                "the driver has not come back from {work} within {} s",
                limit.as_secs_f32()
            ),
            Self::Memory { needed, limit } => write!(
                f,
                "a buffer of {needed} bytes is needed, the device allows {limit}"
            ),
            Self::TooLarge { found, limit } => write!(
                f,
                "{found} elements are more than kernels can count; at most {limit} are possible"
            ),
            Self::Length {
                tensor,
                needed,
                found,
            } => write!(f, "{tensor} has {found} elements, it takes {needed}"),
            Self::WrongResult {
                what,
                element,
                found,
                expected,
            } => write!(
                f,
                "{what}: element {element} is {found:?} on the device and {expected:?} on the CPU"
            ),
            Self::NoDevice { reason } | Self::Unsupported { reason } => f.write_str(reason),
        }
    }
}

impl core::error::Error for OpenClError {}
