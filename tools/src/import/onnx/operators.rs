//! What each ONNX operator is in a [`Graph`](crate::graph::Graph).

use kinglet_kernels::{
    Activation, Conv2d, CountPadding, Linear, Padding, ParamsError, Pool2d, Rounding, Shape, Unary,
    Window,
};
use ndarray::ArrayView4;

use super::node::{NodeReader, wrong_shape};
use super::schema::NodeProto;
use super::{Layout, Value, is_standard};
use crate::graph::{Operation, channel_affine};
use crate::import::NodeProblem;

type Translated = Result<(Operation, Layout), NodeProblem>;

/// Translates a node that reads the given value; the number is the version of the operator set.
pub(super) type Operator = fn(NodeReader<'_>, Value, i64) -> Translated;

/// Every operator that can be imported.
const OPERATORS: &[(&str, Operator)] = &[
    ("AveragePool", |node, input, _| {
        let count_padding = match node.int("count_include_pad", 0) {
            0 => CountPadding::Exclude,
            _ => CountPadding::Include,
        };
        let params = pool2d(node, input, count_padding)?;
        Ok((Operation::AvgPool2d(params), Layout::Maps))
    }),
    ("BatchNormalization", batch_normalization),
    ("Conv", conv2d),
    ("Dropout", |_, input, _| pass(input)),
    ("Flatten", flatten),
    ("Gemm", gemm),
    ("GlobalAveragePool", |_, input, _| {
        let shape = maps(input)?;
        let window = Window::new(shape.height, shape.width);
        let params = Pool2d::new(shape, window, Rounding::Floor, CountPadding::Include);
        let params = params.map_err(|reason| refused(shape, reason))?;
        Ok((Operation::AvgPool2d(params), Layout::Maps))
    }),
    ("Identity", |_, input, _| pass(input)),
    ("LeakyRelu", |node, input, _| {
        let slope = node.float("alpha", 0.01);
        unary(Unary::LeakyRelu { slope }, input)
    }),
    ("MaxPool", |node, input, _| {
        node.require_int("storage_order", 0)?;
        let params = pool2d(node, input, CountPadding::Exclude)?;
        Ok((Operation::MaxPool2d(params), Layout::Maps))
    }),
    ("Relu", |_, input, _| unary(Unary::Relu, input)),
    ("Reshape", reshape),
    ("Sigmoid", |_, input, _| unary(Unary::Sigmoid, input)),
    ("Softmax", softmax),
    ("Tanh", |_, input, _| unary(Unary::Tanh, input)),
];

/// How to translate a node's operator.
pub(super) fn find(node: &NodeProto) -> Result<Operator, NodeProblem> {
    let mut known = OPERATORS.iter();
    let found = known.find(|(name, _)| *name == node.op_type && is_standard(&node.domain));
    found
        .map(|(_, operator)| *operator)
        .ok_or_else(|| NodeProblem::Operator {
            known: OPERATORS
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
                .join(", "),
        })
}

fn pass(input: Value) -> Translated {
    Ok((Operation::Identity, input.layout))
}

fn unary(function: Unary, input: Value) -> Translated {
    Ok((Operation::Unary(function), input.layout))
}

/// The shape of feature maps; refuses a vector.
fn maps(input: Value) -> Result<Shape, NodeProblem> {
    match input.layout {
        Layout::Maps => Ok(input.shape),
        Layout::Flat => Err(NodeProblem::Input {
            found: format!("a vector of {} values", input.shape.len()),
            right: "an input of [1, channels, height, width]",
        }),
    }
}

/// Refuses a value whose channels are not innermost in ONNX, for what works channel by channel.
fn channels(input: Value) -> Result<usize, NodeProblem> {
    let shape = input.shape;
    if input.layout == Layout::Flat && shape.len() != shape.channels {
        return Err(NodeProblem::Input {
            found: format!("flattened maps of {shape} (height x width x channels)"),
            right: "a linear layer, a global pool or nothing between the flatten and this node",
        });
    }
    Ok(shape.channels)
}

fn refused(input: Shape, reason: ParamsError) -> NodeProblem {
    NodeProblem::Params { input, reason }
}

/// Strides, dilations and padding, for a kernel of this size.
fn window(node: NodeReader<'_>, kernel: [usize; 2]) -> Result<Window, NodeProblem> {
    let auto_pad = node.text("auto_pad", "NOTSET");
    if !matches!(auto_pad.as_str(), "NOTSET" | "VALID") {
        return Err(NodeProblem::Attribute {
            name: "auto_pad",
            found: auto_pad,
            right: "NOTSET with explicit pads".into(),
        });
    }
    let [stride_h, stride_w] = node.sizes("strides", Some([1, 1]), 1)?;
    let [dilation_h, dilation_w] = node.sizes("dilations", Some([1, 1]), 1)?;
    let [top, left, bottom, right] = node.sizes("pads", Some([0; 4]), 0)?;
    Ok(Window::new(kernel[0], kernel[1])
        .with_stride(stride_h, stride_w)
        .with_dilation(dilation_h, dilation_w)
        .with_padding(Padding {
            top,
            bottom,
            left,
            right,
        }))
}

fn pool2d(
    node: NodeReader<'_>,
    input: Value,
    count_padding: CountPadding,
) -> Result<Pool2d, NodeProblem> {
    let shape = maps(input)?;
    let window = window(node, node.sizes("kernel_shape", None, 1)?)?;
    let rounding = match node.int("ceil_mode", 0) {
        0 => Rounding::Floor,
        _ => Rounding::Ceil,
    };
    Pool2d::new(shape, window, rounding, count_padding).map_err(|reason| refused(shape, reason))
}

fn conv2d(node: NodeReader<'_>, input: Value, _: i64) -> Translated {
    let shape = maps(input)?;
    let weights = node.required_floats(1, "weights")?;
    let &[out_channels, group_channels, kernel_h, kernel_w] = weights.dims.as_slice() else {
        let right = "[out_channels, in_channels / group, kernel_h, kernel_w]".to_owned();
        return Err(wrong_shape("weights", &weights.dims, right));
    };
    let kernel = [kernel_h, kernel_w];
    let window = window(node, node.sizes("kernel_shape", Some(kernel), 1)?)?;
    let groups = node.int("group", 1).try_into().unwrap_or(0);
    let params = Conv2d::new(shape, out_channels, window, groups, Activation::Identity)
        .map_err(|reason| refused(shape, reason))?;
    let expected = [
        out_channels,
        params.group_in_channels(),
        window.kernel_h,
        window.kernel_w,
    ];
    if weights.dims != expected {
        let right = format!("{expected:?}");
        return Err(wrong_shape("weights", &weights.dims, right));
    }
    let bias = match node.input(2) {
        Some(_) => Some(node.vector(2, "bias", out_channels)?),
        None => None,
    };
    let operation = Operation::Conv2d {
        params,
        weights: channels_last(
            [out_channels, group_channels, kernel_h, kernel_w],
            &weights.values,
        ),
        weight_scale: None,
        bias,
        pool: None,
    };
    Ok((operation, Layout::Maps))
}

/// Values of shape `[n, c, h, w]` in the order `[n, h, w, c]`.
fn channels_last(shape: [usize; 4], values: &[f32]) -> Vec<f32> {
    let values =
        ArrayView4::from_shape(shape, values).expect("the caller has compared the lengths");
    values.permuted_axes([0, 2, 3, 1]).iter().copied().collect()
}

/// `alpha * input * B + beta * C`, with `B` transposed or not: a linear layer.
fn gemm(node: NodeReader<'_>, input: Value, _: i64) -> Translated {
    if input.layout == Layout::Maps {
        return Err(NodeProblem::Input {
            found: "feature maps".into(),
            right: "a Flatten before it",
        });
    }
    node.require_int("transA", 0)?;
    let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
    let in_features = input.shape.len();
    let weights = node.required_floats(1, "weights")?;
    let transposed = node.int("transB", 0) != 0;
    let out_features = match (weights.dims.as_slice(), transposed) {
        (&[outs, ins], true) | (&[ins, outs], false) if ins == in_features => outs,
        (found, transposed) => {
            let right = match transposed {
                true => format!("[out_features, {in_features}]"),
                false => format!("[{in_features}, out_features]"),
            };
            return Err(wrong_shape("weights", found, right));
        }
    };
    let params = Linear::new(in_features, out_features, Activation::Identity)
        .map_err(|reason| refused(input.shape, reason))?;
    let mut rows = weights.values;
    if !transposed {
        // A transposed matrix is that of pictures whose only row are its rows.
        rows = channels_last([1, in_features, 1, out_features], &rows);
    }
    rows.iter_mut().for_each(|w| *w *= alpha);
    let Shape {
        height,
        width,
        channels,
    } = input.shape;
    let operation = Operation::Linear {
        params,
        // Columns come in the order of the flattened maps.
        weights: channels_last([out_features, channels, height, width], &rows),
        weight_scale: None,
        bias: gemm_bias(node, out_features, beta)?,
    };
    Ok((operation, Layout::Flat))
}

/// `beta * C`, where `C` is one value for each output, or one for all of them.
fn gemm_bias(
    node: NodeReader<'_>,
    out_features: usize,
    beta: f32,
) -> Result<Option<Vec<f32>>, NodeProblem> {
    let Some(bias) = node.floats(2, "bias")? else {
        return Ok(None);
    };
    let values = match bias.dims.as_slice() {
        &[len] | &[1, len] if len == out_features => bias.values,
        [] | [1] | [1, 1] => vec![bias.values[0]; out_features],
        found => return Err(wrong_shape("bias", found, format!("[{out_features}]"))),
    };
    Ok(Some(values.iter().map(|b| b * beta).collect()))
}

fn batch_normalization(node: NodeReader<'_>, input: Value, _: i64) -> Translated {
    node.require_int("training_mode", 0)?;
    let channels = channels(input)?;
    let operation = channel_affine(
        &node.vector(1, "scale", channels)?,
        &node.vector(2, "bias", channels)?,
        &node.vector(3, "mean", channels)?,
        &node.vector(4, "variance", channels)?,
        node.float("epsilon", 1e-5),
    );
    Ok((operation, input.layout))
}

fn softmax(node: NodeReader<'_>, input: Value, opset: i64) -> Translated {
    let channels = channels(input)?;
    // Up to version 12 everything from the axis on is one vector; since then the axis is one dimension.
    let (rank, default) = match input.layout {
        Layout::Maps => (4, if opset < 13 { 1 } else { -1 }),
        Layout::Flat => (2, if opset < 13 { 1 } else { -1 }),
    };
    let axis = node.int("axis", default);
    let over_channels = axis == 1 || axis + rank == 1;
    if !over_channels || (opset < 13 && input.shape.len() != channels) {
        return Err(NodeProblem::Attribute {
            name: "axis",
            found: axis.to_string(),
            right: "1, the channels, in operator set 13 or later".into(),
        });
    }
    Ok((Operation::Softmax, input.layout))
}

fn flatten(node: NodeReader<'_>, input: Value, _: i64) -> Translated {
    let axis = node.int("axis", 1);
    let rank = if input.layout == Layout::Maps { 4 } else { 2 };
    if axis != 1 && axis + rank != 1 {
        return Err(NodeProblem::Attribute {
            name: "axis",
            found: axis.to_string(),
            right: "1".into(),
        });
    }
    Ok((Operation::Identity, Layout::Flat))
}

/// A reshape to `[1, features]`, which is a flatten.
fn reshape(node: NodeReader<'_>, input: Value, _: i64) -> Translated {
    let shape = node.ints(1, "shape")?;
    let len = i64::try_from(input.shape.len()).unwrap_or(-1);
    // 0 keeps the batch, and -1 is what is left.
    match shape.as_slice() {
        &[0 | 1, features] if features == -1 || features == len => {}
        &[-1, features] if features == len => {}
        found => {
            return Err(NodeProblem::Constant {
                what: "shape",
                found: format!("{found:?}"),
                right: format!("[1, {len}]"),
            });
        }
    }
    Ok((Operation::Identity, Layout::Flat))
}
