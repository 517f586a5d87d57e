//! Softmax over each run of `channels` values, in place: `[.., channels]`.

use crate::lengths;

/// The largest of `values`; NaN if any is.
pub(super) fn max(values: &[f32]) -> f32 {
    values.iter().fold(f32::NEG_INFINITY, |max, &x| {
        if x > max || x.is_nan() { x } else { max }
    })
}

/// `exp(x - max) / sum over the run of exp(x - max)`.
pub fn softmax_f32(channels: usize, data: &mut [f32]) {
    if !lengths::runs(channels, data) {
        return;
    }
    for run in data.chunks_mut(channels) {
        let max = max(run);
        let mut sum = 0.0;
        for x in run.iter_mut() {
            *x = libm::expf(*x - max);
            sum += *x;
        }
        for x in run {
            *x /= sum;
        }
    }
}

/// `(x - max) - log(sum over the run of exp(x - max))`.
pub fn log_softmax_f32(channels: usize, data: &mut [f32]) {
    if !lengths::runs(channels, data) {
        return;
    }
    for run in data.chunks_mut(channels) {
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

/// Turns the gradient of the output into that of the input: `(d - sum over the run of d * y) * y`.
pub fn softmax_f32_backward(channels: usize, output: &[f32], d: &mut [f32]) {
    if !lengths::runs(channels, output) || !lengths::same("d", d, output) {
        return;
    }
    for (d, y) in d.chunks_mut(channels).zip(output.chunks(channels)) {
        let mut sum = 0.0;
        for (d, y) in d.iter().zip(y) {
            sum += d * y;
        }
        for (d, y) in d.iter_mut().zip(y) {
            *d = (*d - sum) * y;
        }
    }
}

/// Turns the gradient of the output of softmax's logarithm into that of its input: `d - exp(y) * sum over the run of d`.
pub fn log_softmax_f32_backward(channels: usize, output: &[f32], d: &mut [f32]) {
    if !lengths::runs(channels, output) || !lengths::same("d", d, output) {
        return;
    }
    for (d, y) in d.chunks_mut(channels).zip(output.chunks(channels)) {
        let mut sum = 0.0;
        for d in d.iter() {
            sum += d;
        }
        for (d, y) in d.iter_mut().zip(y) {
            *d -= libm::expf(*y) * sum;
        }
    }
}
