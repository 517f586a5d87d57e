//! Pools, and means over axes.

use kinglet_kernels::{CountPadding, Pool2d, Rounding, Shape, Window};

use super::conv::{Sliding, maps_of};
use super::{Translated, one};
use crate::graph::Operation;
use crate::import::tflite::node::{Node, axis, refused};
use crate::import::tflite::options::{Pool2DOptions, ReducerOptions};
use crate::import::{NodeProblem, Value};

pub(super) fn max(node: &mut Node<'_, '_>) -> Translated {
    pool2d(node, Operation::MaxPool2d)
}

pub(super) fn average(node: &mut Node<'_, '_>) -> Translated {
    pool2d(node, Operation::AvgPool2d)
}

fn pool2d(node: &mut Node<'_, '_>, operation: fn(Pool2d) -> Operation) -> Translated {
    let options = node.operator.options::<Pool2DOptions<'_>>();
    let options = options.ok_or(NodeProblem::Missing { what: "options" })?;
    let kernel = [options.filter_height(), options.filter_width()];
    let value = node.value(0)?;
    let (input, shape) = node.maps(&value)?;
    let sliding = Sliding {
        // One below 1 is refused with the parameters.
        kernel: kernel.map(|extent| usize::try_from(extent).unwrap_or(0)),
        stride: [options.stride_h(), options.stride_w()],
        dilation: [1; 2],
        padding: options.padding(),
    };
    let window = sliding.window(shape)?;
    let params = Pool2d::new(shape, window, Rounding::Floor, CountPadding::Exclude);
    let params = params.map_err(|reason| refused(shape, reason))?;
    let number = node.push(operation(params), &[input])?;
    let fused = options.fused_activation_function();
    one(node.activated(maps_of(number, params.output()), Some(fused))?)
}

/// The mean over neighboring axes: a pool with one window.
pub(super) fn mean(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<ReducerOptions<'_>>();
    let keep_dims = options.is_some_and(|options| options.keep_dims());
    let value = node.value(0)?;
    let rank = value.dims.len();
    let found = node.integers(1, "axes")?;
    let axes = found.iter().map(|found| axis(*found, rank));
    let mut axes = axes.collect::<Result<Vec<usize>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    let (shape, window) = window(&value.dims, &axes).ok_or_else(|| NodeProblem::Attribute {
        name: "axis",
        found: format!("{found:?}"),
        right: "axes that follow each other".into(),
    })?;
    let input = node.view(&value, shape)?;
    let params = Pool2d::new(shape, window, Rounding::Floor, CountPadding::Exclude);
    let params = params.map_err(|reason| refused(shape, reason))?;
    let number = node.push(Operation::AvgPool2d(params), &[input])?;
    let extents = value.dims.iter().enumerate();
    let dims = extents.filter_map(|(axis, extent)| match axes.contains(&axis) {
        true => keep_dims.then_some(1),
        false => Some(*extent),
    });
    let dims = dims.collect();
    one(Value { number, dims })
}

/// The shape of which a window takes in `axes` and nothing else; None if they do not follow each other.
fn window(dims: &[usize], axes: &[usize]) -> Option<(Shape, Window)> {
    if let (&[1, height, width, channels], [1, 2]) = (dims, axes) {
        let shape = Shape::new(height, width, channels);
        return Some((shape, Window::new(height, width)));
    }
    let long: Vec<usize> = axes
        .iter()
        .copied()
        .filter(|axis| dims[*axis] != 1)
        .collect();
    let (first, last) = match (long.first(), long.last()) {
        (Some(first), Some(last)) => (*first, *last + 1),
        _ => (0, 0),
    };
    let within: usize = dims[first..last].iter().product();
    if within != long.iter().map(|axis| dims[*axis]).product::<usize>() {
        return None;
    }
    let before = dims[..first].iter().product();
    let behind = dims[last..].iter().product();
    Some((Shape::new(before, within, behind), Window::new(1, within)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_over_axes_that_follow_each_other() {
        let maps = window(&[1, 4, 5, 3], &[1, 2]);
        assert_eq!(maps, Some((Shape::new(4, 5, 3), Window::new(4, 5))));
        let channels = window(&[1, 4, 5, 3], &[3]);
        assert_eq!(channels, Some((Shape::new(20, 3, 1), Window::new(1, 3))));
        assert_eq!(window(&[1, 4, 5, 3], &[1, 3]), None);
        // An axis of 1 is none.
        let rows = window(&[1, 4, 1, 3], &[0, 1, 3]);
        assert_eq!(rows, Some((Shape::new(1, 12, 1), Window::new(1, 12))));
        let nothing = window(&[1, 1, 3], &[0]);
        assert_eq!(nothing, Some((Shape::new(1, 1, 3), Window::new(1, 1))));
    }
}
