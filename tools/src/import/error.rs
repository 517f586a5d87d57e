//! Why a network could not be imported: which file, which node, what is wrong and what would be right.

use std::path::PathBuf;

use kinglet::model::schema::MAX_ENDS;
use kinglet_kernels::ParamsError;

use super::builder::BuildError;

/// A network could not be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is of another kind, or damaged.
    #[error("{}: not an ONNX model: {source}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: prost::DecodeError,
    },
    /// The file's tables are damaged, or it is of another kind.
    #[error("{}: not a TensorFlow Lite model: {}", path.display(), first_line(source))]
    Flatbuffer {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: flatbuffers::InvalidFlatbuffer,
    },
    /// One operator of a TensorFlow Lite model is not one that kinglet takes.
    #[error("{}: operator {index} ({operator}), which computes \"{output}\": {problem}", path.display())]
    Operator {
        /// The file.
        path: PathBuf,
        /// Which one, counted from 0.
        index: usize,
        /// What the schema calls it.
        operator: String,
        /// The name of the first tensor it computes.
        output: String,
        /// What is wrong with it.
        problem: Box<NodeProblem>,
    },
    /// The network as a whole is not one that kinglet takes.
    #[error("{}: {problem}", path.display())]
    Graph {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: GraphProblem,
    },
    /// One node is not one that kinglet takes.
    #[error("{}: node {node} ({operator}): {problem}", path.display())]
    Node {
        /// The file.
        path: PathBuf,
        /// The node's name, or that of its output if it has none.
        node: String,
        /// The node's operator.
        operator: String,
        /// What is wrong with it.
        problem: Box<NodeProblem>,
    },
}

/// What is wrong with a network as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphProblem {
    /// The message has no graph in it.
    #[error("not an ONNX model: there is no graph in it")]
    NoGraph,
    /// Operators of a version that is not known.
    #[error("its operator set is version {found}; {oldest} to {newest} are right")]
    OperatorSet {
        /// The file's version.
        found: i64,
        /// The oldest that is read.
        oldest: i64,
        /// The newest that is read.
        newest: i64,
    },
    /// More or fewer graphs than one.
    #[error("the model has {found} subgraphs; one is right")]
    Subgraphs {
        /// How many there are.
        found: usize,
    },
    /// An input of another type or number of axes.
    #[error(
        "input {name} is {found}; float32, int8 or uint8 [1, height, width, channels], [1, height, width] or [1, features] is right, with known sizes"
    )]
    InputTensor {
        /// The input.
        name: String,
        /// Its data type and shape as the file has them.
        found: String,
    },
    /// Nothing computes the output.
    #[error("no operator computes the output {name}")]
    UncomputedOutput {
        /// The output.
        name: String,
    },
    /// No inputs or outputs, or more than a model may have.
    #[error("the graph has {found} {what}; 1 to {most} are right")]
    Ends {
        /// How many there are.
        found: usize,
        /// Inputs or outputs.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// An input of another type.
    #[error("input {name} is {found}; float32, or quantized uint8 or int8, is right")]
    InputType {
        /// The input.
        name: String,
        /// Its data type.
        found: String,
    },
    /// An input of unknown sizes.
    #[error("input {name} is {found}; known sizes are right: --input-shape gives them")]
    InputShape {
        /// The input.
        name: String,
        /// Its shape as the file has it.
        found: String,
    },
    /// An input shape that may be that of several inputs.
    #[error(
        "--input-shape {dims}: the graph has the inputs {names}; --input-shape NAME={dims} says which"
    )]
    AnyInput {
        /// The shape.
        dims: String,
        /// The inputs.
        names: String,
    },
    /// An input shape of no input.
    #[error("--input-shape: there is no input {name}; the inputs are {names}")]
    UnknownInput {
        /// What was asked for.
        name: String,
        /// The inputs.
        names: String,
    },
    /// An input shape of another number of axes was asked for.
    #[error("--input-shape has {found} numbers, but input {name} has {right} axes")]
    InputAxes {
        /// The input.
        name: String,
        /// Numbers given.
        found: usize,
        /// Axes there are.
        right: usize,
    },
    /// Nothing computes the output.
    #[error("no node computes the output {name}; the graph's outputs are {names}")]
    UnknownOutput {
        /// The output.
        name: String,
        /// Those that the file has.
        names: String,
    },
    /// A node has the output, but it is not computed here.
    #[error(
        "the output {name} is one that is not computed here; --output-name chooses another value"
    )]
    AbsentOutput {
        /// The output.
        name: String,
    },
    /// The output is the same for every input.
    #[error("the output {name} does not depend on the input")]
    ConstantOutput {
        /// The output.
        name: String,
    },
    /// More nodes than any small network has.
    #[error("{found} nodes lead to the output; at most {most} are right")]
    Nodes {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// Nodes that wait for each other.
    #[error(
        "these nodes read each other's outputs in a circle: {nodes}; an order in which each could be computed is right"
    )]
    Cycle {
        /// Their names, in the order in which one reads the next.
        nodes: String,
    },
    /// Two nodes compute the same value.
    #[error("two nodes compute {value}; one is right")]
    Duplicate {
        /// The value.
        value: String,
    },
    /// More elements than a model may have.
    #[error("input {name} of the shape {found} is too large; {right} are right")]
    TooLarge {
        /// The input.
        name: String,
        /// Its shape, and how many elements that is.
        found: String,
        /// How many there may be.
        right: String,
    },
}

