//! Operators that give a tensor other axes.

use super::{Translated, one};
use crate::import::tflite::node::{Node, Source, axis};
use crate::import::tflite::options::{ReshapeOptions, SqueezeOptions};
use crate::import::tflite::tensor::elements;
use crate::import::{NodeProblem, Value};

/// The same real numbers: 8-bit ones are dequantized wherever they are read. A constant stays one.
pub(super) fn dequantize(node: &mut Node<'_, '_>) -> Translated {
    match node.source(0)? {
        Source::Value(_) => one(node.value(0)?),
        constant => Ok(vec![constant]),
    }
}

/// The same real numbers: they are quantized wherever a tensor of 8-bit ones is written.
pub(super) fn quantize(node: &mut Node<'_, '_>) -> Translated {
    one(node.value(0)?)
}

/// The same elements along other axes.
fn with_dims(value: Value, dims: Vec<usize>) -> Translated {
    if elements(&dims) != elements(&value.dims) {
        return Err(NodeProblem::Refused {
            reason: format!("{:?} cannot become {dims:?}", value.dims),
        });
    }
    one(Value { dims, ..value })
}

pub(super) fn reshape(node: &mut Node<'_, '_>) -> Translated {
    let value = node.value(0)?;
    let shape = match node
        .input(1)
        .filter(|shape| node.tensors.is_constant(*shape))
    {
        Some(_) => node.integers(1, "shape")?,
        None => {
            let options = node.operator.options::<ReshapeOptions<'_>>();
            let shape = options.and_then(|options| options.new_shape());
            let shape: Vec<i64> = shape.iter().flatten().map(i64::from).collect();
            match node
                .output()
                .and_then(|output| node.tensors.recorded_dims(output))
            {
                // Other operators compute the shape, of which the batch alone is not known.
                Some(dims) if node.input(1).is_some() => {
                    let open = |dim: &Option<usize>| dim.map_or(-1, |dim| dim as i64);
                    dims.iter().map(open).collect()
                }
                _ => shape,
            }
        }
    };
    let len: usize = value.dims.iter().product();
    let known = shape.iter().filter(|dim| **dim != -1);
    let known = known.map(|dim| usize::try_from(*dim).ok());
    let known: Option<Vec<usize>> = known.collect();
    let open = shape.iter().filter(|dim| **dim == -1).count();
    let rest = known.as_deref().and_then(elements).map(|known| len / known);
    let (Some(rest), 0 | 1) = (rest, open) else {
        return Err(NodeProblem::Attribute {
            name: "shape",
            found: format!("{shape:?}"),
            right: format!("one of {len} elements, in which one axis may be -1"),
        });
    };
    let dims = shape
        .iter()
        .map(|dim| usize::try_from(*dim).unwrap_or(rest));
    with_dims(value, dims.collect())
}

pub(super) fn squeeze(node: &mut Node<'_, '_>) -> Translated {
    let value = node.value(0)?;
    let rank = value.dims.len();
    let options = node.operator.options::<SqueezeOptions<'_>>();
    let axes = options.and_then(|options| options.squeeze_dims());
    let axes = axes.iter().flatten().map(|found| axis(found.into(), rank));
    let axes = axes.collect::<Result<Vec<usize>, _>>()?;
    let extents = value.dims.iter().enumerate();
    let dims = extents.filter(|(axis, extent)| match axes.is_empty() {
        true => **extent != 1,
        false => !axes.contains(axis),
    });
    let dims = dims.map(|(_, extent)| *extent).collect();
    with_dims(value, dims)
}

pub(super) fn expand_dims(node: &mut Node<'_, '_>) -> Translated {
    let value = node.value(0)?;
    let found = node.integers(1, "axis")?;
    let &[found] = found.as_slice() else {
        return Err(NodeProblem::Attribute {
            name: "axis",
            found: format!("{found:?}"),
            right: "one number".into(),
        });
    };
    let mut dims = value.dims.clone();
    dims.insert(axis(found, dims.len() + 1)?, 1);
    with_dims(value, dims)
}

pub(super) fn transpose(node: &mut Node<'_, '_>) -> Translated {
    let value = node.value(0)?;
    let rank = value.dims.len();
    let found = node.integers(1, "order")?;
    let order = found.iter().map(|found| axis(*found, rank));
    let order = order.collect::<Result<Vec<usize>, _>>()?;
    if order.len() != rank || !(0..rank).all(|axis| order.contains(&axis)) {
        return Err(NodeProblem::Attribute {
            name: "order",
            found: format!("{found:?}"),
            right: format!("each of the {rank} axes once"),
        });
    }
    one(node.builder.transpose(node.name, &value, &order)?)
}
