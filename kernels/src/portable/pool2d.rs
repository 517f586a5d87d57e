//! Pools: input `[batch, h, w, channels]`, output `[batch, out_h, out_w, channels]`. A window is walked
//! position by position, each time all channels at once: they are neighbours in memory.

use super::taps::{Axis, Taps};
use crate::lengths;
use crate::params::{CountPadding, Pool2d};

/// Calls `f` for every output position of one sample with its run of channels and its taps.
#[inline(always)]
fn for_each_position(
    params: &Pool2d,
    output: &mut [f32],
    mut f: impl FnMut(&mut [f32], (usize, usize), (Taps, Taps)),
) {
    let (from, to) = (params.input(), params.output());
    let vertical = Axis::vertical(params.window(), from.height);
    let horizontal = Axis::horizontal(params.window(), from.width);
    let row_len = to.width.saturating_mul(to.channels).max(1);
    for (y, row) in output.chunks_exact_mut(row_len).enumerate() {
        let rows = vertical.taps(y);
        for (x, run) in row.chunks_exact_mut(to.channels.max(1)).enumerate() {
            f(run, (y, x), (rows, horizontal.taps(x)));
        }
    }
}

/// The indices of the first channel of each input position that an output sees.
#[inline(always)]
fn positions(params: &Pool2d, (rows, columns): (Taps, Taps)) -> impl Iterator<Item = usize> {
    let (from, window) = (params.input(), *params.window());
    (0..rows.count).flat_map(move |i| {
        let y = rows
            .position
            .wrapping_add(i.wrapping_mul(window.dilation_h));
        (0..columns.count).map(move |j| {
            let x = columns
                .position
                .wrapping_add(j.wrapping_mul(window.dilation_w));
            y.wrapping_mul(from.width)
                .wrapping_add(x)
                .wrapping_mul(from.channels)
        })
    })
}

#[inline(always)]
fn raise(max: &mut f32, x: f32) {
    if x > *max || x.is_nan() {
        *max = x;
    }
}

/// Maximum over each window.
#[inline(always)]
pub fn max_pool2d_f32(params: &Pool2d, input: &[f32], output: &mut [f32]) {
    if lengths::pool2d(params, input, output).is_none() {
        return;
    }
    let (from, to) = (params.input(), params.output());
    for (input, output) in input
        .chunks_exact(from.len().max(1))
        .zip(output.chunks_exact_mut(to.len().max(1)))
    {
        for_each_position(params, output, |run, _, taps| {
            if let Some(corners) = two_by_two(params, input, taps, run.len()) {
                max_of_four(run, corners);
                return;
            }
            run.fill(f32::NEG_INFINITY);
            for position in positions(params, taps) {
                let values = input.get(position..).unwrap_or_default();
                for (max, &x) in run.iter_mut().zip(values) {
                    raise(max, x);
                }
            }
        });
    }
}

/// The runs at the four positions of a window of 2 x 2, the commonest, if this is one.
#[inline(always)]
fn two_by_two<'a>(
    params: &Pool2d,
    input: &'a [f32],
    (rows, columns): (Taps, Taps),
    channels: usize,
) -> Option<[&'a [f32]; 4]> {
    if rows.count != 2 || columns.count != 2 {
        return None;
    }
    let mut corners = positions(params, (rows, columns));
    let mut next = || input.get(corners.next()?..)?.get(..channels);
    Some([next()?, next()?, next()?, next()?])
}

#[inline(always)]
fn max_of_four(run: &mut [f32], [a, b, c, d]: [&[f32]; 4]) {
    for ((((y, &a), &b), &c), &d) in run.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        let mut max = f32::NEG_INFINITY;
        raise(&mut max, a);
        raise(&mut max, b);
        raise(&mut max, c);
        raise(&mut max, d);
        *y = max;
    }
}

