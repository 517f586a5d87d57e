//! ONNX files of small CNNs: any graph of known operators with fixed sizes.
//!
//! Tensors are taken as they are in the file, NCHW and of any number of axes, and each operator becomes what
//! computes just that; [`crate::optimize`] then does away with the transpositions. What does not depend on the
//! network's input is computed while the file is read. An ONNX graph may be written for NCHW or for
//! NHWC pictures and does not say which: each input and output is taken the way that leaves fewer transpositions, and
//! [`Door`] tells which way that is.

mod batch;
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
use self::operand::{Budget, Meaning, Operand};
use super::builder::{Builder, Value};
use super::{GraphProblem, ImportError, NodeProblem};
use crate::graph::{Graph, Input, Operation, Output};
use crate::optimize::simplify;

/// What the caller knows of a network beside its file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Dimensions of inputs where the file leaves them open or others are wanted.
    pub input_shapes: Vec<InputShape>,
    /// The values that are to be the outputs; the file's own if there are none.
    pub outputs: Vec<String>,
}

/// Dimensions of an input, the batch included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputShape {
    /// Which input; None where there is only one.
    pub name: Option<String>,
    /// Its dimensions.
    pub dims: Vec<usize>,
}

impl std::str::FromStr for InputShape {
    type Err = String;

    /// `1,3,32,32`, or `NAME=1,3,32,32`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, dims) = match text.rsplit_once('=') {
            Some((name, dims)) => (Some(name.to_owned()), dims),
            None => (None, text),
        };
        let dims: Result<Vec<usize>, _> = dims.split(',').map(str::parse).collect();
        let dims = dims.map_err(|_| "N,N,... or NAME=N,N,... is right, as in 1,3,32,32")?;
        Ok(Self { name, dims })
    }
}

/// An imported network.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// What it computes.
    pub graph: Graph,
    /// How tensors of the file become the graph's inputs.
    pub inputs: Vec<Door>,
    /// How the graph's outputs become tensors of the file.
    pub outputs: Vec<Door>,
    /// The file's own outputs that are not computed here.
    pub labels: Vec<Labels>,
    /// What else its user should know of how it was taken.
    pub notes: Vec<String>,
}

/// An output of the file that is made by an ArgMax at the end: the graph ends before it, with the scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The file's output.
    pub name: String,
    /// The output here of which it is made.
    pub scores: String,
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
    let mut reader = Reader {
        path,
        name: model.graph.as_ref().map_or("", |graph| &graph.name),
        selection,
        file_len: bytes.len(),
    };
    if !options.input_shapes.is_empty() {
        return reader.read();
    }
    batch::read(&mut reader)
}

impl Reader<'_> {
    /// The network, with each end in the layout that leaves the fewest transpositions.
    fn read(&self) -> Result<Imported, ImportError> {
        let reader = self;
        let inputs = &reader.selection.inputs;
        let usual = |dims: &[usize]| Door::layouts(dims)[0];
        let mut ends = Ends {
            inputs: inputs.iter().map(|input| usual(&input.dims)).collect(),
            outputs: None,
        };
        let mut best = reader.build(&ends)?;
        let mut least = transpositions(&best.graph);
        // One end after the other in each of its other layouts: what an end costs hardly depends on the rest.
        let outputs: Vec<Layout> = best.outputs.iter().map(|output| output.layout).collect();
        for end in 0..inputs.len() + outputs.len() {
            if least == 0 {
                break;
            }
            let door = best.inputs.iter().chain(&best.outputs).nth(end);
            let others = door.map_or(&[][..], |door| &Door::layouts(&door.dims)[1..]);
            for layout in others {
                let mut changed = ends.clone();
                let own = changed.outputs.get_or_insert(outputs.clone());
                *changed
                    .inputs
                    .iter_mut()
                    .chain(own)
                    .nth(end)
                    .expect("it is an end") = *layout;
                let candidate = reader.build(&changed)?;
                let cost = transpositions(&candidate.graph);
                if cost < least {
                    (best, least, ends) = (candidate, cost, changed);
                }
            }
        }
        // Rows and columns are a picture, unless they are read as something else.
        for (input, selected) in inputs.iter().enumerate() {
            if Door::may_be_gray(&selected.dims) {
                let mut changed = ends.clone();
                changed.inputs[input] = Layout::Gray;
                let candidate = reader.build(&changed)?;
                if moves(&candidate.graph) <= moves(&best.graph) {
                    (best, ends) = (candidate, changed);
                }
            }
        }
        Ok(best)
    }
}

/// The operators that can be imported, in alphabetical order.
pub fn operators() -> impl Iterator<Item = &'static str> {
    operators::names()
}

/// How many transpositions are left of a graph.
fn transpositions(graph: &Graph) -> usize {
    moves(graph).0
}

/// How many transpositions are left of a graph, and how many changes of shape.
fn moves(graph: &Graph) -> (usize, usize) {
    let mut graph = graph.clone();
    simplify(&mut graph);
    let count = |is: fn(&Operation) -> bool| {
        let nodes = graph.nodes.iter();
        nodes.filter(|node| is(&node.operation)).count()
    };
    (
        count(|operation| matches!(operation, Operation::Transpose { .. })),
        count(|operation| matches!(operation, Operation::Reshape { .. })),
    )
}

