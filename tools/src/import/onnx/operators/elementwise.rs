//! Functions of each element, and of pairs of elements.

use kinglet_kernels::{BinaryFunction, Unary};

use crate::graph::Operation;
use crate::import::NodeProblem;
use crate::import::builder::Value;
use crate::import::onnx::fold;
use crate::import::onnx::node::{Node, Outputs};
use crate::import::onnx::operand::Operand;

pub(super) fn relu(node: &mut Node<'_>) -> Outputs {
    unary(node, Unary::Relu)
}

pub(super) fn leaky_relu(node: &mut Node<'_>) -> Outputs {
    let slope = node.float("alpha", 0.01);
    unary(node, Unary::LeakyRelu { slope })
}

pub(super) fn elu(node: &mut Node<'_>) -> Outputs {
    let alpha = node.float("alpha", 1.0);
    unary(node, Unary::Elu { alpha })
}

pub(super) fn sigmoid(node: &mut Node<'_>) -> Outputs {
    unary(node, Unary::Sigmoid)
}

pub(super) fn hard_sigmoid(node: &mut Node<'_>) -> Outputs {
    let (alpha, beta) = (node.float("alpha", 0.2), node.float("beta", 0.5));
    unary(node, Unary::HardSigmoid { alpha, beta })
}

pub(super) fn hard_swish(node: &mut Node<'_>) -> Outputs {
    unary(node, Unary::HardSwish)
}

pub(super) fn tanh(node: &mut Node<'_>) -> Outputs {
    unary(node, Unary::Tanh)
}

/// Limits are attributes up to operator set 10, inputs since then.
pub(super) fn clip(node: &mut Node<'_>) -> Outputs {
    let (mut low, mut high) = (
        node.float("min", f32::NEG_INFINITY),
        node.float("max", f32::INFINITY),
    );
    if node.optional(1).is_some() {
        low = node.scalar(1, "min")?;
    }
    if node.optional(2).is_some() {
        high = node.scalar(2, "max")?;
    }
    // The default limits of older operator sets are the largest numbers, which is to say none.
    if low == f32::MIN {
        low = f32::NEG_INFINITY;
    }
    if high == f32::MAX {
        high = f32::INFINITY;
    }
    let function = match (low, high) {
        (0.0, f32::INFINITY) => Unary::Relu,
        (0.0, 6.0) => Unary::Relu6,
        _ => Unary::Clip { low, high },
    };
    unary(node, function)
}

fn unary(node: &mut Node<'_>, function: Unary) -> Outputs {
    let value = node.value(0, "input")?;
    function.check()?;
    let number = node
        .builder
        .push(node.name, Operation::Unary(function), &[value.number])?;
    Ok(vec![Operand::Value(Value { number, ..value })])
}

pub(super) fn neg(node: &mut Node<'_>) -> Outputs {
    with_scalar(node, BinaryFunction::ReverseSubtract, 0.0)
}

pub(super) fn reciprocal(node: &mut Node<'_>) -> Outputs {
    with_scalar(node, BinaryFunction::ReverseDivide, 1.0)
}

/// A function of each element and `operand`; integers are negated too.
fn with_scalar(node: &mut Node<'_>, function: BinaryFunction, operand: f32) -> Outputs {
    let input = node.input(0, "input")?;
    if let Operand::Constant(tensor) = &input {
        node.budget.take(tensor.dims())?;
        let result = fold::with_scalar(tensor, function, operand)?;
        return Ok(vec![Operand::Constant(result)]);
    }
    let operand = Operand::Constant(fold::filled(&[], operand));
    Ok(vec![node.binary(function, &input, &operand)?])
}

pub(super) fn abs(node: &mut Node<'_>) -> Outputs {
    if matches!(node.optional(0), Some(Operand::Constant(_))) {
        return constant(node, f32::abs);
    }
    let input = node.input(0, "input")?;
    let zero = Operand::Constant(fold::filled(&[], 0.0));
    let negated = node.binary(BinaryFunction::ReverseSubtract, &input, &zero)?;
    Ok(vec![node.binary(
        BinaryFunction::Maximum,
        &input,
        &negated,
    )?])
}

