//! Operators that cut tensors into parts, put them together and surround them.

use kinglet_kernels::{Axis, PerAxis, Shape};

use super::{Translated, one};
use crate::graph::{AXES, Operation};
use crate::import::lower::MOST_INDICES;
use crate::import::tflite::names::MirrorPadMode;
use crate::import::tflite::node::{Node, Source, axis};
use crate::import::tflite::options::{
    ConcatenationOptions, MirrorPadOptions, SplitOptions, StridedSliceOptions,
};
use crate::import::{NodeProblem, Value};

/// The last three axes of a tensor; None if there is more than one sample of them.
fn last_three(dims: &[usize]) -> Option<PerAxis> {
    let (leading, last) = dims.split_at(dims.len().saturating_sub(3));
    let mut extents = [1; 3];
    extents[3 - last.len()..].copy_from_slice(last);
    Some(extents).filter(|_| leading.iter().all(|extent| *extent == 1))
}

/// A tensor of the axes `dims` as three of which one is `axis`: the last three where it is one of them, or those
/// before it, itself and those behind it.
fn around(dims: &[usize], axis: usize) -> (Shape, Axis) {
    let in_last = (axis + 3).checked_sub(dims.len());
    match (last_three(dims), in_last) {
        (Some([height, width, channels]), Some(place)) => {
            (Shape::new(height, width, channels), AXES[place])
        }
        _ => {
            let before = dims[..axis].iter().product();
            let behind = dims[axis + 1..].iter().product();
            (Shape::new(before, dims[axis], behind), Axis::Width)
        }
    }
}

pub(super) fn concatenation(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<ConcatenationOptions<'_>>();
    let options = options.ok_or(NodeProblem::Missing { what: "axis" })?;
    let values = (0..node.inputs()).map(|index| node.value(index));
    let values = values.collect::<Result<Vec<Value>, _>>()?;
    let first = values
        .first()
        .ok_or(NodeProblem::Missing { what: "input" })?;
    let axis = axis(options.axis().into(), first.dims.len())?;
    let mut dims = first.dims.clone();
    dims[axis] = 0;
    let mut inputs = Vec::with_capacity(values.len());
    let mut place = Axis::Channels;
    for value in &values {
        let mut others = value.dims.clone();
        if let Some(extent) = others.get_mut(axis) {
            *extent = dims[axis];
        }
        if others != dims {
            return Err(NodeProblem::Refused {
                reason: format!(
                    "it reads {:?} and {:?}; the same extents along every axis but {axis} are right",
                    first.dims, value.dims
                ),
            });
        }
        let shape;
        (shape, place) = around(&value.dims, axis);
        inputs.push(node.view(value, shape)?);
        dims[axis] += value.dims[axis];
    }
    let number = match inputs.as_slice() {
        [only] => *only,
        several => node.push(Operation::Concat { axis: place }, several)?,
    };
    let fused = options.fused_activation_function();
    one(node.activated(Value { number, dims }, Some(fused))?)
}

/// Equal parts along an axis, one for each output.
pub(super) fn split(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<SplitOptions<'_>>();
    let parts = options.map_or(0, |options| options.num_splits());
    let value = node.value(1)?;
    let found = node.integers(0, "axis")?;
    let axis = match found.as_slice() {
        &[found] => axis(found, value.dims.len())?,
        _ => return Err(NodeProblem::Missing { what: "axis" }),
    };
    let outputs = node.operator.outputs().map_or(0, |outputs| outputs.len());
    let extent = value.dims[axis];
    let parts = usize::try_from(parts).ok();
    let parts =
        parts.filter(|parts| *parts == outputs && *parts > 0 && extent.is_multiple_of(*parts));
    let parts = parts.ok_or_else(|| NodeProblem::Attribute {
        name: "num_splits",
        found: options
            .map_or(0, |options| options.num_splits())
            .to_string(),
        right: format!("{outputs}, a divisor of the extent {extent}"),
    })?;
    let (shape, place) = around(&value.dims, axis);
    let input = node.view(&value, shape)?;
    let mut dims = value.dims;
    dims[axis] = extent / parts;
    let mut computed = Vec::with_capacity(parts);
    for part in 0..parts {
        let mut start = [0; 3];
        start[place as usize] = part * dims[axis];
        let mut output = [shape.height, shape.width, shape.channels];
        output[place as usize] = dims[axis];
        let operation = Operation::Slice {
            start,
            step: [1; 3],
            output: of(output),
        };
        let number = node.push(operation, &[input])?;
        let dims = dims.clone();
        computed.push(Source::Value(Value { number, dims }));
    }
    Ok(computed)
}

