//! From an optimized graph to a model file.

use kinglet::kernels::Shape;
use kinglet::model::{EncodeError, GraphSpec, Int8Spec, NodeSpec, OperatorSpec, encode};
use kinglet::plan::Plan;

use crate::graph::{Graph, Operation};
use crate::optimize::optimize;
use crate::recipe::Normalize;

/// A graph could not be exported.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ExportError {
    /// More trainable layers were asked for than there are.
    #[error("--fine-tune last={wanted}: the network has only {found} linear layers")]
    TooFewLinear {
        /// Layers asked for.
        wanted: usize,
        /// Linear layers there are.
        found: usize,
    },
    /// A layer after the first trainable one cannot be part of a trainable suffix.
    #[error(
        "--fine-tune last={wanted}: {name} stands among the last layers and cannot be trained on a device; linear layers and activations can"
    )]
    NotTrainable {
        /// Layers asked for.
        wanted: usize,
        /// The layer in the way.
        name: String,
    },
    /// The runtime refuses the graph.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// What the file carries beside the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportSettings {
    /// How pictures become numbers.
    pub normalize: Normalize,
    /// Class names, as many as outputs; or none.
    pub labels: Vec<String>,
    /// How many linear layers at the end a device may train.
    pub fine_tune_last: usize,
}

/// Optimizes `graph` and writes it as a model file; returns its plan too.
///
/// # Errors
/// [`ExportError`] if the trainable layers asked for are not there, or the graph is not one the runtime takes.
pub fn export(mut graph: Graph, settings: &ExportSettings) -> Result<(Vec<u8>, Plan), ExportError> {
    optimize(&mut graph);
    write(graph, settings)
}

/// Writes `graph` as it is.
///
/// # Errors
/// Those of [`export`].
pub(crate) fn write(
    graph: Graph,
    settings: &ExportSettings,
) -> Result<(Vec<u8>, Plan), ExportError> {
    let trainable_nodes = trainable_nodes(&graph, settings.fine_tune_last)?;
    let shapes = graph.shapes();
    let nodes = graph.nodes.into_iter().zip(&shapes[1..]);
    let nodes = nodes.map(|(node, output)| NodeSpec {
        operator: operator(node.operation, *output),
        inputs: node.inputs,
    });
    let spec = GraphSpec {
        name: graph.name,
        input: graph.input,
        nodes: nodes.collect(),
        mean: settings.normalize.mean.clone(),
        std: settings.normalize.std.clone(),
        labels: settings.labels.clone(),
        trainable_nodes,
    };
    Ok(encode(&spec)?)
}

/// How many nodes the suffix with the last `wanted` linear layers has.
fn trainable_nodes(graph: &Graph, wanted: usize) -> Result<usize, ExportError> {
    if wanted == 0 {
        return Ok(0);
    }
    let linear: Vec<usize> = (0..graph.nodes.len())
        .filter(|n| matches!(graph.nodes[*n].operation, Operation::Linear { .. }))
        .collect();
    let Some(first) = linear.len().checked_sub(wanted).map(|at| linear[at]) else {
        return Err(ExportError::TooFewLinear {
            wanted,
            found: linear.len(),
        });
    };
    let last = graph.nodes.len() - 1;
    for (index, node) in graph.nodes.iter().enumerate().skip(first) {
        let trainable = match node.operation {
            Operation::Linear { .. } | Operation::Unary(_) => true,
            Operation::Softmax => index == last,
            _ => false,
        };
        if !trainable || node.inputs != [index] {
            return Err(ExportError::NotTrainable {
                wanted,
                name: node.name.clone(),
            });
        }
    }
    Ok(graph.nodes.len() - first)
}

/// The runtime's operator for an operation whose output has the shape `output`.
fn operator(operation: Operation, output: Shape) -> OperatorSpec {
    match operation {
        Operation::Conv2d {
            params,
            weights,
            bias,
            pool: Some(pool),
            ..
        } => OperatorSpec::Conv2dMaxPool2d {
            window: *params.window(),
            groups: params.groups(),
            out_channels: params.output().channels,
            activation: params.activation(),
            weights,
            bias,
            pool: *pool.window(),
            rounding: pool.rounding(),
        },
        Operation::Conv2d {
            params,
            weights,
            bias,
            pool: None,
            ..
        } => OperatorSpec::Conv2d {
            window: *params.window(),
            groups: params.groups(),
            out_channels: params.output().channels,
            activation: params.activation(),
            weights,
            bias,
        },
        Operation::Linear {
            params,
            weights,
            bias,
            ..
        } => OperatorSpec::Linear {
            out_features: params.out_features(),
            activation: params.activation(),
            weights,
            bias,
        },
        Operation::MaxPool2d(params) => OperatorSpec::MaxPool2d {
            window: *params.window(),
            rounding: params.rounding(),
        },
        Operation::AvgPool2d(params) => OperatorSpec::AvgPool2d {
            window: *params.window(),
            rounding: params.rounding(),
            count_padding: params.count_padding(),
        },
        Operation::Unary(function) => OperatorSpec::Unary(function),
        Operation::Softmax => OperatorSpec::Softmax,
        Operation::LogSoftmax => OperatorSpec::LogSoftmax,
        Operation::ChannelAffine {
            activation,
            scale,
            shift,
        } => OperatorSpec::ChannelAffine {
            activation,
            scale,
            shift,
        },
        Operation::Binary {
            function,
            activation,
        } => OperatorSpec::Binary {
            function,
            activation,
        },
        Operation::BinaryConstant {
            function,
            activation,
            shape,
            operand,
        } => OperatorSpec::BinaryConstant {
            function,
            activation,
            shape,
            operand,
        },
        Operation::Concat { axis } => OperatorSpec::Concat { axis },
        Operation::Slice {
            start,
            step,
            output,
        } => OperatorSpec::Slice {
            start,
            step,
            output,
        },
        Operation::Pad {
            before,
            after,
            value,
        } => OperatorSpec::Pad {
            before,
            after,
            value,
        },
        Operation::Upsample { factor_h, factor_w } => OperatorSpec::Upsample { factor_h, factor_w },
        Operation::Transpose { order } => OperatorSpec::Transpose { order },
        Operation::Reshape { output } => OperatorSpec::Reshape { output },
        Operation::Quantize(output) => OperatorSpec::Int8(Int8Spec::Quantize { output }),
        Operation::Dequantize(_) => OperatorSpec::Int8(Int8Spec::Dequantize),
        Operation::Int8 { operation, output } => OperatorSpec::Int8(operation.spec(output)),
        // In place, a reshape to the shape it has costs nothing.
        Operation::Identity => OperatorSpec::Reshape { output },
    }
}
