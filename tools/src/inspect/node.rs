//! One row of the table from one node of a model file.

use kinglet::kernels::{Activation, Axis, Conv2d, PerAxis, Shape, Window};
use kinglet::model::schema::{DType, Node, Operator};

use super::channels_first;
use crate::graph::unary_name;

/// Parameters and multiply-accumulates of a node.
pub(super) fn counts(node: &Node, input: Shape, output: Shape) -> (usize, u64) {
    let with_bias =
        |weights: usize, bias: Option<u32>| weights + bias.map_or(0, |_| output.channels);
    match node.operator {
        Operator::Conv2dF32 {
            window,
            groups,
            bias,
            ..
        } => {
            let taps = window.kernel_h * window.kernel_w * input.channels / groups as usize;
            let macs = output.len() as u64 * taps as u64;
            (with_bias(output.channels * taps, bias), macs)
        }
        Operator::Conv2dMaxPool2dF32 {
            window,
            groups,
            bias,
            activation,
            ..
        } => {
            let groups = groups as usize;
            let conv = Conv2d::new(input, output.channels, window, groups, activation);
            // The model was loaded, so it is one.
            let (weights, macs) = conv.map_or((0, 0), |conv| (conv.weights_len(), conv.macs()));
            (with_bias(weights, bias), macs)
        }
        Operator::LinearF32 { bias, .. } => {
            let weights = input.len() * output.len();
            (with_bias(weights, bias), weights as u64)
        }
        Operator::BinaryConstantF32 { shape, .. } => (shape.len(), 0),
        Operator::ChannelAffineF32 { .. } => (2 * input.channels, output.len() as u64),
        Operator::Conv2dI8 {
            window,
            groups,
            bias,
            ..
        } => {
            let taps = window.kernel_h * window.kernel_w * input.channels / groups as usize;
            let macs = output.len() as u64 * taps as u64;
            (with_bias(output.channels * taps, bias), macs)
        }
        Operator::LinearI8 { bias, .. } => {
            let weights = input.len() * output.len();
            (with_bias(weights, bias), weights as u64)
        }
        _ => (0, 0),
    }
}

/// An element type, and what its numbers mean if it is quantized.
pub(super) fn element(dtype: DType) -> String {
    match dtype {
        DType::F32 => "f32".to_owned(),
        DType::I8 { scale, zero_point } => format!("i8, scale {scale}, zero point {zero_point}"),
    }
}

/// The bounds of an operator's numbers, where there are any.
fn bounds(low: i8, high: i8) -> String {
    match (low, high) {
        (i8::MIN, i8::MAX) => String::new(),
        (low, high) => format!(" within {low}..={high}"),
    }
}

/// An operator in a few words.
pub(crate) fn describe(operator: &Operator) -> String {
    let activation = |activation| match activation {
        Activation::Identity => "",
        Activation::Relu => " + ReLU",
        Activation::Relu6 => " + ReLU6",
    };
    match operator {
        Operator::Conv2dF32 {
            window,
            groups,
            activation: a,
            ..
        }
        | Operator::Conv2dMaxPool2dF32 {
            window,
            groups,
            activation: a,
            ..
        } => {
            let groups = in_groups(*groups);
            let pool = match operator {
                Operator::Conv2dMaxPool2dF32 { pool, .. } => {
                    format!(" + MaxPool2d {}", geometry(pool))
                }
                _ => String::new(),
            };
            let activation = activation(*a);
            format!("Conv2d {}{groups}{activation}{pool}", geometry(window))
        }
        Operator::LinearF32 { activation: a, .. } => format!("Linear{}", activation(*a)),
        Operator::Conv2dI8 {
            window,
            groups,
            low,
            high,
            ..
        } => {
            let (groups, bounds) = (in_groups(*groups), bounds(*low, *high));
            format!("Conv2d {}{groups}{bounds}", geometry(window))
        }
        Operator::LinearI8 { low, high, .. } => format!("Linear{}", bounds(*low, *high)),
        Operator::QuantizeI8 => "Quantize".to_owned(),
        Operator::DequantizeI8 => "Dequantize".to_owned(),
        Operator::AddI8 { low, high } => format!("Add{}", bounds(*low, *high)),
        Operator::RequantizeI8 { low, high } => format!("Requantize{}", bounds(*low, *high)),
        Operator::MaxPool2dF32 { window, .. } | Operator::MaxPool2dI8 { window, .. } => {
            format!("MaxPool2d {}", geometry(window))
        }
        Operator::AvgPool2dF32 { window, .. } | Operator::AvgPool2dI8 { window, .. } => {
            format!("AvgPool2d {}", geometry(window))
        }
        Operator::SoftmaxF32 | Operator::SoftmaxI8 => "Softmax".to_owned(),
        Operator::LogSoftmaxF32 => "LogSoftmax".to_owned(),
        Operator::BinaryF32 {
            function,
            activation: a,
        } => format!("{function:?}{}", activation(*a)),
        Operator::BinaryConstantF32 {
            function,
            activation: a,
            shape,
            ..
        } => format!(
            "{function:?} constant {:?}{}",
            channels_first(*shape),
            activation(*a)
        ),
        Operator::ChannelAffineF32 { activation: a, .. } => {
            format!("ChannelAffine{}", activation(*a))
        }
        Operator::ConcatF32 { axis } | Operator::ConcatI8 { axis } => {
            format!("Concat {}", axis_name(*axis))
        }
        Operator::SliceF32 { start, step } | Operator::SliceI8 { start, step } => match step {
            [1, 1, 1] => format!("Slice from {:?}", first_channels(*start)),
            step => format!(
                "Slice from {:?} step {:?}",
                first_channels(*start),
                first_channels(*step)
            ),
        },
        Operator::PadF32 { before, value } => {
            format!("Pad {:?} with {value}", first_channels(*before))
        }
        Operator::PadI8 { before, value } => {
            format!("Pad {:?} with {value}", first_channels(*before))
        }
        Operator::UpsampleF32 { factor_h, factor_w }
        | Operator::UpsampleI8 { factor_h, factor_w } => format!("Upsample {factor_h}x{factor_w}"),
        Operator::TransposeF32 { order } | Operator::TransposeI8 { order } => {
            let [height, width, channels] = order.map(axis_name);
            format!("Transpose to {channels}, {height}, {width}")
        }
        Operator::ReshapeF32 | Operator::ReshapeI8 => "Reshape".to_owned(),
        other => other.unary().map_or("?", unary_name).to_owned(),
    }
}

