//! One step on the threads of the CPU: buffers, forward, loss, backward, update.
//!
//! Every buffer is made once for the largest batch.

use std::borrow::Cow;

use kinglet_kernels::BackwardKernels;
use kinglet_kernels::portable::cross_entropy_f32;

use super::average::Average;
use super::engine::{Engine, Snapshot, Take};
use super::optimizer::Stepper;
use super::stage::{self, Backward, Keys, Mode, Pass, Stage};
use super::{Batch, ClassTally, Rates, Tally, TrainError, TrainerOptions, Values};
use crate::evaluate::argmax;
use crate::network::Network;
use crate::recipe::OptimizerSettings;

/// A network in training on the CPU: all of it but the threads.
pub(super) struct CpuEngine {
    kernels: &'static dyn BackwardKernels,
    network: Network,
    gradients: Vec<f32>,
    stepper: Stepper,
    stages: Vec<Stage>,
    /// Feature maps of the whole batch before the first stage, between stages, behind the last.
    maps: Vec<Vec<f32>>,
    /// Their gradients.
    d_maps: Vec<Vec<f32>>,
    /// Values of one sample in each of them.
    map_lens: Vec<usize>,
    /// The first stage that is trained: the gradient goes no further back.
    first_trained: usize,
    /// The classes of the batch.
    labels: Vec<usize>,
    batch_size: usize,
    seed: u64,
    label_smoothing: f32,
    average: Option<Average>,
    /// Whether parameters changed since the stages saw them.
    stale: bool,
}

impl CpuEngine {
    pub(super) fn new(
        network: Network,
        optimizer: &OptimizerSettings,
        options: TrainerOptions,
    ) -> Self {
        let batch_size = options.batch_size.max(1);
        // The loss contains the softmax.
        let layers = network.architecture().logits_layers();
        let stages = stage::build(&network, layers, batch_size, options.kernels);
        let mut map_lens = vec![network.architecture().input.len()];
        map_lens.extend(stages.iter().map(Stage::output_len));
        let buffers = || {
            map_lens
                .iter()
                .map(|len| vec![0.0; len * batch_size])
                .collect()
        };
        Self {
            kernels: options.kernels,
            gradients: vec![0.0; network.parameters.len()],
            stepper: Stepper::new(optimizer, &network),
            first_trained: stages
                .iter()
                .position(Stage::has_parameters)
                .unwrap_or(stages.len()),
            maps: buffers(),
            d_maps: buffers(),
            map_lens,
            stages,
            network,
            labels: Vec::new(),
            batch_size,
            seed: options.seed,
            label_smoothing: 0.0,
            average: None,
            stale: true,
        }
    }

    /// Exchanges the input and the labels with those of a batch.
    fn exchange(&mut self, batch: &mut Batch) {
        std::mem::swap(&mut self.maps[0], &mut batch.input);
        std::mem::swap(&mut self.labels, &mut batch.labels);
    }

    /// Forward pass over the first `samples` of what was read.
    fn forward(&mut self, samples: usize, mode: Mode) {
        let pass = Pass {
            kernels: self.kernels,
            mode,
            parameters: &self.network.parameters,
        };
        let statistics = &mut self.network.statistics;
        for (i, stage) in self.stages.iter_mut().enumerate() {
            if self.stale {
                stage.prepare(&pass);
            }
            let (before, behind) = self.maps.split_at_mut(i + 1);
            let input = &before[i][..samples * self.map_lens[i]];
            let output = &mut behind[0][..samples * self.map_lens[i + 1]];
            stage.forward(&pass, statistics, input, output);
        }
        self.stale = false;
    }

    /// Losses of the last forward pass, their gradients, and what each sample came to: class, loss and hit.
    fn loss(&mut self, label_smoothing: f32, mut each: impl FnMut(usize, f32, bool)) {
        let last = self.maps.len() - 1;
        let classes = self.map_lens[last];
        let logits = self.maps[last].chunks(classes);
        let d_logits = self.d_maps[last].chunks_mut(classes);
        let share = 1.0 / self.labels.len() as f32;
        for ((logits, d_logits), &label) in logits.zip(d_logits).zip(&self.labels) {
            let mut loss = cross_entropy_f32(logits, label, d_logits);
            if label_smoothing > 0.0 {
                loss += smooth(label_smoothing, logits, label, d_logits);
            }
            d_logits.iter_mut().for_each(|d| *d *= share);
            each(label, loss, argmax(logits) == Some(label));
        }
    }

    fn gradient(&mut self, indices: &[usize], epoch: u64) -> Tally {
        let indices = &indices[..indices.len().min(self.batch_size)];
        let mode = Mode::Train(Keys {
            seed: self.seed,
            epoch,
            samples: indices,
        });
        self.labels.truncate(indices.len());
        self.forward(indices.len(), mode);
        let mut tally = Tally::default();
        self.loss(self.label_smoothing, |_, loss, correct| {
            tally.add(loss, correct)
        });
        if tally.loss.is_finite() {
            self.backward(indices.len(), mode);
        }
        tally
    }

