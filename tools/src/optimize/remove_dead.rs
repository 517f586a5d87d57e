//! Removes nodes whose output nobody needs.

use crate::graph::Graph;

pub(super) fn run(graph: &mut Graph) {
    for index in (0..graph.nodes.len()).rev() {
        let value = graph.value_of(index);
        if graph.readers(value).next().is_none() && !graph.is_output(value) {
            graph.remove(index);
        }
    }
}
