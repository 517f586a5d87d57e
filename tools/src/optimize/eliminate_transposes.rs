//! Lets transpositions and reshapes travel down the graph until they cancel out, or something needs its input in
//! their order: networks of NCHW, of NHWC, and with detours from one to the other, end up the same.
//!
//! Each value is known as a [`View`] of a stored one. What computes element by element computes on the stored one,
//! axes are translated, operands that are constants and the columns of linear layers are brought into the stored
//! order here and now. Only where two orders meet, or an operation needs rows, columns and channels where
//! they are, the elements are put in order at run time.

use std::collections::HashMap;

use kinglet_kernels::{Axis, Shape};

use crate::graph::{Granularity, Graph, Node, Operation, Transposition, View, extents};

pub(super) fn run(graph: &mut Graph) {
    let shapes: Vec<Shape> = graph.inputs.iter().map(|input| input.shape).collect();
    let inputs = shapes.iter().enumerate();
    let inputs = inputs.map(|(stored, shape)| Value {
        stored,
        view: View::of(*shape),
    });
    let mut values: Vec<Value> = inputs.collect();
    let mut rewriter = Rewriter {
        graph: graph.without_nodes(),
        shapes,
        arranged: HashMap::new(),
    };
    for node in std::mem::take(&mut graph.nodes) {
        let inputs: Vec<Value> = node.inputs.iter().map(|v| values[*v].clone()).collect();
        let name = node.name.clone();
        let value = rewriter.place(node, inputs);
        rewriter.note(&name, &value);
        values.push(value);
    }
    for (index, output) in graph.outputs.iter().enumerate() {
        rewriter.graph.outputs[index].value = rewriter.arrange("(output)", &values[output.value]);
    }
    // All may have cancelled out, but a network has at least one node.
    if rewriter.graph.nodes.is_empty()
        && let Some(value) = rewriter.graph.outputs.first().map(|output| output.value)
    {
        let output = rewriter.shapes[value];
        let operation = Operation::Reshape { output };
        rewriter.graph.outputs[0].value = rewriter.push("(output)", operation, &[value]);
    }
    *graph = rewriter.graph;
}

/// A value of the old graph: what is stored of it in the new one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Value {
    stored: usize,
    view: View,
}

struct Rewriter {
    /// The new graph.
    graph: Graph,
    /// Shapes of its values.
    shapes: Vec<Shape>,
    /// What was put in order already, for others that need it too.
    arranged: HashMap<Value, usize>,
}

impl Rewriter {
    fn push(&mut self, name: &str, operation: Operation, inputs: &[usize]) -> usize {
        let shapes: Vec<Shape> = inputs.iter().map(|value| self.shapes[*value]).collect();
        let output = operation.output(&shapes);
        debug_assert!(output.is_ok(), "{name}: {operation:?} of {shapes:?}");
        self.shapes.push(output.unwrap_or_default());
        self.graph.push(name, operation, inputs)
    }

    /// Notes how the value that the file calls `name` lies in the output of the node that computes it.
    fn note(&mut self, name: &str, value: &Value) {
        let node = self.graph.producer(value.stored);
        if let Some(node) = node.and_then(|node| self.graph.nodes.get_mut(node))
            && node.name == name
        {
            node.view = Some(value.view.clone());
        }
    }

    fn reshape(&mut self, name: &str, value: usize, output: Shape) -> usize {
        if self.shapes[value] == output {
            return value;
        }
        self.push(name, Operation::Reshape { output }, &[value])
    }

    /// The value in its own order and shape.
    fn arrange(&mut self, name: &str, value: &Value) -> usize {
        if let Some(known) = self.arranged.get(value) {
            return *known;
        }
        let way = value.view.transposition(self.shapes[value.stored]);
        let mut arranged = value.stored;
        if !value.view.is_stored_order()
            && let Some(way) = way.or(value.view.steps())
        {
            arranged = self.reshape(name, arranged, way.stored);
            let order = way.order();
            arranged = self.push(name, Operation::Transpose { order }, &[arranged]);
        }
        arranged = self.reshape(name, arranged, value.view.shape());
        self.arranged.insert(value.clone(), arranged);
        arranged
    }

    /// The value stored in its own order and shape.
    fn arranged(&mut self, name: &str, value: &Value) -> Value {
        let view = View::of(value.view.shape());
        let stored = self.arrange(name, value);
        Value { stored, view }
    }

    /// How the value's axes are those of the stored one, if they are.
    fn way(&self, value: &Value) -> Option<Transposition> {
        value.view.transposition(self.shapes[value.stored])
    }