impl GraphProblem {
    /// Refuses a number of inputs or outputs, whichever `what` says, that no model has.
    pub(super) fn check_ends(what: &'static str, found: usize) -> Result<(), Self> {
        match found {
            1..=MAX_ENDS => Ok(()),
            _ => Err(Self::Ends {
                found,
                what,
                most: MAX_ENDS,
            }),
        }
    }
}

/// What is wrong with a node.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeProblem {
    /// An operator that kinglet does not compute, or does not import yet.
    #[error(
        "this operator cannot be imported; docs/import.md has the table of those that can{}",
        alike(similar)
    )]
    Operator {
        /// Those that can and have a similar name.
        similar: Vec<&'static str>,
    },
    /// An operator that remembers earlier inputs, or repeats a part of the network.
    #[error(
        "{layer} cannot be imported: what kinglet runs has no loops and remembers nothing of earlier inputs; 1-D convolutions over the whole sequence in its place are right, or the part of the network before it (--output-name names where it ends)"
    )]
    Recurrent {
        /// What it is, in words.
        layer: &'static str,
    },
    /// An operator that makes labels of scores.
    #[error(
        "a model's output is its scores, of which it makes labels; --output-name {scores} takes what it reads as the output"
    )]
    Labels {
        /// The value it reads.
        scores: String,
    },
    /// An attribute that may change what the node computes.
    #[error("its attribute {name} is not known; {known} are")]
    UnknownAttribute {
        /// The attribute.
        name: String,
        /// Those of the operator.
        known: String,
    },
    /// An attribute with a value that kinglet does not compute.
    #[error("{name} is {found}; {right} is right")]
    Attribute {
        /// The attribute.
        name: &'static str,
        /// Its value.
        found: String,
        /// What would be right.
        right: String,
    },
    /// The node reads a value that no earlier node computes.
    #[error("it reads \"{value}\", which is neither the input nor what an earlier node computes")]
    Value {
        /// The value's name.
        value: String,
    },
    /// The node reads an output that its producer is not imported with.
    #[error("it reads \"{value}\", an output of {operator} that is not computed here")]
    Output {
        /// The value's name.
        value: String,
        /// The operator whose output it is.
        operator: String,
    },
    /// A parameter that is not there.
    #[error("its {what} is missing")]
    Missing {
        /// What the parameter is.
        what: &'static str,
    },
    /// A parameter that is computed rather than given.
    #[error("its {what} (\"{value}\") must be a constant of the file")]
    NotConstant {
        /// What the parameter is.
        what: &'static str,
        /// The value's name.
        value: String,
    },
    /// A parameter of another type or shape.
    #[error("its {what} is {found}; {right} is right")]
    Constant {
        /// What the parameter is.
        what: &'static str,
        /// What it is.
        found: String,
        /// What would be right.
        right: String,
    },
    /// A tensor of the file that cannot be read.
    #[error("\"{value}\" is {found}; {right} is right")]
    Tensor {
        /// The tensor's name.
        value: String,
        /// What it is.
        found: String,
        /// What would be right.
        right: String,
    },
    /// An input of another shape.
    #[error("it reads {found}; {right} is right")]
    Input {
        /// What it reads.
        found: String,
        /// What would be right.
        right: &'static str,
    },
    /// Several samples at once.
    #[error("it reads a batch of {found}; a batch of 1 is right: --input-shape 1,...")]
    Batch {
        /// Samples it reads.
        found: usize,
    },
    /// More than a model may have, or than a file of this size has reason to.
    #[error("a tensor of the shape {found} is too large; {right} are right")]
    TooLarge {
        /// The tensor's shape, and how many elements that is.
        found: String,
        /// How many there may be.
        right: String,
    },
    /// No kernel could compute this.
    #[error("on an input of {input}: {reason}")]
    Params {
        /// Shape of its input as the file has it.
        input: String,
        /// What is wrong.
        reason: ParamsError,
    },
    /// What the node asks for cannot be expressed.
    #[error("{reason}")]
    Refused {
        /// What, and what would be right.
        reason: String,
    },
}

impl NodeProblem {
    /// What is wrong with a node that reads a tensor of the shape `dims`.
    pub(crate) fn params(dims: &[usize], reason: ParamsError) -> Self {
        Self::Params {
            input: format!("{dims:?}"),
            reason,
        }
    }
}

impl From<ParamsError> for NodeProblem {
    fn from(error: ParamsError) -> Self {
        Self::Refused {
            reason: error.to_string(),
        }
    }
}

impl From<BuildError> for NodeProblem {
    fn from(error: BuildError) -> Self {
        Self::Refused {
            reason: error.to_string(),
        }
    }
}

/// The end of a sentence that names operators with a similar name.
fn alike(similar: &[&str]) -> String {
    match similar {
        [] => String::new(),
        names => format!("; of a similar name: {}", names.join(", ")),
    }
}

/// Of `known` operators those whose name is so near that a slip or another spelling may have made `name` of it: the
/// nearest first, three at most.
pub(super) fn similar(name: &str, known: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    const NEAR: f64 = 0.9;
    let lower = name.to_lowercase();
    let mut similar: Vec<(f64, &str)> = known
        .map(|known| (strsim::jaro_winkler(&lower, &known.to_lowercase()), known))
        .filter(|(similarity, _)| *similarity >= NEAR)
        .collect();
    similar.sort_by(|a, b| b.0.total_cmp(&a.0));
    similar.into_iter().map(|(_, name)| name).take(3).collect()
}

/// What is wrong, without where in the tables.
fn first_line(error: &flatbuffers::InvalidFlatbuffer) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
