//! Training on the host: from a recipe and a data set to the weights that validate best.
//!
//! [`fit`] is the whole of it: epochs of steps, validation, checkpoints, the best epoch's weights, the test.
//! [`Trainer`] is one step: forward and backward with the kernels of `kinglet_kernels`, the loss, the
//! runtime's optimizers. Results depend on the recipe, the data and the kernel set, not on the number of
//! threads, and an interrupted run continues as if nothing had happened.

mod checkpoint;
mod error;
mod fit;
mod metrics;
mod optimizer;
mod source;
mod stage;
mod tally;
mod trainer;

pub use checkpoint::{Best, Checkpoint, CheckpointError, Values};
pub use error::TrainError;
pub use fit::{BatchProgress, Ended, FitOptions, Observer, Report, fit};
pub use metrics::EpochMetrics;
pub use source::{Pictures, Source};
pub use tally::{ClassTally, Tally};
pub use trainer::{Trainer, TrainerOptions};

#[cfg(test)]
mod tests;
