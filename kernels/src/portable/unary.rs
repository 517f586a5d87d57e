//! Functions of each element by itself, in place. The function is chosen outside of the loop, so that
//! a loop over the simple ones can become vector instructions.

use crate::lengths;
use crate::params::{SIXTH, Unary, clamp, hard_sigmoid};

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
        Unary::Clip { .. } | Unary::Elu { .. } | Unary::HardSigmoid { .. } | Unary::HardSwish => {}
    }
}
