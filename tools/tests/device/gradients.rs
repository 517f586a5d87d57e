//! The gradients of single layers against the oracle, on sizes around those of tiles and work-groups.

use kinglet::opencl::{OpenClError, Recording};
use kinglet_kernels::testing::Random;
use kinglet_kernels::{
    Activation, Binary, BinaryFunction, Conv2d, CountPadding, Linear, Padding, Pool2d, Rounding,
    Shape, Unary, Window, reference,
};

use crate::{assert_close, buffer, run, unwritten};

/// Sums of a few hundred terms in another order.
const BOUND: f32 = 2e-5;

fn same_3x3() -> Window {
    Window::new(3, 3).with_padding(Padding::symmetric(1, 1))
}

/// Everything a window can do, and unevenly.
fn uneven() -> Window {
    let padding = Padding {
        top: 1,
        bottom: 2,
        left: 0,
        right: 1,
    };
    Window::new(3, 2)
        .with_stride(2, 3)
        .with_dilation(2, 1)
        .with_padding(padding)
}

fn conv2d(
    (height, width, channels): (usize, usize, usize),
    out_channels: usize,
    window: Window,
    groups: usize,
) -> Conv2d {
    let input = Shape::new(height, width, channels);
    Conv2d::new(input, out_channels, window, groups, Activation::Identity).unwrap()
}

fn check_conv2d(params: &Conv2d, batch: usize) {
    let what = |part: &str| format!("{part} of {params:?}, batch {batch}");
    let mut random = Random::new(5);
    let input = random.values(batch * params.input().len());
    let weights = random.values(params.weights_len());
    // As small as gradients of a mean: so sums over a batch stay of the order of 1.
    let share = (batch * params.output().height * params.output().width) as f32;
    let d_output: Vec<f32> = random
        .values(batch * params.output().len())
        .iter()
        .map(|d| d / share.sqrt())
        .collect();

    let (x, w, d) = (buffer(&input), buffer(&weights), buffer(&d_output));
    let scratch = unwritten(Recording::conv2d_f32_backward_scratch_len(params, batch));
    let d_input = unwritten(input.len());
    let (d_weights, d_bias) = (
        unwritten(weights.len()),
        unwritten(params.output().channels),
    );
    run(|recording| {
        let [x, w, d] = [&x, &w, &d].map(|buffer| buffer.whole());
        let (scratch, bias) = (scratch.whole(), d_bias.whole());
        recording
            .conv2d_f32_backward_weights(
                params,
                batch,
                x,
                d,
                scratch,
                d_weights.whole(),
                Some(bias),
            )
            .unwrap();
        recording
            .conv2d_f32_backward_input(params, batch, d, w, scratch, d_input.whole())
            .unwrap();
    });

    let mut expected = vec![0.0; input.len()];
    reference::conv2d_f32_backward_input(params, &d_output, &weights, &mut expected);
    assert_close(&what("d_input"), BOUND, &d_input, &expected);
    let mut expected = (vec![0.0; weights.len()], vec![0.0; d_bias.len()]);
    let (weights, bias) = (&mut expected.0, &mut expected.1);
    reference::conv2d_f32_backward_weights(params, &input, &d_output, weights, Some(bias));
    assert_close(&what("d_weights"), BOUND, &d_weights, &expected.0);
    assert_close(&what("d_bias"), BOUND, &d_bias, &expected.1);
}

#[test]
fn conv2d_small() {
    check_conv2d(&conv2d((4, 3, 2), 3, same_3x3(), 1), 2);
    check_conv2d(&conv2d((5, 4, 4), 6, uneven(), 2), 2);
    check_conv2d(&conv2d((2, 3, 5), 9, Window::new(1, 1), 1), 2);
    check_conv2d(&conv2d((3, 4, 5), 5, same_3x3(), 5), 3);
    check_conv2d(&conv2d((6, 5, 3), 3, uneven(), 3), 2);
}

#[test]
fn conv2d_around_tiles() {
    for channels in [1, 3, 4, 5, 8, 9, 17] {
        for out_channels in [1, 3, 4, 7, 8, 9, 16, 33] {
            check_conv2d(&conv2d((5, 4, channels), out_channels, same_3x3(), 1), 2);
            check_conv2d(
                &conv2d((3, 5, channels), out_channels, Window::new(1, 1), 1),
                3,
            );
        }
        check_conv2d(&conv2d((7, 6, channels), 5, uneven(), 1), 3);
    }
}

