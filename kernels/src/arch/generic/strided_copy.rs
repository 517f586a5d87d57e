//! Copies between tensors of different shapes, a run of neighbours at a time: the runs of few channels are too short
//! for a call of `memcpy` to pay.

use super::Vector;
use super::memory::each_with;
use crate::params::StridedCopy;
use crate::portable::strided_copy::for_each_run;

/// Copies the elements that `params` names.
#[inline(always)]
pub(crate) fn strided_copy<V: Vector>(
    isa: V::Isa,
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
            each_with::<V, 1>(
                isa,
                [from],
                to,
                #[inline(always)]
                |_, [value]| value,
            );
        },
    );
}
