//! Resizing: to the nearest rows and columns, and between two of them.

use kinglet_kernels::params::MAX_EXTENT;

use super::conv::maps_of;
use super::{Translated, one};
use crate::graph::Operation;
use crate::import::NodeProblem;
use crate::import::tflite::node::Node;
use crate::import::tflite::options::{ResizeBilinearOptions, ResizeNearestNeighborOptions};

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
    if let Some((factor_h, factor_w)) = factors {
        let number = node.push(Operation::Upsample { factor_h, factor_w }, &[input])?;
        return one(maps_of(number, node.builder.shape(number)));
    }
    let mut value = maps_of(input, shape);
    for (place, size) in sizes(&size)?.into_iter().enumerate() {
        let axis = place + 1;
        let extent = value.dims[axis];
        let indices: Vec<usize> = (0..size).map(|n| mode.nearest(n, extent, size)).collect();
        value = node.builder.gather(node.name, &value, axis, &indices)?;
    }
    one(value)
}

/// Each row and column of the output lies between two of the input.
pub(super) fn bilinear(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<ResizeBilinearOptions<'_>>();
    let mode = Mode {
        align_corners: options.is_some_and(|options| options.align_corners()),
        half_pixel_centers: options.is_some_and(|options| options.half_pixel_centers()),
    };
    let value = node.value(0)?;
    let (input, shape) = node.maps(&value)?;
    let mut value = maps_of(input, shape);
    let wanted = node.integers(1, "size")?;
    for (place, size) in sizes(&wanted)?.into_iter().enumerate() {
        let axis = place + 1;
        let extent = value.dims[axis];
        if extent == size {
            continue;
        }
        let values = extent.saturating_mul(size);
        let left = node.tensors.values_left.checked_sub(values);
        node.tensors.values_left = left.ok_or_else(|| NodeProblem::Refused {
            reason: format!(
                "it resizes {extent} to {size}, which takes more numbers than a file of this size has reason to"
            ),
        })?;
        let mut matrix = vec![0.0; values];
        for (n, row) in matrix.chunks_exact_mut(extent).enumerate() {
            let at = mode.place(n, extent, size).clamp(0.0, (extent - 1) as f32);
            let (first, part) = (at.floor() as usize, at - at.floor());
            row[first] += 1.0 - part;
            row[(first + 1).min(extent - 1)] += part;
        }
        value = node.builder.along_axis(node.name, &value, axis, matrix)?;
    }
    one(value)
}

/// Height and width of the output.
fn sizes(found: &[i64]) -> Result<[usize; 2], NodeProblem> {
    let size = |size: i64| {
        let size = usize::try_from(size).ok();
        size.filter(|size| (1..=MAX_EXTENT).contains(size))
    };
    match *found {
        [height, width] => size(height).zip(size(width)).map(|(h, w)| [h, w]),
        _ => None,
    }
    .ok_or_else(|| NodeProblem::Attribute {
        name: "size",
        found: format!("{found:?}"),
        right: format!("two numbers from 1 to {MAX_EXTENT}"),
    })
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

    /// Where number `n` of `size` lies among `extent`, in the arithmetic of TensorFlow Lite.
    fn place(&self, n: usize, extent: usize, size: usize) -> f32 {
        let scale = self.scale(extent, size);
        match self.half_pixel_centers {
            true => (n as f32 + 0.5) * scale - 0.5,
            false => n as f32 * scale,
        }
    }

    fn scale(&self, extent: usize, size: usize) -> f32 {
        if self.align_corners && size > 1 {
            (extent - 1) as f32 / (size - 1) as f32
        } else {
            extent as f32 / size as f32
        }
    }

    /// The nearest of `extent` for number `n` of `size`, in the arithmetic of TensorFlow Lite.
    fn nearest(&self, n: usize, extent: usize, size: usize) -> usize {
        let scale = self.scale(extent, size);
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
