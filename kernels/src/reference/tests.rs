//! The oracle against calculus: every gradient against central differences of the forward function.
//!
//! The loss is a sum of outputs with random factors, summed in f64. Where the outputs are linear in what
//! is varied, the step is large, so that rounding is all the error there is; elsewhere it is chosen so
//! that rounding and curvature stay well below the tolerance.

use super::*;
use crate::params::{Activation, CountPadding, Padding, Rounding, Window};
use crate::testing::Random;
use crate::{ParamsError, Shape};

/// Steps for outputs that are linear in what is varied, and for others.
const LINEAR: f32 = 0.5;
const CURVED: f32 = 1.0 / 128.0;

/// `sum of factors * outputs`.
fn loss(outputs: &[f32], factors: &[f32]) -> f64 {
    let terms = outputs.iter().zip(factors);
    terms.map(|(&y, &f)| f64::from(y) * f64::from(f)).sum()
}

/// Panics unless `gradient` is that of `loss` at `at`.
fn assert_gradient(
    what: &str,
    at: &[f32],
    gradient: &[f32],
    step: f32,
    mut loss: impl FnMut(&[f32]) -> f64,
) {
    assert_eq!(at.len(), gradient.len(), "{what}");
    let mut x = at.to_vec();
    for i in 0..at.len() {
        let (low, high) = (at[i] - step, at[i] + step);
        x[i] = low;
        let before = loss(&x);
        x[i] = high;
        let after = loss(&x);
        x[i] = at[i];
        let expected = (after - before) / (f64::from(high) - f64::from(low));
        let error = (f64::from(gradient[i]) - expected).abs();
        assert!(
            error <= 2e-4 * expected.abs().max(1.0),
            "{what}: element {i} is {} instead of {expected}",
            gradient[i]
        );
    }
}

#[test]
fn conv2d_gradients() -> Result<(), ParamsError> {
    let uneven = Padding {
        top: 1,
        bottom: 0,
        left: 2,
        right: 1,
    };
    let same = Window::new(3, 3).with_padding(Padding::symmetric(1, 1));
    let strided = Window::new(3, 2).with_stride(2, 3).with_padding(uneven);
    let dilated = Window::new(2, 3).with_dilation(2, 2).with_padding(uneven);
    for (name, channels, out_channels, window, groups) in [
        ("same", 2, 3, same, 1),
        ("strided", 3, 2, strided, 1),
        ("dilated", 2, 2, dilated, 1),
        ("grouped", 4, 6, same, 2),
        ("depthwise", 3, 3, strided, 3),
        ("pointwise", 4, 3, Window::new(1, 1).with_stride(2, 1), 1),
    ] {
        let input = Shape::new(5, 6, channels);
        let params = Conv2d::new(input, out_channels, window, groups, Activation::Identity)?;
        let mut random = Random::new(11);
        let input = random.values(2 * params.input().len());
        let weights = random.values(params.weights_len());
        let bias = random.values(out_channels);
        let factors = random.values(2 * params.output().len());
        let forward = |input: &[f32], weights: &[f32], bias: &[f32]| {
            let mut output = vec![0.0; factors.len()];
            conv2d_f32(&params, input, weights, Some(bias), &mut output);
            loss(&output, &factors)
        };
        let mut d_input = vec![f32::NAN; input.len()];
        conv2d_f32_backward_input(&params, &factors, &weights, &mut d_input);
        let mut d_weights = vec![0.0; weights.len()];
        let mut d_bias = vec![0.0; bias.len()];
        let to_bias = Some(&mut d_bias[..]);
        conv2d_f32_backward_weights(&params, &input, &factors, &mut d_weights, to_bias);
        assert_gradient(name, &input, &d_input, LINEAR, |x| {
            forward(x, &weights, &bias)
        });
        assert_gradient(name, &weights, &d_weights, LINEAR, |w| {
            forward(&input, w, &bias)
        });
        assert_gradient(name, &bias, &d_bias, LINEAR, |b| {
            forward(&input, &weights, b)
        });
    }
    Ok(())
}

