//! One step of training, and evaluation: forward, loss, backward, update over a batch and all threads.
//!
//! Every buffer is made once for the largest batch. The bits of the result depend on network, batches, keys
//! and kernel set, not on the number of threads.

use std::sync::Arc;

use kinglet_kernels::BackwardKernels;
use kinglet_kernels::portable::cross_entropy_f32;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::average::Average;
use super::optimizer::Stepper;
use super::stage::{self, Backward, Keys, Mode, Pass, Stage};
use super::{Batch, ClassTally, Rates, Source, Tally, TrainError, Values};
use crate::evaluate::argmax;
use crate::network::Network;
use crate::recipe::OptimizerSettings;

/// A network in training.
pub struct Trainer {
    pool: Arc<ThreadPool>,
    engine: Engine,
}

/// What decides how a [`Trainer`] computes.
#[derive(Clone, Copy)]
pub struct TrainerOptions {
    /// The kernel set.
    pub kernels: &'static dyn BackwardKernels,
    /// Number of threads; 0 for one on each core.
    pub threads: usize,
    /// Largest batch.
    pub batch_size: usize,
    /// Key of dropout.
    pub seed: u64,
}

impl Trainer {
    /// Prepares to train `network`.
    ///
    /// # Errors
    /// [`TrainError::Threads`] if the system does not give that many threads.
    pub fn new(
        network: Network,
        optimizer: &OptimizerSettings,
        options: TrainerOptions,
    ) -> Result<Self, TrainError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(options.threads)
            .build();
        let pool = pool.map_err(|source| TrainError::Threads {
            threads: options.threads,
            source,
        })?;
        Ok(Self {
            pool: Arc::new(pool),
            engine: Engine::new(network, optimizer, options),
        })
    }

    /// With `label_smoothing` of `torch.nn.CrossEntropyLoss`: this part of a sample's target is shared equally by
    /// all classes. Evaluation is without.
    #[must_use]
    pub fn with_label_smoothing(mut self, label_smoothing: f32) -> Self {
        self.engine.label_smoothing = label_smoothing;
        self
    }

    /// With an exponential moving average of parameters and running statistics, of that decay.
    #[must_use]
    pub fn with_average(mut self, decay: f32) -> Self {
        self.engine.average = Some(Average::new(decay));
        self
    }

    /// Number of threads at work.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The network as it is now.
    pub fn network(&self) -> &Network {
        &self.engine.network
    }

    /// Changes the network's values, for example to those of a checkpoint.
    pub fn set_values(&mut self, parameters: &[f32], statistics: &[f32]) {
        let network = &mut self.engine.network;
        network.parameters.copy_from_slice(parameters);
        network.statistics.copy_from_slice(statistics);
        self.engine.stale = true;
    }

    /// What training keeps: the average of the values, where there is one, or the values themselves.
    pub(super) fn kept(&self) -> Values {
        let average = self.average();
        average.map_or_else(|| Values::of(self.network()), Values::clone)
    }

    /// The average of the values, if there is one.
    pub(super) fn average(&self) -> Option<&Values> {
        self.engine.average.as_ref()?.values.as_ref()
    }

    /// Continues the average from a checkpoint.
    pub(super) fn restore_average(&mut self, values: Option<Values>) {
        if let Some(average) = &mut self.engine.average {
            average.values = values;
        }
    }

    /// Learning rate and momentum of the steps from now on, instead of the optimizer's own.
    pub fn set_rates(&mut self, rates: Rates) {
        self.engine.stepper.set_rates(rates);
    }

    /// Gradients of the last step, in the order of the network's parameters.
    pub fn gradients(&self) -> &[f32] {
        &self.engine.gradients
    }

    /// Steps taken and the optimizer's state.
    pub(super) fn optimizer_state(&self) -> (u32, &[f32]) {
        self.engine.stepper.save()
    }

    /// Continues the optimizer from a state; false if it is another optimizer's.
    #[must_use]
    pub(super) fn restore_optimizer(&mut self, steps: u32, state: &[f32]) -> bool {
        self.engine.stepper.restore(steps, state)
    }

    /// One step on the samples at `indices`: the mean of their losses is lowered. `epoch` is part of dropout's key.
    ///
    /// Returns the sums of the forward pass, before the step. If their loss is not finite, the step is not
    /// taken.
    pub fn step(&mut self, source: &dyn Source, indices: &[usize], epoch: u64) -> Tally {
        let engine = &mut self.engine;
        self.pool.install(|| {
            engine.read(source, indices);
            engine.step(indices, epoch)
        })
    }

    /// One step as [`Trainer::step`], on a batch that is ready. Its input is used where it lies.
    ///
    /// # Panics
    /// If the batch holds fewer values or labels than its samples need.
    pub fn step_batch(&mut self, batch: &mut Batch) -> Tally {
        let engine = &mut self.engine;
        engine.exchange(batch);
        let tally = self
            .pool
            .install(|| engine.step(&batch.samples, batch.epoch));
        engine.exchange(batch);
        tally
    }

    /// Computes the gradients of a step without taking it.
    pub fn gradient(&mut self, source: &dyn Source, indices: &[usize], epoch: u64) -> Tally {
        let engine = &mut self.engine;
        self.pool.install(|| {
            engine.read(source, indices);
            engine.gradient(indices, epoch)
        })
    }

    /// Evaluates the samples at `indices`: running statistics, no dropout, plain cross-entropy. Stops between
    /// batches when `go_on` says no, and then returns nothing.
    pub fn evaluate(
        &mut self,
        source: &dyn Source,
        indices: &[usize],
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Option<ClassTally> {
        let engine = &mut self.engine;
        self.pool
            .install(|| engine.evaluate(source, indices, go_on))
    }

    /// Evaluates as [`Trainer::evaluate`] with the values that training keeps.
    pub(super) fn evaluate_kept(
        &mut self,
        source: &dyn Source,
        indices: &[usize],
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Option<ClassTally> {
        self.engine.exchange_average();
        let tally = self.evaluate(source, indices, go_on);
        self.engine.exchange_average();
        tally
    }

    /// Runs `work` on the trainer's own threads: steps inside start without waking them.
    pub(super) fn inside<R: Send>(&mut self, work: impl FnOnce(&mut Self) -> R + Send) -> R {
        let pool = Arc::clone(&self.pool);
        pool.install(|| work(self))
    }
}

/// All but the threads.
struct Engine {
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

impl Engine {
    fn new(network: Network, optimizer: &OptimizerSettings, options: TrainerOptions) -> Self {
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

    /// Reads the samples at `indices`, at most one batch of them.
    fn read(&mut self, source: &dyn Source, indices: &[usize]) {
        let indices = &indices[..indices.len().min(self.batch_size)];
        let input_len = self.map_lens[0];
        let input = &mut self.maps[0][..indices.len() * input_len];
        input
            .par_chunks_mut(input_len)
            .zip(indices)
            .for_each(|(input, &index)| source.write(index, input));
        self.labels.clear();
        let labels = indices.iter().map(|&index| source.label(index));
        self.labels.extend(labels);
    }

    /// Exchanges the input and the labels with those of a batch.
    fn exchange(&mut self, batch: &mut Batch) {
        std::mem::swap(&mut self.maps[0], &mut batch.input);
        std::mem::swap(&mut self.labels, &mut batch.labels);
    }

    /// Exchanges the values with their average, if there is one.
    fn exchange_average(&mut self) {
        let average = self.average.as_mut();
        if let Some(values) = average.and_then(|average| average.values.as_mut()) {
            std::mem::swap(&mut self.network.parameters, &mut values.parameters);
            std::mem::swap(&mut self.network.statistics, &mut values.statistics);
            self.stale = true;
        }
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
            each(label, loss, argmax(logits) == label);
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

    fn step(&mut self, indices: &[usize], epoch: u64) -> Tally {
        let tally = self.gradient(indices, epoch);
        if tally.loss.is_finite() {
            self.update();
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

    fn evaluate(
        &mut self,
        source: &dyn Source,
        indices: &[usize],
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Option<ClassTally> {
        let mut tally = ClassTally::new(self.map_lens.last().copied().unwrap_or(0));
        for batch in indices.chunks(self.batch_size) {
            if !go_on() {
                return None;
            }
            self.read(source, batch);
            self.forward(batch.len(), Mode::Evaluate);
            self.loss(0.0, |label, loss, correct| tally.add(label, loss, correct));
        }
        Some(tally)
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
