//! The DSP extension of Cortex-M4, M7 and their like: two products of 16-bit numbers, and their sum, in one instruction.

use super::{conv2d, depthwise, depthwise_rows, elementwise, linear, pool2d};
use crate::ops::{BackwardKernels, Kernels, StaticKernels};
use crate::params::{AddI8, Conv2dI8, LinearI8, Pool2d, RowOrder, WeightsI8};
use crate::portable;

/// The kernel set for cores with the DSP extension and a floating point unit: layers of 8-bit numbers, their maxima and
/// sums. The other operations are those of [`Portable`](crate::Portable).
///
/// Weights are read in place, from flash; fastest those that lie as [`RowOrder::Pairs`]. The input is taken to 16 bits, less its zero point, on the way to scratch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dsp(());

impl Dsp {
    /// The set. It needs no detection: a target that has this type has the instructions.
    pub const fn new() -> Self {
        Self(())
    }

    /// The set, as the others have it: if this CPU can run it, which is always.
    pub const fn detect() -> Option<Self> {
        Some(Self::new())
    }
}

impl StaticKernels for Dsp {
    const SCRATCH_PER_TERM: usize = conv2d::SCRATCH_PER_TERM;
    const SCRATCH: usize = conv2d::SCRATCH;
}

impl Kernels for Dsp {
    fn name(&self) -> &'static str {
        "dsp"
    }

    fn conv2d_i8_scratch_len(&self, params: &Conv2dI8) -> usize {
        let geometry = params.geometry();
        if conv2d::takes(geometry) {
            conv2d::scratch_len(geometry)
        } else if depthwise_rows::takes(geometry) {
            depthwise_rows::scratch_len(geometry)
        } else if depthwise::takes(geometry) {
            depthwise::scratch_len(geometry)
        } else {
            0
        }
    }

    fn conv2d_i8(
        &self,
        params: &Conv2dI8,
        input: &[i8],
        weights: WeightsI8<'_>,
        scratch: &mut [u8],
        output: &mut [i8],
    ) {
        let geometry = params.geometry();
        // Those of channels by themselves lie one after the other.
        let in_rows = weights.order == RowOrder::Rows;
        if conv2d::takes(geometry) {
            conv2d::conv2d_i8(params, input, weights, scratch, output);
        } else if in_rows && depthwise_rows::takes(geometry) {
            depthwise_rows::conv2d_i8(params, input, weights, scratch, output);
        } else if in_rows && depthwise::takes(geometry) {
            depthwise::conv2d_i8(params, input, weights, scratch, output);
        } else {
            portable::conv2d_i8(params, input, weights, output);
        }
    }

    fn linear_i8_scratch_len(&self, params: &LinearI8) -> usize {
        linear::scratch_len(params)
    }

    fn linear_i8(
        &self,
        params: &LinearI8,
        input: &[i8],
        weights: WeightsI8<'_>,
        scratch: &mut [u8],
        output: &mut [i8],
    ) {
        linear::linear_i8(params, input, weights, scratch, output);
    }

    fn max_pool2d_i8(&self, params: &Pool2d, input: &[i8], output: &mut [i8]) {
        pool2d::max_pool2d_i8(params, input, output);
    }

    fn add_i8(&self, params: &AddI8, operand: &[i8], data: &mut [i8]) {
        elementwise::add_i8(params, operand, data);
    }
}

impl BackwardKernels for Dsp {}
