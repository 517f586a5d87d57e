//! A trained network with rounding wherever it would be on 8-bit numbers, to be trained further: each range follows the
//! batches, and weights get used to what rounding leaves of them.

use super::network::{Network, Scheme};
use super::rewrite::{Rounding, written};
use crate::export::ExportSettings;
use crate::graph::{FakeQuantize, Graph, Operation};
use crate::recipe::Normalize;

/// `graph`, optimized as a model file has it, with a rounding where [`super::quantize`] has steps to 8-bit numbers; ranges move
/// by `momentum` of the way towards those of each batch.
pub(crate) fn with_learned_ranges(graph: Graph, momentum: f32) -> Graph {
    let network = Network {
        shapes: graph.shapes(),
        tensors: Vec::new(),
        settings: ExportSettings {
            normalize: Normalize::identity(0),
            labels: Vec::new(),
            fine_tune_last: 0,
        },
        graph,
    };
    let scheme = Scheme::new(&network, |_| false);
    let learned = Learned {
        graph: &network.graph,
        scheme: &scheme,
        momentum,
    };
    written(&network.graph, &scheme, &learned)
}

/// Ranges that training finds.
struct Learned<'a> {
    graph: &'a Graph,
    scheme: &'a Scheme,
    momentum: f32,
}

impl Rounding for Learned<'_> {
    fn name(&self, value: usize) -> String {
        match self.graph.producer(value) {
            Some(node) => self.graph.nodes[node].name.clone(),
            None => self.graph.inputs[value].name.clone(),
        }
    }

    fn push(&self, graph: &mut Graph, value: usize, real: usize) -> Option<usize> {
        self.scheme.groups[value]?;
        let name = format!("{} on 8 bits", self.name(value));
        let operation = Operation::FakeQuantize(FakeQuantize {
            range: [0.0; 2],
            momentum: self.momentum,
        });
        Some(graph.push(&name, operation, &[real]))
    }

    fn layer(&self, operation: &Operation, _: usize) -> Operation {
        operation.clone()
    }
}
