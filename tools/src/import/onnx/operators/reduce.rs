//! Means and maxima over any axes: pools whose window is all of them.

use kinglet_kernels::{CountPadding, Pool2d, Rounding, Shape, Window};

use crate::graph::Operation;
use crate::import::NodeProblem;
use crate::import::builder::Value;
use crate::import::onnx::node::{Node, Outputs};
use crate::import::onnx::operand::Operand;

pub(super) fn mean(node: &mut Node<'_>) -> Outputs {
    reduce(node, Operation::AvgPool2d)
}

pub(super) fn max(node: &mut Node<'_>) -> Outputs {
    reduce(node, Operation::MaxPool2d)
}

fn reduce(node: &mut Node<'_>, operation: fn(Pool2d) -> Operation) -> Outputs {
    let value = node.value(0, "input")?;
    let rank = value.dims.len();
    let axes = node.ints_or_input("axes", 1)?.unwrap_or_default();
    if axes.is_empty() && node.int("noop_with_empty_axes", 0) != 0 {
        return Ok(vec![Operand::Value(value)]);
    }
    let named: Result<Vec<usize>, NodeProblem> = axes.iter().map(|a| node.axis(*a, rank)).collect();
    let named = named?;
    let reduced = |axis: &usize| axes.is_empty() || named.contains(axis);
    let (gone, kept): (Vec<usize>, Vec<usize>) = (0..rank).partition(reduced);
    let dims: Vec<usize> = match node.int("keepdims", 1) {
        0 => kept.iter().map(|axis| value.dims[*axis]).collect(),
        _ => (0..rank)
            .map(|a| if reduced(&a) { 1 } else { value.dims[a] })
            .collect(),
    };
    let order: Vec<usize> = gone.iter().chain(&kept).copied().collect();
    let moved = node.builder.transpose(node.name, &value, &order)?;
    let extent = |axes: &[usize]| axes.iter().map(|axis| value.dims[*axis]).product();
    let (rows, columns) = gone.split_at(gone.len().min(1));
    let shape = Shape::new(extent(rows), extent(columns), extent(&kept));
    let window = Window::new(shape.height, shape.width);
    let params = Pool2d::new(shape, window, Rounding::Floor, CountPadding::Exclude)
        .map_err(|reason| NodeProblem::params(&value.dims, reason))?;
    let number = node.builder.view(node.name, moved.number, shape)?;
    let number = node.builder.push(node.name, operation(params), &[number])?;
    Ok(vec![Operand::Value(Value { number, dims })])
}
