//! Convolution, forward and backward.

use super::{Agreement, Guarded, Random, assert_agrees, assert_same, call_wrongly};
use crate::ops::BackwardKernels;
use crate::params::{Activation, Conv2d, Padding, PooledConv2d, Rounding, Window};
use crate::{Shape, reference};

/// What is convolved, and in what batch.
#[derive(Debug, Clone, Copy)]
struct Problem {
    params: Conv2d,
    batch: usize,
    bias: bool,
}

impl Problem {
    fn new(
        batch: usize,
        (height, width, in_channels): (usize, usize, usize),
        out_channels: usize,
        window: Window,
        groups: usize,
    ) -> Option<Self> {
        let input = Shape::new(height, width, in_channels);
        let params = Conv2d::new(input, out_channels, window, groups, Activation::Identity).ok()?;
        Some(Self {
            params,
            batch,
            bias: true,
        })
    }
}

/// A 3 x 3 window with a border of one.
fn same_3x3() -> Window {
    Window::new(3, 3).with_padding(Padding::symmetric(1, 1))
}

/// One size at a time swept across the tiles, then all that a window can do, then a random lot.
fn problems() -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |problem: Option<Problem>| problems.extend(problem);
    for channels in 1..=34 {
        add(Problem::new(1, (5, 4, 3), channels, same_3x3(), 1));
        add(Problem::new(2, (4, 5, channels), 7, same_3x3(), 1));
        add(Problem::new(
            1,
            (5, 6, channels),
            channels,
            same_3x3(),
            channels,
        ));
    }
    for width in 1..=27 {
        add(Problem::new(1, (1, width, 5), 18, Window::new(1, 1), 1));
        add(Problem::new(1, (3, width, 2), 9, same_3x3(), 1));
    }
    // First layers: few channels, rows of any length around the pixels that are computed side by side.
    for (channels, kernel) in [(1, 3), (1, 5), (1, 7), (3, 3)] {
        for width in (kernel..=kernel + 20).chain([40]) {
            let window = Window::new(kernel, kernel);
            let out_channels = 1 + width % 16;
            add(Problem::new(
                2,
                (kernel + 2, width, channels),
                out_channels,
                window,
                1,
            ));
            let padded = window.with_padding(Padding::symmetric(kernel / 2, kernel / 2));
            add(Problem::new(1, (4, width, channels), 16, padded, 1));
            let strided = padded.with_stride(2, 2);
            add(Problem::new(1, (5, width, channels), 6, strided, 1));
        }
    }
    for batch in [0, 1, 2, 3, 5] {
        add(Problem::new(batch, (4, 3, 2), 17, same_3x3(), 1));
        add(Problem::new(batch, (4, 3, 10), 10, same_3x3(), 10));
    }
    for (kernel_h, kernel_w) in [(1, 1), (2, 2), (1, 3), (3, 1), (4, 2), (5, 5), (7, 7)] {
        for stride in [(1, 1), (2, 2), (1, 3), (3, 2)] {
            for dilation in [(1, 1), (2, 2), (1, 3), (3, 1)] {
                for padding in [(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 0, 1), (0, 3, 2, 0)] {
                    let (top, bottom, left, right) = padding;
                    let window = Window::new(kernel_h, kernel_w)
                        .with_stride(stride.0, stride.1)
                        .with_dilation(dilation.0, dilation.1)
                        .with_padding(Padding {
                            top,
                            bottom,
                            left,
                            right,
                        });
                    add(Problem::new(1, (9, 8, 3), 5, window, 1));
                    add(Problem::new(1, (9, 8, 4), 4, window, 4));
                }
            }
        }
    }
    for (in_channels, out_channels, groups) in [
        (4, 6, 2),
        (6, 6, 3),
        (16, 32, 2),
        (3, 6, 3),
        (18, 34, 2),
        (8, 8, 4),
    ] {
        let size = (5, 6, in_channels);
        add(Problem::new(2, size, out_channels, same_3x3(), groups));
    }
    // More pixels than a pass over a part of the image would take, by rows and in one row.
    add(Problem::new(2, (13, 17, 2), 5, same_3x3(), 1));
    add(Problem::new(1, (3, 140, 1), 3, same_3x3(), 1));
    // A window larger than the input, all of it padding but one tap.
    let wide = Window::new(5, 5).with_padding(Padding::symmetric(2, 2));
    add(Problem::new(1, (1, 1, 3), 3, wide, 1));
    // Padding beyond the window: outputs that see nothing but the bias.
    let far = Window::new(2, 2).with_padding(Padding::symmetric(4, 3));
    add(Problem::new(1, (3, 3, 2), 11, far, 1));
    // Depthwise: more columns than are taken over at a time, and windows that are all padding.
    for width in [1, 2, 41, 42, 43, 44, 90] {
        add(Problem::new(2, (3, width, 8), 8, same_3x3(), 8));
    }
    let far = Window::new(3, 3).with_padding(Padding {
        top: 4,
        bottom: 3,
        left: 5,
        right: 4,
    });
    add(Problem::new(1, (2, 3, 4), 4, far, 4));
    problems.extend(random_problems());
    problems
}

