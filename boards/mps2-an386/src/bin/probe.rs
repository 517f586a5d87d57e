//! The whole life of a model, and nothing else: load, run, learn, save, load the head. What is linked into
//! this image is what the runtime costs a product, and no part of it may be able to panic: the check is
//! that not one symbol of Rust's panic machinery is in it.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use kinglet::kernels::Portable;
use kinglet::{FineTuner, Model, Session};
use kinglet_board_common::{Failure, Samples};
use kinglet_mps2_an386::payload::{ARENA, HEAD, MODEL, SAMPLES, SIZES, TRAINING};
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
    let arena = ARENA.take().ok_or(kinglet::Error::Taken)?;
    let training = TRAINING.take().ok_or(kinglet::Error::Taken)?;
    let head = HEAD.try_take().ok_or(kinglet::Error::Taken)?;

    let model = Model::load_with::<{ SIZES.operators }>(&MODEL.bytes)?;
    let session = Session::<{ SIZES.operators }, _>::new(&model, arena, Portable)?;
    let mut tuner = FineTuner::new(session, training, samples.optimizer())?;
    for sample in samples.training().take(2) {
        tuner.set_image_u8(sample.pixels)?;
        core::hint::black_box(tuner.run());
        tuner.step(sample.class)?;
    }
    let len = tuner.save_head(head)?;
    tuner.reset();
    tuner.load_head(head.get(..len).unwrap_or_default())?;
    Ok(())
}

/// The compiler wants one. Not inlined, so that the check finds it should anything call it.
#[panic_handler]
#[inline(never)]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(PANIC)
}