/// The number of groups, if there are several.
fn in_groups(groups: u32) -> String {
    match groups {
        1 => String::new(),
        groups => format!(" groups {groups}"),
    }
}

/// `3x3`, and stride, dilation and padding where they are not the usual.
fn geometry(window: &Window) -> String {
    let mut text = format!("{}x{}", window.kernel_h, window.kernel_w);
    let pair = |h: usize, w: usize| match h == w {
        true => h.to_string(),
        false => format!("{h}x{w}"),
    };
    if (window.stride_h, window.stride_w) != (1, 1) {
        text += &format!(" stride {}", pair(window.stride_h, window.stride_w));
    }
    if (window.dilation_h, window.dilation_w) != (1, 1) {
        text += &format!(" dilation {}", pair(window.dilation_h, window.dilation_w));
    }
    let p = &window.padding;
    if !p.is_zero() {
        let symmetric = p.top == p.bottom && p.left == p.right;
        text += &match symmetric {
            true => format!(" padding {}", pair(p.top, p.left)),
            false => format!(" padding {},{},{},{}", p.top, p.bottom, p.left, p.right),
        };
    }
    text
}

/// The name of an axis.
fn axis_name(axis: Axis) -> &'static str {
    match axis {
        Axis::Height => "height",
        Axis::Width => "width",
        Axis::Channels => "channels",
    }
}

/// One number for each axis in the order of shapes: channels, height, width.
fn first_channels([height, width, channels]: PerAxis) -> PerAxis {
    [channels, height, width]
}

/// The rows that node `index` reads, counted from 1, 0 for the input; empty if it reads what comes before it.
pub(super) fn reads(index: usize, node: &Node) -> Vec<usize> {
    let inputs: Vec<usize> = node
        .inputs
        .iter()
        .map(|input| usize::from(*input))
        .collect();
    if inputs == [index] { vec![] } else { inputs }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_say_what_they_mean() {
        assert_eq!(element(DType::F32), "f32");
        let quantized = DType::I8 {
            scale: 0.125,
            zero_point: -3,
        };
        assert_eq!(element(quantized), "i8, scale 0.125, zero point -3");
        let (low, high) = (-3, 127);
        assert_eq!(
            describe(&Operator::AddI8 { low, high }),
            "Add within -3..=127"
        );
        let (low, high) = (-128, 127);
        assert_eq!(describe(&Operator::AddI8 { low, high }), "Add");
        assert_eq!(describe(&Operator::QuantizeI8), "Quantize");
    }

    #[test]
    fn windows_say_what_is_unusual() {
        assert_eq!(geometry(&Window::new(3, 3)), "3x3");
        let strided = Window::new(5, 3).with_stride(2, 2).with_dilation(1, 2);
        assert_eq!(geometry(&strided), "5x3 stride 2 dilation 1x2");
        let padded = Window::new(3, 3).with_padding(kinglet::kernels::Padding::symmetric(1, 1));
        assert_eq!(geometry(&padded), "3x3 padding 1");
    }
}
