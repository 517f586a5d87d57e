//! Measuring speed: a model layer by layer on one kernel set or all of them, sessions side by side on threads,
//! and the workers that take part in rounds with other runtimes.

mod layers;
mod peak;
pub mod protocol;
pub mod raw;
mod rounds;
mod stats;
pub mod training;

#[cfg(feature = "opencl")]
pub use layers::device_layers;
pub use layers::{LayerTime, layers};
pub use peak::{Peak, peak};
pub use rounds::{Contender, Other, measure};
pub use stats::{Stats, gmacs};