#[test]
fn conv2d_in_groups() {
    for groups in [2, 3] {
        for (channels, out_channels) in [(1, 2), (2, 1), (4, 4), (5, 9)] {
            let (channels, out_channels) = (groups * channels, groups * out_channels);
            check_conv2d(
                &conv2d((6, 7, channels), out_channels, same_3x3(), groups),
                3,
            );
            check_conv2d(&conv2d((9, 8, channels), out_channels, uneven(), groups), 2);
            check_conv2d(
                &conv2d((2, 3, channels), out_channels, Window::new(1, 1), groups),
                2,
            );
        }
    }
    for channels in [1, 2, 7, 8, 16, 33] {
        check_conv2d(&conv2d((6, 7, channels), channels, same_3x3(), channels), 3);
        check_conv2d(&conv2d((9, 8, channels), channels, uneven(), channels), 2);
    }
}

/// More pixels than one partial sum goes over, and more samples than there are columns of at a time.
#[test]
fn conv2d_over_many_pixels() {
    check_conv2d(&conv2d((32, 32, 3), 4, same_3x3(), 1), 3);
    check_conv2d(&conv2d((32, 32, 4), 4, same_3x3(), 2), 2);
    check_conv2d(&conv2d((32, 32, 2), 4, Window::new(1, 1), 1), 3);
    let wide = Window::new(7, 7).with_padding(Padding::symmetric(3, 3));
    check_conv2d(&conv2d((32, 32, 64), 2, wide, 1), 3);
}

fn check_linear(in_features: usize, out_features: usize, batch: usize) {
    let params = Linear::new(in_features, out_features, Activation::Identity).unwrap();
    let what = |part: &str| format!("{part} of {params:?}, batch {batch}");
    let mut random = Random::new(6);
    let input = random.values(batch * in_features);
    let weights = random.values(params.weights_len());
    let d_output = random.values(batch * out_features);
    let (x, w, d) = (buffer(&input), buffer(&weights), buffer(&d_output));
    let d_input = unwritten(input.len());
    let (d_weights, d_bias) = (unwritten(weights.len()), unwritten(out_features));
    run(|recording| {
        let [x, w, d] = [&x, &w, &d].map(|buffer| buffer.whole());
        let bias = Some(d_bias.whole());
        recording
            .linear_f32_backward_weights(&params, batch, x, d, d_weights.whole(), bias)
            .unwrap();
        recording
            .linear_f32_backward_input(&params, batch, d, w, d_input.whole())
            .unwrap();
    });
    let mut expected = vec![0.0; input.len()];
    reference::linear_f32_backward_input(&params, &d_output, &weights, &mut expected);
    assert_close(&what("d_input"), BOUND, &d_input, &expected);
    let mut expected = (vec![0.0; weights.len()], vec![0.0; out_features]);
    let (weights, bias) = (&mut expected.0, &mut expected.1);
    let rows = 0..out_features;
    reference::linear_f32_backward_weights(&params, rows, &input, &d_output, weights, Some(bias));
    assert_close(&what("d_weights"), BOUND, &d_weights, &expected.0);
    assert_close(&what("d_bias"), BOUND, &d_bias, &expected.1);
}

#[test]
fn linear_small() {
    check_linear(5, 3, 2);
    check_linear(9, 7, 5);
}

#[test]
fn linear_around_tiles() {
    for in_features in [1, 7, 8, 9, 33] {
        for out_features in [1, 3, 4, 10, 17] {
            for batch in [1, 4, 33] {
                check_linear(in_features, out_features, batch);
            }
        }
    }
}

fn check_pools(problems: usize, largest: usize) {
    let mut random = Random::new(8);
    for problem in 0..problems {
        let mut extent = || 1 + random.below(largest);
        let shape = Shape::new(extent(), extent(), extent());
        let mut pick = |from: usize, below: usize| from + random.below(below);
        let padding = Padding {
            top: pick(0, 2),
            bottom: pick(0, 2),
            left: pick(0, 2),
            right: pick(0, 2),
        };
        let window = Window::new(pick(1, 4), pick(1, 4))
            .with_stride(pick(1, 3), pick(1, 3))
            .with_dilation(pick(1, 2), pick(1, 2))
            .with_padding(padding);
        let rounding = random.choose(&[Rounding::Floor, Rounding::Ceil]);
        let count = random.choose(&[CountPadding::Include, CountPadding::Exclude]);
        let Ok(params) = Pool2d::new(shape, window, rounding, count) else {
            continue;
        };
        let batch = 1 + random.below(3);
        // Few different values, so that many maxima are equal; now and then a NaN.
        let value = |random: &mut Random| match problem % 5 == 0 && random.below(9) == 0 {
            true => f32::NAN,
            false => random.below(3) as f32,
        };
        let input: Vec<f32> = (0..batch * shape.len())
            .map(|_| value(&mut random))
            .collect();
        let d_output = random.values(batch * params.output().len());
        let (x, d) = (buffer(&input), buffer(&d_output));
        let (of_max, of_average) = (unwritten(input.len()), unwritten(input.len()));
        run(|recording| {
            let (x, d) = (x.whole(), d.whole());
            recording
                .max_pool2d_f32_backward(&params, batch, x, d, of_max.whole())
                .unwrap();
            recording
                .avg_pool2d_f32_backward(&params, batch, d, of_average.whole())
                .unwrap();
        });
        let mut expected = vec![0.0; input.len()];
        reference::max_pool2d_f32_backward(&params, &input, &d_output, &mut expected);
        assert_close(&format!("max {params:?}"), 1e-6, &of_max, &expected);
        reference::avg_pool2d_f32_backward(&params, &d_output, &mut expected);
        assert_close(&format!("average {params:?}"), 1e-6, &of_average, &expected);
    }
}

