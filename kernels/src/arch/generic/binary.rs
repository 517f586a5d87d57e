//! Functions of two tensors, element by element, in place on the first. Products are rounded before sums, so the
//! bits are those of the portable set.

use super::Vector;
use super::memory::{each, each_with};
use crate::lengths;
use crate::params::{Activation, Binary, BinaryFunction};
use crate::portable::binary::{Operand, for_each_run};

/// Turns each `x` of `data` into `f(x, o)`, limited to the range of `activation`.
#[inline(always)]
fn combine<V: Vector>(
    isa: V::Isa,
    activation: Activation,
    operand: Operand<'_, f32>,
    data: &mut [f32],
    f: impl Fn(V, V) -> V,
) {
    let (low, high) = activation.range();
    let (low, high) = (V::splat(isa, low), V::splat(isa, high));
    match operand {
        Operand::Run(operand) => each_with::<V, 1>(
            isa,
            [operand],
            data,
            #[inline(always)]
            |x, [o]| f(x, o).clamp(low, high),
        ),
        Operand::Value(o) => {
            let o = V::splat(isa, o);
            each::<V>(
                isa,
                data,
                #[inline(always)]
                |x| f(x, o).clamp(low, high),
            );
        }
    }
}

/// `activation(function(x, o))` over each element `x`, where `o` is the operand at its place.
#[inline(always)]
pub(crate) fn binary<V: Vector>(isa: V::Isa, params: &Binary, operand: &[f32], data: &mut [f32]) {
    if !lengths::binary(params, operand, data) {
        return;
    }
    /// One arm for each function, with its closure inlined.
    macro_rules! combine {
        ($operand:ident, $data:ident; $($function:ident: |$x:ident, $o:ident| $body:expr;)*) => {
            match params.function() {
                $(BinaryFunction::$function => combine::<V>(
                    isa,
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
            combine! { operand, data;
                Add: |x, o| x.add(o);
                Subtract: |x, o| x.sub(o);
                ReverseSubtract: |x, o| o.sub(x);
                Multiply: |x, o| x.mul(o);
                Divide: |x, o| x.div(o);
                ReverseDivide: |x, o| o.div(x);
                Minimum: |x, o| V::select(o.greater(x), x, o_unless_nan(x, o));
                Maximum: |x, o| V::select(x.greater(o), x, o_unless_nan(x, o));
                PRelu: |x, o| V::select(x.greater(V::splat(isa, 0.0)), x, x.mul(o));
            }
        },
    );
}

/// `o` where `x` is a number, else `x`.
#[inline(always)]
fn o_unless_nan<V: Vector>(x: V, o: V) -> V {
    V::select(x.equal(x), o, x)
}

/// `activation(x * scale + shift)` over each element, with the scale and shift of its channel.
#[inline(always)]
pub(crate) fn channel_affine<V: Vector>(
    isa: V::Isa,
    activation: Activation,
    scale: &[f32],
    shift: &[f32],
    data: &mut [f32],
) {
    if !lengths::channel_affine(scale, shift, data) {
        return;
    }
    let (low, high) = activation.range();
    let (low, high) = (V::splat(isa, low), V::splat(isa, high));
    for run in data.chunks_exact_mut(scale.len().max(1)) {
        each_with::<V, 2>(
            isa,
            [scale, shift],
            run,
            #[inline(always)]
            |x, [scale, shift]| x.mul(scale).add(shift).clamp(low, high),
        );
    }
}
