//! What is particular about this board: how it prints, counts, ends, and where its stack lies.
//!
//! - [`Mps2`]: the [`Board`](kinglet_board_common::Board) of the programs.
//! - [`payload`]: the model and samples that are built in, and memory of their size.
//! - [`semihosting`]: output and exit, through the emulator.
#![no_std]

mod counter;
mod faults;
mod mps2;
pub mod payload;
pub mod semihosting;
mod stack;

pub use mps2::Mps2;
