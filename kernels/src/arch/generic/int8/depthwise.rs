//! Depthwise convolutions of 8-bit numbers: each channel reads its own. A word has the terms of neighbouring positions of
//! one channel, and words of neighbouring channels lie beside each other, so that a register of them meets one of weights.

use super::conv2d::{Ends, image};
use super::packed::Packed;
use super::tile::{Each, Operands, Windows, tiles};
use super::{Sums, Term, Word};
use crate::params::{Conv2d, Conv2dI8, WeightsI8};

/// How the weights are packed: a run is a row of the window.
pub(super) fn packed(geometry: &Conv2d) -> Packed {
    let window = geometry.window();
    Packed {
        groups: 1,
        channels: geometry.output().channels,
        runs: window.kernel_h,
        run: window.kernel_w,
    }
}

/// Words of the padded image.
fn words_len(geometry: &Conv2d) -> usize {
    image(geometry).len()
}

/// Terms of a row, and of the padding that the words of its last positions reach into.
fn row_len<S: Sums>(geometry: &Conv2d) -> usize {
    let image = image(geometry);
    let beyond = geometry.window().dilation_w.saturating_mul(S::Word::TERMS);
    let positions = image.width().saturating_add(beyond);
    positions.saturating_mul(image.from.channels)
}

/// Bytes of scratch: a word for each term, a register beyond the last, and the terms of a row.
pub(super) fn scratch_len<S: Sums>(geometry: &Conv2d) -> usize {
    let words = words_len(geometry).saturating_add(S::LANES);
    let row = row_len::<S>(geometry).saturating_mul(size_of::<Term<S>>());
    words.saturating_mul(4).saturating_add(row)
}

/// One sample, whose operands have the right lengths.
#[inline(always)]
pub(super) fn sample<S: Sums>(
    isa: S::Isa,
    params: &Conv2dI8,
    input: &[i8],
    weights: WeightsI8<'_>,
    scratch: &mut [u8],
    output: &mut [i8],
) {
    let geometry = params.geometry();
    let (window, to, image) = (geometry.window(), geometry.output(), image(geometry));
    let channels = to.channels;
    // SAFETY: scratch begins at a multiple of 64 bytes and is long enough for the words, and for the terms of a row behind
    // them, which are bytes or pairs of them.
    let (words, row) = unsafe {
        let words = scratch.as_mut_ptr().cast::<u32>();
        let row = words.add(words_len(geometry) + S::LANES).cast();
        (
            core::slice::from_raw_parts_mut(words, words_len(geometry)),
            core::slice::from_raw_parts_mut(row, row_len::<S>(geometry)),
        )
    };
    write_words::<S>(params, input, row, words);

    let packed = packed(geometry);
    let position = channels * 4;
    let windows = Windows {
        rows: window.kernel_h,
        row_step: window.dilation_h * image.width() * position,
        columns: packed.words::<S>(),
        column_step: S::Word::TERMS * window.dilation_w * position,
        words: 1,
        pixel_step: window.stride_w * position,
    };
    for panel in 0..packed.panels::<S>() {
        let channel = panel * S::LANES;
        let count = (channels - channel).min(S::LANES);
        let ends = Ends::new::<S>(&weights, &packed, channel, channel, count);
        let first_panel = packed.corrections_len::<S>() + panel * packed.panel_len::<S>();
        for row in 0..to.height {
            // SAFETY: weights and scratch are as long as they must be, and the output is of one sample; windows are
            // within the padded image, and registers beyond its end within the scratch.
            unsafe {
                let row_start = row * window.stride_h * image.width() * position;
                let of = Operands {
                    terms: scratch.as_ptr().add(row_start + channel * 4),
                    weights: weights.weights.as_ptr().add(first_panel).cast(),
                    panel_len: packed.panel_len::<S>(),
                    first: ends.first.as_ptr().cast(),
                    scale: ends.scale.as_ptr(),
                    output: output.as_mut_ptr().add(row * to.width * channels + channel),
                    output_step: channels,
                    channels: count,
                };
                tiles::<S, Each>(isa, params.output(), &windows, of, (to.width, 1));
            }
        }
    }
}

/// Writes at each position of the padded image the words of its channels: the term there and those that a window reads
/// to the right of it. A row is taken over as terms first, in `terms`.
#[inline(always)]
fn write_words<S: Sums>(params: &Conv2dI8, input: &[i8], terms: &mut [Term<S>], words: &mut [u32]) {
    let geometry = params.geometry();
    let (image, zero_point) = (image(geometry), params.input_zero_point());
    let channels = image.from.channels;
    let (own, row_len) = (image.from.width * channels, image.width() * channels);
    let (top, left) = (image.padding.top, image.padding.left * channels);
    let step = geometry.window().dilation_w * channels;
    let padding = S::Word::term(zero_point, zero_point);
    terms.fill(padding);
    for (y, words) in words.chunks_exact_mut(row_len).enumerate() {
        match y.checked_sub(top).filter(|y| *y < image.from.height) {
            None => terms.fill(padding),
            Some(y) => {
                let input = &input[y * own..][..own];
                for (term, x) in terms[left..].iter_mut().zip(input) {
                    *term = S::Word::term(*x, zero_point);
                }
            }
        }
        S::Word::join(terms, step, words);
    }
}
