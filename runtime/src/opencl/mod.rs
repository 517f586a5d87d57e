//! Models on an OpenCL device, for hosts: a second executor over the same checked plan.
//!
//! The library is found when it is first needed (`kinglet-opencl-stub` says where): without one there is no
//! device, and everything else runs as ever. [`devices`] lists what is there; [`Executor::open`] makes one ready,
//! after it has shown that it computes what the CPU does; [`Recording`] is work for it, made ready once and
//! enqueued any number of times.
//!
//! Programs are compiled by the device's driver at first use, within a time limit, variants of kernels are
//! measured, and both are kept in a cache for the next start.

mod agreement;
mod auto;
mod buffer;
mod cache;
mod device;
mod error;
mod executor;
mod fallback;
mod ops;
mod program;
mod recording;
mod self_test;
mod session;
mod tuning;

pub use auto::Comparison;
pub use buffer::{Buffer, Element, Slice};
pub use device::{DeviceInfo, DeviceKind, devices};
pub use error::OpenClError;
pub use executor::{Executor, Options};
pub use fallback::FallbackSession;
// It defines the functions of OpenCL that `ocl` calls.
pub use kinglet_opencl_stub::{NoLibrary, library};
pub use ops::{BatchNorm, CrossEntropy, StepControl, StepRates};
pub use recording::Recording;
pub use session::Session;
pub use tuning::Tuning;
