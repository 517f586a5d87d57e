//! AVX2 with FMA: eight lanes of f32, sixteen registers.

use core::arch::x86_64::*;

use crate::arch::generic::{self, Vector, simd_set};
use crate::params::{Activation, Binary, Conv2d, Linear, Pool2d, PooledConv2d, StridedCopy, Unary};

/// The kernel set for CPUs with AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(all(target_feature = "avx2", target_feature = "fma"), derive(Default))]
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
    /// The set, without detection, and so without the standard library: where the build has the instructions
    /// (`-C target-feature=+avx2,+fma`), every CPU that runs it does.
    #[cfg(all(target_feature = "avx2", target_feature = "fma"))]
    pub const fn new() -> Self {
        Self(())
    }

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

/// Where the mask of the first `count` lanes lies, eight of sixteen values from there.
#[inline(always)]
fn mask(count: usize) -> *const __m256i {
    MASKS.as_ptr().wrapping_add(8 - count).cast()
}

impl Vector for F32x8 {
    type Isa = Avx2;
    type Mask = __m256;

    const LANES: usize = 8;
    const ROWS: usize = 6;

    #[inline(always)]
    fn splat(_: Avx2, x: f32) -> Self {
        // SAFETY: there is a set, so the CPU has AVX2 and FMA.
        Self(unsafe { _mm256_set1_ps(x) })
    }

    #[inline(always)]
    unsafe fn load(_: Avx2, p: *const f32) -> Self {
        // SAFETY: there is a set, so the CPU has AVX2 and FMA; the caller vouches for eight values.
        Self(unsafe { _mm256_loadu_ps(p) })
    }

    #[inline(always)]
    unsafe fn load_partial(_: Avx2, p: *const f32, count: usize) -> Self {
        // SAFETY: there is a set, so the CPU has AVX2 and FMA; the caller vouches for `count` values, at most
        // eight; others are not touched.
        Self(unsafe { _mm256_maskload_ps(p, _mm256_loadu_si256(mask(count))) })
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: there is a vector, so the CPU has AVX2 and FMA; the caller vouches for eight values.
        unsafe { _mm256_storeu_ps(p, self.0) }
    }

    #[inline(always)]
    unsafe fn store_partial(self, p: *mut f32, count: usize) {
        // SAFETY: there is a vector, so the CPU has AVX2 and FMA; the caller vouches for `count` values, at most
        // eight; others are not touched.
        unsafe { _mm256_maskstore_ps(p, _mm256_loadu_si256(mask(count)), self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX2 and FMA.
        Self(unsafe { _mm256_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX2 and FMA.
        Self(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
    }

    #[inline(always)]
    fn clamp(self, low: Self, high: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX2 and FMA. Of a tie or a NaN these return the second operand.
        Self(unsafe { _mm256_min_ps(high.0, _mm256_max_ps(low.0, self.0)) })
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: there is a vector, so the CPU has AVX2 and FMA.
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
    fn sub(self, other: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX2 and FMA.
        Self(unsafe { _mm256_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX2 and FMA.
        Self(unsafe { _mm256_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX2 and FMA.
        Self(unsafe { _mm256_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn greater(self, other: Self) -> __m256 {
        // SAFETY: there is a vector, so the CPU has AVX2 and FMA.
        unsafe { _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, other.0) }
    }

    #[inline(always)]
    fn equal(self, other: Self) -> __m256 {
        // SAFETY: there is a vector, so the CPU has AVX2 and FMA.
        unsafe { _mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, other.0) }
    }

    #[inline(always)]
    fn select(mask: __m256, yes: Self, no: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX2 and FMA.
        Self(unsafe { _mm256_blendv_ps(no.0, yes.0, mask) })
    }

    #[inline(always)]
    fn round(self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX2 and FMA.
        Self(unsafe { _mm256_round_ps::<_MM_FROUND_TO_NEAREST_INT>(self.0) })
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX2 and FMA.
        unsafe {
            // The exponent's bits, biased by 127, before 23 bits of mantissa.
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(self.0), _mm256_set1_epi32(127));
            Self(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased)))
        }
    }
}
