//! Drops nodes that pass their input on: dropout once trained, flatten where channels are innermost.

use crate::graph::{Graph, Operation};

pub(super) fn run(graph: &mut Graph) {
    for index in (0..graph.nodes.len()).rev() {
        // The last node stays even so: a graph has at least one.
        if graph.nodes[index].operation == Operation::Identity && graph.nodes.len() > 1 {
            graph.remove(index);
        }
    }
}
