//! Training on an OpenCL device: values, feature maps, gradients and the optimizer's state stay there.
//!
//! A step writes its batch, enqueues one recording and reads losses and hits, for which alone it waits. The CPU draws
//! what dropout drops, as it would for itself. Values come back for checkpoints only.

mod layers;
mod memory;
mod record;

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use kinglet::opencl::{Buffer, Element, Executor, OpenClError, Recording, StepRates};
use rayon::ThreadPool;
use rayon::prelude::*;

use self::layers::Layers;
use self::memory::Memory;
use self::record::{Mode, Recorder, Values as DeviceValues};
use super::engine::{Engine, Snapshot, Take};
use super::loss::Loss;
use super::optimizer::{AnyOptimizer, Rule, from_chunks, to_chunks};
use super::plan::{Kind, Plan, Step};
use super::stage::Keys;
use super::tally::Outcome;
use super::values::Moving;
use super::{Batch, ClassTally, Rates, Tally, TrainError, TrainerOptions, Values};
use crate::graph::Graph;
use crate::recipe::OptimizerSettings;

/// What a recording is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Purpose {
    Step,
    Gradients,
    Evaluate,
    /// With the average of the values.
    EvaluateAverage,
}

/// A network in training on a device.
pub(super) struct DeviceEngine {
    executor: Arc<Executor>,
    /// Draws what dropout drops.
    pool: Arc<ThreadPool>,
    network: Graph,
    values: Values,
    layers: Layers,
    memory: Memory,
    rule: Rule,
    moving: Moving,
    /// By purpose and number of samples: full batches and the last of an epoch.
    recordings: HashMap<(Purpose, usize), Recording>,
    batch_size: usize,
    seed: u64,
    loss: Loss,
    /// The decay of the average, if there is one.
    average: Option<f32>,
    /// Whether a step has begun the average.
    averaged: bool,
    /// Whether evaluations take the average.
    takes_average: bool,
    labels: Vec<u32>,
    factors: Vec<f32>,
    outcomes: Vec<f32>,
}

impl DeviceEngine {
    pub(super) fn new(
        network: Graph,
        optimizer: &OptimizerSettings,
        options: TrainerOptions,
        executor: &Arc<Executor>,
        pool: &Arc<ThreadPool>,
    ) -> Result<Self, TrainError> {
        let batch_size = options.batch_size.max(1);
        let (tensors, values) = (network.tensors(), Values::of(&network));
        let plan = Plan::of(&network, &tensors, options.frozen, &options.loss)?;
        let rounds = |step: &Step| matches!(step.kind, Kind::FakeQuantize(_));
        if plan.steps.iter().any(rounds) {
            return Err(TrainError::Untrainable {
                node: network.name,
                reason: "[quantize] rounds on the CPU alone: leave out --device",
            });
        }
        let layers = Layers::of(plan);
        let moving = Moving::of(&tensors, options.frozen);
        let rule = Rule::new(optimizer, &tensors, &moving.parameters);
        let state = rule.slots().saturating_mul(moving.parameters.len());
        let memory = Memory::new(executor, &layers, &values, state, batch_size)?;
        executor.write_f32(memory.constants.whole(), &layers.constants)?;
        let weights = (0..layers.plan.output_len()).map(|class| options.loss.weight(class));
        let weights: Vec<f32> = weights.collect();
        executor.write_f32(memory.class_weights.whole(), &weights)?;
        let mut engine = Self {
            executor: Arc::clone(executor),
            pool: Arc::clone(pool),
            layers,
            memory,
            rule,
            moving,
            recordings: HashMap::new(),
            batch_size,
            seed: options.seed,
            loss: options.loss,
            average: None,
            averaged: false,
            takes_average: false,
            labels: Vec::new(),
            factors: Vec::new(),
            outcomes: Vec::new(),
            network,
            values,
        };
        engine.write_values()?;
        // Compiles everything now: a driver that cannot does not let a run begin.
        engine.record(Purpose::Step, batch_size)?;
        Ok(engine)
    }

    fn write_values(&self) -> Result<(), OpenClError> {
        let (executor, memory) = (&self.executor, &self.memory);
        executor.write_f32(memory.parameters.whole(), &self.values.parameters)?;
        executor.write_f32(memory.statistics.whole(), &self.values.statistics)
    }

    fn read(&self, buffer: &Buffer) -> Result<Vec<f32>, OpenClError> {
        let mut values = vec![0.0; buffer.len()];
        self.executor.read_f32(buffer.whole(), &mut values)?;
        Ok(values)
    }

