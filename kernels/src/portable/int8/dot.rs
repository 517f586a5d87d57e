//! The inner loops that convolution and linear layer share, and what becomes of their sums.

use super::super::dot::BLOCK;
use crate::params::WeightsI8;
use crate::quant::Requantize;

/// A number less the one that means 0.
#[inline(always)]
pub(super) fn less(q: i8, zero_point: i8) -> i32 {
    // In 16 bits it cannot overflow, and a product of two such fits the multipliers of vector units.
    i32::from(i16::from(q).wrapping_sub(i16::from(zero_point)))
}

/// `sum + (q - zero_point) * weight`.
#[inline(always)]
pub(super) fn add_product(sum: i32, q: i32, weight: i8) -> i32 {
    sum.wrapping_add(q.wrapping_mul(i32::from(weight)))
}

/// `sums[o] += (x[i] - zero_point) * w[o][i]` for each `i`.
#[inline(always)]
pub(super) fn dot(sums: &mut [i32; BLOCK], x: &[i8], zero_point: i8, w: [&[i8]; BLOCK]) {
    let mut a = *sums;
    let [w0, w1, w2, w3] = w;
    for ((((x, w0), w1), w2), w3) in x.iter().zip(w0).zip(w1).zip(w2).zip(w3) {
        let x = less(*x, zero_point);
        a = [
            add_product(a[0], x, *w0),
            add_product(a[1], x, *w1),
            add_product(a[2], x, *w2),
            add_product(a[3], x, *w3),
        ];
    }
    *sums = a;
}

/// `sum` and the products of `x` and `w`.
#[inline(always)]
pub(super) fn dot_1(sum: i32, x: &[i8], zero_point: i8, w: &[i8]) -> i32 {
    x.iter().zip(w).fold(sum, |sum, (x, w)| {
        add_product(sum, less(*x, zero_point), *w)
    })
}

/// `sum` and the products of `x` and as many weights of row `row` from `first` on, of rows of `row_len`, in whatever order
/// they lie: for weights that were meant for another kernel set.
#[inline(never)]
pub(super) fn dot_any(
    sum: i32,
    x: &[i8],
    zero_point: i8,
    weights: &WeightsI8<'_>,
    (row_len, row, first): (usize, usize, usize),
) -> i32 {
    x.iter().enumerate().fold(sum, |sum, (at, x)| {
        let weight = weights.get(row_len, (row, first.wrapping_add(at)));
        add_product(sum, less(*x, zero_point), weight)
    })
}

/// The bias of a channel.
#[inline(always)]
pub(super) fn bias(weights: &WeightsI8<'_>, channel: usize) -> i32 {
    let bias = weights.bias.and_then(|bias| bias.get(channel));
    bias.copied().unwrap_or_default()
}

/// The biases of the block of channels that starts at `first`.
#[inline(always)]
pub(super) fn bias_block(weights: &WeightsI8<'_>, first: usize) -> [i32; BLOCK] {
    let bias = weights
        .bias
        .and_then(|bias| bias.get(first..)?.first_chunk());
    bias.copied().unwrap_or_default()
}

/// Writes the sum of a channel.
#[inline(always)]
pub(super) fn finish(
    output: Requantize,
    weights: &WeightsI8<'_>,
    channel: usize,
    sum: i32,
    y: &mut i8,
) {
    if let Some(scale) = weights.scale.get(channel) {
        *y = output.requantize(sum, *scale);
    }
}

/// Writes the sums of the block of channels that starts at `first`.
#[inline(always)]
pub(super) fn finish_block(
    output: Requantize,
    weights: &WeightsI8<'_>,
    first: usize,
    sums: [i32; BLOCK],
    y: &mut [i8; BLOCK],
) {
    let scale = weights.scale.get(first..).unwrap_or_default();
    for ((y, sum), scale) in y.iter_mut().zip(sums).zip(scale) {
        *y = output.requantize(sum, *scale);
    }
}
