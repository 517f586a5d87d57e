//! Pools of 8-bit numbers, walked as those of `f32`.

use super::super::pool2d::{divisor, for_each_input, for_each_position};
use super::super::rows::{rows_of, rows_of_mut};
use super::dot::less;
use crate::lengths;
use crate::params::{AvgPool2dI8, Pool2d};

/// Channels whose sums are taken side by side: 8 sums fit the registers of any core.
const SUMS: usize = 8;

/// Maximum over each window. What sees no position is -128.
pub fn max_pool2d_i8(params: &Pool2d, input: &[i8], output: &mut [i8]) {
    if lengths::pool2d(params, input, output).is_none() {
        return;
    }
    let (from, to) = (params.input(), params.output());
    for (input, output) in rows_of(input, from.len()).zip(rows_of_mut(output, to.len())) {
        for_each_position(params, output, |run, _, taps| {
            run.fill(i8::MIN);
            for_each_input(params, taps, |position| {
                let values = input.get(position..).unwrap_or_default();
                for (max, x) in run.iter_mut().zip(values) {
                    *max = (*max).max(*x);
                }
            });
        });
    }
}

/// Average over each window.
pub fn avg_pool2d_i8(params: &AvgPool2dI8, input: &[i8], output: &mut [i8]) {
    let geometry = params.geometry();
    if lengths::pool2d(geometry, input, output).is_none() {
        return;
    }
    let zero_point = params.input_zero_point();
    let (from, to) = (geometry.input(), geometry.output());
    for (input, output) in rows_of(input, from.len()).zip(rows_of_mut(output, to.len())) {
        for_each_position(geometry, output, |run, at, taps| {
            let scale = params.scale(divisor(geometry, at, taps));
            let (blocks, rest) = run.as_chunks_mut::<SUMS>();
            let mut first = 0usize;
            for block in blocks {
                let mut sums = [0i32; SUMS];
                for_each_input(geometry, taps, |position| {
                    let values = input
                        .get(position.wrapping_add(first)..)
                        .unwrap_or_default();
                    for (sum, x) in sums.iter_mut().zip(values) {
                        *sum = sum.wrapping_add(less(*x, zero_point));
                    }
                });
                *block = sums.map(|sum| params.output().requantize(sum, scale));
                first = first.wrapping_add(SUMS);
            }
            for y in rest {
                let mut sum = 0i32;
                for_each_input(geometry, taps, |position| {
                    if let Some(x) = input.get(position.wrapping_add(first)) {
                        sum = sum.wrapping_add(less(*x, zero_point));
                    }
                });
                *y = params.output().requantize(sum, scale);
                first = first.wrapping_add(1);
            }
        });
    }
}
