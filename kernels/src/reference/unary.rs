//! Functions of each element by itself, in place. Backward works from the forward function's output or, for any function,
//! from its input.

use core::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use crate::lengths;
use crate::params::{
    SIXTH, Unary, clamp, gelu_tanh_argument, gelu_tanh_slope, hard_sigmoid, softplus,
};

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

/// Turns the gradient of the output into that of the input, given the input: of every function. At a kink it is that of the
/// flat side, as in PyTorch, and what a flat side stops is 0 even if it was infinite.
pub fn unary_f32_backward_from_input(function: Unary, input: &[f32], d: &mut [f32]) {
    if !lengths::same("input", input, d) {
        return;
    }
    for (d, &x) in d.iter_mut().zip(input) {
        let slope = derivative(function, x);
        *d = if slope == 0.0 { 0.0 } else { *d * slope };
    }
}

/// The derivative at `x`.
fn derivative(function: Unary, x: f32) -> f32 {
    let sigmoid = |x: f32| 1.0 / (1.0 + libm::expf(-x));
    let step = |is_steep: bool, slope: f32| if is_steep { slope } else { 0.0 };
    match function {
        Unary::Relu => step(x > 0.0, 1.0),
        Unary::Relu6 => step(x > 0.0 && x < 6.0, 1.0),
        Unary::LeakyRelu { slope } => {
            if x > 0.0 {
                1.0
            } else {
                slope
            }
        }
        Unary::Sigmoid => (1.0 - sigmoid(x)) * sigmoid(x),
        Unary::Tanh => 1.0 - libm::tanhf(x) * libm::tanhf(x),
        Unary::Clip { low, high } => step(x > low && x < high, 1.0),
        Unary::Elu { alpha } => {
            if x > 0.0 {
                1.0
            } else {
                libm::expf(x) * alpha
            }
        }
        Unary::HardSigmoid { alpha, beta } => {
            let y = x * alpha + beta;
            step(y > 0.0 && y < 1.0, alpha)
        }
        Unary::HardSwish => {
            let y = hard_sigmoid(x, SIXTH, 0.5);
            y + step(y > 0.0 && y < 1.0, x * SIXTH)
        }
        Unary::Selu { alpha, gamma } => {
            if x > 0.0 {
                gamma
            } else {
                libm::expf(x) * alpha * gamma
            }
        }
        Unary::Swish { alpha } => {
            let y = sigmoid(x * alpha);
            y + (1.0 - y) * y * (x * alpha)
        }
        Unary::Softplus => sigmoid(x),
        Unary::Softsign => (1.0 / (1.0 + x.abs())) * (1.0 / (1.0 + x.abs())),
        Unary::Mish => {
            let y = libm::tanhf(softplus(x));
            y + (1.0 - y * y) * (sigmoid(x) * x)
        }
        Unary::Gelu => {
            let density = libm::expf(x * x * -0.5) * (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
            (1.0 + libm::erff(x * FRAC_1_SQRT_2)) * 0.5 + density * x
        }
        Unary::GeluTanh => {
            let y = libm::tanhf(gelu_tanh_argument(x));
            let of_argument = gelu_tanh_slope(x);
            (1.0 + y) * 0.5 + step(y * y < 1.0, (1.0 - y * y) * (x * 0.5) * of_argument)
        }
        Unary::Erf => libm::expf(-(x * x)) * FRAC_2_SQRT_PI,
        Unary::Abs => step(x > 0.0, 1.0) - step(x < 0.0, 1.0),
        Unary::Exp => libm::expf(x),
        Unary::Log => 1.0 / x,
        Unary::Sqrt => 0.5 / libm::sqrtf(x),
        Unary::Power { exponent } => {
            step(exponent != 0.0, libm::powf(x, exponent - 1.0) * exponent)
        }
    }
}
