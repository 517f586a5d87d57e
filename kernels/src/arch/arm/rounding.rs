//! From sums to numbers: the one rounding, as the floating point unit of a core does it.

use crate::quant::{ROUNDER, Requantize};

/// How sums are rounded, in two constants. [`ROUNDER`] takes a product to an integer in the lowest bits of a number; what
/// those are more than the number of the output is then taken off, and what is left bounded. Numbers too large for that
/// keep their order, and so end at a bound.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Rounding {
    offset: i32,
    rounder: f32,
}

impl Rounding {
    /// To all 8-bit numbers there are: narrower bounds are the caller's.
    pub(super) fn new(to: Requantize) -> Self {
        Self {
            rounder: ROUNDER,
            offset: (ROUNDER.to_bits() as i32).wrapping_sub(i32::from(to.zero_point())),
        }
    }
}

/// Sums in these registers as real numbers; or 256 times the sums, which is exact as long as there is room for it.
macro_rules! real {
    ($($sum:literal),+) => {
        concat!($("vcvt.f32.s32 ", $sum, ", ", $sum, "\n"),+)
    };
    (256: $($sum:literal),+) => {
        concat!($("vcvt.f32.s32 ", $sum, ", ", $sum, ", #8\n"),+)
    };
}

/// Real sums in these registers times their scales, as numbers that are rounded in their lowest bits; the rounder is in the
/// first.
macro_rules! scaled {
    ($rounder:literal: $($sum:literal * $scale:literal),+) => {
        concat!(
            $(concat!("vmul.f32 ", $sum, ", ", $sum, ", ", $scale, "\n"),)+
            $(concat!("vadd.f32 ", $sum, ", ", $sum, ", ", $rounder, "\n"),)+
        )
    };
}

/// The numbers of four such, in these registers, less the offset, written one after the other; the pointer to where they
/// are written is four further then.
macro_rules! store_four {
    ($a:literal, $b:literal, $c:literal, $d:literal, less $offset:literal, to $to:literal) => {
        concat!(
            concat!("qsub ", $a, ", ", $a, ", ", $offset, "\n"),
            concat!("qsub ", $b, ", ", $b, ", ", $offset, "\n"),
            concat!("qsub ", $c, ", ", $c, ", ", $offset, "\n"),
            concat!("qsub ", $d, ", ", $d, ", ", $offset, "\n"),
            concat!("ssat ", $a, ", #8, ", $a, "\n"),
            concat!("ssat ", $b, ", #8, ", $b, "\n"),
            concat!("ssat ", $c, ", #8, ", $c, "\n"),
            concat!("ssat ", $d, ", #8, ", $d, "\n"),
            concat!("strb ", $b, ", [", $to, ", #1]\n"),
            concat!("strb ", $c, ", [", $to, ", #2]\n"),
            concat!("strb ", $d, ", [", $to, ", #3]\n"),
            concat!("strb ", $a, ", [", $to, "], #4\n"),
        )
    };
}

pub(super) use {real, scaled, store_four};
