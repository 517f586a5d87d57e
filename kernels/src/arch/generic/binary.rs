//! Functions of two tensors, element by element, in place on the first. Products are rounded before sums, so the
//! bits are those of the portable set.

use super::Vector;
use super::elementwise::{each, each_pair};
use super::memory::{for_each_vector, load, store};
use crate::lengths;
use crate::params::{Activation, Binary, BinaryFunction};
use crate::portable::binary::{Operand, for_each_run};

/// Turns each `x` of `data` into `f(x, o)`, limited to the range of `activation`.
///
/// # Safety
/// The CPU can run `V`; a run of operands is as long as `data`.
#[inline(always)]
unsafe fn combine<V: Vector>(
    activation: Activation,
    operand: Operand<'_>,
    data: &mut [f32],
    f: impl Fn(V, V) -> V,
) {
    // SAFETY: as the caller vouches.
    unsafe {
        let (low, high) = activation.range();
        let (low, high) = (V::splat(low), V::splat(high));
        match operand {
            Operand::Run(operand) => each_pair::<V>(
                operand,
                data,
                #[inline(always)]
                |x, o| f(x, o).clamp(low, high),
            ),
            Operand::Value(o) => {
                let o = V::splat(o);
                each::<V>(
                    data,
                    #[inline(always)]
                    |x| f(x, o).clamp(low, high),
                );
            }
        }
    }
}

/// `activation(function(x, o))` over each element `x`, where `o` is the operand at its place.
///
/// # Safety
/// The CPU can run `V`.
#[inline(always)]
pub(crate) unsafe fn binary<V: Vector>(params: &Binary, operand: &[f32], data: &mut [f32]) {
    if !lengths::binary(params, operand, data) {
        return;
    }
    /// One arm for each function, with its closure inlined.
    macro_rules! combine {
        ($operand:ident, $data:ident; $($function:ident: |$x:ident, $o:ident| $body:expr;)*) => {
            match params.function() {
                $(BinaryFunction::$function => combine::<V>(
                    params.activation(),
                    $operand,
                    $data,
                    #[inline(always)]
                    |$x, $o| $body,
                ),)*
            }
        };
    }
    for_each_run(
        params,
        operand,
        data,
        #[inline(always)]
        |operand, data| {
            // SAFETY: as the caller vouches; a run of operands has the length of its run of elements.
            unsafe {
                combine! { operand, data;
                    Add: |x, o| x.add(o);
                    Subtract: |x, o| x.sub(o);
                    ReverseSubtract: |x, o| o.sub(x);
                    Multiply: |x, o| x.mul(o);
                    Divide: |x, o| x.div(o);
                    ReverseDivide: |x, o| o.div(x);
                    Minimum: |x, o| V::select(o.greater(x), x, o_unless_nan(x, o));
                    Maximum: |x, o| V::select(x.greater(o), x, o_unless_nan(x, o));
                    PRelu: |x, o| V::select(x.greater(V::splat(0.0)), x, x.mul(o));
                }
            }
        },
    );
}

/// `o` where `x` is a number, else `x`.
///
/// # Safety
/// The CPU can run `V`.
#[inline(always)]
unsafe fn o_unless_nan<V: Vector>(x: V, o: V) -> V {
    // SAFETY: as the caller vouches.
    unsafe { V::select(x.equal(x), o, x) }
}

/// `activation(x * scale + shift)` over each element, with the scale and shift of its channel.
///
/// # Safety
/// The CPU can run `V`.
#[inline(always)]
pub(crate) unsafe fn channel_affine<V: Vector>(
    activation: Activation,
    scale: &[f32],
    shift: &[f32],
    data: &mut [f32],
) {
    if !lengths::channel_affine(scale, shift, data) {
        return;
    }
    let channels = scale.len();
    let (scale, shift) = (scale.as_ptr(), shift.as_ptr());
    for run in data.chunks_exact_mut(channels.max(1)) {
        let p = run.as_mut_ptr();
        // SAFETY: `count` values from `at` are of the run, of the scales and of the shifts, which are equally
        // long; as the caller vouches.
        unsafe {
            let (low, high) = activation.range();
            let (low, high) = (V::splat(low), V::splat(high));
            for_each_vector!(V, channels, |at, count| {
                let x = load::<V>(p.add(at), count);
                let product = x.mul(load::<V>(scale.add(at), count));
                let y = product.add(load::<V>(shift.add(at), count));
                store(y.clamp(low, high), p.add(at), count);
            });
        }
    }
}
