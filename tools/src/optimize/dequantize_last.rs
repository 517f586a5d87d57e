//! Takes the last linear layers of an 8-bit network back to real numbers, which can be trained: what its numbers mean is
//! exact, so the layers compute the same but for the rounding of their outputs.

use kinglet::operator::{LayerI8, Owned};
use kinglet_kernels::{Activation, Quantization, Unary};

use crate::graph::{Graph, Int8Operation, Node, Operation};

/// Lets the last `wanted` linear layers of a joined network, and what comes behind them, compute on real numbers; changes
/// nothing where there are fewer, or where something else than linear layers, activations and softmax is among them.
pub(crate) fn run(graph: &mut Graph, wanted: usize) {
    let linear: Vec<usize> = (0..graph.nodes.len())
        .filter(|index| is_linear(&graph.nodes[*index]))
        .collect();
    let first = linear.len().checked_sub(wanted).map(|at| linear.get(at));
    let Some(Some(&first)) = first else { return };
    let head = &graph.nodes[first..];
    let is_int8 = |node: &Node| matches!(node.operation, Operation::Int8 { .. });
    if !head.iter().any(is_int8) || !head.iter().all(is_of_head) {
        return;
    }
    let meanings = graph.meanings();
    let mut to = graph.without_nodes();
    // Of each value its place, and what it means there if it is of 8-bit numbers.
    let inputs = 0..graph.inputs.len();
    let mut values: Vec<(usize, Option<Quantization>)> =
        inputs.map(|input| (input, meanings[input])).collect();
    for (index, node) in graph.nodes.iter().enumerate() {
        let value = graph.value_of(index);
        if index < first {
            let inputs: Vec<usize> = node.inputs.iter().map(|v| values[*v].0).collect();
            values.push((
                to.push(&node.name, node.operation.clone(), &inputs),
                meanings[value],
            ));
            continue;
        }
        let input = real(&mut to, &mut values, node.inputs[0]);
        let written = match &node.operation {
            Operation::Int8 {
                operation,
                output: meaning,
            } => {
                let input_meaning = meanings[node.inputs[0]].unwrap_or(*meaning);
                int8(
                    &mut to,
                    &node.name,
                    input,
                    operation,
                    (input_meaning, *meaning),
                )
            }
            Operation::Quantize(_) | Operation::Dequantize(_) => input,
            operation => to.push(&node.name, operation.clone(), &[input]),
        };
        values.push((written, None));
    }
    for (place, output) in graph.outputs.iter().enumerate() {
        to.outputs[place].value = values[output.value].0;
    }
    *graph = to;
}

/// Whether a node is a linear layer, on real numbers or on 8-bit ones.
pub(crate) fn is_linear(node: &Node) -> bool {
    matches!(
        node.operation,
        Operation::Linear { .. }
            | Operation::Int8 {
                operation: Int8Operation::Linear { .. },
                ..
            }
    )
}

/// Whether a node may stand among layers that are trained, be it on 8-bit numbers or on real ones.
fn is_of_head(node: &Node) -> bool {
    match &node.operation {
        Operation::Linear { .. }
        | Operation::Unary(_)
        | Operation::Softmax
        | Operation::Quantize(_)
        | Operation::Dequantize(_) => true,
        Operation::Int8 { operation, .. } => matches!(
            operation,
            Int8Operation::Linear { .. }
                | Int8Operation::Softmax
                | Int8Operation::Requantize { .. }
                | Int8Operation::Table {
                    function: Some(_),
                    ..
                }
        ),
        _ => false,
    }
}

/// The value as real numbers.
fn real(to: &mut Graph, values: &mut [(usize, Option<Quantization>)], value: usize) -> usize {
    let (number, meaning) = values[value];
    match meaning {
        None => number,
        Some(meaning) => to.push("dequantized", Operation::Dequantize(meaning), &[number]),
    }
}

/// An 8-bit operation on real numbers; `meanings` are those of what it reads and writes.
fn int8(
    to: &mut Graph,
    name: &str,
    input: usize,
    operation: &Int8Operation,
    meanings: (Quantization, Quantization),
) -> usize {
    match operation {
        Int8Operation::Linear {
            params,
            layer,
            bounds,
        } => {
            let (activation, function) = bounded(*bounds, meanings.1);
            let (weights, bias) = real_layer(layer, params.in_features(), meanings);
            let linear = Operation::Linear {
                params: params.with_activation(activation),
                weights,
                weight_scale: None,
                bias,
            };
            let linear = to.push(name, linear, &[input]);
            match function {
                Some(function) => to.push(name, Operation::Unary(function), &[linear]),
                None => linear,
            }
        }
        Int8Operation::Requantize { bounds } => {
            let function = match bounded(*bounds, meanings.1) {
                (Activation::Relu, _) => Some(Unary::Relu),
                (Activation::Relu6, _) => Some(Unary::Relu6),
                (_, function) => function,
            };
            match function {
                Some(function) => to.push(name, Operation::Unary(function), &[input]),
                None => input,
            }
        }
        Int8Operation::Table {
            function: Some(function),
            ..
        } => to.push(name, Operation::Unary(*function), &[input]),
        _ => to.push(name, Operation::Softmax, &[input]),
    }
}

/// What bounds of numbers that mean `output` were: an activation, or limits of another kind. Numbers that begin with 0 are
/// bounded by it, whether or not that is said.
fn bounded((low, high): (i8, i8), output: Quantization) -> (Activation, Option<Unary>) {
    let is_rectified = low == output.zero_point;
    let is_six = high < i8::MAX && high == output.quantize(6.0);
    match (is_rectified, low, high) {
        (true, _, i8::MAX) => (Activation::Relu, None),
        (true, ..) if is_six => (Activation::Relu6, None),
        (_, i8::MIN, i8::MAX) => (Activation::Identity, None),
        _ => {
            let end = |number: i8, open: i8, unbounded: f32| match number == open {
                true => unbounded,
                false => output.dequantize(number),
            };
            let low = end(low, i8::MIN, f32::MIN);
            let high = end(high, i8::MAX, f32::MAX);
            (Activation::Identity, Some(Unary::Clip { low, high }))
        }
    }
}

/// What the weights and the bias of a layer mean, whose rows are of `row` weights.
fn real_layer(
    layer: &LayerI8<Owned>,
    row: usize,
    (input, output): (Quantization, Quantization),
) -> (Vec<f32>, Option<Vec<f32>>) {
    // A sum times the layer's factor is a number of the output's scale.
    let sums: Vec<f32> = layer
        .scale
        .iter()
        .map(|scale| scale * output.scale)
        .collect();
    let rows = layer.weights.chunks_exact(row).zip(&sums);
    let weights = rows.flat_map(|(row, sum)| {
        let scale = sum / input.scale;
        row.iter().map(move |weight| f32::from(*weight) * scale)
    });
    let bias = layer.bias.as_ref().map(|bias| {
        let pairs = bias.iter().zip(&sums);
        pairs.map(|(bias, sum)| *bias as f32 * sum).collect()
    });
    (weights.collect(), bias)
}
