//! Convolution: input `[batch, h, w, in_channels]`, output `[batch, out_h, out_w, out_channels]`.
//!
//! 1. Weights are packed into panels of up to two vectors of output channels,
//!    `[group][panel][kernel_h][kernel_w][in_channels / groups][lanes]`, so that the inner loop reads them
//!    front to back.
//! 2. Padding is never stored: the output is cut into regions whose pixels see the same taps of the window
//!    (the inside, the edges, the corners), and each region visits the taps that it sees.
//! 3. A tile is up to [`Vector::ROWS`] pixels of a region, of any rows, times one panel. What a pixel reads of
//!    one row of the window is contiguous if taps are adjacent and there is one group; else it is read tap by
//!    tap.
//!
//! A panel stays in the nearest cache while all pixels pass by.

use core::ops::Range;
use core::ptr::NonNull;

use super::microkernel::{Lanes, Tile, for_each_panel, for_each_tile};
use super::neighbours::{self, Operands};
use super::sliding::{Cursor, Region, Sliding};
use super::{Vector, depthwise, first_of, pool2d};
use crate::lengths;
use crate::params::{Conv2d, PooledConv2d};

/// Elements that packed weights take when each of `groups` has `channels` lanes and `taps` taps: every
/// panel is filled up to whole vectors.
pub(super) fn panels_len<V: Vector>(groups: usize, channels: usize, taps: usize) -> usize {
    groups
        .saturating_mul(channels.next_multiple_of(V::LANES))
        .saturating_mul(taps)
}

/// Elements of the packed weights of the forward convolution.
pub(crate) fn packed_len<V: Vector>(params: &Conv2d) -> usize {
    if params.is_depthwise() {
        return params.weights_len();
    }
    panels_len::<V>(params.groups(), params.group_out_channels(), params.taps())
}

/// Packs OHWI weights for the forward convolution.
pub(crate) fn pack<V: Vector>(params: &Conv2d, weights: &[f32], packed: &mut [f32]) {
    let fits = lengths::at_least("packed", packed.len(), packed_len::<V>(params))
        && lengths::at_least("weights", weights.len(), params.weights_len());
    if !fits {
        return;
    }
    if params.is_depthwise() {
        return depthwise::pack(params, weights, packed);
    }
    let taps = params.taps().max(1);
    let group_len = params.group_out_channels().saturating_mul(taps).max(1);
    let mut packed = packed;
    for group in weights.chunks_exact(group_len) {
        for rows in group.chunks(2 * V::LANES * taps) {
            let lanes = (rows.len() / taps).next_multiple_of(V::LANES).max(1);
            let Some((panel, rest)) = packed.split_at_mut_checked(lanes * taps) else {
                return;
            };
            packed = rest;
            for (k, panel) in panel.chunks_exact_mut(lanes).enumerate() {
                for (lane, value) in panel.iter_mut().enumerate() {
                    *value = rows.get(lane * taps + k).copied().unwrap_or(0.0);
                }
            }
        }
    }
}

/// The rows `rows` of one convolution's output. `packed` is what [`pack`] makes.
///
/// # Safety
/// A sample can be read from `source`, all weights from `packed`, all channels from
/// `bias`; these rows of a sample can be written, the first row of the sample being at `output`.
#[inline(always)]
pub(super) unsafe fn slide<V: Vector>(
    isa: V::Isa,
    sliding: &Sliding,
    rows: Range<usize>,
    source: *const f32,
    packed: *const f32,
    bias: Option<NonNull<f32>>,
    output: *mut f32,
) {
    // SAFETY: the caller vouches for the operands.
    unsafe {
        if sliding.is_depthwise() {
            depthwise::slide::<V>(isa, sliding, rows, source, packed, bias, output);
        } else {
            panels::<V>(isa, sliding, rows, source, packed, bias, output);
        }
    }
}

/// As [`slide`], of a convolution whose weights are packed in panels.
///
/// # Safety
/// As for [`slide`].
#[inline(always)]
unsafe fn panels<V: Vector>(
    isa: V::Isa,
    sliding: &Sliding,
    rows: Range<usize>,
    source: *const f32,
    packed: *const f32,
    bias: Option<NonNull<f32>>,
    output: *mut f32,
) {
    let groups = sliding.channels / sliding.group_channels.max(1);
    let mut panel = packed;
    for group in 0..groups {
        // SAFETY: the group is one of the source's and output's; a panel is as long as its lanes times
        // taps, and the panels follow each other. A region's pixels are of these rows.
        unsafe {
            let source = source.add(group * sliding.group_channels);
            let first = group * sliding.group_out_channels;
            for_each_panel!(V, sliding.group_out_channels, |at, NV, PARTIAL, last| {
                let bias = bias.map(|bias| bias.add(first + at));
                let output = output.wrapping_add(first + at);
                sliding.for_each_region(
                    rows.clone(),
                    #[inline(always)]
                    |region| {
                        let operands = Operands {
                            source: source.wrapping_add(region.source),
                            panel,
                            bias,
                            output: output.wrapping_add(region.output),
                            last,
                        };
                        if NV == 1 && neighbours::region::<V>(isa, sliding, region, operands) {
                            return;
                        }
                        let mut cursor = Cursor::new(sliding, region);
                        for_each_tile!(V, region.height * region.width, |_pixel, M| {
                            let (sources, outputs) = cursor.next_tile::<M>(source, output);
                            let of = (sliding, region);
                            tile::<V, M, NV, PARTIAL>(isa, of, sources, panel, bias, outputs, last);
                        });
                    },
                );
                panel = panel.add(NV * V::LANES * sliding.taps());
            });
        }
    }
}

