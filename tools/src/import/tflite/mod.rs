//! TensorFlow Lite files of small CNNs.
//!
//! Tensors are NHWC and weights OHWI already, so nothing is rearranged but the weights of depthwise convolutions.
//! Each operator is taken literally, one by one in the file's order; the passes of [`crate::optimize`] join what
//! can be joined. The schema's tables are verified before anything is read from them.
//!
//! Quantized files are taken literally as well: what an operator reads is dequantized before it, what it computes is
//! quantized behind it, and constants become the real numbers they mean. A pass joins these steps with the operator
//! to one on 8-bit numbers. Unsigned numbers are taken as signed ones, lowered by 128 together with their zero point.

mod constant;
mod names;
mod node;
mod operators;
mod options;
mod schema;
mod table;
mod tensor;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use kinglet_kernels::{Quantization, Shape};

use self::names::BuiltinOperator;
use self::node::{Node, Source};
use self::schema::{Model, Operator, OperatorCode, SubGraph, root_as_model};
use self::tensor::{MAX_ELEMENTS, Tensors};
use super::{Builder, GraphProblem, ImportError, NodeProblem, Value};
use crate::array_layout::ArrayLayout;
use crate::graph::{self, Graph, Operation};

/// True if the file at `path` begins as a TensorFlow Lite file does.
pub fn is_tflite(path: &Path) -> bool {
    let mut first = [0; 8];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && first.ends_with(b"TFL3")
}

/// An imported network.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// What it computes.
    pub graph: Graph,
    /// What its user should know of how it was taken.
    pub notes: Vec<String>,
}

/// Reads the network in the TensorFlow Lite file at `path`, up to the tensors `outputs`, or to the file's own if there are
/// none.
///
/// # Errors
/// [`ImportError`] names the operator that cannot be imported.
pub fn read(path: &Path, outputs: &[String]) -> Result<Imported, ImportError> {
    let bytes = std::fs::read(path).map_err(|source| ImportError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&bytes, path, outputs)
}

/// Reads the network in a TensorFlow Lite file's bytes; `path` is for messages.
///
/// # Errors
/// [`ImportError`] names the operator that cannot be imported.
pub fn parse(bytes: &[u8], path: &Path, outputs: &[String]) -> Result<Imported, ImportError> {
    let model = root_as_model(bytes).map_err(|source| ImportError::Flatbuffer {
        path: path.to_owned(),
        source,
    })?;
    let of_graph = |problem| ImportError::Graph {
        path: path.to_owned(),
        problem,
    };
    let subgraph = first_subgraph(model).map_err(of_graph)?;
    let mut tensors = Tensors::new(model, subgraph, bytes.len());
    let outputs = choose_outputs(subgraph, &tensors, outputs).map_err(of_graph)?;
    let codes: Vec<OperatorCode<'_>> = model.operator_codes().iter().flatten().collect();
    let operators: Vec<Operator<'_>> = subgraph.operators().iter().flatten().collect();
    let (needed, read) = needed(&operators, &codes, &outputs);
    // A loop has its body in a graph of its own: which operator that is says more than how many graphs there are.
    let code_of = |operator: &Operator<'_>| codes.get(operator.opcode_index() as usize).copied();
    let loops = operators.iter().enumerate().filter(|(n, _)| needed[*n]);
    for (index, operator) in loops {
        if let Some(problem) = operators::remembers(code_of(operator).map(builtin)) {
            return Err(ImportError::Operator {
                path: path.to_owned(),
                index,
                operator: operator_name(code_of(operator)),
                output: tensors.name(first_output(*operator).unwrap_or(usize::MAX)),
                problem: Box::new(problem),
            });
        }
    }
    check_subgraphs(model).map_err(of_graph)?;
    let inputs = inputs(subgraph, &tensors, &read).map_err(of_graph)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut names = Names::default();
    let graph_inputs = inputs.iter().map(|input| graph::Input {
        source: ArrayLayout::in_order(input.shape, &input.dims[1..]).source(),
        ..graph::Input::new(&names.of(&tensors, input.tensor), input.shape)
    });
    let mut builder = Builder::new(&name, graph_inputs.collect());
    let mut sources = HashMap::new();
    for (number, input) in inputs.into_iter().enumerate() {
        // A model's inputs and outputs are real numbers, whatever those of the file are.
        let number = match input.quantization {
            Some(quantization) => {
                let operation = Operation::Quantize(quantization);
                each(&mut builder, "input", operation, number)
            }
            None => number,
        };
        let dims = input.dims;
        sources.insert(input.tensor, Source::Value(Value { number, dims }));
    }
    for (index, operator) in operators.iter().enumerate().filter(|(n, _)| needed[*n]) {
        let code = codes.get(operator.opcode_index() as usize).copied();
        translate(*operator, code, &mut tensors, &mut sources, &mut builder).map_err(
            |problem| ImportError::Operator {
                path: path.to_owned(),
                index,
                operator: operator_name(code),
                output: tensors.name(first_output(*operator).unwrap_or(usize::MAX)),
                problem: Box::new(problem),
            },
        )?;
    }
    let mut names = Names::default();
    let mut graph_outputs = Vec::with_capacity(outputs.len());
    for output in outputs {
        let Some(Source::Value(value)) = sources.get(&output) else {
            return Err(of_graph(GraphProblem::UncomputedOutput {
                name: tensors.name(output),
            }));
        };
        let (number, layout) = written(&mut builder, value);
        let value = match tensors.quantization(output) {
            Ok(Some(quantization)) => {
                let operation = Operation::Dequantize(quantization);
                each(&mut builder, "output", operation, number)
            }
            _ => number,
        };
        graph_outputs.push(graph::Output {
            source: layout.source(),
            ..graph::Output::new(&names.of(&tensors, output), value)
        });
    }
    Ok(Imported {
        graph: builder.finish(graph_outputs),
        notes: tensors.hybrid_note().into_iter().collect(),
    })
}

