//! Functions of each element, and of pairs of elements.

use kinglet_kernels::{BinaryFunction, Unary, portable};

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

/// The numbers that are the defaults of the standard.
pub(super) fn selu(node: &mut Node<'_>) -> Outputs {
    let alpha = node.float("alpha", 1.673_263_2);
    let gamma = node.float("gamma", 1.050_701);
    unary(node, Unary::Selu { alpha, gamma })
}

/// `max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))`: an ELU of what is scaled before and back behind it.
pub(super) fn celu(node: &mut Node<'_>) -> Outputs {
    let alpha = node.float("alpha", 1.0);
    if !alpha.is_normal() {
        return Err(NodeProblem::Attribute {
            name: "alpha",
            found: alpha.to_string(),
            right: "a number other than 0".into(),
        });
    }
    let factor = |factor| Operand::Constant(fold::filled(&[], factor));
    let input = node.input(0, "input")?;
    node.inputs[0] = Some(node.binary(BinaryFunction::Divide, &input, &factor(alpha))?);
    let elu = unary(node, Unary::Elu { alpha: 1.0 })?;
    Ok(vec![node.binary(
        BinaryFunction::Multiply,
        &elu[0],
        &factor(alpha),
    )?])
}

pub(super) fn swish(node: &mut Node<'_>) -> Outputs {
    let alpha = node.float("alpha", 1.0);
    unary(node, Unary::Swish { alpha })
}

pub(super) fn softplus(node: &mut Node<'_>) -> Outputs {
    unary(node, Unary::Softplus)
}

pub(super) fn softsign(node: &mut Node<'_>) -> Outputs {
    unary(node, Unary::Softsign)
}

pub(super) fn mish(node: &mut Node<'_>) -> Outputs {
    unary(node, Unary::Mish)
}

pub(super) fn gelu(node: &mut Node<'_>) -> Outputs {
    match node.text("approximate", "none").as_str() {
        "none" => unary(node, Unary::Gelu),
        "tanh" => unary(node, Unary::GeluTanh),
        other => Err(NodeProblem::Attribute {
            name: "approximate",
            found: other.to_owned(),
            right: "none or tanh".into(),
        }),
    }
}

pub(super) fn erf(node: &mut Node<'_>) -> Outputs {
    unary(node, Unary::Erf)
}

/// A function of what depends on the input, or of a constant here and now.
fn unary(node: &mut Node<'_>, function: Unary) -> Outputs {
    function.check()?;
    if let Some(Operand::Constant(tensor)) = node.optional(0).cloned() {
        node.budget.take(tensor.dims())?;
        let result = fold::unary(&tensor, |x| {
            let mut result = [x];
            portable::unary_f32(function, &mut result);
            result[0]
        })?;
        return Ok(vec![Operand::Constant(result)]);
    }
    let value = node.value(0, "input")?;
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
    unary(node, Unary::Abs)
}

pub(super) fn sqrt(node: &mut Node<'_>) -> Outputs {
    unary(node, Unary::Sqrt)
}

pub(super) fn exp(node: &mut Node<'_>) -> Outputs {
    unary(node, Unary::Exp)
}

pub(super) fn log(node: &mut Node<'_>) -> Outputs {
    unary(node, Unary::Log)
}

/// To the power of a constant: what is a product or a root is computed as one.
pub(super) fn pow(node: &mut Node<'_>) -> Outputs {
    let input = node.input(0, "base")?;
    let (dims, exponents) = node.float_constant(1, "exponent")?;
    let one = exponents.first().copied();
    let exponent = one.filter(|one| exponents.iter().all(|e| e == one));
    let exponent = exponent
        .filter(|_| fold::broadcast(input.dims(), &dims).is_ok_and(|joint| joint == input.dims()));
    let exponent = exponent.ok_or_else(|| NodeProblem::Constant {
        what: "exponent",
        found: format!("of shape {dims:?} with several numbers"),
        right: "one number for all of the base".into(),
    })?;
    node.inputs.truncate(1);
    let square = |node: &mut Node<'_>| node.binary(BinaryFunction::Multiply, &input, &input);
    match exponent {
        1.0 => Ok(vec![input]),
        2.0 => Ok(vec![square(node)?]),
        3.0 => {
            let square = square(node)?;
            Ok(vec![node.binary(
                BinaryFunction::Multiply,
                &square,
                &input,
            )?])
        }
        0.5 => sqrt(node),
        -1.0 => reciprocal(node),
        exponent => unary(node, Unary::Power { exponent }),
    }
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
