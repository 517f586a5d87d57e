//! Linear layer: input `[batch, in_features]`, weights `[out_features, in_features]`, output
//! `[batch, out_features]`. Four outputs of two samples at a time, so that each weight and each input
//! that is loaded serves several sums.

use super::dot::{BLOCK, add_row, add_rows, block_rows, dot, dot_1, dot_2};
use super::rows::{rows_of, rows_of_mut};
use crate::lengths;
use crate::params::{Activation, Linear};

/// Linear layer, bias and activation.
pub fn linear_f32(
    params: &Linear,
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    output: &mut [f32],
) {
    if lengths::linear(params, input, weights, bias, output).is_none() {
        return;
    }
    let from = params.in_features();
    let to = params.out_features();
    let activation = params.activation();
    let mut inputs = rows_of(input, from.saturating_mul(2));
    let mut outputs = rows_of_mut(output, to.saturating_mul(2));
    for (x, y) in inputs.by_ref().zip(outputs.by_ref()) {
        if let (Some(x), Some(y)) = (x.split_at_checked(from), y.split_at_mut_checked(to)) {
            two_samples(from, [x.0, x.1], weights, bias, activation, [y.0, y.1]);
        }
    }
    // At most one sample is left.
    let (x, y) = (inputs.rest(), outputs.rest());
    one_sample(from, x, weights, bias, activation, y);
}

/// The biases of the block of output features that starts at `first`.
#[inline(always)]
pub(super) fn bias_block(bias: Option<&[f32]>, first: usize) -> [f32; BLOCK] {
    bias.and_then(|bias| bias.get(first..)?.first_chunk())
        .copied()
        .unwrap_or_default()
}

fn two_samples(
    from: usize,
    x: [&[f32]; 2],
    weights: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    [ya, yb]: [&mut [f32]; 2],
) {
    let mut blocks = rows_of(weights, from.saturating_mul(BLOCK));
    let (ya, ya_rest) = ya.as_chunks_mut::<BLOCK>();
    let (yb, yb_rest) = yb.as_chunks_mut::<BLOCK>();
    let mut first = 0;
    for ((block, ya), yb) in blocks.by_ref().zip(ya).zip(yb) {
        let mut sums = [bias_block(bias, first); 2];
        if let Some(w) = block_rows(block, from) {
            dot_2(&mut sums, x, w);
        }
        let [a, b] = sums;
        *ya = a.map(|sum| activation.apply(sum));
        *yb = b.map(|sum| activation.apply(sum));
        first += BLOCK;
    }
    let rest = bias.and_then(|bias| bias.get(first..));
    few_outputs(from, x[0], blocks.rest(), rest, activation, ya_rest);
    few_outputs(from, x[1], blocks.rest(), rest, activation, yb_rest);
}

fn one_sample(
    from: usize,
    x: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    y: &mut [f32],
) {
    let mut blocks = rows_of(weights, from.saturating_mul(BLOCK));
    let (y, y_rest) = y.as_chunks_mut::<BLOCK>();
    let mut first = 0;
    for (block, y) in blocks.by_ref().zip(y) {
        let mut sums = bias_block(bias, first);
        if let Some(w) = block_rows(block, from) {
            dot(&mut sums, x, w);
        }
        *y = sums.map(|sum| activation.apply(sum));
        first += BLOCK;
    }
    let rest = bias.and_then(|bias| bias.get(first..));
    few_outputs(from, x, blocks.rest(), rest, activation, y_rest);
}

/// The outputs after the last whole block, one by one.
fn few_outputs(
    from: usize,
    x: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    y: &mut [f32],
) {
    for (i, (y, w)) in y.iter_mut().zip(rows_of(weights, from)).enumerate() {
        let bias = bias.and_then(|bias| bias.get(i)).copied();
        *y = activation.apply(dot_1(bias.unwrap_or(0.0), x, w));
    }
}

/// Writes the gradient of the input.
pub fn linear_f32_backward_input(
    params: &Linear,
    d_output: &[f32],
    weights: &[f32],
    d_input: &mut [f32],
) {
    if lengths::linear(params, d_input, weights, None, d_output).is_none() {
        return;
    }
    let from = params.in_features();
    let to = params.out_features();
    d_input.fill(0.0);
    for (d_input, d_output) in rows_of_mut(d_input, from).zip(rows_of(d_output, to)) {
        let mut blocks = rows_of(weights, from.saturating_mul(BLOCK));
        let (d, d_rest) = d_output.as_chunks::<BLOCK>();
        for (&d, block) in d.iter().zip(blocks.by_ref()) {
            if let Some(w) = block_rows(block, from) {
                add_rows(d_input, d, w);
            }
        }
        for (&d, w) in d_rest.iter().zip(rows_of(blocks.rest(), from)) {
            add_row(d_input, d, w);
        }
    }
}

/// Adds the gradients of the weights and bias of the output features in `rows`, which are all that
/// `d_weights` and `d_bias` hold.
pub fn linear_f32_backward_weights(
    params: &Linear,
    rows: core::ops::Range<usize>,
    input: &[f32],
    d_output: &[f32],
    d_weights: &mut [f32],
    mut d_bias: Option<&mut [f32]>,
) {
    let bias = d_bias.as_deref();
    if lengths::linear_rows(params, &rows, input, d_output, d_weights, bias).is_none() {
        return;
    }
    let from = params.in_features();
    let to = params.out_features();
    for (row, (o, d_weights)) in rows.zip(rows_of_mut(d_weights, from)).enumerate() {
        // The output feature's gradient in every sample.
        let of_samples = |d_output: &[f32]| d_output.get(o).copied().unwrap_or(0.0);
        let mut inputs = rows_of(input, from.saturating_mul(BLOCK));
        let mut d_outputs = rows_of(d_output, to.saturating_mul(BLOCK));
        for (x, d) in inputs.by_ref().zip(d_outputs.by_ref()) {
            let mut scales = [0.0; BLOCK];
            for (scale, d) in scales.iter_mut().zip(rows_of(d, to)) {
                *scale = of_samples(d);
            }
            if let Some(x) = block_rows(x, from) {
                add_rows(d_weights, scales, x);
            }
        }
        let rest = rows_of(d_outputs.rest(), to);
        for (x, d) in rows_of(inputs.rest(), from).zip(rest) {
            add_row(d_weights, of_samples(d), x);
        }
        if let Some(d_bias) = d_bias.as_deref_mut().and_then(|bias| bias.get_mut(row)) {
            for d in rows_of(d_output, to) {
                *d_bias += of_samples(d);
            }
        }
    }
}
