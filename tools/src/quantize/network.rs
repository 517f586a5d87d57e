//! The network that is quantized, as its file has it, and which part of it computes on 8-bit numbers.

use kinglet::Model;
use kinglet_kernels::{BinaryFunction, Shape, Unary};

use super::QuantizeError;
use super::range::Range;
use crate::export::{ExportSettings, write};
use crate::graph::{Graph, Node, Operation};
use crate::model_file::ModelFile;
use crate::optimize::fold_affine::Affine;
use crate::recipe::Normalize;

/// A network of real numbers. Max pools are nodes of their own: what computes on 8-bit numbers does not join them.
#[derive(Debug, Clone)]
pub(super) struct Network {
    pub(super) graph: Graph,
    /// Shape of every value.
    pub(super) shapes: Vec<Shape>,
    /// The tensor of the file that every value is, or leads to where the file has a convolution and its pool in one.
    pub(super) tensors: Vec<usize>,
    /// What the file has beside the graph.
    pub(super) settings: ExportSettings,
}

impl Network {
    /// The network of a model file.
    pub(super) fn of(model: &Model<'_>) -> Result<Self, QuantizeError> {
        let graph = Graph::of_model(model)?;
        let is_quantized = |node: &Node| {
            matches!(
                node.operation,
                Operation::Quantize(_) | Operation::Dequantize(_) | Operation::Int8 { .. }
            )
        };
        let quantized_input = graph
            .inputs
            .iter()
            .any(|input| input.quantization.is_some());
        if quantized_input || graph.nodes.iter().any(is_quantized) {
            return Err(QuantizeError::Quantized);
        }
        let shapes = graph.shapes();
        let inputs = graph.inputs.len();
        let mut tensors: Vec<usize> = (0..inputs).collect();
        for node in &graph.nodes {
            // The reader calls nodes by the tensor that they write.
            let (tensor, _) = node.name.split_once(' ').unwrap_or_default();
            tensors.push(tensor.parse().unwrap_or(0));
        }
        let normalization = model.normalization();
        let network = Self {
            shapes,
            tensors,
            settings: ExportSettings {
                normalize: Normalize {
                    mean: normalization.mean().collect(),
                    std: normalization.std().collect(),
                },
                labels: model.labels().iter().map(str::to_owned).collect(),
                fine_tune_last: 0,
            },
            graph,
        };
        network.check()?;
        Ok(network)
    }

    /// Refuses weights that are no numbers, and networks without any.
    fn check(&self) -> Result<(), QuantizeError> {
        let layers = self.graph.nodes.iter().filter(|node| is_layer(node));
        let mut count = 0;
        for node in layers {
            count += 1;
            let (weights, bias, _) = parameters(&node.operation);
            let mut all = weights.iter().chain(bias.into_iter().flatten());
            if let Some(value) = all.find(|value| !value.is_finite()) {
                return Err(QuantizeError::Weights {
                    layer: node.name.clone(),
                    value: *value,
                });
            }
        }
        match count {
            0 => Err(QuantizeError::NoLayers),
            _ => Ok(()),
        }
    }

    /// The network as a model.
    pub(super) fn model(&self) -> Result<ModelFile, QuantizeError> {
        let (bytes, _) = write(self.graph.clone(), &self.settings)?;
        Ok(ModelFile::from_bytes(&bytes)?)
    }

    /// The range of pixels as the network sees them.
    pub(super) fn pixels(&self) -> Range {
        let Normalize { mean, std } = &self.settings.normalize;
        let of_channel = |(mean, std): (&f32, &f32)| Range {
            low: (0.0 - mean) / std,
            high: (1.0 - mean) / std,
        };
        let channels = mean.iter().zip(std).map(of_channel);
        let all = channels.reduce(Range::union);
        let all = all.unwrap_or(Range {
            low: 0.0,
            high: 1.0,
        });
        Range::new(all.low, all.high)
    }

    /// Where the number that `value` is made of by copies alone is at last: what reads it computes.
    pub(super) fn end(&self, scheme: &Scheme, value: usize) -> usize {
        let mut end = value;
        while let Some(reader) = self.graph.only_reader(end)
            && scheme.nodes[reader] == Arithmetic::Copy
            && self.graph.nodes[reader].inputs.len() == 1
        {
            end = self.graph.value_of(reader);
        }
        end
    }
}

/// Whether a node is a convolution or a linear layer.
pub(super) fn is_layer(node: &Node) -> bool {
    matches!(
        node.operation,
        Operation::Conv2d { .. } | Operation::Linear { .. }
    )
}

/// Weights and bias of a layer, and how many weights each output has; nothing of other operations.
pub(super) fn parameters(operation: &Operation) -> (&[f32], Option<&[f32]>, usize) {
    match operation {
        Operation::Conv2d {
            params,
            weights,
            bias,
            ..
        } => (weights, bias.as_deref(), params.taps()),
        Operation::Linear {
            params,
            weights,
            bias,
            ..
        } => (weights, bias.as_deref(), params.in_features()),
        _ => (&[], None, 1),
    }
}

/// How a node computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    /// On 8-bit numbers, to such of a meaning of their own.
    Int8,
    /// Copies 8-bit numbers, or takes their maximum.
    Copy,
    /// On real numbers.
    Real,
}

/// What an operation has on 8-bit numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counterpart {
    /// A layer: worth to have its inputs quantized for it.
    Layer,
    /// One that is worth it only where a tensor is of 8-bit numbers already.
    Function,
    /// The same one.
    Copy,
    None,
}

