//! The steps of a network in training with what a device keeps for them: a map is a buffer, or that of another map where
//! a step works in place.

use std::ops::Range;

use kinglet::opencl::Recording;

use crate::train::plan::{Gradient, GradientBuffers, Kind, Plan, wanted};

/// All steps, and how long what they share is.
pub(super) struct Layers {
    pub(super) plan: Plan,
    /// The map in whose buffer each map lies.
    pub(super) stored: Vec<usize>,
    pub(super) gradients: GradientBuffers,
    /// Each step's part of what steps of its kind share: packed weights of convolutions, moments of batch
    /// normalizations, factors of dropouts for one sample, constants.
    pub(super) parts: Vec<Range<usize>>,
    /// Operands that are the network's; of what an affine function of channels normalizes by, mean 0 and inverse standard
    /// deviation 1.
    pub(super) constants: Vec<f32>,
    pub(super) packed_len: usize,
    pub(super) moments_len: usize,
    /// Factors of all dropouts for one sample.
    pub(super) factors_len: usize,
    /// Values of one sample in the largest gradient that is added to.
    pub(super) further_len: usize,
}

impl Layers {
    pub(super) fn of(plan: Plan) -> Self {
        let mut all = Self {
            stored: (0..plan.map_lens.len()).collect(),
            gradients: GradientBuffers::default(),
            parts: Vec::with_capacity(plan.steps.len()),
            constants: Vec::new(),
            packed_len: 0,
            moments_len: 0,
            factors_len: 0,
            further_len: 0,
            plan,
        };
        for step in &all.plan.steps {
            if step.in_place {
                all.stored[step.to] = all.stored[step.from[0]];
            }
            all.parts.push(match &step.kind {
                Kind::Conv2d(params, _) => {
                    let packed = Recording::conv2d_f32_packed_len(params);
                    part(&mut all.packed_len, packed)
                }
                Kind::BatchNorm(of) => part(&mut all.moments_len, 2 * of.channels),
                Kind::ChannelAffine(of) => {
                    let start = all.constants.len();
                    all.constants.resize(start + of.channels, 0.0);
                    all.constants.resize(start + 2 * of.channels, 1.0);
                    start..all.constants.len()
                }
                Kind::BinaryConstant(_, operand) => {
                    let start = all.constants.len();
                    all.constants.extend_from_slice(operand);
                    start..all.constants.len()
                }
                Kind::Dropout(_) => part(&mut all.factors_len, all.plan.map_lens[step.to]),
                _ => 0..0,
            });
        }
        let added = all.plan.steps.iter().flat_map(|step| {
            // What is copied from a map in several parts is added up, too.
            let parts = matches!(step.kind, Kind::Copies(_));
            let from = step.from.iter().zip(&step.d_from);
            from.filter(move |(_, gradient)| parts || **gradient == Gradient::Add)
        });
        let lens = added.map(|(map, _)| all.plan.map_lens[*map]);
        all.further_len = lens.max().unwrap_or(0);
        let backward = all.plan.steps.iter().rev().filter(|step| step.learns);
        let backward = backward.map(|step| {
            let from = wanted(&step.from, &step.d_from).map(|map| all.stored[map]);
            (all.stored[step.to], from.collect())
        });
        let outputs = all.stored[all.plan.outputs];
        all.gradients = GradientBuffers::new(&all.plan.map_lens, outputs, backward);
        all
    }
}

/// The next `len` of a whole that grows by them.
fn part(whole: &mut usize, len: usize) -> Range<usize> {
    let start = *whole;
    *whole += len;
    start..*whole
}