#[test]
fn pools_small() {
    check_pools(12, 5);
}

#[test]
fn pools_of_every_kind() {
    check_pools(300, 13);
}

#[test]
fn functions_small() {
    for function in [
        Unary::Relu,
        Unary::Relu6,
        Unary::LeakyRelu { slope: 0.1 },
        Unary::Sigmoid,
        Unary::Tanh,
        Unary::Elu { alpha: 0.75 },
        Unary::Selu {
            alpha: 1.673_263_2,
            gamma: 1.050_701,
        },
        Unary::Softplus,
        Unary::Softsign,
    ] {
        let mut random = Random::new(9);
        let mut output: Vec<f32> = random.values(70).iter().map(|x| x * 8.0).collect();
        output[..3].copy_from_slice(&[0.0, -0.0, 6.0]);
        reference::unary_f32(function, &mut output);
        let mut expected = random.values(output.len());
        let (y, d) = (buffer(&output), buffer(&expected));
        run(|recording| {
            recording
                .unary_f32_backward(function, y.whole(), d.whole())
                .unwrap();
        });
        reference::unary_f32_backward(function, &output, &mut expected);
        assert_close(&format!("{function:?}"), 1e-6, &d, &expected);
    }
}

#[test]
fn functions_from_their_input_small() {
    for function in [
        Unary::Relu,
        Unary::Relu6,
        Unary::LeakyRelu { slope: -0.1 },
        Unary::Sigmoid,
        Unary::Tanh,
        Unary::Clip {
            low: -1.0,
            high: 0.5,
        },
        Unary::Elu { alpha: -0.75 },
        Unary::HardSigmoid {
            alpha: 0.2,
            beta: 0.5,
        },
        Unary::HardSwish,
        Unary::Selu {
            alpha: 1.673_263_2,
            gamma: 1.050_701,
        },
        Unary::Swish { alpha: 1.5 },
        Unary::Softplus,
        Unary::Softsign,
        Unary::Mish,
        Unary::Gelu,
        Unary::GeluTanh,
        Unary::Erf,
        Unary::Abs,
        Unary::Exp,
        Unary::Log,
        Unary::Sqrt,
        Unary::Power { exponent: 2.5 },
        Unary::Power { exponent: 0.0 },
    ] {
        let mut random = Random::new(9);
        let mut input: Vec<f32> = random.values(70).iter().map(|x| x * 4.0).collect();
        input[..3].copy_from_slice(&[0.0, 3.0, 6.0]);
        // Of the others, where the function is; there its slope is finite.
        if let Unary::Log | Unary::Sqrt | Unary::Power { .. } = function {
            input.iter_mut().for_each(|x| *x = x.abs() + 0.25);
        }
        let mut expected = random.values(input.len());
        let (x, d) = (buffer(&input), buffer(&expected));
        run(|recording| {
            recording
                .unary_f32_backward_from_input(function, x.whole(), d.whole())
                .unwrap();
        });
        reference::unary_f32_backward_from_input(function, &input, &mut expected);
        assert_close(&format!("{function:?}"), 2e-6, &d, &expected);
    }
}

