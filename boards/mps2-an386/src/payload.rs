//! The model and samples that were built in, and memory of exactly the size that they need.

use kinglet::kernels::arch::arm::Dsp;
use kinglet::{Aligned, Sgd, Sizes, StaticArena, include_model};
use static_cell::ConstStaticCell;

/// The model file, in flash.
pub static MODEL: &Aligned = include_model!(concat!(env!("OUT_DIR"), "/model.kgl"));

/// The samples file, in flash.
pub static SAMPLES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/samples"));

/// What the model needs, known to the compiler.
pub const SIZES: Sizes = Sizes::of(MODEL);

/// Memory of the session.
pub static ARENA: StaticArena<{ SIZES.arena }> = StaticArena::new();

/// Memory for training. An image that does not use it does not have it.
pub static TRAINING: StaticArena<{ SIZES.training::<Sgd>() }> = StaticArena::new();

/// Where the trained head is saved.
pub static HEAD: ConstStaticCell<[u8; SIZES.head]> = ConstStaticCell::new([0; SIZES.head]);

/// The model of 8-bit numbers, in flash.
pub static INT8_MODEL: &Aligned = include_model!(concat!(env!("OUT_DIR"), "/model.int8.kgl"));

/// What that model needs.
pub const INT8_SIZES: Sizes = Sizes::of(INT8_MODEL);

/// Memory of its session, with the scratch of the kernel set for this core.
pub static INT8_ARENA: StaticArena<{ INT8_SIZES.arena_for::<Dsp>() }> = StaticArena::new();
