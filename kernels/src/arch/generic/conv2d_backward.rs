//! The gradients of a convolution.
//!
//! - **Input**: a convolution again, with stride 1, over the gradient of the output; the weights are turned
//!   upside down and packed with input and output channels exchanged. With larger strides the gradient is
//!   spread into scratch first, `stride` apart, with zeros between: what is computed with them for nothing
//!   is the price of one inner loop.
//! - **Weights**: for each tap and output channel a sum over pixels. A tile is up to six taps times one
//!   panel of output channels; it takes in a whole row of pixels as outer products. It is summed in
//!   scratch as `[group][taps][out_channels / groups]` and transposed at the end.

use super::conv2d::{panels_len, slide};
use super::microkernel::{Lanes, Tile, for_each_panel, for_each_tile};
use super::sliding::Sliding;
use super::{Vector, depthwise};
use crate::lengths;
use crate::params::Conv2d;
use crate::taps::Axis;

/// Pixels in a pass of the weight gradient: what they read, some 30 KiB, stays in the nearest cache while
/// all taps pass by.
const PASS_PIXELS: usize = 128;

/// Rows and columns of the input with its padding.
pub(super) fn padded(params: &Conv2d) -> (usize, usize) {
    let (input, padding) = (params.input(), params.window().padding);
    (
        input.height + padding.top + padding.bottom,
        input.width + padding.left + padding.right,
    )
}

/// Elements of one padded sample, or 0 if there is no padding: then the input is used in place.
fn padded_len(params: &Conv2d) -> usize {
    if params.window().padding.is_zero() {
        return 0;
    }
    let (height, width) = padded(params);
    height
        .saturating_mul(width)
        .saturating_mul(params.input().channels)
}

/// Copies a sample into the middle of `to`, whose border is left alone.
fn copy_padded(params: &Conv2d, sample: &[f32], to: &mut [f32]) {
    let (input, padding) = (params.input(), params.window().padding);
    let row = (input.width * input.channels).max(1);
    let padded_row = (padded(params).1 * input.channels).max(1);
    let rows = to.chunks_exact_mut(padded_row).skip(padding.top);
    for (to, from) in rows.zip(sample.chunks_exact(row)) {
        let to = to.get_mut(padding.left * input.channels..);
        for (to, from) in to.unwrap_or_default().iter_mut().zip(from) {
            *to = *from;
        }
    }
}

/// Rows and columns of the spread gradient of the output: with the upside-down window it has just the
/// input's size as output.
fn spread(params: &Conv2d) -> (usize, usize) {
    let (input, window) = (params.input(), params.window());
    (
        input.height + (window.kernel_h - 1) * window.dilation_h,
        input.width + (window.kernel_w - 1) * window.dilation_w,
    )
}

/// Whether the gradient of the output can be read where it is: not if there are zeros to be put between, nor
/// if padding beyond the window makes outputs that see none of the input.
fn in_place(params: &Conv2d) -> bool {
    let window = params.window();
    (window.stride_h, window.stride_w) == (1, 1)
        && window.padding.top <= (window.kernel_h - 1) * window.dilation_h
        && window.padding.left <= (window.kernel_w - 1) * window.dilation_w
}

fn spread_len(params: &Conv2d) -> usize {
    if in_place(params) {
        return 0;
    }
    let (height, width) = spread(params);
    height
        .saturating_mul(width)
        .saturating_mul(params.output().channels)
}

/// Elements of the packed upside-down weights.
fn flipped_len<V: Vector>(params: &Conv2d) -> usize {
    let window = params.window();
    if params.is_depthwise() {
        return params.weights_len();
    }
    let taps = window.kernel_h * window.kernel_w * params.group_out_channels();
    panels_len::<V>(params.groups(), params.group_in_channels(), taps)
}

/// Elements of scratch that either gradient needs.
pub(crate) fn scratch_len<V: Vector>(params: &Conv2d) -> usize {
    let for_input = spread_len(params).saturating_add(flipped_len::<V>(params));
    let for_weights = padded_len(params).saturating_add(params.weights_len());
    for_input.max(for_weights)
}

