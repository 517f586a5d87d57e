//! Do the slices fit the parameters? Every kernel asks once, at its head.
//!
//! A caller that brings slices of other lengths has made an error: a debug build stops and says which
//! slice it was, a release build computes nothing. Behind this check kernels rely on the lengths.

use crate::Shape;
use crate::params::{
    Binary, Conv2d, Conv2dI8, Linear, LinearI8, Pool2d, PooledConv2d, StridedCopy, WeightsI8,
};

/// `true` if a slice has the length it should; stops a debug build if not.
#[inline(always)]
fn fits(what: &str, found: usize, expected: Option<usize>) -> bool {
    debug_assert!(
        Some(found) == expected,
        "{what} has {found} elements instead of {expected:?}"
    );
    Some(found) == expected
}

/// The number of samples in `samples` elements.
#[inline(always)]
fn batch(what: &str, elements: usize, shape: Shape) -> Option<usize> {
    debug_assert!(!shape.is_empty(), "{what}: samples of no elements");
    let batch = elements.checked_div(shape.len())?;
    fits(what, elements, batch.checked_mul(shape.len())).then_some(batch)
}

/// The batch, if input and output hold the same number of whole samples.
#[inline(always)]
fn samples<T, U>(from: Shape, input: &[T], to: Shape, output: &[U]) -> Option<usize> {
    let batch = batch("output", output.len(), to)?;
    fits("input", input.len(), batch.checked_mul(from.len())).then_some(batch)
}

/// The batch of a convolution; `weights` is how many elements this set's weights have.
#[inline(always)]
pub(crate) fn conv2d(
    params: &Conv2d,
    input: &[f32],
    weights: (&[f32], usize),
    bias: Option<&[f32]>,
    output: &[f32],
) -> Option<usize> {
    convolved(
        params.input(),
        input,
        weights,
        bias,
        params.output(),
        output,
    )
}

/// The batch of a convolution with its pool; `weights` is how many elements this set's weights have.
#[inline(always)]
pub(crate) fn pooled_conv2d(
    params: &PooledConv2d,
    input: &[f32],
    weights: (&[f32], usize),
    bias: Option<&[f32]>,
    output: &[f32],
) -> Option<usize> {
    convolved(
        params.input(),
        input,
        weights,
        bias,
        params.output(),
        output,
    )
}

/// The batch of what a convolution makes of `from`; it gives `to`.
#[inline(always)]
fn convolved(
    from: Shape,
    input: &[f32],
    weights: (&[f32], usize),
    bias: Option<&[f32]>,
    to: Shape,
    output: &[f32],
) -> Option<usize> {
    let batch = samples(from, input, to, output)?;
    let ok = fits("weights", weights.0.len(), Some(weights.1))
        && bias.is_none_or(|bias| fits("bias", bias.len(), Some(to.channels)));
    ok.then_some(batch)
}

/// The batch of a linear layer.
#[inline(always)]
pub(crate) fn linear(
    params: &Linear,
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    output: &[f32],
) -> Option<usize> {
    let (from, to) = (params.in_features(), params.out_features());
    let batch = samples(Shape::vector(from), input, Shape::vector(to), output)?;
    let ok = fits("weights", weights.len(), from.checked_mul(to))
        && bias.is_none_or(|bias| fits("bias", bias.len(), Some(to)));
    ok.then_some(batch)
}