impl Counterpart {
    fn of(node: &Node, channels: usize) -> Self {
        match &node.operation {
            Operation::Conv2d { pool: None, .. } | Operation::Linear { .. } => Self::Layer,
            // Numbers a scale apart are nothing for what is steep without end, or not there for some.
            Operation::Unary(Unary::Exp | Unary::Log | Unary::Sqrt | Unary::Power { .. }) => {
                Self::None
            }
            Operation::AvgPool2d(_) | Operation::Unary(_) => Self::Function,
            // What divides by small numbers has no largest one.
            Operation::Binary {
                function: BinaryFunction::Divide | BinaryFunction::ReverseDivide,
                ..
            } => Self::None,
            Operation::Binary { .. } => Self::Function,
            Operation::MaxPool2d(_)
            | Operation::Concat { .. }
            | Operation::Slice { .. }
            | Operation::Upsample { .. }
            | Operation::Transpose { .. }
            | Operation::Reshape { .. }
            | Operation::Identity => Self::Copy,
            Operation::Pad { value: 0.0, .. } => Self::Copy,
            // A factor and a summand of each channel, or slopes.
            operation => {
                let affine = Affine::of(operation, channels);
                match affine.or_else(|| Affine::below_zero(operation, channels)) {
                    Some(_) => Self::Function,
                    None => Self::None,
                }
            }
        }
    }
}

/// Which nodes compute on 8-bit numbers, and which values have their meaning in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scheme {
    /// Of each node.
    pub(super) nodes: Vec<Arithmetic>,
    /// Of each value that is of 8-bit numbers, or becomes such for a reader: the first value of the same meaning.
    pub(super) groups: Vec<Option<usize>>,
    /// Whether a value is of 8-bit numbers wherever it is read.
    pub(super) stored: Vec<bool>,
}

impl Scheme {
    /// All that can be on 8-bit numbers, but for the nodes that `keep` names.
    pub(super) fn new(network: &Network, keep: impl Fn(usize) -> bool) -> Self {
        let graph = &network.graph;
        let counterparts: Vec<Counterpart> = graph
            .nodes
            .iter()
            .enumerate()
            .map(|(index, node)| match keep(index) {
                true => Counterpart::None,
                false => Counterpart::of(node, network.shapes[node.inputs[0]].channels),
            })
            .collect();
        let inputs = 0..graph.inputs.len();
        let mut stored: Vec<bool> = inputs
            .map(|input| is_wanted(graph, &counterparts, input))
            .collect();
        let mut nodes = Vec::with_capacity(graph.nodes.len());
        for (node, counterpart) in graph.nodes.iter().zip(&counterparts) {
            let any = node.inputs.iter().any(|value| stored[*value]);
            let arithmetic = match counterpart {
                Counterpart::Layer => Arithmetic::Int8,
                Counterpart::Function if any => Arithmetic::Int8,
                Counterpart::Copy if any => Arithmetic::Copy,
                _ => Arithmetic::Real,
            };
            nodes.push(arithmetic);
            stored.push(arithmetic != Arithmetic::Real);
        }
        let groups = groups(graph, &nodes, &stored);
        Self {
            nodes,
            groups,
            stored,
        }
    }

    /// The values whose numbers decide on the meaning of their group: those that anything but a copy of the same
    /// meaning reads.
    pub(super) fn decides(&self, graph: &Graph, value: usize) -> bool {
        let group = self.groups[value];
        let mut readers = graph.readers(value).peekable();
        let same = |reader: usize| {
            self.nodes[reader] == Arithmetic::Copy && self.groups[graph.value_of(reader)] == group
        };
        group.is_some()
            && (graph.is_output(value) || readers.peek().is_none() || !readers.all(same))
    }
}

/// Whether all that reads an input wants 8-bit numbers.
fn is_wanted(graph: &Graph, counterparts: &[Counterpart], value: usize) -> bool {
    let wants = |reader: usize| match counterparts[reader] {
        Counterpart::Layer | Counterpart::Function => true,
        Counterpart::Copy => is_wanted(graph, counterparts, graph.value_of(reader)),
        Counterpart::None => false,
    };
    let mut readers = graph.readers(value).peekable();
    readers.peek().is_some() && !graph.is_output(value) && readers.all(wants)
}

/// A copy's output means what its input does; what is put together gets one meaning where nobody else reads it.
fn groups(graph: &Graph, nodes: &[Arithmetic], stored: &[bool]) -> Vec<Option<usize>> {
    let mut first: Vec<usize> = (0..stored.len()).collect();
    let mut is_read: Vec<bool> = stored.to_vec();
    for (index, node) in graph.nodes.iter().enumerate() {
        if nodes[index] == Arithmetic::Real {
            continue;
        }
        node.inputs.iter().for_each(|value| is_read[*value] = true);
        if nodes[index] != Arithmetic::Copy {
            continue;
        }
        let written = graph.value_of(index);
        let is_concat = matches!(node.operation, Operation::Concat { .. });
        for input in &node.inputs {
            if !is_concat || graph.only_reader(*input) == Some(index) {
                let (a, b) = (first[*input], first[written]);
                let (low, high) = (a.min(b), a.max(b));
                first
                    .iter_mut()
                    .filter(|group| **group == high)
                    .for_each(|group| *group = low);
            }
        }
    }
    let pairs = first.into_iter().zip(is_read);
    pairs.map(|(group, read)| read.then_some(group)).collect()
}
