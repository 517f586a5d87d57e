//! The oracle: what each operation means, as plain loops in canonical order, forward and backward side
//! by side. Never tuned: every other set is judged by it.
//!
//! Canonical order: one accumulator for each result, which starts at the bias (or 0, or, where a
//! gradient is added to what is there, at that) and takes its terms in the order of memory: output
//! position, output channel, then taps row by row with channels innermost. A term is a multiplication
//! and then an addition, each rounded. Taps in the padding are skipped, not multiplied by zero.
//! `exp`, `log`, `sqrt` and `tanh` are those of the pinned `libm`.

pub mod batch_norm;
mod binary;
mod conv2d;
mod cross_entropy;
mod int8;
mod linear;
mod pool2d;
mod softmax;
mod strided_copy;
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
pub use pool2d::{
    avg_pool2d_f32, avg_pool2d_f32_backward, max_pool2d_f32, max_pool2d_f32_backward,
};
pub use softmax::{log_softmax_f32, log_softmax_f32_backward, softmax_f32, softmax_f32_backward};
pub use strided_copy::strided_copy;
pub use unary::{unary_f32, unary_f32_backward, unary_f32_backward_from_input};

use crate::ops::{BackwardKernels, Kernels};
use crate::params::{
    Activation, AddI8, AvgPool2dI8, Binary, BinaryI8, Conv2d, Conv2dI8, Linear, LinearI8, Pool2d,
    PooledConv2d, RequantizeI8, SoftmaxI8, StridedCopy, TableI8, Unary, WeightsI8,
};
use crate::quant::Quantization;

/// The oracle as a kernel set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reference;

impl Kernels for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn conv2d_f32(
        &self,
        params: &Conv2d,
        input: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        _scratch: &mut [f32],
        output: &mut [f32],
    ) {
        conv2d_f32(params, input, weights, bias, output);
    }

    fn conv2d_max_pool2d_f32(
        &self,
        params: &PooledConv2d,
        input: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        _scratch: &mut [f32],
        output: &mut [f32],
    ) {
        conv2d_max_pool2d_f32(params, input, weights, bias, output);
    }

    fn linear_f32(
        &self,
        params: &Linear,
        input: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        output: &mut [f32],
    ) {
        linear_f32(params, input, weights, bias, output);
    }

    fn max_pool2d_f32(&self, params: &Pool2d, input: &[f32], output: &mut [f32]) {
        max_pool2d_f32(params, input, output);
    }

    fn avg_pool2d_f32(&self, params: &Pool2d, input: &[f32], output: &mut [f32]) {
        avg_pool2d_f32(params, input, output);
    }

    fn unary_f32(&self, function: Unary, data: &mut [f32]) {
        unary_f32(function, data);
    }

    fn softmax_f32(&self, channels: usize, data: &mut [f32]) {
        softmax_f32(channels, data);
    }

    fn log_softmax_f32(&self, channels: usize, data: &mut [f32]) {
        log_softmax_f32(channels, data);
    }

    fn binary_f32(&self, params: &Binary, operand: &[f32], data: &mut [f32]) {
        binary_f32(params, operand, data);
    }

    fn channel_affine_f32(
        &self,
        activation: Activation,
        scale: &[f32],
        shift: &[f32],
        data: &mut [f32],
    ) {
        channel_affine_f32(activation, scale, shift, data);
    }

    fn strided_copy_f32(&self, params: &StridedCopy, input: &[f32], output: &mut [f32]) {
        strided_copy(params, input, output);
    }

    fn quantize_i8(&self, to: Quantization, input: &[f32], output: &mut [i8]) {
        quantize_i8(to, input, output);
    }

    fn dequantize_i8(&self, from: Quantization, input: &[i8], output: &mut [f32]) {
        dequantize_i8(from, input, output);
    }

    fn conv2d_i8(
        &self,
        params: &Conv2dI8,
        input: &[i8],
        weights: WeightsI8<'_>,
        _scratch: &mut [u8],
        output: &mut [i8],
    ) {
        conv2d_i8(params, input, weights, output);
    }

    fn linear_i8(
        &self,
        params: &LinearI8,
        input: &[i8],
        weights: WeightsI8<'_>,
        _scratch: &mut [u8],
        output: &mut [i8],
    ) {
        linear_i8(params, input, weights, output);
    }

    fn max_pool2d_i8(&self, params: &Pool2d, input: &[i8], output: &mut [i8]) {
        max_pool2d_i8(params, input, output);
    }

    fn avg_pool2d_i8(&self, params: &AvgPool2dI8, input: &[i8], output: &mut [i8]) {
        avg_pool2d_i8(params, input, output);
    }

    fn add_i8(&self, params: &AddI8, operand: &[i8], data: &mut [i8]) {
        add_i8(params, operand, data);
    }

    fn binary_i8(&self, params: &BinaryI8, operand: &[i8], data: &mut [i8]) {
        binary_i8(params, operand, data);
    }

    fn requantize_i8(&self, params: &RequantizeI8, data: &mut [i8]) {
        requantize_i8(params, data);
    }

    fn table_i8(&self, table: &TableI8, data: &mut [i8]) {
        table_i8(table, data);
    }

    fn softmax_i8(&self, params: &SoftmaxI8, data: &mut [i8]) {
        softmax_i8(params, data);
    }

    fn strided_copy_i8(&self, params: &StridedCopy, input: &[i8], output: &mut [i8]) {
        strided_copy(params, input, output);
    }
}

