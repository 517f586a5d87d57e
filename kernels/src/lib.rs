//! What each operation means, and every way to compute it.
//!
//! - [`Shape`] and [`params`]: the vocabulary, with the output-size formula.
//! - [`quant`]: real numbers as 8-bit integers, and the one rounding.
//! - [`Kernels`] and [`BackwardKernels`]: what a kernel set is; the argument order is fixed there.
//! - [`mod@reference`]: the oracle. Plain loops, forward and backward side by side, never tuned.
//! - [`portable`]: canonical arithmetic that runs anywhere and gives the same bits everywhere.
//! - [`arch`]: SIMD sets, each behind a type that only its `detect` can make, or `new` where the build has the
//!   instructions; `arch::detect` for programs that infer, `arch::detect_training` for those that train.
//! - [`opencl`]: kernels for GPUs, as text.
//! - `testing` (a feature): one suite that every set instantiates.
//!
//! The caller brings every buffer, so outputs are arguments:
//!
//! ```
//! use kinglet_kernels::{Activation, Conv2d, Kernels, Padding, Portable, Shape, Window};
//!
//! # fn main() -> Result<(), kinglet_kernels::ParamsError> {
//! let window = Window::new(3, 3).with_padding(Padding::symmetric(1, 1));
//! let params = Conv2d::new(Shape::new(4, 4, 1), 2, window, 1, Activation::Relu)?;
//! assert_eq!(params.output(), Shape::new(4, 4, 2));
//!
//! let input = [1.0; 16];
//! let weights = [0.5; 2 * 9];
//! let mut output = [0.0; 32];
//! Portable.conv2d_f32(&params, &input, &weights, Some(&[0.0, 1.0]), &mut [], &mut output);
//! // A corner sees four of nine taps.
//! assert_eq!(output[..2], [2.0, 3.0]);
//! # Ok(())
//! # }
//! ```
//!
//! Features: `std` detects instruction sets at run time, `testing` is the suite for kernel sets, and
//! `defmt` formats the vocabulary on a microcontroller.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![deny(unsafe_code)]

pub mod arch;
mod lengths;
#[cfg(test)]
mod libm_bits;
pub mod opencl;
pub mod ops;
pub mod params;
pub mod portable;
pub mod quant;
pub mod reference;
mod shape;
mod taps;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use ops::{BackwardKernels, Kernels, StaticKernels};
pub use params::{
    Activation, AddI8, AvgPool2dI8, Axis, Binary, BinaryFunction, BinaryI8, Concat, Conv2d,
    Conv2dI8, CountPadding, Linear, LinearI8, Padding, ParamsError, PerAxis, Pool2d, PooledConv2d,
    RequantizeI8, Rounding, RowOrder, SoftmaxI8, StridedCopy, TableI8, Unary, Upsample, WeightsI8,
    Window,
};
pub use portable::Portable;
pub use quant::{Quantization, Requantize};
pub use reference::Reference;
pub use shape::Shape;
