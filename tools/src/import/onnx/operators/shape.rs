//! Operators that leave the elements as they are and see them in another shape or order.

use crate::import::NodeProblem;
use crate::import::onnx::fold;
use crate::import::onnx::node::{Node, Outputs};
use crate::import::onnx::operand::Operand;
use crate::import::onnx::tensor::elements;

pub(super) fn identity(node: &mut Node<'_>) -> Outputs {
    Ok(vec![node.input(0, "input")?])
}

/// As trained: nothing is dropped.
pub(super) fn dropout(node: &mut Node<'_>) -> Outputs {
    let training = match node.optional(2) {
        Some(_) => node
            .integers(2, "training_mode")?
            .iter()
            .any(|flag| *flag != 0),
        None => node.opset < 7 && node.int("is_test", 0) == 0,
    };
    if training {
        return Err(NodeProblem::Constant {
            what: "training_mode",
            found: "true".into(),
            right: "false, a model saved for inference,".into(),
        });
    }
    identity(node)
}

pub(super) fn flatten(node: &mut Node<'_>) -> Outputs {
    let input = node.input(0, "input")?;
    let dims = input.dims();
    // One past the last axis is a place to cut, too.
    let rank = i64::try_from(dims.len()).unwrap_or(i64::MAX);
    let axis = match node.int("axis", 1) {
        axis if axis == rank => dims.len(),
        axis => node.axis(axis, dims.len())?,
    };
    let (before, behind) = dims.split_at(axis);
    let dims = vec![before.iter().product(), behind.iter().product()];
    Ok(vec![node.reshape(input, dims)?])
}

/// 0 keeps an axis as it is (unless `allowzero`), and -1 is what is left.
pub(super) fn reshape(node: &mut Node<'_>) -> Outputs {
    let input = node.input(0, "input")?;
    let wanted = node.integers(1, "shape")?;
    let keeps_zero = node.int("allowzero", 0) == 0;
    let dims = target(&wanted, input.dims(), keeps_zero);
    let dims = dims.ok_or_else(|| NodeProblem::Constant {
        what: "shape",
        found: format!("{wanted:?}"),
        right: format!("a shape of the elements of {:?}", input.dims()),
    })?;
    Ok(vec![node.reshape(input, dims)?])
}

fn target(wanted: &[i64], dims: &[usize], keeps_zero: bool) -> Option<Vec<usize>> {
    let mut target = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (axis, extent) in wanted.iter().enumerate() {
        target.push(match *extent {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 if keeps_zero => *dims.get(axis)?,
            extent => usize::try_from(extent).ok()?,
        });
    }
    let (known, all) = (elements(&target)?, elements(dims)?);
    if let Some(axis) = open {
        target[axis] = all.checked_div(known)?;
    }
    (elements(&target)? == all).then_some(target)
}

/// Takes out the named axes, or all of extent 1.
pub(super) fn squeeze(node: &mut Node<'_>) -> Outputs {
    let input = node.input(0, "input")?;
    let dims = input.dims().to_vec();
    let gone = match node.ints_or_input("axes", 1)? {
        Some(axes) => axes
            .iter()
            .map(|a| node.axis(*a, dims.len()))
            .collect::<Result<_, _>>()?,
        None => (0..dims.len())
            .filter(|axis| dims[*axis] == 1)
            .collect::<Vec<usize>>(),
    };
    if let Some(axis) = gone.iter().find(|axis| dims[**axis] != 1) {
        return Err(NodeProblem::Refused {
            reason: format!("axis {axis} of {dims:?} cannot be taken out; an extent of 1 is right"),
        });
    }
    let left = (0..dims.len()).filter(|axis| !gone.contains(axis));
    let left = left.map(|axis| dims[axis]).collect();
    Ok(vec![node.reshape(input, left)?])
}

/// Puts in axes of extent 1, at their places in the result.
pub(super) fn unsqueeze(node: &mut Node<'_>) -> Outputs {
    let input = node.input(0, "input")?;
    let axes = node.ints_or_input("axes", 1)?;
    let axes = axes.ok_or(NodeProblem::Missing { what: "axes" })?;
    let rank = input.dims().len() + axes.len();
    node.check(&vec![1; rank])?;
    let new: Vec<usize> = axes
        .iter()
        .map(|a| node.axis(*a, rank))
        .collect::<Result<_, _>>()?;
    let mut old = input.dims().iter();
    let dims: Vec<usize> = (0..rank)
        .filter_map(|axis| {
            if new.contains(&axis) {
                Some(1)
            } else {
                old.next().copied()
            }
        })
        .collect();
    Ok(vec![node.reshape(input, dims)?])
}

/// In the order `perm`; the other way round if there is none.
pub(super) fn transpose(node: &mut Node<'_>) -> Outputs {
    let input = node.input(0, "input")?;
    let rank = input.dims().len();
    let order: Vec<usize> = match node.ints("perm") {
        Some(order) => order
            .iter()
            .map(|a| node.axis(*a, rank))
            .collect::<Result<_, _>>()?,
        None => (0..rank).rev().collect(),
    };
    let mut named = order.clone();
    named.sort_unstable();
    if !named.into_iter().eq(0..rank) {
        return Err(NodeProblem::Attribute {
            name: "perm",
            found: format!("{order:?}"),
            right: format!("each axis from 0 to {} once", rank.saturating_sub(1)),
        });
    }
    Ok(vec![node.transpose(&input, &order)?])
}

/// Repeats what has an extent of 1.
pub(super) fn expand(node: &mut Node<'_>) -> Outputs {
    let input = node.input(0, "input")?;
    let wanted = node.integers(1, "shape")?;
    let shape: Option<Vec<usize>> = wanted.iter().map(|d| usize::try_from(*d).ok()).collect();
    let shape = shape.ok_or_else(|| NodeProblem::Constant {
        what: "shape",
        found: format!("{wanted:?}"),
        right: "numbers of at least 0".into(),
    })?;
    let dims = fold::broadcast(input.dims(), &shape)?;
    node.check(&dims)?;
    match &input {
        Operand::Constant(tensor) => {
            node.budget.take(&dims)?;
            Ok(vec![Operand::Constant(fold::expand(tensor, &dims))])
        }
        Operand::Value(_) if elements(input.dims()) == elements(&dims) => {
            Ok(vec![node.reshape(input, dims)?])
        }
        Operand::Value(value) => {
            let expanded = node.builder.expand(node.name, value, &dims)?;
            Ok(vec![Operand::Value(expanded)])
        }
        Operand::Quantized(..) => Err(NodeProblem::Refused {
            reason: "it repeats quantized numbers; a DequantizeLinear before it is right".into(),
        }),
    }
}
