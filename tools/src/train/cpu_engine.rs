//! One step on the threads of the CPU: buffers, forward, loss, backward, update.
//!
//! Every buffer is made once for the largest batch.

use std::borrow::Cow;

use kinglet_kernels::BackwardKernels;
use rayon::prelude::*;

use super::average::Average;
use super::engine::{Engine, Snapshot, Take};
use super::loss::{Answers, Loss};
use super::optimizer::Stepper;
use super::plan::{Gradient, GradientBuffers, Plan, wanted};
use super::rounded::Rounded;
use super::stage::{self, Backward, Computes, Keys, Map, Mode, Pass, Stage};
use super::tally::Outcome;
use super::values::Moving;
use super::{Batch, ClassTally, Rates, Tally, TrainError, TrainerOptions, Values};
use crate::graph::Graph;
use crate::recipe::OptimizerSettings;

/// A network in training on the CPU: all of it but the threads.
pub(super) struct CpuEngine {
    kernels: &'static dyn BackwardKernels,
    network: Graph,
    values: Values,
    /// What layers on 8-bit numbers compute with in the place of the parameters, if there are such.
    rounded: Option<Rounded>,
    gradients: Vec<f32>,
    stepper: Stepper,
    moving: Moving,
    stages: Vec<Stage>,
    plan: Plan,
    /// The maps of the whole batch that stages read and write; empty for those within a stage.
    maps: Vec<Vec<f32>>,
    gradient_buffers: GradientBuffers,
    /// Gradients of maps, in the order of these buffers.
    d_maps: Vec<Vec<f32>>,
    /// What a stage computes of a gradient that others have computed before it.
    further: Vec<f32>,
    /// The classes of the batch.
    labels: Vec<usize>,
    /// What its outputs ought to be, where the loss is of values.
    targets: Vec<f32>,
    batch_size: usize,
    seed: u64,
    loss: Loss,
    average: Option<Average>,
    /// Whether parameters changed since the stages saw them.
    stale: bool,
}

impl CpuEngine {
    pub(super) fn new(
        network: Graph,
        optimizer: &OptimizerSettings,
        options: TrainerOptions,
    ) -> Result<Self, TrainError> {
        let batch_size = options.batch_size.max(1);
        let (tensors, values) = (network.tensors(), Values::of(&network));
        let plan = Plan::of(&network, &tensors, options.frozen, &options.loss)?;
        let moving = Moving::of(&tensors, options.frozen);
        let stages = stage::build(&plan, batch_size, options.kernels);
        let ends = |map| map == 0 || stages.iter().any(|stage| stage.to == map);
        let maps = plan.map_lens.iter().enumerate();
        let maps = maps.map(|(map, len)| vec![0.0; if ends(map) { len * batch_size } else { 0 }]);
        let maps: Vec<Vec<f32>> = maps.collect();
        let backward = stages.iter().rev().filter(|stage| stage.learns);
        let backward =
            backward.map(|stage| (stage.to, wanted(&stage.from, &stage.d_from).collect()));
        let gradient_buffers = GradientBuffers::new(&plan.map_lens, plan.outputs, backward);
        let added = stages.iter().filter(|stage| stage.adds());
        let further = added.map(|stage| maps[stage.from[0]].len());
        let further = further.max().unwrap_or(0);
        Ok(Self {
            kernels: options.kernels,
            gradients: vec![0.0; values.parameters.len()],
            stepper: Stepper::new(optimizer, &tensors, &moving.parameters),
            moving,
            d_maps: gradient_buffers
                .lens
                .iter()
                .map(|len| vec![0.0; len * batch_size])
                .collect(),
            gradient_buffers,
            maps,
            further: vec![0.0; further],
            rounded: Rounded::of(&network, &tensors),
            plan,
            stages,
            network,
            values,
            labels: Vec::new(),
            targets: Vec::new(),
            batch_size,
            seed: options.seed,
            loss: options.loss,
            average: None,
            stale: true,
        })
    }

    /// Exchanges the input and the answers with those of a batch.
    fn exchange(&mut self, batch: &mut Batch) {
        std::mem::swap(&mut self.maps[0], &mut batch.input);
        std::mem::swap(&mut self.labels, &mut batch.labels);
        std::mem::swap(&mut self.targets, &mut batch.targets);
    }

    /// Forward pass over the first `samples` of what was read.
    fn forward(&mut self, samples: usize, mode: Mode) {
        let parameters = &self.values.parameters;
        if let (Some(rounded), true) = (&mut self.rounded, self.stale) {
            rounded.update(parameters, &self.values.statistics);
        }
        let pass = Pass {
            kernels: self.kernels,
            mode,
            parameters: Rounded::parameters(&self.rounded, parameters),
        };
        let statistics = &mut self.values.statistics;
        let len = |map: usize| samples * self.plan.map_lens[map];
        for stage in &mut self.stages {
            if self.stale {
                stage.prepare(&pass);
            }
            // A stage writes none of the maps it reads.
            let mut output = std::mem::take(&mut self.maps[stage.to]);
            let inputs = inputs(&self.maps, &self.plan, &stage.from, samples);
            let to = &mut output[..len(stage.to)];
            stage.forward(&pass, statistics, &inputs, to, self.plan.map_lens[stage.to]);
            self.maps[stage.to] = output;
        }
        self.stale = false;
    }

