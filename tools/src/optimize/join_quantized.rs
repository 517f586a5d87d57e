//! Joins operations on real numbers that come from 8-bit ones and become 8-bit ones with the steps in between: a
//! quantized network, which its file has as `dequantize, compute, quantize`, runs on 8-bit numbers throughout.
//!
//! A function of one number becomes a table, however many steps it takes: there are only 256 numbers it can be called with.
//!
//! What copies or takes a maximum works on the numbers as they are, so dequantizing travels down past it. What
//! computes and has no counterpart, or parameters that are no 8-bit numbers, stays with real numbers: exactly what
//! the file says, only slower. (The pattern is that of ONNX's QDQ format:
//! <https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html>.)

use kinglet::operator::{LayerI8, Owned};
use kinglet_kernels::{
    Activation, BinaryFunction, Conv2d, Quantization, RowOrder, Shape, TableI8, Unary, WeightsI8,
    Window,
};

use super::cone::Cone;
use super::fold_affine::Affine;
use super::remove_dead;
use crate::graph::{Graph, Int8Operation, Node, Operation, View};

pub(super) fn run(graph: &mut Graph) {
    let is_quantized = |node: &Node| matches!(node.operation, Operation::Quantize(_));
    let mut inputs = graph.inputs.iter();
    if inputs.all(|input| input.quantization.is_none()) && !graph.nodes.iter().any(is_quantized) {
        return;
    }
    share_steps(graph);
    let inputs = graph.inputs.iter().enumerate();
    let inputs = inputs.map(|(number, input)| {
        Some(match input.quantization {
            Some(quantization) => Value::Int8(number, quantization),
            None => Value::Real(number),
        })
    });
    let nodes = graph.nodes.iter().map(|_| None);
    let mut joiner = Joiner {
        shapes: graph.shapes(),
        graph: graph.without_nodes(),
        values: inputs.chain(nodes).collect(),
    };
    for index in 0..graph.nodes.len() {
        // Others are the inside of what was joined.
        let is_open = joiner.values[graph.value_of(index)].is_none();
        if is_open && joiner.is_known(&graph.nodes[index]) {
            joiner.place(graph, index);
        }
    }
    for (index, output) in graph.outputs.iter().enumerate() {
        // What is an output is not the inside of anything.
        if let Some(value) = joiner.values[output.value] {
            joiner.graph.outputs[index].value = joiner.real("(output)", value);
        }
    }
    *graph = joiner.graph;
    // Functions that are in a table now have been kept until their last was met.
    remove_dead::run(graph);
}

/// Lets those who read the same step of the same value read one: two values that are made of one are a single number then.
fn share_steps(graph: &mut Graph) {
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let same = |earlier: &Node| {
            matches!(
                earlier.operation,
                Operation::Quantize(_) | Operation::Dequantize(_)
            ) && earlier.operation == node.operation
                && earlier.inputs == node.inputs
        };
        let Some(first) = graph.nodes[..index].iter().position(same) else {
            continue;
        };
        let (first, own) = (graph.value_of(first), graph.value_of(index));
        let read = graph.nodes.iter_mut().flat_map(|node| &mut node.inputs);
        let outputs = graph.outputs.iter_mut().map(|output| &mut output.value);
        for value in read.chain(outputs).filter(|value| **value == own) {
            *value = first;
        }
    }
}

/// A value of the old graph: where the new one has it, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Real(usize),
    /// As 8-bit numbers; what they mean, where a reader wants to know.
    Int8(usize, Quantization),
}

struct Joiner {
    /// Of the old graph's values.
    shapes: Vec<Shape>,
    graph: Graph,
    values: Vec<Option<Value>>,
}

/// From real numbers to 8-bit ones behind an operation.
struct End {
    /// The node that quantizes.
    quantize: usize,
    output: Quantization,
    /// What activations in between leave of the range.
    bounds: (i8, i8),
    /// Names of what is joined.
    name: String,
    view: Option<View>,
}

