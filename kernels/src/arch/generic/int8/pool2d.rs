//! Pools of 8-bit numbers, many channels side by side.

use crate::Shape;
use crate::lengths;
use crate::params::{AvgPool2dI8, Pool2d};
use crate::portable::pool2d::divisor;
use crate::taps::{Axis, Taps};

/// Channels that are taken side by side.
const CHANNELS: usize = 64;

/// Numbers of a row that are taken at a stretch by [`max`].
const STRETCH: usize = 1024;

/// Maximum over each window.
#[inline(always)]
pub(crate) fn max<I>(_: I, params: &Pool2d, input: &[i8], output: &mut [i8]) {
    if lengths::pool2d(params, input, output).is_none() {
        return;
    }
    let (from, to) = (params.input(), params.output());
    let vertical = Axis::vertical(params.window(), from.height);
    let horizontal = Axis::horizontal(params.window(), from.width);
    for (input, output) in input
        .chunks_exact(from.len())
        .zip(output.chunks_exact_mut(to.len()))
    {
        for (y, row) in output.chunks_exact_mut(to.width * to.channels).enumerate() {
            let rows = vertical.taps(y);
            let mut x = 0;
            while x < to.width {
                let stretch = stretch(params, &horizontal, x);
                let y = &mut row[x * to.channels..][..stretch.max(1) * to.channels];
                let taps = (rows, horizontal.taps(x));
                match stretch {
                    0 | 1 => max_of_one(params, taps, input, y),
                    _ => max_of_stretch(params, taps, input, y),
                }
                x += stretch.max(1);
            }
        }
    }
}

/// How many outputs from `x` on have windows without padding, whose numbers lie side by side and fit a stretch.
#[inline(always)]
fn stretch(params: &Pool2d, horizontal: &Axis, x: usize) -> usize {
    let (window, channels) = (params.window(), params.input().channels);
    let (taps, whole) = (horizontal.taps(x), window.kernel_w);
    if taps.count < whole || window.dilation_w != 1 || whole * channels > STRETCH {
        return 0;
    }
    let room = (STRETCH / channels - whole) / window.stride_w + 1;
    let inside = (params.input().width - whole - taps.position) / window.stride_w + 1;
    room.min(inside).min(params.output().width - x)
}

/// The largest of each channel in one window.
#[inline(always)]
fn max_of_one(params: &Pool2d, taps: (Taps, Taps), input: &[i8], y: &mut [i8]) {
    y.fill(i8::MIN);
    for_each_tap(
        params,
        taps,
        #[inline(always)]
        |at| {
            for (max, x) in y.iter_mut().zip(&input[at..]) {
                *max = (*max).max(*x);
            }
        },
    );
}

/// The largest of each channel in several windows beside each other: those of each column first, then of as many columns
/// as a window has. So there is no loop over a few channels.
#[inline(always)]
fn max_of_stretch(params: &Pool2d, (rows, columns): (Taps, Taps), input: &[i8], y: &mut [i8]) {
    let Shape {
        width, channels, ..
    } = params.input();
    let window = params.window();
    let outputs = y.len() / channels;
    let firsts = ((outputs - 1) * window.stride_w + 1) * channels;
    let len = firsts + (window.kernel_w - 1) * channels;
    let mut of_columns = [i8::MIN; STRETCH];
    let of_columns = &mut of_columns[..len];
    for row in 0..rows.count {
        let row = (rows.position + row * window.dilation_h) * width;
        let row = &input[(row + columns.position) * channels..][..len];
        for (max, x) in of_columns.iter_mut().zip(row) {
            *max = (*max).max(*x);
        }
    }
    let mut of_windows = [i8::MIN; STRETCH];
    let of_windows = &mut of_windows[..firsts];
    for column in 0..window.kernel_w {
        for (max, x) in of_windows.iter_mut().zip(&of_columns[column * channels..]) {
            *max = (*max).max(*x);
        }
    }
    let firsts = of_windows.chunks(window.stride_w * channels);
    for (y, max) in y.chunks_exact_mut(channels).zip(firsts) {
        y.copy_from_slice(&max[..channels]);
    }
}

/// Average over each window.
#[inline(always)]
pub(crate) fn average<I>(_: I, params: &AvgPool2dI8, input: &[i8], output: &mut [i8]) {
    let geometry = params.geometry();
    if lengths::pool2d(geometry, input, output).is_none() {
        return;
    }
    let zero_point = i32::from(params.input_zero_point());
    for_each_pixel(
        geometry,
        input,
        output,
        #[inline(always)]
        |input, y, at, taps| {
            let scale = params.scale(divisor(geometry, at, taps));
            for (block, y) in y.chunks_mut(CHANNELS).enumerate() {
                let mut sums = [0_i32; CHANNELS];
                for_each_tap(
                    geometry,
                    taps,
                    #[inline(always)]
                    |at| {
                        let x = &input[at + block * CHANNELS..][..y.len()];
                        for (sum, x) in sums.iter_mut().zip(x) {
                            *sum = sum.wrapping_add(i32::from(*x).wrapping_sub(zero_point));
                        }
                    },
                );
                for (y, sum) in y.iter_mut().zip(sums) {
                    *y = params.output().requantize(sum, scale);
                }
            }
        },
    );
}

/// Calls `pixel` with the input of a sample, the channels of an output, its place, and the taps of its window.
#[inline(always)]
fn for_each_pixel(
    params: &Pool2d,
    input: &[i8],
    output: &mut [i8],
    pixel: impl Fn(&[i8], &mut [i8], (usize, usize), (Taps, Taps)),
) {
    let (from, to) = (params.input(), params.output());
    let vertical = Axis::vertical(params.window(), from.height);
    let horizontal = Axis::horizontal(params.window(), from.width);
    for (input, output) in input
        .chunks_exact(from.len())
        .zip(output.chunks_exact_mut(to.len()))
    {
        for (at, y) in output.chunks_exact_mut(to.channels).enumerate() {
            let at = (at / to.width, at % to.width);
            let taps = (vertical.taps(at.0), horizontal.taps(at.1));
            pixel(input, y, at, taps);
        }
    }
}

/// Calls `each` with the place of each input in a window that is not padding.
#[inline(always)]
fn for_each_tap(params: &Pool2d, (rows, columns): (Taps, Taps), mut each: impl FnMut(usize)) {
    let Shape {
        width, channels, ..
    } = params.input();
    let window = params.window();
    for row in 0..rows.count {
        let row = (rows.position + row * window.dilation_h) * width;
        for column in 0..columns.count {
            let column = columns.position + column * window.dilation_w;
            each((row + column) * channels);
        }
    }
}
