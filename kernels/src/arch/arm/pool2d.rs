//! Max pools, four channels at a time.

use super::instructions::larger;
use crate::lengths;
use crate::params::Pool2d;
use crate::portable::pool2d::{for_each_input, for_each_position, two_by_two};
use crate::portable::rows::{rows_of, rows_of_mut};

/// Maximum over each window. What sees no position is -128.
pub(super) fn max_pool2d_i8(params: &Pool2d, input: &[i8], output: &mut [i8]) {
    if lengths::pool2d(params, input, output).is_none() {
        return;
    }
    let (from, to) = (params.input(), params.output());
    for (input, output) in rows_of(input, from.len()).zip(rows_of_mut(output, to.len())) {
        for_each_position(params, output, |run, _, taps| {
            if let Some(corners) = two_by_two(params, input, taps, run.len()) {
                largest_of_four(run, corners);
                return;
            }
            run.fill(i8::MIN);
            for_each_input(params, taps, |position| {
                raise(run, input.get(position..).unwrap_or_default());
            });
        });
    }
}

/// Raises each number of `run` to that of `values` at its place.
#[inline(always)]
fn raise(run: &mut [i8], values: &[i8]) {
    let (words, rest) = run.as_chunks_mut::<4>();
    let done = words.as_flattened().len();
    for (max, x) in words.iter_mut().zip(values.as_chunks::<4>().0) {
        *max = larger(*max, *x);
    }
    let values = values.get(done..).unwrap_or_default();
    for (max, x) in rest.iter_mut().zip(values) {
        *max = (*max).max(*x);
    }
}

/// Writes the largest number at each place of four runs of one length.
fn largest_of_four(run: &mut [i8], [a, b, c, d]: [&[i8]; 4]) {
    let (words, rest) = run.as_chunks_mut::<4>();
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks(), b.as_chunks());
    let ((c, c_rest), (d, d_rest)) = (c.as_chunks(), d.as_chunks());
    for ((((max, a), b), c), d) in words.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *max = larger(larger(*a, *b), larger(*c, *d));
    }
    let runs = rest.iter_mut().zip(a_rest).zip(b_rest);
    for ((((max, a), b), c), d) in runs.zip(c_rest).zip(d_rest) {
        *max = *a.max(b).max(c).max(d);
    }
}
