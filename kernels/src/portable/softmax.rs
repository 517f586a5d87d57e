//! Softmax over each run of `channels` values, in place: `[.., channels]`.

use super::rows::{rows_of, rows_of_mut};
use crate::lengths;

/// The largest of `values`; NaN if any is.
pub(crate) fn max(values: &[f32]) -> f32 {
    values.iter().fold(f32::NEG_INFINITY, |max, &x| {
        if x > max || x.is_nan() { x } else { max }
    })
}

/// Writes `exp(x - max)` over each `x`, then divides by their sum, which it returns with the maximum.
pub(super) fn softmax_of_run(run: &mut [f32]) -> (f32, f32) {
    let max = max(run);
    let mut sum = 0.0;
    for x in run.iter_mut() {
        *x = libm::expf(*x - max);
        sum += *x;
    }
    for x in run {
        *x /= sum;
    }
    (max, sum)
}

/// Softmax; the largest value of each run is subtracted first, so that none overflows.
pub fn softmax_f32(channels: usize, data: &mut [f32]) {
    if !lengths::runs(channels, data) {
        return;
    }
    for run in rows_of_mut(data, channels) {
        softmax_of_run(run);
    }
}

/// The logarithm of softmax, without the loss of taking it afterwards.
pub fn log_softmax_f32(channels: usize, data: &mut [f32]) {
    if !lengths::runs(channels, data) {
        return;
    }
    for run in rows_of_mut(data, channels) {
        let max = max(run);
        let mut sum = 0.0;
        for x in run.iter_mut() {
            *x -= max;
            sum += libm::expf(*x);
        }
        let log = libm::logf(sum);
        for x in run {
            *x -= log;
        }
    }
}

/// Turns the gradient of the output into that of the input.
pub fn softmax_f32_backward(channels: usize, output: &[f32], d: &mut [f32]) {
    if !lengths::runs(channels, output) || !lengths::same("d", d, output) {
        return;
    }
    for (d, y) in rows_of_mut(d, channels).zip(rows_of(output, channels)) {
        let mut sum = 0.0;
        for (d, y) in d.iter().zip(y) {
            sum += d * y;
        }
        for (d, y) in d.iter_mut().zip(y) {
            *d = (*d - sum) * y;
        }
    }
}

/// Turns the gradient of the output of softmax's logarithm into that of its input.
pub fn log_softmax_f32_backward(channels: usize, output: &[f32], d: &mut [f32]) {
    if !lengths::runs(channels, output) || !lengths::same("d", d, output) {
        return;
    }
    for (d, y) in rows_of_mut(d, channels).zip(rows_of(output, channels)) {
        let sum: f32 = d.iter().fold(0.0, |sum, d| sum + d);
        for (d, y) in d.iter_mut().zip(y) {
            *d -= libm::expf(*y) * sum;
        }
    }
}