/// Against finite differences of what the function computes of an element and its operand.
#[test]
fn binary_small() {
    let shape = Shape::new(3, 2, 5);
    let operands = [
        shape,
        Shape::vector(5),
        Shape::new(3, 2, 1),
        Shape::new(1, 2, 5),
        Shape::new(3, 1, 1),
    ];
    for function in BinaryFunction::ALL {
        for operand in operands {
            let params = Binary::new(function, Activation::Identity, shape, operand).unwrap();
            let (batch, lens) = (2, [shape.len(), operand.len()]);
            let mut random = Random::new(3);
            // From 0.5 on, of either sign: nothing is divided by what is near 0.
            let mut numbers = |len: usize| -> Vec<f32> {
                let values = random.values(batch * len);
                values.iter().map(|x| x + 0.5_f32.copysign(*x)).collect()
            };
            let values = lens.map(&mut numbers);
            let d_output = numbers(lens[0]);
            let mut expected = lens.map(|len| vec![0.0_f32; batch * len]);
            let [rows, columns, run_] = params.loops();
            for (i, d) in d_output.iter().enumerate() {
                let (sample, element) = (i / lens[0], i % lens[0]);
                let (pixel, k) = (element / run_.extent, element % run_.extent);
                let (row, column) = (pixel / columns.extent, pixel % columns.extent);
                assert!(row < rows.extent);
                let from = row * rows.from + column * columns.from + k * run_.from;
                let j = sample * lens[1] + from;
                let (x, o, step) = (values[0][i], values[1][j], 1e-3);
                let slope = |above: f32, below: f32| d * (above - below) / (2.0 * step);
                let of = |x, o| function.apply(x, o);
                expected[0][i] += slope(of(x + step, o), of(x - step, o));
                expected[1][j] += slope(of(x, o + step), of(x, o - step));
            }
            let [x, o] = [0, 1].map(|which| buffer(&values[which]));
            let d = buffer(&d_output);
            for which in [0, 1] {
                let found = unwritten(batch * lens[which]);
                run(|recording| {
                    let operands = [x.whole(), o.whole()];
                    recording
                        .binary_f32_backward(
                            &params,
                            operands,
                            d.whole(),
                            which == 1,
                            found.whole(),
                        )
                        .unwrap();
                });
                let what = format!("{function:?} of {operand:?}, {which}");
                assert_close(&what, 2e-3, &found, &expected[which]);
            }
        }
    }
}

#[test]
fn softmax_small() {
    for channels in [1, 3, 10] {
        let mut random = Random::new(10);
        let mut output = random.values(5 * channels);
        reference::softmax_f32(channels, &mut output);
        let mut expected = random.values(output.len());
        let (y, d) = (buffer(&output), buffer(&expected));
        run(|recording| {
            recording
                .softmax_f32_backward(channels, y.whole(), d.whole())
                .unwrap();
        });
        reference::softmax_f32_backward(channels, &output, &mut expected);
        assert_close("softmax", 1e-6, &d, &expected);
    }
}

#[test]
fn log_softmax_small() {
    for channels in [1, 3, 10] {
        let mut random = Random::new(10);
        let mut output = random.values(5 * channels);
        reference::log_softmax_f32(channels, &mut output);
        let mut expected = random.values(output.len());
        let (y, d) = (buffer(&output), buffer(&expected));
        run(|recording| {
            recording
                .log_softmax_f32_backward(channels, y.whole(), d.whole())
                .unwrap();
        });
        reference::log_softmax_f32_backward(channels, &output, &mut expected);
        assert_close("log softmax", 1e-6, &d, &expected);
    }
}

#[test]
fn short_tensors_are_refused_small() {
    let params = conv2d((4, 3, 2), 3, same_3x3(), 1);
    let (short, long) = (unwritten(5), unwritten(1000));
    let (short, long) = (short.whole(), long.whole());
    let mut recording = Recording::new(&crate::executor());
    let refused = [
        recording.conv2d_f32_backward_input(&params, 1, short, long, long, long),
        recording.conv2d_f32_backward_input(&params, 1, long, short, long, long),
        recording.conv2d_f32_backward_input(&params, 1, long, long, short, long),
        recording.conv2d_f32_backward_input(&params, 1, long, long, long, short),
        recording.conv2d_f32_backward_weights(&params, 1, short, long, long, long, None),
        recording.conv2d_f32_backward_weights(&params, 1, long, short, long, long, None),
        recording.conv2d_f32_backward_weights(&params, 1, long, long, short, long, None),
        recording.conv2d_f32_backward_weights(&params, 1, long, long, long, short, None),
        recording.unary_f32_backward(Unary::Relu, short, long),
        recording.unary_f32_backward_from_input(Unary::Gelu, short, long),
        recording.softmax_f32_backward(10, short, long),
        recording.log_softmax_f32_backward(10, short, long),
        recording.multiply_f32(short, long, long),
        recording.copy_f32(long, short),
    ];
    for (i, refused) in refused.iter().enumerate() {
        assert!(
            matches!(refused, Err(OpenClError::Length { .. })),
            "{i}: {refused:?}"
        );
    }
}
