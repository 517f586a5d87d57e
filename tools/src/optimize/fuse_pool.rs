//! Joins a max pool with the convolution before it: the convolution's output, often the largest tensor of all,
//! is never stored. Pools whose windows overlap, or have padding or dilation, stay by themselves.

use kinglet_kernels::PooledConv2d;

use crate::graph::{Graph, Operation};

pub(super) fn run(graph: &mut Graph) {
    for index in (0..graph.nodes.len()).rev() {
        let Operation::MaxPool2d(max_pool) = graph.nodes[index].operation else {
            continue;
        };
        let Some(producer) = graph.only_producer(index) else {
            continue;
        };
        let Operation::Conv2d { params, pool, .. } = &mut graph.nodes[producer].operation else {
            continue;
        };
        let joined = PooledConv2d::new(*params, max_pool.window(), max_pool.rounding());
        if pool.is_none() && joined.is_ok() {
            *pool = Some(max_pool);
            graph.join(index, producer);
        }
    }
}
