//! Writing model files, on the host: the plan is solved, parameters are laid out, the prefix is computed,
//! and the result is loaded once before it is handed out.

use std::string::String;
use std::vec::Vec;

use kinglet_kernels::Shape;
use sha2::{Digest, Sha256};

use super::parameters::Weights;
use super::schema::{
    DType, FORMAT_VERSION, File, Graph, MAGIC, MAX_ELEMENTS, MAX_INPUTS, MAX_TENSORS, Node,
    Operator, PREFIX_LEN, Prefix, TENSOR_ALIGN, Tensor, WEIGHTS_ALIGN, bits,
};
use super::spec::GraphSpec;
use super::{CRC, LoadError, Model, ModelId};
use crate::plan::{Plan, lifetimes, solve};
use crate::record::{Inputs, Record, resolve};

/// Why a graph could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// A node reads a tensor that no earlier node writes; or none, or more than
    /// [`MAX_INPUTS`](super::schema::MAX_INPUTS).
    Input {
        /// The node's number.
        node: usize,
    },
    /// A parameter has another number of elements than its operator needs.
    Parameters {
        /// The node's number.
        node: usize,
        /// Elements the operator needs.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// The file would be 4 GiB or more.
    TooLarge {
        /// A number of bytes that does not fit into the file.
        found: usize,
    },
    /// The file would not load: why.
    Refused(LoadError),
}

impl EncodeError {
    /// A number of bytes as the file has it.
    pub(super) fn word(found: usize) -> Result<u32, Self> {
        u32::try_from(found).map_err(|_| Self::TooLarge { found })
    }
}

impl core::fmt::Display for EncodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Input { node } => write!(
                f,
                "node {node} reads a tensor that is not there yet, or none, or more than {MAX_INPUTS}"
            ),
            Self::Parameters {
                node,
                expected,
                found,
            } => write!(
                f,
                "node {node} needs {expected} parameters of a kind but has {found}"
            ),
            Self::TooLarge { found } => write!(
                f,
                "the model file counts bytes up to {}, but would have to count to {found}",
                u32::MAX
            ),
            Self::Refused(reason) => write!(f, "the graph makes no valid model: {reason}"),
        }
    }
}

impl core::error::Error for EncodeError {}

impl From<LoadError> for EncodeError {
    fn from(reason: LoadError) -> Self {
        Self::Refused(reason)
    }
}

/// Writes `spec` as a model file, and returns its plan too.
///
/// # Errors
/// [`EncodeError`] if the graph is not one that a runtime would load.
pub fn encode(spec: &GraphSpec) -> Result<(Vec<u8>, Plan), EncodeError> {
    // What no reader would take is refused before the plan is solved, whose time grows with it.
    let found = spec.nodes.len().saturating_add(1);
    if found > MAX_TENSORS {
        return Err(LoadError::TensorCount { found }.into());
    }
    let mut weights = Weights::default();
    let mut tensors = std::vec![new_tensor(spec.input, DType::F32, 0)];
    let mut nodes = Vec::new();
    for (index, node) in spec.nodes.iter().enumerate() {
        let refused = EncodeError::Input { node: index };
        let mut inputs = Inputs::new();
        let mut numbers = heapless::Vec::new();
        for read in &node.inputs {
            let tensor = tensors.get_mut(*read).ok_or(refused)?;
            tensor.last_use = narrow(index)?;
            inputs.push(*tensor).map_err(|_| refused)?;
            numbers.push(narrow(*read)?).map_err(|_| refused)?;
        }
        let (operator, output, dtype) = weights.write(index, &node.operator, &inputs)?;
        nodes.push(Node {
            operator,
            inputs: numbers,
        });
        tensors.push(new_tensor(output, dtype, narrow(index)?));
    }

    if let Some(tensor) = tensors.iter().position(|t| t.shape.len() > MAX_ELEMENTS) {
        return Err(LoadError::Tensor { tensor }.into());
    }
    exchange_operands(&mut nodes, &tensors);
    let plan = solve(&lifetimes(&tensors, &nodes));
    for (tensor, offset) in tensors.iter_mut().zip(&plan.offsets) {
        tensor.offset = EncodeError::word(*offset)?;
    }
    let labels: Vec<&str> = spec.labels.iter().map(String::as_str).collect();
    let graph = Graph {
        name: &spec.name,
        tensors,
        nodes,
        mean: spec.mean.clone(),
        std: spec.std.clone(),
        labels,
        trainable_nodes: narrow(spec.trainable_nodes)?,
        extensions: Vec::new(),
    };
    let file = assemble(&graph, &weights.bytes, None)?;
    Ok((file, plan))
}

