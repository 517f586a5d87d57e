//! Splits a concatenation of more tensors than the runtime takes at once into several, one within the other.

use kinglet_kernels::Concat;

use crate::graph::{Graph, Node, Operation};

pub(super) fn run(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.nodes.len() {
        let node = &mut graph.nodes[index];
        let is_concat = matches!(node.operation, Operation::Concat { .. });
        if is_concat && node.inputs.len() > Concat::MAX_INPUTS {
            let rest = node.inputs.split_off(Concat::MAX_INPUTS);
            let mut outer = Node {
                name: node.name.clone(),
                operation: node.operation.clone(),
                inputs: rest,
                view: node.view.take(),
            };
            outer.inputs.insert(0, graph.value_of(index));
            graph.insert_behind(index, outer);
        }
        index += 1;
    }
}
