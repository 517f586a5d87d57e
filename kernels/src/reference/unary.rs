//! Functions of each element by itself, in place. Backward works from the forward function's output.

use crate::lengths;
use crate::params::{SIXTH, Unary, clamp, hard_sigmoid};

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
            Unary::Clip { .. }
            | Unary::Elu { .. }
            | Unary::HardSigmoid { .. }
            | Unary::HardSwish => *d,
        };
    }
}
