//! Functions of each element, and softmax.

use core::fmt::Debug;

use super::{Agreement, Guarded, Random, assert_agrees, assert_same, call_wrongly};
use crate::ops::BackwardKernels;
use crate::params::Unary;
use crate::reference;

/// Every function, with more than one choice of its numbers.
const FUNCTIONS: [Unary; 35] = [
    Unary::Relu,
    Unary::Relu6,
    Unary::LeakyRelu { slope: 0.01 },
    Unary::LeakyRelu { slope: 0.0 },
    Unary::LeakyRelu { slope: 1.5 },
    Unary::Sigmoid,
    Unary::Tanh,
    Unary::Clip {
        low: -1.0,
        high: 0.5,
    },
    Unary::Clip {
        low: f32::NEG_INFINITY,
        high: 0.0,
    },
    Unary::Elu { alpha: 1.0 },
    Unary::Elu { alpha: -0.25 },
    Unary::HardSigmoid {
        alpha: 0.2,
        beta: 0.5,
    },
    Unary::HardSigmoid {
        alpha: -1.5,
        beta: 0.0,
    },
    Unary::HardSwish,
    Unary::LeakyRelu { slope: -0.5 },
    Unary::Selu {
        alpha: 1.673_263_2,
        gamma: 1.050_701,
    },
    Unary::Selu {
        alpha: -0.5,
        gamma: 2.0,
    },
    Unary::Swish { alpha: 1.0 },
    Unary::Swish { alpha: 1.702 },
    Unary::Swish { alpha: -0.5 },
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
    Unary::Power { exponent: 0.5 },
    Unary::Power { exponent: -1.5 },
    Unary::Power { exponent: 0.0 },
    Unary::Elu { alpha: 0.0 },
];

/// True if sets may have an approximation of their own, forward or backward.
fn is_curved(function: Unary) -> bool {
    match function {
        Unary::Sigmoid
        | Unary::Tanh
        | Unary::Elu { .. }
        | Unary::Selu { .. }
        | Unary::Swish { .. }
        | Unary::Softplus
        | Unary::Mish
        | Unary::Gelu
        | Unary::GeluTanh
        | Unary::Erf
        | Unary::Exp
        | Unary::Log
        | Unary::Sqrt
        | Unary::Power { .. } => true,
        Unary::Relu
        | Unary::Relu6
        | Unary::LeakyRelu { .. }
        | Unary::Clip { .. }
        | Unary::HardSigmoid { .. }
        | Unary::HardSwish
        | Unary::Softsign
        | Unary::Abs => false,
    }
}

/// Values at and beside every kink and limit.
const SPECIALS: [f32; 16] = [
    0.0,
    -0.0,
    6.0,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-42,
    -1e-42,
    89.0,
    -89.0,
    -104.0,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    1.0,
];

/// Checks functions of each element, forward and backward. Relu and its kind are the same bits in
/// every set; a set of its own sigmoid, logarithm or power is allowed a few units in the last place.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn unary(set: &dyn BackwardKernels, agreement: Agreement) {
    let mut random = Random::new(6);
    for len in (0..=40).chain([1000]) {
        let mut values: Vec<f32> = random.values(len).iter().map(|x| x * 8.0).collect();
        for (value, special) in values.iter_mut().zip(SPECIALS) {
            *value = special;
        }
        values.rotate_right(len / 3);
        for function in FUNCTIONS {
            let agreement = match is_curved(function) {
                true => agreement,
                false => Agreement::Exact,
            };
            let about: (&dyn Debug, &str) = (&(function, len), "unary_f32");
            let mut data = Guarded::new(&values);
            set.unary_f32(function, data.get());
            let found = data.finish(about);
            let mut expected = values.clone();
            reference::unary_f32(function, &mut expected);
            // Units in the last place of 1, of the result, and of an input that a factor near 0 or 1 multiplies.
            let ulps = values.iter().zip(&expected).map(|(x, y)| {
                let input = x.abs().min(100.0);
                input
                    .max(if y.is_finite() { y.abs() } else { 0.0 })
                    .max(1.0)
            });
            let ulps: Vec<f32> = ulps.collect();
            assert_agrees(agreement, about, &found, &expected, (6, &ulps));

            let about: (&dyn Debug, &str) = (&(function, len), "unary_f32_backward");
            let gradient = random.values(len);
            let mut d = Guarded::new(&gradient);
            set.unary_f32_backward(function, &expected, d.get());
            let mut expected_d = gradient;
            reference::unary_f32_backward(function, &expected, &mut expected_d);
            let found = d.finish(about);
            let ulps = vec![1.0; len];
            assert_agrees(agreement, about, &found, &expected_d, (6, &ulps));

            let about: (&dyn Debug, &str) = (&(function, len), "unary_f32_backward_from_input");
            let gradient = random.values(len);
            let mut d = Guarded::new(&gradient);
            set.unary_f32_backward_from_input(function, &values, d.get());
            let mut expected_d = gradient;
            reference::unary_f32_backward_from_input(function, &values, &mut expected_d);
            let found = d.finish(about);
            let ulps: Vec<f32> = expected_d.iter().map(|d| d.abs().max(1.0)).collect();
            assert_agrees(agreement, about, &found, &expected_d, (6, &ulps));
        }
    }
    let about: (&dyn Debug, &str) = (&(9, 10), "unary_f32_backward with short slices");
    let mut d = Guarded::new(&[1.0; 10]);
    call_wrongly(about, || {
        set.unary_f32_backward(Unary::Relu, &[1.0; 9], d.get());
    });
    call_wrongly(about, || {
        set.unary_f32_backward_from_input(Unary::Relu, &[1.0; 9], d.get());
    });
    d.finish(about);
}

