//! 128-bit vectors of WebAssembly: four lanes of f32. Products and sums are rounded by themselves: the
//! fused form belongs to a later extension, whose results are left to the engine.

use core::arch::wasm32::*;

use crate::arch::generic::{self, Vector, simd_set};
use crate::params::{Conv2d, Linear};

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

simd_set!(Simd128, "simd128", F32x4, "simd128");

/// Four values of f32.
#[derive(Clone, Copy)]
struct F32x4(v128);

impl Vector for F32x4 {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self(f32x4_splat(x))
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller vouches for four values.
        Self(unsafe { v128_load(p.cast()) })
    }

    #[inline(always)]
    unsafe fn load_partial(p: *const f32, count: usize) -> Self {
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
    unsafe fn add(self, other: Self) -> Self {
        Self(f32x4_add(self.0, other.0))
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        Self(f32x4_add(self.0, f32x4_mul(a.0, b.0)))
    }

    #[inline(always)]
    unsafe fn clamp(self, low: Self, high: Self) -> Self {
        // Of a tie or a NaN these return the first operand.
        Self(f32x4_pmin(f32x4_pmax(self.0, low.0), high.0))
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // Lanes 2 and 3 under 0 and 1, then 1 under 0.
        let two = f32x4_add(self.0, i32x4_shuffle::<2, 3, 0, 1>(self.0, self.0));
        let one = f32x4_add(two, i32x4_shuffle::<1, 0, 3, 2>(two, two));
        f32x4_extract_lane::<0>(one)
    }
}