/// The same for operations that have a geometry in common with these: parameters and batch.
pub(super) fn geometries() -> Vec<(Conv2d, usize)> {
    let problems = problems().into_iter();
    problems
        .map(|problem| (problem.params, problem.batch))
        .collect()
}

fn random_problems() -> impl Iterator<Item = Problem> {
    let mut random = Random::new(1);
    core::iter::from_fn(move || {
        let groups = random.choose(&[1, 1, 1, 1, 2, 3]);
        let window = Window::new(1 + random.below(5), 1 + random.below(5))
            .with_stride(1 + random.below(3), 1 + random.below(3))
            .with_dilation(1 + random.below(2), 1 + random.below(2))
            .with_padding(Padding {
                top: random.below(3),
                bottom: random.below(3),
                left: random.below(3),
                right: random.below(3),
            });
        let size = (
            1 + random.below(11),
            1 + random.below(11),
            groups * (1 + random.below(19)),
        );
        let out_channels = groups * (1 + random.below(37));
        let problem = Problem::new(1 + random.below(3), size, out_channels, window, groups);
        let activation =
            random.choose(&[Activation::Identity, Activation::Relu, Activation::Relu6]);
        let bias = random.below(2) == 0;
        // What does not fit is left out.
        Some(problem.map(|problem| Problem {
            params: problem.params.with_activation(activation),
            bias,
            ..problem
        }))
    })
    .flatten()
    .take(150)
}

/// The operands of a problem.
struct Data {
    input: Vec<f32>,
    weights: Vec<f32>,
    bias: Option<Vec<f32>>,
    d_output: Vec<f32>,
}

impl Data {
    fn new(problem: &Problem, random: &mut Random) -> Self {
        let p = &problem.params;
        Self {
            input: random.values(problem.batch * p.input().len()),
            weights: random.values(p.weights_len()),
            bias: problem.bias.then(|| random.values(p.output().channels)),
            d_output: random.values(problem.batch * p.output().len()),
        }
    }

    /// The same with every value positive: sums of it are sums of magnitudes.
    fn abs(&self) -> Self {
        let abs = |values: &[f32]| values.iter().map(|x| x.abs()).collect::<Vec<f32>>();
        Self {
            input: abs(&self.input),
            weights: abs(&self.weights),
            bias: self.bias.as_deref().map(abs),
            d_output: abs(&self.d_output),
        }
    }
}

/// Weights as the set wants them, and scratch of just the length it asks for, full of NaN.
fn prepared(set: &dyn BackwardKernels, params: &Conv2d, weights: &[f32]) -> (Vec<f32>, Guarded) {
    let about: (&dyn core::fmt::Debug, &str) = (params, "conv2d_f32_pack");
    let weights = match set.conv2d_f32_packed_len(params) {
        0 => weights.to_vec(),
        len => {
            let mut packed = Guarded::garbage(len);
            set.conv2d_f32_pack(params, weights, packed.get());
            packed.finish(about)
        }
    };
    (
        weights,
        Guarded::garbage(set.conv2d_f32_scratch_len(params)),
    )
}

fn forward(set: &dyn BackwardKernels, params: &Conv2d, input: &[f32], data: &Data) -> Vec<f32> {
    let about: (&dyn core::fmt::Debug, &str) = (params, "conv2d_f32");
    let (weights, mut scratch) = prepared(set, params, &data.weights);
    let batch = input.len() / params.input().len();
    let mut output = Guarded::garbage(batch * params.output().len());
    let bias = data.bias.as_deref();
    set.conv2d_f32(params, input, &weights, bias, scratch.get(), output.get());
    scratch.finish(about);
    output.finish(about)
}

