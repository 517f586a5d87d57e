//! Pools: input `[batch, h, w, channels]`, output `[batch, out_h, out_w, channels]`, as
//! `torch.nn.MaxPool2d` and `torch.nn.AvgPool2d` define them.

use super::conv2d::inside;
use crate::lengths;
use crate::params::{CountPadding, Pool2d};

/// Calls `f(output index, input index)` for every input that an output sees, in canonical order.
pub(super) fn for_each_tap(params: &Pool2d, batch: usize, mut f: impl FnMut(usize, usize)) {
    let to = params.output();
    let mut o = 0;
    for n in 0..batch {
        for out_y in 0..to.height {
            for out_x in 0..to.width {
                for channel in 0..to.channels {
                    for_each_tap_of(params, [n, out_y, out_x, channel], |i| f(o, i));
                    o += 1;
                }
            }
        }
    }
}

/// Calls `f(input index)` for every input that the output `[n, y, x, channel]` sees.
pub(super) fn for_each_tap_of(params: &Pool2d, output: [usize; 4], mut f: impl FnMut(usize)) {
    let (from, window) = (params.input(), params.window());
    let [n, out_y, out_x, channel] = output;
    for kernel_y in 0..window.kernel_h {
        let y = out_y * window.stride_h + kernel_y * window.dilation_h;
        for kernel_x in 0..window.kernel_w {
            let x = out_x * window.stride_w + kernel_x * window.dilation_w;
            let (Some(y), Some(x)) = (
                inside(y, window.padding.top, from.height),
                inside(x, window.padding.left, from.width),
            ) else {
                continue;
            };
            let position = (n * from.height + y) * from.width + x;
            f(position * from.channels + channel);
        }
    }
}

/// Maximum over each window. A NaN in a window is its maximum. The padding is minus infinity.
pub fn max_pool2d_f32(params: &Pool2d, input: &[f32], output: &mut [f32]) {
    let Some(batch) = lengths::pool2d(params, input, output) else {
        return;
    };
    output.fill(f32::NEG_INFINITY);
    for_each_tap(params, batch, |o, i| {
        if input[i] > output[o] || input[i].is_nan() {
            output[o] = input[i];
        }
    });
}

/// Writes the gradient of a max pool's input: each output's goes to the first position, in row-major
/// order, that holds the maximum.
pub fn max_pool2d_f32_backward(
    params: &Pool2d,
    input: &[f32],
    d_output: &[f32],
    d_input: &mut [f32],
) {
    let Some(batch) = lengths::pool2d(params, input, d_output) else {
        return;
    };
    if !lengths::same("d_input", d_input, input) {
        return;
    }
    d_input.fill(0.0);
    // The output whose window is being walked, and its best position so far.
    let mut best: Option<(usize, usize)> = None;
    for_each_tap(params, batch, |o, i| match best {
        Some((output, position)) if output == o => {
            let (max, x) = (input[position], input[i]);
            if x > max || (x.is_nan() && !max.is_nan()) {
                best = Some((o, i));
            }
        }
        _ => {
            if let Some((output, position)) = best {
                d_input[position] += d_output[output];
            }
            best = Some((o, i));
        }
    });
    if let Some((output, position)) = best {
        d_input[position] += d_output[output];
    }
}

/// Number of positions that the average at one output divides by, on one axis.
fn count(
    out: usize,
    (kernel, stride, dilation): (usize, usize, usize),
    (before, extent, after): (usize, usize, usize),
    count_padding: CountPadding,
) -> usize {
    (0..kernel)
        .map(|k| out * stride + k * dilation)
        .filter(|&position| match count_padding {
            CountPadding::Include => position < before + extent + after,
            CountPadding::Exclude => inside(position, before, extent).is_some(),
        })
        .count()
}

/// What the average at output index `o` divides by.
pub(super) fn divisor(params: &Pool2d, o: usize) -> f32 {
    let (from, to, w) = (params.input(), params.output(), params.window());
    let position = o / to.channels;
    let (y, x) = (position / to.width % to.height, position % to.width);
    let rows = count(
        y,
        (w.kernel_h, w.stride_h, w.dilation_h),
        (w.padding.top, from.height, w.padding.bottom),
        params.count_padding(),
    );
    let columns = count(
        x,
        (w.kernel_w, w.stride_w, w.dilation_w),
        (w.padding.left, from.width, w.padding.right),
        params.count_padding(),
    );
    (rows * columns) as f32
}

/// Average over each window. A window that sees no position at all averages to 0.
pub fn avg_pool2d_f32(params: &Pool2d, input: &[f32], output: &mut [f32]) {
    let Some(batch) = lengths::pool2d(params, input, output) else {
        return;
    };
    output.fill(0.0);
    for_each_tap(params, batch, |o, i| output[o] += input[i]);
    for (o, y) in output.iter_mut().enumerate() {
        *y /= divisor(params, o).max(1.0);
    }
}

/// Writes the gradient of an average pool's input.
pub fn avg_pool2d_f32_backward(params: &Pool2d, d_output: &[f32], d_input: &mut [f32]) {
    let Some(batch) = lengths::pool2d(params, d_input, d_output) else {
        return;
    };
    d_input.fill(0.0);
    for_each_tap(params, batch, |o, i| {
        d_input[i] += d_output[o] / divisor(params, o).max(1.0);
    });
}
