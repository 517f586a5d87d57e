//! Linear layers, forward and backward.

use core::fmt::Debug;

use super::{Agreement, Guarded, Random, assert_agrees, assert_same, call_wrongly};
use crate::ops::BackwardKernels;
use crate::params::{Activation, Linear};
use crate::reference;

/// A layer and a batch.
#[derive(Debug, Clone, Copy)]
struct Problem {
    params: Linear,
    batch: usize,
}

fn problems() -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |batch, from, to, activation| {
        let params = Linear::new(from, to, activation);
        problems.extend(params.map(|params| Problem { params, batch }));
    };
    for size in 1..=35 {
        add(3, size, 5, Activation::Identity);
        add(2, 11, size, Activation::Relu);
        add(size, 9, 13, Activation::Relu6);
    }
    for batch in [0, 1, 2, 7] {
        add(batch, 130, 67, Activation::Identity);
        add(batch, 1024, 10, Activation::Identity);
    }
    problems
}

/// The same for operations that have a geometry in common with these: parameters and batch.
pub(super) fn geometries() -> Vec<(Linear, usize)> {
    let problems = problems().into_iter();
    problems
        .map(|problem| (problem.params, problem.batch))
        .collect()
}

fn abs(values: &[f32]) -> Vec<f32> {
    values.iter().map(|x| x.abs()).collect()
}

fn forward(
    set: &dyn BackwardKernels,
    params: &Linear,
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let mut output = Guarded::garbage(input.len() / params.in_features() * params.out_features());
    set.linear_f32(params, input, weights, bias, output.get());
    output.finish((params, "linear_f32"))
}

fn backward_input(
    set: &dyn BackwardKernels,
    params: &Linear,
    d_output: &[f32],
    weights: &[f32],
) -> Vec<f32> {
    let batch = d_output.len() / params.out_features();
    let mut d_input = Guarded::garbage(batch * params.in_features());
    set.linear_f32_backward_input(params, d_output, weights, d_input.get());
    d_input.finish((params, "linear_f32_backward_input"))
}

fn check(set: &dyn BackwardKernels, agreement: Agreement, problem: &Problem, random: &mut Random) {
    let params = &problem.params;
    let (from, to, batch) = (params.in_features(), params.out_features(), problem.batch);
    let input = random.values(batch * from);
    let weights = random.values(from * to);
    let bias = random.values(to);
    let d_output = random.values(batch * to);

    for bias in [None, Some(&bias[..])] {
        let about: (&dyn Debug, &str) = (problem, "linear_f32");
        let found = forward(set, params, &input, &weights, bias);
        let mut expected = vec![0.0; batch * to];
        reference::linear_f32(params, &input, &weights, bias, &mut expected);
        let mut sums = expected.clone();
        let plain = params.with_activation(Activation::Identity);
        let abs_bias = bias.map(abs);
        let (abs_input, abs_weights) = (abs(&input), abs(&weights));
        reference::linear_f32(
            &plain,
            &abs_input,
            &abs_weights,
            abs_bias.as_deref(),
            &mut sums,
        );
        assert_agrees(agreement, about, &found, &expected, (from + 1, &sums));
        for n in 0..batch {
            let alone = forward(set, params, &input[n * from..][..from], &weights, bias);
            assert_same(about, &alone, &found[n * to..][..to]);
        }
    }

    let about: (&dyn Debug, &str) = (problem, "linear_f32_backward_input");
    let found = backward_input(set, params, &d_output, &weights);
    let mut expected = vec![0.0; batch * from];
    reference::linear_f32_backward_input(params, &d_output, &weights, &mut expected);
    let mut sums = expected.clone();
    reference::linear_f32_backward_input(params, &abs(&d_output), &abs(&weights), &mut sums);
    assert_agrees(agreement, about, &found, &expected, (to, &sums));
    for n in 0..batch {
        let alone = backward_input(set, params, &d_output[n * to..][..to], &weights);
        assert_same(about, &alone, &found[n * from..][..from]);
    }

    let about: (&dyn Debug, &str) = (problem, "linear_f32_backward_weights");
    let (before, before_bias) = (random.values(from * to), random.values(to));
    let mut expected = (before.clone(), before_bias.clone());
    let (weights, bias) = (&mut expected.0, Some(&mut expected.1[..]));
    reference::linear_f32_backward_weights(params, 0..to, &input, &d_output, weights, bias);
    let mut sums = (abs(&before), abs(&before_bias));
    let (weights, bias) = (&mut sums.0, Some(&mut sums.1[..]));
    let (abs_input, abs_d) = (abs(&input), abs(&d_output));
    reference::linear_f32_backward_weights(params, 0..to, &abs_input, &abs_d, weights, bias);
    // The rows in one go, and in two parts that must give the same bits.
    let mut whole: Option<(Vec<f32>, Vec<f32>)> = None;
    for middle in [0, to / 2, to - to / 3] {
        let mut found = (vec![], vec![]);
        for rows in [0..middle, middle..to] {
            let mut d_weights = Guarded::new(&before[rows.start * from..rows.end * from]);
            let mut d_bias = Guarded::new(&before_bias[rows.clone()]);
            let (weights, bias) = (d_weights.get(), Some(d_bias.get()));
            set.linear_f32_backward_weights(params, rows, &input, &d_output, weights, bias);
            found.0.extend(d_weights.finish(about));
            found.1.extend(d_bias.finish(about));
        }
        assert_agrees(
            agreement,
            about,
            &found.0,
            &expected.0,
            (batch + 1, &sums.0),
        );
        assert_agrees(
            agreement,
            about,
            &found.1,
            &expected.1,
            (batch + 1, &sums.1),
        );
        let whole = whole.get_or_insert_with(|| found.clone());
        assert_same(about, &found.0, &whole.0);
        assert_same(about, &found.1, &whole.1);
    }
}

