//! The values of a network as training moves them: two flat vectors, one of what optimizers move and one of what batch
//! normalization records. [`Graph::tensors`] says what lies where.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::graph::{Graph, Tensor};

/// All values of a network that training changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// What training moves.
    pub parameters: Vec<f32>,
    /// Running mean and variance of batch normalization.
    pub statistics: Vec<f32>,
}

/// The values that training moves, of all: those behind what the frozen layers have, which come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moving {
    pub(super) parameters: Range<usize>,
    pub(super) statistics: Range<usize>,
}

impl Moving {
    /// Those of a graph whose first `frozen` nodes keep their values.
    pub(super) fn of(tensors: &[Tensor], frozen: usize) -> Self {
        let range = |is_statistic: bool| {
            let kind = |tensor: &&Tensor| tensor.role.is_statistic() == is_statistic;
            let end = |tensors: &[Tensor]| {
                let last = tensors.iter().rfind(kind);
                last.map_or(0, |tensor| tensor.range.end)
            };
            let before = tensors.partition_point(|tensor| tensor.node < frozen);
            end(&tensors[..before])..end(tensors)
        };
        Self {
            parameters: range(false),
            statistics: range(true),
        }
    }
}

impl Values {
    /// The values that a graph has.
    pub fn of(graph: &Graph) -> Self {
        let mut values = Self::default();
        for tensor in graph.tensors() {
            let all = match tensor.role.is_statistic() {
                true => &mut values.statistics,
                false => &mut values.parameters,
            };
            all.extend_from_slice(graph.values(&tensor));
        }
        values
    }

    /// Gives a graph these values; they must be those of a graph of the same nodes.
    pub fn give_to(&self, graph: &mut Graph) {
        for tensor in graph.tensors() {
            let values = self.get(&tensor);
            graph.values_mut(&tensor).copy_from_slice(values);
        }
    }

    /// The values of one tensor.
    pub fn get(&self, tensor: &Tensor) -> &[f32] {
        match tensor.role.is_statistic() {
            true => &self.statistics[tensor.range.clone()],
            false => &self.parameters[tensor.range.clone()],
        }
    }

    /// Whether they are as many as a graph has.
    pub(super) fn fit(&self, graph: &Graph) -> bool {
        let tensors = graph.tensors();
        let len = |is_statistic: bool| -> usize {
            let kind = tensors
                .iter()
                .filter(|t| t.role.is_statistic() == is_statistic);
            kind.map(|tensor| tensor.range.len()).sum()
        };
        self.parameters.len() == len(false) && self.statistics.len() == len(true)
    }
}
