//! The input as terms within its padding.

use super::{Sums, Term, Word};
use crate::Shape;
use crate::params::Padding;

/// An input within its padding: rows of `width` positions of `channels` terms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Image {
    pub(super) from: Shape,
    pub(super) padding: Padding,
}

impl Image {
    pub(super) fn height(&self) -> usize {
        let Padding { top, bottom, .. } = self.padding;
        self.from.height.saturating_add(top).saturating_add(bottom)
    }

    pub(super) fn width(&self) -> usize {
        let Padding { left, right, .. } = self.padding;
        self.from.width.saturating_add(left).saturating_add(right)
    }

    /// Positions with their padding, times the channels.
    pub(super) fn len(&self) -> usize {
        let positions = self.height().saturating_mul(self.width());
        positions.saturating_mul(self.from.channels)
    }

    /// Writes the terms of `input`.
    #[inline(always)]
    pub(super) fn write<S: Sums>(&self, zero_point: i8, input: &[i8], terms: &mut [Term<S>]) {
        let padding = S::Word::term(zero_point, zero_point);
        let Shape {
            height, channels, ..
        } = self.from;
        let row_len = self.width() * channels;
        let (own, left) = (self.from.width * channels, self.padding.left * channels);
        let (above, rest) = terms.split_at_mut(self.padding.top * row_len);
        let (rows, below) = rest.split_at_mut(height * row_len);
        above.fill(padding);
        for (row, input) in rows.chunks_exact_mut(row_len).zip(input.chunks_exact(own)) {
            let (before, rest) = row.split_at_mut(left);
            let (row, behind) = rest.split_at_mut(own);
            before.fill(padding);
            for (term, x) in row.iter_mut().zip(input) {
                *term = S::Word::term(*x, zero_point);
            }
            behind.fill(padding);
        }
        below.fill(padding);
    }
}
