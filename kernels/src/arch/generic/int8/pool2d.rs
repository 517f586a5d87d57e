//! Pools of 8-bit numbers, many channels side by side.

use crate::Shape;
use crate::lengths;
use crate::params::{AvgPool2dI8, Pool2d};
use crate::portable::pool2d::divisor;
use crate::taps::{Axis, Taps};

/// Channels that are taken side by side.
const CHANNELS: usize = 64;

/// Maximum over each window.
#[inline(always)]
pub(crate) fn max<I>(_: I, params: &Pool2d, input: &[i8], output: &mut [i8]) {
    if lengths::pool2d(params, input, output).is_none() {
        return;
    }
    for_each_pixel(
        params,
        input,
        output,
        #[inline(always)]
        |input, y, _, taps| {
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
        },
    );
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
