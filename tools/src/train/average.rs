//! An exponential moving average of a network's values: steadier than the values themselves, it often validates
//! better (`torch.optim.swa_utils.AveragedModel` with `get_ema_multi_avg_fn` and `use_buffers=True`).

use rayon::prelude::*;

use super::Values;
use super::values::Moving;

/// Values that are averaged at a time.
const CHUNK: usize = 4096;

/// The average over the steps so far.
#[derive(Debug, Clone)]
pub(super) struct Average {
    decay: f32,
    /// None before the first step.
    pub(super) values: Option<Values>,
}

impl Average {
    pub(super) fn new(decay: f32) -> Self {
        Self {
            decay,
            values: None,
        }
    }

    /// Takes in the values after a step: `average = decay * average + (1 - decay) * value`, of those that move.
    pub(super) fn add(&mut self, newest: &Values, moving: &Moving) {
        let Some(values) = &mut self.values else {
            self.values = Some(newest.clone());
            return;
        };
        let new = 1.0 - self.decay;
        let average = |average: &mut [f32], values: &[f32]| {
            average
                .par_chunks_mut(CHUNK)
                .zip(values.par_chunks(CHUNK))
                .for_each(|(average, values)| {
                    for (average, value) in average.iter_mut().zip(values) {
                        *average = self.decay * *average + new * value;
                    }
                });
        };
        let Moving {
            parameters,
            statistics,
        } = moving.clone();
        average(
            &mut values.parameters[parameters.clone()],
            &newest.parameters[parameters],
        );
        average(
            &mut values.statistics[statistics.clone()],
            &newest.statistics[statistics],
        );
    }
}
