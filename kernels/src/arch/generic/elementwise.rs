//! Functions of each element, in place, and softmax over runs of channels.

use super::memory::{for_each_vector, load, store};
use super::{Vector, exp};
use crate::lengths;
use crate::params::{SIXTH, Unary};

/// Applies `f` to each vector of `data`.
///
/// # Safety
/// The CPU can run `V`.
#[inline(always)]
pub(super) unsafe fn each<V: Vector>(data: &mut [f32], f: impl Fn(V) -> V) {
    let p = data.as_mut_ptr();
    for_each_vector!(V, data.len(), |at, count| {
        // SAFETY: `count` values from `at` are of the slice.
        unsafe { store(f(load::<V>(p.add(at), count)), p.add(at), count) }
    });
}

/// Applies `function` to each element.
///
/// # Safety
/// The CPU can run `V`.
#[inline(always)]
pub(crate) unsafe fn unary<V: Vector>(function: Unary, data: &mut [f32]) {
    // SAFETY: as the caller vouches.
    unsafe {
        let zero = V::splat(0.0);
        match function {
            Unary::Relu => {
                let high = V::splat(f32::INFINITY);
                each::<V>(
                    data,
                    #[inline(always)]
                    |x| x.clamp(zero, high),
                );
            }
            Unary::Relu6 => {
                let high = V::splat(6.0);
                each::<V>(
                    data,
                    #[inline(always)]
                    |x| x.clamp(zero, high),
                );
            }
            Unary::LeakyRelu { slope } => {
                let slope = V::splat(slope);
                each::<V>(
                    data,
                    #[inline(always)]
                    |x| V::select(x.greater(zero), x, x.mul(slope)),
                );
            }
            Unary::Sigmoid => each::<V>(
                data,
                #[inline(always)]
                |x| exp::sigmoid(x),
            ),
            Unary::Tanh => each::<V>(
                data,
                #[inline(always)]
                |x| exp::tanh(x),
            ),
            Unary::Clip { low, high } => {
                let (low, high) = (V::splat(low), V::splat(high));
                each::<V>(
                    data,
                    #[inline(always)]
                    |x| x.clamp(low, high),
                );
            }
            Unary::Elu { alpha } => {
                let alpha = V::splat(alpha);
                each::<V>(
                    data,
                    #[inline(always)]
                    |x| V::select(x.greater(zero), x, exp::expm1_of_negative(x).mul(alpha)),
                );
            }
            Unary::HardSigmoid { alpha, beta } => {
                let (alpha, beta) = (V::splat(alpha), V::splat(beta));
                each::<V>(
                    data,
                    #[inline(always)]
                    |x| hard_sigmoid(x, alpha, beta),
                );
            }
            Unary::HardSwish => {
                let (sixth, half) = (V::splat(SIXTH), V::splat(0.5));
                each::<V>(
                    data,
                    #[inline(always)]
                    |x| hard_sigmoid(x, sixth, half).mul(x),
                );
            }
        }
    }
}

/// `alpha * x + beta`, the product rounded before the sum, limited to 0 to 1.
///
/// # Safety
/// The CPU can run `V`.
#[inline(always)]
unsafe fn hard_sigmoid<V: Vector>(x: V, alpha: V, beta: V) -> V {
    // SAFETY: as the caller vouches.
    unsafe { x.mul(alpha).add(beta).clamp(V::splat(0.0), V::splat(1.0)) }
}

/// Turns each `d` into `f(d, y)`.
///
/// # Safety
/// The CPU can run `V`; `output` is as long as `d`.
#[inline(always)]
pub(super) unsafe fn each_pair<V: Vector>(output: &[f32], d: &mut [f32], f: impl Fn(V, V) -> V) {
    let (y, d, len) = (output.as_ptr(), d.as_mut_ptr(), d.len());
    for_each_vector!(V, len, |at, count| {
        // SAFETY: `count` values from `at` are of both slices.
        unsafe {
            let d = d.add(at);
            store(
                f(load::<V>(d, count), load::<V>(y.add(at), count)),
                d,
                count,
            );
        }
    });
}

