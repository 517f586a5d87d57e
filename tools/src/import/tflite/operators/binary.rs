//! Functions of two tensors that are broadcast to each other.

use kinglet_kernels::BinaryFunction;

use super::{Translated, one};
use crate::import::NodeProblem;
use crate::import::builder::exchanged;
use crate::import::tflite::names::ActivationFunctionType;
use crate::import::tflite::node::{Node, Operand, Source};
use crate::import::tflite::options::{AddOptions, DivOptions, MulOptions, SubOptions};

fn binary(
    node: &mut Node<'_, '_>,
    function: BinaryFunction,
    fused: Option<ActivationFunctionType>,
) -> Translated {
    let (first, second) = (node.operand(0)?, node.operand(1)?);
    let name = node.name;
    let value = match (first, second) {
        (Operand::Value(x), Operand::Value(o)) => node.builder.binary(name, function, &x, &o)?,
        (Operand::Value(x), Operand::Constant(o)) => node
            .builder
            .binary_constant(name, function, &x, &o.dims, o.values)?,
        (Operand::Constant(x), Operand::Value(o)) => {
            let function = exchanged(function).ok_or_else(|| NodeProblem::Refused {
                reason: "its first operand is a constant; what depends on the input is right"
                    .into(),
            })?;
            node.builder
                .binary_constant(name, function, &o, &x.dims, x.values)?
        }
        (Operand::Constant(_), Operand::Constant(_)) => {
            return Err(NodeProblem::Refused {
                reason: "it reads constants only; what depends on the input is right".into(),
            });
        }
    };
    one(node.activated(value, fused)?)
}

pub(super) fn add(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<AddOptions<'_>>();
    let fused = options.map(|options| options.fused_activation_function());
    binary(node, BinaryFunction::Add, fused)
}

pub(super) fn sub(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<SubOptions<'_>>();
    let fused = options.map(|options| options.fused_activation_function());
    binary(node, BinaryFunction::Subtract, fused)
}

pub(super) fn mul(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<MulOptions<'_>>();
    let fused = options.map(|options| options.fused_activation_function());
    binary(node, BinaryFunction::Multiply, fused)
}

pub(super) fn div(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<DivOptions<'_>>();
    let fused = options.map(|options| options.fused_activation_function());
    binary(node, BinaryFunction::Divide, fused)
}

pub(super) fn maximum(node: &mut Node<'_, '_>) -> Translated {
    binary(node, BinaryFunction::Maximum, None)
}

pub(super) fn minimum(node: &mut Node<'_, '_>) -> Translated {
    binary(node, BinaryFunction::Minimum, None)
}

/// `(x - o)^2`.
pub(super) fn squared_difference(node: &mut Node<'_, '_>) -> Translated {
    let difference = binary(node, BinaryFunction::Subtract, None)?;
    let [Source::Value(value)] = difference.as_slice() else {
        return Ok(difference);
    };
    let multiply = BinaryFunction::Multiply;
    one(node.builder.binary(node.name, multiply, value, value)?)
}

/// A leaky ReLU whose slopes are a constant.
pub(super) fn prelu(node: &mut Node<'_, '_>) -> Translated {
    let value = node.value(0)?;
    let slopes = node.floats(1, "slopes")?;
    let function = BinaryFunction::PRelu;
    one(node
        .builder
        .binary_constant(node.name, function, &value, &slopes.dims, slopes.values)?)
}
