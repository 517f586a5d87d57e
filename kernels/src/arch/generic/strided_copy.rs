//! Copies between tensors of different shapes, a run of neighbours at a time: the runs of few channels are too short
//! for a call of `memcpy` to pay.

use super::Vector;
use super::memory::{for_each_vector, load, store};
use crate::params::StridedCopy;
use crate::portable::strided_copy::for_each_run;

/// Copies the elements that `params` names.
///
/// # Safety
/// The CPU can run `V`.
#[inline(always)]
pub(crate) unsafe fn strided_copy<V: Vector>(
    params: &StridedCopy,
    input: &[f32],
    output: &mut [f32],
) {
    for_each_run(
        params,
        input,
        output,
        #[inline(always)]
        |from, to| {
            let len = from.len().min(to.len());
            let (from, to) = (from.as_ptr(), to.as_mut_ptr());
            for_each_vector!(V, len, |at, count| {
                // SAFETY: `count` values from `at` are of both runs; as the caller vouches.
                unsafe { store(load::<V>(from.add(at), count), to.add(at), count) }
            });
        },
    );
}