fn of([height, width, channels]: PerAxis) -> Shape {
    Shape::new(height, width, channels)
}

/// Some elements of an axis.
#[derive(Debug, Clone, Copy)]
struct Part {
    start: usize,
    step: usize,
    count: usize,
}

/// A part of every axis.
fn sliced(node: &mut Node<'_, '_>, value: &Value, parts: &[Part]) -> Result<Value, NodeProblem> {
    let dims: Vec<usize> = parts.iter().map(|part| part.count).collect();
    if dims == value.dims {
        return Ok(value.clone());
    }
    let extents = last_three(&value.dims).ok_or_else(|| more_axes(&value.dims))?;
    let last = &parts[parts.len().saturating_sub(3)..];
    let whole = Part {
        start: 0,
        step: 1,
        count: 1,
    };
    let mut three = [whole; 3];
    three[3 - last.len()..].copy_from_slice(last);
    let input = node.view(value, of(extents))?;
    let operation = Operation::Slice {
        start: three.map(|part| part.start),
        step: three.map(|part| part.step),
        output: of(three.map(|part| part.count)),
    };
    let number = node.push(operation, &[input])?;
    Ok(Value { number, dims })
}

fn more_axes(dims: &[usize]) -> NodeProblem {
    NodeProblem::Input {
        found: format!("{dims:?}"),
        right: "three axes at most behind those of 1",
    }
}

pub(super) fn slice(node: &mut Node<'_, '_>) -> Translated {
    let value = node.value(0)?;
    let (begin, size) = (node.integers(1, "begin")?, node.integers(2, "size")?);
    let part = |(axis, extent): (usize, &usize)| {
        let start = usize::try_from(*begin.get(axis)?).ok()?;
        let rest = extent.checked_sub(start)?;
        let count = match *size.get(axis)? {
            -1 => rest,
            count => usize::try_from(count).ok()?,
        };
        let part = Part {
            start,
            step: 1,
            count,
        };
        Some(part).filter(|_| (1..=rest).contains(&count))
    };
    let parts: Option<Vec<Part>> = value.dims.iter().enumerate().map(part).collect();
    let parts = parts.ok_or_else(|| NodeProblem::Refused {
        reason: format!(
            "a part from {begin:?} of size {size:?} is not within {:?}",
            value.dims
        ),
    })?;
    one(sliced(node, &value, &parts)?)
}

pub(super) fn strided_slice(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<StridedSliceOptions<'_>>();
    let options = options.ok_or(NodeProblem::Missing { what: "options" })?;
    for (name, found) in [
        ("ellipsis_mask", options.ellipsis_mask()),
        ("new_axis_mask", options.new_axis_mask()),
    ] {
        if found != 0 {
            return Err(NodeProblem::Attribute {
                name,
                found: found.to_string(),
                right: "0".into(),
            });
        }
    }
    let value = node.value(0)?;
    let begin = node.integers(1, "begin")?;
    let end = node.integers(2, "end")?;
    let steps = node.integers(3, "strides")?;
    // A bit for each axis, of which there are fewer than 32 of more than one element.
    let bit = |mask: i32, axis: usize| axis < 32 && mask >> axis & 1 == 1;
    let part = |(axis, extent): (usize, &usize)| {
        let Some(((begin, end), step)) = begin.get(axis).zip(end.get(axis)).zip(steps.get(axis))
        else {
            // Those behind the last are whole.
            return Some(Part {
                start: 0,
                step: 1,
                count: *extent,
            });
        };
        let step = usize::try_from(*step).ok().filter(|step| *step > 0)?;
        let limit = *extent as i64;
        let clamp = |place: i64| {
            let from_front = if place < 0 {
                place.saturating_add(limit)
            } else {
                place
            };
            from_front.clamp(0, limit) as usize
        };
        let start = if bit(options.begin_mask(), axis) {
            0
        } else {
            clamp(*begin)
        };
        let end = match (
            bit(options.shrink_axis_mask(), axis),
            bit(options.end_mask(), axis),
        ) {
            (true, _) => (start + 1).min(*extent),
            (false, true) => *extent,
            (false, false) => clamp(*end),
        };
        let count = end.checked_sub(start)?.div_ceil(step);
        Some(Part { start, step, count }).filter(|_| count > 0)
    };
    let parts: Option<Vec<Part>> = value.dims.iter().enumerate().map(part).collect();
    let parts = parts.ok_or_else(|| NodeProblem::Refused {
        reason: format!(
            "from {begin:?} to {end:?} in steps of {steps:?} there is nothing in {:?}; \
             at least one element along each axis, and steps forward, are right",
            value.dims
        ),
    })?;
    let mut value = sliced(node, &value, &parts)?;
    let mut axis = 0;
    value.dims.retain(|_| {
        axis += 1;
        !bit(options.shrink_axis_mask(), axis - 1)
    });
    one(value)
}

