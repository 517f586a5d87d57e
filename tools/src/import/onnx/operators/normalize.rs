//! Normalizations: of a batch, as trained, and softmax.

use kinglet_kernels::{Activation, BinaryFunction, Shape};

use crate::graph::{BatchNorm2d, Operation};
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
    let operation = Operation::BatchNorm2d(BatchNorm2d {
        weights: node.vector(1, "scale", channels)?,
        bias: node.vector(2, "bias", channels)?,
        mean: node.vector(3, "mean", channels)?,
        variance: node.vector(4, "variance", channels)?,
        epsilon: node.float("epsilon", 1e-5),
        // There it is the weight of the statistics so far.
        momentum: 1.0 - node.float("momentum", 0.9),
    });
    let output = along(node, &value, 1, operation)?;
    Ok(vec![Operand::Value(output)])
}

/// Each channel by itself over space, then a factor and a summand for each channel.
pub(super) fn instance(node: &mut Node<'_>) -> Outputs {
    let value = node.feature_map()?;
    let channels = value.dims[1];
    let space: Vec<usize> = (2..value.dims.len()).collect();
    let epsilon = node.float("epsilon", 1e-5);
    let [normalized, ..] = node
        .builder
        .normalized(node.name, &value, &space, epsilon)?;
    let scale = node.vector(1, "scale", channels)?;
    let shift = node.vector(2, "bias", channels)?;
    let output = affine(node, &normalized, 1, (scale, shift))?;
    Ok(vec![Operand::Value(output)])
}

/// All axes from one on together, then a factor and a summand for each element of these.
pub(super) fn layer(node: &mut Node<'_>) -> Outputs {
    let value = node.value(0, "input")?;
    let rank = value.dims.len();
    let first = node.axis(node.int("axis", -1), rank)?;
    let axes: Vec<usize> = (first..rank).collect();
    let epsilon = node.float("epsilon", 1e-5);
    let name = node.name;
    let [normalized, mean, deviation] = node.builder.normalized(name, &value, &axes, epsilon)?;
    let scale = node.input(1, "scale")?;
    let normalized = Operand::Value(normalized);
    let mut output = node.binary(BinaryFunction::Multiply, &normalized, &scale)?;
    if let Some(bias) = node.optional(2).cloned() {
        output = node.binary(BinaryFunction::Add, &output, &bias)?;
    }
    let mut outputs = vec![output];
    // Statistics are further outputs, of which few files have any.
    if node.proto.output.len() > 1 {
        let divide = BinaryFunction::ReverseDivide;
        let inverse = node.builder.with_scalar(name, divide, &deviation, 1.0)?;
        outputs.extend([Operand::Value(mean), Operand::Value(inverse)]);
    }
    Ok(outputs)
}

/// The root of the mean square of all axes from one on, then a factor for each element of these.
pub(super) fn root_mean_square(node: &mut Node<'_>) -> Outputs {
    let value = node.value(0, "input")?;
    let rank = value.dims.len();
    let first = node.axis(node.int("axis", -1), rank)?;
    let axes: Vec<usize> = (first..rank).collect();
    let (name, epsilon) = (node.name, node.float("epsilon", 1e-5));
    let root = node
        .builder
        .root_mean_square(name, &value, &axes, epsilon)?;
    let divide = BinaryFunction::Divide;
    let normalized = Operand::Value(node.builder.binary(name, divide, &value, &root)?);
    let scale = node.input(1, "scale")?;
    Ok(vec![node.binary(
        BinaryFunction::Multiply,
        &normalized,
        &scale,
    )?])
}

/// Groups of channels over space; factors and summands of each channel, or of each group up to operator set 20.
pub(super) fn group(node: &mut Node<'_>) -> Outputs {
    let value = node.feature_map()?;
    let channels = value.dims[1];
    let groups = usize::try_from(node.int("num_groups", 0)).unwrap_or(0);
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(NodeProblem::Attribute {
            name: "num_groups",
            found: groups.to_string(),
            right: format!("a divisor of {channels} channels"),
        });
    }
    let grouped = Value {
        number: value.number,
        dims: vec![
            1,
            groups,
            value.dims[1..].iter().product::<usize>() / groups,
        ],
    };
    let epsilon = node.float("epsilon", 1e-5);
    let [normalized, ..] = node
        .builder
        .normalized(node.name, &grouped, &[2], epsilon)?;
    let normalized = Value {
        dims: value.dims,
        ..normalized
    };
    let own = |node: &Node<'_>, index, what| -> Result<Vec<f32>, NodeProblem> {
        let given = if node.opset < 21 { groups } else { channels };
        let values = node.vector(index, what, given)?;
        let each = channels / given;
        Ok(values
            .iter()
            .flat_map(|x| std::iter::repeat_n(*x, each))
            .collect())
    };
    let (scale, shift) = (own(node, 1, "scale")?, own(node, 2, "bias")?);
    let output = affine(node, &normalized, 1, (scale, shift))?;
    Ok(vec![Operand::Value(output)])
}

/// Mean 0 and variance 1 over some axes.
pub(super) fn mean_variance(node: &mut Node<'_>) -> Outputs {
    let value = node.value(0, "input")?;
    let axes = node.ints("axes").unwrap_or(&[0, 2, 3]);
    let axes: Vec<usize> = axes
        .iter()
        .map(|a| node.axis(*a, value.dims.len()))
        .collect::<Result<_, _>>()?;
    let [normalized, ..] = node.builder.normalized(node.name, &value, &axes, 1e-9)?;
    Ok(vec![Operand::Value(normalized)])
}

/// A factor and a summand for each index of an axis.
fn affine(
    node: &mut Node<'_>,
    value: &Value,
    axis: usize,
    (scale, shift): (Vec<f32>, Vec<f32>),
) -> Result<Value, NodeProblem> {
    let operation = Operation::ChannelAffine {
        activation: Activation::Identity,
        scale,
        shift,
    };
    along(node, value, axis, operation)
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
