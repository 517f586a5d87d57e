//! Pools, and reductions over axes.

use kinglet_kernels::{BinaryFunction, CountPadding, Pool2d, Rounding};

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

pub(super) fn mean(node: &mut Node<'_, '_>) -> Translated {
    let (value, axes) = reduced(node)?;
    let mean = node
        .builder
        .pool_axes(node.name, &value, &axes, Operation::AvgPool2d)?;
    kept(node, mean, &axes)
}

pub(super) fn sum(node: &mut Node<'_, '_>) -> Translated {
    let (value, axes) = reduced(node)?;
    let (name, builder) = (node.name, &mut *node.builder);
    let mean = builder.pool_axes(name, &value, &axes, Operation::AvgPool2d)?;
    let count: usize = axes.iter().map(|axis| value.dims[*axis]).product();
    let sum = builder.with_scalar(name, BinaryFunction::Multiply, &mean, count as f32)?;
    kept(node, sum, &axes)
}

pub(super) fn reduce_max(node: &mut Node<'_, '_>) -> Translated {
    let (value, axes) = reduced(node)?;
    let largest = node
        .builder
        .pool_axes(node.name, &value, &axes, Operation::MaxPool2d)?;
    kept(node, largest, &axes)
}

pub(super) fn reduce_min(node: &mut Node<'_, '_>) -> Translated {
    let (value, axes) = reduced(node)?;
    let (name, builder) = (node.name, &mut *node.builder);
    let negate = BinaryFunction::ReverseSubtract;
    let negated = builder.with_scalar(name, negate, &value, 0.0)?;
    let largest = builder.pool_axes(name, &negated, &axes, Operation::MaxPool2d)?;
    let smallest = builder.with_scalar(name, negate, &largest, 0.0)?;
    kept(node, smallest, &axes)
}

/// What is reduced, and over which axes, each once.
fn reduced(node: &mut Node<'_, '_>) -> Result<(Value, Vec<usize>), NodeProblem> {
    let value = node.value(0)?;
    let rank = value.dims.len();
    let found = node.integers(1, "axes")?;
    let axes = found.iter().map(|found| axis(*found, rank));
    let mut axes = axes.collect::<Result<Vec<usize>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok((value, axes))
}

/// A reduction, with its axes of 1 or without them.
fn kept(node: &Node<'_, '_>, mut value: Value, axes: &[usize]) -> Translated {
    let options = node.operator.options::<ReducerOptions<'_>>();
    if !options.is_some_and(|options| options.keep_dims()) {
        let mut axis = 0;
        value.dims.retain(|_| {
            axis += 1;
            !axes.contains(&(axis - 1))
        });
    }
    one(value)
}
