//! The graph of a file as a whole: which version, which input, which output, and which nodes lead there.

use std::collections::{HashMap, HashSet};

use super::messages::{
    DataType, Dimension, DimensionValue, GraphProto, ModelProto, NodeProto, TensorProto, TypeValue,
    ValueInfoProto,
};
use super::{Options, is_standard, tensor};
use crate::import::GraphProblem;

/// The operator sets whose operators are known: from the one that PyTorch 0.4 wrote to that of ONNX 1.16.
const OPERATOR_SETS: std::ops::RangeInclusive<i64> = 6..=21;

/// Nodes that may lead to the output, those that compute constants among them.
const MAX_NODES: usize = 1 << 13;

/// What is to be imported.
pub(super) struct Selection<'a> {
    pub(super) opset: i64,
    /// Constants of the file by name.
    pub(super) initializers: HashMap<&'a str, &'a TensorProto>,
    pub(super) input: &'a str,
    pub(super) input_dims: Vec<usize>,
    /// Whether its elements are 8-bit numbers.
    pub(super) input_is_quantized: bool,
    pub(super) output: String,
    /// The file's own output, where an ArgMax makes it of `output`.
    pub(super) labels: Option<String>,
    /// The nodes that lead to the output, in the order of the file.
    pub(super) nodes: Vec<&'a NodeProto>,
}

/// Chooses input, output and nodes.
pub(super) fn select<'a>(
    model: &'a ModelProto,
    options: &Options,
) -> Result<Selection<'a>, GraphProblem> {
    let graph = model.graph.as_ref().ok_or(GraphProblem::NoGraph)?;
    let opset = model
        .opset_import
        .iter()
        .find(|opset| is_standard(&opset.domain));
    let opset = opset.map_or(1, |opset| opset.version);
    if !OPERATOR_SETS.contains(&opset) {
        return Err(GraphProblem::OperatorSet {
            found: opset,
            oldest: *OPERATOR_SETS.start(),
            newest: *OPERATOR_SETS.end(),
        });
    }
    let initializers: HashMap<_, _> = graph
        .initializer
        .iter()
        .map(|t| (t.name.as_str(), t))
        .collect();
    let chosen = output(graph, options)?;
    // What makes labels of scores at the end is left to whoever reads them.
    let scores = scores(graph, &chosen).filter(|_| options.output.is_none());
    let (output, labels) = match scores {
        Some(scores) => (scores.clone(), Some(chosen)),
        None => (chosen, None),
    };
    let live = live(graph, &output)?;
    if live.len() > MAX_NODES {
        return Err(GraphProblem::Nodes {
            found: live.len(),
            most: MAX_NODES,
        });
    }
    let read: HashSet<&str> = live
        .iter()
        .flat_map(|node| &node.input)
        .map(String::as_str)
        .collect();
    let used = |info: &&ValueInfoProto| {
        let name = info.name.as_str();
        // Old files list the initializers among the inputs.
        !initializers.contains_key(name) && (read.contains(name) || name == output)
    };
    let inputs: Vec<&ValueInfoProto> = graph.input.iter().filter(used).collect();
    let input = match inputs.as_slice() {
        [input] => *input,
        [] if !graph.input.is_empty() => return Err(GraphProblem::ConstantOutput { name: output }),
        inputs => {
            let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
            return Err(GraphProblem::Inputs {
                found: inputs.len(),
                names: names.join(", "),
            });
        }
    };
    let input_is_quantized = is_quantized(input)?;
    Ok(Selection {
        opset,
        input_dims: input_dims(input, options)?,
        input_is_quantized,
        initializers,
        input: &input.name,
        output,
        labels,
        nodes: live,
    })
}

/// The computed value whose largest element the ArgMax that ends in `output` finds.
fn scores<'a>(graph: &'a GraphProto, output: &str) -> Option<&'a String> {
    let computes = |name: &str| {
        let mut nodes = graph.node.iter();
        nodes.find(|node| node.output.iter().any(|output| output == name))
    };
    let node = computes(output)?;
    let is_arg_max = node.op_type == "ArgMax" && is_standard(&node.domain);
    node.input
        .first()
        .filter(|scores| is_arg_max && computes(scores).is_some())
}

