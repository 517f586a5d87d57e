//! Joins ReLU and ReLU6 with the convolution or linear layer before them: applied to each output on its way
//! out, they cost no pass over memory.

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
        let fused = match &mut graph.nodes[producer].operation {
            Operation::Conv2d { params, .. } if params.activation() == Activation::Identity => {
                *params = params.with_activation(activation);
                true
            }
            Operation::Linear { params, .. } if params.activation() == Activation::Identity => {
                *params = params.with_activation(activation);
                true
            }
            _ => false,
        };
        if fused {
            let name = graph.nodes[index].name.clone();
            graph.nodes[producer].name += &format!(" + {name}");
            graph.remove(index);
        }
    }
}
