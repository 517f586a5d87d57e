//! Classifies the built-in samples with the model of 8-bit numbers, on the kernel set for this core.
#![no_std]
#![no_main]

mod panic;

use cortex_m_rt::entry;
use kinglet::kernels::arch::arm::Dsp;
use kinglet_board_common::{Samples, infer};
use kinglet_mps2_an386::Mps2;
use kinglet_mps2_an386::payload::{INT8_ARENA, INT8_MODEL, INT8_SIZES, SAMPLES};

#[entry]
fn main() -> ! {
    Mps2::run(|board| {
        let samples = Samples::read(SAMPLES)?;
        let arena = INT8_ARENA.take().ok_or(kinglet::Error::Taken)?;
        let file = &INT8_MODEL.bytes;
        infer::<{ INT8_SIZES.operators }, _>(board, file, &samples, arena, Dsp::new())
    })
}