    /// The averages, as one buffer.
    fn averages(&mut self) -> Result<&Buffer, OpenClError> {
        let memory = &mut self.memory;
        let averages = match memory.averages.take() {
            Some(averages) => averages,
            None => {
                // What is frozen is its own average.
                let values = [&*self.values.parameters, &*self.values.statistics].concat();
                let averages = self.executor.buffer(values.len(), Element::F32)?;
                self.executor.write_f32(averages.whole(), &values)?;
                averages
            }
        };
        Ok(memory.averages.insert(averages))
    }

    /// The recording for a purpose, made at its first use.
    fn record(&mut self, purpose: Purpose, samples: usize) -> Result<&Recording, OpenClError> {
        if self.average.is_some() {
            self.averages()?;
        }
        let entry = match self.recordings.entry((purpose, samples)) {
            Entry::Occupied(entry) => return Ok(entry.into_mut()),
            Entry::Vacant(entry) => entry,
        };
        let memory = &self.memory;
        let own = DeviceValues {
            parameters: memory.parameters.whole(),
            statistics: memory.statistics.whole(),
        };
        let values = match (&memory.averages, purpose) {
            (Some(averages), Purpose::EvaluateAverage) => DeviceValues {
                parameters: averages.whole().part(0, memory.parameters.len())?,
                statistics: averages
                    .whole()
                    .part(memory.parameters.len(), memory.statistics.len())?,
            },
            _ => own,
        };
        let mut recorder = Recorder::new(&self.executor, &self.layers, memory, values, samples);
        match purpose {
            Purpose::Evaluate | Purpose::EvaluateAverage => {
                recorder.forward(Mode::Evaluate, &self.loss.of_evaluation())?;
            }
            Purpose::Step | Purpose::Gradients => {
                recorder.forward(Mode::Train, &self.loss)?;
                recorder.backward()?;
            }
        }
        if purpose == Purpose::Step {
            recorder.update(&self.rule, &self.moving)?;
        }
        Ok(entry.insert(recorder.finish()))
    }

    /// Brings the batch, computes, and fetches the outcomes of its samples, with their classes.
    fn compute(
        &mut self,
        purpose: Purpose,
        batch: &Batch,
        mut each: impl FnMut(usize, Outcome),
    ) -> Result<(), OpenClError> {
        let samples = batch.samples.len().min(self.batch_size);
        self.record(purpose, samples)?;
        let input_len = samples * self.layers.plan.map_lens[0];
        let input = self.memory.map(0, input_len)?;
        self.executor.write_f32(input, &batch.input[..input_len])?;
        self.labels.clear();
        let labels = batch.labels[..samples].iter();
        self.labels
            .extend(labels.map(|&label| u32::try_from(label).unwrap_or(u32::MAX)));
        let labels = self.memory.labels.whole().part(0, samples)?;
        self.executor.write_u32(labels, &self.labels)?;
        let share = self.loss.share(&batch.labels[..samples]);
        self.executor
            .write_f32(self.memory.share.whole(), &[share])?;
        if self.loss == Loss::SquaredError {
            let len = samples * self.layers.plan.output_len();
            let targets = self.memory.targets.whole().part(0, len)?;
            self.executor.write_f32(targets, &batch.targets[..len])?;
        }
        if let Purpose::Step | Purpose::Gradients = purpose {
            self.draw(batch, samples)?;
        }
        self.record(purpose, samples)?.enqueue()?;
        self.outcomes.resize(2 * samples, 0.0);
        let outcomes = self.memory.outcomes.whole().part(0, 2 * samples)?;
        self.executor.read_f32(outcomes, &mut self.outcomes)?;
        let (losses, hits) = self.outcomes.split_at(samples);
        for ((&label, &loss), &hit) in batch.labels.iter().zip(losses).zip(hits) {
            let weight = self.loss.weight(label);
            let correct = hit != 0.0;
            each(
                label,
                Outcome {
                    loss,
                    weight,
                    correct,
                },
            );
        }
        Ok(())
    }

    /// Draws what dropout multiplies by, and brings it.
    fn draw(&mut self, batch: &Batch, samples: usize) -> Result<(), OpenClError> {
        if self.layers.factors_len == 0 {
            return Ok(());
        }
        let keys = Keys {
            seed: self.seed,
            epoch: batch.epoch,
            samples: &batch.samples,
        };
        self.factors.resize(samples * self.layers.factors_len, 0.0);
        for (step, factors) in self.layers.plan.steps.iter().zip(&self.layers.parts) {
            if let Kind::Dropout(dropout) = &step.kind {
                let len = factors.len();
                let all = &mut self.factors[samples * factors.start..][..samples * len];
                let samples = all.par_chunks_mut(len).enumerate();
                self.pool.install(|| {
                    samples.for_each(|(sample, factors)| dropout.draw(&keys, sample, factors));
                });
            }
        }
        let factors = self.memory.factors.whole().part(0, self.factors.len())?;
        self.executor.write_f32(factors, &self.factors)
    }