fn check_special_values(set: &dyn BackwardKernels) {
    for activation in [Activation::Identity, Activation::Relu, Activation::Relu6] {
        for from in [1, 7, 8, 9, 17] {
            let Ok(params) = Linear::new(from, 1, activation) else {
                continue;
            };
            // One NaN among zeros, wherever it stands; a large value that Relu6 cuts; a negative one.
            for (special, bias) in [(f32::NAN, 0.0), (9.0, 0.0), (-2.0, 0.0), (1.0, 1.5)] {
                for at in 0..from {
                    let mut input = vec![0.0; from];
                    input[at] = special;
                    let found = forward(set, &params, &input, &vec![1.0; from], Some(&[bias]));
                    let expected = activation.apply(special + bias);
                    assert_same((&params, "linear_f32, special"), &found, &[expected]);
                }
            }
        }
    }
}

fn check_short_slices(set: &dyn BackwardKernels) {
    let Ok(params) = Linear::new(19, 9, Activation::Identity) else {
        return;
    };
    // Which slice is short: 0 input, 1 weights, 2 bias, 3 output.
    for short in 0..4 {
        let buffer =
            |slice: usize, len: usize| Guarded::new(&vec![0.5; len - usize::from(slice == short)]);
        let about: (&dyn Debug, &str) = (&(params, short), "linear with short slices");
        let (mut input, mut weights) = (buffer(0, 2 * 19), buffer(1, 19 * 9));
        let (mut bias, mut output) = (buffer(2, 9), buffer(3, 2 * 9));
        call_wrongly(about, || {
            let bias = Some(&*bias.get());
            set.linear_f32(&params, input.get(), weights.get(), bias, output.get());
        });
        if short != 2 {
            call_wrongly(about, || {
                let (d_output, d_input) = (output.get(), input.get());
                set.linear_f32_backward_input(&params, d_output, weights.get(), d_input);
            });
        }
        call_wrongly(about, || {
            let (input, d_output, bias) = (input.get(), output.get(), Some(bias.get()));
            let weights = weights.get();
            set.linear_f32_backward_weights(&params, 0..9, input, d_output, weights, bias);
        });
        for buffer in [input, weights, bias, output] {
            buffer.finish(about);
        }
    }
    let about: (&dyn Debug, &str) = (&params, "linear_f32_backward_weights with rows 5..10 of 9");
    call_wrongly(about, || {
        let (input, d_output) = ([0.0; 19], [0.0; 9]);
        let mut d_weights = [0.0; 5 * 19];
        set.linear_f32_backward_weights(&params, 5..10, &input, &d_output, &mut d_weights, None);
    });
}

/// Checks linear layers, forward and backward.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn linear(set: &dyn BackwardKernels, agreement: Agreement) {
    let mut random = Random::new(4);
    for problem in problems() {
        check(set, agreement, &problem, &mut random);
    }
    check_special_values(set);
    check_short_slices(set);
}
