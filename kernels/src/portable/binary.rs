//! Functions of two tensors, element by element, in place on the first. The function is chosen for a run of
//! elements at a time, so that a loop over the run can become vector instructions.

use super::rows::rows_of_mut;
use crate::lengths;
use crate::params::{Activation, Binary, BinaryFunction};

/// What a run of elements is combined with.
#[derive(Clone, Copy)]
pub(crate) enum Operand<'a> {
    /// An element for each.
    Run(&'a [f32]),
    /// The same for all.
    Value(f32),
}

/// Calls `f` for each run of elements with its operand.
#[inline(always)]
pub(crate) fn for_each_run(
    params: &Binary,
    operand: &[f32],
    data: &mut [f32],
    mut f: impl FnMut(Operand<'_>, &mut [f32]),
) {
    let run = params.nest.run;
    let step = if operand.len() == params.operand_len() {
        0
    } else {
        params.operand_len()
    };
    let mut sample = 0usize;
    for data in rows_of_mut(data, params.len()) {
        params.nest.for_each_run(
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

#[inline(always)]
fn each(
    activation: Activation,
    operand: Operand<'_>,
    data: &mut [f32],
    f: impl Fn(f32, f32) -> f32,
) {
    let (low, high) = activation.range();
    let f = |x, o| crate::params::clamp(f(x, o), low, high);
    match operand {
        Operand::Run(operand) => {
            for (x, &o) in data.iter_mut().zip(operand) {
                *x = f(*x, o);
            }
        }
        Operand::Value(o) => {
            for x in data {
                *x = f(*x, o);
            }
        }
    }
}

/// `activation(function(x, o))` over each element `x`, where `o` is the operand at its place. `operand` is one
/// sample for the whole batch, or one for each sample.
pub fn binary_f32(params: &Binary, operand: &[f32], data: &mut [f32]) {
    use BinaryFunction::*;
    if !lengths::binary(params, operand, data) {
        return;
    }
    let activation = params.activation();
    for_each_run(params, operand, data, |operand, data| {
        match params.function() {
            Add => each(activation, operand, data, |x, o| Add.apply(x, o)),
            Subtract => each(activation, operand, data, |x, o| Subtract.apply(x, o)),
            ReverseSubtract => {
                each(activation, operand, data, |x, o| {
                    ReverseSubtract.apply(x, o)
                });
            }
            Multiply => each(activation, operand, data, |x, o| Multiply.apply(x, o)),
            Divide => each(activation, operand, data, |x, o| Divide.apply(x, o)),
            ReverseDivide => each(activation, operand, data, |x, o| ReverseDivide.apply(x, o)),
            Minimum => each(activation, operand, data, |x, o| Minimum.apply(x, o)),
            Maximum => each(activation, operand, data, |x, o| Maximum.apply(x, o)),
            PRelu => each(activation, operand, data, |x, o| PRelu.apply(x, o)),
        }
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