fn backward_input(
    set: &dyn BackwardKernels,
    params: &Conv2d,
    d_output: &[f32],
    weights: &[f32],
) -> Vec<f32> {
    let about: (&dyn core::fmt::Debug, &str) = (params, "conv2d_f32_backward_input");
    let mut scratch = Guarded::garbage(set.conv2d_f32_backward_scratch_len(params));
    let batch = d_output.len() / params.output().len();
    let mut d_input = Guarded::garbage(batch * params.input().len());
    set.conv2d_f32_backward_input(params, d_output, weights, scratch.get(), d_input.get());
    scratch.finish(about);
    d_input.finish(about)
}

fn check(set: &dyn BackwardKernels, agreement: Agreement, problem: &Problem, random: &mut Random) {
    let params = &problem.params;
    let data = Data::new(problem, random);
    let abs = data.abs();
    let bias = data.bias.as_deref();
    let (samples_in, samples_out) = (params.input().len(), params.output().len());

    let found = forward(set, params, &data.input, &data);
    let mut expected = vec![0.0; problem.batch * samples_out];
    reference::conv2d_f32(params, &data.input, &data.weights, bias, &mut expected);
    let mut sums = expected.clone();
    let plain = params.with_activation(Activation::Identity);
    let abs_bias = abs.bias.as_deref();
    reference::conv2d_f32(&plain, &abs.input, &abs.weights, abs_bias, &mut sums);
    let terms = params.taps() + 1;
    let about: (&dyn core::fmt::Debug, &str) = (problem, "conv2d_f32");
    assert_agrees(agreement, about, &found, &expected, (terms, &sums));
    for n in 0..problem.batch {
        let alone = forward(
            set,
            params,
            &data.input[n * samples_in..][..samples_in],
            &data,
        );
        assert_same(about, &alone, &found[n * samples_out..][..samples_out]);
    }

    let about: (&dyn core::fmt::Debug, &str) = (problem, "conv2d_f32_backward_input");
    let found = backward_input(set, params, &data.d_output, &data.weights);
    let mut expected = vec![0.0; problem.batch * samples_in];
    reference::conv2d_f32_backward_input(params, &data.d_output, &data.weights, &mut expected);
    let mut sums = expected.clone();
    reference::conv2d_f32_backward_input(params, &abs.d_output, &abs.weights, &mut sums);
    let window = params.window();
    let terms = window.kernel_h * window.kernel_w * params.group_out_channels();
    assert_agrees(agreement, about, &found, &expected, (terms, &sums));
    for n in 0..problem.batch {
        let d_output = &data.d_output[n * samples_out..][..samples_out];
        let alone = backward_input(set, params, d_output, &data.weights);
        assert_same(about, &alone, &found[n * samples_in..][..samples_in]);
    }

    check_backward_weights(set, agreement, problem, &data, random);
}

fn check_backward_weights(
    set: &dyn BackwardKernels,
    agreement: Agreement,
    problem: &Problem,
    data: &Data,
    random: &mut Random,
) {
    let params = &problem.params;
    let about: (&dyn core::fmt::Debug, &str) = (problem, "conv2d_f32_backward_weights");
    // Gradients are added to what is there.
    let before = random.values(params.weights_len());
    let before_bias = random.values(params.output().channels);
    let mut scratch = Guarded::garbage(set.conv2d_f32_backward_scratch_len(params));
    let mut d_weights = Guarded::new(&before);
    let mut d_bias = Guarded::new(&before_bias);
    set.conv2d_f32_backward_weights(
        params,
        &data.input,
        &data.d_output,
        scratch.get(),
        d_weights.get(),
        problem.bias.then_some(d_bias.get()),
    );
    scratch.finish(about);

    let with_reference = |data: &Data, weights: &[f32], bias: &[f32]| {
        let (mut weights, mut bias) = (weights.to_vec(), bias.to_vec());
        let d_bias = problem.bias.then_some(&mut bias[..]);
        let (input, d_output) = (&data.input, &data.d_output);
        reference::conv2d_f32_backward_weights(params, input, d_output, &mut weights, d_bias);
        (weights, bias)
    };
    let abs = |values: &[f32]| values.iter().map(|x| x.abs()).collect::<Vec<f32>>();
    let expected = with_reference(data, &before, &before_bias);
    let sums = with_reference(&data.abs(), &abs(&before), &abs(&before_bias));
    let terms = problem.batch * params.output().height * params.output().width + 1;
    let found = (d_weights.finish(about), d_bias.finish(about));
    assert_agrees(agreement, about, &found.0, &expected.0, (terms, &sums.0));
    assert_agrees(agreement, about, &found.1, &expected.1, (terms, &sums.1));
}

