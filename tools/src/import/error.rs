//! Why a network could not be imported: which file, which node, what is wrong and what would be right.

use std::path::PathBuf;

use kinglet_kernels::{ParamsError, Shape};

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
    /// The graph has no nodes.
    #[error("the graph has no nodes")]
    Empty,
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
    /// More or fewer inputs than one.
    #[error("the graph has {found} inputs ({names}); one is right")]
    Inputs {
        /// How many there are.
        found: usize,
        /// Their names.
        names: String,
    },
    /// An input of another shape.
    #[error(
        "input {name} is {found}; float32 [1, channels, height, width] or [1, features] is right, with known sizes"
    )]
    InputShape {
        /// The input.
        name: String,
        /// Its shape, and its data type if that is wrong, as the file has them.
        found: String,
    },
    /// More or fewer outputs than one.
    #[error("the graph has {found} outputs; one is right")]
    Outputs {
        /// How many there are.
        found: usize,
    },
    /// The output is not what the last node computes.
    #[error("the output {name} is not what the last node ({last}) computes")]
    Output {
        /// The output.
        name: String,
        /// The last node.
        last: String,
    },
}

/// What is wrong with a node.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeProblem {
    /// An operator that kinglet does not compute, or does not import yet.
    #[error("this operator cannot be imported; {known} can")]
    Operator {
        /// Those that can.
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
    /// A parameter whose values are not in the file, or of another type.
    #[error("its {what} is {found}; {right} is right")]
    Constant {
        /// What the parameter is.
        what: &'static str,
        /// What it is.
        found: String,
        /// What would be right.
        right: String,
    },
    /// Feature maps where a vector should be, or the other way round.
    #[error("it reads {found}; {right} is right")]
    Input {
        /// What it reads.
        found: String,
        /// What would be right.
        right: &'static str,
    },
    /// No kernel could compute this.
    #[error("on an input of {input} (height x width x channels): {reason}")]
    Params {
        /// Shape of its input.
        input: Shape,
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

/// What is wrong, without where in the tables.
fn first_line(error: &flatbuffers::InvalidFlatbuffer) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
