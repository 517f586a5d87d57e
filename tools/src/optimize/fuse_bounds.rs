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
        if bound(operation, bounds) {
            graph.join(index, producer);
        }
    }
}

/// Limits the numbers of an operation's output to those from one to another, if it can do that itself; also where it has none of
/// these.
fn bound(operation: &mut Int8Operation, (low, high): (i8, i8)) -> bool {
    match operation {
        Int8Operation::Conv2d { bounds, .. }
        | Int8Operation::Linear { bounds, .. }
        | Int8Operation::Add { bounds }
        | Int8Operation::Binary { bounds, .. }
        | Int8Operation::Requantize { bounds } => {
            *bounds = (bounds.0.clamp(low, high), bounds.1.clamp(low, high));
        }
        Int8Operation::Table { entries, function } => {
            let bounded = entries.iter_mut();
            bounded.for_each(|entry| *entry = (*entry).clamp(low, high));
            *function = None;
        }
        Int8Operation::AvgPool2d(_) | Int8Operation::Softmax => return false,
    }
    true
}
