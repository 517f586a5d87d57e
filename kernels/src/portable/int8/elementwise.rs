//! Functions of each number by itself, or of two, and softmax.

use super::super::binary::{for_each_run, with_function};
use super::super::rows::rows_of_mut;
use crate::lengths;
use crate::params::{AddI8, BinaryI8, RequantizeI8, SoftmaxI8, TableI8};
use crate::quant::Quantization;

/// Numbers from real ones.
#[inline(always)]
pub fn quantize_i8(to: Quantization, input: &[f32], output: &mut [i8]) {
    if !lengths::same("output", output, input) {
        return;
    }
    for (y, x) in output.iter_mut().zip(input) {
        *y = to.quantize(*x);
    }
}

/// What numbers mean.
#[inline(always)]
pub fn dequantize_i8(from: Quantization, input: &[i8], output: &mut [f32]) {
    if !lengths::same("output", output, input) {
        return;
    }
    for (y, q) in output.iter_mut().zip(input) {
        *y = from.dequantize(*q);
    }
}

/// The sum of each number and the operand at its place, in place.
#[inline(always)]
pub fn add_i8(params: &AddI8, operand: &[i8], data: &mut [i8]) {
    if !lengths::same("operand", operand, data) {
        return;
    }
    let [first, second] = params.terms;
    for (a, b) in data.iter_mut().zip(operand) {
        *a = params.output.round(first.apply(*a) + second.apply(*b));
    }
}

/// A function of each number and the operand at its place, in place. `operand` is one sample for the whole batch, or one
/// for each sample.
#[inline(always)]
pub fn binary_i8(params: &BinaryI8, operand: &[i8], data: &mut [i8]) {
    if !lengths::binary(&params.geometry, operand, data) {
        return;
    }
    let [first, second] = params.terms;
    for_each_run(
        &params.geometry,
        operand,
        data,
        #[inline(always)]
        |operand, data| {
            with_function!(params.geometry.function(), function => operand.each(
                data,
                #[inline(always)]
                |a, b| {
                    let result = function.apply(first.apply(a), second.apply(b));
                    params.output.round(result * params.factor)
                },
            ));
        },
    );
}

/// Numbers of one scale as such of another, in place.
#[inline(always)]
pub fn requantize_i8(params: &RequantizeI8, data: &mut [i8]) {
    for q in data {
        *q = params.output.round(params.input.apply(*q));
    }
}

/// The entry of a table for each number, in place.
#[inline(always)]
pub fn table_i8(table: &TableI8, data: &mut [i8]) {
    for q in data {
        // There is an entry for every byte.
        *q = table
            .get(usize::from(q.cast_unsigned()))
            .copied()
            .unwrap_or_default();
    }
}

/// Softmax over each run of channels, in place. Exponentials are computed twice rather than kept: there is no memory
/// for them.
pub fn softmax_i8(params: &SoftmaxI8, data: &mut [i8]) {
    if !lengths::runs(params.channels, data) {
        return;
    }
    for run in rows_of_mut(data, params.channels) {
        let largest = run.iter().fold(i8::MIN, |max, q| max.max(*q));
        let max = params.input.dequantize(largest);
        let exp = |q| libm::expf(params.input.dequantize(q) - max);
        let sum = run.iter().fold(0.0, |sum, q| sum + exp(*q));
        for q in run {
            *q = params.output.quantize(exp(*q) / sum);
        }
    }
}
