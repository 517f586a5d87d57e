//! Checked parameters of the operations that have a geometry: what each means, how large its output is.
//!
//! Every type is made by a constructor that refuses what no kernel could compute (a stride of 0, a
//! window larger than its padded input), so kernels rely on it and do not check again.

mod activation;
mod binary;
mod compact;
mod conv2d;
mod error;
mod int8;
mod linear;
mod nest;
mod pool2d;
mod pooled_conv2d;
mod rows_i8;
mod strided_copy;
mod window;

#[cfg(simd)]
pub(crate) use activation::GELU_TANH;
pub use activation::{Activation, Unary, clamp};
pub(crate) use activation::{SIXTH, gelu_tanh_argument, gelu_tanh_slope, hard_sigmoid, softplus};
pub use binary::{Binary, BinaryFunction};
pub use conv2d::Conv2d;
pub use error::ParamsError;
pub(crate) use int8::Rescale;
pub use int8::{
    AddI8, AvgPool2dI8, BinaryI8, Conv2dI8, LinearI8, RequantizeI8, SoftmaxI8, TableI8, WeightsI8,
};
pub use linear::Linear;
pub use nest::Loop;
pub use pool2d::{CountPadding, Pool2d};
pub use pooled_conv2d::PooledConv2d;
pub use rows_i8::{RowOrder, fits_pairs, write_pairs};
pub use strided_copy::{Axis, Concat, PerAxis, StridedCopy, Upsample, transposed};
pub use window::{Padding, Rounding, Window};

/// Largest value of any extent, kernel, stride, padding or dilation. It keeps every product of two
/// of them within 32 bits, so that the formulas below cannot overflow on a microcontroller.
pub const MAX_EXTENT: usize = 1 << 15;

/// Most elements of one sample of a tensor, padding included: where an element lies, as a product of extents, is a
/// number of 32 bits.
pub const MAX_ELEMENTS: usize = 1 << 28;

#[cfg(test)]
mod tests;
