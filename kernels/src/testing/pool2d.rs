//! Pools, forward and backward. A maximum is the same bits in every set; an average is a sum.

use core::fmt::Debug;

use super::{Agreement, Guarded, Random, assert_agrees, assert_same, call_wrongly};
use crate::ops::BackwardKernels;
use crate::params::{CountPadding, Padding, Pool2d, Rounding, Window};
use crate::{Shape, reference};

/// A pool and a batch.
#[derive(Debug, Clone, Copy)]
struct Problem {
    params: Pool2d,
    batch: usize,
}

fn problems() -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |batch, (height, width, channels), window: Window| {
        for rounding in [Rounding::Floor, Rounding::Ceil] {
            for count in [CountPadding::Include, CountPadding::Exclude] {
                let input = Shape::new(height, width, channels);
                let params = Pool2d::new(input, window, rounding, count);
                problems.extend(params.map(|params| Problem { params, batch }));
            }
        }
    };
    for channels in 1..=34 {
        add(1, (5, 6, channels), Window::new(2, 2).with_stride(2, 2));
    }
    for batch in [0, 1, 3] {
        add(batch, (4, 4, 3), Window::new(2, 2).with_stride(2, 2));
    }
    for kernel in [(1, 1), (2, 2), (3, 3), (2, 3), (5, 1), (7, 7)] {
        for stride in [(1, 1), (2, 2), (3, 2), (4, 5)] {
            for padding in [(0, 0, 0, 0), (1, 1, 1, 1), (1, 0, 0, 1), (2, 3, 0, 0)] {
                for dilation in [(1, 1), (2, 1), (2, 3)] {
                    let (top, bottom, left, right) = padding;
                    let window = Window::new(kernel.0, kernel.1)
                        .with_stride(stride.0, stride.1)
                        .with_dilation(dilation.0, dilation.1)
                        .with_padding(Padding {
                            top,
                            bottom,
                            left,
                            right,
                        });
                    add(2, (7, 8, 3), window);
                }
            }
        }
    }
    // The whole picture, as global average pooling has it.
    add(2, (8, 8, 20), Window::new(8, 8));
    problems
}

/// The same for operations that have a geometry in common with these: parameters and batch.
pub(super) fn geometries() -> Vec<(Pool2d, usize)> {
    let problems = problems().into_iter();
    problems
        .map(|problem| (problem.params, problem.batch))
        .collect()
}

type Forward = fn(&dyn BackwardKernels, &Pool2d, &[f32], &mut [f32]);

fn forward(
    set: &dyn BackwardKernels,
    params: &Pool2d,
    (kernel, what): (Forward, &str),
    input: &[f32],
) -> Vec<f32> {
    let batch = input.len() / params.input().len();
    let mut output = Guarded::garbage(batch * params.output().len());
    kernel(set, params, input, output.get());
    output.finish((params, what))
}

fn check(set: &dyn BackwardKernels, agreement: Agreement, problem: &Problem, random: &mut Random) {
    let params = &problem.params;
    let batch = problem.batch;
    let (from, to) = (params.input().len(), params.output().len());
    // Few different values, so that maxima tie, and now and then a NaN or a negative zero.
    let specials = [f32::NAN, -0.0, f32::NEG_INFINITY];
    let input: Vec<f32> = (0..batch * from)
        .map(|_| match random.below(40) {
            i @ 0..3 => specials[i],
            _ => random.below(9) as f32 - 4.0,
        })
        .collect();
    let d_output = random.values(batch * to);
    let kernel: (Forward, &str) = (|set, p, x, y| set.max_pool2d_f32(p, x, y), "max_pool2d_f32");
    let about: (&dyn Debug, &str) = (problem, kernel.1);
    let found = forward(set, params, kernel, &input);
    let mut expected = vec![0.0; batch * to];
    reference::max_pool2d_f32(params, &input, &mut expected);
    assert_same(about, &found, &expected);
    for n in 0..batch {
        let alone = forward(set, params, kernel, &input[n * from..][..from]);
        assert_same(about, &alone, &found[n * to..][..to]);
    }

    let about: (&dyn Debug, &str) = (problem, "max_pool2d_f32_backward");
    let mut d_input = Guarded::garbage(batch * from);
    set.max_pool2d_f32_backward(params, &input, &d_output, d_input.get());
    let mut expected = vec![0.0; batch * from];
    reference::max_pool2d_f32_backward(params, &input, &d_output, &mut expected);
    assert_same(about, &d_input.finish(about), &expected);

    let input = random.values(batch * from);
    let abs: Vec<f32> = input.iter().map(|x| x.abs()).collect();
    let kernel: (Forward, &str) = (|set, p, x, y| set.avg_pool2d_f32(p, x, y), "avg_pool2d_f32");
    let about: (&dyn Debug, &str) = (problem, kernel.1);
    let found = forward(set, params, kernel, &input);
    let mut expected = vec![0.0; batch * to];
    reference::avg_pool2d_f32(params, &input, &mut expected);
    let mut sums = expected.clone();
    reference::avg_pool2d_f32(params, &abs, &mut sums);
    let terms = params.window().kernel_h * params.window().kernel_w + 1;
    assert_agrees(agreement, about, &found, &expected, (terms, &sums));
    for n in 0..batch {
        let alone = forward(set, params, kernel, &input[n * from..][..from]);
        assert_same(about, &alone, &found[n * to..][..to]);
    }

    let about: (&dyn Debug, &str) = (problem, "avg_pool2d_f32_backward");
    let mut d_input = Guarded::garbage(batch * from);
    set.avg_pool2d_f32_backward(params, &d_output, d_input.get());
    let mut expected = vec![0.0; batch * from];
    reference::avg_pool2d_f32_backward(params, &d_output, &mut expected);
    let abs: Vec<f32> = d_output.iter().map(|d| d.abs()).collect();
    let mut sums = expected.clone();
    reference::avg_pool2d_f32_backward(params, &abs, &mut sums);
    assert_agrees(
        agreement,
        about,
        &d_input.finish(about),
        &expected,
        (terms, &sums),
    );
}

fn check_short_slices(set: &dyn BackwardKernels) {
    let window = Window::new(2, 2).with_stride(2, 2);
    let input = Shape::new(5, 6, 9);
    let Ok(params) = Pool2d::new(input, window, Rounding::Ceil, CountPadding::Include) else {
        return;
    };
    let (from, to) = (2 * params.input().len(), 2 * params.output().len());
    for (input_short, output_short) in [(1, 0), (0, 1)] {
        let about: (&dyn Debug, &str) = (&(params, input_short), "pools with short slices");
        let mut input = Guarded::new(&vec![1.0; from - input_short]);
        let mut d_input = Guarded::new(&vec![1.0; from - input_short]);
        let mut output = Guarded::new(&vec![1.0; to - output_short]);
        call_wrongly(about, || {
            set.max_pool2d_f32(&params, input.get(), output.get())
        });
        call_wrongly(about, || {
            set.avg_pool2d_f32(&params, input.get(), output.get())
        });
        call_wrongly(about, || {
            set.max_pool2d_f32_backward(&params, input.get(), output.get(), d_input.get());
        });
        call_wrongly(about, || {
            set.avg_pool2d_f32_backward(&params, output.get(), d_input.get());
        });
        for buffer in [input, d_input, output] {
            buffer.finish(about);
        }
    }
}

/// Checks maximum and average pools, forward and backward.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn pool2d(set: &dyn BackwardKernels, agreement: Agreement) {
    let mut random = Random::new(5);
    for problem in problems() {
        check(set, agreement, &problem, &mut random);
    }
    check_short_slices(set);
}
