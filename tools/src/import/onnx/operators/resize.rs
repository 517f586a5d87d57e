//! Resizing by the nearest neighbor, where it comes down to repeating rows and columns or to leaving some out.

use crate::graph::Operation;
use crate::import::NodeProblem;
use crate::import::builder::Value;
use crate::import::onnx::node::{Node, Outputs};
use crate::import::onnx::operand::{Operand, Part};

/// Operator sets 7 to 9: scales, as an attribute or as an input.
pub(super) fn upsample(node: &mut Node<'_>) -> Outputs {
    nearest_only(node)?;
    let scales = match node.floats("scales") {
        Some(scales) => scales.to_vec(),
        None => node.float_constant(1, "scales")?.1,
    };
    by_scales(node, &scales, "asymmetric", "floor")
}

/// Operator set 10 has scales only; since 11 there are sizes too, and modes.
pub(super) fn resize(node: &mut Node<'_>) -> Outputs {
    nearest_only(node)?;
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

fn nearest_only(node: &Node<'_>) -> Result<(), NodeProblem> {
    match node.text("mode", "nearest") {
        mode if mode == "nearest" => Ok(()),
        mode => Err(NodeProblem::Attribute {
            name: "mode",
            found: mode,
            right: "nearest".into(),
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
    let mut factors = vec![1; sizes.len()];
    let mut parts = Vec::new();
    for axis in 0..sizes.len() {
        let (from, to) = (value.dims[axis], sizes[axis]);
        if from == to {
            continue;
        }
        let index = |i| source(i, from, to, scales[axis], coordinates, rounding);
        // Beyond this no kernel reaches.
        let indices: Option<Vec<usize>> = (0..to.min(1 << 16)).map(index).collect();
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
            return Err(NodeProblem::Refused {
                reason: format!(
                    "axis {axis} goes from {from} to {to} ({coordinates}, {rounding}), which does not repeat each element as often; a whole factor is right"
                ),
            });
        }
    }
    if let Operand::Value(sliced) = node.slice(&Operand::Value(value.clone()), &parts)? {
        value = sliced;
    }
    if factors.iter().all(|factor| *factor == 1) {
        return Ok(vec![Operand::Value(value)]);
    }
    let rank = value.dims.len();
    let [1, 1, space @ ..] = factors.as_slice() else {
        return Err(NodeProblem::Refused {
            reason: format!("it resizes by {factors:?}; rows and columns alone are right"),
        });
    };
    let (factor_h, factor_w) = match *space {
        [columns] => (1, columns),
        [rows, columns] => (rows, columns),
        _ => {
            return Err(NodeProblem::Input {
                found: format!("a tensor of the shape {:?}", value.dims),
                right: "[1, channels, length] or [1, channels, height, width]",
            });
        }
    };
    let number = node.builder.channels_last(node.name, &value)?;
    let operation = Operation::Upsample { factor_h, factor_w };
    let number = node.builder.push(node.name, operation, &[number])?;
    let output = node.builder.channels_first(node.name, number, rank)?;
    Ok(vec![Operand::Value(output)])
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
    let (i, scale) = (i as f64, f64::from(scale));
    let at = match coordinates {
        "asymmetric" => i / scale,
        "half_pixel" => (i + 0.5) / scale - 0.5,
        "pytorch_half_pixel" if to > 1 => (i + 0.5) / scale - 0.5,
        "pytorch_half_pixel" => 0.0,
        "half_pixel_symmetric" => {
            let adjustment = to as f64 / (scale * from as f64);
            let center = from as f64 / 2.0;
            center * (1.0 - adjustment) + (i + 0.5) / scale - 0.5
        }
        "tf_half_pixel_for_nn" => (i + 0.5) / scale,
        "align_corners" if to > 1 => i * (from as f64 - 1.0) / (to as f64 - 1.0),
        "align_corners" => 0.0,
        _ => return None,
    };
    let at = match rounding {
        "floor" => at.floor(),
        "ceil" => at.ceil(),
        "round_prefer_floor" => (at - 0.5).ceil(),
        "round_prefer_ceil" => (at + 0.5).floor(),
        _ => return None,
    };
    Some(at.clamp(0.0, from as f64 - 1.0) as usize)
}