/// What brings an output into the model's order. Its name is that of no node of the file.
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

/// The layout of each input and output.
#[derive(Debug, Clone)]
struct Ends {
    inputs: Vec<Layout>,
    /// None is the usual one of each, before their dimensions are known.
    outputs: Option<Vec<Layout>>,
}

struct Reader<'a> {
    path: &'a Path,
    /// The network's name.
    name: &'a str,
    selection: Selection<'a>,
    file_len: usize,
}

impl Reader<'_> {
    /// The network with its inputs and outputs in these layouts.
    fn build(&self, ends: &Ends) -> Result<Imported, ImportError> {
        let selection = &self.selection;
        let doors = selection.inputs.iter().zip(&ends.inputs);
        let doors = doors.map(|(input, layout)| Door {
            name: input.name.to_owned(),
            dims: input.dims.clone(),
            layout: *layout,
            numbers: None,
        });
        let mut inputs: Vec<Door> = doors.collect();
        let graph_inputs = inputs.iter().map(|door| Input {
            source: door.array().source(),
            ..Input::new(&door.name, door.shape())
        });
        let mut builder = Builder::new(self.name, graph_inputs.collect());
        let mut values = HashMap::new();
        for (number, (door, input)) in inputs.iter().zip(&selection.inputs).enumerate() {
            let value = match door.layout {
                Layout::ChannelsFirst => builder
                    .channels_first(&door.name, number, door.dims.len())
                    .map_err(|error| self.at_door("input", &door.name, error.into()))?,
                Layout::AsInFile | Layout::Gray => Value {
                    number,
                    dims: door.dims.clone(),
                },
            };
            let operand = match input.signed {
                Some(signed) => {
                    let input = number;
                    Operand::Quantized(value, Meaning::OfInput { input, signed })
                }
                None => Operand::Value(value),
            };
            values.insert(input.name, operand);
        }
        let numbers = self.translate(&mut builder, &mut values)?;
        let mut outputs = Vec::with_capacity(selection.outputs.len());
        let mut graph_outputs = Vec::with_capacity(selection.outputs.len());
        for (index, name) in selection.outputs.iter().enumerate() {
            let (value, numbers) = self.output(name, &values, &numbers)?;
            let layouts = ends.outputs.as_ref();
            let layout = layouts.and_then(|layouts| layouts.get(index).copied());
            let door = Door {
                name: name.clone(),
                layout: layout.unwrap_or(Door::layouts(&value.dims)[0]),
                dims: value.dims.clone(),
                numbers,
            };
            let number = match door.layout {
                Layout::ChannelsFirst => builder.channels_last(OUTPUT, &value),
                Layout::AsInFile | Layout::Gray => builder
                    .view(OUTPUT, value.number, door.shape())
                    .map_err(Into::into),
            };
            let number = number.map_err(|error| self.at_door("output", name, error.into()))?;
            graph_outputs.push(Output {
                source: door.array().source(),
                ..Output::new(name, number)
            });
            outputs.push(door);
        }
        for (door, numbers) in inputs.iter_mut().zip(numbers) {
            door.numbers = numbers;
        }
        Ok(Imported {
            graph: builder.finish(graph_outputs),
            inputs,
            outputs,
            labels: selection.labels.clone(),
            notes: selection
                .inputs
                .iter()
                .filter_map(|input| input.note.clone())
                .collect(),
        })
    }

    /// What was computed as the output `name`, and what its numbers mean, where they are of 8 bits; `numbers` are those
    /// of the inputs.
    fn output(
        &self,
        name: &str,
        values: &HashMap<&str, Operand>,
        numbers: &[Option<Numbers>],
    ) -> Result<(Value, Option<Numbers>), ImportError> {
        let name = name.to_owned();
        let problem = match values.get(name.as_str()) {
            Some(Operand::Value(value)) => return Ok((value.clone(), None)),
            Some(Operand::Quantized(value, Meaning::Known(numbers))) => {
                return Ok((value.clone(), Some(*numbers)));
            }
            Some(Operand::Quantized(value, Meaning::OfInput { input, .. })) => {
                return Ok((value.clone(), numbers[*input]));
            }
            Some(Operand::Constant(_)) => GraphProblem::ConstantOutput { name },
            None => GraphProblem::AbsentOutput { name },
        };
        Err(ImportError::Graph {
            path: self.path.to_owned(),
            problem,
        })
    }

    /// What is wrong with a tensor where it enters or leaves the network.
    fn at_door(&self, what: &str, name: &str, problem: NodeProblem) -> ImportError {
        ImportError::Node {
            path: self.path.to_owned(),
            node: name.to_owned(),
            operator: what.to_owned(),
            problem: Box::new(problem),
        }
    }

    /// Adds each node to the graph; `values` has the network's inputs by their names, and all others afterwards. Returns
    /// what the numbers of each input mean, where it is quantized.
    fn translate<'b>(
        &'b self,
        builder: &mut Builder,
        values: &mut HashMap<&'b str, Operand>,
    ) -> Result<Vec<Option<Numbers>>, ImportError> {
        let mut input_numbers = vec![None; self.selection.inputs.len()];
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