impl End {
    /// Follows `index` to the node that quantizes its output, past activations, if nobody else reads on the way.
    fn of(graph: &Graph, index: usize) -> Option<Self> {
        let (mut limits, mut at) = (Vec::new(), index);
        let mut name = graph.nodes[index].name.clone();
        loop {
            at = graph.only_reader(graph.value_of(at))?;
            let limit = match graph.nodes[at].operation {
                Operation::Unary(function) => limits_of(function)?,
                Operation::Quantize(output) => {
                    name += &format!(" + {}", graph.nodes[at].name);
                    let bounds = limits
                        .iter()
                        .try_fold((i8::MIN, i8::MAX), |bounds, limit| {
                            within(bounds, quantized(*limit, output))
                        })?;
                    return Some(Self {
                        quantize: at,
                        output,
                        bounds,
                        name,
                        view: graph.nodes[at].view.clone(),
                    });
                }
                _ => return None,
            };
            limits.push(limit);
            name += &format!(" + {}", graph.nodes[at].name);
        }
    }

    /// The bounds with those of an activation that was joined before.
    fn bounds_with(&self, activation: Activation) -> Option<(i8, i8)> {
        within(self.bounds, quantized(activation.range(), self.output))
    }
}

/// What two ranges have in common, if anything.
fn within((a, b): (i8, i8), (low, high): (i8, i8)) -> Option<(i8, i8)> {
    let common = (a.max(low), b.min(high));
    (common.0 <= common.1).then_some(common)
}

/// The values of the new graph that are read.
fn numbers(inputs: &[(usize, Quantization)]) -> Vec<usize> {
    inputs.iter().map(|(number, _)| *number).collect()
}

/// The range that a function limits real numbers to, if that is all it does.
fn limits_of(function: Unary) -> Option<(f32, f32)> {
    match function {
        Unary::Relu => Some(Activation::Relu.range()),
        Unary::Relu6 => Some(Activation::Relu6.range()),
        Unary::Clip { low, high } => Some((low, high)),
        _ => None,
    }
}

/// Both ends of a range as 8-bit numbers. Rounding is monotone: limiting the number is limiting the real one.
fn quantized((low, high): (f32, f32), output: Quantization) -> (i8, i8) {
    (output.quantize(low), output.quantize(high))
}

impl Joiner {
    fn is_known(&self, node: &Node) -> bool {
        node.inputs
            .iter()
            .all(|value| self.values[*value].is_some())
    }

    fn push(&mut self, name: &str, operation: Operation, inputs: &[usize]) -> usize {
        self.graph.push(name, operation, inputs)
    }

    /// Adds a node that computes what the file calls by the last of `name`; `view` is how that lies in the output.
    fn push_named(
        &mut self,
        name: &str,
        view: &Option<View>,
        operation: Operation,
        inputs: &[usize],
    ) -> usize {
        let node = self.graph.nodes.len();
        let number = self.push(name, operation, inputs);
        self.graph.nodes[node].view.clone_from(view);
        number
    }

    /// Adds an operation of the old graph as it is.
    fn keep(&mut self, node: &Node, inputs: &[usize]) -> usize {
        self.push_named(&node.name, &node.view, node.operation.clone(), inputs)
    }

    /// The value as real numbers.
    fn real(&mut self, name: &str, value: Value) -> usize {
        let (stored, quantization) = match value {
            Value::Real(number) => return number,
            Value::Int8(number, quantization) => (number, quantization),
        };
        let operation = Operation::Dequantize(quantization);
        let known = |node: &Node| node.operation == operation && node.inputs == [stored];
        match self.graph.nodes.iter().position(known) {
            Some(node) => self.graph.value_of(node),
            None => self.push(name, operation, &[stored]),
        }
    }

    /// The value as 8-bit numbers of another scale or zero point.
    fn requantized(
        &mut self,
        name: &str,
        (number, from): (usize, Quantization),
        output: Quantization,
        bounds: (i8, i8),
    ) -> usize {
        if from == output && bounds == (i8::MIN, i8::MAX) {
            return number;
        }
        let operation = Int8Operation::Requantize { bounds };
        self.push(name, Operation::Int8 { operation, output }, &[number])
    }

    /// The inputs of a node, if all are 8-bit numbers.
    fn int8_inputs(&self, node: &Node) -> Option<Vec<(usize, Quantization)>> {
        let inputs = node.inputs.iter().map(|value| match self.values[*value] {
            Some(Value::Int8(number, quantization)) => Some((number, quantization)),
            _ => None,
        });
        inputs.collect()
    }

