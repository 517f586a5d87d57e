//! AVX-512: sixteen lanes of f32, thirty-two registers, a mask for the lanes of a cut vector.

use core::arch::x86_64::*;

use crate::arch::generic::int8::{Pair, Quad, Sums};
use crate::arch::generic::{self, Vector, simd_set};
use crate::params::{
    Activation, AddI8, AvgPool2dI8, Binary, BinaryI8, Conv2d, Conv2dI8, Linear, LinearI8, Pool2d,
    PooledConv2d, RequantizeI8, StridedCopy, Unary, WeightsI8,
};
use crate::quant::Quantization;

/// The kernel set for CPUs with AVX-512F, DQ and BW, which computes with 8-bit numbers by VNNI where there is that.
#[derive(Debug, Clone, Copy)]
pub struct Avx512 {
    vnni: bool,
}

/// The values that there are references to.
#[cfg(any(test, feature = "std"))]
static AVX512: Avx512 = Avx512 { vnni: false };
#[cfg(any(test, feature = "std"))]
static AVX512_VNNI: Avx512 = Avx512 { vnni: true };

/// The set without VNNI.
#[cfg(any(test, feature = "std"))]
pub(super) fn detected() -> Option<&'static Avx512> {
    let can = std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512bw");
    can.then_some(&AVX512)
}

/// The set with VNNI.
#[cfg(any(test, feature = "std"))]
pub(super) fn detected_vnni() -> Option<&'static Avx512> {
    let can = std::is_x86_feature_detected!("avx512vnni");
    detected().filter(|_| can).map(|_| &AVX512_VNNI)
}

#[cfg(all(
    target_feature = "avx512f",
    target_feature = "avx512dq",
    target_feature = "avx512bw"
))]
impl Default for Avx512 {
    fn default() -> Self {
        Self::new()
    }
}

impl Avx512 {
    /// The set, without detection, and so without the standard library: where the build has the instructions
    /// (`-C target-feature=+avx512f,+avx512dq,+avx512bw`, and perhaps `+avx512vnni`), every CPU that runs it does.
    #[cfg(all(
        target_feature = "avx512f",
        target_feature = "avx512dq",
        target_feature = "avx512bw"
    ))]
    pub const fn new() -> Self {
        Self {
            vnni: cfg!(target_feature = "avx512vnni"),
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
            true => "avx512vnni",
            false => "avx512",
        }
    }
}

/// The token of AVX-512 with VNNI.
#[derive(Debug, Clone, Copy)]
struct Vnni(Avx512);

impl From<Vnni> for Avx512 {
    fn from(Vnni(set): Vnni) -> Self {
        set
    }
}

simd_set!(
    Avx512,
    Avx512::name,
    F32x16,
    "avx512f,avx512dq,avx512bw",
    int8: [
        Quads, "avx512f,avx512dq,avx512bw,avx512vnni", vnni;
        Pairs, "avx512f,avx512dq,avx512bw"
    ]
);

/// Sixteen sums of `i32`, of words of four bytes: `vpdpbusd` multiplies unsigned ones with signed weights.
#[derive(Clone, Copy)]
struct Quads(__m512i);

/// Sixteen sums of `i32`, of words of two `i16`.
#[derive(Clone, Copy)]
struct Pairs(__m512i);

/// What sums have in common, whatever their words.
macro_rules! sums {
    ($isa:ty) => {
        type Isa = $isa;
        type Real = F32x16;

        const LANES: usize = 16;
        const REGISTERS: usize = 32;

        #[inline(always)]
        fn splat(_: $isa, x: i32) -> Self {
            // SAFETY: there is a set, so the CPU has AVX-512F.
            Self(unsafe { _mm512_set1_epi32(x) })
        }

        #[inline(always)]
        unsafe fn load(_: $isa, p: *const u8) -> Self {
            // SAFETY: there is a set, so the CPU has AVX-512F; the caller vouches for 64 bytes.
            Self(unsafe { _mm512_loadu_si512(p.cast()) })
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: there is a vector, so the CPU has AVX-512F.
            Self(unsafe { _mm512_add_epi32(self.0, other.0) })
        }

        #[inline(always)]
        fn to_real(self) -> F32x16 {
            // SAFETY: there is a vector, so the CPU has AVX-512F.
            F32x16(unsafe { _mm512_cvtepi32_ps(self.0) })
        }

        #[inline(always)]
        fn from_real(x: F32x16) -> Self {
            // SAFETY: there is a vector, so the CPU has AVX-512F.
            Self(unsafe { _mm512_cvtps_epi32(x.0) })
        }

        #[inline(always)]
        unsafe fn store_bytes(self, p: *mut i8, count: usize) {
            // SAFETY: there is a vector, so the CPU has AVX-512F; the caller vouches for `count` bytes, others are not
            // touched.
            unsafe { _mm512_mask_cvtepi32_storeu_epi8(p, mask(count), self.0) }
        }
    };
}

impl Sums for Quads {
    sums!(Vnni);

    type Word = Quad;

    #[inline(always)]
    fn add_products(self, terms: Self, weights: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX-512F and VNNI.
        Self(unsafe { _mm512_dpbusd_epi32(self.0, terms.0, weights.0) })
    }
}

impl Sums for Pairs {
    sums!(Avx512);

    type Word = Pair;

    #[inline(always)]
    fn add_products(self, terms: Self, weights: Self) -> Self {
        // SAFETY: there is a vector, so the CPU has AVX-512F and BW. Two products of 9 and 8 bits fit.
        Self(unsafe { _mm512_add_epi32(self.0, _mm512_madd_epi16(terms.0, weights.0)) })
    }
}

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