/// Writes `model` again with other parameters in its trainable suffix, as a fine-tuned model whose parent
/// is `model`. `head` is what [`FineTuner::weights`](crate::FineTuner::weights) returns.
///
/// # Errors
/// [`EncodeError::Parameters`] if `head` has another length.
pub fn with_head(model: &Model<'_>, head: &[f32]) -> Result<Vec<u8>, EncodeError> {
    let expected = model.sizes().trainable_parameters;
    let first = model.nodes().len() - model.trainable_nodes();
    if head.len() != expected {
        return Err(EncodeError::Parameters {
            node: first,
            expected,
            found: head.len(),
        });
    }
    // Words that hold 8-bit numbers are no floats, so they stay bytes.
    let mut weights: Vec<u8> = bytemuck::cast_slice(model.weights()).to_vec();
    let tensors: Vec<Tensor> = model.tensors().iter().collect();
    let mut head = head;
    for (index, node) in model.nodes().iter().enumerate().skip(first) {
        if let Operator::LinearF32 {
            weights: offset,
            bias,
            ..
        } = node.operator
        {
            let input = tensors[usize::from(node.inputs[0])].shape.len();
            let outputs = tensors[index + 1].shape.len();
            let mut write = |offset: u32, len: usize| {
                let (part, rest) = head.split_at(len);
                let bytes: &[u8] = bytemuck::cast_slice(part);
                weights[offset as usize..][..bytes.len()].copy_from_slice(bytes);
                head = rest;
            };
            write(offset, input * outputs);
            if let Some(offset) = bias {
                write(offset, outputs);
            }
        }
    }
    let graph = Graph {
        name: model.name(),
        tensors,
        nodes: model.nodes().iter().collect(),
        mean: model.mean().iter().collect(),
        std: model.std().iter().collect(),
        labels: model.labels().iter().collect(),
        trainable_nodes: narrow(model.trainable_nodes())?,
        extensions: model.extensions().iter().collect(),
    };
    assemble(&graph, &weights, Some(model.id()))
}

/// Puts first what a function of two tensors may write over, where it is the same either way round.
fn exchange_operands(nodes: &mut [Node], tensors: &[Tensor]) {
    for (index, node) in nodes.iter_mut().enumerate() {
        let commutes = match node.operator {
            Operator::BinaryF32 { function, .. } => function.commutes(),
            Operator::AddI8 { .. } => true,
            _ => continue,
        };
        let [first, second] = node.inputs.as_mut_slice() else {
            continue;
        };
        let (x, o) = (
            &tensors[usize::from(*first)],
            &tensors[usize::from(*second)],
        );
        let dies_here = |tensor: &Tensor| usize::from(tensor.last_use) == index;
        if commutes && x.shape == o.shape && !dies_here(x) && dies_here(o) {
            core::mem::swap(first, second);
        }
    }
}

fn new_tensor(shape: Shape, dtype: DType, last_use: u16) -> Tensor {
    Tensor {
        shape,
        dtype,
        offset: 0,
        last_use,
    }
}

fn narrow(number: usize) -> Result<u16, EncodeError> {
    u16::try_from(number)
        .map_err(|_| EncodeError::Refused(LoadError::TensorCount { found: number }))
}

