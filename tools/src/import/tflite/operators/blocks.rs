//! Blocks of rows and columns as channels and back, and convolutions the other way round.

use kinglet_kernels::params::MAX_EXTENT;

use super::conv::maps_of;
use super::{Translated, one};
use crate::import::lower::TransposedConv;
use crate::import::tflite::names::Padding;
use crate::import::tflite::node::Node;
use crate::import::tflite::options::{
    DepthToSpaceOptions, SpaceToDepthOptions, TransposeConvOptions,
};
use crate::import::tflite::tensor::wrong;
use crate::import::{NodeProblem, Value};

fn block(found: i32) -> Result<usize, NodeProblem> {
    match usize::try_from(found) {
        Ok(block @ 1..=MAX_EXTENT) => Ok(block),
        _ => Err(NodeProblem::Attribute {
            name: "block_size",
            found: found.to_string(),
            right: format!("from 1 to {MAX_EXTENT}"),
        }),
    }
}

/// Feature maps seen in six axes, these in another order, as feature maps again.
fn rearranged(
    node: &mut Node<'_, '_>,
    six: [usize; 6],
    order: [usize; 6],
    four: [usize; 4],
) -> Translated {
    let value = node.value(0)?;
    let len: usize = value.dims.iter().product();
    if six.iter().product::<usize>() != len {
        return Err(NodeProblem::Refused {
            reason: format!("{:?} cannot be cut into such blocks", value.dims),
        });
    }
    let dims = six.to_vec();
    let turned = node
        .builder
        .transpose(node.name, &Value { dims, ..value }, &order)?;
    let dims = four.to_vec();
    one(Value { dims, ..turned })
}

pub(super) fn depth_to_space(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<DepthToSpaceOptions<'_>>();
    let block = block(options.map_or(0, |options| options.block_size()))?;
    let value = node.value(0)?;
    let (_, shape) = node.maps(&value)?;
    let outs = shape.channels / (block * block);
    let six = [1, shape.height, shape.width, block, block, outs];
    let four = [1, shape.height * block, shape.width * block, outs];
    rearranged(node, six, [0, 1, 3, 2, 4, 5], four)
}

pub(super) fn space_to_depth(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<SpaceToDepthOptions<'_>>();
    let block = block(options.map_or(0, |options| options.block_size()))?;
    let value = node.value(0)?;
    let (_, shape) = node.maps(&value)?;
    let (rows, columns) = (shape.height / block, shape.width / block);
    let six = [1, rows, block, columns, block, shape.channels];
    let four = [1, rows, columns, shape.channels * block * block];
    rearranged(node, six, [0, 1, 3, 2, 4, 5], four)
}

/// Weights `[out_channels, kernel_h, kernel_w, in_channels]` behind the shape of the output, the input behind them.
pub(super) fn transpose_conv(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<TransposeConvOptions<'_>>();
    let options = options.ok_or(NodeProblem::Missing { what: "options" })?;
    let value = node.value(2)?;
    let (input, shape) = node.maps(&value)?;
    let weights = node.floats(1, "weights")?;
    let output = node.integers(0, "output shape")?;
    let &[outs, kernel_h, kernel_w, ins] = weights.dims.as_slice() else {
        let right = "[out_channels, kernel_h, kernel_w, in_channels]".into();
        return Err(wrong(
            "weights",
            format!("of shape {:?}", weights.dims),
            right,
        ));
    };
    let output = match *output.as_slice() {
        [1, height, width, channels] if ins == shape.channels && channels == outs as i64 => {
            [usize::try_from(height), usize::try_from(width)]
        }
        _ => {
            let found = format!("{output:?} with weights of shape {:?}", weights.dims);
            let right = format!(
                "[1, height, width, out_channels] of {} channels",
                shape.channels
            );
            return Err(wrong("output shape", found, right));
        }
    };
    let stride = [options.stride_h(), options.stride_w()].map(usize::try_from);
    let ([Ok(stride_h @ 1..), Ok(stride_w @ 1..)], [Ok(height @ 1..), Ok(width @ 1..)]) =
        (stride, output)
    else {
        return Err(NodeProblem::Attribute {
            name: "stride",
            found: format!("[{}, {}]", options.stride_h(), options.stride_w()),
            right: "at least 1 on both axes, of an output that is not empty,".into(),
        });
    };
    let (kernel, stride, output) = ([kernel_h, kernel_w], [stride_h, stride_w], [height, width]);
    let extents = [shape.height, shape.width];
    let mut cut = [0; 2];
    if options.padding() == Padding::SAME {
        for axis in 0..2 {
            let written = (extents[axis] - 1).saturating_mul(stride[axis]) + kernel[axis];
            cut[axis] = written.saturating_sub(output[axis]) / 2;
        }
    }
    let conv = TransposedConv {
        kernel,
        stride,
        dilation: [1; 2],
        cut,
        output,
        groups: 1,
        weights: weights.values,
        bias: node.bias(3, outs)?,
    };
    let number = node.builder.transposed_conv(node.name, input, conv)?;
    let value = maps_of(number, node.builder.shape(number));
    let fused = options.fused_activation_function();
    one(node.activated(value, Some(fused))?)
}