#[test]
fn linear_gradients() -> Result<(), ParamsError> {
    let params = Linear::new(7, 5, Activation::Identity)?;
    let mut random = Random::new(12);
    let (input, weights) = (random.values(3 * 7), random.values(7 * 5));
    let (bias, factors) = (random.values(5), random.values(3 * 5));
    let forward = |input: &[f32], weights: &[f32], bias: &[f32]| {
        let mut output = vec![0.0; factors.len()];
        linear_f32(&params, input, weights, Some(bias), &mut output);
        loss(&output, &factors)
    };
    let mut d_input = vec![f32::NAN; input.len()];
    linear_f32_backward_input(&params, &factors, &weights, &mut d_input);
    let (mut d_weights, mut d_bias) = (vec![0.0; weights.len()], vec![0.0; bias.len()]);
    let to_bias = Some(&mut d_bias[..]);
    linear_f32_backward_weights(&params, 0..5, &input, &factors, &mut d_weights, to_bias);
    assert_gradient("input", &input, &d_input, LINEAR, |x| {
        forward(x, &weights, &bias)
    });
    assert_gradient("weights", &weights, &d_weights, LINEAR, |w| {
        forward(&input, w, &bias)
    });
    assert_gradient("bias", &bias, &d_bias, LINEAR, |b| {
        forward(&input, &weights, b)
    });
    Ok(())
}

/// Values an eighth apart in random order: a small step changes no maximum.
fn distinct(len: usize, random: &mut Random) -> Vec<f32> {
    let mut values: Vec<f32> = (0..len).map(|i| i as f32 / 8.0).collect();
    for i in (1..len).rev() {
        values.swap(i, random.below(i + 1));
    }
    values
}

#[test]
fn pool2d_gradients() -> Result<(), ParamsError> {
    let padded = Padding::symmetric(1, 1);
    let windows = [
        Window::new(2, 2).with_stride(2, 2),
        Window::new(3, 3).with_stride(2, 2).with_padding(padded),
        Window::new(3, 2).with_stride(1, 3),
        Window::new(2, 2).with_dilation(2, 1),
    ];
    for window in windows {
        for rounding in [Rounding::Floor, Rounding::Ceil] {
            for count in [CountPadding::Include, CountPadding::Exclude] {
                let params = Pool2d::new(Shape::new(5, 6, 3), window, rounding, count)?;
                let mut random = Random::new(13);
                let input = distinct(2 * params.input().len(), &mut random);
                let factors = random.values(2 * params.output().len());
                let what = format!("{params:?}");
                let mut d_input = vec![f32::NAN; input.len()];
                let mut output = vec![0.0; factors.len()];
                max_pool2d_f32_backward(&params, &input, &factors, &mut d_input);
                assert_gradient(&what, &input, &d_input, 1.0 / 32.0, |x| {
                    max_pool2d_f32(&params, x, &mut output);
                    loss(&output, &factors)
                });
                avg_pool2d_f32_backward(&params, &factors, &mut d_input);
                assert_gradient(&what, &input, &d_input, LINEAR, |x| {
                    avg_pool2d_f32(&params, x, &mut output);
                    loss(&output, &factors)
                });
            }
        }
    }
    Ok(())
}

#[test]
fn unary_gradients() {
    for function in [
        Unary::Relu,
        Unary::Relu6,
        Unary::LeakyRelu { slope: 0.01 },
        Unary::LeakyRelu { slope: 0.3 },
        Unary::Sigmoid,
        Unary::Tanh,
        Unary::Elu { alpha: 0.7 },
        Unary::Selu {
            alpha: 1.673_263_2,
            gamma: 1.050_701,
        },
        Unary::Softplus,
        Unary::Softsign,
    ] {
        let mut random = Random::new(14);
        // On both sides of every kink, and never within a step of one.
        let x: Vec<f32> = (0..64).map(|i| (i as f32 - 31.5) / 4.0).collect();
        let factors = random.values(x.len());
        let mut output = x.clone();
        unary_f32(function, &mut output);
        let mut d = factors.clone();
        unary_f32_backward(function, &output, &mut d);
        assert_gradient(&format!("{function:?}"), &x, &d, CURVED, |x| {
            let mut output = x.to_vec();
            unary_f32(function, &mut output);
            loss(&output, &factors)
        });
    }
}

