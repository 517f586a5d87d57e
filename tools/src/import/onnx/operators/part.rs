//! Parts of tensors, and tensors of parts.

use kinglet_kernels::BinaryFunction;

use crate::import::NodeProblem;
use crate::import::onnx::fold;
use crate::import::onnx::node::{Node, Outputs};
use crate::import::onnx::operand::{Operand, Part};
use crate::import::onnx::tensor::{self, Tensor};

/// `starts`, `ends` and `axes` are attributes up to operator set 9, inputs since then.
pub(super) fn slice(node: &mut Node<'_>) -> Outputs {
    let input = node.input(0, "input")?;
    let dims = input.dims().to_vec();
    let missing = |what| move || NodeProblem::Missing { what };
    let starts = node
        .ints_or_input("starts", 1)?
        .ok_or_else(missing("starts"))?;
    let ends = node.ints_or_input("ends", 2)?.ok_or_else(missing("ends"))?;
    let all = || (0i64..).take(starts.len()).collect();
    let axes = node.ints_or_input("axes", 3)?.unwrap_or_else(all);
    let steps = node
        .ints_or_input("steps", 4)?
        .unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || starts.len() > dims.len() {
        return Err(NodeProblem::Refused {
            reason: format!(
                "starts, ends, axes and steps have {}, {}, {} and {} numbers; as many each, and up to {}, are right",
                starts.len(),
                ends.len(),
                axes.len(),
                steps.len(),
                dims.len()
            ),
        });
    }
    let mut parts: Vec<Part> = Vec::with_capacity(axes.len());
    for (index, axis) in axes.iter().enumerate() {
        let axis = node.axis(*axis, dims.len())?;
        if parts.iter().any(|part| part.axis == axis) {
            return Err(NodeProblem::Refused {
                reason: format!("axis {axis} is named twice"),
            });
        }
        let part = part(axis, dims[axis], starts[index], ends[index], steps[index]);
        parts.push(part.ok_or_else(|| NodeProblem::Refused {
            reason: format!(
                "its step is {}; a number other than 0 is right",
                steps[index]
            ),
        })?);
    }
    Ok(vec![node.slice(&input, &parts)?])
}

/// From `start` to before `end`, both counted from the end where negative, both cut to what is there.
fn part(axis: usize, extent: usize, start: i64, end: i64, step: i64) -> Option<Part> {
    let extent = i64::try_from(extent).ok()?;
    if extent == 0 {
        let (start, step, count) = (0, 1, 0);
        return Some(Part {
            axis,
            start,
            step,
            count,
        });
    }
    let from_front = |at: i64| {
        if at < 0 {
            at.saturating_add(extent)
        } else {
            at
        }
    };
    let (start, end) = (from_front(start), from_front(end));
    let (start, end) = match step {
        0 => return None,
        1.. => (start.clamp(0, extent), end.clamp(0, extent)),
        _ => (start.clamp(0, extent - 1), end.clamp(-1, extent - 1)),
    };
    let distance = if step > 0 { end - start } else { start - end };
    let count = distance.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
    Some(Part {
        axis,
        start: usize::try_from(start).unwrap_or(0),
        step: isize::try_from(step).ok()?,
        count: usize::try_from(count).ok()?,
    })
}

/// Equal parts, or as long as `split` says.
pub(super) fn split(node: &mut Node<'_>) -> Outputs {
    let input = node.input(0, "input")?;
    let axis = node.axis(node.int("axis", 0), input.dims().len())?;
    let extent = input.dims()[axis];
    let outputs = node.proto.output.len();
    let lengths = node.ints_or_input("split", 1)?;
    let lengths: Option<Vec<usize>> = match &lengths {
        Some(lengths) => lengths
            .iter()
            .map(|len| usize::try_from(*len).ok())
            .collect(),
        None => {
            // The last one may be shorter.
            let len = extent.div_ceil(outputs.max(1));
            let lengths = (0..outputs).map(|i| extent.saturating_sub(i * len).min(len));
            Some(lengths.collect())
        }
    };
    let fits = |lengths: &Vec<usize>| {
        let sum = lengths
            .iter()
            .fold(0usize, |sum, len| sum.saturating_add(*len));
        sum == extent && lengths.len() == outputs
    };
    let lengths = lengths.filter(fits).ok_or_else(|| NodeProblem::Constant {
        what: "split",
        found: format!("{:?}", node.ints("split")),
        right: format!("{outputs} lengths that add up to {extent}"),
    })?;
    let mut start = 0;
    let mut parts = Vec::with_capacity(outputs);
    for (count, name) in lengths.into_iter().zip(&node.proto.output) {
        let part = Part {
            axis,
            start,
            step: 1,
            count,
        };
        start += count;
        // An output that nobody can name is not computed.
        if name.is_empty() {
            parts.push(input.clone());
            continue;
        }
        // Nodes are called by what they compute, where the first output has the node's own name.
        if !parts.is_empty() {
            node.name = name;
        }
        parts.push(node.slice(&input, &[part])?);
    }
    Ok(parts)
}

