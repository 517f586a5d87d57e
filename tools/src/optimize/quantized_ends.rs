//! Lets a quantized network begin and end with 8-bit numbers: what would only quantize the input, or say what the
//! output means, is left to whoever hands over the one and reads the other. That saves the arena a copy of each.

use crate::graph::{Graph, Operation};

pub(super) fn run(graph: &mut Graph) {
    if let Some(first) = graph.only_reader(0)
        && let Operation::Quantize(quantization) = graph.nodes[first].operation
        && graph.nodes.len() > 1
    {
        graph.remove(first);
        graph.quantized_input = Some(quantization);
    }
    // The network's output is the last value, and has to be computed by some node.
    if let [.., before, last] = graph.nodes.as_slice()
        && matches!(last.operation, Operation::Dequantize(_))
        && last.inputs == [graph.nodes.len() - 1]
        && !matches!(before.operation, Operation::Dequantize(_))
    {
        graph.nodes.pop();
    }
}