    fn place(&mut self, graph: &Graph, index: usize) {
        let node = &graph.nodes[index];
        let written = graph.value_of(index);
        let name = node.name.as_str();
        let int8 = self.int8_inputs(node);
        if let Operation::Quantize(output) = node.operation {
            if self.table(graph, index) {
                return;
            }
            let value = self.values[node.inputs[0]];
            let number = match value {
                Some(Value::Int8(number, from)) => {
                    self.requantized(name, (number, from), output, (i8::MIN, i8::MAX))
                }
                Some(Value::Real(number)) => self.keep(node, &[number]),
                None => return,
            };
            self.values[written] = Some(Value::Int8(number, output));
            return;
        }
        if let (Operation::Dequantize(_), Some(value)) =
            (&node.operation, self.values[node.inputs[0]])
        {
            self.values[written] = Some(value);
            return;
        }
        if let (Operation::Int8 { output, .. }, Some(inputs)) = (&node.operation, &int8) {
            // Joined before.
            let number = self.keep(node, &numbers(inputs));
            self.values[written] = Some(Value::Int8(number, *output));
            return;
        }
        if let Some(inputs) = &int8
            && (self.copy(node, written, inputs)
                || End::of(graph, index).is_some_and(|end| {
                    self.table(graph, end.quantize) || self.compute(graph, node, inputs, &end)
                }))
        {
            return;
        }
        let values: Vec<Value> = node.inputs.iter().filter_map(|v| self.values[*v]).collect();
        let inputs: Vec<usize> = values.iter().map(|value| self.real(name, *value)).collect();
        let number = self.keep(node, &inputs);
        self.values[written] = Some(Value::Real(number));
    }

    /// What only copies, or takes a maximum, on the numbers as they are.
    fn copy(&mut self, node: &Node, written: usize, inputs: &[(usize, Quantization)]) -> bool {
        let quantization = inputs[0].1;
        let takes_numbers = match node.operation {
            Operation::MaxPool2d(_)
            | Operation::Slice { .. }
            | Operation::Upsample { .. }
            | Operation::Transpose { .. }
            | Operation::Reshape { .. }
            | Operation::Identity => true,
            Operation::Pad { value, .. } => {
                quantization.dequantize(quantization.quantize(value)) == value
            }
            Operation::Concat { .. } => inputs.iter().all(|(_, own)| *own == quantization),
            _ => false,
        };
        if takes_numbers {
            let number = self.keep(node, &numbers(inputs));
            self.values[written] = Some(Value::Int8(number, quantization));
        }
        takes_numbers
    }

    /// A function of 8-bit numbers up to node `index`, which quantizes what it computes of them, as a table.
    fn table(&mut self, graph: &Graph, index: usize) -> bool {
        let node = &graph.nodes[index];
        let Operation::Quantize(output) = node.operation else {
            return false;
        };
        let mut cone = Cone::with_rounding(graph, index);
        let mut found = None;
        while cone.grow(graph, &self.shapes) {
            if let Some(input) = cone.input()
                && let Some(Value::Int8(number, from)) = self.values[input]
            {
                // By the byte of a number.
                let entry = |byte: usize| {
                    let x = from.dequantize(byte as u8 as i8);
                    output.quantize(cone.call(graph, x))
                };
                let entries: TableI8 = std::array::from_fn(entry);
                found = Some((number, entries, cone.nodes().to_vec()));
            }
        }
        let Some((number, entries, nodes)) = found else {
            return false;
        };
        let functions: Vec<&Node> = nodes
            .iter()
            .rev()
            .map(|node| &graph.nodes[*node])
            .filter(|node| {
                !matches!(
                    node.operation,
                    Operation::Identity | Operation::Quantize(_) | Operation::Dequantize(_)
                )
            })
            .collect();
        // What only limits is that of the operation before it, or of a step to another meaning.
        let limits = |node: &&Node| match node.operation {
            Operation::Unary(function) => limits_of(function).is_some(),
            _ => false,
        };
        if functions.iter().all(limits) {
            return false;
        }
        let name = functions.iter().chain([&node]);
        let name: Vec<&str> = name.map(|node| node.name.as_str()).collect();
        let operation = Int8Operation::Table {
            entries,
            function: match functions[..] {
                [
                    Node {
                        operation: Operation::Unary(function),
                        ..
                    },
                ] => Some(*function),
                _ => None,
            },
        };
        let operation = Operation::Int8 { operation, output };
        let number = self.push_named(&name.join(" + "), &node.view, operation, &[number]);
        self.values[graph.value_of(index)] = Some(Value::Int8(number, output));
        true
    }

