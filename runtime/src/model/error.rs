//! Why a model file was refused.

use kinglet_kernels::ParamsError;

use crate::operator::WeightsOrder;

/// Why a model file was refused. Numbers are those found in the file, unless the name says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes end before the file does.
    Truncated,
    /// The first bytes are not those of a model file.
    Magic,
    /// Another format version; this crate reads [`FORMAT_VERSION`](super::schema::FORMAT_VERSION).
    Version {
        /// The file's version.
        found: u32,
    },
    /// The prefix is damaged.
    PrefixCrc,
    /// The file is not as long as its prefix says.
    Length {
        /// What the prefix says.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The body (everything after the prefix) is damaged.
    BodyCrc,
    /// The bytes do not lie at a multiple of four, so the weights cannot be used in place.
    Misaligned,
    /// The body is not a valid postcard message of the schema.
    Malformed,
    /// More tensors than [`MAX_TENSORS`](super::schema::MAX_TENSORS), or not one for each input and node.
    TensorCount {
        /// The number of tensors.
        found: usize,
    },
    /// The weights are not where the prefix says, or not aligned.
    WeightsPlace,
    /// A tensor is empty, too large, misaligned, or outside of the arena.
    Tensor {
        /// Its number.
        tensor: usize,
    },
    /// Two tensors that live at the same time overlap in the arena.
    Overlap {
        /// The earlier one.
        first: usize,
        /// The later one.
        second: usize,
    },
    /// A node reads a tensor that is not computed yet, or that the plan has released.
    Lifetime {
        /// The node's number.
        node: usize,
    },
    /// A node's operator is none of those that the file was to be read with.
    Operator {
        /// The node's number.
        node: usize,
        /// The operator's name.
        name: &'static str,
    },
    /// A node has another number of inputs than its operator, or its output has another shape.
    Shape {
        /// The node's number.
        node: usize,
    },
    /// A node's parameters are not possible.
    Params {
        /// The node's number.
        node: usize,
        /// What is wrong with them.
        reason: ParamsError,
    },
    /// A node's parameters lie outside of the weights, or misaligned.
    Weights {
        /// The node's number.
        node: usize,
    },
    /// A node's weights are in an order that this version does not know, for weights of their type.
    WeightsOrder {
        /// The node's number.
        node: usize,
        /// The order.
        order: WeightsOrder,
    },
    /// The prefix states a number that the graph does not bear out.
    Prefix {
        /// Which one.
        field: &'static str,
        /// What the graph gives.
        expected: usize,
        /// What the prefix says.
        found: usize,
    },
    /// The normalization does not match the input: its length, or a value that is not finite and positive.
    Normalization,
    /// The scale of a quantized tensor is not finite and positive.
    Scale {
        /// The tensor's number.
        tensor: usize,
    },
    /// The model has no input or no output, or more than [`MAX_ENDS`](super::schema::MAX_ENDS).
    Ends {
        /// How many of them.
        found: usize,
    },
    /// An output of the model is not there when the last node has run, or is not what its trainable suffix writes.
    Output {
        /// Its position among the outputs.
        output: usize,
    },
    /// The array that an input or output is in its source has another number of elements, or axes twice.
    Source,
    /// The element types of a node's tensors, or what their numbers mean, do not fit its operator.
    DType {
        /// The node's number.
        node: usize,
    },
    /// The number of labels is neither 0 nor that of the outputs.
    Labels {
        /// The number of labels.
        found: usize,
        /// The number of outputs.
        outputs: usize,
    },
    /// The trainable suffix holds a node that cannot be trained on a device, or branches.
    Suffix {
        /// The node's number.
        node: usize,
    },
    /// The file needs an extension that this version does not know.
    Extension {
        /// Its number.
        id: u32,
    },
}

impl core::fmt::Display for LoadError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Truncated => write!(f, "the model file is cut short"),
            Self::Magic => write!(f, "not a kinglet model file"),
            Self::Version { found } => write!(
                f,
                "the model file has format version {found}, this program reads version {}",
                super::schema::FORMAT_VERSION
            ),
            Self::PrefixCrc => write!(f, "the prefix of the model file is damaged (CRC mismatch)"),
            Self::Length { expected, found } => write!(
                f,
                "the model file should have {expected} bytes but has {found}"
            ),
            Self::BodyCrc => write!(f, "the model file is damaged (CRC mismatch)"),
            Self::Misaligned => write!(
                f,
                "the model's bytes must lie at a multiple of 4 in memory (use include_model! or an aligned buffer)"
            ),
            Self::Malformed => write!(f, "the body of the model file is not of the format"),
            Self::TensorCount { found } => write!(
                f,
                "{found} tensors: there must be one for each input and node, and at most {}",
                super::schema::MAX_TENSORS
            ),
            Self::WeightsPlace => write!(f, "the weights are not where the prefix says"),
            Self::Tensor { tensor } => {
                write!(
                    f,
                    "tensor {tensor} is empty, too large or outside of the arena"
                )
            }
            Self::Overlap { first, second } => write!(
                f,
                "tensors {first} and {second} are in use at the same time and overlap"
            ),
            Self::Lifetime { node } => {
                write!(
                    f,
                    "node {node} reads a tensor that does not exist at that time"
                )
            }
            Self::Operator { node, name } => write!(
                f,
                "node {node} is {name}, which this program was built without"
            ),
            Self::Shape { node } => write!(f, "the tensors of node {node} do not fit its operator"),
            Self::Params { node, reason } => write!(f, "node {node}: {reason}"),
            Self::Weights { node } => {
                write!(
                    f,
                    "the parameters of node {node} lie outside of the weights"
                )
            }
            Self::WeightsOrder { node, order } => write!(
                f,
                "the weights of node {node} are in order {}; this program reads order 0 (OHWI), and of 8-bit weights 1 (pairs of rows)",
                order.0
            ),
            Self::Prefix {
                field,
                expected,
                found,
            } => write!(
                f,
                "the prefix says {field} = {found}, the graph gives {expected}"
            ),
            Self::Normalization => write!(
                f,
                "the normalization does not match the input's channels or is not finite and positive"
            ),
            Self::Scale { tensor } => {
                write!(f, "the scale of tensor {tensor} is not finite and positive")
            }
            Self::Ends { found } => write!(
                f,
                "{found} inputs or outputs: a model has at least one of each, and at most {}",
                super::schema::MAX_ENDS
            ),
            Self::Output { output } => write!(
                f,
                "output {output} is not there when the model has run, or not what its trainable layers write"
            ),
            Self::Source => write!(
                f,
                "the array of an input or output in its source does not have the tensor's elements"
            ),
            Self::DType { node } => write!(
                f,
                "the element types of the tensors of node {node} do not fit its operator"
            ),
            Self::Labels { found, outputs } => write!(
                f,
                "there are {found} class labels for {outputs} outputs; one for each, or none, is right"
            ),
            Self::Suffix { node } => write!(f, "node {node} cannot be part of a trainable suffix"),
            Self::Extension { id } => {
                write!(
                    f,
                    "the model needs extension {id}, which this program does not know"
                )
            }
        }
    }
}

impl core::error::Error for LoadError {}
