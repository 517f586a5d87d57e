//! AVX-512: sixteen lanes of f32, thirty-two registers, a mask for the lanes of a cut vector.

use core::arch::x86_64::*;

use crate::arch::generic::{self, Vector, simd_set};
use crate::params::{Activation, Binary, Conv2d, Linear, Pool2d, PooledConv2d, StridedCopy, Unary};

/// The kernel set for CPUs with AVX-512F and DQ.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    all(target_feature = "avx512f", target_feature = "avx512dq"),
    derive(Default)
)]
pub struct Avx512(());

/// The one value that there is a reference to.
#[cfg(any(test, feature = "std"))]
static AVX512: Avx512 = Avx512(());

#[cfg(any(test, feature = "std"))]
pub(super) fn detected() -> Option<&'static Avx512> {
    let can = std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512dq");
    can.then_some(&AVX512)
}

impl Avx512 {
    /// The set, without detection, and so without the standard library: where the build has the instructions
    /// (`-C target-feature=+avx512f,+avx512dq`), every CPU that runs it does.
    #[cfg(all(target_feature = "avx512f", target_feature = "avx512dq"))]
    pub const fn new() -> Self {
        Self(())
    }

    /// The set, if this CPU can run it.
    #[cfg(any(test, feature = "std"))]
    pub fn detect() -> Option<Self> {
        detected().copied()
    }
}

simd_set!(Avx512, "avx512", F32x16, "avx512f,avx512dq");

/// Sixteen values of f32.
#[derive(Clone, Copy)]
struct F32x16(__m512);

/// The first `count` lanes.
#[inline(always)]
fn mask(count: usize) -> __mmask16 {
    // `count <= 16`, and of 17 bits the lower ones stay.
    ((1_u32 << count) - 1) as __mmask16
}

impl Vector for F32x16 {
    type Isa = Avx512;
    type Mask = __mmask16;

    const LANES: usize = 16;
    const ROWS: usize = 8;

    #[inline(always)]
    fn splat(_: Avx512, x: f32) -> Self {
        // SAFETY: there is a set, so the CPU has AVX-512F and DQ.
        Self(unsafe { _mm512_set1_ps(x) })
    }

    #[inline(always)]
    unsafe fn load(_: Avx512, p: *const f32) -> Self {
        // SAFETY: there is a set, so the CPU has AVX-512F and DQ; the caller vouches for sixteen values.
        Self(unsafe { _mm512_loadu_ps(p) })
    }

    #[inline(always)]
    unsafe fn load_partial(_: Avx512, p: *const f32, count: usize) -> Self {
        // SAFETY: there is a set, so the CPU has AVX-512F and DQ; the caller vouches for `count` values;
        // others are not touched.
        Self(unsafe { _mm512_maskz_loadu_ps(mask(count), p) })
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: there is a vector, so the CPU has AVX-512F and DQ; the caller vouches for sixteen values.
        unsafe { _mm512_storeu_ps(p, self.0) }
    }

    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, count: usize) {
        // SAFETY: there is a vector, so the CPU has AVX-512F and DQ; the caller vouches for `count` values;
        // others are not touched.
        unsafe { _mm512_mask_storeu_ps(p, mask(count), self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX-512F and DQ.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX-512F and DQ.
        Self(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
    }

    #[inline(always)]
    fn clamp(self, low: Self, high: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX-512F and DQ. Of a tie or a NaN these return the second operand.
        Self(unsafe { _mm512_min_ps(high.0, _mm512_max_ps(low.0, self.0)) })
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: there is a vector, so the CPU has AVX-512F and DQ.
        unsafe {
            let low = _mm512_castps512_ps256(self.0);
            let eight = _mm256_add_ps(low, _mm512_extractf32x8_ps(self.0, 1));
            let (low, high) = (
                _mm256_castps256_ps128(eight),
                _mm256_extractf128_ps(eight, 1),
            );
            let four = _mm_add_ps(low, high);
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX-512F and DQ.
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX-512F and DQ.
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX-512F and DQ.
        Self(unsafe { _mm512_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn greater(self, other: Self) -> __mmask16 {
        // SAFETY: there is a vector, so the CPU has AVX-512F and DQ.
        unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, other.0) }
    }

    #[inline(always)]
    fn equal(self, other: Self) -> __mmask16 {
        // SAFETY: there is a vector, so the CPU has AVX-512F and DQ.
        unsafe { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, other.0) }
    }

    #[inline(always)]
    fn select(mask: __mmask16, yes: Self, no: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX-512F and DQ.
        Self(unsafe { _mm512_mask_blend_ps(mask, no.0, yes.0) })
    }

    #[inline(always)]
    fn round(self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX-512F and DQ.
        Self(unsafe { _mm512_roundscale_ps::<_MM_FROUND_TO_NEAREST_INT>(self.0) })
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX-512F and DQ.
        unsafe {
            // The exponent's bits, biased by 127, before 23 bits of mantissa.
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(self.0), _mm512_set1_epi32(127));
            Self(_mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased)))
        }
    }
}