/// The batch of a convolution of 8-bit numbers with so many weights, packed or not.
#[inline(always)]
pub(crate) fn conv2d_i8(
    params: &Conv2dI8,
    input: &[i8],
    weights: (WeightsI8<'_>, usize),
    output: &[i8],
) -> Option<usize> {
    let geometry = params.geometry();
    let (from, to) = (geometry.input(), geometry.output());
    let batch = samples(from, input, to, output)?;
    weights_i8(weights, to.channels).then_some(batch)
}

/// The batch of a linear layer of 8-bit numbers with so many weights, packed or not.
#[inline(always)]
pub(crate) fn linear_i8(
    params: &LinearI8,
    input: &[i8],
    weights: (WeightsI8<'_>, usize),
    output: &[i8],
) -> Option<usize> {
    let geometry = params.geometry();
    let (from, to) = (geometry.in_features(), geometry.out_features());
    let batch = samples(Shape::vector(from), input, Shape::vector(to), output)?;
    weights_i8(weights, to).then_some(batch)
}

/// The batch of a convolution, as [`conv2d_i8`] finds it, if there are at least `needed` bytes of scratch, too.
#[inline(always)]
#[cfg(any(simd, arm_dsp))]
pub(crate) fn conv2d_i8_with(
    params: &Conv2dI8,
    input: &[i8],
    weights: (WeightsI8<'_>, usize),
    (scratch, needed): (&[u8], usize),
    output: &[i8],
) -> Option<usize> {
    let batch = conv2d_i8(params, input, weights, output)?;
    scratch_i8(scratch, needed).then_some(batch)
}

/// The same of a linear layer.
#[inline(always)]
#[cfg(any(simd, arm_dsp))]
pub(crate) fn linear_i8_with(
    params: &LinearI8,
    input: &[i8],
    weights: (WeightsI8<'_>, usize),
    (scratch, needed): (&[u8], usize),
    output: &[i8],
) -> Option<usize> {
    let batch = linear_i8(params, input, weights, output)?;
    scratch_i8(scratch, needed).then_some(batch)
}

/// `true` if there is as much scratch as is needed, or more.
#[inline(always)]
#[cfg(any(simd, arm_dsp))]
fn scratch_i8(scratch: &[u8], needed: usize) -> bool {
    let found = scratch.len();
    debug_assert!(found >= needed, "scratch of {found}, not {needed}");
    found >= needed
}

/// `true` if there are `len` weights, and a bias, if any, and a scale for each output channel.
#[inline(always)]
fn weights_i8((weights, len): (WeightsI8<'_>, usize), channels: usize) -> bool {
    let WeightsI8 {
        weights,
        bias,
        scale,
        ..
    } = weights;
    fits("weights", weights.len(), Some(len))
        && bias.is_none_or(|bias| fits("bias", bias.len(), Some(channels)))
        && fits("scale", scale.len(), Some(channels))
}

/// The batch of the weight gradient of the output features in `rows`.
#[inline(always)]
pub(crate) fn linear_rows(
    params: &Linear,
    rows: &core::ops::Range<usize>,
    input: &[f32],
    d_output: &[f32],
    d_weights: &[f32],
    d_bias: Option<&[f32]>,
) -> Option<usize> {
    let (from, to) = (params.in_features(), params.out_features());
    let batch = samples(Shape::vector(from), input, Shape::vector(to), d_output)?;
    let count = rows.end.checked_sub(rows.start)?;
    let ok = rows.end <= to
        && fits("d_weights", d_weights.len(), count.checked_mul(from))
        && d_bias.is_none_or(|bias| fits("d_bias", bias.len(), Some(count)));
    debug_assert!(rows.end <= to, "rows {rows:?} of {to}");
    ok.then_some(batch)
}

/// The batch of a pool.
#[inline(always)]
pub(crate) fn pool2d<T>(params: &Pool2d, input: &[T], output: &[T]) -> Option<usize> {
    samples(params.input(), input, params.output(), output)
}

/// `true` if two slices of which one describes the other's elements are equally long.
#[inline(always)]
pub(crate) fn same<T, U>(what: &str, found: &[T], like: &[U]) -> bool {
    fits(what, found.len(), Some(like.len()))
}

/// `true` if `data` is a whole number of runs of `channels` elements.
#[inline(always)]
pub(crate) fn runs<T>(channels: usize, data: &[T]) -> bool {
    batch("data", data.len(), Shape::vector(channels)).is_some()
}

/// `true` if `data` are whole samples and `operand` is one sample for all of them or one for each.
#[inline(always)]
pub(crate) fn binary<T>(params: &Binary, operand: &[T], data: &[T]) -> bool {
    let Some(batch) = batch("data", data.len(), Shape::vector(params.len())) else {
        return false;
    };
    let for_all = operand.len() == params.operand_len();
    let for_each = batch.checked_mul(params.operand_len());
    for_all || fits("operand", operand.len(), for_each)
}

/// `true` if `data` is a whole number of runs of channels, each of which has a scale and a shift.
#[inline(always)]
pub(crate) fn channel_affine(scale: &[f32], shift: &[f32], data: &[f32]) -> bool {
    runs(scale.len(), data) && same("shift", shift, scale)
}

/// The batch of a copy.
#[inline(always)]
pub(crate) fn strided_copy<T>(params: &StridedCopy, input: &[T], output: &[T]) -> Option<usize> {
    samples(
        Shape::vector(params.input_len()),
        input,
        Shape::vector(params.output_len()),
        output,
    )
}

/// `true` if per-channel values are given for each of `channels`.
#[inline(always)]
pub(crate) fn per_channel(what: &str, found: usize, channels: usize) -> bool {
    fits(what, found, Some(channels))
}

/// `true` if there are as many elements as are needed.
#[inline(always)]
#[cfg(simd)]
pub(crate) fn at_least(what: &str, found: usize, needed: usize) -> bool {
    debug_assert!(
        found >= needed,
        "{what} has {found} elements instead of at least {needed}"
    );
    found >= needed
}

/// The first `needed` elements of scratch, if it has them.
#[inline(always)]
#[cfg(simd)]
pub(crate) fn scratch(scratch: &mut [f32], needed: usize) -> Option<&mut [f32]> {
    at_least("scratch", scratch.len(), needed);
    scratch.get_mut(..needed)
}
