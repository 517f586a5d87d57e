//! ONNX files of plain CNNs: one input, one output, and operators that read one value each.
//!
//! An ONNX graph is NCHW with weights OIHW; the result is NHWC with weights OHWI. What is hard about that is
//! flattening: the elements of a flattened value are in NCHW order for everything that reads them later. So
//! each value is known by its layout, and the first linear layer behind a flatten gets its columns in
//! NHWC order.

mod node;
mod operators;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;

use kinglet_kernels::Shape;
use prost::Message;

use self::node::{Constants, NodeReader};
use self::schema::{FLOAT, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::{GraphProblem, ImportError, NodeProblem};
use crate::graph::{Graph, Node};

/// How the elements of a value follow each other in ONNX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// `[1, channels, height, width]`.
    Maps,
    /// `[1, features]`: the elements of maps of the value's shape, in NCHW order.
    Flat,
}

/// What is known of a value.
#[derive(Debug, Clone, Copy)]
struct Value {
    /// Its number in the [`Graph`].
    number: usize,
    shape: Shape,
    layout: Layout,
}

/// Reads the network in the ONNX file at `path`.
///
/// # Errors
/// [`ImportError`] names the node that cannot be imported.
pub fn read(path: &Path) -> Result<Graph, ImportError> {
    let bytes = std::fs::read(path).map_err(|source| ImportError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&bytes, path)
}

/// Reads the network in an ONNX file's bytes; `path` is for messages.
///
/// # Errors
/// [`ImportError`] names the node that cannot be imported.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Graph, ImportError> {
    let model = ModelProto::decode(bytes).map_err(|source| ImportError::Decode {
        path: path.to_owned(),
        source,
    })?;
    let of_graph = |problem| ImportError::Graph {
        path: path.to_owned(),
        problem,
    };
    let graph = model.graph.as_ref();
    let graph = graph.ok_or_else(|| of_graph(GraphProblem::NoGraph))?;
    let opset = model
        .opset_import
        .iter()
        .find(|opset| is_standard(&opset.domain))
        .map_or(1, |opset| opset.version);
    let constants = constants(graph);
    let (name, input) = input(graph, &constants).map_err(of_graph)?;
    let mut values = HashMap::from([(name, input)]);
    let mut nodes: Vec<Node> = Vec::new();
    for node in &graph.node {
        if node.op_type == "Constant" {
            continue;
        }
        let reader = NodeReader {
            node,
            constants: &constants,
        };
        let (operation, value) =
            translate(reader, &values, opset).map_err(|problem| ImportError::Node {
                path: path.to_owned(),
                node: name_of(node).to_owned(),
                operator: node.op_type.clone(),
                problem: Box::new(problem),
            })?;
        nodes.push(Node {
            name: name_of(node).to_owned(),
            operation,
            inputs: vec![value.number],
        });
        if let Some(output) = node.output.first() {
            let number = nodes.len();
            values.insert(output.as_str(), Value { number, ..value });
        }
    }
    check_output(graph, &values, &nodes).map_err(of_graph)?;
    Ok(Graph {
        name: graph.name.clone(),
        input: input.shape,
        nodes,
    })
}

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

/// Initializers, and the tensors of `Constant` nodes.
fn constants(graph: &GraphProto) -> Constants<'_> {
    let initializers = graph.initializer.iter().map(|t| (t.name.as_str(), t));
    let nodes = graph.node.iter().filter(|node| node.op_type == "Constant");
    let computed = nodes.filter_map(|node| {
        let value = node.attribute.iter().find(|a| a.name == "value")?;
        Some((node.output.first()?.as_str(), value.t.as_ref()?))
    });
    initializers.chain(computed).collect()
}

/// The graph's one input. Old files list the initializers among the inputs.
fn input<'a>(
    graph: &'a GraphProto,
    constants: &Constants<'_>,
) -> Result<(&'a str, Value), GraphProblem> {
    let mut inputs: Vec<&ValueInfoProto> = graph.input.iter().collect();
    inputs.retain(|input| !constants.contains_key(input.name.as_str()));
    let [input] = inputs.as_slice() else {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        return Err(GraphProblem::Inputs {
            found: inputs.len(),
            names: names.join(", "),
        });
    };
    let tensor = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let dims = tensor.and_then(|t| t.shape.as_ref()).map(|s| &s.dim[..]);
    let dims = dims.unwrap_or_default();
    let wrong = || {
        let dim = |dim: &schema::DimensionProto| match (dim.dim_value, &dim.dim_param) {
            (Some(value), _) => value.to_string(),
            (None, Some(name)) => name.clone(),
            (None, None) => "?".to_owned(),
        };
        let dims: Vec<String> = dims.iter().map(dim).collect();
        let data_type = match tensor.map_or(0, |t| t.elem_type) {
            FLOAT => String::new(),
            other => format!(" of data type {other}"),
        };
        GraphProblem::InputShape {
            name: input.name.clone(),
            found: format!("[{}]{data_type}", dims.join(", ")),
        }
    };
    let known = |dim: &schema::DimensionProto| usize::try_from(dim.dim_value?).ok();
    let (batch, sample) = dims.split_first().ok_or_else(wrong)?;
    let sample: Option<Vec<usize>> = sample.iter().map(known).collect();
    let (shape, layout) = match sample.as_deref() {
        Some(&[channels, height, width]) => (Shape::new(height, width, channels), Layout::Maps),
        Some(&[features]) => (Shape::vector(features), Layout::Flat),
        _ => return Err(wrong()),
    };
    // A batch that is left open is as good as one of 1: a batch is not part of a kinglet model.
    let batch_fits = batch.dim_value.is_none_or(|batch| batch == 1);
    let is_float = tensor.is_some_and(|t| t.elem_type == FLOAT);
    if !batch_fits || !is_float || shape.is_empty() {
        return Err(wrong());
    }
    let value = Value {
        number: 0,
        shape,
        layout,
    };
    Ok((&input.name, value))
}

/// The operation of a node, and what its output is but for the number, which is that of its input.
fn translate(
    node: NodeReader<'_>,
    values: &HashMap<&str, Value>,
    opset: i64,
) -> Result<(crate::graph::Operation, Value), NodeProblem> {
    let operator = operators::find(node.node)?;
    let name = node.input(0);
    let name = name.ok_or(NodeProblem::Missing { what: "input" })?;
    let input = values.get(name).ok_or_else(|| NodeProblem::Value {
        value: name.to_owned(),
    })?;
    let (operation, layout) = operator(node, *input, opset)?;
    let shape = operation.output(&[input.shape]);
    let shape = shape.map_err(|reason| NodeProblem::Params {
        input: input.shape,
        reason,
    })?;
    let value = Value {
        number: input.number,
        shape,
        layout,
    };
    Ok((operation, value))
}

/// The graph's output must be what its last node computes.
fn check_output(
    graph: &GraphProto,
    values: &HashMap<&str, Value>,
    nodes: &[Node],
) -> Result<(), GraphProblem> {
    let last = nodes.last().ok_or(GraphProblem::Empty)?;
    let [output] = graph.output.as_slice() else {
        return Err(GraphProblem::Outputs {
            found: graph.output.len(),
        });
    };
    match values.get(output.name.as_str()) {
        Some(value) if value.number == nodes.len() => Ok(()),
        _ => Err(GraphProblem::Output {
            name: output.name.clone(),
            last: last.name.clone(),
        }),
    }
}
