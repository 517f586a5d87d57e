//! Convolutions, and the windows that they share with pools.

use kinglet_kernels::{Activation, Conv2d, Padding, Window};
use ndarray::ArrayView4;

use crate::graph::Operation;
use crate::import::NodeProblem;
use crate::import::onnx::node::{Node, Outputs};
use crate::import::onnx::operand::Operand;

/// Weights `[out_channels, in_channels / group, kernel...]` and a bias, over one or two axes of space.
pub(super) fn conv(node: &mut Node<'_>) -> Outputs {
    let value = node.feature_map()?;
    let (dims, weights) = node.float_constant(1, "weights")?;
    let rank = value.dims.len();
    let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
    let (out_channels, kernel) = match dims.as_slice() {
        [out_channels, _, kernel @ ..] if kernel.len() + 2 == rank => (*out_channels, kernel),
        _ => {
            return Err(NodeProblem::Constant {
                what: "weights",
                found: format!("of shape {dims:?}"),
                right: format!("{rank} axes, [out_channels, in_channels / group, kernel...],"),
            });
        }
    };
    let window = window(node, kernel, &value.dims[2..])?;
    if node.has("kernel_shape") && node.sizes("kernel_shape", kernel.len(), 1, 1)? != kernel {
        return Err(NodeProblem::Attribute {
            name: "kernel_shape",
            found: format!("{:?}", node.ints("kernel_shape").unwrap_or_default()),
            right: format!("{kernel:?}, as the weights have it,"),
        });
    }
    let number = node.builder.channels_last(node.name, &value)?;
    let input = node.builder.shape(number);
    let params = Conv2d::new(input, out_channels, window, groups, Activation::Identity)
        .map_err(|reason| NodeProblem::params(&value.dims, reason))?;
    if dims[1] != params.group_in_channels() {
        let right = [&[out_channels, params.group_in_channels()], kernel].concat();
        return Err(NodeProblem::Constant {
            what: "weights",
            found: format!("of shape {dims:?}"),
            right: format!("{right:?}"),
        });
    }
    let bias = match node.optional(2) {
        Some(_) => Some(node.vector(2, "bias", out_channels)?),
        None => None,
    };
    let oihw = [out_channels, dims[1], window.kernel_h, window.kernel_w];
    let weights = ArrayView4::from_shape(oihw, &weights);
    let weights = weights.map_err(|error| NodeProblem::Refused {
        reason: error.to_string(),
    })?;
    let operation = Operation::Conv2d {
        params,
        weights: weights
            .permuted_axes([0, 2, 3, 1])
            .iter()
            .copied()
            .collect(),
        weight_scale: node.constant(1, "weights")?.scale_along(0, out_channels),
        bias,
        pool: None,
    };
    let number = node.builder.push(node.name, operation, &[number])?;
    let output = node.builder.channels_first(node.name, number, rank)?;
    Ok(vec![Operand::Value(output)])
}

/// A window over one or two axes of space; one axis is the columns of a single row.
pub(super) fn window(
    node: &Node<'_>,
    kernel: &[usize],
    space: &[usize],
) -> Result<Window, NodeProblem> {
    let axes = kernel.len();
    let strides = node.sizes("strides", axes, 1, 1)?;
    let dilations = node.sizes("dilations", axes, 1, 1)?;
    let auto_pad = node.text("auto_pad", "NOTSET");
    let pads = match auto_pad.as_str() {
        "NOTSET" | "" => node.sizes("pads", 2 * axes, 0, 0)?,
        "VALID" => vec![0; 2 * axes],
        "SAME_UPPER" | "SAME_LOWER" => {
            let total = |axis: usize| {
                let windows = space[axis].div_ceil(strides[axis]);
                let span = (kernel[axis].saturating_sub(1)).saturating_mul(dilations[axis]);
                let covered = (windows.saturating_sub(1)).saturating_mul(strides[axis]);
                covered
                    .saturating_add(span)
                    .saturating_add(1)
                    .saturating_sub(space[axis])
            };
            let smaller = (0..axes).map(|axis| total(axis) / 2);
            let larger = (0..axes).map(|axis| total(axis).div_ceil(2));
            match auto_pad.as_str() {
                "SAME_UPPER" => smaller.chain(larger).collect(),
                _ => larger.chain(smaller).collect(),
            }
        }
        _ => {
            return Err(NodeProblem::Attribute {
                name: "auto_pad",
                found: auto_pad,
                right: "NOTSET, VALID, SAME_UPPER or SAME_LOWER".into(),
            });
        }
    };
    let last = axes - 1;
    let (left, right) = (pads[last], pads[axes + last]);
    let rows = |values: &[usize], single: usize| if axes == 2 { values[0] } else { single };
    let padding = Padding {
        top: rows(&pads, 0),
        bottom: rows(&pads[axes..], 0),
        left,
        right,
    };
    Ok(Window::new(rows(kernel, 1), kernel[last])
        .with_stride(rows(&strides, 1), strides[last])
        .with_dilation(rows(&dilations, 1), dilations[last])
        .with_padding(padding))
}
