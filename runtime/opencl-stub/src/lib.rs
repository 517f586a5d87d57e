//! OpenCL, found at run time: one binary that runs with and without an OpenCL library.
//!
//! The crate `ocl` calls OpenCL through `cl-sys`, and `cl-sys` links `libOpenCL`: its programs cannot be
//! built without a development package, and do not start where the library is missing. This crate
//! defines the functions that `cl-sys` declares. The first call of any of them loads the library; each
//! call is forwarded to it. Without a library there are no platforms, and every other function fails
//! with `CL_INVALID_OPERATION`.
//!
//! The crate that uses `ocl` must name this one, or the linker does not see it:
//!
//! ```
//! use kinglet_opencl_stub as _;
//! ```
//!
//! # Which library
//! The environment variable [`VARIABLE`] decides: `none` loads nothing, and anything else is the path
//! of the library to load. Where it is unset or empty, the first of these that loads and has the
//! function `clGetPlatformIDs` is taken:
//!
//! | system | names |
//! |---|---|
//! | Linux and others | the loader `libOpenCL.so.1`, `libOpenCL.so`; drivers that come without a loader: `libmali.so.1`, `libmali.so`, `libGLES_mali.so`, `libPVROCL.so.1`, `libPVROCL.so` |
//! | Android (not run) | `libOpenCL.so`, `libGLES_mali.so`, `libmali.so`, `libPVROCL.so`, and the vendors' folders |
//! | Windows, macOS (not run) | the system's own, linked as `cl-sys` does: it must be there at build and at start |
//!
//! # What is not forwarded as it is
//! `clGetPlatformIDs` reports `CL_PLATFORM_NOT_FOUND_KHR` as success with zero platforms, whether the
//! library is missing or a loader has no drivers. On that error `ocl` waits ten seconds, trying again,
//! and its `Platform::list` panics.
//!
//! Error codes that `ocl` does not know, of which drivers have some, become `CL_OUT_OF_RESOURCES`: it panics
//! otherwise. Releases always succeed: `ocl` makes them when it drops a value, and would panic there after the
//! device was lost.
//!
//! # Limits
//! - The functions of OpenCL 1.2, as `cl-sys` declares them by default. With the features of `ocl` for
//!   OpenCL 2 a program does not link.
//! - A shared library that contains this crate exports the functions, too, unless its build script says
//!   `cargo:rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL` (GNU ld and lld): then what other crates define stays inside.
//! - A library that defines the same functions must not be preloaded (`LD_PRELOAD`, as the program
//!   `oclgrind` does) beside one that is loaded here. Name it in the variable instead.

#[cfg(all(unix, not(target_vendor = "apple")))]
mod loader;
#[cfg(all(unix, not(target_vendor = "apple")))]
mod table;

use std::fmt;

/// The environment variable that names the library: `none` or a path.
pub const VARIABLE: &str = "KINGLET_OPENCL_LIB";

/// The name under which the OpenCL library was loaded. The first call of this or of any function of
/// OpenCL loads it, and what came of it stays for the rest of the process.
///
/// # Errors
/// There is no library: the error says why.
pub fn library() -> Result<&'static str, &'static NoLibrary> {
    #[cfg(all(unix, not(target_vendor = "apple")))]
    return loader::library().as_ref().map(loader::Library::name);
    #[cfg(not(all(unix, not(target_vendor = "apple"))))]
    return Ok("the system's OpenCL");
}

/// Why there is no OpenCL library.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoLibrary {
    /// The environment variable is `none`.
    NotWanted,
    /// The library that the environment variable names cannot be used.
    Unusable {
        /// The value of the variable.
        path: String,
        /// What the system's loader says.
        reason: String,
    },
    /// None of the names that a library usually has could be loaded.
    NotFound {
        /// The names in the order in which they were tried.
        names: &'static [&'static str],
        /// What the system's loader says about the first of them.
        reason: String,
    },
}

impl fmt::Display for NoLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWanted => write!(f, "OpenCL is switched off by {VARIABLE}=none"),
            Self::Unusable { path, reason } => {
                write!(
                    f,
                    "the OpenCL library of {VARIABLE}={path} cannot be used: {reason}"
                )
            }
            Self::NotFound { names, reason } => write!(
                f,
                "no OpenCL library was found ({reason}; tried {})",
                names.join(", ")
            ),
        }
    }
}

impl std::error::Error for NoLibrary {}
