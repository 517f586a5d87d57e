//! The runtime's optimizers over all parameters of a network, shared out over the threads.

use kinglet::train::{Adam, Optimizer, Sgd};
use rayon::prelude::*;

use crate::recipe::OptimizerSettings;

/// Parameters that are updated at a time, with their state beside them: a chunk fits the cache. Checkpoints
/// hold the state in this order.
const CHUNK: usize = 4096;

/// An optimizer and its state for each parameter.
#[derive(Debug, Clone)]
pub(super) struct Stepper {
    rule: Rule,
    /// Number of steps taken.
    steps: u32,
    /// For each chunk of parameters its slots one after the other.
    state: Vec<f32>,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    Sgd(Sgd),
    Adam(Adam),
}

impl Stepper {
    pub(super) fn new(settings: &OptimizerSettings, parameters: usize) -> Self {
        let (rule, slots) = match *settings {
            OptimizerSettings::Sgd {
                learning_rate,
                momentum,
                weight_decay,
                nesterov,
            } => {
                let sgd = Sgd {
                    learning_rate,
                    momentum,
                    weight_decay,
                    nesterov,
                };
                (Rule::Sgd(sgd), Sgd::SLOTS)
            }
            OptimizerSettings::Adam {
                learning_rate,
                betas: [beta1, beta2],
                epsilon,
                weight_decay,
            } => {
                let adam = Adam {
                    learning_rate,
                    beta1,
                    beta2,
                    epsilon,
                    weight_decay,
                };
                (Rule::Adam(adam), Adam::SLOTS)
            }
        };
        Self {
            rule,
            steps: 0,
            state: vec![0.0; slots * parameters],
        }
    }

    /// Moves the parameters against their gradients.
    pub(super) fn step(&mut self, parameters: &mut [f32], gradients: &[f32]) {
        self.steps = self.steps.saturating_add(1);
        match self.rule {
            Rule::Sgd(sgd) => update(&sgd, self.steps, parameters, gradients, &mut self.state),
            Rule::Adam(adam) => update(&adam, self.steps, parameters, gradients, &mut self.state),
        }
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
    use super::*;

    #[test]
    fn chunks_are_updated_as_one() {
        let settings = OptimizerSettings::Adam {
            learning_rate: 0.01,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.01,
        };
        let count = 2 * CHUNK + 100;
        let gradient = |i: usize| (i as f32 * 0.37).sin();
        let gradients: Vec<f32> = (0..count).map(gradient).collect();
        let mut parameters = vec![1.0; count];
        let mut stepper = Stepper::new(&settings, count);
        for _ in 0..3 {
            stepper.step(&mut parameters, &gradients);
        }
        let Rule::Adam(adam) = stepper.rule else {
            panic!()
        };
        for i in [0, 1, CHUNK - 1, CHUNK, 2 * CHUNK, count - 1] {
            let (mut weight, mut state) = ([1.0], [0.0; 2]);
            for step in 1..=3 {
                let gradient = std::iter::once(gradient(i));
                adam.update(adam.step(step), &mut weight, gradient, &mut state);
            }
            assert_eq!(parameters[i].to_bits(), weight[0].to_bits(), "{i}");
        }
    }
}
