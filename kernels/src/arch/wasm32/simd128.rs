//! 128-bit vectors of WebAssembly: four lanes of f32. Products and sums are rounded by themselves: the
//! fused form belongs to a later extension, whose results are left to the engine.

use core::arch::wasm32::*;

use crate::arch::generic::int8::{Pair, Sums};
use crate::arch::generic::{self, Vector, simd_set};
use crate::params::{
    Activation, AddI8, AvgPool2dI8, Binary, BinaryI8, Conv2d, Conv2dI8, Linear, LinearI8, Pool2d,
    PooledConv2d, RequantizeI8, StridedCopy, Unary, WeightsI8,
};
use crate::quant::Quantization;

/// The kernel set for WebAssembly with 128-bit vectors.
#[derive(Debug, Clone, Copy, Default)]
pub struct Simd128(());

/// The one value that there is a reference to.
#[cfg(any(test, feature = "std"))]
pub(super) static SIMD128: Simd128 = Simd128::new();

impl Simd128 {
    /// The set. It needs no detection, and so no standard library: the type is there if the build has the
    /// instructions.
    pub const fn new() -> Self {
        Self(())
    }

    /// The set, as the others have it: if this machine can run it, which is always.
    pub const fn detect() -> Option<Self> {
        Some(Self::new())
    }
}

simd_set!(Simd128, |_| "simd128", F32x4, "simd128", int8: [Pairs, "simd128"]);

/// Four sums of `i32`, of words of two `i16`.
#[derive(Clone, Copy)]
struct Pairs(v128);

impl Sums for Pairs {
    type Isa = Simd128;
    type Real = F32x4;
    type Word = Pair;

    const LANES: usize = 4;
    // Engines run on CPUs with sixteen registers as well as thirty-two.
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn splat(_: Simd128, x: i32) -> Self {
        Self(i32x4_splat(x))
    }

    #[inline(always)]
    unsafe fn load(_: Simd128, p: *const u8) -> Self {
        // SAFETY: the caller vouches for sixteen bytes.
        Self(unsafe { v128_load(p.cast()) })
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(i32x4_add(self.0, other.0))
    }

    #[inline(always)]
    fn add_products(self, terms: Self, weights: Self) -> Self {
        Self(i32x4_add(self.0, i32x4_dot_i16x8(terms.0, weights.0)))
    }

    #[inline(always)]
    fn to_real(self) -> F32x4 {
        F32x4(f32x4_convert_i32x4(self.0))
    }

    #[inline(always)]
    fn from_real(x: F32x4) -> Self {
        Self(i32x4_trunc_sat_f32x4(f32x4_nearest(x.0)))
    }

    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut i8, count: usize) {
        let words = i16x8_narrow_i32x4(self.0, self.0);
        let bytes = i32x4_extract_lane::<0>(i8x16_narrow_i16x8(words, words)).to_le_bytes();
        // SAFETY: the caller vouches for `count` bytes, at most four.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), p, count) }
    }
}

/// Four values of f32.
#[derive(Clone, Copy)]
struct F32x4(v128);

impl Vector for F32x4 {
    type Isa = Simd128;
    type Mask = v128;

    const LANES: usize = 4;
    // Engines run on CPUs with sixteen registers as well as thirty-two.
    const ROWS: usize = 6;

    #[inline(always)]
    fn splat(_: Simd128, x: f32) -> Self {
        Self(f32x4_splat(x))
    }

    #[inline(always)]
    unsafe fn load(_: Simd128, p: *const f32) -> Self {
        // SAFETY: the caller vouches for four values.
        Self(unsafe { v128_load(p.cast()) })
    }

    #[inline(always)]
    unsafe fn load_partial(_: Simd128, p: *const f32, count: usize) -> Self {
        // SAFETY: the caller vouches for `count` values; others are not touched.
        Self(unsafe {
            match count {
                0 => f32x4_splat(0.0),
                1 => v128_load32_zero(p.cast()),
                2 => v128_load64_zero(p.cast()),
                3 => v128_load32_lane::<2>(v128_load64_zero(p.cast()), p.add(2).cast()),
                _ => v128_load(p.cast()),
            }
        })
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller vouches for four values.
        unsafe { v128_store(p.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, count: usize) {
        // SAFETY: the caller vouches for `count` values; others are not touched.
        unsafe {
            match count {
                0 => {}
                1 => v128_store32_lane::<0>(self.0, p.cast()),
                2 => v128_store64_lane::<0>(self.0, p.cast()),
                3 => {
                    v128_store64_lane::<0>(self.0, p.cast());
                    v128_store32_lane::<2>(self.0, p.add(2).cast());
                }
                _ => v128_store(p.cast(), self.0),
            }
        }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(f32x4_add(self.0, other.0))
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        Self(f32x4_add(self.0, f32x4_mul(a.0, b.0)))
    }

    #[inline(always)]
    fn clamp(self, low: Self, high: Self) -> Self {
        // Of a tie or a NaN these return the first operand.
        Self(f32x4_pmin(f32x4_pmax(self.0, low.0), high.0))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        // Lanes 2 and 3 under 0 and 1, then 1 under 0.
        let two = f32x4_add(self.0, i32x4_shuffle::<2, 3, 0, 1>(self.0, self.0));
        let one = f32x4_add(two, i32x4_shuffle::<1, 0, 3, 2>(two, two));
        f32x4_extract_lane::<0>(one)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(f32x4_sub(self.0, other.0))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(f32x4_mul(self.0, other.0))
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(f32x4_div(self.0, other.0))
    }

    #[inline(always)]
    fn greater(self, other: Self) -> v128 {
        f32x4_gt(self.0, other.0)
    }

    #[inline(always)]
    fn equal(self, other: Self) -> v128 {
        f32x4_eq(self.0, other.0)
    }

    #[inline(always)]
    fn select(mask: v128, yes: Self, no: Self) -> Self {
        Self(v128_bitselect(yes.0, no.0, mask))
    }

    #[inline(always)]
    fn round(self) -> Self {
        Self(f32x4_nearest(self.0))
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        // The exponent's bits, biased by 127, before 23 bits of mantissa.
        let biased = i32x4_add(i32x4_trunc_sat_f32x4(self.0), i32x4_splat(127));
        Self(i32x4_shl(biased, 23))
    }
}
