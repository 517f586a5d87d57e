//! Writing model files, on the host: the plan is solved, parameters are laid out, the prefix is computed,
//! and the result is loaded once before it is handed out.

use std::string::String;
use std::vec::Vec;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::check::Totals;
use super::parameters::{Fetch, Store};
use super::schema::{
    FORMAT_VERSION, File, Graph, Input, MAGIC, MAX_ELEMENTS, MAX_INPUTS, MAX_TENSORS, Node, Output,
    PREFIX_LEN, Prefix, TENSOR_ALIGN, Tensor, WEIGHTS_ALIGN, bits,
};
use super::spec::{GraphSpec, InputSpec, NodeSpec, OutputSpec, TensorSpec};
use super::{CRC, LoadError, Model, ModelId, Target};
use crate::operator::{Map, Operation, Operator, Owned, Site, resolve};
use crate::plan::{Plan, lifetimes, solve};
use crate::record::{Inputs, records};

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
    /// An output of the model is a tensor that there is not.
    Output {
        /// Its position among the outputs.
        output: usize,
    },
    /// A class name contains a line feed, which would end it.
    Label {
        /// Its number.
        label: usize,
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
            Self::Output { output } => write!(f, "output {output} is a tensor that there is not"),
            Self::Label { label } => write!(f, "the name of class {label} contains a line feed"),
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

/// Writes `spec` as a model file for any machine, and returns its plan too.
///
/// # Errors
/// [`EncodeError`] if the graph is not one that a runtime would load.
pub fn encode(spec: &GraphSpec) -> Result<(Vec<u8>, Plan), EncodeError> {
    write(Target::Generic, spec, None)
}

/// Writes `model` again, as `target` reads it best. It is the same model, with the same id.
///
/// # Errors
/// [`EncodeError::TooLarge`] if the file would be.
pub fn encode_for(target: Target, model: &Model<'_>) -> Result<Vec<u8>, EncodeError> {
    Ok(write(target, &GraphSpec::of(model)?, model.parent())?.0)
}

/// Writes `model` again with other parameters in its trainable suffix, as a fine-tuned model whose parent
/// is `model`. `head` is what [`FineTuner::weights`](crate::FineTuner::weights) returns.
///
/// # Errors
/// [`EncodeError::Parameters`] if `head` has another length.
pub fn with_head(model: &Model<'_>, head: &[f32]) -> Result<Vec<u8>, EncodeError> {
    let mut spec = GraphSpec::of(model)?;
    let first = spec.nodes.len() - spec.trainable_nodes;
    let expected = model.sizes().trainable_parameters;
    if head.len() != expected {
        return Err(EncodeError::Parameters {
            node: first,
            expected,
            found: head.len(),
        });
    }
    let mut head = head.iter();
    for node in &mut spec.nodes[first..] {
        if let Operator::Linear(linear) = &mut node.operator {
            let bias = linear.layer.bias.iter_mut().flatten();
            let parameters = linear.layer.weights.iter_mut().chain(bias);
            parameters.zip(&mut head).for_each(|(to, from)| *to = *from);
        }
    }
    Ok(write(Target::of(model), &spec, Some(model.id()))?.0)
}

impl GraphSpec {
    /// The graph of a model, to be written again.
    ///
    /// # Errors
    /// None that a loaded model could cause.
    pub fn of(model: &Model<'_>) -> Result<Self, EncodeError> {
        let of = |tensor: &Tensor| TensorSpec {
            shape: tensor.shape,
            dtype: tensor.dtype,
        };
        let inputs = model.inputs().iter().zip(model.tensors().iter());
        let inputs = inputs.map(|(input, tensor)| {
            let normalization = super::Normalization::new(input.normalization);
            InputSpec {
                name: input.name.into(),
                tensor: of(&tensor),
                source: input.source,
                mean: normalization.mean().collect(),
                std: normalization.std().collect(),
            }
        });
        let outputs = model.outputs().iter().map(|output| OutputSpec {
            name: output.name.into(),
            tensor: usize::from(output.tensor),
            source: output.source,
            labels: super::Labels::new(output.labels)
                .iter()
                .map(String::from)
                .collect(),
        });
        let words = model.weights();
        let nodes = model.graph().nodes_with_outputs::<{ bits::ALL }>();
        let nodes = nodes.zip(records::<{ bits::ALL }>(model)).enumerate();
        let nodes = nodes.map(|(index, ((node, output), record))| {
            let lens = record?.operation.lens();
            let mut fetch = Fetch {
                node: index,
                // Those of 8-bit layers, which have a scale for each.
                rows: lens[2].unwrap_or(0),
                lens: lens.into_iter().flatten(),
                words,
            };
            Ok(NodeSpec {
                operator: node.operator.map(&mut fetch)?,
                inputs: node
                    .inputs
                    .iter()
                    .map(|number| usize::from(*number))
                    .collect(),
                output: of(&output),
            })
        });
        Ok(Self {
            name: model.name().into(),
            inputs: inputs.collect(),
            nodes: nodes.collect::<Result<_, LoadError>>()?,
            outputs: outputs.collect(),
            trainable_nodes: model.trainable_nodes(),
        })
    }
}

fn write(
    target: Target,
    spec: &GraphSpec,
    parent: Option<ModelId>,
) -> Result<(Vec<u8>, Plan), EncodeError> {
    // What no reader would take is refused before the plan is solved, whose time grows with it.
    let found = spec.inputs.len().saturating_add(spec.nodes.len());
    if found > MAX_TENSORS {
        return Err(LoadError::TensorCount { found }.into());
    }
    let mut tensors = tensors_of(spec)?;
    if let Some(tensor) = tensors.iter().position(|t| t.shape.len() > MAX_ELEMENTS) {
        return Err(LoadError::Tensor { tensor }.into());
    }
    let reads: Vec<Vec<usize>> = (0..spec.nodes.len())
        .map(|index| reads_of(spec, index, &tensors))
        .collect();
    let mut store = Store::default();
    let mut nodes = Vec::with_capacity(spec.nodes.len());
    let mut totals = Totals::default();
    let suffix = spec.nodes.len().saturating_sub(spec.trainable_nodes);
    for (index, (node, reads)) in spec.nodes.iter().zip(&reads).enumerate() {
        let refused = EncodeError::Input { node: index };
        let mut inputs = Inputs::new();
        let mut numbers = heapless::Vec::new();
        for read in reads {
            inputs.push(tensors[*read]).map_err(|_| refused)?;
            numbers.push(narrow(*read)?).map_err(|_| refused)?;
        }
        let output = tensors[spec.inputs.len() + index];
        store.lens.clear();
        store.row_len_of_pairs = inputs
            .first()
            .and_then(|input| target.row_len_of_pairs(&node.operator, input));
        let operator = node.operator.map(&mut store)?;
        let site = Site::new(index, &inputs, &output, usize::MAX / 4)?;
        let (operation, shape) = resolve::<{ bits::ALL }>(&operator, &site)?;
        if shape != output.shape {
            return Err(LoadError::Shape { node: index }.into());
        }
        check_lens(index, &operation, &store.lens)?;
        totals.add(&operation, &output, index >= suffix);
        nodes.push(Node {
            operator,
            inputs: numbers,
        });
    }
    let outputs: Vec<usize> = spec.outputs.iter().map(|output| output.tensor).collect();
    let plan = solve(&lifetimes(spec.inputs.len(), &tensors, &nodes, &outputs));
    for (tensor, offset) in tensors.iter_mut().zip(&plan.offsets) {
        tensor.offset = EncodeError::word(*offset)?;
    }
    let id = id_of(spec, &reads)?;
    let file = assemble(spec, tensors, nodes, &store.bytes, &totals, (id, parent))?;
    Ok((file, plan))
}

/// The tensors of a graph, with their last uses.
fn tensors_of(spec: &GraphSpec) -> Result<Vec<Tensor>, EncodeError> {
    let (inputs, last) = (spec.inputs.len(), spec.nodes.len().saturating_sub(1));
    let written = spec.nodes.iter().map(|node| node.output);
    let first_uses = (0..inputs).map(|_| 0).chain(0..spec.nodes.len());
    let all = spec.inputs.iter().map(|input| input.tensor).chain(written);
    let mut tensors = Vec::with_capacity(inputs + spec.nodes.len());
    for (TensorSpec { shape, dtype }, first_use) in all.zip(first_uses) {
        tensors.push(Tensor {
            shape,
            dtype,
            offset: 0,
            last_use: narrow(first_use)?,
        });
    }
    for (index, node) in spec.nodes.iter().enumerate() {
        if !(1..=MAX_INPUTS).contains(&node.inputs.len()) {
            return Err(EncodeError::Input { node: index });
        }
        for read in &node.inputs {
            let earlier = tensors.get_mut(..inputs + index);
            let tensor = earlier.and_then(|earlier| earlier.get_mut(*read));
            let tensor = tensor.ok_or(EncodeError::Input { node: index })?;
            tensor.last_use = tensor.last_use.max(narrow(index)?);
        }
    }
    for (index, output) in spec.outputs.iter().enumerate() {
        let tensor = tensors.get_mut(output.tensor);
        tensor
            .ok_or(EncodeError::Output { output: index })?
            .last_use = narrow(last)?;
    }
    Ok(tensors)
}

/// The tensors that node number `index` reads: first what a function of two tensors may write over, where it is the
/// same either way round.
fn reads_of(spec: &GraphSpec, index: usize, tensors: &[Tensor]) -> Vec<usize> {
    let node = &spec.nodes[index];
    let commutes = match &node.operator {
        Operator::Binary(binary) => binary.function.commutes(),
        Operator::QuantizedAdd(_) => true,
        Operator::QuantizedBinary(binary) => binary.function.commutes(),
        _ => false,
    };
    let dies_here = |tensor: &Tensor| usize::from(tensor.last_use) == index;
    if let (true, [first, second]) = (commutes, node.inputs.as_slice()) {
        let (x, o) = (&tensors[*first], &tensors[*second]);
        if x.shape == o.shape && !dies_here(x) && dies_here(o) {
            return std::vec![*second, *first];
        }
    }
    node.inputs.clone()
}

/// `Ok` if a node has as many parameters of each kind as it needs.
fn check_lens(node: usize, operation: &Operation, given: &[usize]) -> Result<(), EncodeError> {
    let needed = operation.lens().into_iter().flatten();
    for (expected, found) in needed.zip(given.iter().copied()) {
        if expected != found {
            return Err(EncodeError::Parameters {
                node,
                expected,
                found,
            });
        }
    }
    Ok(())
}

fn narrow(number: usize) -> Result<u16, EncodeError> {
    u16::try_from(number)
        .map_err(|_| EncodeError::Refused(LoadError::TensorCount { found: number }))
}

fn malformed(_: postcard::Error) -> EncodeError {
    EncodeError::Refused(LoadError::Malformed)
}

/// What a model computes, whatever it is called and wherever its tensors and parameters lie.
#[derive(Serialize)]
struct Computed<'s> {
    inputs: Vec<(Tensor, &'s [f32], &'s [f32])>,
    nodes: Vec<(&'s Operator<Owned>, &'s [usize], Tensor)>,
    outputs: Vec<usize>,
}

