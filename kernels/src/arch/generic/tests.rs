//! The algorithms with vectors of a width that no machine has, made of plain arrays: that they hold for
//! any width, and under tools that know no vector instructions.

use super::{self as generic, Vector, simd_set};
use crate::params::{Activation, Binary, Conv2d, Linear, Pool2d, PooledConv2d, StridedCopy, Unary};

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

/// Five lanes: if the algorithms hold for a width that divides nothing, they hold for four and sixteen.
#[derive(Clone, Copy)]
struct Emulated5;
#[cfg(target_arch = "x86_64")]
simd_set!(Emulated5, "emulated5", Emulated<5>, "sse2");
#[cfg(target_arch = "aarch64")]
simd_set!(Emulated5, "emulated5", Emulated<5>, "neon");
#[cfg(target_arch = "wasm32")]
simd_set!(Emulated5, "emulated5", Emulated<5>, "simd128");
crate::kernel_suite!(emulated5, Some(&Emulated5), Within);