/// Copies a sample of the output's gradient, pixel by pixel, to where the windows of the upside-down
/// convolution find it. The zeros between are left alone.
fn copy_spread(params: &Conv2d, sample: &[f32], to: &mut [f32]) {
    let (window, output) = (params.window(), params.output());
    let channels = output.channels.max(1);
    let (_, width) = spread(params);
    // Output position `o` is tap 0 of input position `o * stride - padding`, and tap 0 is the last of
    // the upside-down window. It may fall outside if the padding is larger than the window.
    let place = |o: usize, stride: usize, kernel: usize, dilation: usize, before: usize| {
        (o * stride + (kernel - 1) * dilation).checked_sub(before)
    };
    let rows = sample.chunks_exact((output.width * channels).max(1));
    for (y, row) in rows.enumerate() {
        let before = window.padding.top;
        let y = place(
            y,
            window.stride_h,
            window.kernel_h,
            window.dilation_h,
            before,
        );
        let row_len = (width * channels).max(1);
        let Some(to) = y.and_then(|y| to.chunks_exact_mut(row_len).nth(y)) else {
            continue;
        };
        for (x, pixel) in row.chunks_exact(channels).enumerate() {
            let before = window.padding.left;
            let x = place(
                x,
                window.stride_w,
                window.kernel_w,
                window.dilation_w,
                before,
            );
            let Some(to) = x.and_then(|x| to.chunks_exact_mut(channels).nth(x)) else {
                continue;
            };
            for (to, from) in to.iter_mut().zip(pixel) {
                *to = *from;
            }
        }
    }
}

/// Packs OHWI weights upside down, input channels as lanes:
/// `[group][panel][kernel_h][kernel_w][out_channels / groups][lanes]`.
fn pack_flipped<V: Vector>(params: &Conv2d, weights: &[f32], packed: &mut [f32]) {
    let channels = params.group_in_channels().max(1);
    let taps = params.taps().max(1);
    let group_len = params.group_out_channels().saturating_mul(taps).max(1);
    let positions = taps / channels;
    let mut packed = packed;
    for group in weights.chunks_exact(group_len) {
        let mut first = 0;
        while first < channels {
            let count = (channels - first).min(2 * V::LANES);
            let lanes = count.next_multiple_of(V::LANES).max(1);
            let len = positions * params.group_out_channels() * lanes;
            let Some((panel, rest)) = packed.split_at_mut_checked(len) else {
                return;
            };
            packed = rest;
            let mut panel = panel.chunks_exact_mut(lanes);
            for position in (0..positions).rev() {
                for (row, panel) in group.chunks_exact(taps).zip(panel.by_ref()) {
                    let from = row.get(position * channels + first..).unwrap_or_default();
                    let (values, padding) = panel.split_at_mut(count.min(lanes));
                    for (value, from) in values.iter_mut().zip(from) {
                        *value = *from;
                    }
                    padding.fill(0.0);
                }
            }
            first += count;
        }
    }
}

/// The convolution that has the gradient of the input as its output.
fn upside_down(params: &Conv2d) -> Sliding {
    let (window, from, to) = (params.window(), params.input(), params.output());
    let axis = |kernel, dilation, padding, extent, spread| {
        let (before, extent) = match in_place(params) {
            // The last tap of a window finds the first output where the first tap found the input.
            true => ((kernel - 1) * dilation - padding, extent),
            false => (0, spread),
        };
        Axis {
            kernel,
            stride: 1,
            dilation,
            before,
            extent,
            after: 0,
        }
    };
    let (spread_h, spread_w) = spread(params);
    let padding = window.padding;
    Sliding {
        vertical: axis(
            window.kernel_h,
            window.dilation_h,
            padding.top,
            to.height,
            spread_h,
        ),
        horizontal: axis(
            window.kernel_w,
            window.dilation_w,
            padding.left,
            to.width,
            spread_w,
        ),
        channels: to.channels,
        group_channels: params.group_out_channels(),
        out_h: from.height,
        out_w: from.width,
        out_channels: from.channels,
        group_out_channels: params.group_in_channels(),
        range: (f32::NEG_INFINITY, f32::INFINITY),
    }
}