pub(super) fn sqrt(node: &mut Node<'_>) -> Outputs {
    constant(node, f32::sqrt)
}

pub(super) fn exp(node: &mut Node<'_>) -> Outputs {
    constant(node, f32::exp)
}

pub(super) fn log(node: &mut Node<'_>) -> Outputs {
    constant(node, f32::ln)
}

pub(super) fn floor(node: &mut Node<'_>) -> Outputs {
    constant(node, f32::floor)
}

/// A function that no kernel has: of constants only.
fn constant(node: &mut Node<'_>, function: fn(f32) -> f32) -> Outputs {
    let tensor = node.constant(0, "input")?;
    node.budget.take(tensor.dims())?;
    Ok(vec![Operand::Constant(fold::unary(&tensor, function)?)])
}

pub(super) fn add(node: &mut Node<'_>) -> Outputs {
    binary(node, BinaryFunction::Add)
}

pub(super) fn sub(node: &mut Node<'_>) -> Outputs {
    binary(node, BinaryFunction::Subtract)
}

pub(super) fn mul(node: &mut Node<'_>) -> Outputs {
    binary(node, BinaryFunction::Multiply)
}

pub(super) fn div(node: &mut Node<'_>) -> Outputs {
    binary(node, BinaryFunction::Divide)
}

fn binary(node: &mut Node<'_>, function: BinaryFunction) -> Outputs {
    let first = node.input(0, "first operand")?;
    let mut second = node.input(1, "second operand")?;
    // Operator set 6 names the axis of the first that the second begins at.
    if node.opset < 7 && node.has("axis") {
        let rank = first.dims().len();
        let axis = node.axis(node.int("axis", 0), rank)?;
        second = begin_at(node, second, axis, rank)?;
    }
    Ok(vec![node.binary(function, &first, &second)?])
}

/// `operand` with axes of 1 behind its own, so that these are those from `axis` on of `rank`.
fn begin_at(
    node: &mut Node<'_>,
    operand: Operand,
    axis: usize,
    rank: usize,
) -> Result<Operand, NodeProblem> {
    let mut dims = operand.dims().to_vec();
    let missing = rank.saturating_sub(axis + dims.len());
    dims.extend(vec![1; missing]);
    node.reshape(operand, dims)
}

/// Slopes that were learned. Up to operator set 6 they are those of the channels.
pub(super) fn prelu(node: &mut Node<'_>) -> Outputs {
    let first = node.input(0, "input")?;
    let mut slope = node.input(1, "slope")?;
    if node.opset < 7 && slope.dims().len() == 1 && slope.dims() != [1] {
        slope = begin_at(node, slope, 1, first.dims().len())?;
    }
    Ok(vec![node.binary(BinaryFunction::PRelu, &first, &slope)?])
}

pub(super) fn min(node: &mut Node<'_>) -> Outputs {
    of_all(node, BinaryFunction::Minimum).map(|all| vec![all])
}

pub(super) fn max(node: &mut Node<'_>) -> Outputs {
    of_all(node, BinaryFunction::Maximum).map(|all| vec![all])
}

pub(super) fn sum(node: &mut Node<'_>) -> Outputs {
    of_all(node, BinaryFunction::Add).map(|all| vec![all])
}

pub(super) fn mean(node: &mut Node<'_>) -> Outputs {
    let sum = of_all(node, BinaryFunction::Add)?;
    let factor = 1.0 / node.inputs.len() as f32;
    let factor = Operand::Constant(fold::filled(&[], factor));
    Ok(vec![node.binary(
        BinaryFunction::Multiply,
        &sum,
        &factor,
    )?])
}

/// The function of the first two inputs, of that and the third, and so on.
fn of_all(node: &mut Node<'_>, function: BinaryFunction) -> Result<Operand, NodeProblem> {
    let mut result = node.input(0, "input")?;
    for index in 1..node.inputs.len() {
        let next = node.input(index, "input")?;
        result = node.binary(function, &result, &next)?;
    }
    Ok(result)
}
