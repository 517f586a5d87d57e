//! Lets a quantized network begin and end with 8-bit numbers: what would only quantize the input, or say what the
//! output means, is left to whoever hands over the one and reads the other. That saves the arena a copy of each.

use crate::graph::{Graph, Operation};

pub(super) fn run(graph: &mut Graph) {
    for input in 0..graph.inputs.len() {
        if let Some(first) = graph.only_reader(input)
            && let Operation::Quantize(quantization) = graph.nodes[first].operation
            && graph.nodes.len() > 1
        {
            graph.remove(first);
            graph.inputs[input].quantization = Some(quantization);
        }
    }
    for index in (0..graph.nodes.len()).rev() {
        let value = graph.value_of(index);
        let is_end = graph.is_output(value) && graph.readers(value).next().is_none();
        // Some node has to compute what it reads.
        let before = graph.producer(graph.nodes[index].inputs[0]);
        if matches!(graph.nodes[index].operation, Operation::Dequantize(_))
            && is_end
            && before.is_some()
        {
            graph.remove(index);
        }
    }
}
