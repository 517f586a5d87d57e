//! A network: named, on the heap, easy to rewrite. Recipes and readers of other formats make it, training gives it its
//! values, [`crate::optimize`] rewrites it until the runtime has an operator for every node, and [`crate::export`] writes
//! it down.
//!
//! The first values are the inputs, the others the outputs of the nodes, in their order; a node reads values that come
//! before its own.

mod first_values;
mod of_model;
mod operation;
mod tensor;
mod view;

use kinglet::model::schema::Source;
use kinglet_kernels::{Quantization, Shape};
pub use operation::{BatchNorm2d, FakeQuantize, Granularity, Int8Operation, Operation};
pub use tensor::{Role, Tensor, TensorError};
pub(crate) use view::{AXES, Transposition, View, extents};

/// A network as nodes in the order they run.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The network's name.
    pub name: String,
    /// Its inputs: values 0, 1, ...
    pub inputs: Vec<Input>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Its outputs.
    pub outputs: Vec<Output>,
}

/// An input of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// What it is called.
    pub name: String,
    /// Shape of one sample.
    pub shape: Shape,
    /// What its numbers mean, where they are of 8 bits.
    pub quantization: Option<Quantization>,
    /// How it lies in the file that the network comes from; None if as it does here.
    pub source: Option<Source>,
}

impl Input {
    /// An input of real numbers with no more to it than a name.
    pub fn new(name: &str, shape: Shape) -> Self {
        Self {
            name: name.to_owned(),
            shape,
            quantization: None,
            source: None,
        }
    }
}

/// An output of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// What it is called.
    pub name: String,
    /// The value it is.
    pub value: usize,
    /// How it lies in the file that the network comes from; None if as it does here.
    pub source: Option<Source>,
}

impl Output {
    /// An output with no more to it than a name.
    pub fn new(name: &str, value: usize) -> Self {
        Self {
            name: name.to_owned(),
            value,
            source: None,
        }
    }
}

/// One operation and the values it reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What a person calls it: the layer's text in its recipe, or those of the layers joined in it.
    pub name: String,
    /// What it computes.
    pub operation: Operation,
    /// The values it reads.
    pub inputs: Vec<usize>,
    /// How the tensor that an imported file calls by this name lies in the output, where that is known and not as it
    /// is.
    pub(crate) view: Option<View>,
}

