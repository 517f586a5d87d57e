//! Outputs on one axis, cut into bands that see the same taps: within a band nothing needs to be asked.

use crate::taps::{Axis, Taps};

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

impl Axis {
    /// Cuts `outputs` into bands that see the same taps: one of all that see their whole window, and single
    /// outputs before and behind it.
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
}

#[cfg(test)]
mod tests {
    use crate::taps::tests::for_each_axis;

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
}
