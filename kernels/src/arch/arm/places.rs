//! Where the taps of a window are, as distances in memory: a loop over them needs no thought of padding.

use crate::portable::rows::rows_of_mut;
use crate::taps::{Axis, Taps};

/// Where the taps of windows over an input are.
pub(super) struct Places {
    width: usize,
    channels: usize,
    /// How many neighbours each tap is.
    run: usize,
    /// The address of the first number of the input.
    input: usize,
    /// The address of what padding is.
    padding: usize,
    /// Whether the offsets are those of a window that is inside: all of those are the same.
    are_inside: bool,
}

impl Places {
    /// Windows over an input of so many columns and channels, of which each tap is a `run`; `first` is the first of the
    /// input that is meant, and at `padding` is what all numbers of padding are.
    pub(super) fn new(
        width: usize,
        (channels, run): (usize, usize),
        first: *const i8,
        padding: *const i8,
    ) -> Self {
        Self {
            width,
            channels,
            run,
            input: first.expose_provenance(),
            padding: padding.expose_provenance(),
            are_inside: false,
        }
    }

    /// Writes the offsets of a window's taps, unless they are what they were, and returns the address they count from: that of
    /// its first tap inside. Offsets that are more than there are taps lead anywhere that can be read.
    pub(super) fn find(
        &mut self,
        (vertical, rows): (&Axis, Taps),
        (horizontal, columns): (&Axis, Taps),
        offsets: &mut [usize],
    ) -> usize {
        let pixel = rows.position.wrapping_mul(self.width);
        let pixel = pixel.wrapping_add(columns.position);
        let base = self.input.wrapping_add(pixel.wrapping_mul(self.channels));
        let is_inside = rows.count == vertical.kernel && columns.count == horizontal.kernel;
        if is_inside && self.are_inside {
            return base;
        }
        self.are_inside = is_inside;
        let padding = self.padding.wrapping_sub(base);
        let down = vertical.dilation.wrapping_mul(self.width);
        let down = down.wrapping_mul(self.channels);
        let right = horizontal.dilation.wrapping_mul(self.channels);
        let row_len = horizontal.kernel.wrapping_mul(self.run);
        let (own, more) = offsets
            .split_at_mut_checked(vertical.kernel.wrapping_mul(row_len))
            .unwrap_or_default();
        let mut start = 0usize;
        for (tap, row) in rows_of_mut(own, row_len).enumerate() {
            let is_row_inside = tap.wrapping_sub(rows.first) < rows.count;
            let mut at = start;
            for (tap, run) in rows_of_mut(row, self.run).enumerate() {
                if !is_row_inside || tap.wrapping_sub(columns.first) >= columns.count {
                    run.fill(padding);
                    continue;
                }
                for (number, offset) in run.iter_mut().enumerate() {
                    *offset = at.wrapping_add(number);
                }
                at = at.wrapping_add(right);
            }
            if is_row_inside {
                start = start.wrapping_add(down);
            }
        }
        more.fill(if is_inside { 0 } else { padding });
        base
    }
}
