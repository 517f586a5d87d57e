//! What each operator of TensorFlow Lite is in a [`Graph`](crate::graph::Graph).

mod activation;
mod binary;
mod blocks;
mod conv;
mod linear;
mod part;
mod pool;
mod resize;
mod shape;

use super::names::BuiltinOperator;
use super::node::{Node, Source};
use crate::import::NodeProblem;
use crate::import::error::similar;

/// What an operator computes, one for each of its outputs.
type Translated = Result<Vec<Source>, NodeProblem>;

/// Adds the nodes that compute what an operator does.
pub(super) type Translate = fn(&mut Node<'_, '_>) -> Translated;

/// Every operator that can be imported.
const OPERATORS: &[(BuiltinOperator, Translate)] = &[
    (BuiltinOperator::ABS, activation::abs),
    (BuiltinOperator::ADD, binary::add),
    (BuiltinOperator::AVERAGE_POOL_2D, pool::average),
    (BuiltinOperator::CONCATENATION, part::concatenation),
    (BuiltinOperator::CONV_2D, conv::conv2d),
    (BuiltinOperator::DEPTHWISE_CONV_2D, conv::depthwise_conv2d),
    (BuiltinOperator::DEPTH_TO_SPACE, blocks::depth_to_space),
    (BuiltinOperator::DEQUANTIZE, shape::dequantize),
    (BuiltinOperator::DIV, binary::div),
    (BuiltinOperator::ELU, activation::elu),
    (BuiltinOperator::EXP, activation::exp),
    (BuiltinOperator::EXPAND_DIMS, shape::expand_dims),
    (BuiltinOperator::FULLY_CONNECTED, linear::fully_connected),
    (BuiltinOperator::GELU, activation::gelu),
    (BuiltinOperator::HARD_SWISH, activation::hard_swish),
    (BuiltinOperator::LEAKY_RELU, activation::leaky_relu),
    (BuiltinOperator::LOG, activation::log),
    (BuiltinOperator::LOGISTIC, activation::logistic),
    (BuiltinOperator::LOG_SOFTMAX, activation::log_softmax),
    (BuiltinOperator::MAXIMUM, binary::maximum),
    (BuiltinOperator::MAX_POOL_2D, pool::max),
    (BuiltinOperator::MEAN, pool::mean),
    (BuiltinOperator::MINIMUM, binary::minimum),
    (BuiltinOperator::MIRROR_PAD, part::mirror_pad),
    (BuiltinOperator::MUL, binary::mul),
    (BuiltinOperator::NEG, activation::neg),
    (BuiltinOperator::PAD, part::pad),
    (BuiltinOperator::PADV2, part::pad_with_value),
    (BuiltinOperator::POW, activation::pow),
    (BuiltinOperator::PRELU, binary::prelu),
    (BuiltinOperator::QUANTIZE, shape::quantize),
    (BuiltinOperator::REDUCE_MAX, pool::reduce_max),
    (BuiltinOperator::REDUCE_MIN, pool::reduce_min),
    (BuiltinOperator::RELU, activation::relu),
    (BuiltinOperator::RELU6, activation::relu6),
    (BuiltinOperator::RELU_0_TO_1, activation::relu_0_to_1),
    (BuiltinOperator::RELU_N1_TO_1, activation::relu_n1_to_1),
    (BuiltinOperator::RESHAPE, shape::reshape),
    (BuiltinOperator::RESIZE_BILINEAR, resize::bilinear),
    (
        BuiltinOperator::RESIZE_NEAREST_NEIGHBOR,
        resize::nearest_neighbor,
    ),
    (BuiltinOperator::RSQRT, activation::rsqrt),
    (BuiltinOperator::SLICE, part::slice),
    (BuiltinOperator::SOFTMAX, activation::softmax),
    (BuiltinOperator::SPACE_TO_DEPTH, blocks::space_to_depth),
    (BuiltinOperator::SPLIT, part::split),
    (BuiltinOperator::SQRT, activation::sqrt),
    (BuiltinOperator::SQUARE, activation::square),
    (
        BuiltinOperator::SQUARED_DIFFERENCE,
        binary::squared_difference,
    ),
    (BuiltinOperator::SQUEEZE, shape::squeeze),
    (BuiltinOperator::STRIDED_SLICE, part::strided_slice),
    (BuiltinOperator::SUB, binary::sub),
    (BuiltinOperator::SUM, pool::sum),
    (BuiltinOperator::TANH, activation::tanh),
    (BuiltinOperator::TRANSPOSE, shape::transpose),
    (BuiltinOperator::TRANSPOSE_CONV, blocks::transpose_conv),
];

/// What is wrong with an operator that remembers what it has seen, or repeats a part of the network: a recurrent layer.
pub(super) fn remembers(operator: Option<BuiltinOperator>) -> Option<NodeProblem> {
    let layer = match operator? {
        BuiltinOperator::WHILE => "a loop, as LSTM and GRU layers become one,",
        BuiltinOperator::LSTM
        | BuiltinOperator::UNIDIRECTIONAL_SEQUENCE_LSTM
        | BuiltinOperator::BIDIRECTIONAL_SEQUENCE_LSTM => "an LSTM layer",
        BuiltinOperator::RNN
        | BuiltinOperator::UNIDIRECTIONAL_SEQUENCE_RNN
        | BuiltinOperator::BIDIRECTIONAL_SEQUENCE_RNN => "a recurrent layer",
        BuiltinOperator::SVDF => "a layer that remembers earlier inputs",
        _ => return None,
    };
    Some(NodeProblem::Recurrent { layer })
}

/// How to translate an operator.
pub(super) fn find(operator: Option<BuiltinOperator>) -> Result<Translate, NodeProblem> {
    let found = OPERATORS.iter().find(|(known, _)| Some(*known) == operator);
    found
        .map(|(_, translate)| *translate)
        .ok_or_else(|| NodeProblem::Operator {
            similar: similar(
                operator.and_then(|o| o.variant_name()).unwrap_or_default(),
                names(),
            ),
        })
}

/// The names of the operators that can be imported.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let name = |(operator, _): &(BuiltinOperator, Translate)| operator.variant_name();
    OPERATORS.iter().filter_map(name)
}

/// The one output of an operator.
fn one(value: crate::import::Value) -> Translated {
    Ok(vec![Source::Value(value)])
}