/// The pools that are joined to a problem's convolution: common ones, one that drops rows and columns, one that
/// hangs over the end, and the whole picture.
fn pooled_problems(problem: &Problem) -> impl Iterator<Item = PooledConv2d> {
    let conv = problem.params;
    let to = conv.output();
    [
        (Window::new(2, 2).with_stride(2, 2), Rounding::Floor),
        (Window::new(2, 3).with_stride(3, 4), Rounding::Ceil),
        (Window::new(4, 1).with_stride(4, 1), Rounding::Ceil),
        (
            Window::new(to.height, to.width).with_stride(to.height, to.width),
            Rounding::Floor,
        ),
    ]
    .into_iter()
    .filter_map(move |(window, rounding)| PooledConv2d::new(conv, window, rounding).ok())
}

/// A convolution with its pool has the bits of one after the other; those of the oracle are what it says.
fn check_pooled(set: &dyn BackwardKernels, problem: &Problem, random: &mut Random) {
    let conv = &problem.params;
    let mut data = Data::new(problem, random);
    for special in [f32::NAN, f32::NEG_INFINITY, f32::INFINITY] {
        if data.input.len() > 20 && random.below(4) == 0 {
            let i = random.below(data.input.len());
            data.input[i] = special;
        }
    }
    let convolved = forward(set, conv, &data.input, &data);
    for params in pooled_problems(problem) {
        let about: (&dyn core::fmt::Debug, &str) = (&(problem, params), "conv2d_max_pool2d_f32");
        let mut expected = vec![f32::NEG_INFINITY; problem.batch * params.output().len()];
        let to = params.output();
        for (i, max) in expected.iter_mut().enumerate() {
            let (position, channel) = (i / to.channels, i % to.channels);
            let (row, x) = (position / to.width, position % to.width);
            let (n, y) = (row / to.height, row % to.height);
            for y in params.rows(y) {
                for x in params.columns(x) {
                    let from = conv.output();
                    let position = (n * from.height + y) * from.width + x;
                    let value = convolved[position * from.channels + channel];
                    if value > *max || value.is_nan() {
                        *max = value;
                    }
                }
            }
        }
        let (weights, _) = prepared(set, conv, &data.weights);
        let mut scratch = Guarded::garbage(set.conv2d_max_pool2d_f32_scratch_len(&params));
        let mut output = Guarded::garbage(expected.len());
        set.conv2d_max_pool2d_f32(
            &params,
            &data.input,
            &weights,
            data.bias.as_deref(),
            scratch.get(),
            output.get(),
        );
        scratch.finish(about);
        assert_same(about, &output.finish(about), &expected);
    }
}