/// The value of the graph that is an output, and how arrays of it lie there. What has one axis is a vector.
fn written(builder: &mut Builder, value: &Value) -> (usize, ArrayLayout) {
    let sample = match value.dims.as_slice() {
        [1, sample @ ..] => sample,
        dims => dims,
    };
    let number = match sample {
        [features] => builder.view("output", value.number, Shape::vector(*features)),
        _ => Ok(value.number),
    };
    let number = number.expect("it has as many elements");
    let shape = builder.shape(number);
    (number, ArrayLayout::in_order(shape, sample))
}

/// Names of inputs or of outputs: each once, since they are called by them.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn of(&mut self, tensors: &Tensors<'_>, tensor: usize) -> String {
        let name = tensors.name(tensor);
        match self.0.insert(name.clone()) {
            true => name,
            false => format!("{name} (tensor {tensor})"),
        }
    }
}

/// Adds an operation on each element of a value.
fn each(builder: &mut Builder, name: &str, operation: Operation, value: usize) -> usize {
    let number = builder.push(name, operation, &[value]);
    number.expect("it takes tensors of any shape")
}

/// The graph of the model.
fn first_subgraph(model: Model<'_>) -> Result<SubGraph<'_>, GraphProblem> {
    let first = model.subgraphs().iter().flatten().next();
    first.ok_or(GraphProblem::Subgraphs { found: 0 })
}

/// Refuses further graphs: they are the branches of control flow, or other signatures.
fn check_subgraphs(model: Model<'_>) -> Result<(), GraphProblem> {
    match model.subgraphs().map_or(0, |subgraphs| subgraphs.len()) {
        1 => Ok(()),
        found => Err(GraphProblem::Subgraphs { found }),
    }
}

/// An input of the graph.
struct Input {
    tensor: usize,
    /// In the graph.
    shape: Shape,
    /// As the file has them.
    dims: Vec<usize>,
    /// Where it is of 8-bit numbers.
    quantization: Option<Quantization>,
}

/// The inputs that are `read`; all of them if none is.
fn inputs(
    subgraph: SubGraph<'_>,
    tensors: &Tensors<'_>,
    read: &HashSet<i32>,
) -> Result<Vec<Input>, GraphProblem> {
    let mut inputs: Vec<i32> = subgraph.inputs().iter().flatten().collect();
    if inputs.iter().any(|input| read.contains(input)) {
        inputs.retain(|input| read.contains(input));
    }
    GraphProblem::check_ends("inputs", inputs.len())?;
    let number = |input: i32| usize::try_from(input).unwrap_or(usize::MAX);
    inputs
        .into_iter()
        .map(|tensor| input(number(tensor), tensors))
        .collect()
}

fn input(input: usize, tensors: &Tensors<'_>) -> Result<Input, GraphProblem> {
    let refused = || GraphProblem::InputTensor {
        name: tensors.name(input),
        found: tensors.describe(input),
    };
    let recorded = tensors.recorded_dims(input).ok_or_else(refused)?;
    let (batch, sample) = recorded.split_first().ok_or_else(refused)?;
    let sample: Option<Vec<usize>> = sample.iter().copied().collect();
    // Pictures without an axis of channels are gray.
    let shape = match sample.as_deref() {
        Some(&[height, width, channels]) => Shape::new(height, width, channels),
        Some(&[height, width]) => Shape::new(height, width, 1),
        Some(&[features]) => Shape::vector(features),
        _ => return Err(refused()),
    };
    // A batch that is left open is as good as one of 1: a batch is not part of a kinglet model.
    let batch_fits = batch.is_none_or(|batch| batch == 1);
    if !batch_fits || shape.is_empty() || shape.len() > MAX_ELEMENTS {
        return Err(refused());
    }
    let dims = [1].into_iter().chain(sample.into_iter().flatten());
    Ok(Input {
        tensor: input,
        shape,
        dims: dims.collect(),
        quantization: tensors.quantization(input).map_err(|_| refused())?,
    })
}

/// The tensors of the names that are wanted, or the graph's outputs; each once.
fn choose_outputs(
    subgraph: SubGraph<'_>,
    tensors: &Tensors<'_>,
    wanted: &[String],
) -> Result<Vec<usize>, GraphProblem> {
    let own = subgraph.outputs().into_iter().flatten();
    let own: Vec<usize> = own
        .map(|output| usize::try_from(output).unwrap_or(usize::MAX))
        .collect();
    let count = subgraph.tensors().map_or(0, |tensors| tensors.len());
    let mut chosen = Vec::new();
    for name in wanted {
        let found = (0..count).find(|tensor| tensors.name(*tensor) == *name);
        chosen.push(found.ok_or_else(|| {
            let names: Vec<String> = own.iter().map(|output| tensors.name(*output)).collect();
            GraphProblem::UnknownOutput {
                name: name.clone(),
                names: names.join(", "),
            }
        })?);
    }
    if wanted.is_empty() {
        chosen = own;
    }
    let mut outputs = Vec::with_capacity(chosen.len());
    for output in chosen {
        if !outputs.contains(&output) {
            outputs.push(output);
        }
    }
    GraphProblem::check_ends("outputs", outputs.len())?;
    Ok(outputs)
}

/// The operators that can be imported, in alphabetical order.
pub fn operators() -> impl Iterator<Item = &'static str> {
    operators::names()
}

