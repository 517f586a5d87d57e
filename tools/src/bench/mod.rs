//! Measuring speed: samples of time and their quantiles, and the workers that take part in rounds with other
//! runtimes.

pub mod protocol;
pub mod raw;
pub mod training;