    /// Brings a node of the old graph into the new one.
    fn place(&mut self, node: Node, mut inputs: Vec<Value>) -> Value {
        let name = node.name.as_str();
        let first = inputs[0].clone();
        match &node.operation {
            Operation::Identity => return first,
            Operation::Reshape { output } => {
                return Value {
                    stored: first.stored,
                    view: first.view.reshape(*output),
                };
            }
            Operation::Transpose { order } => return self.transpose(name, first, *order),
            Operation::Unary(_)
            | Operation::Quantize(_)
            | Operation::Dequantize(_)
            | Operation::FakeQuantize(_)
            | Operation::Dropout {
                granularity: Granularity::Value,
                ..
            } => {
                let stored = self.push(name, node.operation, &[first.stored]);
                return Value { stored, ..first };
            }
            Operation::Softmax
            | Operation::LogSoftmax
            | Operation::ChannelAffine { .. }
            | Operation::BatchNorm2d(_) => {
                let way = self.way(&first);
                let way = way.filter(|way| way.stored_axis(Axis::Channels) == Axis::Channels);
                if let Some(way) = way {
                    let input = self.reshape(name, first.stored, way.stored);
                    let stored = self.push(name, node.operation, &[input]);
                    return Value { stored, ..first };
                }
            }
            Operation::Linear { .. } => return self.linear(node, &first),
            Operation::Binary { .. } => {
                if let Some(found) = self.binary(&node, &inputs) {
                    return found;
                }
            }
            Operation::BinaryConstant { .. }
            | Operation::Concat { .. }
            | Operation::Slice { .. }
            | Operation::Pad { .. } => {
                if let Some(found) = self.along_axes(&node, &inputs) {
                    return found;
                }
            }
            Operation::Conv2d { .. }
            | Operation::MaxPool2d(_)
            | Operation::AvgPool2d(_)
            | Operation::Upsample { .. }
            | Operation::Dropout { .. }
            | Operation::Int8 { .. } => {}
        }
        for input in &mut inputs {
            *input = self.arranged(name, input);
        }
        let stored: Vec<usize> = inputs.iter().map(|input| input.stored).collect();
        let stored = self.push(name, node.operation, &stored);
        let view = View::of(self.shapes[stored]);
        Value { stored, view }
    }

    fn transpose(&mut self, name: &str, value: Value, order: [Axis; 3]) -> Value {
        let turned = value.view.transpose(order);
        // More than three loops could not be put in order by one transposition.
        if let Some(view) = turned.filter(|view| view.steps().is_some()) {
            return Value { view, ..value };
        }
        let Value { stored, view } = self.arranged(name, &value);
        // What is stored in its own order can be turned any way.
        let view = view.transpose(order).unwrap_or(view);
        Value { stored, view }
    }

    /// A linear layer reads its input as one vector: its columns are put into the stored order instead.
    fn linear(&mut self, node: Node, input: &Value) -> Value {
        let mut operation = node.operation;
        if let Operation::Linear {
            params, weights, ..
        } = &mut operation
            && !input.view.is_stored_order()
        {
            let offsets = input.view.offsets();
            let mut stored = vec![0.0; weights.len()];
            let rows = stored.chunks_exact_mut(params.in_features());
            for (to, from) in rows.zip(weights.chunks_exact(params.in_features())) {
                for (value, offset) in from.iter().zip(&offsets) {
                    to[*offset] = *value;
                }
            }
            *weights = stored;
        }
        let stored = self.push(&node.name, operation, &[input.stored]);
        let view = View::of(self.shapes[stored]);
        Value { stored, view }
    }

    /// A function of two values, in an order that both are stored in, or that the first one is stored in.
    fn binary(&mut self, node: &Node, inputs: &[Value]) -> Option<Value> {
        let [first, second] = inputs else { return None };
        let stored_alike = self.shapes[first.stored] == self.shapes[second.stored];
        if first.view == second.view && stored_alike {
            let inputs = [first.stored, second.stored];
            let stored = self.push(&node.name, node.operation.clone(), &inputs);
            let view = first.view.clone();
            return Some(Value { stored, view });
        }
        self.along_axes(node, inputs)
    }

    /// An operation that knows its axes, on the axes as they are stored: those of the first input, to which the
    /// others are brought.
    fn along_axes(&mut self, node: &Node, inputs: &[Value]) -> Option<Value> {
        let way = self.way(&inputs[0])?;
        let turned = |input: &Value| {
            let view = input.view.transpose(way.stored_order())?;
            view.steps()?;
            let stored = input.stored;
            Some(Value { stored, view })
        };
        let others: Option<Vec<Value>> = inputs[1..].iter().map(turned).collect();
        let mut stored = vec![self.reshape(&node.name, inputs[0].stored, way.stored)];
        for other in others? {
            stored.push(self.arrange(&node.name, &other));
        }
        let operation = translate(&node.operation, way);
        let stored = self.push(&node.name, operation, &stored);
        let view = View::of(self.shapes[stored]).transpose(way.order())?;
        Some(Value { stored, view })
    }
}

/// An operation as it is on stored axes.
fn translate(operation: &Operation, way: Transposition) -> Operation {
    let shape = |shape| {
        let [height, width, channels] = way.to_stored(extents(shape));
        Shape::new(height, width, channels)
    };
    match operation.clone() {
        Operation::BinaryConstant {
            function,
            activation,
            shape: own,
            operand,
        } => {
            let offsets = View::of(own).transpose(way.stored_order());
            let offsets = offsets.map_or_else(Vec::new, |view| view.offsets());
            Operation::BinaryConstant {
                function,
                activation,
                shape: shape(own),
                operand: offsets.iter().map(|offset| operand[*offset]).collect(),
            }
        }
        Operation::Concat { axis } => Operation::Concat {
            axis: way.stored_axis(axis),
        },
        Operation::Slice {
            start,
            step,
            output,
        } => Operation::Slice {
            start: way.to_stored(start),
            step: way.to_stored(step),
            output: shape(output),
        },
        Operation::Pad {
            before,
            after,
            value,
        } => Operation::Pad {
            before: way.to_stored(before),
            after: way.to_stored(after),
            value,
        },
        other => other,
    }
}