/// Writes the gradient of a max pool's input: each output's goes to the first position, in row-major
/// order, that holds the maximum.
#[inline(always)]
pub fn max_pool2d_f32_backward(
    params: &Pool2d,
    input: &[f32],
    d_output: &[f32],
    d_input: &mut [f32],
) {
    if lengths::pool2d(params, input, d_output).is_none()
        || !lengths::same("d_input", d_input, input)
    {
        return;
    }
    d_input.fill(0.0);
    let (from, to) = (params.input(), params.output());
    let vertical = Axis::vertical(params.window(), from.height);
    let horizontal = Axis::horizontal(params.window(), from.width);
    let row_len = to.width.saturating_mul(to.channels).max(1);
    for ((input, d_input), d_output) in input
        .chunks_exact(from.len().max(1))
        .zip(d_input.chunks_exact_mut(from.len().max(1)))
        .zip(d_output.chunks_exact(to.len().max(1)))
    {
        for (y, row) in d_output.chunks_exact(row_len).enumerate() {
            let rows = vertical.taps(y);
            for (x, run) in row.chunks_exact(to.channels.max(1)).enumerate() {
                let taps = (rows, horizontal.taps(x));
                for (channel, d) in run.iter().enumerate() {
                    let best = first_maximum(params, input, taps, channel);
                    if let Some(d_input) = best.and_then(|best| d_input.get_mut(best)) {
                        *d_input += d;
                    }
                }
            }
        }
    }
}

/// The index of the first value that is the maximum of its window.
#[inline(always)]
fn first_maximum(
    params: &Pool2d,
    input: &[f32],
    taps: (Taps, Taps),
    channel: usize,
) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for position in positions(params, taps) {
        let i = position.wrapping_add(channel);
        let Some(&x) = input.get(i) else { continue };
        best = match best {
            Some((_, max)) if !(x > max || (x.is_nan() && !max.is_nan())) => best,
            _ => Some((i, x)),
        };
    }
    best.map(|(i, _)| i)
}

/// What the average at output `(y, x)` divides by.
#[inline(always)]
fn divisor(params: &Pool2d, (y, x): (usize, usize), (rows, columns): (Taps, Taps)) -> f32 {
    let count = match params.count_padding() {
        CountPadding::Exclude => rows.count.wrapping_mul(columns.count),
        CountPadding::Include => {
            let vertical = Axis::vertical(params.window(), params.input().height);
            let horizontal = Axis::horizontal(params.window(), params.input().width);
            vertical
                .padded_taps(y)
                .wrapping_mul(horizontal.padded_taps(x))
        }
    };
    (count as f32).max(1.0)
}

/// Average over each window.
#[inline(always)]
pub fn avg_pool2d_f32(params: &Pool2d, input: &[f32], output: &mut [f32]) {
    if lengths::pool2d(params, input, output).is_none() {
        return;
    }
    let (from, to) = (params.input(), params.output());
    for (input, output) in input
        .chunks_exact(from.len().max(1))
        .zip(output.chunks_exact_mut(to.len().max(1)))
    {
        for_each_position(params, output, |run, at, taps| {
            run.fill(0.0);
            for position in positions(params, taps) {
                let values = input.get(position..).unwrap_or_default();
                for (sum, x) in run.iter_mut().zip(values) {
                    *sum += x;
                }
            }
            let divisor = divisor(params, at, taps);
            for y in run {
                *y /= divisor;
            }
        });
    }
}

/// Writes the gradient of an average pool's input.
#[inline(always)]
pub fn avg_pool2d_f32_backward(params: &Pool2d, d_output: &[f32], d_input: &mut [f32]) {
    if lengths::pool2d(params, d_input, d_output).is_none() {
        return;
    }
    d_input.fill(0.0);
    let (from, to) = (params.input(), params.output());
    let vertical = Axis::vertical(params.window(), from.height);
    let horizontal = Axis::horizontal(params.window(), from.width);
    let row_len = to.width.saturating_mul(to.channels).max(1);
    for (d_input, d_output) in d_input
        .chunks_exact_mut(from.len().max(1))
        .zip(d_output.chunks_exact(to.len().max(1)))
    {
        for (y, row) in d_output.chunks_exact(row_len).enumerate() {
            let rows = vertical.taps(y);
            for (x, run) in row.chunks_exact(to.channels.max(1)).enumerate() {
                let taps = (rows, horizontal.taps(x));
                let divisor = divisor(params, (y, x), taps);
                for position in positions(params, taps) {
                    let d_input = d_input.get_mut(position..).unwrap_or_default();
                    for (d_input, d) in d_input.iter_mut().zip(run) {
                        *d_input += d / divisor;
                    }
                }
            }
        }
    }
}