/// Zeros around the input.
pub(super) fn pad(node: &mut Node<'_, '_>) -> Translated {
    padded(node, 0.0)
}

/// A constant around the input.
pub(super) fn pad_with_value(node: &mut Node<'_, '_>) -> Translated {
    let value = node.floats(2, "value")?;
    match value.values.as_slice() {
        &[value] => padded(node, value),
        _ => Err(NodeProblem::Constant {
            what: "value",
            found: format!("of shape {:?}", value.dims),
            right: "one number".into(),
        }),
    }
}

/// The input's own elements around it, there and back again.
pub(super) fn mirror_pad(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<MirrorPadOptions<'_>>();
    let mode = options.map_or(MirrorPadMode::REFLECT, |options| options.mode());
    // Whether the first element is mirrored as well.
    let twice = match mode {
        MirrorPadMode::REFLECT => 0,
        MirrorPadMode::SYMMETRIC => 1,
        other => {
            return Err(NodeProblem::Attribute {
                name: "mode",
                found: format!("{other:?}"),
                right: "REFLECT or SYMMETRIC".into(),
            });
        }
    };
    let mut value = node.value(0)?;
    let sizes = paddings(node, &value)?;
    for (axis, [before, after]) in sizes.as_chunks::<2>().0.iter().copied().enumerate() {
        let extent = value.dims[axis];
        if before.max(after).saturating_add(1) > extent + twice || extent > MOST_INDICES {
            return Err(NodeProblem::Attribute {
                name: "paddings",
                found: format!("{before} and {after} of axis {axis}"),
                right: format!(
                    "at most {}, of at most {MOST_INDICES} elements",
                    (extent + twice).saturating_sub(1)
                ),
            });
        }
        if before + after > 0 {
            let first = (0..before).rev().map(|n| n + 1 - twice);
            let last = (0..after).map(|n| extent + twice - 2 - n);
            let indices: Vec<usize> = first.chain(0..extent).chain(last).collect();
            value = node.builder.gather(node.name, &value, axis, &indices)?;
        }
    }
    one(value)
}

/// Two numbers for each axis of `value`, one behind the other.
fn paddings(node: &Node<'_, '_>, value: &Value) -> Result<Vec<usize>, NodeProblem> {
    let found = node.integers(1, "paddings")?;
    let sizes = found.iter().map(|size| usize::try_from(*size).ok());
    let sizes: Option<Vec<usize>> = sizes.collect();
    let rank = value.dims.len();
    let sizes = sizes.filter(|sizes| sizes.len() == 2 * rank);
    sizes.ok_or_else(|| NodeProblem::Attribute {
        name: "paddings",
        found: format!("{found:?}"),
        right: format!("two numbers of at least 0 for each of {rank} axes"),
    })
}

fn padded(node: &mut Node<'_, '_>, filling: f32) -> Translated {
    let value = node.value(0)?;
    let rank = value.dims.len();
    let sizes = paddings(node, &value)?;
    let pairs = sizes.as_chunks::<2>().0;
    let (leading, last) = pairs.split_at(rank.saturating_sub(3));
    let extents = last_three(&value.dims).filter(|_| leading.iter().all(|pair| *pair == [0, 0]));
    let extents = extents.ok_or_else(|| more_axes(&value.dims))?;
    let mut three = [[0; 2]; 3];
    three[3 - last.len()..].copy_from_slice(last);
    let input = node.view(&value, of(extents))?;
    let operation = Operation::Pad {
        before: three.map(|[before, _]| before),
        after: three.map(|[_, after]| after),
        value: filling,
    };
    let number = node.push(operation, &[input])?;
    let dims = value.dims.iter().zip(pairs);
    let dims =
        dims.map(|(extent, [before, after])| extent.saturating_add(*before).saturating_add(*after));
    let dims = dims.collect();
    one(Value { number, dims })
}
