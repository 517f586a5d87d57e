//! TensorFlow Lite files: one input, one output, and operators of small CNNs.
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
use crate::graph::{Graph, Operation};

/// True if the file at `path` begins as a TensorFlow Lite file does.
pub fn is_tflite(path: &Path) -> bool {
    let mut first = [0; 8];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && first.ends_with(b"TFL3")
}

/// Reads the network in the TensorFlow Lite file at `path`, up to the tensor `output` if it is not to be the file's own.
///
/// # Errors
/// [`ImportError`] names the operator that cannot be imported.
pub fn read(path: &Path, output: Option<&str>) -> Result<Graph, ImportError> {
    let bytes = std::fs::read(path).map_err(|source| ImportError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&bytes, path, output)
}

/// Reads the network in a TensorFlow Lite file's bytes; `path` is for messages.
///
/// # Errors
/// [`ImportError`] names the operator that cannot be imported.
pub fn parse(bytes: &[u8], path: &Path, output: Option<&str>) -> Result<Graph, ImportError> {
    let model = root_as_model(bytes).map_err(|source| ImportError::Flatbuffer {
        path: path.to_owned(),
        source,
    })?;
    let of_graph = |problem| ImportError::Graph {
        path: path.to_owned(),
        problem,
    };
    let subgraph = only_subgraph(model).map_err(of_graph)?;
    let mut tensors = Tensors::new(model, subgraph, bytes.len());
    let Input {
        tensor: input,
        shape,
        dims,
        quantization,
    } = input(subgraph, &tensors).map_err(of_graph)?;
    let output = choose_output(subgraph, &tensors, output).map_err(of_graph)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut builder = Builder::new(&name, shape);
    // A model's input and output are real numbers, whatever those of the file are.
    let number = match quantization {
        Some(quantization) => each(&mut builder, "input", Operation::Quantize(quantization), 0),
        None => 0,
    };
    let mut sources = HashMap::from([(input, Source::Value(Value { number, dims }))]);
    let codes: Vec<OperatorCode<'_>> = model.operator_codes().iter().flatten().collect();
    let operators: Vec<Operator<'_>> = subgraph.operators().iter().flatten().collect();
    let needed = needed(&operators, &codes, output);
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
    let Some(Source::Value(value)) = sources.get(&output) else {
        return Err(of_graph(GraphProblem::UncomputedOutput {
            name: tensors.name(output),
        }));
    };
    let number = match tensors.quantization(output) {
        Ok(Some(quantization)) => {
            let operation = Operation::Dequantize(quantization);
            each(&mut builder, "output", operation, value.number)
        }
        _ => value.number,
    };
    Ok(builder.finish("output", number))
}

/// Adds an operation on each element of a value.
fn each(builder: &mut Builder, name: &str, operation: Operation, value: usize) -> usize {
    let number = builder.push(name, operation, &[value]);
    number.expect("it takes tensors of any shape")
}

/// The graph of the model. Further ones are the branches of control flow, or other signatures.
fn only_subgraph(model: Model<'_>) -> Result<SubGraph<'_>, GraphProblem> {
    let subgraphs = model.subgraphs();
    let found = subgraphs.map_or(0, |subgraphs| subgraphs.len());
    match subgraphs.iter().flatten().next() {
        Some(subgraph) if found == 1 => Ok(subgraph),
        _ => Err(GraphProblem::Subgraphs { found }),
    }
}

/// The graph's one input.
struct Input {
    tensor: usize,
    /// In the graph.
    shape: Shape,
    /// As the file has them.
    dims: Vec<usize>,
    /// Where it is of 8-bit numbers.
    quantization: Option<Quantization>,
}

fn input(subgraph: SubGraph<'_>, tensors: &Tensors<'_>) -> Result<Input, GraphProblem> {
    let inputs: Vec<i32> = subgraph.inputs().iter().flatten().collect();
    let number = |input: i32| usize::try_from(input).unwrap_or(usize::MAX);
    let &[input] = inputs.as_slice() else {
        let names = inputs.iter().map(|input| tensors.name(number(*input)));
        return Err(GraphProblem::Inputs {
            found: inputs.len(),
            names: names.collect::<Vec<_>>().join(", "),
        });
    };
    let input = number(input);
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

/// The tensor of the name that is wanted, or the graph's one output.
fn choose_output(
    subgraph: SubGraph<'_>,
    tensors: &Tensors<'_>,
    wanted: Option<&str>,
) -> Result<usize, GraphProblem> {
    let outputs: Vec<usize> = subgraph
        .outputs()
        .iter()
        .flatten()
        .map(|output| usize::try_from(output).unwrap_or(usize::MAX))
        .collect();
    let names = || {
        let names: Vec<String> = outputs.iter().map(|output| tensors.name(*output)).collect();
        names.join(", ")
    };
    if let Some(wanted) = wanted {
        let count = subgraph.tensors().map_or(0, |tensors| tensors.len());
        let found = (0..count).find(|tensor| tensors.name(*tensor) == wanted);
        return found.ok_or_else(|| GraphProblem::UnknownOutput {
            name: wanted.to_owned(),
            names: names(),
        });
    }
    match outputs.as_slice() {
        &[output] => Ok(output),
        found => Err(GraphProblem::ChooseOutput {
            found: found.len(),
            names: names(),
        }),
    }
}

/// The operators that can be imported, in alphabetical order.
pub fn operators() -> impl Iterator<Item = &'static str> {
    operators::names()
}

/// Which operators lead to the tensor `output`. The others need not be ones that can be imported.
fn needed(operators: &[Operator<'_>], codes: &[OperatorCode<'_>], output: usize) -> Vec<bool> {
    let mut wanted = HashSet::from([output as i32]);
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
    needed
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
