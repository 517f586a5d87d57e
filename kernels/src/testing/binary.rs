//! Functions of two tensors, and the affine function of each channel. They are the same bits in every set.

use core::fmt::Debug;

use super::{Guarded, Random, assert_same, call_wrongly};
use crate::ops::BackwardKernels;
use crate::params::{Activation, Binary, BinaryFunction};
use crate::{Shape, reference};

const ACTIVATIONS: [Activation; 3] = [Activation::Identity, Activation::Relu, Activation::Relu6];

/// Values among which are ties, zeros of both signs, infinities and NaN.
fn values(random: &mut Random, len: usize) -> Vec<f32> {
    const SPECIALS: [f32; 8] = [
        0.0,
        -0.0,
        1.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MIN_POSITIVE,
        f32::MAX,
    ];
    let mut value = |_| match random.below(4) {
        0 => random.choose(&SPECIALS),
        _ => random.value() * 8.0,
    };
    (0..len).map(&mut value).collect()
}

/// Checks functions of two tensors with operands that are whole, spread over any of the axes, or one for the whole
/// batch.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn binary(set: &dyn BackwardKernels, _: super::Agreement) {
    let mut random = Random::new(11);
    for (shape, operand) in problems() {
        for function in BinaryFunction::ALL {
            let activation = random.choose(&ACTIVATIONS);
            let params = Binary::new(function, activation, shape, operand);
            let params = params.expect("the operand can be spread");
            for (batch, operands) in [(0, 1), (1, 1), (3, 1), (3, 3)] {
                let problem = (function, activation, shape, operand, batch, operands);
                let about: (&dyn Debug, &str) = (&problem, "binary_f32");
                let data = values(&mut random, batch * shape.len());
                let operand = values(&mut random, operands * operand.len());
                check(set, about, &params, &operand, &data);
            }
        }
    }
    let params = Binary::new(
        BinaryFunction::Add,
        Activation::Identity,
        Shape::vector(4),
        Shape::vector(4),
    );
    let params = params.expect("the same shape");
    let about: (&dyn Debug, &str) = (&params, "binary_f32 with slices that do not fit");
    let mut data = Guarded::new(&[1.0; 10]);
    call_wrongly(about, || set.binary_f32(&params, &[1.0; 4], data.get()));
    data.finish(about);
    let mut data = Guarded::new(&[1.0; 8]);
    call_wrongly(about, || set.binary_f32(&params, &[1.0; 5], data.get()));
    data.finish(about);
}

/// Shapes of a tensor and its operand, which is whole, or spread over any of the axes.
pub(super) fn problems() -> Vec<(Shape, Shape)> {
    let mut problems = Vec::new();
    for channels in 1..=35 {
        let shape = Shape::new(2, 3, channels);
        problems.extend([(shape, shape), (shape, Shape::vector(channels))]);
    }
    for shape in [
        Shape::new(1, 1, 1),
        Shape::new(3, 5, 1),
        Shape::new(1, 4, 9),
        Shape::new(4, 3, 17),
    ] {
        for axes in 0..8 {
            let extent = |axis, extent| if axes & axis == 0 { extent } else { 1 };
            let operand = Shape::new(
                extent(1, shape.height),
                extent(2, shape.width),
                extent(4, shape.channels),
            );
            problems.push((shape, operand));
        }
    }
    problems
}

fn check(
    set: &dyn BackwardKernels,
    about: (&dyn Debug, &str),
    params: &Binary,
    operand: &[f32],
    data: &[f32],
) {
    let mut found = Guarded::new(data);
    set.binary_f32(params, operand, found.get());
    let mut expected = data.to_vec();
    reference::binary_f32(params, operand, &mut expected);
    assert_same(about, &found.finish(about), &expected);
}

/// Checks the affine function of each channel.
///
/// # Panics
/// If the set is wrong, naming the problem.
pub fn channel_affine(set: &dyn BackwardKernels, _: super::Agreement) {
    let mut random = Random::new(12);
    for channels in 1..=35 {
        for runs in [0, 1, 6] {
            for activation in ACTIVATIONS {
                let problem = (channels, runs, activation);
                let about: (&dyn Debug, &str) = (&problem, "channel_affine_f32");
                let data = values(&mut random, runs * channels);
                let (scale, shift) = (values(&mut random, channels), values(&mut random, channels));
                let mut found = Guarded::new(&data);
                set.channel_affine_f32(activation, &scale, &shift, found.get());
                let mut expected = data;
                reference::channel_affine_f32(activation, &scale, &shift, &mut expected);
                assert_same(about, &found.finish(about), &expected);
            }
        }
    }
    let about: (&dyn Debug, &str) = (&(3, 10), "channel_affine_f32 with slices that do not fit");
    let mut data = Guarded::new(&[1.0; 10]);
    let relu = Activation::Relu;
    call_wrongly(about, || {
        set.channel_affine_f32(relu, &[1.0; 3], &[1.0; 3], data.get())
    });
    call_wrongly(about, || {
        set.channel_affine_f32(relu, &[1.0; 5], &[1.0; 4], data.get())
    });
    call_wrongly(about, || set.channel_affine_f32(relu, &[], &[], data.get()));
    data.finish(about);
}
