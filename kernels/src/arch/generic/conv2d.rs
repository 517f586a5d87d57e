//! Convolution: input `[batch, h, w, in_channels]`, output `[batch, out_h, out_w, out_channels]`.
//!
//! 1. Weights are packed into panels of up to two vectors of output channels,
//!    `[group][panel][kernel_h][kernel_w][in_channels / groups][lanes]`, so that the inner loop reads them
//!    front to back.
//! 2. If there is padding, the sample is copied into scratch with zeros around it: the inner loop knows
//!    no border.
//! 3. A tile is up to six output pixels, of any rows, times one panel. What a pixel reads of one row of
//!    the window is contiguous if taps are adjacent and there is one group; else it is read tap by tap.
//!
//! A panel stays in the nearest cache while all pixels pass by.

use core::ptr::NonNull;

use super::microkernel::{Lanes, Tile, for_each_panel, for_each_tile};
use super::{Vector, depthwise, first_of};
use crate::lengths;
use crate::params::Conv2d;

/// A convolution without padding over a buffer, which forward and backward passes have in common.
#[derive(Clone, Copy)]
pub(super) struct Sliding {
    /// Columns of the source.
    pub(super) width: usize,
    /// Channels of the source, of all groups and of one.
    pub(super) channels: usize,
    pub(super) group_channels: usize,
    /// Rows, columns, channels of the output, of all groups and of one.
    pub(super) out_h: usize,
    pub(super) out_w: usize,
    pub(super) out_channels: usize,
    pub(super) group_out_channels: usize,
    pub(super) kernel: (usize, usize),
    pub(super) stride: (usize, usize),
    pub(super) dilation: (usize, usize),
    pub(super) range: (f32, f32),
}

impl Sliding {
    /// The forward convolution, over the padded input.
    pub(super) fn forward(params: &Conv2d) -> Self {
        let (window, to) = (params.window(), params.output());
        Self {
            width: padded(params).1,
            channels: params.input().channels,
            group_channels: params.group_in_channels(),
            out_h: to.height,
            out_w: to.width,
            out_channels: to.channels,
            group_out_channels: params.group_out_channels(),
            kernel: (window.kernel_h, window.kernel_w),
            stride: (window.stride_h, window.stride_w),
            dilation: (window.dilation_h, window.dilation_w),
            range: params.activation().range(),
        }
    }

    /// Where in the source each output pixel starts to read, pixel by pixel.
    fn cursor(&self) -> Cursor {
        let step = self.stride.1 * self.channels;
        Cursor {
            offset: 0,
            left: self.out_w,
            step,
            next_row: self.stride.0 * self.width * self.channels,
            width: self.out_w,
            row: 0,
        }
    }

    /// Contiguous segments in one row of the window, and the length of each.
    fn segments(&self) -> (usize, usize) {
        if self.dilation.1 == 1 && self.channels == self.group_channels {
            (1, self.kernel.1 * self.group_channels)
        } else {
            (self.kernel.1, self.group_channels)
        }
    }

    /// Elements of the weights of one output channel.
    fn taps(&self) -> usize {
        self.kernel.0 * self.kernel.1 * self.group_channels
    }
}

/// Walks the output pixels of a [`Sliding`] without a division.
struct Cursor {
    offset: usize,
    /// Pixels left in this row.
    left: usize,
    step: usize,
    /// Where the row starts, from where to where rows are.
    row: usize,
    next_row: usize,
    width: usize,
}

impl Cursor {
    #[inline(always)]
    fn next(&mut self) -> usize {
        let offset = self.offset;
        self.left -= 1;
        self.offset += self.step;
        if self.left == 0 {
            self.row += self.next_row;
            self.offset = self.row;
            self.left = self.width;
        }
        offset
    }
}

/// Rows and columns of the input with its padding.
pub(super) fn padded(params: &Conv2d) -> (usize, usize) {
    let (input, padding) = (params.input(), params.window().padding);
    (
        input.height + padding.top + padding.bottom,
        input.width + padding.left + padding.right,
    )
}

/// Elements of one padded sample, or 0 if there is no padding: then the input is used in place.
pub(super) fn padded_len(params: &Conv2d) -> usize {
    if params.window().padding.is_zero() {
        return 0;
    }
    let (height, width) = padded(params);
    height
        .saturating_mul(width)
        .saturating_mul(params.input().channels)
}

