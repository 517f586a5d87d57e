//! What the whole-path tests share: sample graphs, an interpreter to compare a session with, and the tools
//! to take a model file apart and to close it again.
//!
//! A file that is no model, or a damaged one, does not even compile into a program:
//!
//! ```compile_fail,E0080
//! const SIZES: kinglet::Sizes = kinglet::Sizes::of(&kinglet::Aligned { bytes: [0; 100] });
//! assert_eq!(SIZES.arena, 0);
//! ```
//!
//! Nor does one that is longer or shorter than its prefix says:
//!
//! ```compile_fail,E0080
//! const TINY: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/tiny.kgl"));
//! static CUT: &kinglet::Aligned = &kinglet::Aligned {
//!     bytes: *TINY.first_chunk::<200>().unwrap(),
//! };
//! const SIZES: kinglet::Sizes = kinglet::Sizes::of(CUT);
//! assert_eq!(SIZES.input_len, 16);
//! ```
#![forbid(unsafe_code)]

pub mod backwards;
pub mod branching;
pub mod builder;
pub mod ends;
pub mod exercise;
pub mod graphs;
pub mod interpreter;
pub mod mutate;
pub mod naive;
pub mod quantized;
pub mod seal;
pub mod suffixes;

use kinglet::kernels::Kernels;
use kinglet::model::InputSpec;
use kinglet::{Session, Values, ValuesMut};

/// The bits of `values`: floats are compared by them, so that -0 and NaN count.
pub fn bits_of(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The elements of a tensor of real numbers.
///
/// # Panics
/// If they are quantized.
pub fn real(values: Values<'_>) -> &[f32] {
    values.as_f32().expect("real numbers")
}

/// The first input of a session, to be written.
///
/// # Panics
/// If it is quantized.
pub fn real_input<'s, const OPS: u128, K: Kernels>(
    session: &'s mut Session<'_, OPS, K>,
) -> &'s mut [f32] {
    let input = session.input_mut(0).and_then(ValuesMut::into_f32);
    input.expect("real numbers")
}

/// The elements of a tensor as `f32`, which holds numbers of either type: of 8-bit numbers the numbers themselves.
pub fn numbers_of(values: Values<'_>) -> Vec<f32> {
    match values {
        Values::F32(values) => values.to_vec(),
        Values::I8 { numbers, .. } => numbers.iter().map(|q| f32::from(*q)).collect(),
    }
}

/// What an input holds after real numbers were given to it: those, or the 8-bit numbers nearest to them.
pub fn as_taken(input: &InputSpec, numbers: &[f32]) -> Vec<f32> {
    match input.tensor.dtype.quantization() {
        None => numbers.to_vec(),
        Some(q) => numbers.iter().map(|x| f32::from(q.quantize(*x))).collect(),
    }
}
