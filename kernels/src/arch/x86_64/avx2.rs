//! AVX2 with FMA: eight lanes of f32, sixteen registers.

use core::arch::x86_64::*;

use crate::arch::generic::int8::{Pair, Quad, Sums};
use crate::arch::generic::{self, Vector, simd_set};
use crate::params::{
    Activation, AddI8, AvgPool2dI8, Binary, BinaryI8, Conv2d, Conv2dI8, Linear, LinearI8, Pool2d,
    PooledConv2d, RequantizeI8, StridedCopy, Unary, WeightsI8,
};
use crate::quant::Quantization;

/// The kernel set for CPUs with AVX2 and FMA, which computes with 8-bit numbers by AVX-VNNI where there is that.
#[derive(Debug, Clone, Copy)]
pub struct Avx2 {
    vnni: bool,
}

/// The values that there are references to.
#[cfg(any(test, feature = "std"))]
static AVX2: Avx2 = Avx2 { vnni: false };
#[cfg(any(test, feature = "std"))]
static AVX_VNNI: Avx2 = Avx2 { vnni: true };

/// The set without VNNI.
#[cfg(any(test, feature = "std"))]
pub(super) fn detected() -> Option<&'static Avx2> {
    let can = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
    can.then_some(&AVX2)
}

/// The set with VNNI.
#[cfg(any(test, feature = "std"))]
pub(super) fn detected_vnni() -> Option<&'static Avx2> {
    let can = std::is_x86_feature_detected!("avxvnni");
    detected().filter(|_| can).map(|_| &AVX_VNNI)
}

#[cfg(all(target_feature = "avx2", target_feature = "fma"))]
impl Default for Avx2 {
    fn default() -> Self {
        Self::new()
    }
}

impl Avx2 {
    /// The set, without detection, and so without the standard library: where the build has the instructions
    /// (`-C target-feature=+avx2,+fma`, and perhaps `+avxvnni`), every CPU that runs it does.
    #[cfg(all(target_feature = "avx2", target_feature = "fma"))]
    pub const fn new() -> Self {
        Self {
            vnni: cfg!(target_feature = "avxvnni"),
        }
    }

    /// The set, if this CPU can run it.
    #[cfg(any(test, feature = "std"))]
    pub fn detect() -> Option<Self> {
        detected_vnni().or_else(detected).copied()
    }

    /// The proof that there is VNNI, too.
    fn vnni(self) -> Option<Vnni> {
        self.vnni.then_some(Vnni(self))
    }

    fn name(&self) -> &'static str {
        match self.vnni {
            true => "avxvnni",
            false => "avx2",
        }
    }
}

/// The token of AVX2 with VNNI.
#[derive(Debug, Clone, Copy)]
struct Vnni(Avx2);

impl From<Vnni> for Avx2 {
    fn from(Vnni(set): Vnni) -> Self {
        set
    }
}

simd_set!(
    Avx2,
    Avx2::name,
    F32x8,
    "avx2,fma",
    int8: [Quads, "avx2,fma,avxvnni", vnni; Pairs, "avx2,fma"]
);

/// Eight sums of `i32`, of words of four bytes: `vpdpbusd` multiplies unsigned ones with signed weights.
#[derive(Clone, Copy)]
struct Quads(__m256i);

/// Eight sums of `i32`, of words of two `i16`.
#[derive(Clone, Copy)]
struct Pairs(__m256i);

/// What sums have in common, whatever their words.
macro_rules! sums {
    ($isa:ty) => {
        type Isa = $isa;
        type Real = F32x8;

        const LANES: usize = 8;
        const REGISTERS: usize = 16;

        #[inline(always)]
        fn splat(_: $isa, x: i32) -> Self {
            // SAFETY: there is a set, so the CPU has AVX2.
            Self(unsafe { _mm256_set1_epi32(x) })
        }

        #[inline(always)]
        unsafe fn load(_: $isa, p: *const u8) -> Self {
            // SAFETY: there is a set, so the CPU has AVX2; the caller vouches for 32 bytes.
            Self(unsafe { _mm256_loadu_si256(p.cast()) })
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: there is a vector, so the CPU has AVX2.
            Self(unsafe { _mm256_add_epi32(self.0, other.0) })
        }

        #[inline(always)]
        fn to_real(self) -> F32x8 {
            // SAFETY: there is a vector, so the CPU has AVX2.
            F32x8(unsafe { _mm256_cvtepi32_ps(self.0) })
        }

        #[inline(always)]
        fn from_real(x: F32x8) -> Self {
            // SAFETY: there is a vector, so the CPU has AVX2.
            Self(unsafe { _mm256_cvtps_epi32(x.0) })
        }

        #[inline(always)]
        unsafe fn store_bytes(self, p: *mut i8, count: usize) {
            // SAFETY: there is a vector, so the CPU has AVX2; the caller vouches for `count` bytes, others are not
            // touched.
            unsafe {
                let (low, high) = (
                    _mm256_castsi256_si128(self.0),
                    _mm256_extracti128_si256::<1>(self.0),
                );
                let words = _mm_packs_epi32(low, high);
                let bytes = _mm_packs_epi16(words, words);
                if count == 8 {
                    _mm_storel_epi64(p.cast(), bytes);
                } else {
                    let bytes = _mm_cvtsi128_si64(bytes).to_le_bytes();
                    core::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), p, count);
                }
            }
        }
    };
}

impl Sums for Quads {
    sums!(Vnni);

    type Word = Quad;

    #[inline(always)]
    fn add_products(self, terms: Self, weights: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX2 and AVX-VNNI.
        Self(unsafe { _mm256_dpbusd_avx_epi32(self.0, terms.0, weights.0) })
    }
}

impl Sums for Pairs {
    sums!(Avx2);

    type Word = Pair;

    #[inline(always)]
    fn add_products(self, terms: Self, weights: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX2. Two products of 9 and 8 bits fit.
        Self(unsafe { _mm256_add_epi32(self.0, _mm256_madd_epi16(terms.0, weights.0)) })
    }
}

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
