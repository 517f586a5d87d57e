//! Removes nodes whose output nobody needs.

use crate::graph::Graph;

pub(super) fn run(graph: &mut Graph) {
    // The network's output is the last value.
    for index in (0..graph.nodes.len().saturating_sub(1)).rev() {
        if graph.readers(index + 1).next().is_none() {
            graph.remove(index);
        }
    }
}
