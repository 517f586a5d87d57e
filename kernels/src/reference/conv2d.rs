//! Convolution: input `[batch, h, w, in_channels]`, weights OHWI `[out_channels, kernel_h, kernel_w,
//! in_channels / groups]`, output `[batch, out_h, out_w, out_channels]`. Which input meets which weight
//! for which output is written once, in `for_each_tap`; the output and both gradients are its three uses.

use crate::lengths;
use crate::params::{Conv2d, PooledConv2d};

/// Calls `f(output index, input index, weight index)` for every multiplication of a convolution, in
/// canonical order: by output position, output channel, tap row, tap column, input channel.
fn for_each_tap(params: &Conv2d, batch: usize, mut f: impl FnMut(usize, usize, usize)) {
    let to = params.output();
    let mut o = 0;
    for n in 0..batch {
        for out_y in 0..to.height {
            for out_x in 0..to.width {
                for out_channel in 0..to.channels {
                    for_each_tap_of(params, [n, out_y, out_x, out_channel], |i, w| f(o, i, w));
                    o += 1;
                }
            }
        }
    }
}

/// Calls `f(input index, weight index)` for every multiplication of one output `[n, y, x, channel]`.
pub(super) fn for_each_tap_of(
    params: &Conv2d,
    output: [usize; 4],
    mut f: impl FnMut(usize, usize),
) {
    let (from, window) = (params.input(), params.window());
    let (group_in, group_out) = (params.group_in_channels(), params.group_out_channels());
    let [n, out_y, out_x, out_channel] = output;
    let first_channel = out_channel / group_out * group_in;
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
            let i = ((n * from.height + y) * from.width + x) * from.channels + first_channel;
            let w = ((out_channel * window.kernel_h + kernel_y) * window.kernel_w + kernel_x)
                * group_in;
            for channel in 0..group_in {
                f(i + channel, w + channel);
            }
        }
    }
}

/// A position of the padded input as one of the input, if it is not in the padding.
pub(super) fn inside(position: usize, padding: usize, extent: usize) -> Option<usize> {
    position
        .checked_sub(padding)
        .filter(|&position| position < extent)
}

/// Convolution, bias and activation.
pub fn conv2d_f32(
    params: &Conv2d,
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    output: &mut [f32],
) {
    let expected = params.weights_len();
    let Some(batch) = lengths::conv2d(params, input, (weights, expected), bias, output) else {
        return;
    };
    for (o, y) in output.iter_mut().enumerate() {
        *y = bias.map_or(0.0, |bias| bias[o % params.output().channels]);
    }
    for_each_tap(params, batch, |o, i, w| output[o] += input[i] * weights[w]);
    for y in output.iter_mut() {
        *y = params.activation().apply(*y);
    }
}

/// Convolution, bias, activation and the maximum over each window of the result.
pub fn conv2d_max_pool2d_f32(
    params: &PooledConv2d,
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    output: &mut [f32],
) {
    if lengths::pooled_conv2d(
        params,
        input,
        (weights, params.conv().weights_len()),
        bias,
        output,
    )
    .is_none()
    {
        return;
    }
    let to = params.output();
    for (o, max) in output.iter_mut().enumerate() {
        let (position, channel) = (o / to.channels, o % to.channels);
        let (row, x) = (position / to.width, position % to.width);
        let (n, y) = (row / to.height, row % to.height);
        *max = f32::NEG_INFINITY;
        for y in params.rows(y) {
            for x in params.columns(x) {
                let mut sum = bias.map_or(0.0, |bias| bias[channel]);
                for_each_tap_of(params.conv(), [n, y, x, channel], |i, w| {
                    sum += input[i] * weights[w];
                });
                let value = params.conv().activation().apply(sum);
                if value > *max || value.is_nan() {
                    *max = value;
                }
            }
        }
    }
}

/// Writes the gradient of the input: what each input gave, it takes back.
pub fn conv2d_f32_backward_input(
    params: &Conv2d,
    d_output: &[f32],
    weights: &[f32],
    d_input: &mut [f32],
) {
    let expected = params.weights_len();
    let Some(batch) = lengths::conv2d(params, d_input, (weights, expected), None, d_output) else {
        return;
    };
    d_input.fill(0.0);
    for_each_tap(params, batch, |o, i, w| {
        d_input[i] += d_output[o] * weights[w];
    });
}

/// Adds the gradients of weights and bias, summed over the batch.
pub fn conv2d_f32_backward_weights(
    params: &Conv2d,
    input: &[f32],
    d_output: &[f32],
    d_weights: &mut [f32],
    d_bias: Option<&mut [f32]>,
) {
    let expected = params.weights_len();
    let bias = d_bias.as_deref();
    let Some(batch) = lengths::conv2d(params, input, (d_weights, expected), bias, d_output) else {
        return;
    };
    for_each_tap(params, batch, |o, i, w| {
        d_weights[w] += d_output[o] * input[i];
    });
    if let Some(d_bias) = d_bias {
        for (o, d) in d_output.iter().enumerate() {
            d_bias[o % params.output().channels] += d;
        }
    }
}
