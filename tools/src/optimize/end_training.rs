//! Batch normalization becomes what it computes with its running statistics, dropout goes, and what training rounded becomes
//! steps to 8-bit numbers and back, as quantized files have them: the first step on the way from a network in training to a
//! file.

use crate::graph::{Graph, Node, Operation};
use crate::quantize::rounded;

pub(super) fn run(graph: &mut Graph) {
    for node in &mut graph.nodes {
        match &node.operation {
            Operation::BatchNorm2d(of) => node.operation = of.to_affine(),
            Operation::Dropout { .. } => node.operation = Operation::Identity,
            _ => {}
        }
    }
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let is_layer = matches!(
            node.operation,
            Operation::Conv2d { .. } | Operation::Linear { .. }
        );
        let rounding = graph.rounding(node.inputs[0]).filter(|_| is_layer);
        if let Some(rounding) = rounding
            && let Operation::FakeQuantize(input) = &graph.nodes[rounding].operation
        {
            let operation = rounded(&node.operation, Some(input.quantization()));
            graph.nodes[index].operation = operation;
        }
    }
    for index in (0..graph.nodes.len()).rev() {
        if let Operation::FakeQuantize(of) = graph.nodes[index].operation {
            let numbers = of.quantization();
            graph.nodes[index].operation = Operation::Quantize(numbers);
            let real = Node {
                name: graph.nodes[index].name.clone(),
                operation: Operation::Dequantize(numbers),
                inputs: vec![graph.value_of(index)],
                view: None,
            };
            graph.insert_behind(index, real);
        }
    }
}
