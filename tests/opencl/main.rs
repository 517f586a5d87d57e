//! Models, operations and faults on an OpenCL device. Which one is said by `KINGLET_REQUIRE_OPENCL`, a part of the name
//! of a platform or device; without it the first that is found is taken. Without a device these tests fail.
//!
//! `cargo xtask opencl` runs them: all of them on PoCL, those with `small` in their names under Oclgrind, which sees
//! every access to memory.

mod cache;
mod device;
mod model;
mod on_device;
mod small;
mod suite;
