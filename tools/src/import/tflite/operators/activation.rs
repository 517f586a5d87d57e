//! Functions of one value, and softmax.

use kinglet_kernels::{BinaryFunction, Shape, Unary};

use super::{Translated, one};
use crate::graph::Operation;
use crate::import::tflite::node::{Node, RELU_N1_TO_1};
use crate::import::tflite::options::{GeluOptions, LeakyReluOptions, SoftmaxOptions};
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

pub(super) fn relu_0_to_1(node: &mut Node<'_, '_>) -> Translated {
    let (low, high) = (0.0, 1.0);
    unary(node, Unary::Clip { low, high })
}

pub(super) fn gelu(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<GeluOptions<'_>>();
    match options.is_some_and(|options| options.approximate()) {
        true => unary(node, Unary::GeluTanh),
        false => unary(node, Unary::Gelu),
    }
}

pub(super) fn abs(node: &mut Node<'_, '_>) -> Translated {
    unary(node, Unary::Abs)
}

pub(super) fn exp(node: &mut Node<'_, '_>) -> Translated {
    unary(node, Unary::Exp)
}

pub(super) fn log(node: &mut Node<'_, '_>) -> Translated {
    unary(node, Unary::Log)
}

pub(super) fn sqrt(node: &mut Node<'_, '_>) -> Translated {
    unary(node, Unary::Sqrt)
}

/// `1 / sqrt(x)`.
pub(super) fn rsqrt(node: &mut Node<'_, '_>) -> Translated {
    let value = node.value(0)?;
    let number = node.push(Operation::Unary(Unary::Sqrt), &[value.number])?;
    with_scalar(
        node,
        &Value { number, ..value },
        BinaryFunction::ReverseDivide,
        1.0,
    )
}

pub(super) fn neg(node: &mut Node<'_, '_>) -> Translated {
    let value = node.value(0)?;
    with_scalar(node, &value, BinaryFunction::ReverseSubtract, 0.0)
}

pub(super) fn square(node: &mut Node<'_, '_>) -> Translated {
    let value = node.value(0)?;
    one(squared(node, &value)?)
}

fn squared(node: &mut Node<'_, '_>, value: &Value) -> Result<Value, NodeProblem> {
    let multiply = BinaryFunction::Multiply;
    Ok(node.builder.binary(node.name, multiply, value, value)?)
}

/// To the power of a constant: what is a product or a root is computed as one.
pub(super) fn pow(node: &mut Node<'_, '_>) -> Translated {
    let value = node.value(0)?;
    let exponents = node.floats(1, "exponent")?;
    let first = exponents.values.first().copied();
    let exponent = first.filter(|first| exponents.values.iter().all(|e| e == first));
    let exponent = exponent.ok_or_else(|| NodeProblem::Constant {
        what: "exponent",
        found: format!("of shape {:?} with several numbers", exponents.dims),
        right: "one number".into(),
    })?;
    match exponent {
        1.0 => one(value),
        2.0 => one(squared(node, &value)?),
        3.0 => {
            let (square, multiply) = (squared(node, &value)?, BinaryFunction::Multiply);
            one(node.builder.binary(node.name, multiply, &square, &value)?)
        }
        0.5 => unary(node, Unary::Sqrt),
        -0.5 => rsqrt(node),
        -1.0 => with_scalar(node, &value, BinaryFunction::ReverseDivide, 1.0),
        exponent => unary(node, Unary::Power { exponent }),
    }
}

fn with_scalar(
    node: &mut Node<'_, '_>,
    value: &Value,
    function: BinaryFunction,
    operand: f32,
) -> Translated {
    one(node
        .builder
        .binary_constant(node.name, function, value, &[], vec![operand])?)
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
