//! NEON: four lanes of f32, thirty-two registers.

use core::arch::aarch64::*;

use crate::arch::generic::int8::{Pair, Sums};
use crate::arch::generic::{self, Vector, simd_set};
use crate::params::{
    Activation, AddI8, AvgPool2dI8, Binary, BinaryI8, Conv2d, Conv2dI8, Linear, LinearI8, Pool2d,
    PooledConv2d, RequantizeI8, StridedCopy, Unary, WeightsI8,
};
use crate::quant::Quantization;

/// The kernel set for 64-bit Arm.
#[derive(Debug, Clone, Copy, Default)]
pub struct Neon(());

/// The one value that there is a reference to.
#[cfg(any(test, feature = "std"))]
pub(super) static NEON: Neon = Neon::new();

impl Neon {
    /// The set. It needs no detection, and so no standard library: a target that has this type requires
    /// NEON of every CPU.
    pub const fn new() -> Self {
        Self(())
    }

    /// The set, as the others have it: if this CPU can run it, which is always.
    pub const fn detect() -> Option<Self> {
        Some(Self::new())
    }
}

simd_set!(Neon, |_| "neon", F32x4, "neon", int8: [Pairs, "neon"]);

/// Four sums of `i32`, of words of two `i16`.
#[derive(Clone, Copy)]
struct Pairs(int32x4_t);

impl Sums for Pairs {
    type Isa = Neon;
    type Real = F32x4;
    type Word = Pair;

    const LANES: usize = 4;
    const REGISTERS: usize = 32;

    #[inline(always)]
    fn splat(_: Neon, x: i32) -> Self {
        // SAFETY: there is a set, so the CPU has NEON.
        Self(unsafe { vdupq_n_s32(x) })
    }

    #[inline(always)]
    unsafe fn load(_: Neon, p: *const u8) -> Self {
        // SAFETY: there is a set, so the CPU has NEON; the caller vouches for sixteen bytes.
        Self(unsafe { vreinterpretq_s32_u8(vld1q_u8(p)) })
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has NEON.
        Self(unsafe { vaddq_s32(self.0, other.0) })
    }

    #[inline(always)]
    fn add_products(self, terms: Self, weights: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has NEON.
        Self(unsafe {
            let (terms, weights) = (
                vreinterpretq_s16_s32(terms.0),
                vreinterpretq_s16_s32(weights.0),
            );
            let low = vmull_s16(vget_low_s16(terms), vget_low_s16(weights));
            let high = vmull_high_s16(terms, weights);
            vaddq_s32(self.0, vpaddq_s32(low, high))
        })
    }

    #[inline(always)]
    fn to_real(self) -> F32x4 {
        // SAFETY: there is a vector, so the CPU has NEON.
        F32x4(unsafe { vcvtq_f32_s32(self.0) })
    }

    #[inline(always)]
    fn from_real(x: F32x4) -> Self {
        // SAFETY: there is a vector, so the CPU has NEON.
        Self(unsafe { vcvtnq_s32_f32(x.0) })
    }

    #[inline(always)]
    unsafe fn store_bytes(self, p: *mut i8, count: usize) {
        // SAFETY: there is a vector, so the CPU has NEON; the caller vouches for `count` bytes, at most four.
        unsafe {
            let words = vmovn_s32(self.0);
            let bytes = vmovn_s16(vcombine_s16(words, words));
            let bytes = vget_lane_u32::<0>(vreinterpret_u32_s8(bytes)).to_le_bytes();
            core::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), p, count);
        }
    }
}

/// Four values of f32.
#[derive(Clone, Copy)]
struct F32x4(float32x4_t);

impl Vector for F32x4 {
    type Isa = Neon;
    type Mask = uint32x4_t;

    const LANES: usize = 4;
    const ROWS: usize = 8;

    #[inline(always)]
    fn splat(_: Neon, x: f32) -> Self {
        // SAFETY: there is a set, so the CPU has NEON.
        Self(unsafe { vdupq_n_f32(x) })
    }

    #[inline(always)]
    unsafe fn load(_: Neon, p: *const f32) -> Self {
        // SAFETY: there is a set, so the CPU has NEON; the caller vouches for four values.
        Self(unsafe { vld1q_f32(p) })
    }

    #[inline(always)]
    unsafe fn load_partial(_: Neon, p: *const f32, count: usize) -> Self {
        // SAFETY: there is a set, so the CPU has NEON; the caller vouches for `count` values;
        // others are not touched.
        Self(unsafe {
            let zeros = vdupq_n_f32(0.0);
            match count {
                0 => zeros,
                1 => vld1q_lane_f32::<0>(p, zeros),
                2 => vcombine_f32(vld1_f32(p), vget_high_f32(zeros)),
                3 => {
                    let two = vcombine_f32(vld1_f32(p), vget_high_f32(zeros));
                    vld1q_lane_f32::<2>(p.add(2), two)
                }
                _ => vld1q_f32(p),
            }
        })
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: there is a vector, so the CPU has NEON; the caller vouches for four values.
        unsafe { vst1q_f32(p, self.0) }
    }

    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, count: usize) {
        // SAFETY: there is a vector, so the CPU has NEON; the caller vouches for `count` values;
        // others are not touched.
        unsafe {
            match count {
                0 => {}
                1 => vst1q_lane_f32::<0>(p, self.0),
                2 => vst1_f32(p, vget_low_f32(self.0)),
                3 => {
                    vst1_f32(p, vget_low_f32(self.0));
                    vst1q_lane_f32::<2>(p.add(2), self.0);
                }
                _ => vst1q_f32(p, self.0),
            }
        }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has NEON.
        Self(unsafe { vaddq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has NEON.
        Self(unsafe { vfmaq_f32(self.0, a.0, b.0) })
    }

    #[inline(always)]
    fn clamp(self, low: Self, high: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has NEON. NEON's own maximum makes 0 of -0, so values are selected:
        // a comparison with NaN is false.
        Self(unsafe {
            let raised = vbslq_f32(vcltq_f32(self.0, low.0), low.0, self.0);
            vbslq_f32(vcgtq_f32(raised, high.0), high.0, raised)
        })
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: there is a vector, so the CPU has NEON. The order is (0 + 1) + (2 + 3).
        unsafe { vaddvq_f32(self.0) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has NEON.
        Self(unsafe { vsubq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has NEON.
        Self(unsafe { vmulq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has NEON.
        Self(unsafe { vdivq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn greater(self, other: Self) -> uint32x4_t {
        // SAFETY: there is a vector, so the CPU has NEON.
        unsafe { vcgtq_f32(self.0, other.0) }
    }

    #[inline(always)]
    fn equal(self, other: Self) -> uint32x4_t {
        // SAFETY: there is a vector, so the CPU has NEON.
        unsafe { vceqq_f32(self.0, other.0) }
    }

    #[inline(always)]
    fn select(mask: uint32x4_t, yes: Self, no: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has NEON.
        Self(unsafe { vbslq_f32(mask, yes.0, no.0) })
    }

    #[inline(always)]
    fn round(self) -> Self {
        // SAFETY: there is a vector, so the CPU has NEON.
        Self(unsafe { vrndnq_f32(self.0) })
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        // SAFETY: there is a vector, so the CPU has NEON.
        unsafe {
            // The exponent's bits, biased by 127, before 23 bits of mantissa.
            let biased = vaddq_s32(vcvtq_s32_f32(self.0), vdupq_n_s32(127));
            Self(vreinterpretq_f32_s32(vshlq_n_s32::<23>(biased)))
        }
    }
}
