//! AVX2 with FMA: eight lanes of f32, sixteen registers.

use core::arch::x86_64::*;

use crate::arch::generic::{self, Vector, simd_set};
use crate::params::{Activation, Binary, Conv2d, Linear, Pool2d, PooledConv2d, StridedCopy, Unary};

/// The kernel set for CPUs with AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub struct Avx2(());

/// The one value that there is a reference to.
#[cfg(any(test, feature = "std"))]
static AVX2: Avx2 = Avx2(());

#[cfg(any(test, feature = "std"))]
pub(super) fn detected() -> Option<&'static Avx2> {
    let can = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
    can.then_some(&AVX2)
}

impl Avx2 {
    /// The set, if this CPU can run it.
    #[cfg(any(test, feature = "std"))]
    pub fn detect() -> Option<Self> {
        detected().copied()
    }
}

simd_set!(Avx2, "avx2", F32x8, "avx2,fma");

/// Eight values of f32.
#[derive(Clone, Copy)]
struct F32x8(__m256);

/// `count` of all ones before zeros is at `8 - count`.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// All ones in the first `count` lanes.
///
/// # Safety
/// The CPU has AVX2, and `count <= 8`.
#[inline(always)]
unsafe fn mask(count: usize) -> __m256i {
    // SAFETY: `8 - count` is between 0 and 8, and from there eight of sixteen masks are left.
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - count).cast()) }
}

impl Vector for F32x8 {
    type Mask = __m256;

    const LANES: usize = 8;
    const ROWS: usize = 6;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the caller vouches for the CPU.
        Self(unsafe { _mm256_set1_ps(x) })
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller vouches for the CPU and for eight values.
        Self(unsafe { _mm256_loadu_ps(p) })
    }

    #[inline(always)]
    unsafe fn load_partial(p: *const f32, count: usize) -> Self {
        // SAFETY: the caller vouches for the CPU and for `count` values; others are not touched.
        Self(unsafe { _mm256_maskload_ps(p, mask(count)) })
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller vouches for the CPU and for eight values.
        unsafe { _mm256_storeu_ps(p, self.0) }
    }

    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, count: usize) {
        // SAFETY: the caller vouches for the CPU and for `count` values; others are not touched.
        unsafe { _mm256_maskstore_ps(p, mask(count), self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller vouches for the CPU.
        Self(unsafe { _mm256_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller vouches for the CPU.
        Self(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
    }

    #[inline(always)]
    unsafe fn clamp(self, low: Self, high: Self) -> Self {
        // SAFETY: the caller vouches for the CPU. Of a tie or a NaN these return the second operand.
        Self(unsafe { _mm256_min_ps(high.0, _mm256_max_ps(low.0, self.0)) })
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the caller vouches for the CPU.
        unsafe {
            let (low, high) = (
                _mm256_castps256_ps128(self.0),
                _mm256_extractf128_ps(self.0, 1),
            );
            let four = _mm_add_ps(low, high);
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller vouches for the CPU.
        Self(unsafe { _mm256_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the caller vouches for the CPU.
        Self(unsafe { _mm256_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: the caller vouches for the CPU.
        Self(unsafe { _mm256_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn greater(self, other: Self) -> __m256 {
        // SAFETY: the caller vouches for the CPU.
        unsafe { _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, other.0) }
    }

    #[inline(always)]
    unsafe fn equal(self, other: Self) -> __m256 {
        // SAFETY: the caller vouches for the CPU.
        unsafe { _mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, other.0) }
    }

    #[inline(always)]
    unsafe fn select(mask: __m256, yes: Self, no: Self) -> Self {
        // SAFETY: the caller vouches for the CPU.
        Self(unsafe { _mm256_blendv_ps(no.0, yes.0, mask) })
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: the caller vouches for the CPU.
        Self(unsafe { _mm256_round_ps::<_MM_FROUND_TO_NEAREST_INT>(self.0) })
    }

    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        // SAFETY: the caller vouches for the CPU.
        unsafe {
            // The exponent's bits, biased by 127, before 23 bits of mantissa.
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(self.0), _mm256_set1_epi32(127));
            Self(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased)))
        }
    }
}
