//! Trains the last layers of the built-in model on the built-in samples.
#![no_std]
#![no_main]

mod panic;

use cortex_m_rt::entry;
use kinglet::kernels::Portable;
use kinglet_board_common::{Memory, Samples, fine_tune};
use kinglet_mps2_an386::Mps2;
use kinglet_mps2_an386::payload::{ARENA, HEAD, MODEL, SAMPLES, SIZES, TRAINING};

#[entry]
fn main() -> ! {
    Mps2::run(|board| {
        let samples = Samples::read(SAMPLES)?;
        let memory = Memory {
            session: ARENA.take().ok_or(kinglet::Error::Taken)?.into(),
            training: TRAINING.take().ok_or(kinglet::Error::Taken)?.into(),
            head: HEAD.try_take().ok_or(kinglet::Error::Taken)?,
        };
        fine_tune::<{ SIZES.operators }, _>(board, &MODEL.bytes, &samples, memory, Portable)
    })
}
