//! `RandomHorizontalFlip` and `RandomVerticalFlip`: the mirror image, or the picture as it is.

use rand_chacha::ChaCha8Rng;

use super::Canvas;
use crate::random::uniform;

/// A flip that happens with a probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomFlip {
    /// What changes places.
    pub axis: FlipAxis,
    /// `p`: how likely it is.
    pub probability: f32,
}

/// What changes places in a flip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlipAxis {
    /// Left and right.
    Horizontal,
    /// Top and bottom.
    Vertical,
}

impl RandomFlip {
    pub(super) fn apply(&self, rng: &mut ChaCha8Rng, canvas: &mut Canvas) {
        if uniform(rng) < self.probability {
            flip(self.axis, canvas);
        }
    }
}

pub(super) fn flip(axis: FlipAxis, canvas: &mut Canvas) {
    let shape = canvas.shape();
    let row_len = (shape.width * shape.channels).max(1);
    match axis {
        FlipAxis::Horizontal => {
            for row in canvas.pixels_mut().chunks_exact_mut(row_len) {
                reverse_pixels(row, shape.channels);
            }
        }
        FlipAxis::Vertical => canvas.redraw(shape, |from, to| {
            let rows = from.chunks_exact(row_len).rev();
            for (from, to) in rows.zip(to.chunks_exact_mut(row_len)) {
                to.copy_from_slice(from);
            }
        }),
    }
}

/// Gray and RGB have paths of their own, which the compiler knows the pixel's size of.
fn reverse_pixels(row: &mut [u8], channels: usize) {
    match channels {
        1 => row.reverse(),
        3 => row.as_chunks_mut::<3>().0.reverse(),
        _ => {
            row.reverse();
            for pixel in row.chunks_exact_mut(channels.max(1)) {
                pixel.reverse();
            }
        }
    }
}
