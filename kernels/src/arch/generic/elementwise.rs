//! Functions of each element, in place, and softmax over runs of channels.

use super::memory::{dot, each, each_with};
use super::{Vector, exp};
use crate::lengths;
use crate::params::{GELU_TANH, SIXTH, Unary};
use crate::portable;

/// Applies `function` to each element.
#[inline(always)]
pub(crate) fn unary<V: Vector>(isa: V::Isa, function: Unary, data: &mut [f32]) {
    let zero = V::splat(isa, 0.0);
    match function {
        Unary::Relu => {
            let high = V::splat(isa, f32::INFINITY);
            each::<V>(
                isa,
                data,
                #[inline(always)]
                |x| x.clamp(zero, high),
            );
        }
        Unary::Relu6 => {
            let high = V::splat(isa, 6.0);
            each::<V>(
                isa,
                data,
                #[inline(always)]
                |x| x.clamp(zero, high),
            );
        }
        Unary::LeakyRelu { slope } => {
            let slope = V::splat(isa, slope);
            each::<V>(
                isa,
                data,
                #[inline(always)]
                |x| V::select(x.greater(zero), x, x.mul(slope)),
            );
        }
        Unary::Sigmoid => each::<V>(
            isa,
            data,
            #[inline(always)]
            |x| exp::sigmoid(isa, x),
        ),
        Unary::Tanh => each::<V>(
            isa,
            data,
            #[inline(always)]
            |x| exp::tanh(isa, x),
        ),
        Unary::Clip { low, high } => {
            let (low, high) = (V::splat(isa, low), V::splat(isa, high));
            each::<V>(
                isa,
                data,
                #[inline(always)]
                |x| x.clamp(low, high),
            );
        }
        Unary::Elu { alpha } => {
            let alpha = V::splat(isa, alpha);
            each::<V>(
                isa,
                data,
                #[inline(always)]
                |x| {
                    V::select(
                        x.greater(zero),
                        x,
                        exp::expm1_of_negative(isa, x).mul(alpha),
                    )
                },
            );
        }
        Unary::HardSigmoid { alpha, beta } => {
            let (alpha, beta) = (V::splat(isa, alpha), V::splat(isa, beta));
            each::<V>(
                isa,
                data,
                #[inline(always)]
                |x| hard_sigmoid(isa, x, alpha, beta),
            );
        }
        Unary::HardSwish => {
            let (sixth, half) = (V::splat(isa, SIXTH), V::splat(isa, 0.5));
            each::<V>(
                isa,
                data,
                #[inline(always)]
                |x| hard_sigmoid(isa, x, sixth, half).mul(x),
            );
        }
        Unary::Selu { alpha, gamma } => {
            let (alpha, gamma) = (V::splat(isa, alpha), V::splat(isa, gamma));
            each::<V>(
                isa,
                data,
                #[inline(always)]
                |x| {
                    let negative = exp::expm1_of_negative(isa, x).mul(alpha);
                    V::select(x.greater(zero), x, negative).mul(gamma)
                },
            );
        }
        Unary::Swish { alpha } => {
            let (alpha, one) = (V::splat(isa, alpha), V::splat(isa, 1.0));
            each::<V>(
                isa,
                data,
                #[inline(always)]
                |x| x.div(one.add(exp::exp(isa, zero.sub(x.mul(alpha))))),
            );
        }
        Unary::Softsign => {
            let one = V::splat(isa, 1.0);
            each::<V>(
                isa,
                data,
                #[inline(always)]
                |x| x.div(one.add(magnitude(isa, x))),
            );
        }
        Unary::Mish => {
            // With w = e^x: tanh(ln(1 + w)) = n / (n + 2) where n = w * (w + 2). From 20 on it is 1.
            let (low, high) = (V::splat(isa, f32::NEG_INFINITY), V::splat(isa, 20.0));
            let two = V::splat(isa, 2.0);
            each::<V>(
                isa,
                data,
                #[inline(always)]
                |x| {
                    let w = exp::exp(isa, x.clamp(low, high));
                    let n = w.mul(w.add(two));
                    n.div(n.add(two)).mul(x)
                },
            );
        }
        Unary::Gelu => {
            let (one, half) = (V::splat(isa, 1.0), V::splat(isa, 0.5));
            let scale = V::splat(isa, core::f32::consts::FRAC_1_SQRT_2);
            each::<V>(
                isa,
                data,
                #[inline(always)]
                |x| one.add(exp::erf(isa, x.mul(scale))).mul(x.mul(half)),
            );
        }
        Unary::GeluTanh => {
            let (one, half) = (V::splat(isa, 1.0), V::splat(isa, 0.5));
            let [linear, cubic] = GELU_TANH.map(|factor| V::splat(isa, factor));
            each::<V>(
                isa,
                data,
                #[inline(always)]
                |x| {
                    let argument = x.mul(x).mul(cubic).add(linear).mul(x);
                    one.add(exp::tanh(isa, argument)).mul(x.mul(half))
                },
            );
        }
        Unary::Erf => each::<V>(
            isa,
            data,
            #[inline(always)]
            |x| exp::erf(isa, x),
        ),
        Unary::Exp => each::<V>(
            isa,
            data,
            #[inline(always)]
            |x| exp::exp(isa, x),
        ),
        Unary::Softplus | Unary::Abs | Unary::Log | Unary::Sqrt | Unary::Power { .. } => {
            portable::unary_f32(function, data);
        }
    }
}

