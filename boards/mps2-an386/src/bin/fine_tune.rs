//! Trains the last layers of the built-in model on the built-in samples.
#![no_std]
#![no_main]

mod panic;

use cortex_m_rt::entry;
use kinglet::kernels::Portable;
use kinglet_board_common::{Failure, Memory, Samples, fine_tune};
use kinglet_mps2_an386::Mps2;
use kinglet_mps2_an386::payload::{ARENA, HEAD, MODEL, SAMPLES, SIZES, TRAINING};

#[entry]
fn main() -> ! {
    Mps2::run(|board| {
        let samples = Samples::read(SAMPLES)?;
        let memory = Memory {
            session: ARENA.try_take().ok_or(Failure::Memory)?.into(),
            training: TRAINING.try_take().ok_or(Failure::Memory)?.into(),
            head: HEAD.try_take().ok_or(Failure::Memory)?,
        };
        fine_tune::<{ SIZES.operators }, _>(board, &MODEL.bytes, &samples, memory, Portable)
    })
}
