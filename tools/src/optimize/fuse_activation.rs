//! Joins ReLU and ReLU6 with what comes before them: applied to each output on its way out, they cost no pass over
//! memory.

use kinglet_kernels::{Activation, Unary};

use crate::graph::{Graph, Operation};

pub(super) fn run(graph: &mut Graph) {
    for index in (0..graph.nodes.len()).rev() {
        let activation = match graph.nodes[index].operation {
            Operation::Unary(Unary::Relu) => Activation::Relu,
            Operation::Unary(Unary::Relu6) => Activation::Relu6,
            _ => continue,
        };
        let Some(producer) = graph.only_producer(index) else {
            continue;
        };
        if fuse(&mut graph.nodes[producer].operation, activation) {
            graph.join(index, producer);
        }
    }
}

/// Lets the operation apply `activation` to its outputs, if it can and applies none yet.
fn fuse(operation: &mut Operation, activation: Activation) -> bool {
    match operation {
        Operation::Conv2d {
            params, pool: None, ..
        } if params.activation() == Activation::Identity => {
            *params = params.with_activation(activation);
        }
        Operation::Linear { params, .. } if params.activation() == Activation::Identity => {
            *params = params.with_activation(activation);
        }
        Operation::ChannelAffine {
            activation: own, ..
        }
        | Operation::Binary {
            activation: own, ..
        }
        | Operation::BinaryConstant {
            activation: own, ..
        } if *own == Activation::Identity => {
            *own = activation;
        }
        _ => return false,
    }
    true
}
