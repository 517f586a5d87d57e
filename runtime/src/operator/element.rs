//! The types of a tensor's elements.

use bytemuck::Pod;
use kinglet_kernels::{Kernels, Pool2d, StridedCopy};

use super::site::Site;
use crate::model::LoadError;

/// The type of a tensor's elements, whatever they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// IEEE 754 binary32.
    F32,
    /// 8-bit two's complement, quantized.
    I8,
}

/// A type of elements, and the kernels of operators that take any: what moves or compares elements, and computes none.
pub(crate) trait Number: Pod + core::fmt::Debug + PartialEq {
    /// The element of the output nearest to `value`.
    fn nearest(value: f32, site: &Site<'_>) -> Result<Self, LoadError>;

    fn strided_copy<K: Kernels>(
        kernels: &K,
        copy: &StridedCopy,
        input: &[Self],
        output: &mut [Self],
    );

    fn max_pool2d<K: Kernels>(kernels: &K, params: &Pool2d, input: &[Self], output: &mut [Self]);
}

impl Number for f32 {
    fn nearest(value: f32, _: &Site<'_>) -> Result<Self, LoadError> {
        Ok(value)
    }

    #[inline]
    fn strided_copy<K: Kernels>(
        kernels: &K,
        copy: &StridedCopy,
        input: &[f32],
        output: &mut [f32],
    ) {
        kernels.strided_copy_f32(copy, input, output);
    }

    #[inline]
    fn max_pool2d<K: Kernels>(kernels: &K, params: &Pool2d, input: &[f32], output: &mut [f32]) {
        kernels.max_pool2d_f32(params, input, output);
    }
}

impl Number for i8 {
    fn nearest(value: f32, site: &Site<'_>) -> Result<Self, LoadError> {
        Ok(site.quantization(site.output())?.quantize(value))
    }

    #[inline]
    fn strided_copy<K: Kernels>(kernels: &K, copy: &StridedCopy, input: &[i8], output: &mut [i8]) {
        kernels.strided_copy_i8(copy, input, output);
    }

    #[inline]
    fn max_pool2d<K: Kernels>(kernels: &K, params: &Pool2d, input: &[i8], output: &mut [i8]) {
        kernels.max_pool2d_i8(params, input, output);
    }
}
