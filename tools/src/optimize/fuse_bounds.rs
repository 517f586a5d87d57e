//! Joins a ReLU on 8-bit numbers that stands by itself with what comes before it, where the numbers mean the same before and
//! after: all that it does then is to bound them, and bounds the operation before it has of its own.

use crate::graph::{Graph, Int8Operation, Operation};

pub(super) fn run(graph: &mut Graph) {
    for index in (0..graph.nodes.len()).rev() {
        let Operation::Int8 {
            operation: Int8Operation::Requantize { bounds },
            output,
        } = graph.nodes[index].operation
        else {
            continue;
        };
        let Some(producer) = graph.only_producer(index) else {
            continue;
        };
        let Operation::Int8 {
            operation,
            output: meaning,
        } = &mut graph.nodes[producer].operation
        else {
            continue;
        };
        if *meaning != output {
            continue;
        }
        if let Some(own) = bounds_of(operation) {
            // Also where the two have no number in common.
            let (low, high) = bounds;
            *own = (own.0.clamp(low, high), own.1.clamp(low, high));
            graph.join(index, producer);
        }
    }
}

/// Smallest and largest number of an operation's output, if it has such.
fn bounds_of(operation: &mut Int8Operation) -> Option<&mut (i8, i8)> {
    match operation {
        Int8Operation::Conv2d { bounds, .. }
        | Int8Operation::Linear { bounds, .. }
        | Int8Operation::Add { bounds }
        | Int8Operation::Requantize { bounds } => Some(bounds),
        Int8Operation::AvgPool2d(_) | Int8Operation::Softmax => None,
    }
}
