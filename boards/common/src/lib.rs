//! What the firmware of every board does. A board brings its start-up code, its memory and a [`Board`] that
//! prints and measures; the programs themselves are here, generic, and run on a host as well, where the
//! tests compare them line by line with what a board has printed.
//!
//! - [`Samples`]: the pictures that are built into an image beside the model.
//! - [`infer`]: load, run, report classes and a digest of all logits.
//! - [`bench()`]: instructions of any model, node by node.
//! - [`fine_tune`]: learn from one part of the samples, measure on the other, save and load the head.
//! - [`digest`], [`stack`]: results and stack as one number each.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod bench;
mod board;
pub mod digest;
mod failure;
mod fine_tune;
mod infer;
mod load;
mod samples;
pub mod stack;

pub use bench::bench;
pub use board::Board;
pub use failure::Failure;
pub use fine_tune::{Memory, fine_tune};
pub use infer::infer;
pub use samples::{Sample, Samples, SamplesError};
