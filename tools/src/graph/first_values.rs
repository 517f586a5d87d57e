//! PyTorch's first values of a graph that is to be trained.

use rand_core::Rng;

use super::{Graph, Operation, Role};
use crate::random::{Purpose, for_purpose, uniform};

impl Graph {
    /// The graph with PyTorch's first values: weights and bias of convolutions and linear layers uniform within
    /// `1 / sqrt(fan_in)` (its `kaiming_uniform_` with `a = sqrt(5)`), batch normalization 1 and 0. Each node has a random
    /// stream of its own.
    #[must_use]
    pub fn initialized(mut self, seed: u64) -> Self {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            node.operation.initialize(seed, index);
        }
        self
    }

    /// The graph with PyTorch's first values in node `index` alone.
    #[must_use]
    pub(crate) fn initialized_at(mut self, index: usize, seed: u64) -> Self {
        self.nodes[index].operation.initialize(seed, index);
        self
    }
}

impl Operation {
    /// Gives the operation of node `index` its first values.
    fn initialize(&mut self, seed: u64, index: usize) {
        let fan_in = match self {
            Self::Conv2d { params, .. } => params.taps(),
            Self::Linear { params, .. } => params.in_features(),
            Self::BatchNorm2d(of) => {
                of.weights.fill(1.0);
                of.bias.fill(0.0);
                of.mean.fill(0.0);
                of.variance.fill(1.0);
                return;
            }
            _ => return,
        };
        let bound = 1.0 / (fan_in as f32).sqrt();
        for role in [Role::Weights, Role::Bias] {
            let mut rng = for_purpose(seed, Purpose::Initialize, 0, index as u64);
            if role == Role::Bias {
                // The bias continues where the weights ended.
                rng.set_word_pos(1 << 40);
            }
            fill_uniform(&mut rng, bound, self.values_mut(role).unwrap_or_default());
        }
    }
}

fn fill_uniform(rng: &mut impl Rng, bound: f32, values: &mut [f32]) {
    for value in values {
        *value = (2.0 * uniform(rng) - 1.0) * bound;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tensor::tests::{LAYERS, network};
    use super::*;

    #[test]
    fn first_values_are_those_of_pytorch() {
        let network = network(LAYERS);
        let values = |layer: usize, role| network.nodes[layer].operation.values(role).unwrap();
        assert!(values(1, Role::Weights).iter().all(|&x| x == 1.0));
        assert!(values(1, Role::RunningVariance).iter().all(|&x| x == 1.0));
        assert!(values(1, Role::Bias).iter().all(|&x| x == 0.0));
        let bound = 1.0 / 6.0_f32;
        let largest = |values: &[f32]| values.iter().fold(0.0_f32, |a, x| a.max(x.abs()));
        for (values, bound) in [
            (values(0, Role::Weights), 1.0 / 6.0_f32.sqrt()),
            (values(5, Role::Weights), bound),
            (values(6, Role::Bias), 1.0 / 3.0_f32.sqrt()),
        ] {
            assert!(largest(values) <= bound, "{values:?}");
        }
        // Of 108 uniform values the largest is near the bound, and the mean is near 0.
        let weights = values(5, Role::Weights);
        assert!(largest(weights) > 0.95 * bound);
        let mean = weights.iter().sum::<f32>() / weights.len() as f32;
        assert!(
            mean.abs() < 3.0 * bound / (3.0 * 108.0_f32).sqrt(),
            "{mean}"
        );
        assert_ne!(weights[..2], values(6, Role::Weights)[..2]);
    }
}