    /// Losses of the last forward pass, their gradients, and what each sample came to, with its class.
    fn loss(&mut self, loss: &Loss, each: impl FnMut(usize, Outcome)) {
        let (map, len) = (self.plan.outputs, self.plan.output_len());
        let answers = Answers {
            labels: &self.labels,
            targets: &self.targets,
        };
        let d_outputs = &mut self.d_maps[self.gradient_buffers.of[map]];
        loss.of_batch(len, &self.maps[map], answers, d_outputs, each);
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
        let loss = self.loss.clone();
        self.loss(&loss, |_, outcome| tally.add(outcome));
        if tally.loss.is_finite() {
            self.backward(indices.len(), mode);
        }
        tally
    }

    fn backward(&mut self, samples: usize, mode: Mode) {
        let pass = Pass {
            kernels: self.kernels,
            mode,
            parameters: Rounded::parameters(&self.rounded, &self.values.parameters),
        };
        let len = |map: usize| samples * self.plan.map_lens[map];
        for stage in self.stages.iter_mut().rev().filter(|stage| stage.learns) {
            let buffer = |map: usize| self.gradient_buffers.of[map];
            let mut d_output = std::mem::take(&mut self.d_maps[buffer(stage.to)]);
            let from = stage.from[0];
            let d_input = match (&stage.computes, stage.d_from[0]) {
                (Computes::Join(..), _) | (_, Gradient::Unwanted) => None,
                (_, Gradient::Write) => self.d_maps.get_mut(buffer(from)),
                (_, Gradient::Add) => Some(&mut self.further),
            };
            let of = Backward {
                input: &self.maps[from][..len(from)],
                output: &self.maps[stage.to][..len(stage.to)],
                d_output: &mut d_output[..len(stage.to)],
                d_input: d_input.map(|d_input| &mut d_input[..len(from)]),
                gradients: &mut self.gradients,
            };
            stage.backward(&pass, of);
            if let Computes::Join(join, _) = &stage.computes {
                let inputs = inputs(&self.maps, &self.plan, &stage.from, samples);
                let d_output = Map {
                    values: &d_output[..len(stage.to)],
                    len: self.plan.map_lens[stage.to],
                };
                for (which, (&map, &gradient)) in stage.from.iter().zip(&stage.d_from).enumerate() {
                    if gradient != Gradient::Unwanted {
                        let d_input = &mut self.d_maps[buffer(map)][..len(map)];
                        join.backward(which, &inputs, d_output, d_input, gradient);
                    }
                }
            }
            self.d_maps[buffer(stage.to)] = d_output;
            if stage.adds() {
                let len = len(from);
                add(&mut self.d_maps[buffer(from)][..len], &self.further[..len]);
            }
        }
    }

    fn update(&mut self) {
        let moving = self.moving.parameters.clone();
        let parameters = &mut self.values.parameters[moving.clone()];
        self.stepper.step(parameters, &mut self.gradients[moving]);
        if let Some(average) = &mut self.average {
            average.add(&self.values, &self.moving);
        }
        self.stale = true;
    }
}

impl Engine for CpuEngine {
    fn network(&self) -> &Graph {
        &self.network
    }

    fn values(&self) -> &Values {
        &self.values
    }

    fn set_average(&mut self, decay: f32) {
        self.average = Some(Average::new(decay));
    }

    fn set_rates(&mut self, rates: Rates) {
        self.stepper.rule.set_rates(rates);
    }

    fn set_values(&mut self, values: &Values) -> Result<(), TrainError> {
        self.values.clone_from(values);
        self.stale = true;
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Snapshot, TrainError> {
        let average = self.average.as_ref();
        Ok(Snapshot {
            values: self.values.clone(),
            average: average.and_then(|average| average.values.clone()),
            optimizer_steps: self.stepper.rule.steps,
            optimizer_state: self.stepper.state().to_vec(),
        })
    }

    fn restore(&mut self, snapshot: Snapshot) -> Result<bool, TrainError> {
        self.set_values(&snapshot.values)?;
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
        let loss = self.loss.of_evaluation();
        self.loss(&loss, |label, outcome| tally.add(label, outcome));
        self.exchange(batch);
        Ok(())
    }

    fn exchange_average(&mut self) {
        let average = self.average.as_mut();
        if let Some(values) = average.and_then(|average| average.values.as_mut()) {
            std::mem::swap(&mut self.values, values);
            self.stale = true;
        }
    }
}

/// What a stage reads of `samples` samples.
fn inputs<'a>(maps: &'a [Vec<f32>], plan: &Plan, from: &[usize], samples: usize) -> Vec<Map<'a>> {
    let inputs = from.iter().map(|&map| {
        let len = plan.map_lens[map];
        let values = &maps[map][..samples * len];
        Map { values, len }
    });
    inputs.collect()
}

/// Adds up, on all threads.
fn add(sums: &mut [f32], further: &[f32]) {
    /// Values of one task: enough to be worth it.
    const CHUNK: usize = 1 << 14;
    let sums = sums.par_chunks_mut(CHUNK);
    sums.zip(further.par_chunks(CHUNK))
        .for_each(|(sums, further)| sums.iter_mut().zip(further).for_each(|(sum, x)| *sum += x));
}