/// Writes the gradient of the input.
#[inline(always)]
pub(crate) fn input<V: Vector>(
    isa: V::Isa,
    params: &Conv2d,
    d_output: &[f32],
    weights: &[f32],
    scratch: &mut [f32],
    d_input: &mut [f32],
) {
    let expected = (weights, params.weights_len());
    if lengths::conv2d(params, d_input, expected, None, d_output).is_none() {
        return;
    }
    let Some(scratch) = lengths::scratch(scratch, scratch_len::<V>(params)) else {
        return;
    };
    let Some((source, packed)) = scratch.split_at_mut_checked(spread_len(params)) else {
        return;
    };
    source.fill(0.0);
    let sliding = upside_down(params);
    if params.is_depthwise() {
        depthwise::pack(params, weights, packed);
        // Whole taps in reverse order.
        let channels = params.input().channels.max(1);
        let taps = packed.len().min(params.weights_len()) / channels;
        let mut rest = packed.get_mut(..taps * channels).unwrap_or_default();
        while rest.len() >= 2 * channels {
            let (first, others) = rest.split_at_mut(channels);
            let (others, last) = others.split_at_mut(others.len() - channels);
            first.swap_with_slice(last);
            rest = others;
        }
    } else {
        pack_flipped::<V>(params, weights, packed);
    }
    for (d_output, d_input) in d_output
        .chunks_exact(params.output().len().max(1))
        .zip(d_input.chunks_exact_mut(params.input().len().max(1)))
    {
        let source = if in_place(params) {
            d_output
        } else {
            copy_spread(params, d_output, source);
            &*source
        };
        // SAFETY: the lengths of both samples were checked, and scratch to hold a spread one and the packed
        // weights; the axes know how far a sample goes.
        unsafe {
            let (source, packed) = (source.as_ptr(), packed.as_ptr());
            let (rows, d_input) = (0..sliding.out_h, d_input.as_mut_ptr());
            slide::<V>(isa, &sliding, rows, source, packed, None, d_input);
        }
    }
}

/// Adds the gradients of weights and bias, summed over the batch.
#[inline(always)]
pub(crate) fn weights<V: Vector>(
    isa: V::Isa,
    params: &Conv2d,
    input: &[f32],
    d_output: &[f32],
    scratch: &mut [f32],
    d_weights: &mut [f32],
    mut d_bias: Option<&mut [f32]>,
) {
    let expected = (&*d_weights, params.weights_len());
    if lengths::conv2d(params, input, expected, d_bias.as_deref(), d_output).is_none() {
        return;
    }
    let Some(scratch) = lengths::scratch(scratch, scratch_len::<V>(params)) else {
        return;
    };
    let padded_len = padded_len(params);
    let Some((source, sums)) = scratch.split_at_mut_checked(padded_len) else {
        return;
    };
    let Some(sums) = sums.get_mut(..params.weights_len()) else {
        return;
    };
    source.fill(0.0);
    sums.fill(0.0);
    for (input, d_output) in input
        .chunks_exact(params.input().len().max(1))
        .zip(d_output.chunks_exact(params.output().len().max(1)))
    {
        let source = if padded_len == 0 {
            input
        } else {
            copy_padded(params, input, source);
            &*source
        };
        // SAFETY: the lengths of a padded sample, an output sample and the sums were checked above.
        unsafe {
            let (source, d_output) = (source.as_ptr(), d_output.as_ptr());
            if params.is_depthwise() {
                depthwise::weights::<V>(isa, params, source, d_output, sums.as_mut_ptr());
            } else {
                one_sample::<V>(isa, params, source, d_output, sums.as_mut_ptr());
            }
        }
        if let Some(d_bias) = d_bias.as_deref_mut() {
            for d_output in d_output.chunks_exact(d_bias.len().max(1)) {
                for (d_bias, d) in d_bias.iter_mut().zip(d_output) {
                    *d_bias += d;
                }
            }
        }
    }
    if params.is_depthwise() {
        // One group of all channels, as the sums lie there.
        add_transposed(params.input().channels, params.taps(), sums, d_weights);
    } else {
        add_transposed(params.group_out_channels(), params.taps(), sums, d_weights);
    }
}

/// Adds sums `[group][taps][lanes]` to weights `[group][lanes][taps]`. Some taps at a time, so that what is read
/// across stays in the nearest cache until all lanes have passed.
fn add_transposed(lanes: usize, taps: usize, sums: &[f32], d_weights: &mut [f32]) {
    const BLOCK: usize = 16;
    let (lanes, taps) = (lanes.max(1), taps.max(1));
    let groups = sums.chunks_exact(lanes * taps);
    for (sums, d_weights) in groups.zip(d_weights.chunks_exact_mut(lanes * taps)) {
        for (block, sums) in sums.chunks(BLOCK * lanes).enumerate() {
            for (lane, row) in d_weights.chunks_exact_mut(taps).enumerate() {
                let row = row.get_mut(block * BLOCK..).unwrap_or_default();
                for (d, sums) in row.iter_mut().zip(sums.chunks_exact(lanes)) {
                    *d += sums.get(lane).copied().unwrap_or(0.0);
                }
            }
        }
    }
}

