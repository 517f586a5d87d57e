//! What each operation means, and every way to compute it.
//!
//! - [`Shape`] and [`params`]: the vocabulary, with the output-size formula.
//! - [`Kernels`] and [`BackwardKernels`]: what a kernel set is; the argument order is fixed there.
//! - [`mod@reference`]: the oracle. Plain loops, forward and backward side by side, never tuned.
//! - [`portable`]: canonical arithmetic that runs anywhere and gives the same bits everywhere.
//! - [`arch`]: SIMD sets, each behind a type that only its `detect` can make.
//! - `testing` (a feature): one suite that every set instantiates.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![deny(unsafe_code)]

pub mod arch;
mod lengths;
pub mod ops;
pub mod params;
pub mod portable;
pub mod reference;
mod shape;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use ops::{BackwardKernels, Kernels};
pub use params::{
    Activation, Conv2d, CountPadding, Linear, Padding, ParamsError, Pool2d, Rounding, Unary, Window,
};
pub use portable::Portable;
pub use reference::Reference;
pub use shape::Shape;
