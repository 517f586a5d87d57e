//! Joins rows and columns of zeros around a tensor with the convolution that reads it: its own padding is not stored.

use kinglet_kernels::{Conv2d, Padding};

use crate::graph::{Graph, Operation};

pub(super) fn run(graph: &mut Graph) {
    for index in (0..graph.nodes.len()).rev() {
        let Some(producer) = graph.only_producer(index) else {
            continue;
        };
        let input = graph.shapes()[graph.nodes[producer].inputs[0]];
        let Operation::Pad {
            before: [top, left, 0],
            after: [bottom, right, 0],
            value: 0.0,
        } = graph.nodes[producer].operation
        else {
            continue;
        };
        let Operation::Conv2d { params, .. } = &mut graph.nodes[index].operation else {
            continue;
        };
        let own = params.window().padding;
        let window = params.window().with_padding(Padding {
            top: own.top + top,
            bottom: own.bottom + bottom,
            left: own.left + left,
            right: own.right + right,
        });
        let (channels, groups) = (params.output().channels, params.groups());
        if let Ok(joined) = Conv2d::new(input, channels, window, groups, params.activation()) {
            *params = joined;
            let name = graph.nodes[producer].name.clone() + " + ";
            graph.nodes[index].name.insert_str(0, &name);
            graph.remove(producer);
        }
    }
}