/// Adds one sample's gradient to the sums `[group][taps][out_channels / groups]`.
///
/// # Safety
/// A padded sample, an output sample can be read; the sums read and written.
#[inline(always)]
unsafe fn one_sample<V: Vector>(
    isa: V::Isa,
    params: &Conv2d,
    source: *const f32,
    d_output: *const f32,
    sums: *mut f32,
) {
    let (to, window) = (params.output(), params.window());
    let (channels, group_channels) = (params.input().channels, params.group_in_channels());
    let group_out = params.group_out_channels();
    let source_row = padded(params).1 * channels;
    let pass_rows = (PASS_PIXELS / to.width.max(1)).max(1);
    let mut y = 0;
    while y < to.height {
        let rows = pass_rows.min(to.height - y);
        for group in 0..params.groups() {
            // SAFETY: rows `y..y + rows` of the output exist, and so do the input rows they see; the
            // sums have `taps` rows of `group_out` values for each group.
            unsafe {
                let source = source.add(y * window.stride_h * source_row + group * group_channels);
                let d_output = d_output.add(y * to.width * to.channels + group * group_out);
                let sums = sums.add(group * params.taps() * group_out);
                for_each_panel!(V, group_out, |at, NV, PARTIAL, last| {
                    let lanes = Lanes {
                        start: d_output.add(at),
                        step: to.channels,
                        last,
                    };
                    let mut cursor = TapCursor::new(params, source_row);
                    for_each_tile!(V, params.taps(), |tap, M| {
                        let mut sources = [source; M];
                        for source in &mut sources {
                            *source = source.add(cursor.next());
                        }
                        let sums = sums.add(tap * group_out + at);
                        tile::<V, M, NV, PARTIAL>(isa, params, rows, sources, lanes, sums);
                    });
                });
            }
        }
        y += rows;
    }
}

/// Where each tap is in the source, as seen from the first: tap rows, tap columns, channels.
struct TapCursor {
    offset: usize,
    channel: usize,
    column: usize,
    /// Counts and steps.
    channels: usize,
    columns: usize,
    next_column: usize,
    next_row: usize,
}

impl TapCursor {
    fn new(params: &Conv2d, source_row: usize) -> Self {
        let window = params.window();
        let step = window.dilation_w * params.input().channels;
        Self {
            offset: 0,
            channel: 0,
            column: 0,
            channels: params.group_in_channels(),
            columns: window.kernel_w,
            next_column: step - params.group_in_channels(),
            next_row: (window.dilation_h * source_row).wrapping_sub(window.kernel_w * step),
        }
    }

    #[inline(always)]
    fn next(&mut self) -> usize {
        let offset = self.offset;
        self.offset += 1;
        self.channel += 1;
        if self.channel == self.channels {
            self.channel = 0;
            self.offset += self.next_column;
            self.column += 1;
            if self.column == self.columns {
                self.column = 0;
                // The window may be wider than the row it is in is long: then this goes back.
                self.offset = self.offset.wrapping_add(self.next_row);
            }
        }
        offset
    }
}

/// Adds to the sums of `M` taps what `rows` rows of output pixels give.
///
/// # Safety
/// As for [`one_sample`].
#[inline(always)]
unsafe fn tile<V: Vector, const M: usize, const NV: usize, const PARTIAL: bool>(
    isa: V::Isa,
    params: &Conv2d,
    rows: usize,
    sources: [*const f32; M],
    lanes: Lanes,
    sums: *mut f32,
) {
    let (window, to) = (params.window(), params.output());
    let channels = params.input().channels;
    let step = window.stride_w * channels;
    let row_step = window.stride_h * padded(params).1 * channels;
    let group_out = params.group_out_channels();
    // SAFETY: as the caller vouches: each tap is read at each pixel of these rows.
    unsafe {
        let mut tile = Tile::<V, M, NV, PARTIAL>::zero(isa);
        for y in 0..rows {
            let mut scalars = sources;
            for scalars in &mut scalars {
                *scalars = scalars.add(y * row_step);
            }
            let lanes = Lanes {
                start: lanes.start.add(y * to.width * to.channels),
                ..lanes
            };
            tile.accumulate::<PARTIAL>(isa, scalars, step, lanes, to.width);
        }
        tile.add(isa, sums, group_out, lanes.last);
        tile.store(sums, group_out, lanes.last);
    }
}