pub(super) fn concat(node: &mut Node<'_>) -> Outputs {
    let count = node.inputs.len();
    let inputs: Vec<Operand> = (0..count)
        .map(|i| node.input(i, "input"))
        .collect::<Result<_, _>>()?;
    let first = inputs
        .first()
        .ok_or(NodeProblem::Missing { what: "input" })?;
    let rank = first.dims().len();
    let axis = node.axis(node.int("axis", 1), rank)?;
    let others = |operand: &Operand| {
        let mut dims = operand.dims().to_vec();
        if let Some(extent) = dims.get_mut(axis) {
            *extent = 0;
        }
        dims
    };
    if let Some(other) = inputs.iter().find(|input| others(input) != others(first)) {
        return Err(NodeProblem::Refused {
            reason: format!(
                "it joins {:?} and {:?} along axis {axis}; the same extents along the others are right",
                first.dims(),
                other.dims()
            ),
        });
    }
    // What is empty adds nothing.
    let filled: Vec<Operand> = inputs
        .iter()
        .filter(|i| i.dims()[axis] > 0)
        .cloned()
        .collect();
    match filled.is_empty() {
        true => Ok(vec![first.clone()]),
        false => Ok(vec![node.concat(axis, &filled)?]),
    }
}

/// The elements at indices that are constants.
pub(super) fn gather(node: &mut Node<'_>) -> Outputs {
    let input = node.input(0, "input")?;
    let axis = node.axis(node.int("axis", 0), input.dims().len())?;
    let extent = input.dims()[axis];
    let indices = node.constant(1, "indices")?;
    let shape = indices.dims().to_vec();
    let indices = node.integers(1, "indices")?;
    let indices: Vec<usize> = indices
        .iter()
        .map(|index| node.axis(*index, extent))
        .collect::<Result<_, _>>()?;
    let mut dims = input.dims().to_vec();
    dims.splice(axis..=axis, shape);
    node.check(&dims)?;
    let parts = match (&input, indices.as_slice()) {
        (Operand::Constant(tensor), _) => {
            node.budget.take(&dims)?;
            Operand::Constant(fold::select(tensor, axis, &indices))
        }
        (_, []) => {
            return Err(NodeProblem::Constant {
                what: "indices",
                found: "empty".into(),
                right: "at least one".into(),
            });
        }
        (Operand::Value(value), indices) => {
            Operand::Value(node.builder.gather(node.name, value, axis, indices)?)
        }
        (Operand::Quantized(value, numbers), indices) => {
            let value = node.builder.gather(node.name, value, axis, indices)?;
            Operand::Quantized(value, *numbers)
        }
    };
    Ok(vec![node.reshape(parts, dims)?])
}

/// As often along each axis as a constant says.
pub(super) fn tile(node: &mut Node<'_>) -> Outputs {
    let input = node.input(0, "input")?;
    let repeats = node.integers(1, "repeats")?;
    let dims = input.dims().to_vec();
    let counts: Option<Vec<usize>> = repeats.iter().map(|n| usize::try_from(*n).ok()).collect();
    let counts = counts.filter(|counts| counts.len() == dims.len() && !counts.contains(&0));
    let counts = counts.ok_or_else(|| NodeProblem::Constant {
        what: "repeats",
        found: format!("{repeats:?}"),
        right: format!("{} numbers of at least 1", dims.len()),
    })?;
    let mut result = input;
    for (axis, count) in counts
        .into_iter()
        .enumerate()
        .filter(|(_, count)| *count > 1)
    {
        node.check_indices(count)?;
        let mut larger = result.dims().to_vec();
        larger[axis] = larger[axis].saturating_mul(count);
        node.check(&larger)?;
        result = node.concat(axis, &vec![result; count])?;
    }
    Ok(vec![result])
}

