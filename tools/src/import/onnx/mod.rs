//! ONNX files of small CNNs: any graph of known operators with one input and fixed sizes.
//!
//! Tensors are taken as they are in the file, NCHW and of any number of axes, and each operator becomes what
//! computes just that; [`crate::optimize`] then does away with the transpositions. What does not depend on the
//! network's input is computed while the file is read. An ONNX graph may be written for NCHW or for
//! NHWC pictures and does not say which: the input and the output are each taken the way that leaves fewer
//! transpositions, and [`Door`] tells which way that is.

mod door;
mod external;
mod fold;
mod joined;
pub mod messages;
mod model;
mod node;
mod operand;
mod operators;
mod tensor;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;

pub use door::{Door, Layout, Numbers};
use prost::Message;

use self::messages::{ModelProto, NodeProto};
use self::model::Selection;
use self::node::Node;
use self::operand::{Budget, Operand};
use super::builder::{Builder, Value};
use super::{GraphProblem, ImportError, NodeProblem};
use crate::graph::{Graph, Operation};
use crate::optimize::simplify;

/// What the caller knows of a network beside its file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Dimensions of the input, the batch included, where the file leaves them open or others are wanted.
    pub input_shape: Option<Vec<usize>>,
    /// The value that is to be the output, where it is not the file's only one.
    pub output: Option<String>,
}

/// An imported network.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// What it computes.
    pub graph: Graph,
    /// How a tensor of the file becomes the graph's input.
    pub input: Door,
    /// How the graph's output becomes a tensor of the file.
    pub output: Door,
    /// The file's own output, where that is made by an ArgMax at the end: the graph ends before it, with the scores.
    pub labels: Option<String>,
}

/// Reads the network in the ONNX file at `path`.
///
/// # Errors
/// [`ImportError`] names the node that cannot be imported.
pub fn read(path: &Path, options: &Options) -> Result<Imported, ImportError> {
    let bytes = std::fs::read(path).map_err(|source| ImportError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&bytes, path, options)
}

/// Reads the network in an ONNX file's bytes; `path` is for messages, and its folder holds the weights that are
/// not in the file itself.
///
/// # Errors
/// [`ImportError`] names the node that cannot be imported.
pub fn parse(bytes: &[u8], path: &Path, options: &Options) -> Result<Imported, ImportError> {
    let model = ModelProto::decode(bytes).map_err(|source| ImportError::Decode {
        path: path.to_owned(),
        source,
    })?;
    let selection = model::select(&model, options).map_err(|problem| ImportError::Graph {
        path: path.to_owned(),
        problem,
    })?;
    let reader = Reader {
        path,
        name: model.graph.as_ref().map_or("", |graph| &graph.name),
        selection,
        file_len: bytes.len(),
    };
    let mut best: Option<(usize, Imported)> = None;
    for input in Door::layouts(&reader.selection.input_dims) {
        // The layouts of the output are known once it is.
        let (imported, others) = reader.build(*input, None)?;
        let mut candidates = vec![imported];
        for output in others {
            candidates.push(reader.build(*input, Some(*output))?.0);
        }
        for candidate in candidates {
            let cost = transpositions(&candidate.graph);
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, candidate));
            }
        }
    }
    Ok(best.expect("every tensor has a layout").1)
}

/// The operators that can be imported, in alphabetical order.
pub fn operators() -> impl Iterator<Item = &'static str> {
    operators::names()
}

/// How many transpositions are left of a graph.
fn transpositions(graph: &Graph) -> usize {
    let mut graph = graph.clone();
    simplify(&mut graph);
    let is_transposition = |operation: &Operation| matches!(operation, Operation::Transpose { .. });
    graph
        .nodes
        .iter()
        .filter(|node| is_transposition(&node.operation))
        .count()
}

/// What brings the output into the model's order. Its name is that of no node of the file.
const OUTPUT: &str = "(output)";

fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// A node's name, or that of its first output.
fn name_of(node: &NodeProto) -> &str {
    match (node.name.as_str(), node.output.first()) {
        ("", Some(output)) => output,
        (name, _) => name,
    }
}

/// Values a graph may have before it is optimized: far more than a model may, and few enough for passes whose time
/// grows with their square.
const MAX_VALUES: usize = 1 << 13;

fn is_small(operand: &Operand) -> bool {
    match operand {
        Operand::Value(value) | Operand::Quantized(value, _) => value.number <= MAX_VALUES,
        Operand::Constant(_) => true,
    }
}

struct Reader<'a> {
    path: &'a Path,
    /// The network's name.
    name: &'a str,
    selection: Selection<'a>,
    file_len: usize,
}

