//! Convolutions of 8-bit numbers. Depthwise ones have words of their own making: see [`depthwise`](super::depthwise).

use super::image::Image;
use super::packed::Packed;
use super::tile::{Broadcast, MAX_PANELS, Operands, Windows, most_panels, tiles};
use super::{Sums, Term, Word, depthwise};
use crate::lengths;
use crate::params::{Conv2d, Conv2dI8, RowOrder, WeightsI8};

/// The widest register that there is room for.
pub(super) const MAX_LANES: usize = 16;

/// How the weights of a convolution are packed.
pub(super) fn packed(geometry: &Conv2d) -> Packed {
    let window = geometry.window();
    // A row of the window is one run where its positions and their channels lie beside each other.
    let is_one = geometry.groups() == 1 && window.dilation_w == 1;
    let columns = if is_one { 1 } else { window.kernel_w };
    let runs = window.kernel_h.saturating_mul(columns);
    Packed {
        groups: geometry.groups(),
        channels: geometry.group_out_channels(),
        runs,
        run: geometry.taps().checked_div(runs).unwrap_or(0),
    }
}

/// Bytes of packed weights.
pub(crate) fn packed_len<S: Sums>(params: &Conv2dI8) -> usize {
    let geometry = params.geometry();
    match geometry.is_depthwise() {
        true => depthwise::packed(geometry).len::<S>(),
        false => packed(geometry).len::<S>(),
    }
}

/// Packs weights.
pub(crate) fn pack<S: Sums>(
    params: &Conv2dI8,
    weights: (&[i8], RowOrder),
    packed_weights: &mut [i8],
) {
    let (geometry, zero_point) = (params.geometry(), params.input_zero_point());
    match geometry.is_depthwise() {
        true => depthwise::packed(geometry).pack::<S>(zero_point, weights, packed_weights),
        false => packed(geometry).pack::<S>(zero_point, weights, packed_weights),
    }
}

/// The input as it is taken over.
pub(super) fn image(geometry: &Conv2d) -> Image {
    Image {
        from: geometry.input(),
        padding: geometry.window().padding,
    }
}

/// Bytes of scratch.
pub(crate) fn scratch_len<S: Sums>(params: &Conv2dI8) -> usize {
    let geometry = params.geometry();
    match geometry.is_depthwise() {
        true => depthwise::scratch_len::<S>(geometry),
        // The last word of a run may reach beyond the image.
        false => (image(geometry).len().saturating_add(S::Word::TERMS))
            .saturating_mul(size_of::<Term<S>>()),
    }
}

/// Convolution, bias and bounds.
#[inline(always)]
pub(crate) fn forward<S: Sums>(
    isa: S::Isa,
    params: &Conv2dI8,
    input: &[i8],
    weights: WeightsI8<'_>,
    scratch: &mut [u8],
    output: &mut [i8],
) {
    let all = (weights, packed_len::<S>(params));
    let room = (&*scratch, scratch_len::<S>(params));
    if lengths::conv2d_i8_with(params, input, all, room, output).is_none() {
        return;
    }
    let geometry = params.geometry();
    let (from, to) = (geometry.input(), geometry.output());
    for (input, output) in input
        .chunks_exact(from.len())
        .zip(output.chunks_exact_mut(to.len()))
    {
        match geometry.is_depthwise() {
            true => depthwise::sample::<S>(isa, params, input, weights, scratch, output),
            false => sample::<S>(isa, params, input, weights, scratch, output),
        }
    }
}