    /// An operation up to where its output is quantized, on 8-bit numbers.
    fn compute(
        &mut self,
        graph: &Graph,
        node: &Node,
        inputs: &[(usize, Quantization)],
        end: &End,
    ) -> bool {
        let Some((operation, inputs)) = self.int8_operation(node, inputs, end) else {
            return false;
        };
        let output = end.output;
        let operation = match operation {
            Some(operation) => Operation::Int8 { operation, output },
            None => node.operation.clone(),
        };
        let number = self.push_named(&end.name, &end.view, operation, &inputs);
        self.values[graph.value_of(end.quantize)] = Some(Value::Int8(number, output));
        true
    }

    /// A leaky ReLU of slopes for each channel, as the larger one of the number and its slope times it.
    fn leaky(
        &mut self,
        name: &str,
        node: &Node,
        slopes: Affine,
        (number, input): (usize, Quantization),
        end: &End,
    ) -> Option<(Option<Int8Operation>, Vec<usize>)> {
        let bounds = end.bounds_with(slopes.activation)?;
        let slopes = Affine {
            activation: Activation::Identity,
            ..slopes
        };
        let operation = self.affine(node, &slopes, input, end)?;
        let output = end.output;
        let scaled = self.push(name, Operation::Int8 { operation, output }, &[number]);
        let function = BinaryFunction::Maximum;
        let larger = Int8Operation::Binary { function, bounds };
        Some((Some(larger), vec![number, scaled]))
    }

    /// A factor and a summand for each channel, as the convolution of each channel by itself with one tap: a weight of 127
    /// times its scale is any number.
    fn affine(
        &self,
        node: &Node,
        affine: &Affine,
        input: Quantization,
        end: &End,
    ) -> Option<Int8Operation> {
        const LARGEST: f32 = 127.0;
        let shape = self.shapes[node.inputs[0]];
        let (channels, window) = (shape.channels, Window::new(1, 1));
        let params = Conv2d::new(shape, channels, window, channels, Activation::Identity);
        let weight_scale = affine
            .scale
            .iter()
            .map(|factor| match factor.abs() / LARGEST {
                0.0 => 1.0,
                scale => scale,
            });
        let weight_scale: Vec<f32> = weight_scale.collect();
        let pairs = affine.shift.iter().zip(&weight_scale);
        let whole: Vec<f32> = pairs
            .map(|(shift, scale)| {
                let step = input.scale * scale;
                (shift / step).round() * step
            })
            .collect();
        let scales = (input.scale, weight_scale.as_slice(), end.output.scale);
        Some(Int8Operation::Conv2d {
            params: params.ok()?,
            layer: layer(&affine.scale, 1, Some(&whole), scales)?,
            bounds: end.bounds_with(affine.activation)?,
        })
    }