/// Turns the gradient of the output into that of the input, given the output.
///
/// # Safety
/// The CPU can run `V`.
#[inline(always)]
pub(crate) unsafe fn unary_backward<V: Vector>(function: Unary, output: &[f32], d: &mut [f32]) {
    if !lengths::same("output", output, d) {
        return;
    }
    // SAFETY: as the caller vouches; the lengths were checked. Where `y` is NaN the gradient passes.
    unsafe {
        let (zero, one) = (V::splat(0.0), V::splat(1.0));
        match function {
            Unary::Relu => each_pair::<V>(
                output,
                d,
                #[inline(always)]
                |d, y| {
                    let d = V::select(zero.greater(y), zero, d);
                    V::select(y.equal(zero), zero, d)
                },
            ),
            Unary::Relu6 => each_pair::<V>(
                output,
                d,
                #[inline(always)]
                |d, y| {
                    let six = V::splat(6.0);
                    let inside = y.clamp(zero, six);
                    let d = V::select(inside.equal(zero), zero, d);
                    V::select(inside.equal(six), zero, d)
                },
            ),
            Unary::LeakyRelu { slope } => {
                let slope = V::splat(slope);
                each_pair::<V>(
                    output,
                    d,
                    #[inline(always)]
                    |d, y| V::select(y.greater(zero), d, d.mul(slope)),
                );
            }
            Unary::Sigmoid => each_pair::<V>(
                output,
                d,
                #[inline(always)]
                |d, y| d.mul(one.sub(y)).mul(y),
            ),
            Unary::Tanh => each_pair::<V>(
                output,
                d,
                #[inline(always)]
                |d, y| d.mul(one.sub(y.mul(y))),
            ),
            Unary::Clip { .. }
            | Unary::Elu { .. }
            | Unary::HardSigmoid { .. }
            | Unary::HardSwish => {}
        }
    }
}

/// Softmax over each run of `channels` values; the largest of each run is subtracted first.
///
/// # Safety
/// The CPU can run `V`.
#[inline(always)]
pub(crate) unsafe fn softmax<V: Vector>(channels: usize, data: &mut [f32]) {
    if !lengths::runs(channels, data) {
        return;
    }
    for run in data.chunks_exact_mut(channels.max(1)) {
        let max = crate::portable::softmax::max(run);
        let (p, len) = (run.as_mut_ptr(), run.len());
        // SAFETY: `count` values from `at` are of the run; as the caller vouches.
        unsafe {
            let (shift, mut sum, mut rest) = (V::splat(max), V::splat(0.0), 0.0);
            for_each_vector!(V, len, |at, count| {
                let e = exp::exp(load::<V>(p.add(at), count).sub(shift));
                store(e, p.add(at), count);
                if count == V::LANES {
                    sum = sum.add(e);
                } else {
                    // The lanes beyond the run are not part of the sum.
                    for i in at..len {
                        rest += *p.add(i);
                    }
                }
            });
            let sum = V::splat(sum.sum() + rest);
            each::<V>(
                run,
                #[inline(always)]
                |e| e.div(sum),
            );
        }
    }
}

/// Turns the gradient of softmax's output into that of its input.
///
/// # Safety
/// The CPU can run `V`.
#[inline(always)]
pub(crate) unsafe fn softmax_backward<V: Vector>(channels: usize, output: &[f32], d: &mut [f32]) {
    if !lengths::runs(channels, output) || !lengths::same("d", d, output) {
        return;
    }
    let runs = output.chunks_exact(channels.max(1));
    for (d, y) in d.chunks_exact_mut(channels.max(1)).zip(runs) {
        // SAFETY: `count` values from `at` are of both runs; as the caller vouches.
        unsafe {
            let mut sum = V::splat(0.0);
            for_each_vector!(V, d.len(), |at, count| {
                let y = load::<V>(y.as_ptr().add(at), count);
                sum = sum.add_product(load::<V>(d.as_ptr().add(at), count), y);
            });
            let sum = V::splat(sum.sum());
            each_pair::<V>(
                y,
                d,
                #[inline(always)]
                |d, y| d.sub(sum).mul(y),
            );
        }
    }
}
