//! Functions of two tensors, element by element, in place on the first. The function is chosen for a run of
//! elements at a time, so that a loop over the run can become vector instructions.

use super::rows::rows_of_mut;
use crate::lengths;
use crate::params::{Activation, Binary};

/// What a run of elements is combined with.
#[derive(Clone, Copy)]
pub(crate) enum Operand<'a, T> {
    /// An element for each.
    Run(&'a [T]),
    /// The same for all.
    Value(T),
}

impl<T: Copy> Operand<'_, T> {
    /// Sets each element of a run to what `f` makes of it and its operand.
    #[inline(always)]
    pub(crate) fn each(self, data: &mut [T], f: impl Fn(T, T) -> T) {
        match self {
            Self::Run(operand) => {
                for (x, &o) in data.iter_mut().zip(operand) {
                    *x = f(*x, o);
                }
            }
            Self::Value(o) => {
                for x in data {
                    *x = f(*x, o);
                }
            }
        }
    }
}

/// Calls `f` for each run of elements with its operand.
#[inline(always)]
pub(crate) fn for_each_run<T: Copy>(
    params: &Binary,
    operand: &[T],
    data: &mut [T],
    mut f: impl FnMut(Operand<'_, T>, &mut [T]),
) {
    let nest = params.nest();
    let run = nest.run;
    let step = if operand.len() == params.operand_len() {
        0
    } else {
        params.operand_len()
    };
    let mut sample = 0usize;
    for data in rows_of_mut(data, params.len()) {
        nest.for_each_run(
            (sample, 0),
            // A function of its own would be compiled without the instructions of the SIMD set that calls it.
            #[inline(always)]
            |from, to| {
                let operand = operand.get(from..).unwrap_or_default();
                let operand = match run.from {
                    0 => operand.first().map(|value| Operand::Value(*value)),
                    _ => operand.get(..run.extent).map(Operand::Run),
                };
                let data = data.get_mut(to..to.wrapping_add(run.extent));
                if let (Some(operand), Some(data)) = (operand, data) {
                    f(operand, data);
                }
            },
        );
        sample = sample.wrapping_add(step);
    }
}

/// Evaluates an expression with a function that is known when it is compiled, whichever `function` is when it runs.
macro_rules! with_function {
    ($function:expr, $f:ident => $expression:expr) => {
        with_function!(@arms $function, $f => $expression,
            Add, Subtract, ReverseSubtract, Multiply, Divide, ReverseDivide, Minimum, Maximum, PRelu)
    };
    (@arms $function:expr, $f:ident => $expression:expr, $($Name:ident),*) => {
        match $function {
            $($crate::params::BinaryFunction::$Name => {
                let $f = $crate::params::BinaryFunction::$Name;
                $expression
            })*
        }
    };
}
pub(crate) use with_function;

/// `activation(function(x, o))` over each element `x`, where `o` is the operand at its place. `operand` is one
/// sample for the whole batch, or one for each sample.
pub fn binary_f32(params: &Binary, operand: &[f32], data: &mut [f32]) {
    if !lengths::binary(params, operand, data) {
        return;
    }
    let (low, high) = params.activation().range();
    for_each_run(params, operand, data, |operand, data| {
        with_function!(params.function(), function => operand.each(data, |x, o| {
            crate::params::clamp(function.apply(x, o), low, high)
        }));
    });
}

/// `activation(x * scale + shift)` over each element, with the scale and shift of its channel.
pub fn channel_affine_f32(activation: Activation, scale: &[f32], shift: &[f32], data: &mut [f32]) {
    if !lengths::channel_affine(scale, shift, data) {
        return;
    }
    for run in rows_of_mut(data, scale.len()) {
        for ((x, scale), shift) in run.iter_mut().zip(scale).zip(shift) {
            *x = activation.apply(*x * scale + shift);
        }
    }
}
