//! Load and run a model of 8-bit numbers, and nothing else: as `probe`, this image must not have one symbol of Rust's panic
//! machinery.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use kinglet::kernels::arch::arm::Dsp;
use kinglet::{Model, Session};
use kinglet_board_common::{Failure, Samples};
use kinglet_mps2_an386::payload::{INT8_ARENA, INT8_MODEL, INT8_SIZES, SAMPLES};
use kinglet_mps2_an386::semihosting::{FAILURE, PANIC, SUCCESS, exit};

#[entry]
fn main() -> ! {
    match live() {
        Ok(()) => exit(SUCCESS),
        Err(_) => exit(FAILURE),
    }
}

fn live() -> Result<(), Failure> {
    let samples = Samples::read(SAMPLES)?;
    let arena = INT8_ARENA.take().ok_or(kinglet::Error::Taken)?;
    let model = Model::load_with::<{ INT8_SIZES.operators }>(&INT8_MODEL.bytes)?;
    let mut session = Session::<{ INT8_SIZES.operators }, _>::new(&model, arena, Dsp::new())?;
    for sample in samples.evaluation().take(1) {
        session.set_image_u8(sample.pixels)?;
        core::hint::black_box(session.run());
    }
    Ok(())
}

/// The compiler wants one. Not inlined, so that the check finds it should anything call it.
#[panic_handler]
#[inline(never)]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(PANIC)
}
