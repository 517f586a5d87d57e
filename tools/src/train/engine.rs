//! What computes the steps of a [`Trainer`](super::Trainer): the CPU, or a device that keeps all values to itself.

use std::borrow::Cow;

use super::{Batch, ClassTally, Rates, Tally, TrainError, Values};
use crate::graph::Graph;

/// Whether a step is taken once its gradients are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// It is, unless a loss is not finite.
    Step,
    /// The gradients are all that is wanted.
    Gradients,
}

/// All that a network in training is at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Snapshot {
    pub(super) values: Values,
    /// None without an average, and before the first step.
    pub(super) average: Option<Values>,
    pub(super) optimizer_steps: u32,
    /// For each chunk of parameters its slots one after the other.
    pub(super) optimizer_state: Vec<f32>,
}

/// A network in training.
pub(super) trait Engine: Send {
    /// The network, with the values it began with.
    fn network(&self) -> &Graph;

    /// The values. Those that a device has moved since are in a [`snapshot`](Self::snapshot) only.
    fn values(&self) -> &Values;

    /// Keeps an average of this decay from now on.
    fn set_average(&mut self, decay: f32);

    fn set_rates(&mut self, rates: Rates);

    fn set_values(&mut self, values: &Values) -> Result<(), TrainError>;

    fn snapshot(&mut self) -> Result<Snapshot, TrainError>;

    /// Continues from a snapshot; false if its optimizer is another.
    fn restore(&mut self, snapshot: Snapshot) -> Result<bool, TrainError>;

    /// The gradients of the last step, in the order of the parameters.
    fn gradients(&mut self) -> Result<Cow<'_, [f32]>, TrainError>;

    /// A step on `batch`, which comes back as it was. Returns the sums of the forward pass before the step.
    fn step(&mut self, batch: &mut Batch, take: Take) -> Result<Tally, TrainError>;

    /// Adds to `tally` what `batch` comes to: running statistics, no dropout, no label smoothing.
    fn evaluate(&mut self, batch: &mut Batch, tally: &mut ClassTally) -> Result<(), TrainError>;

    /// Exchanges the values that the next evaluations take with their average, if there is one.
    fn exchange_average(&mut self);
}
