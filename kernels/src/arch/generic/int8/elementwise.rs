//! Functions of 8-bit numbers one by one: loops that the compiler makes vectors of, in functions compiled for an
//! instruction set.

use crate::lengths;
use crate::params::{AddI8, RequantizeI8, StridedCopy};
use crate::portable::strided_copy::for_each_run;
use crate::quant::Quantization;

/// Numbers from real ones.
#[inline(always)]
pub(crate) fn quantize<I>(_: I, to: Quantization, input: &[f32], output: &mut [i8]) {
    if !lengths::same("output", output, input) {
        return;
    }
    for (y, x) in output.iter_mut().zip(input) {
        *y = to.quantize(*x);
    }
}

/// What numbers mean.
#[inline(always)]
pub(crate) fn dequantize<I>(_: I, from: Quantization, input: &[i8], output: &mut [f32]) {
    if !lengths::same("output", output, input) {
        return;
    }
    for (y, q) in output.iter_mut().zip(input) {
        *y = from.dequantize(*q);
    }
}

/// The sum of each number and the operand at its place, in place.
#[inline(always)]
pub(crate) fn add<I>(_: I, params: &AddI8, operand: &[i8], data: &mut [i8]) {
    if !lengths::same("operand", operand, data) {
        return;
    }
    let [first, second] = params.terms;
    for (a, b) in data.iter_mut().zip(operand) {
        *a = params.output.round(first.apply(*a) + second.apply(*b));
    }
}

/// Numbers of one scale as such of another, in place.
#[inline(always)]
pub(crate) fn requantize<I>(_: I, params: &RequantizeI8, data: &mut [i8]) {
    for q in data {
        *q = params.output.round(params.input.apply(*q));
    }
}

/// Copies the elements that `params` names.
#[inline(always)]
pub(crate) fn strided_copy<I>(_: I, params: &StridedCopy, input: &[i8], output: &mut [i8]) {
    for_each_run(
        params,
        input,
        output,
        #[inline(always)]
        |from, to| {
            for (to, from) in to.iter_mut().zip(from) {
                *to = *from;
            }
        },
    );
}
