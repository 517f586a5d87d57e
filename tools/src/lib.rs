//! The host side of kinglet, in the order of the data: `dataset` and `recipe`, `network`, `train`.
#![deny(unsafe_code)]

pub mod bench;
pub mod cli;
pub mod dataset;
pub mod device;
pub mod evaluate;
pub mod export;
pub mod file;
pub mod fine_tune;
pub mod graph;
pub mod import;
pub mod inspect;
pub mod kernel_set;
pub mod mapped;
pub mod meaning;
pub mod model_file;
pub mod network;
pub mod npy;
pub mod optimize;
pub mod picture;
pub mod random;
pub mod recipe;
pub mod report;
pub mod samples;
pub mod train;
pub mod transform;
pub mod verify;
