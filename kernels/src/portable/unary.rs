//! Functions of each element by itself, in place. The function is chosen outside of the loop, so that
//! a loop over the simple ones can become vector instructions.

use core::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use crate::lengths;
use crate::params::{
    SIXTH, Unary, clamp, gelu_tanh_argument, gelu_tanh_slope, hard_sigmoid, softplus,
};

#[inline(always)]
fn each(data: &mut [f32], f: impl Fn(f32) -> f32) {
    for x in data {
        *x = f(*x);
    }
}

/// Applies `function` to each element.
pub fn unary_f32(function: Unary, data: &mut [f32]) {
    match function {
        Unary::Relu => each(data, |x| clamp(x, 0.0, f32::INFINITY)),
        Unary::Relu6 => each(data, |x| clamp(x, 0.0, 6.0)),
        Unary::LeakyRelu { slope } => each(data, |x| if x > 0.0 { x } else { x * slope }),
        Unary::Sigmoid => each(data, |x| 1.0 / (1.0 + libm::expf(-x))),
        Unary::Tanh => each(data, libm::tanhf),
        Unary::Clip { low, high } => each(data, |x| clamp(x, low, high)),
        Unary::Elu { alpha } => each(data, |x| if x > 0.0 { x } else { libm::expm1f(x) * alpha }),
        Unary::HardSigmoid { alpha, beta } => each(data, |x| hard_sigmoid(x, alpha, beta)),
        Unary::HardSwish => each(data, |x| hard_sigmoid(x, SIXTH, 0.5) * x),
        Unary::Selu { alpha, gamma } => each(data, |x| {
            if x > 0.0 {
                x * gamma
            } else {
                libm::expm1f(x) * alpha * gamma
            }
        }),
        Unary::Swish { alpha } => each(data, |x| x / (1.0 + libm::expf(-(x * alpha)))),
        Unary::Softplus => each(data, softplus),
        Unary::Softsign => each(data, |x| x / (1.0 + x.abs())),
        Unary::Mish => each(data, |x| libm::tanhf(softplus(x)) * x),
        Unary::Gelu => each(data, |x| (1.0 + libm::erff(x * FRAC_1_SQRT_2)) * (x * 0.5)),
        Unary::GeluTanh => each(data, |x| {
            (1.0 + libm::tanhf(gelu_tanh_argument(x))) * (x * 0.5)
        }),
        Unary::Erf => each(data, libm::erff),
        Unary::Abs => each(data, f32::abs),
        Unary::Exp => each(data, libm::expf),
        Unary::Log => each(data, libm::logf),
        Unary::Sqrt => each(data, libm::sqrtf),
        Unary::Power { exponent } => each(data, |x| libm::powf(x, exponent)),
    }
}

#[inline(always)]
fn each_pair(output: &[f32], d: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    for (d, &y) in d.iter_mut().zip(output) {
        *d = f(*d, y);
    }
}

/// Turns the gradient of the output into that of the input, given the output. A function without
/// [`Unary::has_backward`] leaves `d` as it is.
pub fn unary_f32_backward(function: Unary, output: &[f32], d: &mut [f32]) {
    if !lengths::same("output", output, d) {
        return;
    }
    match function {
        Unary::Relu => each_pair(output, d, |d, y| if y <= 0.0 { 0.0 } else { d }),
        Unary::Relu6 => each_pair(output, d, |d, y| if y <= 0.0 || y >= 6.0 { 0.0 } else { d }),
        Unary::LeakyRelu { slope } => {
            each_pair(output, d, |d, y| if y > 0.0 { d } else { d * slope });
        }
        Unary::Sigmoid => each_pair(output, d, |d, y| d * (1.0 - y) * y),
        Unary::Tanh => each_pair(output, d, |d, y| d * (1.0 - y * y)),
        Unary::Elu { alpha } => {
            each_pair(output, d, |d, y| if y > 0.0 { d } else { d * (y + alpha) });
        }
        Unary::Selu { alpha, gamma } => each_pair(output, d, |d, y| {
            if y > 0.0 {
                d * gamma
            } else {
                d * (y + alpha * gamma)
            }
        }),
        Unary::Softplus => each_pair(output, d, |d, y| d * -libm::expm1f(-y)),
        Unary::Softsign => {
            each_pair(output, d, |d, y| d * ((1.0 - y.abs()) * (1.0 - y.abs())));
        }
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
        | Unary::Power { .. } => {}
    }
}

