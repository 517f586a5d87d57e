//! The way of a window over one sample, without padding: the output is cut into regions whose pixels see the
//! same taps (the inside, the edges, the corners).

use core::ops::Range;

use crate::params::Conv2d;
use crate::taps::{Axis, Taps};

/// One sample of a convolution, which forward and backward passes have in common.
#[derive(Clone, Copy)]
pub(super) struct Sliding {
    pub(super) vertical: Axis,
    pub(super) horizontal: Axis,
    /// Channels of the source, of all groups and of one.
    pub(super) channels: usize,
    pub(super) group_channels: usize,
    /// Rows, columns, channels of the output, of all groups and of one.
    pub(super) out_h: usize,
    pub(super) out_w: usize,
    pub(super) out_channels: usize,
    pub(super) group_out_channels: usize,
    pub(super) range: (f32, f32),
}

impl Sliding {
    /// The forward convolution.
    pub(super) fn forward(params: &Conv2d) -> Self {
        let (from, to) = (params.input(), params.output());
        Self {
            vertical: Axis::vertical(params.window(), from.height),
            horizontal: Axis::horizontal(params.window(), from.width),
            channels: from.channels,
            group_channels: params.group_in_channels(),
            out_h: to.height,
            out_w: to.width,
            out_channels: to.channels,
            group_out_channels: params.group_out_channels(),
            range: params.activation().range(),
        }
    }

    /// Elements of one row of the source.
    pub(super) fn source_row(&self) -> usize {
        self.horizontal.extent * self.channels
    }

    /// The regions of the output rows `rows`.
    #[inline(always)]
    pub(super) fn for_each_region(&self, rows: Range<usize>, mut f: impl FnMut(&Region)) {
        for vertical in self.vertical.bands(rows) {
            for horizontal in self.horizontal.bands(0..self.out_w) {
                let (rows, columns) = (vertical.taps, horizontal.taps);
                let sees = rows.count > 0 && columns.count > 0;
                let source = rows.position.wrapping_mul(self.source_row());
                let source = source.wrapping_add(columns.position.wrapping_mul(self.channels));
                f(&Region {
                    rows,
                    columns,
                    height: vertical.len,
                    width: horizontal.len,
                    source: if sees { source } else { 0 },
                    output: (vertical.start * self.out_w + horizontal.start) * self.out_channels,
                });
            }
        }
    }

    /// Whether each channel is a group of its own, as [`Conv2d::is_depthwise`] has it.
    pub(super) fn is_depthwise(&self) -> bool {
        (self.group_channels, self.group_out_channels) == (1, 1)
    }

    /// Whether what a pixel reads of one row of the window is contiguous.
    pub(super) fn whole_rows(&self) -> bool {
        self.horizontal.dilation == 1 && self.channels == self.group_channels
    }

    /// Contiguous segments in what a region sees of one row of the window, and the length of each.
    pub(super) fn segments(&self, region: &Region) -> (usize, usize) {
        if self.whole_rows() {
            (1, region.columns.count * self.group_channels)
        } else {
            (region.columns.count, self.group_channels)
        }
    }

    /// Elements of the weights of one output channel.
    pub(super) fn taps(&self) -> usize {
        self.vertical.kernel * self.horizontal.kernel * self.group_channels
    }
}

/// Output pixels, a rectangle of them, that see the same taps.
pub(super) struct Region {
    pub(super) rows: Taps,
    pub(super) columns: Taps,
    pub(super) height: usize,
    pub(super) width: usize,
    /// Where its first pixel starts to read, and where it is written.
    pub(super) source: usize,
    pub(super) output: usize,
}

/// Walks the pixels of a [`Region`] without a division.
pub(super) struct Cursor {
    source: usize,
    output: usize,
    /// Pixels left in this row, and in each.
    left: usize,
    width: usize,
    /// From one pixel to the next in source and output.
    steps: (usize, usize),
    /// From the last pixel of a row to the first of the next.
    turns: (usize, usize),
}

impl Cursor {
    pub(super) fn new(sliding: &Sliding, region: &Region) -> Self {
        // A step that is never taken, to a second pixel of one, may be larger than memory.
        let right = sliding.horizontal.stride.wrapping_mul(sliding.channels);
        let down = sliding.vertical.stride.wrapping_mul(sliding.source_row());
        let steps = (right, sliding.out_channels);
        let last = region.width - 1;
        Self {
            source: region.source,
            output: region.output,
            left: region.width,
            width: region.width,
            steps,
            turns: (
                // A row of source may be shorter than the pixels' way: then this goes back.
                down.wrapping_sub(last.wrapping_mul(steps.0)),
                sliding.out_w * sliding.out_channels - last * steps.1,
            ),
        }
    }

    /// Offsets of the next pixel in source and output.
    #[inline(always)]
    fn next(&mut self) -> (usize, usize) {
        let at = (self.source, self.output);
        self.left -= 1;
        let (source, output) = if self.left == 0 {
            self.left = self.width;
            self.turns
        } else {
            self.steps
        };
        self.source = self.source.wrapping_add(source);
        self.output = self.output.wrapping_add(output);
        at
    }

    /// Where the next `M` pixels start to read, and where they are written.
    #[inline(always)]
    pub(super) fn next_tile<const M: usize>(
        &mut self,
        source: *const f32,
        output: *mut f32,
    ) -> ([*const f32; M], [*mut f32; M]) {
        let (mut sources, mut outputs) = ([source; M], [output; M]);
        for (source, output) in sources.iter_mut().zip(&mut outputs) {
            let at = self.next();
            // Pixels of padding alone have no place in the source.
            *source = source.wrapping_add(at.0);
            *output = output.wrapping_add(at.1);
        }
        (sources, outputs)
    }
}
