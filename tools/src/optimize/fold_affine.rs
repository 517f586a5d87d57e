//! Folds `scale * x + shift` (trained batch normalization) into the convolution before it, whose weights
//! and bias take up the factors (Jacob et al., arXiv 1712.05877, section 3.2). Where no convolution stands
//! before it, it becomes one: depthwise, 1x1.

use kinglet_kernels::{Activation, Conv2d, Window};

use crate::graph::{Graph, Operation};

pub(super) fn run(graph: &mut Graph) {
    let mut index = 0;
    while index < graph.nodes.len() {
        if let Operation::ChannelAffine { scale, shift } = &graph.nodes[index].operation {
            let (scale, shift) = (scale.clone(), shift.clone());
            let producer = graph.only_producer(index);
            if let Some(producer) = producer.filter(|p| fold(graph, *p, &scale, &shift)) {
                let name = graph.nodes[index].name.clone();
                graph.nodes[producer].name += &format!(" + {name}");
                graph.remove(index);
                continue;
            }
            let input = graph.shapes()[graph.nodes[index].inputs[0]];
            let depthwise = Conv2d::new(
                input,
                input.channels,
                Window::new(1, 1),
                input.channels,
                Activation::Identity,
            );
            if let Ok(params) = depthwise {
                graph.nodes[index].operation = Operation::Conv2d {
                    params,
                    weights: scale,
                    bias: Some(shift),
                    pool: None,
                };
            }
        }
        index += 1;
    }
}

/// Scales and shifts the outputs of node `producer`, if it is a convolution whose outputs are its sums.
fn fold(graph: &mut Graph, producer: usize, scale: &[f32], shift: &[f32]) -> bool {
    let Operation::Conv2d {
        params,
        weights,
        bias,
        pool: None,
    } = &mut graph.nodes[producer].operation
    else {
        return false;
    };
    if params.activation() != Activation::Identity {
        return false;
    }
    for (row, factor) in weights.chunks_exact_mut(params.taps()).zip(scale) {
        row.iter_mut().for_each(|w| *w *= factor);
    }
    let old = bias.take().unwrap_or_else(|| vec![0.0; scale.len()]);
    *bias = Some(
        old.iter()
            .zip(scale)
            .zip(shift)
            .map(|((b, factor), shift)| b * factor + shift)
            .collect(),
    );
    true
}