/// The id of a model whose nodes read `reads`.
fn id_of(spec: &GraphSpec, reads: &[Vec<usize>]) -> Result<ModelId, EncodeError> {
    let anywhere = |TensorSpec { shape, dtype }| Tensor {
        shape,
        dtype,
        offset: 0,
        last_use: 0,
    };
    let inputs = spec.inputs.iter();
    let inputs = inputs.map(|i| (anywhere(i.tensor), i.mean.as_slice(), i.std.as_slice()));
    let nodes = spec.nodes.iter().zip(reads);
    let nodes = nodes.map(|(n, reads)| (&n.operator, reads.as_slice(), anywhere(n.output)));
    let computed = Computed {
        inputs: inputs.collect(),
        nodes: nodes.collect(),
        outputs: spec.outputs.iter().map(|output| output.tensor).collect(),
    };
    let digest = Sha256::digest(postcard::to_stdvec(&computed).map_err(malformed)?);
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    Ok(ModelId(id))
}

/// Puts graph and weights together, computes the prefix, and loads the result.
fn assemble(
    spec: &GraphSpec,
    tensors: Vec<Tensor>,
    nodes: Vec<Node>,
    weights: &[u8],
    totals: &Totals,
    (id, parent): (ModelId, Option<ModelId>),
) -> Result<Vec<u8>, EncodeError> {
    let ends = tensors.iter().map(|t| t.offset as usize + t.bytes());
    let activation_bytes = ends.max().unwrap_or(0).next_multiple_of(TENSOR_ALIGN);
    let len_of = |number: Option<usize>| {
        let tensor = number.and_then(|number| tensors.get(number));
        tensor.map_or(0, |tensor| tensor.shape.len())
    };
    let (input_len, output_len) = (
        len_of(Some(0)),
        len_of(spec.outputs.first().map(|output| output.tensor)),
    );
    if spec.inputs.iter().any(|i| i.mean.len() != i.std.len()) {
        return Err(LoadError::Normalization.into());
    }
    let normalizations: Vec<Vec<u8>> = spec.inputs.iter().map(normalization).collect();
    let inputs = spec.inputs.iter().zip(&normalizations);
    let labels = spec.outputs.iter().map(labels);
    let labels = labels.collect::<Result<Vec<String>, EncodeError>>()?;
    let mut outputs = Vec::with_capacity(spec.outputs.len());
    for (output, labels) in spec.outputs.iter().zip(&labels) {
        outputs.push(Output {
            name: &output.name,
            tensor: narrow(output.tensor)?,
            source: output.source.clone(),
            labels,
        });
    }
    let graph = Graph {
        name: &spec.name,
        tensors,
        nodes,
        inputs: inputs
            .map(|(input, normalization)| Input {
                name: &input.name,
                source: input.source.clone(),
                normalization,
            })
            .collect(),
        outputs,
        trainable_nodes: narrow(spec.trainable_nodes)?,
        extensions: Vec::new(),
    };
    let graph_len = postcard::to_stdvec(&graph).map_err(malformed)?.len();
    let padding = std::vec![0; padding_for(graph_len, weights.len())];
    let body = postcard::to_stdvec(&(&graph, padding.as_slice(), weights)).map_err(malformed)?;
    let file_len = PREFIX_LEN + body.len();

    let word = |number: usize| -> Result<[u8; 4], EncodeError> {
        Ok(EncodeError::word(number)?.to_le_bytes())
    };
    let mut prefix = Prefix {
        magic: MAGIC,
        format_version: FORMAT_VERSION.to_le_bytes(),
        model_id: id.0,
        parent_id: parent.map_or([0; 16], |parent| parent.0),
        body_crc: CRC.checksum(&body).to_le_bytes(),
        file_len: word(file_len)?,
        weights_offset: word(file_len - weights.len())?,
        weights_len: word(weights.len())?,
        input_len: word(input_len)?,
        output_len: word(output_len)?,
        activation_bytes: word(activation_bytes)?,
        sum_terms: word(totals.terms)?,
        records: word(graph.nodes.len())?,
        trainable_parameters: word(totals.parameters)?,
        suffix_values: word(totals.values)?,
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

/// Mean and standard deviation as the file has them.
fn normalization(input: &InputSpec) -> Vec<u8> {
    let numbers = input.mean.iter().chain(&input.std);
    numbers.flat_map(|number| number.to_le_bytes()).collect()
}

/// Class names as the file has them.
fn labels(output: &OutputSpec) -> Result<String, EncodeError> {
    if let Some(label) = output.labels.iter().position(|label| label.contains('\n')) {
        return Err(EncodeError::Label { label });
    }
    Ok(output
        .labels
        .iter()
        .flat_map(|label| [label, "\n"])
        .collect())
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
