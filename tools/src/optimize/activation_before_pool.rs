//! Moves a ReLU from behind a max pool to before it, where it can join the convolution: both functions are
//! monotone, so the result is the same, and the pass over the data is saved.

use kinglet_kernels::Unary;

use crate::graph::{Graph, Operation};

pub(super) fn run(graph: &mut Graph) {
    for index in 1..graph.nodes.len() {
        let rectifies = matches!(
            graph.nodes[index].operation,
            Operation::Unary(Unary::Relu | Unary::Relu6)
        );
        let Some(pool) = graph.only_producer(index).filter(|_| rectifies) else {
            continue;
        };
        let convolved = graph.only_producer(pool).is_some_and(|before| {
            matches!(graph.nodes[before].operation, Operation::Conv2d { .. })
        });
        if matches!(graph.nodes[pool].operation, Operation::MaxPool2d(_)) && convolved {
            // Same places in the chain, operations exchanged: the values' numbers stay as they are, and the second
            // is still what its name says. What the first computes now is no value of the source.
            let (first, second) = graph.nodes.split_at_mut(index);
            let (pool, relu) = (&mut first[pool], &mut second[0]);
            std::mem::swap(&mut pool.operation, &mut relu.operation);
            let of_both = format!("{} + {}", pool.name, relu.name);
            pool.name = format!("{} before {}", relu.name, pool.name);
            pool.view = None;
            relu.name = of_both;
        }
    }
}
