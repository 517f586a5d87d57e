//! Functions of one value, and softmax.

use kinglet_kernels::{BinaryFunction, Shape, Unary};

use super::{Translated, one};
use crate::graph::Operation;
use crate::import::tflite::node::{Node, RELU_N1_TO_1};
use crate::import::tflite::options::{LeakyReluOptions, SoftmaxOptions};
use crate::import::{NodeProblem, Value};

fn unary(node: &mut Node<'_, '_>, function: Unary) -> Translated {
    let value = node.value(0)?;
    function.check()?;
    let number = node.push(Operation::Unary(function), &[value.number])?;
    one(Value { number, ..value })
}

pub(super) fn relu(node: &mut Node<'_, '_>) -> Translated {
    unary(node, Unary::Relu)
}

pub(super) fn relu6(node: &mut Node<'_, '_>) -> Translated {
    unary(node, Unary::Relu6)
}

pub(super) fn relu_n1_to_1(node: &mut Node<'_, '_>) -> Translated {
    unary(node, RELU_N1_TO_1)
}

pub(super) fn leaky_relu(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<LeakyReluOptions<'_>>();
    let options = options.ok_or(NodeProblem::Missing { what: "alpha" })?;
    let slope = options.alpha();
    unary(node, Unary::LeakyRelu { slope })
}

pub(super) fn elu(node: &mut Node<'_, '_>) -> Translated {
    unary(node, Unary::Elu { alpha: 1.0 })
}

pub(super) fn hard_swish(node: &mut Node<'_, '_>) -> Translated {
    unary(node, Unary::HardSwish)
}

pub(super) fn logistic(node: &mut Node<'_, '_>) -> Translated {
    unary(node, Unary::Sigmoid)
}

pub(super) fn tanh(node: &mut Node<'_, '_>) -> Translated {
    unary(node, Unary::Tanh)
}

/// `exp(beta * x)` over the sum of the last axis.
pub(super) fn softmax(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<SoftmaxOptions<'_>>();
    let beta = options.map_or(1.0, |options| options.beta());
    if !beta.is_finite() || beta <= 0.0 {
        return Err(NodeProblem::Attribute {
            name: "beta",
            found: beta.to_string(),
            right: "a positive number".into(),
        });
    }
    let mut value = node.value(0)?;
    if beta != 1.0 {
        let multiply = BinaryFunction::Multiply;
        value = node
            .builder
            .binary_constant(node.name, multiply, &value, &[], vec![beta])?;
    }
    over_last_axis(node, value, Operation::Softmax)
}

pub(super) fn log_softmax(node: &mut Node<'_, '_>) -> Translated {
    let value = node.value(0)?;
    over_last_axis(node, value, Operation::LogSoftmax)
}

/// An operation over the channels, of a tensor whose last axis they are.
fn over_last_axis(node: &mut Node<'_, '_>, value: Value, operation: Operation) -> Translated {
    let shape = match value.dims.as_slice() {
        [rows @ .., width, channels] => Shape::new(rows.iter().product(), *width, *channels),
        dims => Shape::vector(dims.iter().product()),
    };
    let number = node.view(&value, shape)?;
    let number = node.push(operation, &[number])?;
    one(Value { number, ..value })
}
