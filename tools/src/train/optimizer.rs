//! The runtime's optimizers over all parameters of a network, shared out over the threads.

use std::ops::Range;

use kinglet::train::{Adam, AdamW, Optimizer, Sgd};
use rayon::prelude::*;

use super::Rates;
use crate::graph::Tensor;
use crate::recipe::OptimizerSettings;

/// Parameters that are updated at a time, with their state beside them: a chunk fits the cache. Checkpoints
/// hold the state in this order.
const CHUNK: usize = 4096;

/// One of the runtime's optimizers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum AnyOptimizer {
    Sgd(Sgd),
    Adam(Adam),
    AdamW(AdamW),
}

/// What a step does: all of an optimizer but its state, which lies where the step is computed.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    settings: OptimizerSettings,
    /// What the next step takes instead of the settings' own.
    rates: Rates,
    /// The only parameters that decay, where not all do; places among those that move.
    decaying: Option<Vec<Range<usize>>>,
    /// Number of steps taken.
    pub(super) steps: u32,
}

impl Rule {
    /// For those of the parameters in `tensors` that lie in `moving`.
    pub(super) fn new(
        settings: &OptimizerSettings,
        tensors: &[Tensor],
        moving: &Range<usize>,
    ) -> Self {
        let (OptimizerSettings::Sgd { decay_bias, .. }
        | OptimizerSettings::Adam { decay_bias, .. }) = *settings;
        // Biases, and factor and summand of batch normalization, are the tensors of one axis.
        let decays =
            |tensor: &&Tensor| !tensor.role.is_statistic() && tensor.pytorch_shape().len() > 1;
        let decaying = || {
            let tensors = tensors.iter().filter(decays);
            let tensors = tensors.filter(|tensor| tensor.range.start >= moving.start);
            let places = tensors
                .map(|tensor| tensor.range.start - moving.start..tensor.range.end - moving.start);
            places.collect()
        };
        Self {
            settings: *settings,
            rates: Rates {
                learning_rate: settings.learning_rate(),
                momentum: None,
            },
            decaying: (!decay_bias).then(decaying),
            steps: 0,
        }
    }

    /// What the steps from now on take.
    pub(super) fn set_rates(&mut self, rates: Rates) {
        self.rates = rates;
    }

    /// Elements of state for each parameter.
    pub(super) fn slots(&self) -> usize {
        match self.settings {
            OptimizerSettings::Sgd { .. } => Sgd::SLOTS,
            OptimizerSettings::Adam { .. } => Adam::SLOTS,
        }
    }

    /// The optimizer as it is now, with the decay of those parameters that decay.
    pub(super) fn optimizer(&self) -> AnyOptimizer {
        let learning_rate = self.rates.learning_rate as f32;
        let momentum = self.rates.momentum.map(|momentum| momentum as f32);
        match self.settings {
            OptimizerSettings::Sgd {
                momentum: own,
                weight_decay,
                nesterov,
                ..
            } => AnyOptimizer::Sgd(Sgd {
                learning_rate,
                momentum: momentum.unwrap_or(own),
                weight_decay,
                nesterov,
            }),
            OptimizerSettings::Adam {
                betas: [beta1, beta2],
                epsilon,
                weight_decay,
                decoupled,
                ..
            } => {
                let adam = Adam {
                    learning_rate,
                    beta1: momentum.unwrap_or(beta1),
                    beta2,
                    epsilon,
                    weight_decay,
                };
                match decoupled {
                    true => AnyOptimizer::AdamW(AdamW(adam)),
                    false => AnyOptimizer::Adam(adam),
                }
            }
        }
    }

    /// The parameters in runs that decay alike, each with whether it does.
    #[cfg(feature = "opencl")]
    pub(super) fn runs(&self, parameters: usize) -> Vec<(Range<usize>, bool)> {
        let Some(decaying) = &self.decaying else {
            return vec![(0..parameters, true)];
        };
        let mut runs = Vec::new();
        let mut end = 0;
        for range in decaying {
            runs.push((end..range.start, false));
            runs.push((range.clone(), true));
            end = range.end;
        }
        runs.push((end..parameters, false));
        runs.retain(|(range, _)| !range.is_empty());
        runs
    }
}

/// An optimizer and its state for each parameter.
#[derive(Debug, Clone)]
pub(super) struct Stepper {
    pub(super) rule: Rule,
    /// For each chunk of parameters its slots one after the other.
    state: Vec<f32>,
}

impl Stepper {
    /// For those of the parameters in `tensors` that lie in `moving`.
    pub(super) fn new(
        settings: &OptimizerSettings,
        tensors: &[Tensor],
        moving: &Range<usize>,
    ) -> Self {
        let rule = Rule::new(settings, tensors, moving);
        Self {
            state: vec![0.0; rule.slots() * moving.len()],
            rule,
        }
    }

    /// Moves the parameters that move against their gradients. Where not all parameters decay, the decay is added to
    /// `gradients`.
    pub(super) fn step(&mut self, parameters: &mut [f32], gradients: &mut [f32]) {
        self.rule.steps = self.rule.steps.saturating_add(1);
        let (steps, state) = (self.rule.steps, &mut self.state);
        match self.rule.optimizer() {
            AnyOptimizer::Sgd(mut sgd) => {
                sgd.weight_decay = decay(&self.rule, sgd.weight_decay, parameters, gradients);
                update(&sgd, steps, parameters, gradients, state);
            }
            AnyOptimizer::Adam(mut adam) => {
                adam.weight_decay = decay(&self.rule, adam.weight_decay, parameters, gradients);
                update(&adam, steps, parameters, gradients, state);
            }
            AnyOptimizer::AdamW(mut adam_w) => {
                if let Some(decaying) = &self.rule.decaying {
                    let kept = adam_w.kept();
                    for range in decaying {
                        let parameters = parameters[range.clone()].par_iter_mut();
                        parameters
                            .with_min_len(CHUNK)
                            .for_each(|parameter| *parameter *= kept);
                    }
                    adam_w.0.weight_decay = 0.0;
                }
                update(&adam_w, steps, parameters, gradients, state);
            }
        }
    }

