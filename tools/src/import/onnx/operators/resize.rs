//! Resizing: repeated rows and columns where that is what it comes down to, other choices of elements, and between two
//! elements a product along the axis.

use crate::graph::Operation;
use crate::import::NodeProblem;
use crate::import::builder::Value;
use crate::import::onnx::node::{Node, Outputs};
use crate::import::onnx::operand::{Operand, Part};

/// Operator sets 7 to 9: scales, as an attribute or as an input.
pub(super) fn upsample(node: &mut Node<'_>) -> Outputs {
    is_linear(node)?;
    let scales = match node.floats("scales") {
        Some(scales) => scales.to_vec(),
        None => node.float_constant(1, "scales")?.1,
    };
    by_scales(node, &scales, "asymmetric", "floor")
}

/// Operator set 10 has scales only; since 11 there are sizes too, and modes.
pub(super) fn resize(node: &mut Node<'_>) -> Outputs {
    is_linear(node)?;
    if node.opset < 11 {
        let scales = node.float_constant(1, "scales")?.1;
        return by_scales(node, &scales, "asymmetric", "floor");
    }
    let coordinates = node.text("coordinate_transformation_mode", "half_pixel");
    let rounding = node.text("nearest_mode", "round_prefer_floor");
    let value = node.value(0, "input")?;
    let rank = value.dims.len();
    let axes: Vec<usize> = match node.ints("axes") {
        Some(axes) => axes
            .iter()
            .map(|a| node.axis(*a, rank))
            .collect::<Result<_, _>>()?,
        None => (0..rank).collect(),
    };
    let count = |found: usize, what| match found == axes.len() {
        true => Ok(()),
        false => Err(NodeProblem::Constant {
            what,
            found: format!("{found} numbers"),
            right: format!("{} numbers", axes.len()),
        }),
    };
    let given = |operand: Option<&Operand>| operand.is_some_and(|o| !o.dims().contains(&0));
    if given(node.optional(3)) {
        let policy = node.text("keep_aspect_ratio_policy", "stretch");
        if policy != "stretch" {
            return Err(NodeProblem::Attribute {
                name: "keep_aspect_ratio_policy",
                found: policy,
                right: "stretch".into(),
            });
        }
        let found = node.integers(3, "sizes")?;
        count(found.len(), "sizes")?;
        let mut sizes = value.dims.clone();
        for (axis, size) in axes.iter().zip(&found) {
            sizes[*axis] = usize::try_from(*size).unwrap_or(0);
        }
        let scales: Vec<f32> = sizes
            .iter()
            .zip(&value.dims)
            .map(|(to, from)| *to as f32 / *from as f32)
            .collect();
        return resized(node, value, &sizes, &scales, &coordinates, &rounding);
    }
    let found = node.float_constant(2, "scales")?.1;
    count(found.len(), "scales")?;
    let mut scales = vec![1.0; rank];
    for (axis, scale) in axes.iter().zip(&found) {
        scales[*axis] = *scale;
    }
    by_scales(node, &scales, &coordinates, &rounding)
}

/// Whether elements are between two of the input, or else the nearest.
fn is_linear(node: &Node<'_>) -> Result<bool, NodeProblem> {
    match node.text("mode", "nearest").as_str() {
        "nearest" => Ok(false),
        // Operator set 7 and 8 call it so.
        "linear" | "bilinear" => Ok(true),
        mode => Err(NodeProblem::Attribute {
            name: "mode",
            found: mode.to_owned(),
            right: "nearest or linear".into(),
        }),
    }
}

fn by_scales(node: &mut Node<'_>, scales: &[f32], coordinates: &str, rounding: &str) -> Outputs {
    let value = node.value(0, "input")?;
    if scales.len() != value.dims.len() {
        return Err(NodeProblem::Constant {
            what: "scales",
            found: format!("{scales:?}"),
            right: format!("{} numbers", value.dims.len()),
        });
    }
    let size = |(extent, scale): (&usize, &f32)| (*extent as f32 * scale).floor() as usize;
    let sizes: Vec<usize> = value.dims.iter().zip(scales).map(size).collect();
    resized(node, value, &sizes, scales, coordinates, rounding)
}

