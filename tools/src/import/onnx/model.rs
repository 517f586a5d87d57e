//! The graph of a file as a whole: which version, which inputs, which outputs, and which nodes lead there.

use std::collections::{HashMap, HashSet};

use super::messages::{
    DataType, Dimension, DimensionValue, GraphProto, ModelProto, NodeProto, TensorProto, TypeValue,
    ValueInfoProto,
};
use super::{InputShape, Labels, Options, is_standard, name_of, tensor};
use crate::import::GraphProblem;

/// The operator sets whose operators are known: of the first five what the sixth has as well, since attributes that are not
/// known are refused.
const OPERATOR_SETS: std::ops::RangeInclusive<i64> = 1..=28;

/// Nodes that may lead to the outputs, those that compute constants among them.
const MAX_NODES: usize = 1 << 13;

/// What is to be imported.
pub(super) struct Selection<'a> {
    pub(super) opset: i64,
    /// Constants of the file by name.
    pub(super) initializers: HashMap<&'a str, &'a TensorProto>,
    pub(super) inputs: Vec<SelectedInput<'a>>,
    pub(super) outputs: Vec<String>,
    /// The file's own outputs that an ArgMax makes of `outputs`.
    pub(super) labels: Vec<Labels>,
    /// The nodes that lead to the outputs, each behind those that it reads.
    pub(super) nodes: Vec<&'a NodeProto>,
}

/// An input that the outputs depend on.
pub(super) struct SelectedInput<'a> {
    pub(super) name: &'a str,
    pub(super) dims: Vec<usize>,
    /// Where its elements are 8-bit numbers, whether they are int8, or else uint8.
    pub(super) signed: Option<bool>,
    /// What else there is to say of it.
    pub(super) note: Option<String>,
}

/// Chooses inputs, outputs and nodes.
pub(super) fn select<'a>(
    model: &'a ModelProto,
    options: &Options,
) -> Result<Selection<'a>, GraphProblem> {
    let graph = model.graph.as_ref().ok_or(GraphProblem::NoGraph)?;
    let opset = model
        .opset_import
        .iter()
        .find(|opset| is_standard(&opset.domain));
    let opset = opset.map_or(0, |opset| opset.version);
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
    let (outputs, labels) = outputs(graph, options)?;
    let live = live(graph, &outputs)?;
    if live.len() > MAX_NODES {
        return Err(GraphProblem::Nodes {
            found: live.len(),
            most: MAX_NODES,
        });
    }
    let read: HashSet<&str> = live
        .iter()
        .flat_map(|node| &node.input)
        .chain(&outputs)
        .map(String::as_str)
        .collect();
    let used = |info: &&ValueInfoProto| {
        let name = info.name.as_str();
        // Old files list the initializers among the inputs.
        !initializers.contains_key(name) && read.contains(name)
    };
    let used: Vec<&ValueInfoProto> = graph.input.iter().filter(used).collect();
    if used.is_empty() && !graph.input.is_empty() {
        let name = outputs.into_iter().next().unwrap_or_default();
        return Err(GraphProblem::ConstantOutput { name });
    }
    GraphProblem::check_ends("inputs", used.len())?;
    let mut inputs = Vec::with_capacity(used.len());
    for (info, wanted) in used.iter().zip(input_shapes(&used, options)?) {
        inputs.push(SelectedInput {
            name: &info.name,
            signed: signed(info)?,
            note: width_note(info),
            dims: input_dims(info, wanted)?,
        });
    }
    Ok(Selection {
        opset,
        initializers,
        inputs,
        outputs,
        labels,
        nodes: live,
    })
}

/// The shape that was asked for, of each input.
fn input_shapes<'o>(
    inputs: &[&ValueInfoProto],
    options: &'o Options,
) -> Result<Vec<Option<&'o [usize]>>, GraphProblem> {
    let names = || {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        names.join(", ")
    };
    let mut shapes = vec![None; inputs.len()];
    for InputShape { name, dims } in &options.input_shapes {
        let input = match name {
            None if inputs.len() == 1 => Some(0),
            None => {
                let dims: Vec<String> = dims.iter().map(usize::to_string).collect();
                return Err(GraphProblem::AnyInput {
                    dims: dims.join(","),
                    names: names(),
                });
            }
            Some(name) => inputs.iter().position(|input| input.name == *name),
        };
        let input = input.ok_or_else(|| GraphProblem::UnknownInput {
            name: name.clone().unwrap_or_default(),
            names: names(),
        })?;
        shapes[input] = Some(dims.as_slice());
    }
    Ok(shapes)
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

