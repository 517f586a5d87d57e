//! Operators by name, one file for each family.
//!
//! A row of the table says which attributes an operator may have: an attribute that is not known could change what
//! a node computes, so it is refused.

mod blocks;
mod constant;
mod conv;
mod elementwise;
mod linear;
mod normalize;
mod part;
mod pool;
mod quantize;
mod reduce;
mod resize;
mod shape;

use super::messages::NodeProto;

use super::node::{Node, Outputs};
use crate::import::NodeProblem;
use crate::import::error::similar;

/// An operator that can be imported.
pub(super) struct Operator {
    name: &'static str,
    attributes: &'static [&'static str],
    pub(super) translate: fn(&mut Node<'_>) -> Outputs,
}

const fn row(
    name: &'static str,
    attributes: &'static [&'static str],
    translate: fn(&mut Node<'_>) -> Outputs,
) -> Operator {
    Operator {
        name,
        attributes,
        translate,
    }
}

/// Operator set 6: how operands are broadcast, and which space the output may share with an input.
const LEGACY: &[&str] = &["axis", "broadcast", "consumed_inputs"];
const SPLIT: &[&str] = &["axis", "num_outputs", "split"];
const WINDOW: &[&str] = &[
    "auto_pad",
    "ceil_mode",
    "count_include_pad",
    "dilations",
    "group",
    "kernel_shape",
    "pads",
    "storage_order",
    "strides",
];
/// A window, and where the channels are.
const QUANTIZED_WINDOW: &[&str] = &[
    "auto_pad",
    "ceil_mode",
    "channels_last",
    "count_include_pad",
    "kernel_shape",
    "pads",
    "strides",
];
const RESIZE: &[&str] = &[
    "antialias",
    "axes",
    "coordinate_transformation_mode",
    "cubic_coeff_a",
    "exclude_outside",
    "extrapolation_value",
    "keep_aspect_ratio_policy",
    "mode",
    "nearest_mode",
    "scales",
];
const REDUCE: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];
const CONV_TRANSPOSE: &[&str] = &[
    "auto_pad",
    "dilations",
    "group",
    "kernel_shape",
    "output_padding",
    "output_shape",
    "pads",
    "strides",
];
const QUANTIZE: &[&str] = &["axis", "block_size", "output_dtype", "saturate"];
const CONSTANT: &[&str] = &[
    "value",
    "value_float",
    "value_floats",
    "value_int",
    "value_ints",
];
const NORMALIZATION: &[&str] = &[
    "consumed_inputs",
    "epsilon",
    "is_test",
    "momentum",
    "spatial",
    "training_mode",
];