/// Which operators lead to the tensors `outputs`, and the tensors that they read. The other operators need not be ones
/// that can be imported.
fn needed(
    operators: &[Operator<'_>],
    codes: &[OperatorCode<'_>],
    outputs: &[usize],
) -> (Vec<bool>, HashSet<i32>) {
    let outputs = outputs
        .iter()
        .map(|output| i32::try_from(*output).unwrap_or(-1));
    let mut wanted: HashSet<i32> = outputs.collect();
    let mut needed = vec![false; operators.len()];
    for (index, operator) in operators.iter().enumerate().rev() {
        let mut outputs = operator.outputs().into_iter().flatten();
        needed[index] = outputs.any(|output| wanted.contains(&output));
        if needed[index] {
            let code = codes.get(operator.opcode_index() as usize).copied();
            // What computes the shape of a reshape depends on nothing but the batch.
            let is_reshape = code.map(builtin) == Some(BuiltinOperator::RESHAPE);
            let read = if is_reshape { 1 } else { usize::MAX };
            wanted.extend(operator.inputs().iter().flatten().take(read));
        }
    }
    (needed, wanted)
}

/// Adds what an operator computes to the graph.
fn translate<'a>(
    operator: Operator<'a>,
    code: Option<OperatorCode<'a>>,
    tensors: &mut Tensors<'a>,
    sources: &mut HashMap<usize, Source>,
    builder: &mut Builder,
) -> Result<(), NodeProblem> {
    let translate = operators::find(code.map(builtin))?;
    let name = tensors.name(first_output(operator).unwrap_or(usize::MAX));
    let mut node = Node {
        operator,
        // Behind the first name are those of operators that the converter has joined.
        name: name.split(';').next().unwrap_or_default(),
        tensors,
        sources,
        builder,
    };
    let computed = translate(&mut node)?;
    let outputs: Vec<i32> = operator.outputs().iter().flatten().collect();
    if outputs.len() != computed.len() {
        return Err(NodeProblem::Refused {
            reason: format!(
                "it has {} outputs; {} are right",
                outputs.len(),
                computed.len()
            ),
        });
    }
    let mut written = Vec::with_capacity(outputs.len());
    for (output, source) in outputs.into_iter().zip(computed) {
        let output = usize::try_from(output).unwrap_or(usize::MAX);
        written.push((output, node.written(output, source)?));
    }
    for (output, source) in written {
        if tensors.is_constant(output) || sources.insert(output, source).is_some() {
            return Err(NodeProblem::Refused {
                reason: format!(
                    "it computes \"{}\", which is there already",
                    tensors.name(output)
                ),
            });
        }
    }
    Ok(())
}

fn first_output(operator: Operator<'_>) -> Option<usize> {
    let output = operator.outputs().iter().flatten().next()?;
    usize::try_from(output).ok()
}

/// The operator that a code stands for. Old files know only the narrow field, which later ones fill too.
fn builtin(code: OperatorCode<'_>) -> BuiltinOperator {
    let narrow = BuiltinOperator(i32::from(code.deprecated_builtin_code()));
    narrow.max(code.builtin_code())
}

/// What the schema calls an operator.
fn operator_name(code: Option<OperatorCode<'_>>) -> String {
    let Some(code) = code else {
        return "unknown".to_owned();
    };
    match (builtin(code), code.custom_code()) {
        (BuiltinOperator::CUSTOM, Some(name)) => format!("custom operator {name}"),
        (builtin, _) => format!("{builtin:?}"),
    }
}
