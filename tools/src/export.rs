//! From an optimized graph to a model file.

use kinglet::kernels::Pool2d;
use kinglet::model::{EncodeError, GraphSpec, InputSpec, NodeSpec, OutputSpec, TensorSpec, encode};
use kinglet::operator::{
    AvgPool2d, Binary, BinaryConstant, ChannelAffine, Concat, Conv2d, Conv2dMaxPool2d, Dequantize,
    Layer, Linear, LogSoftmax, MaxPool2d, Operator, Owned, Pad, Quantize, QuantizedAdd,
    QuantizedBinary, QuantizedConv2d, QuantizedLinear, Requantize, Reshape, Slice, Softmax, Table,
    Transpose, Upsample,
};
use kinglet::plan::Plan;

use crate::graph::{Graph, Input, Int8Operation, Operation};
use crate::optimize::{Removed, dequantize_last, leave_out_constant, optimize};
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
    /// Another value than the first output lies in the trainable suffix, or behind it.
    #[error(
        "--fine-tune last={wanted}: the network has to end with the first of its outputs, and to compute {name} before the layers that are trained"
    )]
    OtherOutput {
        /// Layers asked for.
        wanted: usize,
        /// The output in the way.
        name: String,
    },
    /// The runtime refuses the graph.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// What the file carries beside the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportSettings {
    /// How pictures become numbers, for each input of as many channels.
    pub normalize: Normalize,
    /// Names of the classes of the first output, as many as it has elements; or none.
    pub labels: Vec<String>,
    /// How many linear layers at the end a device may train.
    pub fine_tune_last: usize,
}

/// Optimizes `graph` and writes it as a model file; returns its plan too. Layers that are to be trained, and are on 8-bit
/// numbers, are taken back to real ones.
///
/// # Errors
/// [`ExportError`] if the trainable layers asked for are not there, or the graph is not one the runtime takes.
pub fn export(graph: Graph, settings: &ExportSettings) -> Result<(Vec<u8>, Plan), ExportError> {
    write(prepared(graph, settings), settings)
}

/// [`export`] without the channels that make no difference; returns what was left out too, if there are such.
///
/// # Errors
/// Those of [`export`].
pub fn export_without_constant(
    graph: Graph,
    settings: &ExportSettings,
) -> Result<(Vec<u8>, Option<Removed>), ExportError> {
    let mut graph = prepared(graph, settings);
    let trained = trainable_nodes(&graph, settings.fine_tune_last)?;
    let removed = leave_out_constant(&mut graph, trained);
    let (bytes, _) = write(graph, settings)?;
    Ok((bytes, removed))
}

/// The graph as it is written.
fn prepared(mut graph: Graph, settings: &ExportSettings) -> Graph {
    optimize(&mut graph);
    if settings.fine_tune_last > 0 {
        dequantize_last::run(&mut graph, settings.fine_tune_last);
    }
    graph
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
    let inputs: Vec<InputSpec> = graph
        .inputs
        .into_iter()
        .map(|input| input_spec(input, &settings.normalize))
        .collect();
    let mut tensors: Vec<TensorSpec> = inputs.iter().map(|input| input.tensor).collect();
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for (node, shape) in graph.nodes.into_iter().zip(&shapes[inputs.len()..]) {
        let input = tensors[node.inputs[0]].dtype.quantization();
        let output = match node.operation.meaning(input) {
            Some(quantization) => TensorSpec::quantized(*shape, quantization),
            None => (*shape).into(),
        };
        tensors.push(output);
        nodes.push(NodeSpec {
            operator: operator(node.operation),
            inputs: node.inputs,
            output,
        });
    }
    let outputs = graph.outputs.into_iter().enumerate();
    let outputs = outputs.map(|(index, output)| OutputSpec {
        name: output.name,
        tensor: output.value,
        source: output.source,
        labels: match index {
            0 => settings.labels.clone(),
            _ => Vec::new(),
        },
    });
    let spec = GraphSpec {
        name: graph.name,
        inputs,
        outputs: outputs.collect(),
        nodes,
        trainable_nodes,
    };
    Ok(encode(&spec)?)
}

/// An input as the file has it; `normalize` is that of pictures of as many channels.
fn input_spec(input: Input, normalize: &Normalize) -> InputSpec {
    let tensor = match input.quantization {
        Some(quantization) => TensorSpec::quantized(input.shape, quantization),
        None => input.shape.into(),
    };
    let of_pictures = |values: &Vec<f32>| match values.len() == input.shape.channels {
        true => values.clone(),
        false => Vec::new(),
    };
    InputSpec {
        name: input.name,
        tensor,
        source: input.source,
        mean: of_pictures(&normalize.mean),
        std: of_pictures(&normalize.std),
    }
}

