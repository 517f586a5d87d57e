//! Canonical arithmetic that runs anywhere: the same bits as [`crate::reference`] on every machine, but
//! quick. This is what a microcontroller runs, and what learns on the device.
//!
//! Canonical order leaves one freedom, which all of this uses: results are independent of each other.
//! So several are computed side by side, each with an accumulator of its own that takes its terms in
//! order: the chains of additions overlap, loaded values are shared, and a compiler for a vector unit
//! can put neighbours into one register. Nothing is fused, nothing is reordered within a sum.
//!
//! There is no panic in here, not even an unreachable one: no indexing, but iterators, `get` and slices
//! that are cut to the same length first.

pub mod batch_norm;
pub(crate) mod binary;
mod conv2d;
mod cross_entropy;
mod dot;
mod int8;
mod linear;
mod peak;
pub(crate) mod pool2d;
pub(crate) mod rows;
pub(crate) mod softmax;
pub(crate) mod strided_copy;
mod unary;

pub use binary::{binary_f32, channel_affine_f32};
pub use conv2d::{
    conv2d_f32, conv2d_f32_backward_input, conv2d_f32_backward_weights, conv2d_max_pool2d_f32,
};
pub use cross_entropy::cross_entropy_f32;
pub use int8::{
    add_i8, avg_pool2d_i8, binary_i8, conv2d_i8, dequantize_i8, linear_i8, max_pool2d_i8,
    quantize_i8, requantize_i8, softmax_i8, table_i8,
};
pub use linear::{linear_f32, linear_f32_backward_input, linear_f32_backward_weights};
pub use peak::peak_f32;
pub use pool2d::{
    avg_pool2d_f32, avg_pool2d_f32_backward, max_pool2d_f32, max_pool2d_f32_backward,
};
pub use softmax::{log_softmax_f32, log_softmax_f32_backward, softmax_f32, softmax_f32_backward};
pub use strided_copy::strided_copy;
pub use unary::{unary_f32, unary_f32_backward, unary_f32_backward_from_input};

use crate::ops::{BackwardKernels, Kernels, StaticKernels};

/// The portable kernel set: every method of the traits is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Portable;

impl Kernels for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }
}

impl BackwardKernels for Portable {}

impl StaticKernels for Portable {
    const SCRATCH_PER_TERM: usize = 0;
    const SCRATCH: usize = 0;
}
