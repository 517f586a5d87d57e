//! The nodes that compute one number from one number: whatever an exporter has made of a function, it is called as a whole.

use kinglet_kernels::{Shape, Unary, portable};

use crate::graph::{Graph, Node, Operation};

/// More nodes than exporters make of one function.
const MOST_NODES: usize = 16;

/// The nodes that lead to one, from it upwards as far as they compute element by element.
pub(super) struct Cone {
    /// From the last to the first.
    nodes: Vec<usize>,
    /// The values that they read and do not compute, in ascending order.
    open: Vec<usize>,
    /// Whether steps to 8-bit numbers and back are among them, and affine functions, which go elsewhere where there are none.
    rounds: bool,
}

impl Cone {
    /// Nothing yet but the value of node `last`. All that it takes in computes with real numbers.
    pub(super) fn of(graph: &Graph, last: usize) -> Self {
        Self {
            nodes: Vec::new(),
            open: vec![graph.value_of(last)],
            rounds: false,
        }
    }

    /// The same, but it takes in steps to 8-bit numbers and back as what they do to a real number: they round it.
    pub(super) fn with_rounding(graph: &Graph, last: usize) -> Self {
        Self {
            rounds: true,
            ..Self::of(graph, last)
        }
    }

    /// Takes in the node that computes the last of the open values; false if it is none of these, or if others need it.
    pub(super) fn grow(&mut self, graph: &Graph, shapes: &[Shape]) -> bool {
        let Some(value) = self.open.last().copied() else {
            return false;
        };
        let Some(index) = graph.producer(value) else {
            return false;
        };
        let node = &graph.nodes[index];
        let inner = self.nodes.is_empty()
            || (!graph.is_output(value) && graph.readers(value).all(|n| self.nodes.contains(&n)));
        let of_elements = match &node.operation {
            Operation::Unary(_) | Operation::Identity => true,
            Operation::Binary { .. } => {
                let mut own = node.inputs.iter().map(|input| shapes[*input]);
                own.all(|shape| shape == shapes[value])
            }
            Operation::BinaryConstant { operand, .. } => are_one(operand),
            Operation::ChannelAffine { scale, shift, .. } => {
                self.rounds && are_one(scale) && are_one(shift)
            }
            Operation::Quantize(_) | Operation::Dequantize(_) => self.rounds,
            _ => false,
        };
        if !inner || !of_elements || self.nodes.len() == MOST_NODES {
            return false;
        }
        self.open.pop();
        self.nodes.push(index);
        for input in &node.inputs {
            if let Err(place) = self.open.binary_search(input) {
                self.open.insert(place, *input);
            }
        }
        true
    }

    /// The nodes so far, from the last to the first.
    pub(super) fn nodes(&self) -> &[usize] {
        &self.nodes
    }

    /// What all of it is computed from, if that is one value.
    pub(super) fn input(&self) -> Option<usize> {
        match self.open.as_slice() {
            [input] => Some(*input),
            _ => None,
        }
    }

    /// What the last node computes of an input of `x` everywhere.
    pub(super) fn call(&self, graph: &Graph, x: f32) -> f32 {
        let mut values = vec![(self.open[0], x)];
        for index in self.nodes.iter().rev() {
            let node = &graph.nodes[*index];
            let read = |place: usize| {
                let known = values
                    .iter()
                    .find(|(value, _)| *value == node.inputs[place]);
                known.map_or(f32::NAN, |(_, number)| *number)
            };
            values.push((graph.value_of(*index), result(node, read)));
        }
        values[values.len() - 1].1
    }
}

/// What a node of a cone computes of the numbers that `read` finds.
fn result(node: &Node, read: impl Fn(usize) -> f32) -> f32 {
    match &node.operation {
        Operation::Unary(function) => apply(*function, read(0)),
        Operation::Binary {
            function,
            activation,
        } => activation.apply(function.apply(read(0), read(1))),
        Operation::BinaryConstant {
            function,
            activation,
            operand,
            ..
        } => activation.apply(function.apply(read(0), operand[0])),
        Operation::ChannelAffine {
            activation,
            scale,
            shift,
        } => activation.apply(read(0) * scale[0] + shift[0]),
        Operation::Quantize(to) => to.dequantize(to.quantize(read(0))),
        _ => read(0),
    }
}

/// Whether all numbers are the same one.
fn are_one(numbers: &[f32]) -> bool {
    numbers.iter().all(|number| *number == numbers[0])
}

/// A function of one number.
pub(super) fn apply(function: Unary, x: f32) -> f32 {
    let mut data = [x];
    portable::unary_f32(function, &mut data);
    data[0]
}