    /// The operation that computes `node` up to `end`, and what it reads; None in its place if it is the node's
    /// own, on numbers of the output's meaning.
    fn int8_operation(
        &mut self,
        node: &Node,
        inputs: &[(usize, Quantization)],
        end: &End,
    ) -> Option<(Option<Int8Operation>, Vec<usize>)> {
        let name = end.name.as_str();
        let (first, quantization) = inputs[0];
        let unbounded = end.bounds == (i8::MIN, i8::MAX);
        let layer = |weights: &[f32], weight_scale: &[f32], bias: &Option<Vec<f32>>, row| {
            let scales = (quantization.scale, weight_scale, end.output.scale);
            layer(weights, row, bias.as_deref(), scales)
        };
        let operation = match &node.operation {
            Operation::Conv2d {
                params,
                weights,
                weight_scale: Some(weight_scale),
                bias,
                pool: None,
            } => Int8Operation::Conv2d {
                params: params.with_activation(Activation::Identity),
                layer: layer(weights, weight_scale, bias, params.taps())?,
                bounds: end.bounds_with(params.activation())?,
            },
            Operation::Linear {
                params,
                weights,
                weight_scale: Some(weight_scale),
                bias,
            } => Int8Operation::Linear {
                params: params.with_activation(Activation::Identity),
                layer: layer(weights, weight_scale, bias, params.in_features())?,
                bounds: end.bounds_with(params.activation())?,
            },
            Operation::AvgPool2d(params) if unbounded => Int8Operation::AvgPool2d(*params),
            Operation::Softmax if unbounded => Int8Operation::Softmax,
            Operation::Binary {
                function: BinaryFunction::Add,
                activation,
            } if self.shapes[node.inputs[0]] == self.shapes[node.inputs[1]] => Int8Operation::Add {
                bounds: end.bounds_with(*activation)?,
            },
            Operation::Binary {
                function,
                activation,
            } => Int8Operation::Binary {
                function: *function,
                bounds: end.bounds_with(*activation)?,
            },
            Operation::Unary(function) => {
                let limits = quantized(limits_of(*function)?, end.output);
                let bounds = within(end.bounds, limits)?;
                Int8Operation::Requantize { bounds }
            }
            // Tensors of several meanings are brought to that of the output before they are put together.
            Operation::Concat { .. } => {
                let numbers = inputs
                    .iter()
                    .map(|input| self.requantized(name, *input, end.output, end.bounds))
                    .collect();
                return Some((None, numbers));
            }
            operation => {
                let channels = self.shapes[node.inputs[0]].channels;
                if let Some(slopes) = Affine::below_zero(operation, channels) {
                    return self.leaky(name, node, slopes, inputs[0], end);
                }
                let affine = Affine::of(operation, channels)?;
                self.affine(node, &affine, quantization, end)?
            }
        };
        let numbers = match operation {
            Int8Operation::Add { .. } | Int8Operation::Binary { .. } => {
                vec![first, inputs.get(1)?.0]
            }
            _ => vec![first],
        };
        Some((Some(operation), numbers))
    }
}

/// The parameters of a layer as 8-bit numbers; None if the bias is not of the scale that sums have, or the sums could
/// overflow. `scales` are those of the input, of the weights and of the output.
fn layer(
    weights: &[f32],
    row: usize,
    bias: Option<&[f32]>,
    (input, weight_scale, output): (f32, &[f32], f32),
) -> Option<LayerI8<Owned>> {
    let rows = weights.chunks_exact(row).zip(weight_scale);
    // Whole multiples of the scale, by what `weight_scale` means: rounding finds them.
    let weights: Vec<i8> = rows
        .flat_map(|(row, scale)| row.iter().map(move |weight| (weight / scale).round() as i8))
        .collect();
    let sums: Vec<f32> = weight_scale.iter().map(|scale| input * scale).collect();
    let bias = match bias {
        None => None,
        Some(bias) => {
            let numbers = bias.iter().zip(&sums);
            let numbers: Option<Vec<i32>> = numbers.map(|(b, sum)| whole(*b, *sum)).collect();
            Some(numbers?)
        }
    };
    let layer = LayerI8::<Owned> {
        weights,
        bias,
        scale: sums.iter().map(|sum| sum / output).collect(),
    };
    let parameters = WeightsI8 {
        weights: &layer.weights,
        order: RowOrder::Rows,
        bias: layer.bias.as_deref(),
        scale: &layer.scale,
    };
    parameters.check(row).is_ok().then_some(layer)
}

/// `value` as a whole number of times `scale`, if it is one but for rounding.
fn whole(value: f32, scale: f32) -> Option<i32> {
    let times = f64::from(value) / f64::from(scale);
    let whole = times.round();
    // An f32 tells whole numbers apart up to 2^24; the scale was rounded as well.
    let slack = 0.01 + whole.abs() * 2.0_f64.powi(-22);
    ((times - whole).abs() <= slack && whole.abs() < 2.0_f64.powi(31)).then_some(whole as i32)
}