/// One sample, whose operands have the right lengths.
#[inline(always)]
fn sample<S: Sums>(
    isa: S::Isa,
    params: &Conv2dI8,
    input: &[i8],
    weights: WeightsI8<'_>,
    scratch: &mut [u8],
    output: &mut [i8],
) {
    let geometry = params.geometry();
    let (window, to, image) = (geometry.window(), geometry.output(), image(geometry));
    let size = size_of::<Term<S>>();
    // SAFETY: terms are bytes or pairs of them, scratch begins at a multiple of 64 bytes and is long enough.
    let terms = unsafe {
        core::slice::from_raw_parts_mut(scratch.as_mut_ptr().cast::<Term<S>>(), image.len())
    };
    image.write::<S>(params.input_zero_point(), input, terms);

    let packed = packed(geometry);
    let channels = geometry.group_in_channels();
    let position = image.from.channels * size;
    let columns = packed.runs / window.kernel_h;
    let windows = Windows {
        rows: window.kernel_h,
        row_step: window.dilation_h * image.width() * position,
        columns,
        column_step: window.dilation_w * position,
        words: packed.words::<S>(),
        pixel_step: window.stride_w * position,
    };
    let row_step = window.stride_h * image.width() * position;
    // Rows of which one goes on where the one before ends are one long row.
    let (rows, pixels) = match row_step == to.width * windows.pixel_step {
        true => (1, to.height * to.width),
        false => (to.height, to.width),
    };
    for group in 0..packed.groups {
        let all = packed.panels::<S>();
        let mut panel = 0;
        while panel < all {
            let panels = (all - panel).min(most_panels::<S>());
            let channel = panel * S::LANES;
            let count = (packed.channels - channel).min(panels * S::LANES);
            let at = group * packed.channels + channel;
            let ends = Ends::new::<S>(
                &weights,
                &packed,
                (group * all + panel) * S::LANES,
                at,
                count,
            );
            let first_panel =
                packed.corrections_len::<S>() + (group * all + panel) * packed.panel_len::<S>();
            // SAFETY: weights and scratch are as long as they must be, and the output is of one sample; windows are
            // within the padded image, and words beyond its end within the scratch.
            unsafe {
                for row in 0..rows {
                    let terms = scratch
                        .as_ptr()
                        .add(row * row_step + group * channels * size);
                    let of = Operands {
                        terms,
                        weights: weights.weights.as_ptr().add(first_panel).cast(),
                        panel_len: packed.panel_len::<S>(),
                        first: ends.first.as_ptr().cast(),
                        scale: ends.scale.as_ptr(),
                        output: output.as_mut_ptr().add(row * pixels * to.channels + at),
                        output_step: to.channels,
                        channels: count,
                    };
                    let counts = (pixels, panels);
                    tiles::<S, Broadcast>(isa, params.output(), &windows, of, counts);
                }
            }
            panel += panels;
        }
    }
}

/// What the sums of a few panels begin with, and what they are multiplied by.
pub(super) struct Ends {
    pub(super) first: [i32; MAX_PANELS * MAX_LANES],
    pub(super) scale: [f32; MAX_PANELS * MAX_LANES],
}

impl Ends {
    /// Of `count` channels from `channel` on, whose place in the panels is `lane`.
    #[inline(always)]
    pub(super) fn new<S: Sums>(
        weights: &WeightsI8<'_>,
        packed: &Packed,
        lane: usize,
        channel: usize,
        count: usize,
    ) -> Self {
        let mut ends = Self {
            first: [0; MAX_PANELS * MAX_LANES],
            scale: [0.0; MAX_PANELS * MAX_LANES],
        };
        let corrections = &weights.weights[..packed.corrections_len::<S>()];
        let corrections = corrections[lane * 4..].as_chunks::<4>().0;
        for (first, bytes) in ends.first.iter_mut().zip(&corrections[..count]) {
            *first = i32::from_le_bytes(bytes.map(|byte| byte as u8)).wrapping_neg();
        }
        if let Some(bias) = weights.bias {
            for (first, bias) in ends.first.iter_mut().zip(&bias[channel..channel + count]) {
                *first = first.wrapping_add(*bias);
            }
        }
        ends.scale[..count].copy_from_slice(&weights.scale[channel..channel + count]);
        ends
    }
}
