//! Pools over one or two axes of space.

use kinglet_kernels::{CountPadding, Padding, ParamsError, Pool2d, Rounding, Window};

use super::conv::window;
use crate::graph::Operation;
use crate::import::NodeProblem;
use crate::import::builder::Value;
use crate::import::onnx::node::{Node, Outputs};
use crate::import::onnx::operand::Operand;

pub(super) fn max(node: &mut Node<'_>) -> Outputs {
    let pool = |node: &mut Node<'_>| pool(node, f32::NEG_INFINITY, Operation::MaxPool2d);
    let Some(Operand::Quantized(value, numbers)) = node.optional(0).cloned() else {
        return pool(node);
    };
    // The largest number means the largest value.
    node.inputs[0] = Some(Operand::Value(value));
    let outputs = pool(node)?.into_iter().map(|output| match output {
        Operand::Value(value) => Operand::Quantized(value, numbers),
        other => other,
    });
    Ok(outputs.collect())
}

pub(super) fn average(node: &mut Node<'_>) -> Outputs {
    pool(node, 0.0, Operation::AvgPool2d)
}

pub(super) fn global_max(node: &mut Node<'_>) -> Outputs {
    global(node, Operation::MaxPool2d)
}

pub(super) fn global_average(node: &mut Node<'_>) -> Outputs {
    global(node, Operation::AvgPool2d)
}

/// `filling` is what padding counts as.
fn pool(node: &mut Node<'_>, filling: f32, operation: fn(Pool2d) -> Operation) -> Outputs {
    let mut value = node.feature_map()?;
    let space = value.dims[2..].to_vec();
    if !node.has("kernel_shape") {
        return Err(NodeProblem::Missing {
            what: "kernel_shape",
        });
    }
    let kernel = node.sizes("kernel_shape", space.len(), 1, 1)?;
    let mut window = window(node, &kernel, &space)?;
    let rounding = match node.int("ceil_mode", 0) {
        0 => Rounding::Floor,
        _ => Rounding::Ceil,
    };
    let count_padding = match node.int("count_include_pad", 0) {
        0 => CountPadding::Exclude,
        _ => CountPadding::Include,
    };
    // A pool has no padding beyond half of its window; what counts as a number can be put there before.
    let padding = window.padding;
    let wide = padding.top.max(padding.bottom) > window.kernel_h / 2
        || padding.left.max(padding.right) > window.kernel_w / 2;
    let counts = filling != 0.0 || count_padding == CountPadding::Include;
    if wide && counts && rounding == Rounding::Floor {
        let pads = |rows, columns| match value.dims.len() {
            3 => vec![0, 0, columns],
            _ => vec![0, 0, rows, columns],
        };
        let (before, after) = (
            pads(padding.top, padding.left),
            pads(padding.bottom, padding.right),
        );
        value = node.pad(&value, &before, &after, filling)?;
        window.padding = Padding::default();
    }
    let output = apply(node, &value, operation, |input| {
        Pool2d::new(input, window, rounding, count_padding)
    })?;
    Ok(vec![Operand::Value(output)])
}

/// One value for each channel.
fn global(node: &mut Node<'_>, operation: fn(Pool2d) -> Operation) -> Outputs {
    let value = node.feature_map()?;
    let output = apply(node, &value, operation, |input| {
        let window = Window::new(input.height, input.width);
        Pool2d::new(input, window, Rounding::Floor, CountPadding::Exclude)
    })?;
    Ok(vec![Operand::Value(output)])
}

fn apply(
    node: &mut Node<'_>,
    value: &Value,
    operation: fn(Pool2d) -> Operation,
    params: impl Fn(kinglet_kernels::Shape) -> Result<Pool2d, ParamsError>,
) -> Result<Value, NodeProblem> {
    let number = node.builder.channels_last(node.name, value)?;
    let params = params(node.builder.shape(number));
    let params = params.map_err(|reason| NodeProblem::params(&value.dims, reason))?;
    let number = node.builder.push(node.name, operation(params), &[number])?;
    Ok(node
        .builder
        .channels_first(node.name, number, value.dims.len())?)
}
