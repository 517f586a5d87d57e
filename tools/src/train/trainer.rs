//! One step of training, and evaluation: forward, loss, backward, update over a batch and all threads.
//!
//! The bits of the result depend on network, batches, keys and kernel set, not on the number of threads.

use std::borrow::Cow;
use std::sync::Arc;
#[cfg(feature = "opencl")]
use std::time::{Duration, Instant};

use kinglet_kernels::BackwardKernels;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::cpu_engine::CpuEngine;
#[cfg(feature = "opencl")]
use super::device::DeviceEngine;
use super::engine::{Engine, Snapshot, Take};
use super::loss::Loss;
use super::{Batch, ClassTally, Rates, Source, Tally, TrainError, Values};
use crate::device::Device;
use crate::graph::Graph;
use crate::recipe::OptimizerSettings;

/// A network in training.
pub struct Trainer {
    pool: Arc<ThreadPool>,
    engine: Box<dyn Engine>,
    /// Where the steps are taken: on the threads of the pool, or on a device by the thread that asks for them.
    on_device: bool,
    /// What samples are read into.
    batch: Batch,
    batch_size: usize,
    /// Values of a sample's target; 0 where that is a class.
    target_len: usize,
}

/// What decides how a [`Trainer`] computes.
#[derive(Clone)]
pub struct TrainerOptions {
    /// The kernel set.
    pub kernels: &'static dyn BackwardKernels,
    /// Number of threads; 0 for one on each core.
    pub threads: usize,
    /// Largest batch.
    pub batch_size: usize,
    /// Key of dropout.
    pub seed: u64,
    /// How many of the network's first nodes are frozen: they keep their values bit for bit, and compute as in evaluation.
    pub frozen: usize,
    /// What is lowered.
    pub loss: Loss,
}

impl Trainer {
    /// Prepares to train `network` on the CPU.
    ///
    /// # Errors
    /// [`TrainError::Threads`] if the system does not give that many threads.
    pub fn new(
        network: Graph,
        optimizer: &OptimizerSettings,
        options: TrainerOptions,
    ) -> Result<Self, TrainError> {
        let pool = pool(options.threads)?;
        let (batch_size, target_len) = (options.batch_size.max(1), target_len(&network, &options));
        let engine = CpuEngine::new(network, optimizer, options)?;
        Ok(Self {
            pool,
            engine: Box::new(engine),
            on_device: false,
            batch: Batch::default(),
            batch_size,
            target_len,
        })
    }

    /// Prepares to train `network` on a device. The threads make batches ready.
    ///
    /// # Errors
    /// [`TrainError::Threads`], or [`TrainError::Device`] if the device fails or has not enough memory.
    pub fn on_device(
        network: Graph,
        optimizer: &OptimizerSettings,
        options: TrainerOptions,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let pool = pool(options.threads)?;
        let (batch_size, target_len) = (options.batch_size.max(1), target_len(&network, &options));
        #[cfg(feature = "opencl")]
        return Ok(Self {
            engine: Box::new(DeviceEngine::new(
                network,
                optimizer,
                options,
                &device.executor,
                &pool,
            )?),
            pool,
            on_device: true,
            batch: Batch::default(),
            batch_size,
            target_len,
        });
        #[cfg(not(feature = "opencl"))]
        {
            let _ = (network, optimizer, pool, batch_size, target_len);
            match *device {}
        }
    }

    /// With an exponential moving average of parameters and running statistics, of that decay.
    #[must_use]
    pub fn with_average(mut self, decay: f32) -> Self {
        self.engine.set_average(decay);
        self
    }

    /// Values of a sample's target; 0 where that is a class.
    pub(super) fn target_len(&self) -> usize {
        self.target_len
    }

    /// Number of threads at work.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The network, with the values it began with.
    pub fn network(&self) -> &Graph {
        self.engine.network()
    }

    /// The network's values. Of one that is trained on a device they are those of [`Trainer::set_values`] or
    /// [`Trainer::fetch`], whichever was last.
    pub fn values(&self) -> &Values {
        self.engine.values()
    }

    /// The network's values as they are now.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails.
    pub fn fetch(&mut self) -> Result<&Values, TrainError> {
        self.engine.snapshot()?;
        Ok(self.engine.values())
    }

    /// Changes the network's values, for example to those of a checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails.
    pub fn set_values(&mut self, values: &Values) -> Result<(), TrainError> {
        self.engine.set_values(values)
    }

    /// All that the next steps depend on.
    pub(super) fn snapshot(&mut self) -> Result<Snapshot, TrainError> {
        self.engine.snapshot()
    }

    /// Continues from a snapshot; false if its optimizer is another.
    pub(super) fn restore(&mut self, snapshot: Snapshot) -> Result<bool, TrainError> {
        self.engine.restore(snapshot)
    }

    /// Learning rate and momentum of the steps from now on, instead of the optimizer's own.
    pub fn set_rates(&mut self, rates: Rates) {
        self.engine.set_rates(rates);
    }