/// Checks the logarithm of softmax, forward and backward.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn log_softmax(set: &dyn BackwardKernels, agreement: Agreement) {
    let mut random = Random::new(14);
    for channels in 1..=35 {
        for (runs, spread) in [(0, 1.0), (1, 1.0), (3, 20.0), (2, 1000.0)] {
            let about: (&dyn Debug, &str) = (&(channels, runs, spread), "log_softmax_f32");
            let values = random.values(runs * channels);
            let values: Vec<f32> = values.iter().map(|x| x * spread).collect();
            let mut data = Guarded::new(&values);
            set.log_softmax_f32(channels, data.get());
            let found = data.finish(about);
            let mut expected = values;
            reference::log_softmax_f32(channels, &mut expected);
            let magnitudes: Vec<f32> = expected.iter().map(|x| x.abs().max(1.0)).collect();
            assert_agrees(
                agreement,
                about,
                &found,
                &expected,
                (channels + 4, &magnitudes),
            );

            let about: (&dyn Debug, &str) = (&(channels, runs, spread), "log_softmax_f32_backward");
            let gradient = random.values(expected.len());
            let mut d = Guarded::new(&gradient);
            set.log_softmax_f32_backward(channels, &expected, d.get());
            let mut expected_d = gradient;
            reference::log_softmax_f32_backward(channels, &expected, &mut expected_d);
            let found = d.finish(about);
            let ulps = vec![channels as f32; expected.len()];
            assert_agrees(agreement, about, &found, &expected_d, (channels + 4, &ulps));
        }
    }
    let about: (&dyn Debug, &str) = (&(3, 10), "log_softmax_f32 with slices that do not fit");
    let mut data = Guarded::new(&[1.0; 10]);
    call_wrongly(about, || set.log_softmax_f32(3, data.get()));
    call_wrongly(about, || {
        set.log_softmax_f32_backward(3, &[1.0; 9], data.get());
    });
    data.finish(about);
}

/// Checks softmax, forward and backward.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn softmax(set: &dyn BackwardKernels, agreement: Agreement) {
    let mut random = Random::new(7);
    for channels in 1..=35 {
        for (runs, spread) in [(0, 1.0), (1, 1.0), (3, 20.0), (2, 1000.0)] {
            let about: (&dyn Debug, &str) = (&(channels, runs, spread), "softmax_f32");
            let values = random.values(runs * channels);
            let values: Vec<f32> = values.iter().map(|x| x * spread).collect();
            let mut data = Guarded::new(&values);
            set.softmax_f32(channels, data.get());
            let found = data.finish(about);
            let mut expected = values.clone();
            reference::softmax_f32(channels, &mut expected);
            let ulps = vec![1.0; values.len()];
            assert_agrees(agreement, about, &found, &expected, (channels + 4, &ulps));
            for (run, values) in found.chunks(channels).zip(values.chunks(channels)) {
                let mut alone = values.to_vec();
                set.softmax_f32(channels, &mut alone);
                assert_same(about, &alone, run);
            }

            let about: (&dyn Debug, &str) = (&(channels, runs, spread), "softmax_f32_backward");
            let gradient = random.values(values.len());
            let mut d = Guarded::new(&gradient);
            set.softmax_f32_backward(channels, &expected, d.get());
            let mut expected_d = gradient;
            reference::softmax_f32_backward(channels, &expected, &mut expected_d);
            let found = d.finish(about);
            assert_agrees(agreement, about, &found, &expected_d, (channels + 4, &ulps));
        }
    }
    // One NaN makes its own run NaN and no other; two infinities leave no probability to share.
    let nan = [1.0, f32::NAN, 2.0, 0.5, 0.5, 0.25];
    let infinite = [
        f32::INFINITY,
        f32::INFINITY,
        0.0,
        0.0,
        f32::NEG_INFINITY,
        0.0,
    ];
    for values in [nan, infinite] {
        let mut found = values;
        set.softmax_f32(3, &mut found);
        let mut expected = values;
        reference::softmax_f32(3, &mut expected);
        let about: (&dyn Debug, &str) = (&values, "softmax_f32");
        let ulps = [1.0; 6];
        assert_agrees(agreement, about, &found, &expected, (7, &ulps));
    }
    let about: (&dyn Debug, &str) = (&(3, 10), "softmax with slices that do not fit");
    let mut data = Guarded::new(&[1.0; 10]);
    call_wrongly(about, || set.softmax_f32(3, data.get()));
    call_wrongly(about, || set.softmax_f32(0, data.get()));
    call_wrongly(about, || set.softmax_f32_backward(3, &[1.0; 9], data.get()));
    data.finish(about);
}
