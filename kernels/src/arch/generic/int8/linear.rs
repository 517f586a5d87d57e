//! Linear layers of 8-bit numbers: a window is a whole sample. Samples are taken over as terms a few at a time.

use super::conv2d::Ends;
use super::packed::Packed;
use super::tile::{Broadcast, Operands, Windows, most_panels, tiles};
use super::{Sums, Term, Word};
use crate::lengths;
use crate::params::{Linear, LinearI8, RowOrder, WeightsI8};

/// Samples that are computed side by side.
const SAMPLES: usize = 4;

fn packed(geometry: &Linear) -> Packed {
    Packed {
        groups: 1,
        channels: geometry.out_features(),
        runs: 1,
        run: geometry.in_features(),
    }
}

/// Bytes of packed weights.
pub(crate) fn packed_len<S: Sums>(params: &LinearI8) -> usize {
    packed(params.geometry()).len::<S>()
}

/// Packs weights.
pub(crate) fn pack<S: Sums>(
    params: &LinearI8,
    weights: (&[i8], RowOrder),
    packed_weights: &mut [i8],
) {
    packed(params.geometry()).pack::<S>(params.input_zero_point(), weights, packed_weights);
}

/// Bytes of scratch: a few samples in whole words.
pub(crate) fn scratch_len<S: Sums>(params: &LinearI8) -> usize {
    let words = packed(params.geometry()).words::<S>();
    words.saturating_mul(4 * SAMPLES)
}

/// Linear layer, bias and bounds.
#[inline(always)]
pub(crate) fn forward<S: Sums>(
    isa: S::Isa,
    params: &LinearI8,
    input: &[i8],
    weights: WeightsI8<'_>,
    scratch: &mut [u8],
    output: &mut [i8],
) {
    let all = (weights, packed_len::<S>(params));
    let room = (&*scratch, scratch_len::<S>(params));
    if lengths::linear_i8_with(params, input, all, room, output).is_none() {
        return;
    }
    let (from, to) = (
        params.geometry().in_features(),
        params.geometry().out_features(),
    );
    let packed = packed(params.geometry());
    let words = packed.words::<S>();
    let row = words * S::Word::TERMS;
    let windows = Windows {
        rows: 1,
        row_step: 0,
        columns: 1,
        column_step: 0,
        words,
        pixel_step: 4 * words,
    };
    // SAFETY: terms are bytes or pairs of them, scratch begins at a multiple of 64 bytes and is long enough.
    let terms = unsafe {
        core::slice::from_raw_parts_mut(scratch.as_mut_ptr().cast::<Term<S>>(), SAMPLES * row)
    };
    for (input, output) in input
        .chunks(SAMPLES * from)
        .zip(output.chunks_mut(SAMPLES * to))
    {
        let samples = input.len() / from;
        for (terms, input) in terms.chunks_exact_mut(row).zip(input.chunks_exact(from)) {
            for (term, x) in terms.iter_mut().zip(input) {
                *term = S::Word::term(*x, params.input_zero_point());
            }
        }
        let mut panel = 0;
        while panel < packed.panels::<S>() {
            let panels = (packed.panels::<S>() - panel).min(most_panels::<S>());
            let channel = panel * S::LANES;
            let count = (to - channel).min(panels * S::LANES);
            let ends = Ends::new::<S>(&weights, &packed, channel, channel, count);
            let first_panel = packed.corrections_len::<S>() + panel * packed.panel_len::<S>();
            // SAFETY: weights and scratch are as long as they must be, and the output is of these samples. What follows
            // the last term of a row is multiplied by 0.
            unsafe {
                let of = Operands {
                    terms: terms.as_ptr().cast(),
                    weights: weights.weights.as_ptr().add(first_panel).cast(),
                    panel_len: packed.panel_len::<S>(),
                    first: ends.first.as_ptr().cast(),
                    scale: ends.scale.as_ptr(),
                    output: output.as_mut_ptr().add(channel),
                    output_step: to,
                    channels: count,
                };
                tiles::<S, Broadcast>(isa, params.output(), &windows, of, (samples, panels));
            }
            panel += panels;
        }
    }
}
