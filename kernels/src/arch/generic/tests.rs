//! The algorithms with vectors of a width that no machine has, made of plain arrays: that they hold for
//! any width, and under tools that know no vector instructions.

use super::int8::{Pair, Sums, Word};
use super::{self as generic, Vector, simd_set};
use crate::params::{
    Activation, AddI8, AvgPool2dI8, Binary, BinaryI8, Conv2d, Conv2dI8, Linear, LinearI8, Pool2d,
    PooledConv2d, RequantizeI8, StridedCopy, Unary, WeightsI8,
};
use crate::quant::Quantization;

/// `N` values, computed one by one. Never inlined: unrolled, they would take minutes to compile.
#[derive(Clone, Copy)]
struct Emulated<const N: usize>([f32; N]);

impl<const N: usize> Emulated<N> {
    fn map(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut lanes = self.0;
        for (x, y) in lanes.iter_mut().zip(other.0) {
            *x = f(*x, y);
        }
        Self(lanes)
    }
}

impl<const N: usize> Vector for Emulated<N> {
    type Isa = Emulated5;
    type Mask = [bool; N];

    const LANES: usize = N;
    const ROWS: usize = 8;

    #[inline(never)]
    fn splat(_: Emulated5, x: f32) -> Self {
        Self([x; N])
    }

    #[inline(never)]
    unsafe fn load(_: Emulated5, p: *const f32) -> Self {
        // SAFETY: the caller vouches for `N` values.
        Self(unsafe { p.cast::<[f32; N]>().read() })
    }

    #[inline(never)]
    unsafe fn load_partial(_: Emulated5, p: *const f32, count: usize) -> Self {
        assert!(count <= N);
        let mut lanes = [0.0; N];
        // SAFETY: the caller vouches for `count` values.
        lanes[..count].copy_from_slice(unsafe { core::slice::from_raw_parts(p, count) });
        Self(lanes)
    }

    #[inline(never)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller vouches for `N` values.
        unsafe { p.cast::<[f32; N]>().write(self.0) }
    }

    #[inline(never)]
    unsafe fn store_partial(self, p: *mut f32, count: usize) {
        assert!(count <= N);
        // SAFETY: the caller vouches for `count` values.
        unsafe { core::slice::from_raw_parts_mut(p, count) }.copy_from_slice(&self.0[..count]);
    }

    #[inline(never)]
    fn add(self, other: Self) -> Self {
        self.map(other, |x, y| x + y)
    }

    #[inline(never)]
    fn add_product(self, a: Self, b: Self) -> Self {
        let products = a.map(b, |a, b| a * b);
        self.map(products, |x, y| x + y)
    }

    #[inline(never)]
    fn clamp(self, low: Self, high: Self) -> Self {
        Self(core::array::from_fn(|i| {
            crate::params::clamp(self.0[i], low.0[i], high.0[i])
        }))
    }

    #[inline(never)]
    fn sum(self) -> f32 {
        self.0.iter().sum()
    }

    #[inline(never)]
    fn sub(self, other: Self) -> Self {
        self.map(other, |x, y| x - y)
    }

    #[inline(never)]
    fn mul(self, other: Self) -> Self {
        self.map(other, |x, y| x * y)
    }

    #[inline(never)]
    fn div(self, other: Self) -> Self {
        self.map(other, |x, y| x / y)
    }

    #[inline(never)]
    fn greater(self, other: Self) -> [bool; N] {
        core::array::from_fn(|i| self.0[i] > other.0[i])
    }

    #[inline(never)]
    fn equal(self, other: Self) -> [bool; N] {
        core::array::from_fn(|i| self.0[i] == other.0[i])
    }

    #[inline(never)]
    fn select(mask: [bool; N], yes: Self, no: Self) -> Self {
        Self(core::array::from_fn(|i| {
            if mask[i] { yes.0[i] } else { no.0[i] }
        }))
    }

    #[inline(never)]
    fn round(self) -> Self {
        Self(self.0.map(f32::round_ties_even))
    }

    #[inline(never)]
    fn power_of_two(self) -> Self {
        Self(self.0.map(f32::exp2))
    }
}

/// Five sums, of words of two `i16`.
#[derive(Clone, Copy)]
struct EmulatedSums([i32; 5]);

impl Sums for EmulatedSums {
    type Isa = Emulated5;
    type Real = Emulated<5>;
    type Word = Pair;

    const LANES: usize = 5;
    const REGISTERS: usize = 32;

    #[inline(never)]
    fn splat(_: Emulated5, x: i32) -> Self {
        Self([x; 5])
    }

    #[inline(never)]
    unsafe fn load(_: Emulated5, p: *const u8) -> Self {
        // SAFETY: the caller vouches for five numbers.
        Self(unsafe { p.cast::<[i32; 5]>().read_unaligned() })
    }

    #[inline(never)]
    fn add(self, other: Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i].wrapping_add(other.0[i])))
    }

    #[inline(never)]
    fn add_products(self, terms: Self, weights: Self) -> Self {
        let halves = |word: i32| [word as i16, (word >> 16) as i16].map(i32::from);
        Self(core::array::from_fn(|i| {
            let ([a, b], [c, d]) = (halves(terms.0[i]), halves(weights.0[i]));
            self.0[i].wrapping_add(a * c).wrapping_add(b * d)
        }))
    }

    #[inline(never)]
    fn to_real(self) -> Emulated<5> {
        Emulated(self.0.map(|x| x as f32))
    }

    #[inline(never)]
    fn from_real(x: Emulated<5>) -> Self {
        Self(x.0.map(|x| x.round_ties_even() as i32))
    }

    #[inline(never)]
    unsafe fn store_bytes(self, p: *mut i8, count: usize) {
        // SAFETY: the caller vouches for `count` bytes.
        let bytes = unsafe { core::slice::from_raw_parts_mut(p, count) };
        for (byte, x) in bytes.iter_mut().zip(self.0) {
            *byte = x as i8;
        }
    }
}

#[test]
fn words_are_made_of_the_terms_a_step_apart() {
    let mut words = [0; 2];
    Pair::join(&[1, -1, 2, 3], 2, &mut words);
    assert_eq!(words, [0x0002_0001, 0x0003_ffff]);
    assert_eq!(Pair::term(-128, 127), -255);
    #[cfg(target_arch = "x86_64")]
    {
        use super::int8::Quad;
        Quad::join(&[1, 2, 3, 4, 5, 6, 7, 8], 2, &mut words);
        assert_eq!(words, [0x0705_0301, 0x0806_0402]);
        let (x, zero_point) = (-100, 27);
        let term = i32::from(Quad::term(x, zero_point));
        assert_eq!(term, -127 + Quad::offset(zero_point));
    }
}

/// Five lanes: if the algorithms hold for a width that divides nothing, they hold for four and sixteen.
#[derive(Clone, Copy)]
struct Emulated5;
#[cfg(target_arch = "x86_64")]
simd_set!(
    Emulated5,
    |_| "emulated5",
    Emulated<5>,
    "sse2",
    int8: [EmulatedSums, "sse2"]
);
#[cfg(target_arch = "aarch64")]
simd_set!(
    Emulated5,
    |_| "emulated5",
    Emulated<5>,
    "neon",
    int8: [EmulatedSums, "neon"]
);
#[cfg(target_arch = "wasm32")]
simd_set!(
    Emulated5,
    |_| "emulated5",
    Emulated<5>,
    "simd128",
    int8: [EmulatedSums, "simd128"]
);
crate::kernel_suite!(emulated5, Some(&Emulated5), Within);
