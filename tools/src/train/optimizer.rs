//! The runtime's optimizers over all parameters of a network, shared out over the threads.

use std::ops::Range;

use kinglet::train::{Adam, Optimizer, Sgd};
use rayon::prelude::*;

use super::Rates;
use crate::network::{Network, Tensor};
use crate::recipe::OptimizerSettings;

/// Parameters that are updated at a time, with their state beside them: a chunk fits the cache. Checkpoints
/// hold the state in this order.
const CHUNK: usize = 4096;

/// An optimizer and its state for each parameter.
#[derive(Debug, Clone)]
pub(super) struct Stepper {
    settings: OptimizerSettings,
    /// What the next step takes instead of the settings' own.
    rates: Rates,
    /// The only parameters that decay, where not all do.
    decaying: Option<Vec<Range<usize>>>,
    /// Number of steps taken.
    steps: u32,
    /// For each chunk of parameters its slots one after the other.
    state: Vec<f32>,
}

impl Stepper {
    pub(super) fn new(settings: &OptimizerSettings, network: &Network) -> Self {
        let (slots, decay_bias) = match *settings {
            OptimizerSettings::Sgd { decay_bias, .. } => (Sgd::SLOTS, decay_bias),
            OptimizerSettings::Adam { decay_bias, .. } => (Adam::SLOTS, decay_bias),
        };
        // Biases, and factor and summand of batch normalization, are the tensors of one axis.
        let decays =
            |tensor: &&Tensor| !tensor.role.is_statistic() && tensor.pytorch_shape().len() > 1;
        let decaying = || {
            let tensors = network.tensors().iter().filter(decays);
            tensors.map(|tensor| tensor.range.clone()).collect()
        };
        Self {
            settings: *settings,
            rates: Rates {
                learning_rate: settings.learning_rate(),
                momentum: None,
            },
            decaying: (!decay_bias).then(decaying),
            steps: 0,
            state: vec![0.0; slots * network.parameters.len()],
        }
    }

    /// What the steps from now on take.
    pub(super) fn set_rates(&mut self, rates: Rates) {
        self.rates = rates;
    }

    /// Moves the parameters against their gradients. Where not all parameters decay, the decay is added to
    /// `gradients`.
    pub(super) fn step(&mut self, parameters: &mut [f32], gradients: &mut [f32]) {
        self.steps = self.steps.saturating_add(1);
        let learning_rate = self.rates.learning_rate as f32;
        let momentum = self.rates.momentum.map(|momentum| momentum as f32);
        match self.settings {
            OptimizerSettings::Sgd {
                momentum: own,
                weight_decay,
                nesterov,
                ..
            } => {
                let sgd = Sgd {
                    learning_rate,
                    momentum: momentum.unwrap_or(own),
                    weight_decay: self.decay(weight_decay, parameters, gradients),
                    nesterov,
                };
                update(&sgd, self.steps, parameters, gradients, &mut self.state);
            }
            OptimizerSettings::Adam {
                betas: [beta1, beta2],
                epsilon,
                weight_decay,
                ..
            } => {
                let adam = Adam {
                    learning_rate,
                    beta1: momentum.unwrap_or(beta1),
                    beta2,
                    epsilon,
                    weight_decay: self.decay(weight_decay, parameters, gradients),
                };
                update(&adam, self.steps, parameters, gradients, &mut self.state);
            }
        }
    }

    /// Adds the decay to the gradients of those parameters that decay, unless all do. Returns the decay that is
    /// left to the optimizer.
    fn decay(&self, weight_decay: f32, parameters: &[f32], gradients: &mut [f32]) -> f32 {
        let Some(decaying) = &self.decaying else {
            return weight_decay;
        };
        if weight_decay != 0.0 {
            for range in decaying {
                gradients[range.clone()]
                    .par_iter_mut()
                    .with_min_len(CHUNK)
                    .zip(&parameters[range.clone()])
                    .for_each(|(gradient, parameter)| *gradient += weight_decay * parameter);
            }
        }
        0.0
    }

