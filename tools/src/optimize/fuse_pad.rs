//! Joins rows and columns of zeros around a tensor with the convolution that reads it: its own padding is not stored.

use kinglet_kernels::{Conv2d, Padding, Shape};

use crate::graph::{Graph, Int8Operation, Operation};

pub(super) fn run(graph: &mut Graph) {
    for index in (0..graph.nodes.len()).rev() {
        let Some(producer) = graph.only_producer(index) else {
            continue;
        };
        let Operation::Pad {
            before: [top, left, 0],
            after: [bottom, right, 0],
            value: 0.0,
        } = graph.nodes[producer].operation
        else {
            continue;
        };
        let input = graph.shapes()[graph.nodes[producer].inputs[0]];
        let params = match &mut graph.nodes[index].operation {
            Operation::Conv2d { params, .. } => params,
            Operation::Int8 {
                operation: Int8Operation::Conv2d { params, .. },
                ..
            } => params,
            _ => continue,
        };
        let padding = Padding {
            top,
            bottom,
            left,
            right,
        };
        if let Some(joined) = padded(params, input, padding) {
            *params = joined;
            let name = graph.nodes[producer].name.clone() + " + ";
            graph.nodes[index].name.insert_str(0, &name);
            graph.remove(producer);
        }
    }
}

/// The convolution with more padding, over `input`.
fn padded(params: &Conv2d, input: Shape, more: Padding) -> Option<Conv2d> {
    let own = params.window().padding;
    let window = params.window().with_padding(Padding {
        top: own.top + more.top,
        bottom: own.bottom + more.bottom,
        left: own.left + more.left,
        right: own.right + more.right,
    });
    let (channels, groups) = (params.output().channels, params.groups());
    Conv2d::new(input, channels, window, groups, params.activation()).ok()
}
