//! Resizing where that repeats rows and columns.

use kinglet_kernels::params::MAX_EXTENT;

use super::conv::maps_of;
use super::{Translated, one};
use crate::graph::Operation;
use crate::import::NodeProblem;
use crate::import::tflite::node::Node;
use crate::import::tflite::options::ResizeNearestNeighborOptions;

/// Each row and column of the output is the nearest of the input.
pub(super) fn nearest_neighbor(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<ResizeNearestNeighborOptions<'_>>();
    let mode = Mode {
        align_corners: options.is_some_and(|options| options.align_corners()),
        half_pixel_centers: options.is_some_and(|options| options.half_pixel_centers()),
    };
    let value = node.value(0)?;
    let (input, shape) = node.maps(&value)?;
    let size = node.integers(1, "size")?;
    let factors = match size.as_slice() {
        &[height, width] => mode
            .factor(shape.height, height)
            .zip(mode.factor(shape.width, width)),
        _ => None,
    };
    let (factor_h, factor_w) = factors.ok_or_else(|| NodeProblem::Refused {
        reason: format!(
            "it resizes {} rows and {} columns to {size:?} (align_corners {}, half_pixel_centers {}); \
             where each is repeated equally often is right",
            shape.height, shape.width, mode.align_corners, mode.half_pixel_centers
        ),
    })?;
    let number = node.push(Operation::Upsample { factor_h, factor_w }, &[input])?;
    one(maps_of(number, node.builder.shape(number)))
}

/// Where a row of the output lies in the input.
struct Mode {
    align_corners: bool,
    half_pixel_centers: bool,
}

impl Mode {
    /// How often each of `extent` is repeated for `size`; None if some are repeated more often than others.
    fn factor(&self, extent: usize, size: i64) -> Option<usize> {
        let size = usize::try_from(size)
            .ok()
            .filter(|size| (1..=MAX_EXTENT).contains(size))?;
        let factor = size / extent;
        let is_repetition = (0..size).all(|n| self.nearest(n, extent, size) == n / factor.max(1));
        Some(factor).filter(|_| is_repetition && size.is_multiple_of(extent))
    }

    /// The nearest of `extent` for number `n` of `size`, in the arithmetic of TensorFlow Lite.
    fn nearest(&self, n: usize, extent: usize, size: usize) -> usize {
        let scale = if self.align_corners && size > 1 {
            (extent - 1) as f32 / (size - 1) as f32
        } else {
            extent as f32 / size as f32
        };
        let center = if self.half_pixel_centers { 0.5 } else { 0.0 };
        let position = (n as f32 + center) * scale;
        let nearest = if self.align_corners {
            position.round()
        } else {
            position.floor()
        };
        (nearest as usize).min(extent - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_factors_repeat_unless_corners_are_aligned() {
        let mode = |align_corners, half_pixel_centers| Mode {
            align_corners,
            half_pixel_centers,
        };
        assert_eq!(mode(false, false).factor(3, 6), Some(2));
        assert_eq!(mode(false, true).factor(3, 9), Some(3));
        assert_eq!(mode(true, false).factor(3, 9), None);
        assert_eq!(mode(true, false).factor(3, 3), Some(1));
        assert_eq!(mode(false, false).factor(3, 7), None);
        assert_eq!(mode(false, false).factor(4, 2), None);
        assert_eq!(mode(false, false).factor(4, -1), None);
    }
}
