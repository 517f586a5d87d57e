//! Convolutions, and the windows that they and pools slide.

use kinglet_kernels::{Activation, Conv2d, Padding, Shape, Window};
use ndarray::ArrayView2;

use super::{Translated, one};
use crate::graph::Operation;
use crate::import::tflite::constant::Floats;
use crate::import::tflite::names::{self, ActivationFunctionType};
use crate::import::tflite::node::{Node, refused};
use crate::import::tflite::options::{Conv2DOptions, DepthwiseConv2DOptions};
use crate::import::tflite::tensor::wrong;
use crate::import::{NodeProblem, Value};

/// Weights `[out_channels, kernel_h, kernel_w, in_channels / groups]`.
pub(super) fn conv2d(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<Conv2DOptions<'_>>();
    let options = options.ok_or(NodeProblem::Missing { what: "options" })?;
    let value = node.value(0)?;
    let (input, shape) = node.maps(&value)?;
    let weights = node.weights()?;
    let weight_scale = weights.scale_along(0);
    let Floats { dims, values, .. } = weights;
    let (out_channels, kernel, groups) = match dims.as_slice() {
        &[outs, kernel_h, kernel_w, ins] if ins > 0 && shape.channels.is_multiple_of(ins) => {
            (outs, [kernel_h, kernel_w], shape.channels / ins)
        }
        _ => {
            let right = format!("[out_channels, kernel_h, kernel_w, {}]", shape.channels);
            return Err(wrong("weights", format!("of shape {dims:?}"), right));
        }
    };
    let sliding = Sliding {
        kernel,
        stride: [options.stride_h(), options.stride_w()],
        dilation: [options.dilation_h_factor(), options.dilation_w_factor()],
        padding: options.padding(),
    };
    let window = sliding.window(shape)?;
    let params = Conv2d::new(shape, out_channels, window, groups, Activation::Identity);
    let params = params.map_err(|reason| refused(shape, reason))?;
    let fused = options.fused_activation_function();
    convolution(node, input, params, (values, weight_scale), fused)
}

/// Weights `[1, kernel_h, kernel_w, in_channels * multiplier]`, of which each input channel has neighbors.
pub(super) fn depthwise_conv2d(node: &mut Node<'_, '_>) -> Translated {
    let options = node.operator.options::<DepthwiseConv2DOptions<'_>>();
    let options = options.ok_or(NodeProblem::Missing { what: "options" })?;
    let value = node.value(0)?;
    let (input, shape) = node.maps(&value)?;
    let weights = node.weights()?;
    let weight_scale = weights.scale_along(3);
    let Floats { dims, values, .. } = weights;
    let &[1, kernel_h, kernel_w, out_channels] = dims.as_slice() else {
        let right = "[1, kernel_h, kernel_w, out_channels]".to_owned();
        return Err(wrong("weights", format!("of shape {dims:?}"), right));
    };
    let sliding = Sliding {
        kernel: [kernel_h, kernel_w],
        stride: [options.stride_h(), options.stride_w()],
        dilation: [options.dilation_h_factor(), options.dilation_w_factor()],
        padding: options.padding(),
    };
    let window = sliding.window(shape)?;
    let groups = shape.channels;
    let params = Conv2d::new(shape, out_channels, window, groups, Activation::Identity);
    let params = params.map_err(|reason| refused(shape, reason))?;
    let columns = ArrayView2::from_shape((kernel_h * kernel_w, out_channels), &values);
    let columns = columns.expect("a constant has as many values as its shape");
    let weights = columns.t().iter().copied().collect();
    let fused = options.fused_activation_function();
    convolution(node, input, params, (weights, weight_scale), fused)
}

fn convolution(
    node: &mut Node<'_, '_>,
    input: usize,
    params: Conv2d,
    (weights, weight_scale): (Vec<f32>, Option<Vec<f32>>),
    fused: ActivationFunctionType,
) -> Translated {
    let operation = Operation::Conv2d {
        params,
        weights,
        weight_scale,
        bias: node.bias(2, params.output().channels)?,
        pool: None,
    };
    let number = node.push(operation, &[input])?;
    let value = maps_of(number, params.output());
    one(node.activated(value, Some(fused))?)
}

/// A value of the graph as feature maps.
pub(super) fn maps_of(number: usize, shape: Shape) -> Value {
    Value {
        number,
        dims: vec![1, shape.height, shape.width, shape.channels],
    }
}

/// How a window slides, in the file's numbers: vertically and horizontally.
pub(super) struct Sliding {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [i32; 2],
    pub(super) dilation: [i32; 2],
    pub(super) padding: names::Padding,
}

impl Sliding {
    /// The window over an input of `shape`.
    pub(super) fn window(&self, shape: Shape) -> Result<Window, NodeProblem> {
        let [stride_h, stride_w] = positive("stride", self.stride)?;
        let [dilation_h, dilation_w] = positive("dilation", self.dilation)?;
        let [kernel_h, kernel_w] = self.kernel;
        let (vertical, horizontal) = match self.padding {
            names::Padding::VALID => ([0; 2], [0; 2]),
            names::Padding::SAME => (
                same(shape.height, kernel_h, stride_h, dilation_h),
                same(shape.width, kernel_w, stride_w, dilation_w),
            ),
            other => {
                return Err(NodeProblem::Attribute {
                    name: "padding",
                    found: format!("{other:?}"),
                    right: "SAME or VALID".into(),
                });
            }
        };
        let ([top, bottom], [left, right]) = (vertical, horizontal);
        Ok(Window::new(kernel_h, kernel_w)
            .with_stride(stride_h, stride_w)
            .with_dilation(dilation_h, dilation_w)
            .with_padding(Padding {
                top,
                bottom,
                left,
                right,
            }))
    }
}

fn positive(name: &'static str, found: [i32; 2]) -> Result<[usize; 2], NodeProblem> {
    match found.map(usize::try_from) {
        [Ok(vertical @ 1..), Ok(horizontal @ 1..)] => Ok([vertical, horizontal]),
        _ => Err(NodeProblem::Attribute {
            name,
            found: format!("{found:?}"),
            right: "at least 1 on both axes".into(),
        }),
    }
}

/// The padding before and behind an axis with which a window of stride 1 keeps its extent; the odd one is behind.
fn same(extent: usize, kernel: usize, stride: usize, dilation: usize) -> [usize; 2] {
    let span = kernel
        .saturating_sub(1)
        .saturating_mul(dilation)
        .saturating_add(1);
    let covered = (extent.div_ceil(stride) - 1)
        .saturating_mul(stride)
        .saturating_add(span);
    let total = covered.saturating_sub(extent);
    [total / 2, total - total / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_is_larger_behind() {
        assert_eq!(same(7, 3, 1, 1), [1, 1]);
        assert_eq!(same(8, 3, 2, 1), [0, 1]);
        assert_eq!(same(7, 2, 1, 1), [0, 1]);
        assert_eq!(same(7, 4, 1, 1), [1, 2]);
        assert_eq!(same(9, 3, 1, 2), [2, 2]);
        assert_eq!(same(9, 1, 4, 1), [0, 0]);
    }
}
