//! Means, sums, maxima and norms over any axes: pools whose window is all of them.

use kinglet_kernels::{BinaryFunction, Pool2d, Unary};

use crate::graph::Operation;
use crate::import::NodeProblem;
use crate::import::builder::Value;
use crate::import::onnx::node::{Node, Outputs};
use crate::import::onnx::operand::Operand;

/// What is done to each element before the axes are reduced, and to each result.
#[derive(Clone, Copy)]
enum Reduction {
    Mean,
    Max,
    Min,
    Sum,
    SumOfMagnitudes,
    SumOfSquares,
    RootOfSquares,
    LogOfSum,
    LogOfSumOfPowers,
}

pub(super) fn mean(node: &mut Node<'_>) -> Outputs {
    reduce(node, Reduction::Mean)
}

pub(super) fn max(node: &mut Node<'_>) -> Outputs {
    reduce(node, Reduction::Max)
}

pub(super) fn min(node: &mut Node<'_>) -> Outputs {
    reduce(node, Reduction::Min)
}

pub(super) fn sum(node: &mut Node<'_>) -> Outputs {
    reduce(node, Reduction::Sum)
}

pub(super) fn l1(node: &mut Node<'_>) -> Outputs {
    reduce(node, Reduction::SumOfMagnitudes)
}

pub(super) fn l2(node: &mut Node<'_>) -> Outputs {
    reduce(node, Reduction::RootOfSquares)
}

pub(super) fn sum_square(node: &mut Node<'_>) -> Outputs {
    reduce(node, Reduction::SumOfSquares)
}

pub(super) fn log_sum(node: &mut Node<'_>) -> Outputs {
    reduce(node, Reduction::LogOfSum)
}

pub(super) fn log_sum_exp(node: &mut Node<'_>) -> Outputs {
    reduce(node, Reduction::LogOfSumOfPowers)
}

fn reduce(node: &mut Node<'_>, reduction: Reduction) -> Outputs {
    let value = node.value(0, "input")?;
    let rank = value.dims.len();
    let axes = node.ints_or_input("axes", 1)?.unwrap_or_default();
    let named: Result<Vec<usize>, NodeProblem> = axes.iter().map(|a| node.axis(*a, rank)).collect();
    let named = match (named?, node.int("noop_with_empty_axes", 0)) {
        (named, 0) if named.is_empty() => (0..rank).collect(),
        (named, _) => named,
    };
    let mut reduced = computed(node, &value, &named, reduction)?;
    if node.int("keepdims", 1) == 0 {
        let kept = (0..rank).filter(|axis| !named.contains(axis));
        reduced.dims = kept.map(|axis| value.dims[axis]).collect();
    }
    Ok(vec![Operand::Value(reduced)])
}

/// The reduction over `axes`, which stay as axes of 1.
fn computed(
    node: &mut Node<'_>,
    value: &Value,
    axes: &[usize],
    reduction: Reduction,
) -> Result<Value, NodeProblem> {
    let (name, builder) = (node.name, &mut *node.builder);
    let (multiply, negate) = (BinaryFunction::Multiply, BinaryFunction::ReverseSubtract);
    let pool = |builder: &mut crate::import::Builder,
                value: &Value,
                operation: fn(Pool2d) -> Operation| {
        match axes.is_empty() {
            true => Ok(value.clone()),
            false => builder.pool_axes(name, value, axes, operation),
        }
    };
    let count: usize = axes.iter().map(|axis| value.dims[*axis]).product();
    let sum = |builder: &mut crate::import::Builder, value: &Value| {
        let mean = pool(builder, value, Operation::AvgPool2d)?;
        builder.with_scalar(name, multiply, &mean, count as f32)
    };
    Ok(match reduction {
        Reduction::Mean => pool(builder, value, Operation::AvgPool2d)?,
        Reduction::Max => pool(builder, value, Operation::MaxPool2d)?,
        Reduction::Min => {
            let negated = builder.with_scalar(name, negate, value, 0.0)?;
            let largest = pool(builder, &negated, Operation::MaxPool2d)?;
            builder.with_scalar(name, negate, &largest, 0.0)?
        }
        Reduction::Sum => sum(builder, value)?,
        Reduction::SumOfMagnitudes => {
            let magnitudes = builder.each(name, Unary::Abs, value)?;
            sum(builder, &magnitudes)?
        }
        Reduction::SumOfSquares => {
            let squares = builder.binary(name, multiply, value, value)?;
            sum(builder, &squares)?
        }
        Reduction::RootOfSquares => {
            let squares = builder.binary(name, multiply, value, value)?;
            let sum = sum(builder, &squares)?;
            builder.each(name, Unary::Sqrt, &sum)?
        }
        Reduction::LogOfSum => {
            let sum = sum(builder, value)?;
            builder.each(name, Unary::Log, &sum)?
        }
        Reduction::LogOfSumOfPowers => {
            // Without overflow: the largest is taken out of the powers, and added to the logarithm.
            let largest = pool(builder, value, Operation::MaxPool2d)?;
            let below = builder.binary(name, BinaryFunction::Subtract, value, &largest)?;
            let powers = builder.each(name, Unary::Exp, &below)?;
            let sum = sum(builder, &powers)?;
            let log = builder.each(name, Unary::Log, &sum)?;
            builder.binary(name, BinaryFunction::Add, &log, &largest)?
        }
    })
}
