//! Values as the 8-bit numbers they will be: rounded to the nearest one and back, within a range that follows the batches
//! (Jacob et al., *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference*, 2018).
//!
//! In training the range moves towards the smallest and the largest number of each batch, as that of PyTorch's
//! `MovingAverageMinMaxObserver`. On the way back a step is taken for what it is on the average, the line: the gradient goes
//! straight through (Bengio et al., arXiv 1308.3432), but not to what the range cut off.

use kinglet_kernels::Quantization;
use rayon::prelude::*;

use super::{Backward, Mode, Pass};
use crate::quantize::Range;
use crate::train::plan::Rounding;

/// Values of one task: enough to be worth it. Smallest and largest are the same however values are shared out.
const CHUNK: usize = 1 << 14;

pub(crate) struct FakeQuantizeStage {
    of: Rounding,
    /// What numbers meant in the last pass; None before any batch was seen.
    quantization: Option<Quantization>,
}

impl FakeQuantizeStage {
    pub(super) fn new(of: Rounding) -> Self {
        Self {
            of,
            quantization: None,
        }
    }

    pub(super) fn forward(
        &mut self,
        pass: &Pass,
        statistics: &mut [f32],
        input: &[f32],
        output: &mut [f32],
    ) {
        let range = &mut statistics[self.of.range.clone()];
        if let (Mode::Train(_), [low, high]) = (pass.mode, &mut *range) {
            let found = extent(input);
            match (*low, *high) {
                // The first batch.
                (0.0, 0.0) => (*low, *high) = (found.low, found.high),
                _ => {
                    let towards = |from: f32, to: f32| from + self.of.momentum * (to - from);
                    (*low, *high) = (towards(*low, found.low), towards(*high, found.high));
                }
            }
        }
        self.quantization = quantization(range);
        let chunks = output.par_chunks_mut(CHUNK).zip(input.par_chunks(CHUNK));
        match self.quantization {
            None => chunks.for_each(|(output, input)| output.copy_from_slice(input)),
            Some(of) => chunks.for_each(|(output, input)| {
                for (y, x) in output.iter_mut().zip(input) {
                    *y = of.dequantize(of.quantize(*x));
                }
            }),
        }
    }

    pub(super) fn backward(&self, of: Backward) {
        let Some(d_input) = of.d_input else { return };
        // What rounds to a number beyond the ends was cut off.
        let (low, high) = match self.quantization {
            None => (f32::NEG_INFINITY, f32::INFINITY),
            Some(of) => {
                let [low, high] = [i8::MIN, i8::MAX].map(|end| of.dequantize(end));
                (low - 0.5 * of.scale, high + 0.5 * of.scale)
            }
        };
        let chunks = d_input.par_chunks_mut(CHUNK);
        let chunks = chunks.zip(of.d_output.par_chunks(CHUNK));
        let chunks = chunks.zip(of.input.par_chunks(CHUNK));
        chunks.for_each(|((d_input, d_output), input)| {
            for ((d, d_output), x) in d_input.iter_mut().zip(d_output).zip(input) {
                *d = if (low..=high).contains(x) {
                    *d_output
                } else {
                    0.0
                };
            }
        });
    }
}

/// What numbers of a range mean; None of one that no batch has given.
pub(in crate::train) fn quantization(range: &[f32]) -> Option<Quantization> {
    match *range {
        [low, high] if low < high => Some(Range::new(low, high).quantization()),
        _ => None,
    }
}

/// From the smallest to the largest value; what is no number counts for neither.
fn extent(input: &[f32]) -> Range {
    let none = || (f32::INFINITY, f32::NEG_INFINITY);
    let widen = |(low, high): (f32, f32), x: &f32| (low.min(*x), high.max(*x));
    let ends = input
        .par_chunks(CHUNK)
        .map(|values| values.iter().fold(none(), widen));
    let (low, high) = ends.reduce(none, |a, b| (a.0.min(b.0), a.1.max(b.1)));
    Range::new(low, high)
}