/// NaN and infinities reach exactly the outputs that see them, and a clamp lets NaN and -0 through.
fn check_special_values(set: &dyn BackwardKernels) {
    for problem in random_problems().take(40) {
        let mut random = Random::new(9);
        let params = &problem.params;
        let mut data = Data::new(&problem, &mut random);
        for special in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let i = random.below(data.input.len());
            data.input[i] = special;
            let i = random.below(data.d_output.len());
            data.d_output[i] = special;
        }
        let classes = |values: &[f32]| -> Vec<f32> {
            let class = |x: &f32| if x.is_finite() { 0.0 } else { *x };
            values.iter().map(class).collect()
        };
        let about: (&dyn core::fmt::Debug, &str) = (&problem, "conv2d_f32 of special values");
        let mut expected = vec![0.0; problem.batch * params.output().len()];
        let bias = data.bias.as_deref();
        reference::conv2d_f32(params, &data.input, &data.weights, bias, &mut expected);
        let found = forward(set, params, &data.input, &data);
        assert_same(about, &classes(&found), &classes(&expected));

        let about: (&dyn core::fmt::Debug, &str) = (&problem, "conv2d_f32_backward_input, special");
        let mut expected = vec![0.0; problem.batch * params.input().len()];
        reference::conv2d_f32_backward_input(params, &data.d_output, &data.weights, &mut expected);
        let found = backward_input(set, params, &data.d_output, &data.weights);
        assert_same(about, &classes(&found), &classes(&expected));
    }
    for activation in [Activation::Identity, Activation::Relu, Activation::Relu6] {
        for channels in [1, 3, 8, 9, 16, 21] {
            let window = Window::new(1, 1);
            let Some(problem) = Problem::new(1, (1, 5, 1), channels, window, 1) else {
                continue;
            };
            let params = problem.params.with_activation(activation);
            let data = Data {
                input: vec![-0.0, f32::NAN, -1.0, 3.0, 9.0],
                weights: vec![1.0; channels],
                bias: Some(vec![-0.0; channels]),
                d_output: vec![],
            };
            let found = forward(set, &params, &data.input, &data);
            let expected: Vec<f32> = (data.input.iter())
                .flat_map(|&x| vec![activation.apply(x); channels])
                .collect();
            assert_same((&params, "conv2d_f32 with activation"), &found, &expected);
        }
    }
}

/// Each slice in turn one element short.
fn check_short_slices(set: &dyn BackwardKernels) {
    let problems = [
        Problem::new(2, (5, 5, 3), 18, same_3x3(), 1),
        Problem::new(2, (5, 5, 9), 9, same_3x3(), 9),
    ];
    for problem in problems.iter().flatten() {
        let params = &problem.params;
        let data = Data::new(problem, &mut Random::new(3));
        let (packed, forward_scratch) = prepared(set, params, &data.weights);
        let backward_scratch = set.conv2d_f32_backward_scratch_len(params);
        let bias = data.bias.as_deref().unwrap_or_default();
        // Which slice is short: 0 input, 1 weights, 2 bias, 3 output, 4 scratch.
        for short in 0..5 {
            let cut = |values: &[f32], slice: usize| {
                let len = values.len().saturating_sub(usize::from(slice == short));
                Guarded::new(&values[..len])
            };
            let about: (&dyn core::fmt::Debug, &str) =
                (&(problem, short), "conv2d with short slices");
            let mut forward_scratch = cut(forward_scratch.clone().get(), 4);
            let mut scratch = cut(&vec![0.0; backward_scratch.max(1)], 4);
            let mut input = cut(&data.input, 0);
            let mut weights = cut(&data.weights, 1);
            let mut packed = cut(&packed, 1);
            let mut bias = cut(bias, 2);
            let mut output = cut(&data.d_output, 3);
            if short < 4 || set.conv2d_f32_scratch_len(params) > 0 {
                call_wrongly(about, || {
                    let (scratch, output) = (forward_scratch.get(), output.get());
                    let bias = Some(&*bias.get());
                    set.conv2d_f32(params, input.get(), packed.get(), bias, scratch, output);
                });
            }
            if short < 4 || backward_scratch > 0 {
                if short != 2 {
                    call_wrongly(about, || {
                        let (weights, scratch) = (weights.get(), scratch.get());
                        let (d_output, d_input) = (output.get(), input.get());
                        set.conv2d_f32_backward_input(params, d_output, weights, scratch, d_input);
                    });
                }
                call_wrongly(about, || {
                    let (weights, scratch, bias) = (weights.get(), scratch.get(), bias.get());
                    let (d_output, input) = (output.get(), input.get());
                    let bias = Some(bias);
                    set.conv2d_f32_backward_weights(
                        params, input, d_output, scratch, weights, bias,
                    );
                });
            }
            let buffers = [
                forward_scratch,
                scratch,
                input,
                weights,
                packed,
                bias,
                output,
            ];
            for buffer in buffers {
                buffer.finish(about);
            }
        }
    }
}

/// Checks convolution, forward and backward.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn conv2d(set: &dyn BackwardKernels, agreement: Agreement) {
    let mut random = Random::new(2);
    for problem in problems() {
        check(set, agreement, &problem, &mut random);
        check_pooled(set, &problem, &mut random);
    }
    check_special_values(set);
    check_short_slices(set);
}