    /// Steps taken and state, for a checkpoint.
    pub(super) fn save(&self) -> (u32, &[f32]) {
        (self.steps, &self.state)
    }

    /// Continues from a checkpoint. Returns false, and changes nothing, if the state is that of another
    /// optimizer or network.
    #[must_use]
    pub(super) fn restore(&mut self, steps: u32, state: &[f32]) -> bool {
        let fits = state.len() == self.state.len();
        if fits {
            self.steps = steps;
            self.state.copy_from_slice(state);
        }
        fits
    }
}

fn update<O: Optimizer<Step: Send + Sync> + Sync>(
    optimizer: &O,
    steps: u32,
    parameters: &mut [f32],
    gradients: &[f32],
    state: &mut [f32],
) {
    let step = optimizer.step(steps);
    parameters
        .par_chunks_mut(CHUNK)
        .zip(gradients.par_chunks(CHUNK))
        .zip(state.par_chunks_mut(O::SLOTS * CHUNK))
        .for_each(|((parameters, gradients), state)| {
            optimizer.update(step, parameters, gradients.iter().copied(), state);
        });
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::recipe::Recipe;

    fn network(layers: &str) -> Network {
        let text = format!("input = [1, 90, 91]\nlayers = [{layers}]");
        let recipe = Recipe::parse(&text, Path::new("test.toml")).unwrap();
        Network::initialize(recipe.architecture, 1)
    }

    fn gradient(i: usize) -> f32 {
        (i as f32 * 0.37).sin()
    }

    #[test]
    fn chunks_are_updated_as_one() {
        let settings = OptimizerSettings::Adam {
            learning_rate: 0.01,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.01,
            decay_bias: true,
        };
        let mut network = network("\"Flatten()\", \"Linear(8190, 1)\"");
        let count = network.parameters.len();
        assert!(count < 2 * CHUNK && count > CHUNK);
        let mut stepper = Stepper::new(&settings, &network);
        network.parameters.fill(1.0);
        for _ in 0..3 {
            let mut gradients: Vec<f32> = (0..count).map(gradient).collect();
            stepper.step(&mut network.parameters, &mut gradients);
        }
        let adam = Adam {
            weight_decay: 0.01,
            ..Adam::new(0.01)
        };
        for i in [0, 1, CHUNK - 1, CHUNK, count - 1] {
            let (mut weight, mut state) = ([1.0], [0.0; 2]);
            for step in 1..=3 {
                let gradient = std::iter::once(gradient(i));
                adam.update(adam.step(step), &mut weight, gradient, &mut state);
            }
            assert_eq!(network.parameters[i].to_bits(), weight[0].to_bits(), "{i}");
        }
    }

    #[test]
    fn biases_and_batch_normalization_can_be_spared() {
        let layers = "\"Conv2d(1, 3, 2)\", \"BatchNorm2d(3)\", \"Flatten()\", \"Linear(24030, 2)\"";
        let start = network(layers);
        let after = |weight_decay, decay_bias| {
            let settings = OptimizerSettings::Sgd {
                learning_rate: 0.5,
                momentum: 0.9,
                weight_decay,
                nesterov: false,
                decay_bias,
            };
            let mut network = start.clone();
            let mut stepper = Stepper::new(&settings, &network);
            for _ in 0..2 {
                let mut gradients: Vec<f32> = (0..network.parameters.len()).map(gradient).collect();
                stepper.step(&mut network.parameters, &mut gradients);
            }
            network
        };
        let (all, weights, none) = (after(0.1, true), after(0.1, false), after(0.0, true));
        let mut spared = Vec::new();
        for tensor in start.tensors().iter().filter(|t| !t.role.is_statistic()) {
            let values = |network: &Network| network.values(tensor).to_vec();
            assert_ne!(values(&all), values(&none), "{}", tensor.name);
            if values(&weights) == values(&none) {
                spared.push(tensor.name.as_str());
            } else {
                assert_eq!(values(&weights), values(&all), "{}", tensor.name);
            }
        }
        assert_eq!(spared, ["0.bias", "1.weight", "1.bias", "3.bias"]);
    }
}
