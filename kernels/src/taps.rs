//! Which taps of a window are inside the input, at one output position: on each axis an unbroken range,
//! so that loops over it need no further question.

use crate::params::Window;

/// One axis of a window and of the input it slides over.
#[derive(Clone, Copy)]
pub(crate) struct Axis {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    pub(crate) before: usize,
    pub(crate) extent: usize,
    pub(crate) after: usize,
}

impl Axis {
    /// The vertical axis over an input of `height` rows.
    pub(crate) fn vertical(window: &Window, height: usize) -> Self {
        Self {
            kernel: window.kernel_h,
            stride: window.stride_h,
            dilation: window.dilation_h,
            before: window.padding.top,
            extent: height,
            after: window.padding.bottom,
        }
    }

    /// The horizontal axis over an input of `width` columns.
    pub(crate) fn horizontal(window: &Window, width: usize) -> Self {
        Self {
            kernel: window.kernel_w,
            stride: window.stride_w,
            dilation: window.dilation_w,
            before: window.padding.left,
            extent: width,
            after: window.padding.right,
        }
    }

    /// Number of taps before `limit`, a position of the padded input, at output `out`.
    #[inline(always)]
    fn taps_before(&self, out: usize, limit: usize) -> usize {
        let room = limit.saturating_sub(out.wrapping_mul(self.stride));
        // Rounded up: a tap that starts in the room counts.
        let taps = match self.dilation {
            1 => room,
            dilation => room
                .wrapping_add(dilation)
                .saturating_sub(1)
                .checked_div(dilation)
                .unwrap_or(0),
        };
        taps.min(self.kernel)
    }

    /// The taps at output `out` that are inside the input.
    #[inline(always)]
    pub(crate) fn taps(&self, out: usize) -> Taps {
        let first = self.taps_before(out, self.before);
        let end = self.taps_before(out, self.before.wrapping_add(self.extent));
        Taps {
            first,
            count: end.saturating_sub(first),
            position: out
                .wrapping_mul(self.stride)
                .wrapping_add(first.wrapping_mul(self.dilation))
                .wrapping_sub(self.before),
        }
    }

    /// Cuts the first `count` outputs, from `first` on, into bands of outputs that see the same taps: one of all
    /// that see their whole window, and single outputs before and behind it.
    #[cfg_attr(
        not(any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "wasm32"
        )),
        expect(dead_code, reason = "the SIMD sets' way to do without padding")
    )]
    pub(crate) fn bands(self, outputs: core::ops::Range<usize>) -> impl Iterator<Item = Band> {
        // The last output that sees its whole window starts so far into the padded input.
        let span = (self.kernel.saturating_sub(1)).wrapping_mul(self.dilation);
        let room = self
            .before
            .wrapping_add(self.extent)
            .checked_sub(span.wrapping_add(1));
        let end_of_whole = match room {
            Some(room) => room.checked_div(self.stride).unwrap_or(0).wrapping_add(1),
            None => 0,
        };
        let mut next = outputs.start;
        core::iter::from_fn(move || {
            if next >= outputs.end {
                return None;
            }
            let (start, taps) = (next, self.taps(next));
            next = match taps.count == self.kernel {
                true => end_of_whole.clamp(start.wrapping_add(1), outputs.end),
                false => start.wrapping_add(1),
            };
            let len = next.wrapping_sub(start);
            Some(Band { start, len, taps })
        })
    }

    /// The number of taps at output `out` that are inside the input or its padding.
    #[inline(always)]
    pub(crate) fn padded_taps(&self, out: usize) -> usize {
        let padded = self.before.wrapping_add(self.extent);
        self.taps_before(out, padded.wrapping_add(self.after))
    }
}

/// A range of taps on one axis.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taps {
    /// The first that is inside.
    pub(crate) first: usize,
    /// How many are.
    pub(crate) count: usize,
    /// Where in the input the first is.
    pub(crate) position: usize,
}

/// Neighbouring outputs on one axis that see the same taps.
#[derive(Clone, Copy)]
pub(crate) struct Band {
    /// The first output.
    pub(crate) start: usize,
    /// How many there are.
    pub(crate) len: usize,
    /// The taps, and where the first output finds the first of them.
    pub(crate) taps: Taps,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the definition, for every small axis.
    #[test]
    fn taps_are_those_inside() {
        for_each_axis(|axis, out| {
            let position = |k: usize| (out * axis.stride + k * axis.dilation) as isize;
            let inside: Vec<usize> = (0..axis.kernel)
                .filter(|&k| {
                    let position = position(k) - axis.before as isize;
                    position >= 0 && position < axis.extent as isize
                })
                .collect();
            let taps = axis.taps(out);
            let found: Vec<usize> = (taps.first..taps.first + taps.count).collect();
            assert_eq!(found, inside);
            if let Some(&first) = inside.first() {
                assert_eq!(taps.position, position(first) as usize - axis.before);
            }
            let padded = (axis.before + axis.extent + axis.after) as isize;
            let counted = (0..axis.kernel).filter(|&k| position(k) < padded).count();
            assert_eq!(axis.padded_taps(out), counted);
        });
    }

    #[test]
    fn bands_are_all_outputs_with_their_taps() {
        for_each_axis(|axis, out| {
            let mut next = out;
            for band in axis.bands(out..out + 5) {
                assert_eq!(band.start, next);
                for i in 0..band.len {
                    let taps = axis.taps(band.start + i);
                    assert_eq!((taps.first, taps.count), (band.taps.first, band.taps.count));
                    if taps.count > 0 {
                        assert_eq!(taps.position, band.taps.position + i * axis.stride);
                    }
                }
                next += band.len;
            }
            assert_eq!(next, out + 5);
        });
    }

    fn for_each_axis(check: impl Fn(Axis, usize)) {
        for kernel in 1..4 {
            for stride in 1..4 {
                for dilation in 1..4 {
                    for before in 0..3 {
                        for extent in 1..6 {
                            for out in 0..4 {
                                let axis = Axis {
                                    kernel,
                                    stride,
                                    dilation,
                                    before,
                                    extent,
                                    after: 1,
                                };
                                check(axis, out);
                            }
                        }
                    }
                }
            }
        }
    }
}
