//! One step of training, and evaluation: forward, loss, backward, update over a batch and all threads.
//!
//! The bits of the result depend on network, batches, keys and kernel set, not on the number of threads.

use std::sync::Arc;

use kinglet_kernels::BackwardKernels;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::average::Average;
use super::engine::Engine;
use super::{Batch, ClassTally, Rates, Source, Tally, TrainError, Values};
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
