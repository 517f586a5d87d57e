//! The host side of kinglet, in the order of the data: `dataset` and `recipe`, `train`, `graph`. Without the feature
//! `program` it is what other programs need: everything but the command line and what it draws.
#![deny(unsafe_code)]

pub mod array_layout;
pub mod base;
#[cfg(feature = "program")]
pub mod bench;
#[cfg(feature = "program")]
pub mod cli;
#[cfg(feature = "program")]
pub mod compare;
pub mod dataset;
pub mod device;
mod digits;
pub mod evaluate;
pub mod export;
pub mod file;
pub mod fine_tune;
pub mod graph;
pub mod import;
#[cfg(feature = "program")]
pub mod inspect;
pub mod kernel_set;
pub mod mapped;
pub mod meaning;
pub mod model_file;
pub mod model_input;
pub mod npy;
pub mod optimize;
#[cfg(feature = "program")]
mod page;
pub mod picture;
pub mod quantize;
pub mod random;
pub mod recipe;
#[cfg(feature = "program")]
pub mod report;
pub mod samples;
#[cfg(feature = "program")]
mod svg;
#[cfg(feature = "program")]
mod table;
pub mod train;
pub mod transform;
#[cfg(feature = "verify")]
pub mod verify;
