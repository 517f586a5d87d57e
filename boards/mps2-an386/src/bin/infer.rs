//! Classifies the built-in samples with the built-in model.
#![no_std]
#![no_main]

mod panic;

use cortex_m_rt::entry;
use kinglet::kernels::Portable;
use kinglet_board_common::{Samples, infer};
use kinglet_mps2_an386::Mps2;
use kinglet_mps2_an386::payload::{ARENA, MODEL, SAMPLES, SIZES};

#[entry]
fn main() -> ! {
    Mps2::run(|board| {
        let samples = Samples::read(SAMPLES)?;
        let arena = ARENA.take().ok_or(kinglet::Error::Taken)?;
        infer::<{ SIZES.operators }, _>(board, &MODEL.bytes, &samples, arena, Portable)
    })
}
