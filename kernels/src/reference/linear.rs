//! Linear layer: input `[batch, in_features]`, weights `[out_features, in_features]`, output
//! `[batch, out_features]`.

use crate::lengths;
use crate::params::Linear;

/// `output[n][o] = activation(bias[o] + sum over i of input[n][i] * weights[o][i])`.
pub fn linear_f32(
    params: &Linear,
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    output: &mut [f32],
) {
    let Some(batch) = lengths::linear(params, input, weights, bias, output) else {
        return;
    };
    let (from, to) = (params.in_features(), params.out_features());
    for n in 0..batch {
        for o in 0..to {
            let mut sum = bias.map_or(0.0, |bias| bias[o]);
            for i in 0..from {
                sum += input[n * from + i] * weights[o * from + i];
            }
            output[n * to + o] = params.activation().apply(sum);
        }
    }
}

/// Writes `d_input[n][i] = sum over o of d_output[n][o] * weights[o][i]`.
pub fn linear_f32_backward_input(
    params: &Linear,
    d_output: &[f32],
    weights: &[f32],
    d_input: &mut [f32],
) {
    let Some(batch) = lengths::linear(params, d_input, weights, None, d_output) else {
        return;
    };
    let (from, to) = (params.in_features(), params.out_features());
    for n in 0..batch {
        for i in 0..from {
            let mut sum = 0.0;
            for o in 0..to {
                sum += d_output[n * to + o] * weights[o * from + i];
            }
            d_input[n * from + i] = sum;
        }
    }
}

/// Adds, for the output features in `rows`, `d_weights[o][i] += d_output[n][o] * input[n][i]` and
/// `d_bias[o] += d_output[n][o]` for each sample in order. `d_weights` and `d_bias` hold those rows only.
pub fn linear_f32_backward_weights(
    params: &Linear,
    rows: core::ops::Range<usize>,
    input: &[f32],
    d_output: &[f32],
    d_weights: &mut [f32],
    mut d_bias: Option<&mut [f32]>,
) {
    let bias = d_bias.as_deref();
    let Some(batch) = lengths::linear_rows(params, &rows, input, d_output, d_weights, bias) else {
        return;
    };
    let (from, to) = (params.in_features(), params.out_features());
    for n in 0..batch {
        for (row, o) in rows.clone().enumerate() {
            let d = d_output[n * to + o];
            for i in 0..from {
                d_weights[row * from + i] += d * input[n * from + i];
            }
            if let Some(d_bias) = d_bias.as_deref_mut() {
                d_bias[row] += d;
            }
        }
    }
}