/// In alphabetical order.
const OPERATORS: &[Operator] = &[
    row("Abs", &[], elementwise::abs),
    row("Add", LEGACY, elementwise::add),
    row("AveragePool", WINDOW, pool::average),
    row(
        "BatchNormalization",
        NORMALIZATION,
        normalize::batch_normalization,
    ),
    row("Cast", &["saturate", "to"], constant::cast),
    row("CastLike", &["saturate"], constant::cast_like),
    row("Celu", &["alpha"], elementwise::celu),
    row(
        "Clip",
        &["consumed_inputs", "max", "min"],
        elementwise::clip,
    ),
    row("Concat", &["axis"], part::concat),
    row("Constant", CONSTANT, constant::constant),
    row("ConstantOfShape", &["value"], constant::constant_of_shape),
    row("Conv", WINDOW, conv::conv),
    row("ConvTranspose", CONV_TRANSPOSE, blocks::conv_transpose),
    row(
        "DepthToSpace",
        &["blocksize", "mode"],
        blocks::depth_to_space,
    ),
    row(
        "DequantizeLinear",
        &["axis", "block_size"],
        quantize::dequantize,
    ),
    row("Div", LEGACY, elementwise::div),
    row("Dropout", &["is_test", "ratio", "seed"], shape::dropout),
    row("Elu", &["alpha", "consumed_inputs"], elementwise::elu),
    row("Equal", LEGACY, constant::equal),
    row("Erf", &[], elementwise::erf),
    row("Exp", &["consumed_inputs"], elementwise::exp),
    row("Expand", &[], shape::expand),
    row("Flatten", &["axis"], shape::flatten),
    row("Floor", &["consumed_inputs"], elementwise::floor),
    row("Gather", &["axis"], part::gather),
    row("Gelu", &["approximate"], elementwise::gelu),
    row(
        "Gemm",
        &["alpha", "beta", "broadcast", "transA", "transB"],
        linear::gemm,
    ),
    row("GlobalAveragePool", &[], pool::global_average),
    row("GlobalMaxPool", &[], pool::global_max),
    row(
        "GroupNormalization",
        &["epsilon", "num_groups", "stash_type"],
        normalize::group,
    ),
    row(
        "HardSigmoid",
        &["alpha", "beta", "consumed_inputs"],
        elementwise::hard_sigmoid,
    ),
    row("HardSwish", &[], elementwise::hard_swish),
    row("Identity", &[], shape::identity),
    row(
        "InstanceNormalization",
        &["consumed_inputs", "epsilon"],
        normalize::instance,
    ),
    row(
        "LayerNormalization",
        &["axis", "epsilon", "stash_type"],
        normalize::layer,
    ),
    row(
        "LeakyRelu",
        &["alpha", "consumed_inputs"],
        elementwise::leaky_relu,
    ),
    row("Log", &["consumed_inputs"], elementwise::log),
    row("LogSoftmax", &["axis"], normalize::log_softmax),
    row("MatMul", &[], linear::mat_mul),
    row("Max", &["consumed_inputs"], elementwise::max),
    row("MaxPool", WINDOW, pool::max),
    row("Mean", &["consumed_inputs"], elementwise::mean),
    row(
        "MeanVarianceNormalization",
        &["axes"],
        normalize::mean_variance,
    ),
    row("Min", &["consumed_inputs"], elementwise::min),
    row("Mish", &[], elementwise::mish),
    row("Mul", LEGACY, elementwise::mul),
    row("Neg", &["consumed_inputs"], elementwise::neg),
    row("PRelu", &["consumed_inputs"], elementwise::prelu),
    row("Pad", &["mode", "pads", "value"], part::pad),
    row("Pow", LEGACY, elementwise::pow),
    row("QGemm", &["alpha", "transA", "transB"], quantize::gemm),
    row("QLinearAdd", &[], quantize::add),
    row("QLinearAveragePool", QUANTIZED_WINDOW, quantize::average),
    row("QLinearConcat", &["axis"], quantize::concat),
    row("QLinearConv", WINDOW, quantize::conv),
    row(
        "QLinearGlobalAveragePool",
        &["channels_last"],
        quantize::global_average,
    ),
    row("QLinearLeakyRelu", &["alpha"], quantize::leaky_relu),
    row("QLinearMatMul", &[], quantize::mat_mul),
    row("QLinearMul", &[], quantize::mul),
    row("QLinearSigmoid", &[], quantize::sigmoid),
    row("QLinearSoftmax", &["axis", "opset"], quantize::softmax),
    row("QuantizeLinear", QUANTIZE, quantize::quantize),
    row(
        "RMSNormalization",
        &["axis", "epsilon", "stash_type"],
        normalize::root_mean_square,
    ),
    row("Range", &[], constant::range),
    row("Reciprocal", &["consumed_inputs"], elementwise::reciprocal),
    row("ReduceL1", REDUCE, reduce::l1),
    row("ReduceL2", REDUCE, reduce::l2),
    row("ReduceLogSum", REDUCE, reduce::log_sum),
    row("ReduceLogSumExp", REDUCE, reduce::log_sum_exp),
    row("ReduceMax", REDUCE, reduce::max),
    row("ReduceMean", REDUCE, reduce::mean),
    row("ReduceMin", REDUCE, reduce::min),
    row("ReduceSum", REDUCE, reduce::sum),
    row("ReduceSumSquare", REDUCE, reduce::sum_square),
    row("Relu", &["consumed_inputs"], elementwise::relu),
    row("Reshape", &["allowzero"], shape::reshape),
    row("Resize", RESIZE, resize::resize),
    row(
        "Selu",
        &["alpha", "consumed_inputs", "gamma"],
        elementwise::selu,
    ),
    row("Shape", &["end", "start"], constant::shape),
    row("Sigmoid", &["consumed_inputs"], elementwise::sigmoid),
    row("Size", &[], constant::size),
    row("Slice", &["axes", "ends", "starts"], part::slice),
    row("Softmax", &["axis"], normalize::softmax),
    row("Softplus", &[], elementwise::softplus),
    row("Softsign", &[], elementwise::softsign),
    row("SpaceToDepth", &["blocksize"], blocks::space_to_depth),
    row("Split", SPLIT, part::split),
    row("Sqrt", &["consumed_inputs"], elementwise::sqrt),
    row("Squeeze", &["axes"], shape::squeeze),
    row("Sub", LEGACY, elementwise::sub),
    row("Sum", &["consumed_inputs"], elementwise::sum),
    row("Swish", &["alpha"], elementwise::swish),
    row("Tanh", &["consumed_inputs"], elementwise::tanh),
    row("Tile", &[], part::tile),
    row("Transpose", &["perm"], shape::transpose),
    row("Unsqueeze", &["axes"], shape::unsqueeze),
    row("Upsample", &["mode", "scales"], resize::upsample),
    row("Where", &[], part::choose),
];

/// The names of the table.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|row| row.name)
}

/// What an operator is that remembers earlier inputs or repeats a part of the network, if it is one.
fn recurrent(name: &str) -> Option<&'static str> {
    Some(match name {
        "LSTM" | "DynamicQuantizeLSTM" => "an LSTM layer",
        "GRU" => "a GRU layer",
        "RNN" => "a recurrent layer",
        "Loop" | "Scan" => "a loop, as recurrent layers become one,",
        _ => return None,
    })
}

/// The operator of a node.
pub(super) fn find(node: &NodeProto) -> Result<&'static Operator, NodeProblem> {
    if matches!(node.op_type.as_str(), "ArgMax" | "TopK" | "Hardmax") {
        return Err(NodeProblem::Labels {
            scores: node.input.first().cloned().unwrap_or_default(),
        });
    }
    if let Some(layer) = recurrent(&node.op_type) {
        return Err(NodeProblem::Recurrent { layer });
    }
    let found = OPERATORS.iter().find(|row| row.name == node.op_type);
    // ONNX Runtime keeps some of the operators on quantized numbers in a domain of its own.
    let is_theirs = node.op_type.contains("Linear") || node.op_type == "QGemm";
    let quantized = is_theirs && node.domain == "com.microsoft";
    let found = found.filter(|_| super::is_standard(&node.domain) || quantized);
    let operator = found.ok_or_else(|| NodeProblem::Operator {
        similar: similar(&node.op_type, names()),
    })?;
    let known = |name: &String| operator.attributes.contains(&name.as_str());
    match node.attribute.iter().find(|a| !known(&a.name)) {
        None => Ok(operator),
        Some(attribute) => Err(NodeProblem::UnknownAttribute {
            name: attribute.name.clone(),
            known: operator.attributes.join(", "),
        }),
    }
}