#[test]
fn unary_gradients_from_the_input() {
    for function in [
        Unary::Relu,
        Unary::Relu6,
        Unary::LeakyRelu { slope: -0.4 },
        Unary::Sigmoid,
        Unary::Tanh,
        Unary::Clip {
            low: -0.9,
            high: 2.1,
        },
        Unary::Elu { alpha: -0.7 },
        Unary::HardSigmoid {
            alpha: 0.2,
            beta: 0.5,
        },
        Unary::HardSwish,
        Unary::Selu {
            alpha: -0.5,
            gamma: 2.0,
        },
        Unary::Swish { alpha: 1.0 },
        Unary::Swish { alpha: -1.7 },
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
        Unary::Power { exponent: 3.0 },
        Unary::Power { exponent: -1.5 },
        Unary::Power { exponent: 0.0 },
    ] {
        let mut random = Random::new(14);
        // On both sides of every kink, and never within a step of one; where the function is.
        let x: Vec<f32> = (0..64).map(|i| (i as f32 - 31.5) / 8.0).collect();
        let above_0 = match function {
            Unary::Log | Unary::Sqrt => true,
            Unary::Power { exponent } => exponent != 3.0,
            _ => false,
        };
        let x: Vec<f32> = match above_0 {
            true => x.iter().map(|x| x.abs() + 1.0).collect(),
            false => x,
        };
        let factors = random.values(x.len());
        let mut d = factors.clone();
        unary_f32_backward_from_input(function, &x, &mut d);
        assert_gradient(&format!("{function:?}"), &x, &d, CURVED, |x| {
            let mut output = x.to_vec();
            unary_f32(function, &mut output);
            loss(&output, &factors)
        });
    }
}

#[test]
fn kinks_and_flat_sides_stop_what_is_infinite() {
    for (function, x) in [
        (Unary::Relu, -1.0),
        (Unary::Relu, 0.0),
        (Unary::Abs, 0.0),
        (Unary::HardSwish, -3.0),
        (Unary::Power { exponent: 0.0 }, 0.0),
    ] {
        let mut d = [f32::INFINITY];
        unary_f32_backward_from_input(function, &[x], &mut d);
        assert_eq!(d, [0.0], "{function:?} at {x}");
    }
}

#[test]
fn log_softmax_gradient() {
    let mut random = Random::new(15);
    let (x, factors) = (random.values(3 * 7), random.values(3 * 7));
    let forward = |x: &[f32]| {
        let mut output = x.to_vec();
        log_softmax_f32(7, &mut output);
        output
    };
    let mut d = factors.clone();
    log_softmax_f32_backward(7, &forward(&x), &mut d);
    assert_gradient("log softmax", &x, &d, CURVED, |x| {
        loss(&forward(x), &factors)
    });
}

#[test]
fn softmax_gradient() {
    let mut random = Random::new(15);
    let (x, factors) = (random.values(3 * 7), random.values(3 * 7));
    let forward = |x: &[f32]| {
        let mut output = x.to_vec();
        softmax_f32(7, &mut output);
        output
    };
    let mut d = factors.clone();
    softmax_f32_backward(7, &forward(&x), &mut d);
    assert_gradient("softmax", &x, &d, CURVED, |x| loss(&forward(x), &factors));
}

#[test]
fn cross_entropy_gradient() {
    let mut random = Random::new(16);
    let logits: Vec<f32> = random.values(10).iter().map(|x| x * 3.0).collect();
    for class in 0..10 {
        let mut d = vec![f32::NAN; 10];
        let found = cross_entropy_f32(&logits, class, &mut d);
        // What it is: the negative logarithm of the class's probability.
        let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
        let expected = sum.ln() - f64::from(logits[class]);
        assert!(
            (f64::from(found) - expected).abs() < 1e-5,
            "{found} instead of {expected}"
        );
        let mut unused = vec![0.0; 10];
        assert_gradient("cross entropy", &logits, &d, CURVED, |x| {
            f64::from(cross_entropy_f32(x, class, &mut unused))
        });
    }
}

#[test]
fn batch_norm_gradients() {
    let (channels, epsilon) = (3, 1e-5);
    let mut random = Random::new(17);
    let input = random.values(4 * 6 * channels);
    let (weights, bias) = (random.values(channels), random.values(channels));
    let factors = random.values(input.len());
    let forward = |input: &[f32], weights: &[f32], bias: &[f32]| {
        let mut output = vec![0.0; input.len()];
        batch_norm::batch_norm_f32(epsilon, input, weights, bias, &mut output);
        loss(&output, &factors)
    };
    let mut d_input = vec![f32::NAN; input.len()];
    let (mut d_weights, mut d_bias) = (vec![0.0; channels], vec![0.0; channels]);
    batch_norm::batch_norm_f32_backward(
        epsilon,
        &input,
        &weights,
        &factors,
        &mut d_input,
        &mut d_weights,
        &mut d_bias,
    );
    assert_gradient("input", &input, &d_input, CURVED, |x| {
        forward(x, &weights, &bias)
    });
    assert_gradient("weights", &weights, &d_weights, LINEAR, |w| {
        forward(&input, w, &bias)
    });
    assert_gradient("bias", &bias, &d_bias, LINEAR, |b| {
        forward(&input, &weights, b)
    });
}