/// The values that were chosen, or the graph's outputs: of those that are labels the scores, since what makes labels at
/// the end is left to whoever reads them.
fn outputs(
    graph: &GraphProto,
    options: &Options,
) -> Result<(Vec<String>, Vec<Labels>), GraphProblem> {
    let names: Vec<&String> = graph.output.iter().map(|output| &output.name).collect();
    for name in &options.outputs {
        let computed = graph.node.iter().any(|node| node.output.contains(name));
        if !computed || name.is_empty() {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            return Err(GraphProblem::UnknownOutput {
                name: name.clone(),
                names: names.join(", "),
            });
        }
    }
    let chosen: Vec<&String> = match options.outputs.is_empty() {
        true => names,
        false => options.outputs.iter().collect(),
    };
    let (mut outputs, mut labels) = (Vec::new(), Vec::new());
    for name in chosen {
        let scores = scores(graph, name).filter(|_| options.outputs.is_empty());
        if let Some(scores) = scores {
            labels.push(Labels {
                name: name.clone(),
                scores: scores.clone(),
            });
        }
        let output = scores.unwrap_or(name);
        // Scores may be an output of their own as well.
        if !outputs.contains(output) {
            outputs.push(output.clone());
        }
    }
    GraphProblem::check_ends("outputs", outputs.len())?;
    Ok((outputs, labels))
}

/// The nodes that `outputs` need, each behind those that it reads; otherwise in the order of the file.
fn live<'a>(graph: &'a GraphProto, outputs: &[String]) -> Result<Vec<&'a NodeProto>, GraphProblem> {
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
    let producer = |name: &String| producers.get(name.as_str()).copied();
    let mut needed = vec![false; graph.node.len()];
    let mut open: Vec<usize> = outputs.iter().filter_map(producer).collect();
    while let Some(index) = open.pop() {
        if std::mem::replace(&mut needed[index], true) {
            continue;
        }
        open.extend(graph.node[index].input.iter().filter_map(producer));
    }
    // Depth first: a node is placed once all that it reads are. A file in order stays as it is.
    let mut places = vec![Place::Open; graph.node.len()];
    let mut sorted = Vec::new();
    // The nodes on the way, each read by the one before it, with how many of their inputs have been followed.
    let mut way: Vec<(usize, usize)> = Vec::new();
    for index in (0..graph.node.len()).filter(|index| needed[*index]) {
        if places[index] == Place::Open {
            way.push((index, 0));
        }
        while let Some((index, followed)) = way.last_mut() {
            let index = *index;
            places[index] = Place::OnTheWay;
            let node = &graph.node[index];
            let Some(input) = node.input.get(*followed) else {
                places[index] = Place::Sorted;
                sorted.push(node);
                way.pop();
                continue;
            };
            *followed += 1;
            match producer(input).map(|before| (before, places[before])) {
                Some((before, Place::Open)) => way.push((before, 0)),
                Some((before, Place::OnTheWay)) => {
                    let circle = way.iter().skip_while(|(index, _)| *index != before);
                    let names = circle.map(|(index, _)| name_of(&graph.node[*index]));
                    let nodes = names.collect::<Vec<&str>>().join(", ");
                    return Err(GraphProblem::Cycle { nodes });
                }
                Some((_, Place::Sorted)) | None => {}
            }
        }
    }
    Ok(sorted)
}

/// How far a node has come on its way into the order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Open,
    OnTheWay,
    Sorted,
}

fn data_type(input: &ValueInfoProto) -> i32 {
    let tensor = input.r#type.as_ref().and_then(|t| t.value.as_ref());
    tensor.map_or(0, |TypeValue::TensorType(tensor)| tensor.elem_type)
}

/// What to say of an input of real numbers that are not float32.
fn width_note(input: &ValueInfoProto) -> Option<String> {
    let found = DataType::try_from(data_type(input)).ok()?;
    let is_other = tensor::is_float(found) && found != DataType::Float;
    is_other.then(|| {
        format!(
            "input {} is {} in the file: the model takes float32, and computes with it",
            input.name,
            found.name().to_lowercase()
        )
    })
}

/// Whether an input of 8-bit numbers is of signed ones; real numbers are the other type there is.
fn signed(input: &ValueInfoProto) -> Result<Option<bool>, GraphProblem> {
    let data_type = data_type(input);
    match DataType::try_from(data_type) {
        // Real numbers of another width are read as float32.
        Ok(data_type) if tensor::is_float(data_type) => Ok(None),
        Ok(DataType::Int8) => Ok(Some(true)),
        Ok(DataType::Uint8) => Ok(Some(false)),
        found => Err(GraphProblem::InputType {
            name: input.name.clone(),
            found: match found {
                Ok(other) => other.name().to_lowercase(),
                Err(_) => format!("of data type {data_type}"),
            },
        }),
    }
}

/// The dimensions of an input: as asked for, or as the file has them. A batch that is left open is 1.
fn input_dims(
    input: &ValueInfoProto,
    wanted: Option<&[usize]>,
) -> Result<Vec<usize>, GraphProblem> {
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
    let found = match (wanted, dims) {
        (Some(wanted), Some(dims)) if wanted.len() != dims.len() => {
            return Err(GraphProblem::InputAxes {
                name: input.name.clone(),
                found: wanted.len(),
                right: dims.len(),
            });
        }
        (Some(wanted), _) => wanted.to_vec(),
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
