//! Normalizations: of a batch, as trained, and softmax.

use kinglet_kernels::Shape;

use crate::graph::{Operation, channel_affine};
use crate::import::NodeProblem;
use crate::import::builder::Value;
use crate::import::onnx::node::{Node, Outputs};
use crate::import::onnx::operand::Operand;

/// With the statistics of the training; axis 1 are the channels.
pub(super) fn batch_normalization(node: &mut Node<'_>) -> Outputs {
    node.require_int("training_mode", 0)?;
    node.require_int("spatial", 1)?;
    if node.opset < 7 && node.int("is_test", 0) == 0 {
        return Err(NodeProblem::Attribute {
            name: "is_test",
            found: "0".into(),
            right: "1".into(),
        });
    }
    let value = node.value(0, "input")?;
    let Some(channels) = value.dims.get(1).copied() else {
        return Err(NodeProblem::Input {
            found: format!("a tensor of the shape {:?}", value.dims),
            right: "[batch, channels, ...]",
        });
    };
    let operation = channel_affine(
        &node.vector(1, "scale", channels)?,
        &node.vector(2, "bias", channels)?,
        &node.vector(3, "mean", channels)?,
        &node.vector(4, "variance", channels)?,
        node.float("epsilon", 1e-5),
    );
    let output = along(node, &value, 1, operation)?;
    Ok(vec![Operand::Value(output)])
}

pub(super) fn softmax(node: &mut Node<'_>) -> Outputs {
    over_axis(node, Operation::Softmax)
}

pub(super) fn log_softmax(node: &mut Node<'_>) -> Outputs {
    over_axis(node, Operation::LogSoftmax)
}

/// Up to operator set 12 everything from the axis on is one vector; since then the axis is one dimension.
fn over_axis(node: &mut Node<'_>, operation: Operation) -> Outputs {
    let value = node.value(0, "input")?;
    let rank = value.dims.len();
    let output = if node.opset < 13 {
        let axis = node.axis(node.int("axis", 1), rank)?;
        let (before, behind) = value.dims.split_at(axis);
        let shape = Shape::new(1, before.iter().product(), behind.iter().product());
        let number = node.builder.view(node.name, value.number, shape)?;
        let number = node.builder.push(node.name, operation, &[number])?;
        Value { number, ..value }
    } else {
        let axis = node.axis(node.int("axis", -1), rank)?;
        along(node, &value, axis, operation)?
    };
    Ok(vec![Operand::Value(output)])
}

/// An operation over the channels, with `axis` as these.
fn along(
    node: &mut Node<'_>,
    value: &Value,
    axis: usize,
    operation: Operation,
) -> Result<Value, NodeProblem> {
    let (number, dims) = node.channels(value, axis)?;
    let number = node.builder.push(node.name, operation, &[number])?;
    node.channels_back(number, dims, axis)
}