impl Reader<'_> {
    /// The network with its input, and its output, in a layout; and in which other ones the output may be. None for
    /// the output is the first of them.
    fn build(
        &self,
        input: Layout,
        output: Option<Layout>,
    ) -> Result<(Imported, &'static [Layout]), ImportError> {
        let selection = &self.selection;
        let mut input = Door {
            name: selection.input.to_owned(),
            dims: selection.input_dims.clone(),
            layout: input,
            numbers: None,
        };
        let of_graph = |problem| ImportError::Graph {
            path: self.path.to_owned(),
            problem,
        };
        let at_door = |error: NodeProblem| ImportError::Node {
            path: self.path.to_owned(),
            node: selection.output.clone(),
            operator: "output".into(),
            problem: Box::new(error),
        };
        let mut builder = Builder::new(self.name, input.shape());
        let first = match input.layout {
            Layout::ChannelsFirst => {
                let first = builder.channels_first(&input.name, 0, input.dims.len());
                first.map_err(|error| at_door(error.into()))?
            }
            Layout::AsInFile => Value {
                number: 0,
                dims: input.dims.clone(),
            },
        };
        let first = match selection.input_is_quantized {
            true => Operand::Quantized(first, None),
            false => Operand::Value(first),
        };
        let mut values = HashMap::from([(selection.input, first)]);
        input.numbers = self.translate(&mut builder, &mut values)?;
        let (value, numbers) = match values.remove(selection.output.as_str()) {
            Some(Operand::Value(value)) => (value, None),
            Some(Operand::Quantized(value, numbers)) => (value, numbers),
            Some(Operand::Constant(_)) => {
                return Err(of_graph(GraphProblem::ConstantOutput {
                    name: selection.output.clone(),
                }));
            }
            None => {
                return Err(of_graph(GraphProblem::AbsentOutput {
                    name: selection.output.clone(),
                }));
            }
        };
        let (usual, others) = Door::layouts(&value.dims)
            .split_first()
            .expect("there is one");
        let output = Door {
            name: selection.output.clone(),
            dims: value.dims.clone(),
            layout: output.unwrap_or(*usual),
            numbers,
        };
        let number = match output.layout {
            Layout::ChannelsFirst => builder.channels_last(OUTPUT, &value),
            Layout::AsInFile => {
                let shape = door::in_order(&value.dims);
                builder
                    .view(OUTPUT, value.number, shape)
                    .map_err(Into::into)
            }
        };
        let number = number.map_err(|error| at_door(error.into()))?;
        let graph = builder.finish(OUTPUT, number);
        Ok((
            Imported {
                graph,
                input,
                output,
                labels: selection.labels.clone(),
            },
            others,
        ))
    }

    /// Adds each node to the graph; `values` has the network's input by its name, and all others afterwards. Returns
    /// what the numbers of a quantized input mean.
    fn translate<'b>(
        &'b self,
        builder: &mut Builder,
        values: &mut HashMap<&'b str, Operand>,
    ) -> Result<Option<Numbers>, ImportError> {
        let mut input_numbers = None;
        let mut budget = Budget::of_file(self.file_len);
        // Outputs that are there in the file but not computed here.
        let mut absent: HashMap<&str, &str> = HashMap::new();
        for proto in &self.selection.nodes {
            let name = name_of(proto);
            let translated = self.inputs(proto, values, &absent).and_then(|inputs| {
                let operator = operators::find(proto)?;
                let mut node = Node {
                    proto,
                    name,
                    opset: self.selection.opset,
                    inputs,
                    builder: &mut *builder,
                    input_numbers: &mut input_numbers,
                    budget: &mut budget,
                };
                (operator.translate)(&mut node)
            });
            let translated = translated.and_then(|outputs| match outputs.iter().all(is_small) {
                true => Ok(outputs),
                false => Err(NodeProblem::Refused {
                    reason: format!("the network has more than {MAX_VALUES} values by now"),
                }),
            });
            let outputs = translated.map_err(|problem| ImportError::Node {
                path: self.path.to_owned(),
                node: name.to_owned(),
                operator: proto.op_type.clone(),
                problem: Box::new(problem),
            })?;
            let mut outputs = outputs.into_iter();
            for name in &proto.output {
                match outputs.next() {
                    Some(operand) => drop(values.insert(name, operand)),
                    None => drop(absent.insert(name, &proto.op_type)),
                }
            }
        }
        Ok(input_numbers)
    }

    /// What a node reads.
    fn inputs<'b>(
        &'b self,
        proto: &'b NodeProto,
        values: &mut HashMap<&'b str, Operand>,
        absent: &HashMap<&str, &str>,
    ) -> Result<Vec<Option<Operand>>, NodeProblem> {
        let mut inputs = Vec::with_capacity(proto.input.len());
        for name in &proto.input {
            let name = name.as_str();
            inputs.push(
                match (values.get(name), self.selection.initializers.get(name)) {
                    _ if name.is_empty() => None,
                    (Some(operand), _) => Some(operand.clone()),
                    (None, Some(initializer)) => {
                        let tensor = tensor::read(initializer, self.path.parent())
                            .map_err(|problem| tensor::problem(name, problem))?;
                        let operand = Operand::Constant(tensor);
                        values.insert(name, operand.clone());
                        Some(operand)
                    }
                    (None, None) => {
                        let value = name.to_owned();
                        return Err(match absent.get(name) {
                            Some(operator) => NodeProblem::Output {
                                value,
                                operator: (*operator).to_owned(),
                            },
                            None => NodeProblem::Value { value },
                        });
                    }
                },
            );
        }
        Ok(inputs)
    }
}
