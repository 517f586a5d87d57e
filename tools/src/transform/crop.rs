//! `RandomCrop`: a window of the picture, padded before with a color. With padding and the picture's own size it
//! shifts the picture by a few pixels.

use kinglet_kernels::Shape;
use rand_chacha::ChaCha8Rng;

use super::Canvas;
use crate::random::below;

/// A window at a random place.
#[derive(Debug, Clone, PartialEq)]
pub struct RandomCrop {
    /// `size`: rows and columns of the window.
    pub size: (usize, usize),
    /// `padding`: what is added around the picture before.
    pub padding: Margins,
    /// `fill`: the color of the padding, channel by channel.
    pub fill: Vec<u8>,
}

/// Rows and columns around a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Margins {
    /// Columns to the left.
    pub left: usize,
    /// Rows above.
    pub top: usize,
    /// Columns to the right.
    pub right: usize,
    /// Rows below.
    pub bottom: usize,
}

impl Margins {
    /// Rows and columns of a picture with the margins around it.
    pub fn around(&self, shape: Shape) -> (usize, usize) {
        (
            shape.height + self.top + self.bottom,
            shape.width + self.left + self.right,
        )
    }
}

impl RandomCrop {
    pub(super) fn apply(&self, rng: &mut ChaCha8Rng, canvas: &mut Canvas) {
        let (height, width) = self.padding.around(canvas.shape());
        let mut offset = |padded: usize, size: usize| {
            // A recipe whose window is larger than the padded picture is refused.
            below(rng, padded.saturating_sub(size) as u64 + 1) as usize
        };
        let top = offset(height, self.size.0);
        let left = offset(width, self.size.1);
        self.crop((top, left), canvas);
    }

    /// Takes the window whose upper left corner is at `(top, left)` of the padded picture.
    pub(super) fn crop(&self, (top, left): (usize, usize), canvas: &mut Canvas) {
        let old = canvas.shape();
        let new = Shape::new(self.size.0, self.size.1, old.channels);
        // The part of the window that lies on the picture, in columns of the window.
        let first = self.padding.left.saturating_sub(left).min(new.width);
        let end = (self.padding.left + old.width)
            .saturating_sub(left)
            .clamp(first, new.width);
        let source_column = (left + first).saturating_sub(self.padding.left);
        let bytes = (end - first) * old.channels;
        canvas.redraw(new, |from, to| {
            let rows = to.chunks_exact_mut((new.width * new.channels).max(1));
            for (y, row) in rows.enumerate() {
                let source_row = (top + y).checked_sub(self.padding.top);
                let (before, rest) = row.split_at_mut(first * new.channels);
                let (inside, behind) = rest.split_at_mut(bytes);
                match source_row.filter(|&y| y < old.height) {
                    Some(y) => {
                        let place = (y * old.width + source_column) * old.channels;
                        inside.copy_from_slice(&from[place..][..bytes]);
                    }
                    None => self.paint(inside),
                }
                self.paint(before);
                self.paint(behind);
            }
        });
    }

    fn paint(&self, pixels: &mut [u8]) {
        for pixel in pixels.chunks_mut(self.fill.len().max(1)) {
            pixel
                .iter_mut()
                .zip(&self.fill)
                .for_each(|(to, &fill)| *to = fill);
        }
    }
}