/// One panel of channels of `M` pixels of a region, which start to read at `sources`.
///
/// # Safety
/// As for [`slide`].
#[inline(always)]
unsafe fn tile<V: Vector, const M: usize, const NV: usize, const PARTIAL: bool>(
    isa: V::Isa,
    (sliding, region): (&Sliding, &Region),
    sources: [*const f32; M],
    panel: *const f32,
    bias: Option<NonNull<f32>>,
    outputs: [*mut f32; M],
    last: usize,
) {
    let (segments, len) = sliding.segments(region);
    // A step that is never taken, of a window of one row, may be larger than memory.
    let row_step = sliding.vertical.dilation.wrapping_mul(sliding.source_row());
    let segment_step = sliding.horizontal.dilation.wrapping_mul(sliding.channels);
    let lanes_of_tap = sliding.group_channels * NV * V::LANES;
    // SAFETY: a pixel reads the rows and segments that the region sees, from its place in the source on, and
    // as many values of the panel; the caller vouches that they are there.
    unsafe {
        let mut tile: Tile<V, M, NV, PARTIAL> = match bias {
            Some(bias) => Tile::broadcast(isa, bias.as_ptr(), last),
            None => Tile::zero(isa),
        };
        for row in 0..region.rows.count {
            let tap = (region.rows.first + row) * sliding.horizontal.kernel + region.columns.first;
            let mut lanes = Lanes {
                start: panel.add(tap * lanes_of_tap),
                step: NV * V::LANES,
                last: V::LANES,
            };
            for segment in 0..segments {
                let offset = row * row_step + segment * segment_step;
                let mut scalars = sources;
                for scalars in &mut scalars {
                    *scalars = scalars.add(offset);
                }
                // Packed panels are whole vectors.
                tile.accumulate::<false>(isa, scalars, 1, lanes, len);
                lanes.start = lanes.start.add(len * NV * V::LANES);
            }
        }
        tile.clamp(isa, sliding.range);
        tile.store_rows(outputs, last);
    }
}

/// Convolution, bias and activation, with weights from [`pack`].
#[inline(always)]
pub(crate) fn forward<V: Vector>(
    isa: V::Isa,
    params: &Conv2d,
    input: &[f32],
    packed: &[f32],
    bias: Option<&[f32]>,
    _scratch: &mut [f32],
    output: &mut [f32],
) {
    let weights = (packed, packed_len::<V>(params));
    if lengths::conv2d(params, input, weights, bias, output).is_none() {
        return;
    }
    let sliding = Sliding::forward(params);
    for (input, output) in input
        .chunks_exact(params.input().len().max(1))
        .zip(output.chunks_exact_mut(params.output().len().max(1)))
    {
        // SAFETY: the lengths of a sample, of packed weights, bias and an output sample were checked above.
        unsafe {
            let (source, packed) = (input.as_ptr(), packed.as_ptr());
            let (bias, output) = (bias.map(first_of), output.as_mut_ptr());
            let rows = 0..sliding.out_h;
            slide::<V>(isa, &sliding, rows, source, packed, bias, output);
        }
    }
}

/// Elements of the convolution's output that are kept at a time before they are pooled: with what they are
/// computed from they stay in the nearest cache.
const BAND_LEN: usize = 6 * 1024;

/// Rows of a pool that are computed at a time.
fn band_rows(params: &PooledConv2d) -> usize {
    let row_len = params.rows(0).len() * params.conv().output().width;
    let row_len = row_len.saturating_mul(params.output().channels);
    (BAND_LEN / row_len.max(1)).clamp(1, params.output().height)
}

/// Elements of scratch for a convolution with its pool: one band of the convolution's output.
pub(crate) fn pooled_scratch_len(params: &PooledConv2d) -> usize {
    let to = params.conv().output();
    let rows = params.rows(band_rows(params) - 1).end;
    rows.saturating_mul(to.width).saturating_mul(to.channels)
}

/// Convolution, bias, activation and the maximum over each window, with weights from [`pack`]: band by band,
/// so that the convolution's output goes no further than the nearest cache.
#[inline(always)]
pub(crate) fn pooled<V: Vector>(
    isa: V::Isa,
    params: &PooledConv2d,
    input: &[f32],
    packed: &[f32],
    bias: Option<&[f32]>,
    scratch: &mut [f32],
    output: &mut [f32],
) {
    let (conv, to) = (params.conv(), params.output());
    let weights = (packed, packed_len::<V>(conv));
    if lengths::pooled_conv2d(params, input, weights, bias, output).is_none() {
        return;
    }
    let Some(scratch) = lengths::scratch(scratch, pooled_scratch_len(params)) else {
        return;
    };
    let sliding = Sliding::forward(conv);
    let row_len = sliding.out_w * sliding.out_channels;
    let band = band_rows(params);
    for (input, output) in input
        .chunks_exact(params.input().len().max(1))
        .zip(output.chunks_exact_mut(to.len().max(1)))
    {
        let mut first = 0;
        while first < to.height {
            let last = (first + band).min(to.height) - 1;
            let rows = params.rows(first).start..params.rows(last).end;
            let scratch = scratch.as_mut_ptr();
            // SAFETY: the lengths were checked above. A band has no more rows than the first one, so scratch
            // holds it, its first row at the start.
            unsafe {
                let (source, packed) = (input.as_ptr(), packed.as_ptr());
                let bias = bias.map(first_of);
                let shifted = scratch.wrapping_sub(rows.start * row_len);
                slide::<V>(isa, &sliding, rows.clone(), source, packed, bias, shifted);
                for y in first..=last {
                    let seen = params.rows(y);
                    let seen = seen.start - rows.start..seen.end - rows.start;
                    let output = output.as_mut_ptr().add(y * to.width * to.channels);
                    pool2d::max_of_rows::<V>(isa, params, seen, scratch, output);
                }
            }
            first = last + 1;
        }
    }
}