/// Puts graph and weights together, computes the prefix, and loads the result.
fn assemble(
    graph: &Graph<'_>,
    weights: &[u8],
    parent: Option<ModelId>,
) -> Result<Vec<u8>, EncodeError> {
    let malformed = |_| EncodeError::Refused(LoadError::Malformed);
    let graph_bytes = postcard::to_stdvec(graph).map_err(malformed)?;
    let digest = Sha256::new()
        .chain_update(&graph_bytes)
        .chain_update(weights)
        .finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);

    let padding = padding_for(graph_bytes.len(), weights.len());
    let padding_bytes = std::vec![0; padding];
    let body =
        postcard::to_stdvec(&(graph, padding_bytes.as_slice(), weights)).map_err(malformed)?;
    let file_len = PREFIX_LEN + body.len();

    let word = |number: usize| -> Result<[u8; 4], EncodeError> {
        Ok(EncodeError::word(number)?.to_le_bytes())
    };
    let totals = Totals::of(graph, weights.len() / 4)?;
    let mut prefix = Prefix {
        magic: MAGIC,
        format_version: FORMAT_VERSION.to_le_bytes(),
        model_id: id,
        parent_id: parent.map_or([0; 16], |parent| parent.0),
        body_crc: CRC.checksum(&body).to_le_bytes(),
        file_len: word(file_len)?,
        weights_offset: word(file_len - weights.len())?,
        weights_len: word(weights.len())?,
        input_len: word(graph.tensors.first().map_or(0, |t| t.shape.len()))?,
        output_len: word(graph.tensors.last().map_or(0, |t| t.shape.len()))?,
        activation_bytes: word(totals.activation_bytes)?,
        scratch_bytes: word(totals.scratch_bytes)?,
        records: word(graph.nodes.len())?,
        trainable_parameters: word(totals.trainable_parameters)?,
        suffix_values: word(totals.suffix_values)?,
        operators: totals.operators.to_le_bytes(),
        prefix_crc: [0; 4],
    };
    let bytes = postcard::to_stdvec(&prefix).map_err(malformed)?;
    prefix.prefix_crc = CRC.checksum(&bytes[..PREFIX_LEN - 4]).to_le_bytes();
    let mut file = postcard::to_stdvec(&prefix).map_err(malformed)?;
    file.extend_from_slice(&body);

    let mut aligned: Vec<u128> = std::vec![0; file.len().div_ceil(16)];
    let copy: &mut [u8] = bytemuck::cast_slice_mut(&mut aligned);
    copy[..file.len()].copy_from_slice(&file);
    Model::load(&copy[..file.len()])?;
    debug_assert!(postcard::from_bytes::<File<'_>>(&file).is_ok());
    Ok(file)
}

/// Bytes of padding that bring the weights to a multiple of [`WEIGHTS_ALIGN`]: the lengths of both byte
/// strings are varints before them.
fn padding_for(graph: usize, weights: usize) -> usize {
    let varint = |number: usize| (usize::BITS - number.leading_zeros()).div_ceil(7).max(1) as usize;
    (0..2 * WEIGHTS_ALIGN)
        .find(|padding| {
            let offset = PREFIX_LEN + graph + varint(*padding) + padding + varint(weights);
            offset.is_multiple_of(WEIGHTS_ALIGN)
        })
        .unwrap_or(0)
}

/// The prefix's numbers that follow from the graph.
struct Totals {
    activation_bytes: usize,
    scratch_bytes: usize,
    trainable_parameters: usize,
    suffix_values: usize,
    operators: u64,
}

impl Totals {
    fn of(graph: &Graph<'_>, weights: usize) -> Result<Self, EncodeError> {
        let mut totals = Self {
            activation_bytes: 0,
            scratch_bytes: 0,
            trainable_parameters: 0,
            suffix_values: 0,
            operators: 0,
        };
        for tensor in &graph.tensors {
            let end = tensor.offset as usize + tensor.bytes();
            totals.activation_bytes = totals
                .activation_bytes
                .max(end.next_multiple_of(TENSOR_ALIGN));
        }
        let suffix = graph
            .nodes
            .len()
            .saturating_sub(usize::from(graph.trainable_nodes));
        for (index, node) in graph.nodes.iter().enumerate() {
            let inputs = node.inputs.iter();
            let inputs: Vec<Tensor> = inputs.map(|t| graph.tensors[usize::from(*t)]).collect();
            let output = &graph.tensors[index + 1];
            let record: Record = resolve::<{ bits::ALL }>(index, node, &inputs, output, weights)?;
            totals.scratch_bytes = totals.scratch_bytes.max(record.operation.scratch_bytes());
            totals.operators |= node.operator.bit();
            if index >= suffix {
                totals.trainable_parameters += record.operation.parameters();
                totals.suffix_values += output.shape.len();
            }
        }
        Ok(totals)
    }
}