fn resized(
    node: &mut Node<'_>,
    mut value: Value,
    sizes: &[usize],
    scales: &[f32],
    coordinates: &str,
    rounding: &str,
) -> Outputs {
    node.check(sizes)?;
    if sizes.contains(&0) {
        return Err(NodeProblem::Refused {
            reason: format!("it resizes {:?} to {sizes:?}, which is nothing", value.dims),
        });
    }
    if is_linear(node)? {
        return between(node, value, sizes, scales, coordinates);
    }
    let mut factors = vec![1; sizes.len()];
    let mut parts = Vec::new();
    for axis in 0..sizes.len() {
        let (from, to) = (value.dims[axis], sizes[axis]);
        if from == to {
            continue;
        }
        node.check_indices(to)?;
        let index = |i| source(i, from, to, scales[axis], coordinates, rounding);
        let indices: Option<Vec<usize>> = (0..to).map(index).collect();
        let indices = indices.ok_or_else(|| NodeProblem::Attribute {
            name: "coordinate_transformation_mode",
            found: format!("{coordinates} with {rounding}"),
            right: "half_pixel with round_prefer_floor, or asymmetric with floor,".into(),
        })?;
        let factor = to / from;
        let step = indices
            .get(1)
            .map_or(1, |next| next.saturating_sub(indices[0]));
        if to % from == 0 && (0..indices.len()).all(|i| indices[i] == i / factor) {
            factors[axis] = factor;
        } else if to > 0
            && step > 0
            && (0..indices.len()).all(|i| indices[i] == indices[0] + i * step)
        {
            let step = step as isize;
            parts.push(Part {
                axis,
                start: indices[0],
                step,
                count: to,
            });
        } else {
            value = node.builder.gather(node.name, &value, axis, &indices)?;
        }
    }
    if let Operand::Value(sliced) = node.slice(&Operand::Value(value.clone()), &parts)? {
        value = sliced;
    }
    if factors.iter().all(|factor| *factor == 1) {
        return Ok(vec![Operand::Value(value)]);
    }
    let rank = value.dims.len();
    let space = match (value.dims.as_slice(), factors.as_slice()) {
        ([1, _, _] | [1, _, _, _], [1, 1, space @ ..]) => space,
        // Other axes than rows and columns.
        _ => {
            for (axis, factor) in factors
                .iter()
                .enumerate()
                .filter(|(_, factor)| **factor > 1)
            {
                let indices: Vec<usize> =
                    (0..value.dims[axis] * factor).map(|i| i / factor).collect();
                value = node.builder.gather(node.name, &value, axis, &indices)?;
            }
            return Ok(vec![Operand::Value(value)]);
        }
    };
    let (factor_h, factor_w) = match *space {
        [columns] => (1, columns),
        _ => (space[0], space[1]),
    };
    let number = node.builder.channels_last(node.name, &value)?;
    let operation = Operation::Upsample { factor_h, factor_w };
    let number = node.builder.push(node.name, operation, &[number])?;
    let output = node.builder.channels_first(node.name, number, rank)?;
    Ok(vec![Operand::Value(output)])
}

/// Elements between two of the input, along each axis by itself.
fn between(
    node: &mut Node<'_>,
    mut value: Value,
    sizes: &[usize],
    scales: &[f32],
    coordinates: &str,
) -> Outputs {
    for (name, default) in [("antialias", 0), ("exclude_outside", 0)] {
        node.require_int(name, default)?;
    }
    for axis in 0..sizes.len() {
        let (from, to) = (value.dims[axis], sizes[axis]);
        if from == to {
            continue;
        }
        let exact = scales[axis] * from as f32;
        if coordinates == "align_corners" && (exact - to as f32).abs() > 1e-3 {
            return Err(NodeProblem::Refused {
                reason: format!(
                    "it resizes {from} by {} with align_corners, where the standard reckons with {exact} and runtimes with {to}; scales that make whole numbers, or sizes, are right",
                    scales[axis]
                ),
            });
        }
        node.budget.take(&[from, to])?;
        let mut matrix = vec![0.0; from * to];
        for (i, row) in matrix.chunks_exact_mut(from).enumerate() {
            let at = place(i, from, to, scales[axis], coordinates);
            let at = at.ok_or_else(|| NodeProblem::Attribute {
                name: "coordinate_transformation_mode",
                found: coordinates.to_owned(),
                right: "half_pixel, pytorch_half_pixel, align_corners or asymmetric".into(),
            })?;
            let at = at.clamp(0.0, from as f64 - 1.0);
            let first = at.floor() as usize;
            let part = (at - at.floor()) as f32;
            row[first] += 1.0 - part;
            row[(first + 1).min(from - 1)] += part;
        }
        value = node.builder.along_axis(node.name, &value, axis, matrix)?;
    }
    Ok(vec![Operand::Value(value)])
}

/// Which element of an axis goes to place `i`; None for modes that are not known.
fn source(
    i: usize,
    from: usize,
    to: usize,
    scale: f32,
    coordinates: &str,
    rounding: &str,
) -> Option<usize> {
    let at = place(i, from, to, scale, coordinates)?;
    let at = match rounding {
        "floor" => at.floor(),
        "ceil" => at.ceil(),
        "round_prefer_floor" => (at - 0.5).ceil(),
        "round_prefer_ceil" => (at + 0.5).floor(),
        _ => return None,
    };
    Some(at.clamp(0.0, from as f64 - 1.0) as usize)
}

/// Where place `i` of an axis lies among the elements it is made of; None for modes that are not known. In f32, as ONNX Runtime
/// reckons: what lies on a whole number must not fall beside it.
fn place(i: usize, from: usize, to: usize, scale: f32, coordinates: &str) -> Option<f64> {
    let (i, from, to) = (i as f32, from as f32, to as f32);
    Some(f64::from(match coordinates {
        "asymmetric" => i / scale,
        "half_pixel" => (i + 0.5) / scale - 0.5,
        "pytorch_half_pixel" if to > 1.0 => (i + 0.5) / scale - 0.5,
        "pytorch_half_pixel" => 0.0,
        "half_pixel_symmetric" => {
            let adjustment = to / (scale * from);
            let center = from / 2.0;
            center * (1.0 - adjustment) + (i + 0.5) / scale - 0.5
        }
        "tf_half_pixel_for_nn" => (i + 0.5) / scale,
        "align_corners" if to > 1.0 => i * (from - 1.0) / (to - 1.0),
        "align_corners" => 0.0,
        _ => return None,
    }))
}
