//! `RandomErasing` (Zhong et al., arXiv 1708.04896): a rectangle of the normalized picture is overwritten.

use kinglet_kernels::Shape;
use rand_chacha::ChaCha8Rng;

use crate::random::{below, uniform, uniform_between};

/// Rectangles tried before the picture stays as it is.
const ATTEMPTS: usize = 10;

/// A rectangle of random size and place.
#[derive(Debug, Clone, PartialEq)]
pub struct RandomErasing {
    /// `p`: how likely it is.
    pub probability: f32,
    /// `scale`: smallest and largest part of the picture's area.
    pub scale: [f32; 2],
    /// `ratio`: smallest and largest height for a width of 1.
    pub ratio: [f32; 2],
    /// `value`: what is written, one number for all channels or one for each.
    pub value: Vec<f32>,
}

impl RandomErasing {
    pub(super) fn apply(&self, rng: &mut ChaCha8Rng, shape: Shape, values: &mut [f32]) {
        if uniform(rng) >= self.probability {
            return;
        }
        let area = (shape.height * shape.width) as f64;
        let log_ratio = self.ratio.map(f32::ln);
        for _ in 0..ATTEMPTS {
            let erased = area * f64::from(uniform_between(rng, self.scale));
            let ratio = f64::from(uniform_between(rng, log_ratio).exp());
            let height = (erased * ratio).sqrt().round_ties_even() as usize;
            let width = (erased / ratio).sqrt().round_ties_even() as usize;
            if height < shape.height && width < shape.width {
                let top = below(rng, (shape.height - height) as u64 + 1) as usize;
                let left = below(rng, (shape.width - width) as u64 + 1) as usize;
                self.erase(shape, (top, left), (height, width), values);
                return;
            }
        }
    }

    fn erase(
        &self,
        shape: Shape,
        (top, left): (usize, usize),
        (height, width): (usize, usize),
        values: &mut [f32],
    ) {
        let rows = values.chunks_exact_mut((shape.width * shape.channels).max(1));
        for row in rows.skip(top).take(height) {
            let erased = &mut row[left * shape.channels..][..width * shape.channels];
            for pixel in erased.chunks_exact_mut(shape.channels.max(1)) {
                for (to, value) in pixel.iter_mut().zip(self.value.iter().cycle()) {
                    *to = *value;
                }
            }
        }
    }
}
