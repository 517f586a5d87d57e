//! Writes a network down as quantized ones are: each value that is to be of 8-bit numbers is quantized and dequantized
//! where it is made, weights and biases are whole multiples of their scales. The passes that take imported networks of
//! this form then join what computes on 8-bit numbers.

use kinglet_kernels::Quantization;

use super::network::{Arithmetic, Network, Scheme, parameters};
use super::weights::round;
use crate::graph::{Graph, Operation};
use crate::optimize::optimize;

/// A network on 8-bit numbers.
#[derive(Debug, Clone)]
pub(super) struct Rewritten {
    /// What can be written as a file.
    pub(super) graph: Graph,
    /// The value of the network of real numbers that each of its nodes computes.
    pub(super) values: Vec<usize>,
    /// Nodes that could not be joined, most often since their numbers are none that an `i32` could sum up.
    pub(super) refused: Vec<usize>,
}

/// `network` with the values of `scheme` as the numbers that `quantizations` says.
pub(super) fn rewrite(
    network: &Network,
    scheme: &Scheme,
    quantizations: &[Option<Quantization>],
) -> Rewritten {
    let mut graph = written(&network.graph, scheme, &Known(quantizations));
    optimize(&mut graph);
    // Joined nodes are called by the values of all that is in them, the last of which is what they compute.
    let last = |name: &str| {
        let last = name.rsplit(" + ").next();
        last.and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    let values: Vec<usize> = graph.nodes.iter().map(|node| last(&node.name)).collect();
    let own = &network.graph;
    let mut refused = Vec::new();
    for (node, value) in graph.nodes.iter_mut().zip(&values) {
        let is_joined = matches!(
            node.operation,
            Operation::Int8 { .. } | Operation::Quantize(_) | Operation::Dequantize(_)
        );
        let producer = own.producer(*value);
        let is_wanted = |node: &usize| scheme.nodes[*node] == Arithmetic::Int8;
        refused.extend(producer.filter(|node| is_wanted(node) && !is_joined));
        node.name = match producer {
            Some(producer) => own.nodes[producer].name.clone(),
            None => own.inputs[*value].name.clone(),
        };
    }
    Rewritten {
        graph,
        values,
        refused,
    }
}

/// How values and layers are rounded.
pub(super) trait Rounding {
    /// What the node that computes `value` is called.
    fn name(&self, value: usize) -> String;

    /// Adds what rounds `value`, which is `real` in the new graph; None if it is not to be rounded.
    fn push(&self, graph: &mut Graph, value: usize, real: usize) -> Option<usize>;

    /// A layer over numbers of the value `input`.
    fn layer(&self, operation: &Operation, input: usize) -> Operation;
}

/// To numbers whose meaning is known. Nodes are called by the values that they compute.
struct Known<'a>(&'a [Option<Quantization>]);

impl Rounding for Known<'_> {
    fn name(&self, value: usize) -> String {
        value.to_string()
    }

    fn push(&self, graph: &mut Graph, value: usize, real: usize) -> Option<usize> {
        let quantization = self.0[value]?;
        let name = self.name(value);
        let numbers = graph.push(&name, Operation::Quantize(quantization), &[real]);
        Some(graph.push(&name, Operation::Dequantize(quantization), &[numbers]))
    }

    fn layer(&self, operation: &Operation, input: usize) -> Operation {
        rounded(operation, self.0[input])
    }
}

/// The network with steps from real numbers to 8-bit ones and back.
pub(super) fn written(old: &Graph, scheme: &Scheme, rounding: &impl Rounding) -> Graph {
    let values = scheme.groups.len();
    let mut writer = Writer {
        graph: old.without_nodes(),
        real: (0..old.inputs.len()).map(Some).collect(),
        rounded: vec![None; values],
        rounding,
    };
    writer.real.resize(values, None);
    for (index, node) in old.nodes.iter().enumerate() {
        let value = old.value_of(index);
        let arithmetic = scheme.nodes[index];
        let inputs: Vec<usize> = node
            .inputs
            .iter()
            .map(|input| match arithmetic {
                Arithmetic::Real => writer.real[*input].unwrap_or(0),
                _ => writer.rounded(*input),
            })
            .collect();
        let operation = match arithmetic {
            Arithmetic::Int8 => rounding.layer(&node.operation, node.inputs[0]),
            _ => node.operation.clone(),
        };
        let name = rounding.name(value);
        let number = writer.graph.push(&name, operation, &inputs);
        writer.real[value] = Some(number);
        match arithmetic {
            Arithmetic::Real => {}
            // What is brought to one meaning has to be told so.
            Arithmetic::Copy if inputs.len() == 1 => writer.rounded[value] = Some(number),
            _ => {
                let rounded = writer.rounded(value);
                writer.real[value] = Some(rounded);
            }
        }
    }
    let outputs = writer.graph.outputs.iter_mut();
    outputs.for_each(|output| output.value = writer.real[output.value].unwrap_or(0));
    writer.graph
}

struct Writer<'a, R> {
    graph: Graph,
    /// Where each value is as real numbers.
    real: Vec<Option<usize>>,
    /// Where it is rounded to 8-bit ones.
    rounded: Vec<Option<usize>>,
    rounding: &'a R,
}

impl<R: Rounding> Writer<'_, R> {
    /// The value rounded to the numbers that it is to have.
    fn rounded(&mut self, value: usize) -> usize {
        let real = self.real[value].unwrap_or(0);
        if let Some(rounded) = self.rounded[value] {
            return rounded;
        }
        let Some(rounded) = self.rounding.push(&mut self.graph, value, real) else {
            return real;
        };
        self.rounded[value] = Some(rounded);
        rounded
    }
}

/// The operation with weights and bias that 8-bit numbers can be, over numbers of `input`.
pub(crate) fn rounded(operation: &Operation, input: Option<Quantization>) -> Operation {
    let mut operation = operation.clone();
    let (weights, bias, row) = parameters(&operation);
    let Some(input) = input.filter(|_| !weights.is_empty()) else {
        return operation;
    };
    let to = round(weights, row, bias, input.scale);
    if let Operation::Conv2d {
        weights,
        weight_scale,
        bias,
        ..
    }
    | Operation::Linear {
        weights,
        weight_scale,
        bias,
        ..
    } = &mut operation
    {
        *weights = to.weights;
        *weight_scale = Some(to.scale);
        *bias = to.bias;
    }
    operation
}
