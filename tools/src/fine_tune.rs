//! Fine-tuning over a data set, with the very code a device runs: sample by sample through
//! [`kinglet::FineTuner`].

use std::collections::HashMap;
use std::ops::Range;

use kinglet::{FineTuneError, FineTuner, Optimizer};
use kinglet_kernels::Kernels;

use crate::dataset::{Dataset, epoch_order};
use crate::evaluate::{EvaluateError, check_fit, set_sample};

/// What the frozen layers make of some samples of a data set, where something else than the tuner's own session has
/// computed it. Fine-tuning does not change it, so once is enough.
#[derive(Debug, Default)]
pub struct Features {
    values: Vec<f32>,
    /// Where in `values` the features of a sample of the data set are.
    places: HashMap<usize, Range<usize>>,
}

impl Features {
    /// Adds those of the sample at `index`.
    pub fn add(&mut self, index: usize, features: &[f32]) {
        let start = self.values.len();
        self.values.extend_from_slice(features);
        self.places.insert(index, start..self.values.len());
    }

    /// Those of the sample at `index`, if they are known.
    fn of(&self, index: usize) -> Option<&[f32]> {
        self.values.get(self.places.get(&index)?.clone())
    }
}

/// Hands over the sample at `index`: its features where they are known.
pub(crate) fn set_sample_or_features<const OPS: u128, K: Kernels, O: Optimizer>(
    tuner: &mut FineTuner<'_, OPS, K, O>,
    data: &Dataset,
    features: Option<&Features>,
    index: usize,
) {
    match features.and_then(|features| features.of(index)) {
        Some(features) => tuner.set_features(features).expect("of the same model"),
        None => set_sample(tuner, data.sample(index)),
    }
}

/// How samples follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they are given, each epoch: what a device does that learns from what it sees.
    AsGiven,
    /// Shuffled anew each epoch with this seed.
    Shuffled(u64),
}

/// Fine-tuning stopped.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum FineTuneRunError {
    /// The pictures do not fit the model.
    #[error(transparent)]
    Fit(#[from] EvaluateError),
    /// A step was refused.
    #[error("fine-tuning stopped in epoch {epoch} at sample {sample}: {reason}")]
    Step {
        /// Counted from 1.
        epoch: usize,
        /// Counted from 1 within the epoch.
        sample: usize,
        /// Why.
        reason: FineTuneError,
    },
}

/// What one epoch saw: each loss was taken before its step.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean loss of the steps.
    pub loss: f64,
    /// Share of samples that were right before their step.
    pub accuracy: f64,
}

/// Takes one step for each of the pictures of `data` named in `indices`, `epochs` times over, and calls
/// `report` after each epoch. Samples whose `features` are known do not run through the frozen layers.
///
/// # Errors
/// [`FineTuneRunError`] if the pictures do not fit, or the loss is not finite.
pub fn fine_tune<const OPS: u128, K: Kernels, O: Optimizer>(
    tuner: &mut FineTuner<'_, OPS, K, O>,
    data: &Dataset,
    features: Option<&Features>,
    indices: &[usize],
    epochs: usize,
    order: Order,
    mut report: impl FnMut(Epoch),
) -> Result<(), FineTuneRunError> {
    let model = *tuner.model();
    check_fit(&model, data)?;
    let mut indices = indices.to_vec();
    for epoch in 1..=epochs {
        if let Order::Shuffled(seed) = order {
            epoch_order(&mut indices, seed, epoch as u64);
        }
        let (mut loss, mut correct) = (0.0, 0);
        for (sample, &index) in indices.iter().enumerate() {
            set_sample_or_features(tuner, data, features, index);
            let class = usize::from(data.label(index));
            let step = tuner.step(class).map_err(|reason| FineTuneRunError::Step {
                epoch,
                sample: sample + 1,
                reason,
            })?;
            loss += f64::from(step.loss);
            correct += usize::from(step.correct);
        }
        let count = indices.len().max(1) as f64;
        report(Epoch {
            epoch,
            loss: loss / count,
            accuracy: correct as f64 / count,
        });
    }
    Ok(())
}