/// The graph's one output, or the value that was chosen.
fn output(graph: &GraphProto, options: &Options) -> Result<String, GraphProblem> {
    let names: Vec<&str> = graph
        .output
        .iter()
        .map(|output| output.name.as_str())
        .collect();
    match (&options.output, names.as_slice()) {
        (Some(name), _) => {
            let computed = graph.node.iter().any(|node| node.output.contains(name));
            match computed && !name.is_empty() {
                true => Ok(name.clone()),
                false => Err(GraphProblem::UnknownOutput {
                    name: name.clone(),
                    names: names.join(", "),
                }),
            }
        }
        (None, [name]) => Ok((*name).to_owned()),
        (None, names) => Err(GraphProblem::ChooseOutput {
            found: names.len(),
            names: names.join(", "),
        }),
    }
}

/// The nodes that `output` needs, in the order of the file.
fn live<'a>(graph: &'a GraphProto, output: &str) -> Result<Vec<&'a NodeProto>, GraphProblem> {
    let mut producers = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if producers.insert(name.as_str(), index).is_some() {
                return Err(GraphProblem::Duplicate {
                    value: name.clone(),
                });
            }
        }
    }
    let mut needed = vec![false; graph.node.len()];
    let mut open: Vec<usize> = producers.get(output).copied().into_iter().collect();
    while let Some(index) = open.pop() {
        if std::mem::replace(&mut needed[index], true) {
            continue;
        }
        let inputs = graph.node[index].input.iter();
        open.extend(inputs.filter_map(|name| producers.get(name.as_str()).copied()));
    }
    let nodes = graph.node.iter().zip(&needed);
    Ok(nodes
        .filter(|(_, needed)| **needed)
        .map(|(node, _)| node)
        .collect())
}

/// Whether the input is of 8-bit numbers; real ones are the other type there is.
fn is_quantized(input: &ValueInfoProto) -> Result<bool, GraphProblem> {
    let tensor = input.r#type.as_ref().and_then(|t| t.value.as_ref());
    let data_type = tensor.map_or(0, |TypeValue::TensorType(tensor)| tensor.elem_type);
    match DataType::try_from(data_type) {
        Ok(DataType::Float) => Ok(false),
        Ok(DataType::Int8 | DataType::Uint8) => Ok(true),
        found => Err(GraphProblem::InputType {
            name: input.name.clone(),
            found: match found {
                Ok(other) => other.name().to_lowercase(),
                Err(_) => format!("of data type {data_type}"),
            },
        }),
    }
}

/// The dimensions of the input: as asked for, or as the file has them. A batch that is left open is 1.
fn input_dims(input: &ValueInfoProto, options: &Options) -> Result<Vec<usize>, GraphProblem> {
    let tensor = input.r#type.as_ref().and_then(|t| t.value.as_ref());
    let shape = tensor.and_then(|TypeValue::TensorType(tensor)| tensor.shape.as_ref());
    let dims = shape.map(|shape| shape.dim.as_slice());
    let wrong = || {
        let dims: Vec<String> = dims.unwrap_or_default().iter().map(describe).collect();
        GraphProblem::InputShape {
            name: input.name.clone(),
            found: format!("[{}]", dims.join(", ")),
        }
    };
    let found = match (&options.input_shape, dims) {
        (Some(wanted), Some(dims)) if wanted.len() != dims.len() => {
            return Err(GraphProblem::InputAxes {
                name: input.name.clone(),
                found: wanted.len(),
                right: dims.len(),
            });
        }
        (Some(wanted), _) => wanted.clone(),
        (None, Some(dims)) => {
            let sizes = dims.iter().enumerate().map(|(axis, dim)| match &dim.value {
                Some(DimensionValue::DimValue(size)) if *size > 0 => usize::try_from(*size).ok(),
                Some(DimensionValue::DimValue(_)) => None,
                _ if axis == 0 && dims.len() > 1 => Some(1),
                _ => None,
            });
            sizes.collect::<Option<Vec<usize>>>().ok_or_else(wrong)?
        }
        (None, None) => return Err(wrong()),
    };
    match tensor::elements(&found) {
        Some(1..) => Ok(found),
        Some(0) => Err(wrong()),
        None => Err(GraphProblem::TooLarge {
            name: input.name.clone(),
            found: tensor::describe_large(&found),
            right: tensor::largest(),
        }),
    }
}

fn describe(dim: &Dimension) -> String {
    match &dim.value {
        Some(DimensionValue::DimValue(size)) => size.to_string(),
        Some(DimensionValue::DimParam(name)) => name.clone(),
        None => "?".to_owned(),
    }
}
