//! Functions of 8-bit numbers one by one: the portable loops, of which the compiler makes vectors in functions compiled
//! for an instruction set.

use crate::params::{AddI8, BinaryI8, RequantizeI8, StridedCopy};
use crate::portable;
use crate::quant::Quantization;

/// Numbers from real ones.
#[inline(always)]
pub(crate) fn quantize<I>(_: I, to: Quantization, input: &[f32], output: &mut [i8]) {
    portable::quantize_i8(to, input, output);
}

/// What numbers mean.
#[inline(always)]
pub(crate) fn dequantize<I>(_: I, from: Quantization, input: &[i8], output: &mut [f32]) {
    portable::dequantize_i8(from, input, output);
}

/// The sum of each number and the operand at its place, in place.
#[inline(always)]
pub(crate) fn add<I>(_: I, params: &AddI8, operand: &[i8], data: &mut [i8]) {
    portable::add_i8(params, operand, data);
}

/// A function of each number and the operand at its place, in place.
#[inline(always)]
pub(crate) fn binary<I>(_: I, params: &BinaryI8, operand: &[i8], data: &mut [i8]) {
    portable::binary_i8(params, operand, data);
}

/// Numbers of one scale as such of another, in place.
#[inline(always)]
pub(crate) fn requantize<I>(_: I, params: &RequantizeI8, data: &mut [i8]) {
    portable::requantize_i8(params, data);
}

/// Copies the elements that `params` names.
#[inline(always)]
pub(crate) fn strided_copy<I>(_: I, params: &StridedCopy, input: &[i8], output: &mut [i8]) {
    portable::strided_copy(params, input, output);
}
