//! Counts the instructions of the model of 8-bit numbers on the kernel set for this core, node by node.
#![no_std]
#![no_main]

mod panic;

use cortex_m_rt::entry;
use kinglet::kernels::arch::arm::Dsp;
use kinglet_board_common::bench;
use kinglet_mps2_an386::Mps2;
use kinglet_mps2_an386::payload::{INT8_ARENA, INT8_MODEL, INT8_SIZES};

#[entry]
fn main() -> ! {
    Mps2::run(|board| {
        let arena = INT8_ARENA.take().ok_or(kinglet::Error::Taken)?;
        bench::<{ INT8_SIZES.operators }, _>(board, &INT8_MODEL.bytes, arena, Dsp::new())
    })
}
