//! Operations on 8-bit numbers. Sums are of integers, so unlike those of `f32` they may be taken in any order, and a
//! compiler for a vector unit does: only the rounding at their end is fixed, and that is in [`quant`](crate::quant).
//!
//! The parameters have been found to make no sum overflow; it wraps if a caller brings others.

mod conv2d;
mod dot;
mod elementwise;
mod linear;
mod pool2d;

pub use conv2d::conv2d_i8;
pub use elementwise::{
    add_i8, binary_i8, dequantize_i8, quantize_i8, requantize_i8, softmax_i8, table_i8,
};
pub use linear::linear_i8;
pub use pool2d::{avg_pool2d_i8, max_pool2d_i8};
