//! The rich form of a network between training and the model file: named, on the heap, easy to rewrite.
//!
//! Value 0 is the input, value `n + 1` the output of node `n`; a node reads values that come before its own, and
//! the last value is the output of the network. [`crate::optimize`] rewrites a graph until the runtime has an
//! operator for every node, and [`crate::export`] writes it down.

mod build;
mod network;
mod operation;
mod view;

pub(crate) use build::channel_affine;
pub use build::unary_name;
use kinglet_kernels::{Quantization, Shape};
pub use network::ToNetworkError;
pub use operation::{Int8Operation, Operation};
pub(crate) use view::{AXES, Transposition, View, extents};

/// A network as nodes in the order they run.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The network's name.
    pub name: String,
    /// Shape of one input sample.
    pub input: Shape,
    /// What the numbers of the input mean, where they are of 8 bits.
    pub quantized_input: Option<Quantization>,
    /// The nodes.
    pub nodes: Vec<Node>,
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
    /// A graph of no nodes yet.
    pub fn new(name: &str, input: Shape) -> Self {
        Self {
            name: name.to_owned(),
            input,
            quantized_input: None,
            nodes: Vec::new(),
        }
    }

    /// Appends a node, whose parameters fit its inputs; returns the value it computes.
    pub fn push(&mut self, name: &str, operation: Operation, inputs: &[usize]) -> usize {
        debug_assert!(inputs.iter().all(|value| *value <= self.nodes.len()));
        self.nodes.push(Node {
            name: name.to_owned(),
            operation,
            inputs: inputs.to_vec(),
            view: None,
        });
        self.nodes.len()
    }

    /// Shape of every value: the input, then each node's output; an empty one where a node's parameters do not
    /// fit what it reads, which the export refuses.
    pub fn shapes(&self) -> Vec<Shape> {
        let mut shapes = vec![self.input];
        for node in &self.nodes {
            let inputs: Vec<Shape> = node.inputs.iter().map(|value| shapes[*value]).collect();
            shapes.push(node.operation.output(&inputs).unwrap_or_default());
        }
        shapes
    }

    /// The nodes that read `value`.
    pub fn readers(&self, value: usize) -> impl Iterator<Item = usize> {
        (value..self.nodes.len()).filter(move |n| self.nodes[*n].inputs.contains(&value))
    }

    /// The only node that reads `value`; None if there are none or several, or if it is the network's output.
    pub fn only_reader(&self, value: usize) -> Option<usize> {
        let mut readers = self.readers(value);
        match (readers.next(), readers.next()) {
            (Some(reader), None) if value != self.nodes.len() => Some(reader),
            _ => None,
        }
    }

    /// The node that computes what node `index` reads, if that is all node `index` reads and nobody else
    /// reads it.
    pub fn only_producer(&self, index: usize) -> Option<usize> {
        match self.nodes[index].inputs.as_slice() {
            [value] if self.only_reader(*value) == Some(index) => value.checked_sub(1),
            _ => None,
        }
    }

    /// Removes node `index`; whoever read its output reads its first input instead.
    pub fn remove(&mut self, index: usize) {
        let node = self.nodes.remove(index);
        let (output, input) = (index + 1, node.inputs[0]);
        for value in self.nodes.iter_mut().flat_map(|node| &mut node.inputs) {
            if *value == output {
                *value = input;
            } else if *value > output {
                *value -= 1;
            }
        }
    }

    /// Inserts a node behind node `index`: whoever read that one's output reads the new one's, which itself may read
    /// `index + 1`.
    pub fn insert_behind(&mut self, index: usize, node: Node) {
        for value in self.nodes.iter_mut().flat_map(|node| &mut node.inputs) {
            if *value > index {
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

    /// Multiply-accumulates of one sample.
    pub fn macs(&self) -> u64 {
        self.nodes
            .iter()
            .map(|node| match &node.operation {
                Operation::Conv2d { params, .. } => params.macs(),
                Operation::Linear { params, .. } => params.weights_len() as u64,
                Operation::Int8 { operation, .. } => match operation {
                    Int8Operation::Conv2d { params, .. } => params.macs(),
                    Int8Operation::Linear { params, .. } => params.weights_len() as u64,
                    _ => 0,
                },
                _ => 0,
            })
            .sum()
    }
}
