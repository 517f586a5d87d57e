//! Training as it is measured: the same batch over and over, either the whole network or its last layer only.

use kinglet::{AnySession, FineTuneError, FineTuner, Sgd};
use kinglet_kernels::{Kernels, Shape};

use super::protocol::Work;
use crate::train::{Source, TrainError, Trainer};

/// Samples that are all in memory, NHWC, with their classes.
pub struct Samples {
    /// Shape of one sample.
    pub shape: Shape,
    /// The samples one after the other.
    pub values: Vec<f32>,
    /// The class of each.
    pub classes: Vec<u8>,
}

impl Samples {
    /// Sample `index`.
    pub fn sample(&self, index: usize) -> &[f32] {
        let len = self.shape.len();
        &self.values[index * len..][..len]
    }
}

impl Source for Samples {
    fn len(&self) -> usize {
        self.classes.len()
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn write(&self, index: usize, output: &mut [f32]) {
        output.copy_from_slice(self.sample(index));
    }

    fn label(&self, index: usize) -> usize {
        usize::from(self.classes[index])
    }
}

/// Work that learns: each call is one step.
pub trait Learn: Work {
    /// Takes one step and returns the mean loss before it.
    ///
    /// # Errors
    /// That of the work.
    fn step(&mut self) -> Result<f32, Self::Error>;
}

/// Why training cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The loss is not finite any more.
    #[error("the loss became {0}: try a smaller learning rate")]
    Diverged(f64),
    /// The trainer failed.
    #[error(transparent)]
    Train(#[from] TrainError),
}

/// Every layer, on a host: [`Trainer`] over one batch.
pub struct Whole {
    trainer: Trainer,
    samples: Samples,
    batch: Vec<usize>,
}

impl Whole {
    /// Steps of `trainer` on the first `batch` of `samples`.
    pub fn new(trainer: Trainer, samples: Samples, batch: usize) -> Self {
        Self {
            trainer,
            samples,
            batch: (0..batch).collect(),
        }
    }
}

impl Work for Whole {
    type Error = StepError;

    fn call(&mut self) -> Result<(), StepError> {
        self.step().map(|_| ())
    }
}

impl Learn for Whole {
    fn step(&mut self) -> Result<f32, StepError> {
        let tally = self.trainer.step(&self.samples, &self.batch, 1)?;
        let loss = tally.mean_loss();
        if loss.is_finite() {
            Ok(loss as f32)
        } else {
            Err(StepError::Diverged(loss))
        }
    }
}

/// The last layer, by the code that a device runs: [`FineTuner`] on one sample.
pub struct Last<'a> {
    tuner: FineTuner<'a, { kinglet::model::schema::bits::ALL }, &'static dyn Kernels, Sgd>,
    sample: Vec<f32>,
    class: usize,
}

impl<'a> Last<'a> {
    /// Steps on `sample` of `class`.
    ///
    /// # Errors
    /// [`FineTuneError`] if the session's model has no trainable layer.
    pub fn new(
        session: AnySession<'a, &'static dyn Kernels>,
        arena: &'a mut kinglet::HeapArena,
        optimizer: Sgd,
        sample: Vec<f32>,
        class: usize,
    ) -> Result<Self, FineTuneError> {
        Ok(Self {
            tuner: FineTuner::new(session, arena, optimizer)?,
            sample,
            class,
        })
    }
}

impl Work for Last<'_> {
    type Error = FineTuneError;

    fn call(&mut self) -> Result<(), FineTuneError> {
        self.step().map(|_| ())
    }
}

impl Learn for Last<'_> {
    fn step(&mut self) -> Result<f32, FineTuneError> {
        self.tuner
            .set_input_f32(&self.sample)
            .expect("the sample was read in the model's shape");
        Ok(self.tuner.step(self.class)?.loss)
    }
}