    /// Gradients of the last step, in the order of the network's parameters.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails.
    pub fn gradients(&mut self) -> Result<Cow<'_, [f32]>, TrainError> {
        self.engine.gradients()
    }

    /// One step on the samples at `indices`: the mean of their losses is lowered. `epoch` is part of dropout's key.
    ///
    /// Returns the sums of the forward pass, before the step. If their loss is not finite, the step is not
    /// taken.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails.
    pub fn step(
        &mut self,
        source: &dyn Source,
        indices: &[usize],
        epoch: u64,
    ) -> Result<Tally, TrainError> {
        self.inside(|trainer| {
            trainer.read(source, indices, epoch);
            trainer.engine.step(&mut trainer.batch, Take::Step)
        })
    }

    /// One step as [`Trainer::step`], on a batch that is ready. Its input is used where it lies.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails.
    ///
    /// # Panics
    /// If the batch holds fewer values or labels than its samples need.
    pub fn step_batch(&mut self, batch: &mut Batch) -> Result<Tally, TrainError> {
        self.inside(|trainer| trainer.engine.step(batch, Take::Step))
    }

    /// Computes the gradients of a step without taking it.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails.
    pub fn gradient(
        &mut self,
        source: &dyn Source,
        indices: &[usize],
        epoch: u64,
    ) -> Result<Tally, TrainError> {
        self.inside(|trainer| {
            trainer.read(source, indices, epoch);
            trainer.engine.step(&mut trainer.batch, Take::Gradients)
        })
    }

    /// Evaluates the samples at `indices`: running statistics, no dropout, no label smoothing. Stops between
    /// batches when `go_on` says no, and then returns nothing.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails.
    pub fn evaluate(
        &mut self,
        source: &dyn Source,
        indices: &[usize],
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<ClassTally>, TrainError> {
        self.inside(|trainer| {
            let classes = trainer.network().output().len();
            let mut tally = ClassTally::new(classes);
            for indices in indices.chunks(trainer.batch_size) {
                if !go_on() {
                    return Ok(None);
                }
                trainer.read(source, indices, 0);
                trainer.engine.evaluate(&mut trainer.batch, &mut tally)?;
            }
            Ok(Some(tally))
        })
    }

    /// Evaluates as [`Trainer::evaluate`] with the values that training keeps: their average, where there is one.
    pub(super) fn evaluate_kept(
        &mut self,
        source: &dyn Source,
        indices: &[usize],
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<ClassTally>, TrainError> {
        self.engine.exchange_average();
        let tally = self.evaluate(source, indices, go_on);
        self.engine.exchange_average();
        tally
    }

    /// How long a step takes, without taking it: the least of a few, on a batch of zeros.
    #[cfg(feature = "opencl")]
    pub(super) fn step_time(&mut self) -> Result<Duration, TrainError> {
        const RUNS: usize = 4;
        let values = self.values().clone();
        let mut batch = Batch {
            input: vec![0.0; self.batch_size * self.network().input().len()],
            labels: vec![0; self.batch_size],
            targets: vec![0.0; self.batch_size * self.target_len],
            samples: (0..self.batch_size).collect(),
            epoch: 0,
        };
        let mut least = Duration::MAX;
        for _ in 0..RUNS {
            let start = Instant::now();
            self.inside(|trainer| trainer.engine.step(&mut batch, Take::Gradients))?;
            least = least.min(start.elapsed());
        }
        // The running statistics have moved.
        self.set_values(&values)?;
        Ok(least)
    }

    /// Reads the samples at `indices`, at most one batch of them.
    fn read(&mut self, source: &dyn Source, indices: &[usize], epoch: u64) {
        let indices = &indices[..indices.len().min(self.batch_size)];
        let len = self.network().input().len();
        let batch = &mut self.batch;
        batch.input.resize(self.batch_size * len, 0.0);
        let inputs = batch.input.par_chunks_mut(len).zip(indices);
        self.pool
            .install(|| inputs.for_each(|(input, &index)| source.write(index, input)));
        let target_len = self.target_len;
        batch.targets.resize(indices.len() * target_len, 0.0);
        if target_len > 0 {
            let inputs = batch.input.chunks(len).zip(indices);
            for (target, (input, &index)) in batch.targets.chunks_mut(target_len).zip(inputs) {
                source.write_target(index, input, target);
            }
        }
        batch.labels.clear();
        let labels = indices.iter().map(|&index| source.label(index));
        batch.labels.extend(labels);
        batch.samples.clear();
        batch.samples.extend_from_slice(indices);
        batch.epoch = epoch;
    }

    /// Runs `work` where the steps are taken: on the trainer's own threads, steps inside start without waking them.
    pub(super) fn inside<R: Send>(&mut self, work: impl FnOnce(&mut Self) -> R + Send) -> R {
        if self.on_device {
            return work(self);
        }
        let pool = Arc::clone(&self.pool);
        pool.install(|| work(self))
    }
}

/// Values of a sample's target: none where that is a class.
fn target_len(network: &Graph, options: &TrainerOptions) -> usize {
    match options.loss {
        Loss::CrossEntropy(_) => 0,
        Loss::SquaredError => network.output().len(),
    }
}

fn pool(threads: usize) -> Result<Arc<ThreadPool>, TrainError> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map(Arc::new)
        .map_err(|source| TrainError::Threads { threads, source })
}
