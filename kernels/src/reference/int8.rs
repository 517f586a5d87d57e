//! Operations on 8-bit numbers: every number less its zero point, sums in `i32`, and the rounding of
//! [`quant`](crate::quant) written out.

use super::{binary, conv2d, pool2d};
use crate::params::{
    AddI8, AvgPool2dI8, BinaryI8, Conv2dI8, LinearI8, Pool2d, RequantizeI8, Rescale, SoftmaxI8,
    TableI8, WeightsI8,
};
use crate::quant::{Quantization, Requantize};
use crate::{Shape, lengths};

/// `clamp(rint(x), low - zero_point, high - zero_point) + zero_point`.
fn rounded(to: Requantize, x: f32) -> i8 {
    let zero_point = f32::from(to.zero_point());
    let (low, high) = (f32::from(to.low()), f32::from(to.high()));
    let q = libm::rintf(x).max(low - zero_point).min(high - zero_point) + zero_point;
    q as i8
}

/// A number less the one that means 0.
fn less(q: i8, zero_point: i8) -> i32 {
    i32::from(q) - i32::from(zero_point)
}

/// Numbers from real ones.
pub fn quantize_i8(to: Quantization, input: &[f32], output: &mut [i8]) {
    if !lengths::same("output", output, input) {
        return;
    }
    for (y, x) in output.iter_mut().zip(input) {
        *y = rounded(Requantize::whole(to.zero_point), x / to.scale);
    }
}

/// What numbers mean.
pub fn dequantize_i8(from: Quantization, input: &[i8], output: &mut [f32]) {
    if !lengths::same("output", output, input) {
        return;
    }
    for (y, q) in output.iter_mut().zip(input) {
        *y = less(*q, from.zero_point) as f32 * from.scale;
    }
}

/// Calls `f(output index, [sample, row, column, channel])` for each output, in the order of memory.
fn for_each_output(to: Shape, batch: usize, mut f: impl FnMut(usize, [usize; 4])) {
    let mut o = 0;
    for n in 0..batch {
        for y in 0..to.height {
            for x in 0..to.width {
                for channel in 0..to.channels {
                    f(o, [n, y, x, channel]);
                    o += 1;
                }
            }
        }
    }
}

/// Convolution, bias and bounds.
pub fn conv2d_i8(params: &Conv2dI8, input: &[i8], weights: WeightsI8<'_>, output: &mut [i8]) {
    let all = (weights, params.weights_len(weights.order));
    let Some(batch) = lengths::conv2d_i8(params, input, all, output) else {
        return;
    };
    let geometry = params.geometry();
    let taps = geometry.taps();
    for_each_output(geometry.output(), batch, |o, at| {
        let channel = at[3];
        let mut sum = weights.bias.map_or(0, |bias| bias[channel]);
        conv2d::for_each_tap_of(geometry, at, |i, w| {
            sum += less(input[i], params.input_zero_point())
                * i32::from(weights.get(taps, (channel, w - channel * taps)));
        });
        output[o] = rounded(params.output(), sum as f32 * weights.scale[channel]);
    });
}

/// Linear layer, bias and bounds.
pub fn linear_i8(params: &LinearI8, input: &[i8], weights: WeightsI8<'_>, output: &mut [i8]) {
    let all = (weights, params.weights_len(weights.order));
    if lengths::linear_i8(params, input, all, output).is_none() {
        return;
    }
    let (from, to) = (
        params.geometry().in_features(),
        params.geometry().out_features(),
    );
    for (input, output) in input.chunks(from).zip(output.chunks_mut(to)) {
        for (o, y) in output.iter_mut().enumerate() {
            let mut sum = weights.bias.map_or(0, |bias| bias[o]);
            for (i, q) in input.iter().enumerate() {
                let weight = weights.get(from, (o, i));
                sum += less(*q, params.input_zero_point()) * i32::from(weight);
            }
            *y = rounded(params.output(), sum as f32 * weights.scale[o]);
        }
    }
}

/// Maximum over each window. What sees no position is -128.
pub fn max_pool2d_i8(params: &Pool2d, input: &[i8], output: &mut [i8]) {
    let Some(batch) = lengths::pool2d(params, input, output) else {
        return;
    };
    output.fill(i8::MIN);
    pool2d::for_each_tap(params, batch, |o, i| output[o] = output[o].max(input[i]));
}

/// Average over each window. A window that sees no position at all averages to 0.
pub fn avg_pool2d_i8(params: &AvgPool2dI8, input: &[i8], output: &mut [i8]) {
    let geometry = params.geometry();
    let Some(batch) = lengths::pool2d(geometry, input, output) else {
        return;
    };
    for_each_output(geometry.output(), batch, |o, at| {
        let mut sum = 0;
        pool2d::for_each_tap_of(geometry, at, |i| {
            sum += less(input[i], params.input_zero_point());
        });
        let scale = params.factor / pool2d::divisor(geometry, o).max(1.0);
        output[o] = rounded(params.output(), sum as f32 * scale);
    });
}

/// The sum of each number and the operand at its place, in place.
pub fn add_i8(params: &AddI8, operand: &[i8], data: &mut [i8]) {
    if !lengths::same("operand", operand, data) {
        return;
    }
    let [first, second] = params.terms;
    let term = |q, term: Rescale| less(q, term.zero_point) as f32 * term.factor;
    for (a, b) in data.iter_mut().zip(operand) {
        *a = rounded(params.output(), term(*a, first) + term(*b, second));
    }
}

/// A function of each number and the operand at its place, in place.
pub fn binary_i8(params: &BinaryI8, operand: &[i8], data: &mut [i8]) {
    if !lengths::binary(params.geometry(), operand, data) {
        return;
    }
    let [first, second] = params.terms;
    let term = |q, term: Rescale| less(q, term.zero_point) as f32 * term.factor;
    binary::for_each(params.geometry(), operand, data, |a, b| {
        let function = params.geometry().function();
        let result = function.apply(term(a, first), term(b, second));
        rounded(params.output(), result * params.factor)
    });
}

/// Numbers of one scale as such of another, in place.
pub fn requantize_i8(params: &RequantizeI8, data: &mut [i8]) {
    let Rescale { zero_point, factor } = params.input;
    for q in data {
        *q = rounded(params.output(), less(*q, zero_point) as f32 * factor);
    }
}

/// The entry of a table for each number, in place.
pub fn table_i8(table: &TableI8, data: &mut [i8]) {
    for q in data {
        *q = table[usize::from(*q as u8)];
    }
}

/// Softmax over each run of channels, in place.
pub fn softmax_i8(params: &SoftmaxI8, data: &mut [i8]) {
    if !lengths::runs(params.channels(), data) {
        return;
    }
    let (from, to) = (params.input, params.output);
    let real = |q| less(q, from.zero_point) as f32 * from.scale;
    for run in data.chunks_mut(params.channels()) {
        let max = run
            .iter()
            .fold(f32::NEG_INFINITY, |max, q| max.max(real(*q)));
        let sum = run
            .iter()
            .fold(0.0, |sum, q| sum + libm::expf(real(*q) - max));
        for q in run {
            let y = libm::expf(real(*q) - max) / sum;
            *q = rounded(Requantize::whole(to.zero_point), y / to.scale);
        }
    }
}
