//! Pools: input `[batch, h, w, channels]`, output `[batch, out_h, out_w, channels]`. A window is walked
//! position by position, each time all channels at once: they are neighbours in memory.

use super::rows::{rows_of, rows_of_mut};
use crate::lengths;
use crate::params::{CountPadding, Pool2d};
use crate::taps::{Axis, Taps};

/// Calls `f` for every output position of one sample with its run of channels and its taps.
#[inline(always)]
pub(crate) fn for_each_position<T>(
    params: &Pool2d,
    output: &mut [T],
    mut f: impl FnMut(&mut [T], (usize, usize), (Taps, Taps)),
) {
    let (from, to) = (params.input(), params.output());
    let vertical = Axis::vertical(params.window(), from.height);
    let horizontal = Axis::horizontal(params.window(), from.width);
    let row_len = to.width.saturating_mul(to.channels);
    for (y, row) in rows_of_mut(output, row_len).enumerate() {
        let rows = vertical.taps(y);
        for (x, run) in rows_of_mut(row, to.channels).enumerate() {
            f(run, (y, x), (rows, horizontal.taps(x)));
        }
    }
}

/// Steps from one tap to the next, in elements of a sample: down and to the right.
#[inline(always)]
fn steps(params: &Pool2d) -> (usize, usize) {
    let (from, window) = (params.input(), params.window());
    let row = from.width.wrapping_mul(from.channels);
    (
        window.dilation_h.wrapping_mul(row),
        window.dilation_w.wrapping_mul(from.channels),
    )
}

/// The index of the first channel of the first input position that an output sees.
#[inline(always)]
fn first_position(params: &Pool2d, (rows, columns): (Taps, Taps)) -> usize {
    rows.position
        .wrapping_mul(params.input().width)
        .wrapping_add(columns.position)
        .wrapping_mul(params.input().channels)
}

/// Calls `f` with the index of the first channel of each input position that an output sees.
#[inline(always)]
pub(crate) fn for_each_input(
    params: &Pool2d,
    (rows, columns): (Taps, Taps),
    mut f: impl FnMut(usize),
) {
    let (down, right) = steps(params);
    let mut row = first_position(params, (rows, columns));
    for _ in 0..rows.count {
        let mut position = row;
        for _ in 0..columns.count {
            f(position);
            position = position.wrapping_add(right);
        }
        row = row.wrapping_add(down);
    }
}

#[inline(always)]
pub(super) fn raise(max: &mut f32, x: f32) {
    if x > *max || x.is_nan() {
        *max = x;
    }
}

/// Maximum over each window.
pub fn max_pool2d_f32(params: &Pool2d, input: &[f32], output: &mut [f32]) {
    if lengths::pool2d(params, input, output).is_none() {
        return;
    }
    let (from, to) = (params.input(), params.output());
    for (input, output) in rows_of(input, from.len()).zip(rows_of_mut(output, to.len())) {
        for_each_position(params, output, |run, _, taps| {
            if let Some(corners) = two_by_two(params, input, taps, run.len()) {
                max_of_four(run, corners);
                return;
            }
            run.fill(f32::NEG_INFINITY);
            for_each_input(params, taps, |position| {
                let values = input.get(position..).unwrap_or_default();
                for (max, &x) in run.iter_mut().zip(values) {
                    raise(max, x);
                }
            });
        });
    }
}

/// The runs at the four positions of a window of 2 x 2, the commonest, if this is one.
#[inline(always)]
pub(crate) fn two_by_two<'a, T>(
    params: &Pool2d,
    input: &'a [T],
    (rows, columns): (Taps, Taps),
    channels: usize,
) -> Option<[&'a [T]; 4]> {
    if rows.count != 2 || columns.count != 2 {
        return None;
    }
    let (down, right) = steps(params);
    let first = first_position(params, (rows, columns));
    let corner = |at: usize| input.get(first.wrapping_add(at)..)?.get(..channels);
    Some([
        corner(0)?,
        corner(right)?,
        corner(down)?,
        corner(down.wrapping_add(right))?,
    ])
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
    let row_len = to.width.saturating_mul(to.channels);
    for ((input, d_input), d_output) in rows_of(input, from.len())
        .zip(rows_of_mut(d_input, from.len()))
        .zip(rows_of(d_output, to.len()))
    {
        for (y, row) in rows_of(d_output, row_len).enumerate() {
            let rows = vertical.taps(y);
            for (x, run) in rows_of(row, to.channels).enumerate() {
                let taps = (rows, horizontal.taps(x));
                let (blocks, rest) = run.as_chunks::<BLOCK>();
                for (i, d) in blocks.iter().enumerate() {
                    let first = i.wrapping_mul(BLOCK);
                    to_first_maximum(params, input, taps, first, *d, d_input);
                }
                for (i, &d) in rest.iter().enumerate() {
                    let channel = blocks.len().wrapping_mul(BLOCK).wrapping_add(i);
                    to_first_maximum(params, input, taps, channel, [d], d_input);
                }
            }
        }
    }
}