/// Copies a sample into the middle of `to`, whose border is left alone.
pub(super) fn copy_padded(params: &Conv2d, sample: &[f32], to: &mut [f32]) {
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

/// One convolution over one buffer. `packed` are panels as [`pack`] makes them.
///
/// # Safety
/// The CPU can run `V`. All that `sliding` reaches can be read from `source`, `packed` and `bias`, and
/// written at `output`.
#[inline(always)]
pub(super) unsafe fn slide<V: Vector>(
    sliding: &Sliding,
    source: *const f32,
    packed: *const f32,
    bias: Option<NonNull<f32>>,
    output: *mut f32,
) {
    let groups = sliding.channels / sliding.group_channels.max(1);
    let pixels = sliding.out_h * sliding.out_w;
    let mut panel = packed;
    for group in 0..groups {
        // SAFETY: the group is one of the source's and output's; a panel is as long as its lanes times
        // taps, and the panels follow each other.
        unsafe {
            let source = source.add(group * sliding.group_channels);
            let first = group * sliding.group_out_channels;
            for_each_panel!(V, sliding.group_out_channels, |at, NV, PARTIAL, last| {
                let bias = bias.map(|bias| bias.add(first + at));
                let output = output.add(first + at);
                let mut cursor = sliding.cursor();
                for_each_tile!(V, pixels, |pixel, M| {
                    let mut sources = [source; M];
                    for source in &mut sources {
                        *source = source.add(cursor.next());
                    }
                    let output = output.add(pixel * sliding.out_channels);
                    tile::<V, M, NV, PARTIAL>(sliding, sources, panel, bias, output, last);
                });
                panel = panel.add(NV * V::LANES * sliding.taps());
            });
        }
    }
}

/// One panel of channels of `M` neighbouring output pixels, which start to read at `sources`.
///
/// # Safety
/// As for [`slide`].
#[inline(always)]
unsafe fn tile<V: Vector, const M: usize, const NV: usize, const PARTIAL: bool>(
    sliding: &Sliding,
    sources: [*const f32; M],
    panel: *const f32,
    bias: Option<NonNull<f32>>,
    output: *mut f32,
    last: usize,
) {
    let (segments, len) = sliding.segments();
    let row_step = sliding.dilation.0 * sliding.width * sliding.channels;
    let segment_step = sliding.dilation.1 * sliding.channels;
    // SAFETY: a pixel reads `kernel` rows of `segments` from its place in the source on, and as many
    // values of the panel; the caller vouches that they are there.
    unsafe {
        let mut tile: Tile<V, M, NV, PARTIAL> = match bias {
            Some(bias) => Tile::broadcast(bias.as_ptr(), last),
            None => Tile::zero(),
        };
        let mut lanes = Lanes {
            start: panel,
            step: NV * V::LANES,
            last: V::LANES,
        };
        for kernel_y in 0..sliding.kernel.0 {
            for segment in 0..segments {
                let offset = kernel_y * row_step + segment * segment_step;
                let mut scalars = sources;
                for scalars in &mut scalars {
                    *scalars = scalars.add(offset);
                }
                // Packed panels are whole vectors.
                tile.accumulate::<false>(scalars, 1, lanes, len);
                lanes.start = lanes.start.add(len * NV * V::LANES);
            }
        }
        tile.clamp(sliding.range);
        tile.store(output, sliding.out_channels, last);
    }
}

/// Elements of scratch for the forward convolution.
pub(crate) fn scratch_len(params: &Conv2d) -> usize {
    padded_len(params)
}

/// Convolution, bias and activation, with weights from [`pack`].
///
/// # Safety
/// The CPU can run `V`.
#[inline(always)]
pub(crate) unsafe fn forward<V: Vector>(
    params: &Conv2d,
    input: &[f32],
    packed: &[f32],
    bias: Option<&[f32]>,
    scratch: &mut [f32],
    output: &mut [f32],
) {
    let weights = (packed, packed_len::<V>(params));
    if lengths::conv2d(params, input, weights, bias, output).is_none() {
        return;
    }
    let padded_len = padded_len(params);
    let Some(scratch) = lengths::scratch(scratch, padded_len) else {
        return;
    };
    scratch.fill(0.0);
    let sliding = Sliding::forward(params);
    let depthwise = params.is_depthwise();
    for (input, output) in input
        .chunks_exact(params.input().len().max(1))
        .zip(output.chunks_exact_mut(params.output().len().max(1)))
    {
        let source = if padded_len == 0 {
            input
        } else {
            copy_padded(params, input, scratch);
            &*scratch
        };
        // SAFETY: the lengths of a padded sample, of packed weights, bias and an output sample were
        // checked above, and the output size formula keeps every window within the padded sample.
        unsafe {
            let (source, packed) = (source.as_ptr(), packed.as_ptr());
            let (bias, output) = (bias.map(first_of), output.as_mut_ptr());
            if depthwise {
                depthwise::slide::<V>(&sliding, source, packed, bias, output);
            } else {
                slide::<V>(&sliding, source, packed, bias, output);
            }
        }
    }
}
