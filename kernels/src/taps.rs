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
    pub(crate) fn vertical(window: Window, height: usize) -> Self {
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
    pub(crate) fn horizontal(window: Window, width: usize) -> Self {
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

#[cfg(test)]
pub(crate) mod tests {
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

    /// Calls `check` for every small axis and output.
    pub(crate) fn for_each_axis(check: impl Fn(Axis, usize)) {
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