impl BackwardKernels for Reference {
    fn conv2d_f32_backward_input(
        &self,
        params: &Conv2d,
        d_output: &[f32],
        weights: &[f32],
        _scratch: &mut [f32],
        d_input: &mut [f32],
    ) {
        conv2d_f32_backward_input(params, d_output, weights, d_input);
    }

    fn conv2d_f32_backward_weights(
        &self,
        params: &Conv2d,
        input: &[f32],
        d_output: &[f32],
        _scratch: &mut [f32],
        d_weights: &mut [f32],
        d_bias: Option<&mut [f32]>,
    ) {
        conv2d_f32_backward_weights(params, input, d_output, d_weights, d_bias);
    }

    fn linear_f32_backward_input(
        &self,
        params: &Linear,
        d_output: &[f32],
        weights: &[f32],
        d_input: &mut [f32],
    ) {
        linear_f32_backward_input(params, d_output, weights, d_input);
    }

    fn linear_f32_backward_weights(
        &self,
        params: &Linear,
        rows: core::ops::Range<usize>,
        input: &[f32],
        d_output: &[f32],
        d_weights: &mut [f32],
        d_bias: Option<&mut [f32]>,
    ) {
        linear_f32_backward_weights(params, rows, input, d_output, d_weights, d_bias);
    }

    fn max_pool2d_f32_backward(
        &self,
        params: &Pool2d,
        input: &[f32],
        d_output: &[f32],
        d_input: &mut [f32],
    ) {
        max_pool2d_f32_backward(params, input, d_output, d_input);
    }

    fn avg_pool2d_f32_backward(&self, params: &Pool2d, d_output: &[f32], d_input: &mut [f32]) {
        avg_pool2d_f32_backward(params, d_output, d_input);
    }

    fn unary_f32_backward(&self, function: Unary, output: &[f32], d: &mut [f32]) {
        unary_f32_backward(function, output, d);
    }

    fn unary_f32_backward_from_input(&self, function: Unary, input: &[f32], d: &mut [f32]) {
        unary_f32_backward_from_input(function, input, d);
    }

    fn softmax_f32_backward(&self, channels: usize, output: &[f32], d: &mut [f32]) {
        softmax_f32_backward(channels, output, d);
    }

    fn log_softmax_f32_backward(&self, channels: usize, output: &[f32], d: &mut [f32]) {
        log_softmax_f32_backward(channels, output, d);
    }
}

#[cfg(test)]
mod tests;