/// Channels whose maxima are looked for side by side.
const BLOCK: usize = 8;

/// Adds `d` of `N` channels from `channel` to where each has the first maximum of its window.
#[inline(always)]
fn to_first_maximum<const N: usize>(
    params: &Pool2d,
    input: &[f32],
    taps: (Taps, Taps),
    channel: usize,
    d: [f32; N],
    d_input: &mut [f32],
) {
    let mut max = [f32::NEG_INFINITY; N];
    // Of which tap it is. The first counts even if nothing is larger than what no maximum is.
    let mut best = [0u32; N];
    let mut tap = 0;
    for_each_input(params, taps, |position| {
        let at = position.wrapping_add(channel);
        let values = input.get(at..).and_then(|values| values.first_chunk::<N>());
        let Some(values) = values else { return };
        for ((max, best), &x) in max.iter_mut().zip(&mut best).zip(values) {
            // Without short cuts, so that lanes can be compared side by side.
            let larger = (x > *max) | (x.is_nan() & !max.is_nan());
            *max = if larger { x } else { *max };
            *best = if larger { tap } else { *best };
        }
        tap = tap.wrapping_add(1);
    });
    tap = 0;
    for_each_input(params, taps, |position| {
        let at = position.wrapping_add(channel);
        let d_input = d_input.get_mut(at..);
        let d_input = d_input.and_then(|d_input| d_input.first_chunk_mut::<N>());
        let Some(d_input) = d_input else { return };
        for ((d_input, best), d) in d_input.iter_mut().zip(&best).zip(&d) {
            // Adding 0 changes nothing: a sum that started at 0 is never -0.
            *d_input += if *best == tap { *d } else { 0.0 };
        }
        tap = tap.wrapping_add(1);
    });
}

/// What the average at output `(y, x)` divides by.
#[inline(always)]
pub(crate) fn divisor(
    params: &Pool2d,
    (y, x): (usize, usize),
    (rows, columns): (Taps, Taps),
) -> f32 {
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
pub fn avg_pool2d_f32(params: &Pool2d, input: &[f32], output: &mut [f32]) {
    if lengths::pool2d(params, input, output).is_none() {
        return;
    }
    let (from, to) = (params.input(), params.output());
    for (input, output) in rows_of(input, from.len()).zip(rows_of_mut(output, to.len())) {
        for_each_position(params, output, |run, at, taps| {
            run.fill(0.0);
            for_each_input(params, taps, |position| {
                let values = input.get(position..).unwrap_or_default();
                for (sum, x) in run.iter_mut().zip(values) {
                    *sum += x;
                }
            });
            let divisor = divisor(params, at, taps);
            for y in run {
                *y /= divisor;
            }
        });
    }
}

/// Writes the gradient of an average pool's input.
pub fn avg_pool2d_f32_backward(params: &Pool2d, d_output: &[f32], d_input: &mut [f32]) {
    if lengths::pool2d(params, d_input, d_output).is_none() {
        return;
    }
    d_input.fill(0.0);
    let (from, to) = (params.input(), params.output());
    let vertical = Axis::vertical(params.window(), from.height);
    let horizontal = Axis::horizontal(params.window(), from.width);
    let row_len = to.width.saturating_mul(to.channels);
    for (d_input, d_output) in rows_of_mut(d_input, from.len()).zip(rows_of(d_output, to.len())) {
        for (y, row) in rows_of(d_output, row_len).enumerate() {
            let rows = vertical.taps(y);
            for (x, run) in rows_of(row, to.channels).enumerate() {
                let taps = (rows, horizontal.taps(x));
                let divisor = divisor(params, (y, x), taps);
                for_each_input(params, taps, |position| {
                    let d_input = d_input.get_mut(position..).unwrap_or_default();
                    for (d_input, d) in d_input.iter_mut().zip(run) {
                        *d_input += d / divisor;
                    }
                });
            }
        }
    }
}
