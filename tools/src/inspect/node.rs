//! One row of the table from one node of a model file.

use kinglet::kernels::{Activation, Axis, PerAxis, Shape, Unary, Window, params};
use kinglet::model::schema::{DType, Node};
use kinglet::operator::{Conv2d, Conv2dMaxPool2d, Operator};

use super::channels_first;

/// Parameters and multiply-accumulates of a node.
pub(super) fn counts(node: &Node, input: Shape, output: Shape) -> (usize, u64) {
    let with_bias = |weights: usize, bias: bool| match bias {
        true => weights + output.channels,
        false => weights,
    };
    let conv2d = |window: Window, groups: u32, bias: bool| {
        let (channels, none) = (output.channels, Activation::Identity);
        let conv = params::Conv2d::new(input, channels, window, groups as usize, none);
        // The model was loaded, so it is one.
        conv.map_or((0, 0), |conv| {
            (with_bias(conv.weights_len(), bias), conv.macs())
        })
    };
    let linear = |bias: bool| {
        let weights = input.len() * output.len();
        (with_bias(weights, bias), weights as u64)
    };
    match &node.operator {
        Operator::Conv2d(conv) => conv2d(conv.window, conv.groups, conv.layer.bias.is_some()),
        Operator::Conv2dMaxPool2d(Conv2dMaxPool2d { conv, .. }) => {
            conv2d(conv.window, conv.groups, conv.layer.bias.is_some())
        }
        Operator::QuantizedConv2d(conv) => {
            conv2d(conv.window, conv.groups, conv.layer.bias.is_some())
        }
        Operator::Linear(linear_layer) => linear(linear_layer.layer.bias.is_some()),
        Operator::QuantizedLinear(linear_layer) => linear(linear_layer.layer.bias.is_some()),
        Operator::BinaryConstant(binary) => (binary.shape.len(), 0),
        Operator::ChannelAffine(_) => (2 * input.channels, output.len() as u64),
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
    let conv2d = |conv: &Conv2d| {
        let (groups, activation) = (in_groups(conv.groups), activation(conv.activation));
        format!("Conv2d {}{groups}{activation}", geometry(&conv.window))
    };
    match operator {
        Operator::Conv2d(conv) => conv2d(conv),
        Operator::Conv2dMaxPool2d(Conv2dMaxPool2d { conv, pool, .. }) => {
            format!("{} + MaxPool2d {}", conv2d(conv), geometry(pool))
        }
        Operator::Linear(linear) => format!("Linear{}", activation(linear.activation)),
        Operator::QuantizedConv2d(conv) => {
            let (groups, bounds) = (in_groups(conv.groups), bounds(conv.low, conv.high));
            format!("Conv2d {}{groups}{bounds}", geometry(&conv.window))
        }
        Operator::QuantizedLinear(linear) => format!("Linear{}", bounds(linear.low, linear.high)),
        Operator::QuantizedAdd(add) => format!("Add{}", bounds(add.low, add.high)),
        Operator::QuantizedBinary(binary) => {
            format!("{:?}{}", binary.function, bounds(binary.low, binary.high))
        }
        Operator::Requantize(to) => format!("Requantize{}", bounds(to.low, to.high)),
        Operator::MaxPool2d(pool) => format!("MaxPool2d {}", geometry(&pool.window)),
        Operator::AvgPool2d(pool) => format!("AvgPool2d {}", geometry(&pool.window)),
        Operator::Unary(function) => unary(*function).to_owned(),
        Operator::Binary(binary) => {
            format!("{:?}{}", binary.function, activation(binary.activation))
        }
        Operator::BinaryConstant(binary) => format!(
            "{:?} constant {:?}{}",
            binary.function,
            channels_first(binary.shape),
            activation(binary.activation)
        ),
        Operator::ChannelAffine(affine) => {
            format!("ChannelAffine{}", activation(affine.activation))
        }
        Operator::Concat(concat) => format!("Concat {}", axis_name(concat.axis)),
        Operator::Slice(slice) => match slice.step {
            [1, 1, 1] => format!("Slice from {:?}", first_channels(slice.start)),
            step => format!(
                "Slice from {:?} step {:?}",
                first_channels(slice.start),
                first_channels(step)
            ),
        },
        Operator::Pad(pad) => {
            format!("Pad {:?} with {}", first_channels(pad.before), pad.value)
        }
        Operator::Upsample(by) => format!("Upsample {}x{}", by.factor_h, by.factor_w),
        Operator::Transpose(transpose) => {
            let [height, width, channels] = transpose.order.map(axis_name);
            format!("Transpose to {channels}, {height}, {width}")
        }
        Operator::Softmax(_)
        | Operator::LogSoftmax(_)
        | Operator::Reshape(_)
        | Operator::Quantize(_)
        | Operator::Dequantize(_)
        | Operator::Table(_) => operator.name().to_owned(),
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

/// The tensors that a node reads, which writes tensor number `written`; empty if it reads what comes before it.
pub(super) fn reads(written: usize, node: &Node) -> Vec<usize> {
    let inputs: Vec<usize> = node
        .inputs
        .iter()
        .map(|input| usize::from(*input))
        .collect();
    if inputs == [written - 1] {
        vec![]
    } else {
        inputs
    }
}

/// A function of each element by its name in PyTorch.
const fn unary(function: Unary) -> &'static str {
    match function {
        Unary::Relu => "ReLU",
        Unary::Relu6 => "ReLU6",
        Unary::LeakyRelu { .. } => "LeakyReLU",
        Unary::Sigmoid => "Sigmoid",
        Unary::Tanh => "Tanh",
        Unary::Clip { .. } => "Hardtanh",
        Unary::Elu { .. } => "ELU",
        Unary::HardSigmoid { .. } => "Hardsigmoid",
        Unary::HardSwish => "Hardswish",
        Unary::Selu { .. } => "SELU",
        Unary::Swish { .. } => "SiLU",
        Unary::Softplus => "Softplus",
        Unary::Softsign => "Softsign",
        Unary::Mish => "Mish",
        Unary::Gelu => "GELU",
        Unary::GeluTanh => "GELU(tanh)",
        Unary::Erf => "erf",
        Unary::Abs => "abs",
        Unary::Exp => "exp",
        Unary::Log => "log",
        Unary::Sqrt => "sqrt",
        Unary::Power { .. } => "pow",
    }
}

#[cfg(test)]
mod tests {
    use kinglet::operator::{Quantize, QuantizedAdd};

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
            describe(&QuantizedAdd { low, high }.into()),
            "Add within -3..=127"
        );
        let (low, high) = (-128, 127);
        assert_eq!(describe(&QuantizedAdd { low, high }.into()), "Add");
        assert_eq!(describe(&Quantize.into()), "Quantize");
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
