//! Copies between tensors of different shapes.

use core::fmt::Debug;

use super::{Guarded, Random, assert_same, call_wrongly};
use crate::ops::BackwardKernels;
use crate::params::{Axis, StridedCopy, Upsample};
use crate::{Shape, reference};

pub(super) fn problems() -> Vec<StridedCopy> {
    let mut problems = Vec::new();
    for channels in 1..=35 {
        let input = Shape::new(2, 3, channels);
        problems.extend([
            // Parts of a concatenation along each axis, the inside of a padded tensor.
            StridedCopy::place(input, [0, 0, 5], Shape::new(2, 3, channels + 7)),
            StridedCopy::place(input, [0, 2, 0], Shape::new(2, 5, channels)),
            StridedCopy::place(input, [1, 0, 0], Shape::new(3, 3, channels)),
            StridedCopy::place(input, [1, 2, 3], Shape::new(5, 6, channels + 4)),
            StridedCopy::slice(Shape::new(3, 5, channels + 2), [1, 0, 2], [1, 2, 1], input),
            StridedCopy::slice(Shape::new(5, 3, 3 * channels), [0, 0, 1], [3, 1, 3], input),
        ]);
        let upsample = Upsample::new(input, 2, 3).expect("small factors");
        problems.extend(upsample.copies().map(Ok));
    }
    use Axis::{Channels, Height, Width};
    for order in [
        [Height, Width, Channels],
        [Height, Channels, Width],
        [Width, Height, Channels],
        [Width, Channels, Height],
        [Channels, Height, Width],
        [Channels, Width, Height],
    ] {
        problems.push(StridedCopy::transpose(Shape::new(4, 3, 5), order));
        problems.push(StridedCopy::transpose(Shape::new(2, 1, 17), order));
    }
    problems
        .into_iter()
        .map(|problem| problem.expect("a possible copy"))
        .collect()
}

/// Checks that the elements a copy names arrive, and that nothing else is touched.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn strided_copy(set: &dyn BackwardKernels, _: super::Agreement) {
    let mut random = Random::new(13);
    for params in problems() {
        for batch in [0, 1, 2] {
            let about: (&dyn Debug, &str) = (&(params, batch), "strided_copy_f32");
            let input = random.values(batch * params.input_len());
            let before = random.values(batch * params.output_len());
            let mut found = Guarded::new(&before);
            set.strided_copy_f32(&params, &input, found.get());
            let mut expected = before;
            reference::strided_copy(&params, &input, &mut expected);
            assert_same(about, &found.finish(about), &expected);
            // The way back puts each element where it came from.
            let mut back = input.clone();
            reference::strided_copy(&params.reversed(), &expected, &mut back);
            assert_same(about, &back, &input);
        }
    }
    let params = StridedCopy::place(Shape::vector(3), [0, 0, 1], Shape::vector(4));
    let params = params.expect("it fits");
    let about: (&dyn Debug, &str) = (&params, "strided_copy_f32 with slices that do not fit");
    let mut output = Guarded::new(&[1.0; 8]);
    call_wrongly(about, || {
        set.strided_copy_f32(&params, &[2.0; 5], output.get())
    });
    output.finish(about);
}