impl Graph {
    /// A graph of no nodes and outputs yet.
    pub fn new(name: &str, inputs: Vec<Input>) -> Self {
        Self {
            name: name.to_owned(),
            inputs,
            nodes: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// A graph of the same inputs and outputs without the nodes between them: for passes that build anew, which then
    /// say what value each output is.
    pub(crate) fn without_nodes(&self) -> Self {
        Self {
            name: self.name.clone(),
            inputs: self.inputs.clone(),
            nodes: Vec::new(),
            outputs: self.outputs.clone(),
        }
    }

    /// Appends a node, whose parameters fit its inputs; returns the value it computes.
    pub fn push(&mut self, name: &str, operation: Operation, inputs: &[usize]) -> usize {
        let value = self.value_of(self.nodes.len());
        debug_assert!(inputs.iter().all(|input| *input < value));
        self.nodes.push(Node {
            name: name.to_owned(),
            operation,
            inputs: inputs.to_vec(),
            view: None,
        });
        value
    }

    /// The value that node `index` computes.
    pub fn value_of(&self, index: usize) -> usize {
        self.inputs.len() + index
    }

    /// The node that computes `value`; None if it is an input.
    pub fn producer(&self, value: usize) -> Option<usize> {
        value.checked_sub(self.inputs.len())
    }

    /// Shape of every value: the inputs, then each node's output; an empty one where a node's parameters do not
    /// fit what it reads, which the export refuses.
    pub fn shapes(&self) -> Vec<Shape> {
        let mut shapes: Vec<Shape> = self.inputs.iter().map(|input| input.shape).collect();
        for node in &self.nodes {
            let inputs: Vec<Shape> = node.inputs.iter().map(|value| shapes[*value]).collect();
            shapes.push(node.operation.output(&inputs).unwrap_or_default());
        }
        shapes
    }

    /// What the numbers of each value mean, where they are of 8 bits.
    pub(crate) fn meanings(&self) -> Vec<Option<Quantization>> {
        let inputs = self.inputs.iter().map(|input| input.quantization);
        let mut meanings: Vec<Option<Quantization>> = inputs.collect();
        for node in &self.nodes {
            meanings.push(node.operation.meaning(meanings[node.inputs[0]]));
        }
        meanings
    }

    /// The node that rounds `value` to 8-bit numbers in training: the one that computes it, or what it is a copy of.
    pub(crate) fn rounding(&self, value: usize) -> Option<usize> {
        let producer = self.producer(value)?;
        let node = &self.nodes[producer];
        match node.operation {
            Operation::FakeQuantize(_) => Some(producer),
            Operation::MaxPool2d(_)
            | Operation::Slice { .. }
            | Operation::Pad { .. }
            | Operation::Upsample { .. }
            | Operation::Transpose { .. }
            | Operation::Reshape { .. }
            | Operation::Identity => self.rounding(node.inputs[0]),
            _ => None,
        }
    }

    /// True if `value` is an output of the network.
    pub fn is_output(&self, value: usize) -> bool {
        self.outputs.iter().any(|output| output.value == value)
    }

    /// The nodes that read `value`.
    pub fn readers(&self, value: usize) -> impl Iterator<Item = usize> {
        // A node reads what comes before it.
        let first = self.producer(value).map_or(0, |producer| producer + 1);
        (first..self.nodes.len()).filter(move |n| self.nodes[*n].inputs.contains(&value))
    }

    /// The only node that reads `value`; None if there are none or several, or if it is an output of the network.
    pub fn only_reader(&self, value: usize) -> Option<usize> {
        let mut readers = self.readers(value);
        match (readers.next(), readers.next()) {
            (Some(reader), None) if !self.is_output(value) => Some(reader),
            _ => None,
        }
    }

    /// The node that computes what node `index` reads, if that is all node `index` reads and nobody else
    /// reads it.
    pub fn only_producer(&self, index: usize) -> Option<usize> {
        match self.nodes[index].inputs.as_slice() {
            [value] if self.only_reader(*value) == Some(index) => self.producer(*value),
            _ => None,
        }
    }

    /// The values that nodes read and that are outputs, to be numbered anew.
    fn references_mut(&mut self) -> impl Iterator<Item = &mut usize> {
        let read = self.nodes.iter_mut().flat_map(|node| &mut node.inputs);
        read.chain(self.outputs.iter_mut().map(|output| &mut output.value))
    }

    /// Removes node `index`; what was its output, for nodes and the network, is its first input instead.
    pub fn remove(&mut self, index: usize) {
        let output = self.value_of(index);
        let input = self.nodes.remove(index).inputs[0];
        for value in self.references_mut() {
            if *value == output {
                *value = input;
            } else if *value > output {
                *value -= 1;
            }
        }
    }

    /// Inserts a node behind node `index`: what was that one's output, for nodes and the network, is the new one's,
    /// which itself may read it.
    pub fn insert_behind(&mut self, index: usize, node: Node) {
        let output = self.value_of(index);
        for value in self.references_mut() {
            if *value >= output {
                *value += 1;
            }
        }
        self.nodes.insert(index + 1, node);
    }

    /// Joins node `index` with its only producer: their names, and the values that others read.
    pub fn join(&mut self, index: usize, producer: usize) {
        let name = std::mem::take(&mut self.nodes[index].name);
        self.nodes[producer].name += &format!(" + {name}");
        self.nodes[producer].view = self.nodes[index].view.take();
        self.remove(index);
    }

    /// Shape of one sample of the first input.
    pub fn input(&self) -> Shape {
        self.inputs
            .first()
            .map(|input| input.shape)
            .unwrap_or_default()
    }

    /// Shape of one sample of the first output.
    pub fn output(&self) -> Shape {
        let value = self.outputs.first().map(|output| output.value);
        value.map(|value| self.shapes()[value]).unwrap_or_default()
    }

    /// The value before the softmax, or its logarithm, that ends in the first output, if one does: the loss contains it.
    pub fn logits(&self) -> usize {
        let mut value = self.outputs.first().map_or(0, |output| output.value);
        while let Some(producer) = self.producer(value)
            && let Operation::Softmax | Operation::LogSoftmax = self.nodes[producer].operation
        {
            value = self.nodes[producer].inputs[0];
        }
        value
    }

    /// Number of values that training moves.
    pub fn parameters(&self) -> usize {
        self.nodes
            .iter()
            .map(|node| node.operation.parameters())
            .sum()
    }

    /// Multiply-accumulates of one sample.
    pub fn macs(&self) -> u64 {
        self.nodes.iter().map(|node| node.operation.macs()).sum()
    }
}