/// Multiplies each gradient by the slope at its input; a slope of 0 stops even what is infinite.
#[inline(always)]
fn each_slope(input: &[f32], d: &mut [f32], slope: impl Fn(f32) -> f32) {
    each_pair(input, d, |d, x| match slope(x) {
        0.0 => 0.0,
        slope => d * slope,
    });
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

/// `slope` where a function is steep, 0 where it is flat.
#[inline(always)]
fn step(is_steep: bool, slope: f32) -> f32 {
    if is_steep { slope } else { 0.0 }
}

/// Turns the gradient of the output into that of the input, given the input: of every function. At a kink it is that of the
/// flat side, as in PyTorch, and what a flat side stops is 0 even if it was infinite.
pub fn unary_f32_backward_from_input(function: Unary, input: &[f32], d: &mut [f32]) {
    if !lengths::same("input", input, d) {
        return;
    }
    match function {
        Unary::Relu => each_slope(input, d, |x| step(x > 0.0, 1.0)),
        Unary::Relu6 => each_slope(input, d, |x| step(x > 0.0 && x < 6.0, 1.0)),
        Unary::LeakyRelu { slope } => each_slope(input, d, |x| if x > 0.0 { 1.0 } else { slope }),
        Unary::Sigmoid => each_slope(input, d, |x| {
            let y = sigmoid(x);
            (1.0 - y) * y
        }),
        Unary::Tanh => each_slope(input, d, |x| {
            let y = libm::tanhf(x);
            1.0 - y * y
        }),
        Unary::Clip { low, high } => each_slope(input, d, |x| step(x > low && x < high, 1.0)),
        Unary::Elu { alpha } => {
            each_slope(
                input,
                d,
                |x| if x > 0.0 { 1.0 } else { libm::expf(x) * alpha },
            );
        }
        Unary::HardSigmoid { alpha, beta } => each_slope(input, d, |x| {
            let y = x * alpha + beta;
            step(y > 0.0 && y < 1.0, alpha)
        }),
        Unary::HardSwish => each_slope(input, d, |x| {
            let y = hard_sigmoid(x, SIXTH, 0.5);
            y + step(y > 0.0 && y < 1.0, x * SIXTH)
        }),
        Unary::Selu { alpha, gamma } => each_slope(input, d, |x| {
            if x > 0.0 {
                gamma
            } else {
                libm::expf(x) * alpha * gamma
            }
        }),
        Unary::Swish { alpha } => each_slope(input, d, |x| {
            let y = sigmoid(x * alpha);
            y + (1.0 - y) * y * (x * alpha)
        }),
        Unary::Softplus => each_slope(input, d, sigmoid),
        Unary::Softsign => each_slope(input, d, |x| {
            let y = 1.0 / (1.0 + x.abs());
            y * y
        }),
        Unary::Mish => each_slope(input, d, |x| {
            let y = libm::tanhf(softplus(x));
            y + (1.0 - y * y) * (sigmoid(x) * x)
        }),
        Unary::Gelu => each_slope(input, d, |x| {
            let density = libm::expf(x * x * -0.5) * (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
            (1.0 + libm::erff(x * FRAC_1_SQRT_2)) * 0.5 + density * x
        }),
        Unary::GeluTanh => each_slope(input, d, |x| {
            let y = libm::tanhf(gelu_tanh_argument(x));
            let of_argument = gelu_tanh_slope(x);
            (1.0 + y) * 0.5 + step(y * y < 1.0, (1.0 - y * y) * (x * 0.5) * of_argument)
        }),
        Unary::Erf => each_slope(input, d, |x| libm::expf(-(x * x)) * FRAC_2_SQRT_PI),
        Unary::Abs => each_slope(input, d, |x| step(x > 0.0, 1.0) - step(x < 0.0, 1.0)),
        Unary::Exp => each_slope(input, d, libm::expf),
        Unary::Log => each_slope(input, d, |x| 1.0 / x),
        Unary::Sqrt => each_slope(input, d, |x| 0.5 / libm::sqrtf(x)),
        Unary::Power { exponent } => each_slope(input, d, |x| {
            step(exponent != 0.0, libm::powf(x, exponent - 1.0) * exponent)
        }),
    }
}
