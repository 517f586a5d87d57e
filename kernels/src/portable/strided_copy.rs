//! Copies between tensors of different shapes. Where both hold the elements side by side, a run is copied at once.

use super::rows::{rows_of, rows_of_mut};
use crate::lengths;
use crate::params::StridedCopy;

/// Copies the elements that `params` names, sample by sample; others are left as they are.
#[inline(always)]
pub fn strided_copy<T: Copy>(params: &StridedCopy, input: &[T], output: &mut [T]) {
    for_each_run(
        params,
        input,
        output,
        #[inline(always)]
        |from, to| {
            for (to, from) in to.iter_mut().zip(from) {
                *to = *from;
            }
        },
    );
}

/// Calls `copy` for each run of elements that lie side by side in both tensors, and copies all others.
#[inline(always)]
pub(crate) fn for_each_run<T: Copy>(
    params: &StridedCopy,
    input: &[T],
    output: &mut [T],
    mut copy: impl FnMut(&[T], &mut [T]),
) {
    if lengths::strided_copy(params, input, output).is_none() {
        return;
    }
    let run = params.nest.run;
    let samples = rows_of(input, params.input_len());
    for (input, output) in samples.zip(rows_of_mut(output, params.output_len())) {
        params.nest.for_each_run(
            params.starts,
            // As in `binary`: no function of its own.
            #[inline(always)]
            |from, to| {
                if (run.from, run.to) == (1, 1) {
                    let from = input.get(from..from.wrapping_add(run.extent));
                    let to = output.get_mut(to..to.wrapping_add(run.extent));
                    if let (Some(from), Some(to)) = (from, to) {
                        copy(from, to);
                    }
                    return;
                }
                let (mut from, mut to) = (from, to);
                for _ in 0..run.extent {
                    if let (Some(from), Some(to)) = (input.get(from), output.get_mut(to)) {
                        *to = *from;
                    }
                    from = from.wrapping_add(run.from);
                    to = to.wrapping_add(run.to);
                }
            },
        );
    }
}