    /// The state, for a checkpoint.
    pub(super) fn state(&self) -> &[f32] {
        &self.state
    }

    /// Continues from a checkpoint. Returns false, and changes nothing, if the state is that of another
    /// optimizer or network.
    #[must_use]
    pub(super) fn restore(&mut self, steps: u32, state: &[f32]) -> bool {
        let fits = state.len() == self.state.len();
        if fits {
            self.rule.steps = steps;
            self.state.copy_from_slice(state);
        }
        fits
    }
}

/// Adds the decay to the gradients of those parameters that decay, unless all do. Returns the decay that is left to
/// the optimizer.
fn decay(rule: &Rule, weight_decay: f32, parameters: &[f32], gradients: &mut [f32]) -> f32 {
    let Some(decaying) = &rule.decaying else {
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

/// The state as checkpoints hold it, of state whose slots each go over all parameters.
#[cfg(feature = "opencl")]
pub(super) fn to_chunks(slots: usize, state: &[f32]) -> Vec<f32> {
    let parameters = state.len() / slots;
    let starts = (0..parameters).step_by(CHUNK);
    starts
        .flat_map(|start| {
            let len = CHUNK.min(parameters - start);
            (0..slots).flat_map(move |slot| &state[slot * parameters + start..][..len])
        })
        .copied()
        .collect()
}

/// The reverse of [`to_chunks`].
#[cfg(feature = "opencl")]
pub(super) fn from_chunks(slots: usize, chunks: &[f32]) -> Vec<f32> {
    let parameters = chunks.len() / slots;
    let mut state = vec![0.0; chunks.len()];
    for (chunk, values) in chunks.chunks(slots * CHUNK).enumerate() {
        let len = values.len() / slots;
        for (slot, values) in values.chunks(len.max(1)).enumerate() {
            state[slot * parameters + chunk * CHUNK..][..len].copy_from_slice(values);
        }
    }
    state
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
    use crate::train::Values;

    fn network(layers: &str) -> (Vec<Tensor>, Values) {
        let text = format!("input = [1, 90, 91]\nlayers = [{layers}]");
        let recipe = Recipe::parse(&text, Path::new("test.toml")).unwrap();
        let graph = recipe.graph.initialized(1);
        (graph.tensors(), Values::of(&graph))
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
            decoupled: false,
        };
        let (tensors, mut network) = network("\"Flatten()\", \"Linear(8190, 1)\"");
        let count = network.parameters.len();
        assert!(count < 2 * CHUNK && count > CHUNK);
        let mut stepper = Stepper::new(&settings, &tensors, &(0..network.parameters.len()));
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
        check_spared(|weight_decay, decay_bias| OptimizerSettings::Sgd {
            learning_rate: 0.5,
            momentum: 0.9,
            weight_decay,
            nesterov: false,
            decay_bias,
        });
        check_spared(|weight_decay, decay_bias| OptimizerSettings::Adam {
            learning_rate: 0.5,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay,
            decay_bias,
            decoupled: true,
        });
    }

    fn check_spared(settings: impl Fn(f32, bool) -> OptimizerSettings) {
        let layers = "\"Conv2d(1, 3, 2)\", \"BatchNorm2d(3)\", \"Flatten()\", \"Linear(24030, 2)\"";
        let (tensors, start) = network(layers);
        let after = |weight_decay, decay_bias| {
            let settings = settings(weight_decay, decay_bias);
            let mut network = start.clone();
            let mut stepper = Stepper::new(&settings, &tensors, &(0..network.parameters.len()));
            for _ in 0..2 {
                let mut gradients: Vec<f32> = (0..network.parameters.len()).map(gradient).collect();
                stepper.step(&mut network.parameters, &mut gradients);
            }
            network
        };
        let (all, weights, none) = (after(0.1, true), after(0.1, false), after(0.0, true));
        let mut spared = Vec::new();
        for tensor in tensors.iter().filter(|t| !t.role.is_statistic()) {
            let values = |values: &Values| values.get(tensor).to_vec();
            assert_ne!(values(&all), values(&none), "{}", tensor.name);
            if values(&weights) == values(&none) {
                spared.push(tensor.name.as_str());
            } else {
                assert_eq!(values(&weights), values(&all), "{}", tensor.name);
            }
        }
        assert_eq!(spared, ["0.bias", "1.weight", "1.bias", "3.bias"]);
    }

    #[cfg(feature = "opencl")]
    #[test]
    fn state_comes_back_from_chunks() {
        for (slots, parameters) in [(1, 5), (2, 5), (2, CHUNK), (2, 2 * CHUNK + 3)] {
            let state: Vec<f32> = (0..slots * parameters).map(|i| i as f32).collect();
            let chunks = to_chunks(slots, &state);
            let len = CHUNK.min(parameters);
            assert_eq!(chunks[..len], state[..len]);
            assert_eq!(chunks[(slots - 1) * len], state[(slots - 1) * parameters]);
            assert_eq!(from_chunks(slots, &chunks), state);
        }
    }
}