/// `x` where it is not below 0, `-x` elsewhere: -0 stays.
#[inline(always)]
fn magnitude<V: Vector>(isa: V::Isa, x: V) -> V {
    let zero = V::splat(isa, 0.0);
    V::select(zero.greater(x), zero.sub(x), x)
}

/// `alpha * x + beta`, the product rounded before the sum, limited to 0 to 1.
#[inline(always)]
fn hard_sigmoid<V: Vector>(isa: V::Isa, x: V, alpha: V, beta: V) -> V {
    let y = x.mul(alpha).add(beta);
    y.clamp(V::splat(isa, 0.0), V::splat(isa, 1.0))
}

/// Turns the gradient of the output into that of the input, given the output. Where `y` is NaN the gradient
/// passes.
#[inline(always)]
pub(crate) fn unary_backward<V: Vector>(
    isa: V::Isa,
    function: Unary,
    output: &[f32],
    d: &mut [f32],
) {
    if !lengths::same("output", output, d) {
        return;
    }
    let (zero, one) = (V::splat(isa, 0.0), V::splat(isa, 1.0));
    match function {
        Unary::Relu => each_with::<V, 1>(
            isa,
            [output],
            d,
            #[inline(always)]
            |d, [y]| {
                let d = V::select(zero.greater(y), zero, d);
                V::select(y.equal(zero), zero, d)
            },
        ),
        Unary::Relu6 => each_with::<V, 1>(
            isa,
            [output],
            d,
            #[inline(always)]
            |d, [y]| {
                let six = V::splat(isa, 6.0);
                let inside = y.clamp(zero, six);
                let d = V::select(inside.equal(zero), zero, d);
                V::select(inside.equal(six), zero, d)
            },
        ),
        Unary::LeakyRelu { slope } => {
            let slope = V::splat(isa, slope);
            each_with::<V, 1>(
                isa,
                [output],
                d,
                #[inline(always)]
                |d, [y]| V::select(y.greater(zero), d, d.mul(slope)),
            );
        }
        Unary::Sigmoid => each_with::<V, 1>(
            isa,
            [output],
            d,
            #[inline(always)]
            |d, [y]| d.mul(one.sub(y)).mul(y),
        ),
        Unary::Tanh => each_with::<V, 1>(
            isa,
            [output],
            d,
            #[inline(always)]
            |d, [y]| d.mul(one.sub(y.mul(y))),
        ),
        Unary::Elu { alpha } => {
            let alpha = V::splat(isa, alpha);
            each_with::<V, 1>(
                isa,
                [output],
                d,
                #[inline(always)]
                |d, [y]| V::select(y.greater(zero), d, d.mul(y.add(alpha))),
            );
        }
        Unary::Selu { alpha, gamma } => {
            let (low, gamma) = (V::splat(isa, alpha * gamma), V::splat(isa, gamma));
            each_with::<V, 1>(
                isa,
                [output],
                d,
                #[inline(always)]
                |d, [y]| V::select(y.greater(zero), d.mul(gamma), d.mul(y.add(low))),
            );
        }
        Unary::Softplus => each_with::<V, 1>(
            isa,
            [output],
            d,
            #[inline(always)]
            |d, [y]| d.mul(zero.sub(exp::expm1_of_negative(isa, zero.sub(y)))),
        ),
        Unary::Softsign => each_with::<V, 1>(
            isa,
            [output],
            d,
            #[inline(always)]
            |d, [y]| {
                let distance = one.sub(magnitude(isa, y));
                d.mul(distance.mul(distance))
            },
        ),
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

/// Softmax over each run of `channels` values; the largest of each run is subtracted first.
#[inline(always)]
pub(crate) fn softmax<V: Vector>(isa: V::Isa, channels: usize, data: &mut [f32]) {
    if !lengths::runs(channels, data) {
        return;
    }
    for run in data.chunks_exact_mut(channels.max(1)) {
        let shift = V::splat(isa, crate::portable::softmax::max(run));
        // The lanes beyond the run must not become part of the sum.
        let (whole, rest) = run.split_at_mut(run.len() - run.len() % V::LANES);
        let mut sum = V::splat(isa, 0.0);
        each::<V>(
            isa,
            whole,
            #[inline(always)]
            |x| {
                let e = exp::exp(isa, x.sub(shift));
                sum = sum.add(e);
                e
            },
        );
        each::<V>(
            isa,
            rest,
            #[inline(always)]
            |x| exp::exp(isa, x.sub(shift)),
        );
        let mut sum_of_rest = 0.0;
        for e in rest {
            sum_of_rest += *e;
        }
        let sum = V::splat(isa, sum.sum() + sum_of_rest);
        each::<V>(
            isa,
            run,
            #[inline(always)]
            |e| e.div(sum),
        );
    }
}

/// Turns the gradient of softmax's output into that of its input.
#[inline(always)]
pub(crate) fn softmax_backward<V: Vector>(
    isa: V::Isa,
    channels: usize,
    output: &[f32],
    d: &mut [f32],
) {
    if !lengths::runs(channels, output) || !lengths::same("d", d, output) {
        return;
    }
    let runs = output.chunks_exact(channels.max(1));
    for (d, y) in d.chunks_exact_mut(channels.max(1)).zip(runs) {
        let sum = V::splat(isa, dot::<V>(isa, d, y));
        each_with::<V, 1>(
            isa,
            [y],
            d,
            #[inline(always)]
            |d, [y]| d.sub(sum).mul(y),
        );
    }
}
