//! Functions of each element by itself, in place. Backward works from the forward function's output.

use core::f32::consts::FRAC_1_SQRT_2;

use crate::lengths;
use crate::params::{SIXTH, Unary, clamp, gelu_tanh_argument, hard_sigmoid, softplus};

/// Applies `function` to each element.
pub fn unary_f32(function: Unary, data: &mut [f32]) {
    for x in data {
        *x = match function {
            Unary::Relu => clamp(*x, 0.0, f32::INFINITY),
            Unary::Relu6 => clamp(*x, 0.0, 6.0),
            Unary::LeakyRelu { slope } => {
                if *x > 0.0 {
                    *x
                } else {
                    *x * slope
                }
            }
            Unary::Sigmoid => 1.0 / (1.0 + libm::expf(-*x)),
            Unary::Tanh => libm::tanhf(*x),
            Unary::Clip { low, high } => clamp(*x, low, high),
            Unary::Elu { alpha } => {
                if *x > 0.0 {
                    *x
                } else {
                    libm::expm1f(*x) * alpha
                }
            }
            Unary::HardSigmoid { alpha, beta } => hard_sigmoid(*x, alpha, beta),
            Unary::HardSwish => hard_sigmoid(*x, SIXTH, 0.5) * *x,
            Unary::Selu { alpha, gamma } => {
                if *x > 0.0 {
                    *x * gamma
                } else {
                    libm::expm1f(*x) * alpha * gamma
                }
            }
            Unary::Swish { alpha } => *x / (1.0 + libm::expf(-(*x * alpha))),
            Unary::Softplus => softplus(*x),
            Unary::Softsign => *x / (1.0 + x.abs()),
            Unary::Mish => libm::tanhf(softplus(*x)) * *x,
            Unary::Gelu => (1.0 + libm::erff(*x * FRAC_1_SQRT_2)) * (*x * 0.5),
            Unary::GeluTanh => (1.0 + libm::tanhf(gelu_tanh_argument(*x))) * (*x * 0.5),
            Unary::Erf => libm::erff(*x),
            Unary::Abs => x.abs(),
            Unary::Exp => libm::expf(*x),
            Unary::Log => libm::logf(*x),
            Unary::Sqrt => libm::sqrtf(*x),
            Unary::Power { exponent } => libm::powf(*x, exponent),
        };
    }
}

/// Turns the gradient of the output into that of the input, given the output. At a kink it is that of
/// the flat side, as in PyTorch. A function without [`Unary::has_backward`] leaves `d` as it is.
pub fn unary_f32_backward(function: Unary, output: &[f32], d: &mut [f32]) {
    if !lengths::same("output", output, d) {
        return;
    }
    for (d, &y) in d.iter_mut().zip(output) {
        *d = match function {
            Unary::Relu => {
                if y <= 0.0 {
                    0.0
                } else {
                    *d
                }
            }
            Unary::Relu6 => {
                if y <= 0.0 || y >= 6.0 {
                    0.0
                } else {
                    *d
                }
            }
            Unary::LeakyRelu { slope } => {
                if y > 0.0 {
                    *d
                } else {
                    *d * slope
                }
            }
            Unary::Sigmoid => *d * (1.0 - y) * y,
            Unary::Tanh => *d * (1.0 - y * y),
            Unary::Elu { alpha } => {
                if y > 0.0 {
                    *d
                } else {
                    *d * (y + alpha)
                }
            }
            Unary::Selu { alpha, gamma } => {
                if y > 0.0 {
                    *d * gamma
                } else {
                    *d * (y + alpha * gamma)
                }
            }
            Unary::Softplus => *d * -libm::expm1f(-y),
            Unary::Softsign => *d * ((1.0 - y.abs()) * (1.0 - y.abs())),
            Unary::Clip { .. }
            | Unary::HardSigmoid { .. }
            | Unary::HardSwish
            | Unary::Swish { .. }
            | Unary::Mish
            | Unary::Gelu
            | Unary::GeluTanh
            | Unary::Erf
            | Unary::Abs
            | Unary::Exp
            | Unary::Log
            | Unary::Sqrt
            | Unary::Power { .. } => *d,
        };
    }
}
