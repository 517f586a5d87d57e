//! Copies between tensors of different shapes.

use crate::lengths;
use crate::params::StridedCopy;

/// Copies the elements that `params` names, sample by sample; others are left as they are.
pub fn strided_copy<T: Copy>(params: &StridedCopy, input: &[T], output: &mut [T]) {
    if lengths::strided_copy(params, input, output).is_none() {
        return;
    }
    let run = params.nest.run;
    let samples = input.chunks(params.input_len());
    for (input, output) in samples.zip(output.chunks_mut(params.output_len())) {
        params.nest.for_each_run(params.starts, |from, to| {
            for i in 0..run.extent {
                output[to + i * run.to] = input[from + i * run.from];
            }
        });
    }
}
