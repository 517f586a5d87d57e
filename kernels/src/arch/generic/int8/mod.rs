//! Convolutions and linear layers of 8-bit numbers, written once over [`Sums`].
//!
//! What is multiplied are *words* of 32 bits: a few [terms](Word::term) of the input, neighbours in a window, and as many
//! weights of one output channel. One instruction multiplies a word with one of each of [`Sums::LANES`] channels and adds
//! the products up. So weights are packed in words, channel beside channel ([`packed`]), and the input is taken over once,
//! as terms within its padding ([`image`]), of which words can be read anywhere.
//!
//! Terms are not the input less its zero point but that plus an offset, where the instruction wants it so. What the
//! offset adds to each sum is known from the weights alone; packing works it out and the bias is lessened by it.

pub(crate) mod conv2d;
mod depthwise;
pub(crate) mod elementwise;
mod image;
pub(crate) mod linear;
mod packed;
pub(crate) mod pool2d;
mod tile;

use super::Vector;

/// What a word is made of.
pub(crate) trait Word {
    /// A part of it: what is made of a number of the input.
    type Term: Copy;

    /// How many there are.
    const TERMS: usize;

    /// The term of `x`: `x - zero_point` and an offset.
    fn term(x: i8, zero_point: i8) -> Self::Term;

    /// What a term is more than a number less its zero point.
    fn offset(zero_point: i8) -> i32;

    /// Makes a word of each term and those `step`, `2 * step`, ... behind it.
    fn join(terms: &[Self::Term], step: usize, words: &mut [u32]);
}

/// Two numbers of 16 bits, less their zero point.
pub(crate) enum Pair {}

impl Word for Pair {
    type Term = i16;

    const TERMS: usize = 2;

    #[inline(always)]
    fn term(x: i8, zero_point: i8) -> i16 {
        i16::from(x).wrapping_sub(i16::from(zero_point))
    }

    #[inline(always)]
    fn offset(_: i8) -> i32 {
        0
    }

    #[inline(always)]
    fn join(terms: &[i16], step: usize, words: &mut [u32]) {
        let parts = terms.iter().zip(&terms[step..]);
        for (word, (a, b)) in words.iter_mut().zip(parts) {
            *word = u32::from(*a as u16) | u32::from(*b as u16) << 16;
        }
    }
}

/// Four bytes without a sign, 128 more than the numbers.
#[cfg(target_arch = "x86_64")]
pub(crate) enum Quad {}

#[cfg(target_arch = "x86_64")]
impl Word for Quad {
    type Term = u8;

    const TERMS: usize = 4;

    #[inline(always)]
    fn term(x: i8, _: i8) -> u8 {
        (x as u8) ^ 0x80
    }

    #[inline(always)]
    fn offset(zero_point: i8) -> i32 {
        128 + i32::from(zero_point)
    }

    #[inline(always)]
    fn join(terms: &[u8], step: usize, words: &mut [u32]) {
        let [b, c, d] = [1, 2, 3].map(|i| &terms[i * step..]);
        let parts = terms.iter().zip(b).zip(c).zip(d);
        for (word, (((a, b), c), d)) in words.iter_mut().zip(parts) {
            *word = u32::from_le_bytes([*a, *b, *c, *d]);
        }
    }
}

/// What is made of a number of the input for sums of type `S`.
type Term<S> = <<S as Sums>::Word as Word>::Term;

/// A register of [`LANES`](Self::LANES) sums of `i32`, which wrap.
///
/// Like a [`Vector`], it is made of the set's token or of another, and computing with it is safe.
pub(crate) trait Sums: Copy {
    /// The token: a value exists only where the CPU has the instructions.
    type Isa: Copy + Into<<Self::Real as Vector>::Isa>;
    /// As many `f32`.
    type Real: Vector;
    /// What is multiplied.
    type Word: Word;

    /// Sums in one register.
    const LANES: usize;
    /// Registers of the instruction set.
    const REGISTERS: usize;

    /// `x` in every lane.
    fn splat(isa: Self::Isa, x: i32) -> Self;

    /// The `LANES` numbers or words from `p`, at any alignment.
    ///
    /// # Safety
    /// All can be read.
    unsafe fn load(isa: Self::Isa, p: *const u8) -> Self;

    /// `self + other`, wrapping.
    fn add(self, other: Self) -> Self;

    /// `self` and the products of the terms of each word of `terms` and the weights of that of `weights`.
    fn add_products(self, terms: Self, weights: Self) -> Self;

    /// The nearest `f32` of each.
    fn to_real(self) -> Self::Real;

    /// The nearest integer of each, of two equally near the even one; they are small.
    fn from_real(x: Self::Real) -> Self;

    /// Writes the lowest byte of the first `count` lanes.
    ///
    /// # Safety
    /// `count <= LANES`; those bytes can be written.
    unsafe fn store_bytes(self, p: *mut i8, count: usize);
}
