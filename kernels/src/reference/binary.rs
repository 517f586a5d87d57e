//! Functions of two tensors, element by element, in place on the first: `[batch, h, w, channels]`.

use crate::lengths;
use crate::params::{Activation, Binary};

/// `activation(function(x, o))` over each element `x`, where `o` is the operand at its place. `operand` is one
/// sample for the whole batch, or one for each sample.
pub fn binary_f32(params: &Binary, operand: &[f32], data: &mut [f32]) {
    if !lengths::binary(params, operand, data) {
        return;
    }
    for_each(params, operand, data, |x, o| {
        let result = params.function().apply(x, o);
        params.activation().apply(result)
    });
}

/// Sets each element to what `f` makes of it and the operand at its place.
pub(super) fn for_each<T: Copy>(
    params: &Binary,
    operand: &[T],
    data: &mut [T],
    f: impl Fn(T, T) -> T,
) {
    let nest = params.nest();
    let run = nest.run;
    for (n, data) in data.chunks_mut(params.len()).enumerate() {
        let n = if operand.len() == params.operand_len() {
            0
        } else {
            n
        };
        let operand = &operand[n * params.operand_len()..][..params.operand_len()];
        nest.for_each_run((0, 0), |from, to| {
            for i in 0..run.extent {
                let x = &mut data[to + i * run.to];
                *x = f(*x, operand[from + i * run.from]);
            }
        });
    }
}

/// `activation(x * scale + shift)` over each element, with the scale and shift of its channel.
pub fn channel_affine_f32(activation: Activation, scale: &[f32], shift: &[f32], data: &mut [f32]) {
    if !lengths::channel_affine(scale, shift, data) {
        return;
    }
    for run in data.chunks_mut(scale.len()) {
        for ((x, scale), shift) in run.iter_mut().zip(scale).zip(shift) {
            *x = activation.apply(*x * scale + shift);
        }
    }
}
