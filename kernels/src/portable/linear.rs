//! Linear layer: input `[batch, in_features]`, weights `[out_features, in_features]`, output
//! `[batch, out_features]`. Four outputs of two samples at a time, so that each weight and each input
//! that is loaded serves several sums.

use super::dot::{BLOCK, add_row, add_rows, dot, dot_1, dot_2};
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
    // `max(1)`, here and below, changes nothing; it shows the compiler that chunks are never of length 0.
    let from = params.in_features().max(1);
    let to = params.out_features().max(1);
    let activation = params.activation();
    let mut inputs = input.chunks_exact((2 * from).max(1));
    let mut outputs = output.chunks_exact_mut((2 * to).max(1));
    for (x, y) in inputs.by_ref().zip(outputs.by_ref()) {
        if let (Some(x), Some(y)) = (x.split_at_checked(from), y.split_at_mut_checked(to)) {
            two_samples(from, [x.0, x.1], weights, bias, activation, [y.0, y.1]);
        }
    }
    // At most one sample is left.
    let (x, y) = (inputs.remainder(), outputs.into_remainder());
    one_sample(from, x, weights, bias, activation, y);
}

/// The biases of the block of output features that starts at `first`.
#[inline(always)]
pub(super) fn bias_block(bias: Option<&[f32]>, first: usize) -> [f32; BLOCK] {
    bias.and_then(|bias| bias.get(first..)?.first_chunk())
        .copied()
        .unwrap_or_default()
}

/// The rows of a block of weights.
#[inline(always)]
fn rows(from: usize, block: &[f32]) -> Option<[&[f32]; BLOCK]> {
    let (w0, rest) = block.split_at_checked(from)?;
    let (w1, rest) = rest.split_at_checked(from)?;
    let (w2, w3) = rest.split_at_checked(from)?;
    Some([w0, w1, w2, w3])
}

fn two_samples(
    from: usize,
    x: [&[f32]; 2],
    weights: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    [ya, yb]: [&mut [f32]; 2],
) {
    let mut blocks = weights.chunks_exact((BLOCK * from).max(1));
    let (ya, ya_rest) = ya.as_chunks_mut::<BLOCK>();
    let (yb, yb_rest) = yb.as_chunks_mut::<BLOCK>();
    let mut first = 0;
    for ((block, ya), yb) in blocks.by_ref().zip(ya).zip(yb) {
        let mut sums = [bias_block(bias, first); 2];
        if let Some(w) = rows(from, block) {
            dot_2(&mut sums, x, w);
        }
        let [a, b] = sums;
        *ya = a.map(|sum| activation.apply(sum));
        *yb = b.map(|sum| activation.apply(sum));
        first += BLOCK;
    }
    let rest = bias.and_then(|bias| bias.get(first..));
    few_outputs(from, x[0], blocks.remainder(), rest, activation, ya_rest);
    few_outputs(from, x[1], blocks.remainder(), rest, activation, yb_rest);
}

fn one_sample(
    from: usize,
    x: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    y: &mut [f32],
) {
    let mut blocks = weights.chunks_exact((BLOCK * from).max(1));
    let (y, y_rest) = y.as_chunks_mut::<BLOCK>();
    let mut first = 0;
    for (block, y) in blocks.by_ref().zip(y) {
        let mut sums = bias_block(bias, first);
        if let Some(w) = rows(from, block) {
            dot(&mut sums, x, w);
        }
        *y = sums.map(|sum| activation.apply(sum));
        first += BLOCK;
    }
    let rest = bias.and_then(|bias| bias.get(first..));
    few_outputs(from, x, blocks.remainder(), rest, activation, y_rest);
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
    let rows = weights.chunks_exact(from.max(1));
    for (i, (y, w)) in y.iter_mut().zip(rows).enumerate() {
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
    let from = params.in_features().max(1);
    let to = params.out_features().max(1);
    d_input.fill(0.0);
    for (d_input, d_output) in d_input
        .chunks_exact_mut(from)
        .zip(d_output.chunks_exact(to))
    {
        let mut blocks = weights.chunks_exact((BLOCK * from).max(1));
        let (d, d_rest) = d_output.as_chunks::<BLOCK>();
        for (&d, block) in d.iter().zip(blocks.by_ref()) {
            if let Some(w) = rows(from, block) {
                add_rows(d_input, d, w);
            }
        }
        for (&d, w) in d_rest.iter().zip(blocks.remainder().chunks_exact(from)) {
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
    let from = params.in_features().max(1);
    let to = params.out_features().max(1);
    for (row, (o, d_weights)) in rows.zip(d_weights.chunks_exact_mut(from)).enumerate() {
        // The output feature's gradient in every sample.
        let of_samples = |d_output: &[f32]| d_output.get(o).copied().unwrap_or(0.0);
        let mut inputs = input.chunks_exact((BLOCK * from).max(1));
        let mut d_outputs = d_output.chunks_exact(BLOCK * to);
        for (x, d) in inputs.by_ref().zip(d_outputs.by_ref()) {
            let mut scales = [0.0; BLOCK];
            for (scale, d) in scales.iter_mut().zip(d.chunks_exact(to)) {
                *scale = of_samples(d);
            }
            if let Some(x) = self::rows(from, x) {
                add_rows(d_weights, scales, x);
            }
        }
        let rest = d_outputs.remainder().chunks_exact(to);
        for (x, d) in inputs.remainder().chunks_exact(from).zip(rest) {
            add_row(d_weights, of_samples(d), x);
        }
        if let Some(d_bias) = d_bias.as_deref_mut().and_then(|bias| bias.get_mut(row)) {
            for d in d_output.chunks_exact(to) {
                *d_bias += of_samples(d);
            }
        }
    }
}
