//! What the whole-path tests share: sample graphs, an interpreter to compare a session with, and the tools
//! to take a model file apart and to close it again.
//!
//! A file that is no model, or a damaged one, does not even compile into a program:
//!
//! ```compile_fail,E0080
//! const SIZES: kinglet::Sizes = kinglet::Sizes::of(&kinglet::Aligned { bytes: [0; 100] });
//! assert_eq!(SIZES.arena, 0);
//! ```
#![forbid(unsafe_code)]

pub mod branching;
pub mod exercise;
pub mod graphs;
pub mod interpreter;
pub mod mutate;
pub mod naive;
pub mod quantized;
pub mod seal;
pub mod suffixes;

/// The bits of `values`: floats are compared by them, so that -0 and NaN count.
pub fn bits_of(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