/// How many nodes the suffix with the last `wanted` linear layers has.
pub(crate) fn trainable_nodes(graph: &Graph, wanted: usize) -> Result<usize, ExportError> {
    if wanted == 0 {
        return Ok(0);
    }
    let linear: Vec<usize> = (0..graph.nodes.len())
        .filter(|n| dequantize_last::is_linear(&graph.nodes[*n]))
        .collect();
    let Some(first) = linear.len().checked_sub(wanted).map(|at| linear[at]) else {
        return Err(ExportError::TooFewLinear {
            wanted,
            found: linear.len(),
        });
    };
    let last = graph.nodes.len() - 1;
    let other = graph.outputs.iter().enumerate().find(|(place, output)| {
        let node = graph.producer(output.value);
        match place {
            0 => node != Some(last),
            _ => node.is_some_and(|node| node >= first),
        }
    });
    if let Some((_, output)) = other {
        return Err(ExportError::OtherOutput {
            wanted,
            name: output.name.clone(),
        });
    }
    for (index, node) in graph.nodes.iter().enumerate().skip(first) {
        let trainable = match node.operation {
            Operation::Linear { .. } | Operation::Unary(_) => true,
            Operation::Softmax => index == last,
            _ => false,
        };
        // The tensor before its own.
        let before = graph.value_of(index).wrapping_sub(1);
        if !trainable || node.inputs != [before] {
            return Err(ExportError::NotTrainable {
                wanted,
                name: node.name.clone(),
            });
        }
    }
    Ok(graph.nodes.len() - first)
}

/// The runtime's operator for an operation.
fn operator(operation: Operation) -> Operator<Owned> {
    match operation {
        Operation::Conv2d {
            params,
            weights,
            bias,
            pool,
            ..
        } => {
            let conv = Conv2d {
                window: params.window(),
                groups: params.groups() as u32,
                activation: params.activation(),
                layer: Layer { weights, bias },
            };
            match pool {
                Some(pool) => Conv2dMaxPool2d {
                    conv,
                    pool: pool.window(),
                    rounding: pool.rounding(),
                }
                .into(),
                None => conv.into(),
            }
        }
        Operation::Linear {
            params,
            weights,
            bias,
            ..
        } => Linear {
            activation: params.activation(),
            layer: Layer { weights, bias },
        }
        .into(),
        Operation::MaxPool2d(params) => MaxPool2d {
            window: params.window(),
            rounding: params.rounding(),
        }
        .into(),
        Operation::AvgPool2d(params) => average(&params).into(),
        Operation::Unary(function) => function.into(),
        Operation::Softmax => Softmax.into(),
        Operation::LogSoftmax => LogSoftmax.into(),
        Operation::ChannelAffine {
            activation,
            scale,
            shift,
        } => ChannelAffine {
            activation,
            scale,
            shift,
        }
        .into(),
        Operation::Binary {
            function,
            activation,
        } => Binary {
            function,
            activation,
        }
        .into(),
        Operation::BinaryConstant {
            function,
            activation,
            shape,
            operand,
        } => BinaryConstant {
            function,
            activation,
            shape,
            operand,
        }
        .into(),
        Operation::Concat { axis } => Concat { axis }.into(),
        Operation::Slice { start, step, .. } => Slice { start, step }.into(),
        Operation::Pad { before, value, .. } => Pad { before, value }.into(),
        Operation::Upsample { factor_h, factor_w } => {
            let (factor_h, factor_w) = (factor_h as u32, factor_w as u32);
            Upsample { factor_h, factor_w }.into()
        }
        Operation::Transpose { order } => Transpose { order }.into(),
        // In place, a reshape to the shape it has costs nothing.
        Operation::Reshape { .. } | Operation::Identity | Operation::Dropout { .. } => {
            Reshape.into()
        }
        Operation::BatchNorm2d(of) => operator(of.to_affine()),
        // Written as it is, a network in training has real numbers.
        Operation::FakeQuantize(_) => Reshape.into(),
        Operation::Quantize(_) => Quantize.into(),
        Operation::Dequantize(_) => Dequantize.into(),
        Operation::Int8 { operation, .. } => operator_i8(operation),
    }
}

/// The runtime's operator for an operation on 8-bit numbers.
fn operator_i8(operation: Int8Operation) -> Operator<Owned> {
    match operation {
        Int8Operation::Conv2d {
            params,
            layer,
            bounds: (low, high),
        } => QuantizedConv2d {
            window: params.window(),
            groups: params.groups() as u32,
            low,
            high,
            layer,
        }
        .into(),
        Int8Operation::Linear {
            layer,
            bounds: (low, high),
            ..
        } => QuantizedLinear { low, high, layer }.into(),
        Int8Operation::AvgPool2d(params) => average(&params).into(),
        Int8Operation::Add {
            bounds: (low, high),
        } => QuantizedAdd { low, high }.into(),
        Int8Operation::Softmax => Softmax.into(),
        Int8Operation::Binary {
            function,
            bounds: (low, high),
        } => QuantizedBinary {
            function,
            low,
            high,
        }
        .into(),
        Int8Operation::Requantize {
            bounds: (low, high),
        } => Requantize { low, high }.into(),
        Int8Operation::Table { entries, .. } => Operator::Table(Table {
            entries: entries.to_vec(),
        }),
    }
}

fn average(params: &Pool2d) -> AvgPool2d {
    AvgPool2d {
        window: params.window(),
        rounding: params.rounding(),
        count_padding: params.count_padding(),
    }
}