    fn backward(&mut self, samples: usize, mode: Mode) {
        let pass = Pass {
            kernels: self.kernels,
            mode,
            parameters: &self.network.parameters,
        };
        for (i, stage) in self
            .stages
            .iter_mut()
            .enumerate()
            .skip(self.first_trained)
            .rev()
        {
            let (d_before, d_behind) = self.d_maps.split_at_mut(i + 1);
            let len = |map: usize| samples * self.map_lens[map];
            let d_input = &mut d_before[i][..len(i)];
            let of = Backward {
                input: &self.maps[i][..len(i)],
                output: &self.maps[i + 1][..len(i + 1)],
                d_output: &mut d_behind[0][..len(i + 1)],
                d_input: (i > self.first_trained).then_some(d_input),
                gradients: &mut self.gradients,
            };
            stage.backward(&pass, of);
        }
    }

    fn update(&mut self) {
        self.stepper
            .step(&mut self.network.parameters, &mut self.gradients);
        if let Some(average) = &mut self.average {
            average.add(&self.network);
        }
        self.stale = true;
    }
}

impl Engine for CpuEngine {
    fn network(&self) -> &Network {
        &self.network
    }

    fn set_label_smoothing(&mut self, label_smoothing: f32) {
        self.label_smoothing = label_smoothing;
    }

    fn set_average(&mut self, decay: f32) {
        self.average = Some(Average::new(decay));
    }

    fn set_rates(&mut self, rates: Rates) {
        self.stepper.rule.set_rates(rates);
    }

    fn set_values(&mut self, parameters: &[f32], statistics: &[f32]) -> Result<(), TrainError> {
        self.network.parameters.copy_from_slice(parameters);
        self.network.statistics.copy_from_slice(statistics);
        self.stale = true;
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot, TrainError> {
        let average = self.average.as_ref();
        Ok(Snapshot {
            values: Values::of(&self.network),
            average: average.and_then(|average| average.values.clone()),
            optimizer_steps: self.stepper.rule.steps,
            optimizer_state: self.stepper.state().to_vec(),
        })
    }

    fn restore(&mut self, snapshot: Snapshot) -> Result<bool, TrainError> {
        let Snapshot { values, .. } = &snapshot;
        self.set_values(&values.parameters, &values.statistics)?;
        if let Some(average) = &mut self.average {
            average.values = snapshot.average;
        }
        let (steps, state) = (snapshot.optimizer_steps, &snapshot.optimizer_state);
        Ok(self.stepper.restore(steps, state))
    }

    fn gradients(&mut self) -> Result<Cow<'_, [f32]>, TrainError> {
        Ok(Cow::Borrowed(&self.gradients))
    }

    fn step(&mut self, batch: &mut Batch, take: Take) -> Result<Tally, TrainError> {
        self.exchange(batch);
        let tally = self.gradient(&batch.samples, batch.epoch);
        self.exchange(batch);
        if take == Take::Step && tally.loss.is_finite() {
            self.update();
        }
        Ok(tally)
    }

    fn evaluate(&mut self, batch: &mut Batch, tally: &mut ClassTally) -> Result<(), TrainError> {
        self.exchange(batch);
        self.forward(self.labels.len(), Mode::Evaluate);
        self.loss(0.0, |label, loss, correct| tally.add(label, loss, correct));
        self.exchange(batch);
        Ok(())
    }

    fn exchange_average(&mut self) {
        let average = self.average.as_mut();
        if let Some(values) = average.and_then(|average| average.values.as_mut()) {
            std::mem::swap(&mut self.network.parameters, &mut values.parameters);
            std::mem::swap(&mut self.network.statistics, &mut values.statistics);
            self.stale = true;
        }
    }
}

/// What label smoothing adds to the cross-entropy of one sample, and to its gradient: the target goes from 1 for the
/// class to `1 - smoothing` for it and `smoothing` shared by all.
fn smooth(smoothing: f32, logits: &[f32], label: usize, d_logits: &mut [f32]) -> f32 {
    let Some(&of_class) = logits.get(label) else {
        return 0.0;
    };
    let share = smoothing / logits.len() as f32;
    d_logits.iter_mut().for_each(|d| *d -= share);
    d_logits[label] += smoothing;
    let mean = logits.iter().sum::<f32>() / logits.len() as f32;
    smoothing * (of_class - mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothed_losses_are_those_of_pytorch() {
        // torch.nn.CrossEntropyLoss(label_smoothing=0.1) of these logits, and its gradient.
        let (logits, label) = ([1.5_f32, -0.25, 0.75, -2.0], 2);
        let mut d_logits = [0.0; 4];
        let mut loss = cross_entropy_f32(&logits, label, &mut d_logits);
        loss += smooth(0.1, &logits, label, &mut d_logits);
        let right = 1.3416115_f32;
        let gradient = [0.5715384_f32, 0.0786628_f32, -0.6432152_f32, -0.0069861_f32];
        assert!((loss - right).abs() < 1e-6, "{loss}");
        for (found, right) in d_logits.iter().zip(gradient) {
            assert!((found - right).abs() < 1e-6, "{d_logits:?}");
        }
    }
}
