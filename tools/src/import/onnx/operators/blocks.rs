//! Blocks of rows and columns as channels and back, and convolutions the other way round.

use kinglet_kernels::params::MAX_EXTENT;

use crate::import::NodeProblem;
use crate::import::lower::TransposedConv;
use crate::import::onnx::node::{Node, Outputs};
use crate::import::onnx::operand::Operand;

/// The block's side, and the four axes of the feature maps that are rearranged.
fn block(node: &Node<'_>) -> Result<(usize, [usize; 4]), NodeProblem> {
    let value = node.feature_map()?;
    let &[batch, channels, height, width] = value.dims.as_slice() else {
        return Err(NodeProblem::Input {
            found: format!("a tensor of the shape {:?}", value.dims),
            right: "[1, channels, height, width]",
        });
    };
    match usize::try_from(node.int("blocksize", 0)) {
        Ok(block @ 1..=MAX_EXTENT) => Ok((block, [batch, channels, height, width])),
        _ => Err(NodeProblem::Attribute {
            name: "blocksize",
            found: node.int("blocksize", 0).to_string(),
            right: format!("from 1 to {MAX_EXTENT}"),
        }),
    }
}

/// Seen in six axes, these in another order, seen in four again.
fn rearranged(
    node: &mut Node<'_>,
    six: [usize; 6],
    order: [usize; 6],
    four: [usize; 4],
) -> Outputs {
    let input = node.input(0, "input")?;
    let blocks = node.reshape(input, six.to_vec())?;
    let turned = node.transpose(&blocks, &order)?;
    Ok(vec![node.reshape(turned, four.to_vec())?])
}

/// PyTorch's PixelShuffle is mode CRD.
pub(super) fn depth_to_space(node: &mut Node<'_>) -> Outputs {
    let (block, [batch, channels, height, width]) = block(node)?;
    let outs = channels / (block * block);
    let four = [batch, outs, height * block, width * block];
    match node.text("mode", "DCR").as_str() {
        "DCR" => {
            let six = [batch, block, block, outs, height, width];
            rearranged(node, six, [0, 3, 4, 1, 5, 2], four)
        }
        "CRD" => {
            let six = [batch, outs, block, block, height, width];
            rearranged(node, six, [0, 1, 4, 2, 5, 3], four)
        }
        other => Err(NodeProblem::Attribute {
            name: "mode",
            found: other.to_owned(),
            right: "DCR or CRD".into(),
        }),
    }
}

pub(super) fn space_to_depth(node: &mut Node<'_>) -> Outputs {
    let (block, [batch, channels, height, width]) = block(node)?;
    let (rows, columns) = (height / block, width / block);
    let six = [batch, channels, rows, block, columns, block];
    let four = [batch, channels * block * block, rows, columns];
    rearranged(node, six, [0, 3, 5, 1, 2, 4], four)
}

/// Weights `[in_channels, out_channels / group, kernel...]` and a bias, over one or two axes of space.
pub(super) fn conv_transpose(node: &mut Node<'_>) -> Outputs {
    let value = node.feature_map()?;
    let (dims, weights) = node.float_constant(1, "weights")?;
    let rank = value.dims.len();
    let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
    let (ins, outs, kernel) = match dims.as_slice() {
        [ins, outs, kernel @ ..]
            if kernel.len() + 2 == rank
                && *ins == value.dims[1]
                && groups > 0
                && ins.is_multiple_of(groups) =>
        {
            (*ins, *outs, kernel)
        }
        _ => {
            return Err(NodeProblem::Constant {
                what: "weights",
                found: format!("of shape {dims:?}, group {groups}"),
                right: format!("[{}, out_channels / group, kernel...]", value.dims[1]),
            });
        }
    };
    let axes = kernel.len();
    let strides = node.sizes("strides", axes, 1, 1)?;
    let dilations = node.sizes("dilations", axes, 1, 1)?;
    let output_padding = node.sizes("output_padding", axes, 0, 0)?;
    let pads = node.sizes("pads", 2 * axes, 0, 0)?;
    let wanted = match node.has("output_shape") {
        true => Some(node.sizes("output_shape", axes, 1, 1)?),
        false => None,
    };
    let auto_pad = node.text("auto_pad", "NOTSET");
    // One axis of space is the columns of a single row.
    let (mut kernel_2d, mut stride, mut dilation) = ([1; 2], [1; 2], [1; 2]);
    let (mut cut, mut output) = ([0; 2], [1; 2]);
    for axis in 0..axes {
        let place = axis + 2 - axes;
        let extent = value.dims[2 + axis];
        // Everything that is written.
        let written = (extent.max(1) - 1)
            .saturating_mul(strides[axis])
            .saturating_add(
                kernel[axis]
                    .max(1)
                    .saturating_sub(1)
                    .saturating_mul(dilations[axis]),
            )
            .saturating_add(1);
        let same = extent.saturating_mul(strides[axis]);
        let size = match (auto_pad.as_str(), &wanted) {
            (_, Some(wanted)) => wanted[axis],
            ("SAME_UPPER" | "SAME_LOWER", None) => same,
            ("NOTSET" | "", None) => written
                .saturating_add(output_padding[axis])
                .saturating_sub(pads[axis].saturating_add(pads[axes + axis])),
            ("VALID", None) => written.saturating_add(output_padding[axis]),
            (other, None) => {
                return Err(NodeProblem::Attribute {
                    name: "auto_pad",
                    found: other.to_owned(),
                    right: "NOTSET, VALID, SAME_UPPER or SAME_LOWER".into(),
                });
            }
        };
        let total = written
            .saturating_add(output_padding[axis])
            .saturating_sub(size);
        cut[place] = match (auto_pad.as_str(), &wanted) {
            ("SAME_UPPER", _) => total / 2,
            ("SAME_LOWER", _) | (_, Some(_)) => total - total / 2,
            ("VALID", None) => 0,
            _ => pads[axis],
        };
        output[place] = size;
        kernel_2d[place] = kernel[axis];
        stride[place] = strides[axis];
        dilation[place] = dilations[axis];
    }
    let [_, channels, ..] = value.dims[..] else {
        return Err(NodeProblem::Missing { what: "input" });
    };
    let bound = [channels, output[0], output[1]];
    node.check(&bound)?;
    if kernel.contains(&0) || output.contains(&0) {
        return Err(NodeProblem::Refused {
            reason: format!(
                "a kernel of {kernel:?} makes {output:?} of {:?}",
                value.dims
            ),
        });
    }
    let bias = match node.optional(2) {
        Some(_) => Some(node.vector(2, "bias", outs * groups)?),
        None => None,
    };
    // To [out_channels, kernel_h, kernel_w, in_channels / group].
    let taps: usize = kernel.iter().product();
    let (group_ins, mut turned) = (ins / groups, Vec::with_capacity(weights.len()));
    for out in 0..outs * groups {
        let (group, own) = (out / outs, out % outs);
        for tap in 0..taps {
            let inputs = group * group_ins..(group + 1) * group_ins;
            turned.extend(inputs.map(|input| weights[(input * outs + own) * taps + tap]));
        }
    }
    let conv = TransposedConv {
        kernel: kernel_2d,
        stride,
        dilation,
        cut,
        output,
        groups,
        weights: turned,
        bias,
    };
    let number = node.builder.channels_last(node.name, &value)?;
    let number = node.builder.transposed_conv(node.name, number, conv)?;
    let output = node.builder.channels_first(node.name, number, rank)?;
    Ok(vec![Operand::Value(output)])
}
