//! Everything that a network in training has on the device, made once for the largest batch.

use std::ops::Range;

use kinglet::opencl::{Buffer, Element, Executor, OpenClError, Recording, Slice, StepRates};

use super::layers::Layers;
use crate::train::Values;
use crate::train::plan::{Affine, Kind, Normalization};

pub(super) struct Memory {
    /// What training moves.
    pub(super) parameters: Buffer,
    /// Running statistics.
    pub(super) statistics: Buffer,
    /// Averages of parameters and then of statistics; made when they are wanted.
    pub(super) averages: Option<Buffer>,
    pub(super) gradients: Buffer,
    /// The optimizer's: each slot goes over all parameters that move.
    pub(super) state: Buffer,
    pub(super) rates: Buffer,
    /// Whether all losses of the step are finite.
    pub(super) finite: Buffer,
    pub(super) labels: Buffer,
    /// What the outputs ought to be, where the loss is of values.
    pub(super) targets: Buffer,
    /// How much a sample of each class counts.
    pub(super) class_weights: Buffer,
    /// What the loss of each sample is multiplied by in the batch's.
    pub(super) share: Buffer,
    /// Losses and then hits.
    pub(super) outcomes: Buffer,
    /// What dropout multiplies by: all of one dropout, then of the next.
    pub(super) factors: Buffer,
    pub(super) packed: Buffer,
    pub(super) moments: Buffer,
    pub(super) constants: Buffer,
    pub(super) scratch: Buffer,
    /// What a step computes of a gradient that others have computed before it.
    pub(super) further: Buffer,
    /// By the map that is stored there; empty for others.
    maps: Vec<Buffer>,
    /// Shared by the gradients of maps.
    d_maps: Vec<Buffer>,
}

impl Memory {
    pub(super) fn new(
        executor: &Executor,
        layers: &Layers,
        values: &Values,
        state: usize,
        batch_size: usize,
    ) -> Result<Self, OpenClError> {
        let floats = |len: usize| executor.buffer(len, Element::F32);
        let of_batch = |len: usize| floats(len.saturating_mul(batch_size));
        let lens = layers.plan.map_lens.iter().enumerate();
        let lens = lens.map(|(map, len)| match layers.stored[map] == map {
            true => *len,
            false => 0,
        });
        Ok(Self {
            parameters: floats(values.parameters.len())?,
            statistics: floats(values.statistics.len())?,
            averages: None,
            gradients: floats(values.parameters.len())?,
            state: floats(state)?,
            rates: floats(StepRates::LEN)?,
            finite: floats(1)?,
            labels: executor.buffer(batch_size, Element::U32)?,
            targets: of_batch(layers.plan.output_len())?,
            class_weights: floats(layers.plan.output_len())?,
            share: floats(1)?,
            outcomes: of_batch(2)?,
            factors: of_batch(layers.factors_len)?,
            packed: floats(layers.packed_len)?,
            moments: floats(layers.moments_len)?,
            constants: floats(layers.constants.len())?,
            scratch: floats(scratch_len(layers, batch_size))?,
            further: of_batch(layers.further_len)?,
            maps: lens.map(of_batch).collect::<Result<_, _>>()?,
            d_maps: layers
                .gradients
                .lens
                .iter()
                .map(|len| of_batch(*len))
                .collect::<Result<_, _>>()?,
        })
    }

    /// `len` values of the map that is stored as `map`.
    pub(super) fn map(&self, map: usize, len: usize) -> Result<Slice<'_>, OpenClError> {
        self.maps[map].whole().part(0, len)
    }

    /// `len` values of a buffer of gradients.
    pub(super) fn d_map(&self, buffer: usize, len: usize) -> Result<Slice<'_>, OpenClError> {
        self.d_maps[buffer].whole().part(0, len)
    }
}

/// The elements of `buffer` in `range`.
pub(super) fn part<'b>(slice: Slice<'b>, range: &Range<usize>) -> Result<Slice<'b>, OpenClError> {
    slice.part(range.start, range.len())
}

/// What the layer that needs the most scratch needs.
fn scratch_len(layers: &Layers, batch_size: usize) -> usize {
    let of_layer = layers.plan.steps.iter().map(|step| match &step.kind {
        Kind::Conv2d(params, _) => Recording::conv2d_f32_backward_scratch_len(params, batch_size),
        Kind::BatchNorm(Normalization { channels, .. })
        | Kind::ChannelAffine(Affine { channels, .. }) => {
            let rows = batch_size.saturating_mul(layers.plan.map_lens[step.to] / channels);
            Recording::batch_norm_f32_scratch_len(rows, *channels)
        }
        _ => 0,
    });
    of_layer.max().unwrap_or(0)
}