/// The elements of one or the other of two tensors, by a condition that does not depend on the input.
pub(super) fn choose(node: &mut Node<'_>) -> Outputs {
    let condition = node.constant(0, "condition")?;
    let truths = node.integers(0, "condition")?;
    let (yes, no) = (
        node.input(1, "first choice")?,
        node.input(2, "second choice")?,
    );
    let joint = fold::broadcast(condition.dims(), &fold::broadcast(yes.dims(), no.dims())?)?;
    node.budget.take(&joint)?;
    let truths: Vec<f32> = truths
        .iter()
        .map(|truth| f32::from(u8::from(*truth != 0)))
        .collect();
    let mask = Tensor::floats(tensor::array(condition.dims(), truths.into_iter()).into_owned());
    // A choice times 1 where it is chosen and 0 elsewhere; what is a constant is 0 there whatever it was.
    let mut parts = Vec::with_capacity(2);
    for (choice, chosen) in [(yes, 1.0), (no, 0.0)] {
        let factors = fold::unary(&mask, |x| f32::from(u8::from(x == chosen)))?;
        parts.push(match &choice {
            Operand::Constant(tensor) => Operand::Constant(fold::masked(tensor, &factors, &joint)?),
            _ => {
                let factors = Operand::Constant(factors);
                node.binary(BinaryFunction::Multiply, &choice, &factors)?
            }
        });
    }
    Ok(vec![node.binary(
        BinaryFunction::Add,
        &parts[0],
        &parts[1],
    )?])
}

/// Which element of an axis of `extent` stands at place `at` of a padded one, which begins `before` it; None for modes that
/// are not known.
fn padded_from(mode: &str, at: i64, extent: i64) -> Option<usize> {
    let found = match mode {
        "edge" => at.clamp(0, extent - 1),
        // There and back again, the ends once.
        "reflect" if extent > 1 => {
            let period = 2 * (extent - 1);
            let within = at.rem_euclid(period);
            within.min(period - within)
        }
        "reflect" => 0,
        "wrap" => at.rem_euclid(extent),
        _ => return None,
    };
    usize::try_from(found).ok()
}

/// With a constant, or with elements of the tensor; negative amounts cut off. Amounts are an attribute up to operator set 10,
/// an input since then.
pub(super) fn pad(node: &mut Node<'_>) -> Outputs {
    let value = node.value(0, "input")?;
    let mode = node.text("mode", "constant");
    let rank = value.dims.len();
    let pads = node.ints_or_input("pads", 1)?;
    let pads = pads.ok_or(NodeProblem::Missing { what: "pads" })?;
    let filling = match node.optional(2) {
        Some(_) => node.scalar(2, "constant_value")?,
        None => node.float("value", 0.0),
    };
    let axes: Vec<usize> = match node.optional(3) {
        Some(_) => {
            let axes = node.integers(3, "axes")?;
            axes.iter()
                .map(|a| node.axis(*a, rank))
                .collect::<Result<_, _>>()?
        }
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(NodeProblem::Constant {
            what: "pads",
            found: format!("{pads:?}"),
            right: format!("{} numbers", 2 * axes.len()),
        });
    }
    let (mut before, mut after) = (vec![0i64; rank], vec![0i64; rank]);
    for (index, axis) in axes.iter().enumerate() {
        (before[*axis], after[*axis]) = (pads[index], pads[axes.len() + index]);
    }
    if mode != "constant" {
        let mut padded = value;
        for axis in 0..rank {
            let extent = padded.dims[axis] as i64;
            let places = before[axis].saturating_neg()..extent.saturating_add(after[axis]);
            let len = usize::try_from(places.end.saturating_sub(places.start)).unwrap_or(0);
            let mut dims = padded.dims.clone();
            dims[axis] = len;
            node.check(&dims)?;
            node.check_indices(len)?;
            let indices: Option<Vec<usize>> =
                places.map(|at| padded_from(&mode, at, extent)).collect();
            let indices = indices.ok_or_else(|| NodeProblem::Attribute {
                name: "mode",
                found: mode.clone(),
                right: "constant, reflect, edge or wrap".into(),
            })?;
            if indices.is_empty() {
                return Err(NodeProblem::Refused {
                    reason: format!("it leaves nothing of axis {axis} of {:?}", padded.dims),
                });
            }
            if !indices.iter().copied().eq(0..padded.dims[axis]) {
                padded = node.builder.gather(node.name, &padded, axis, &indices)?;
            }
        }
        return Ok(vec![Operand::Value(padded)]);
    }
    let grown = |amounts: &[i64]| -> Vec<usize> {
        amounts
            .iter()
            .map(|n| usize::try_from(*n).unwrap_or(0))
            .collect()
    };
    let padded = node.pad(&value, &grown(&before), &grown(&after), filling)?;
    let cut = |n: i64| usize::try_from(n.saturating_neg()).unwrap_or(0);
    let part = |axis: usize| Part {
        axis,
        start: cut(before[axis]),
        step: 1,
        count: padded.dims[axis].saturating_sub(cut(before[axis]).saturating_add(cut(after[axis]))),
    };
    let parts: Vec<Part> = (0..rank).map(part).collect();
    Ok(vec![node.slice(&Operand::Value(padded.clone()), &parts)?])
}