    /// Brings what changes with each step.
    fn write_rates(&self) -> Result<(), OpenClError> {
        let rates = match self.rule.optimizer() {
            AnyOptimizer::Sgd(sgd) => StepRates::of_sgd(&sgd),
            AnyOptimizer::Adam(adam) => {
                StepRates::of_adam(&adam, self.rule.steps.saturating_add(1))
            }
            AnyOptimizer::AdamW(adam_w) => {
                StepRates::of_adam_w(&adam_w, self.rule.steps.saturating_add(1))
            }
        };
        let decay = self.average.filter(|_| self.averaged).unwrap_or(0.0);
        let rates = rates.with_average_decay(decay).to_array();
        self.executor.write_f32(self.memory.rates.whole(), &rates)
    }
}

impl Engine for DeviceEngine {
    fn network(&self) -> &Graph {
        &self.network
    }

    fn values(&self) -> &Values {
        &self.values
    }

    fn set_average(&mut self, decay: f32) {
        self.average = Some(decay);
        self.recordings.clear();
    }

    fn set_rates(&mut self, rates: Rates) {
        self.rule.set_rates(rates);
    }

    fn set_values(&mut self, values: &Values) -> Result<(), TrainError> {
        self.values.clone_from(values);
        Ok(self.write_values()?)
    }

    fn snapshot(&mut self) -> Result<Snapshot, TrainError> {
        // What was compiled since the last one is there at the next start.
        self.executor.save();
        self.values.parameters = self.read(&self.memory.parameters)?;
        self.values.statistics = self.read(&self.memory.statistics)?;
        let averages = match (&self.memory.averages, self.averaged) {
            (Some(averages), true) => Some(self.read(averages)?),
            _ => None,
        };
        let average = averages.map(|mut parameters| {
            let statistics = parameters.split_off(self.values.parameters.len());
            Values {
                parameters,
                statistics,
            }
        });
        Ok(Snapshot {
            values: self.values.clone(),
            average,
            optimizer_steps: self.rule.steps,
            optimizer_state: to_chunks(self.rule.slots(), &self.read(&self.memory.state)?),
        })
    }

    fn restore(&mut self, snapshot: Snapshot) -> Result<bool, TrainError> {
        if snapshot.optimizer_state.len() != self.memory.state.len() {
            return Ok(false);
        }
        self.set_values(&snapshot.values)?;
        let state = from_chunks(self.rule.slots(), &snapshot.optimizer_state);
        self.executor.write_f32(self.memory.state.whole(), &state)?;
        self.rule.steps = snapshot.optimizer_steps;
        self.averaged = self.average.is_some() && snapshot.average.is_some();
        if let (Some(mut values), true) = (snapshot.average, self.averaged) {
            values.parameters.append(&mut values.statistics);
            let executor = Arc::clone(&self.executor);
            executor.write_f32(self.averages()?.whole(), &values.parameters)?;
        }
        Ok(true)
    }

    fn gradients(&mut self) -> Result<Cow<'_, [f32]>, TrainError> {
        Ok(Cow::Owned(self.read(&self.memory.gradients)?))
    }

    fn step(&mut self, batch: &mut Batch, take: Take) -> Result<Tally, TrainError> {
        let purpose = match take {
            Take::Step => Purpose::Step,
            Take::Gradients => Purpose::Gradients,
        };
        self.write_rates()?;
        let mut tally = Tally::default();
        self.compute(purpose, batch, |_, outcome| tally.add(outcome))?;
        if take == Take::Step && tally.loss.is_finite() {
            self.rule.steps = self.rule.steps.saturating_add(1);
            self.averaged = self.average.is_some();
        }
        Ok(tally)
    }

    fn evaluate(&mut self, batch: &mut Batch, tally: &mut ClassTally) -> Result<(), TrainError> {
        let purpose = match self.takes_average && self.averaged {
            true => Purpose::EvaluateAverage,
            false => Purpose::Evaluate,
        };
        self.compute(purpose, batch, |label, outcome| tally.add(label, outcome))?;
        Ok(())
    }

    fn exchange_average(&mut self) {
        self.takes_average = !self.takes_average;
    }
}
