//! Training on the host: from a recipe and a data set to the weights that validate best.
//!
//! [`fit`] is the whole of it: epochs of steps, validation, checkpoints, the best epoch's weights, the test.
//! [`Trainer`] is one step: forward and backward with the kernels of `kinglet_kernels`, the loss, the
//! runtime's optimizers. `loader` makes its batches ready on other threads, [`Schedule`] says how far it goes.
//! Results depend on the recipe, the data and the kernel set, not on the number of
//! threads, and an interrupted run continues as if nothing had happened.

mod average;
mod checkpoint;
mod cpu_engine;
#[cfg(feature = "opencl")]
mod device;
mod engine;
mod error;
mod fit;
mod loader;
mod lock;
mod loss;
mod metrics;
mod optimizer;
mod origin;
mod plan;
mod rounded;
mod run;
mod schedule;
mod source;
mod stage;
mod tally;
mod trainer;
mod values;

pub use checkpoint::{Best, Checkpoint, CheckpointError};
pub use error::TrainError;
pub use fit::{BatchProgress, CHECKPOINT_EVERY, Ended, FitOptions, Observer, Report, Start, fit};
pub use loader::Batch;
pub use loss::{CrossEntropy, Loss};
pub use metrics::EpochMetrics;
pub use origin::Origin;
pub use schedule::{Rates, Schedule};
pub use source::{Pictures, Source};
pub use tally::{ClassTally, Outcome, Tally};
pub use trainer::{Trainer, TrainerOptions};
pub use values::Values;

#[cfg(test)]
mod tests;
