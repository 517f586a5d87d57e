//! Kernel sets for particular instruction sets, and the list of all sets.
//!
//! Each set is a type with a private field which only its `detect` can make (and `new`, where the target
//! itself has the instructions): to hold one is the proof that this CPU can run it. The algorithms are written
//! once, in `generic`, over a small vector trait; a file for an instruction set says what a vector is there and
//! instantiates them.
//!
//! Fuzz targets run the portable set; with coverage counters in them the sets of x86-64 take minutes to compile, and are
//! left out. So they are beside the unit tests of this crate, for most of a minute: the suite has them.
//!
//! This is the only place of the crate with unsafe code.
#![allow(unsafe_code)]

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
pub mod aarch64;
#[cfg(any(
    test,
    all(target_arch = "x86_64", not(fuzzing)),
    target_feature = "neon",
    target_feature = "simd128"
))]
mod generic;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub mod wasm32;
#[cfg(all(target_arch = "x86_64", not(any(fuzzing, test))))]
pub mod x86_64;
#[cfg(all(target_arch = "x86_64", not(fuzzing), test))]
mod x86_64 {
    use crate::ops::BackwardKernels;

    pub(super) fn avx512() -> Option<&'static dyn BackwardKernels> {
        None
    }

    pub(super) fn avx2() -> Option<&'static dyn BackwardKernels> {
        None
    }
}

#[cfg(any(test, feature = "std"))]
use crate::ops::BackwardKernels;

/// One entry of the list of kernel sets.
#[cfg(any(test, feature = "std"))]
#[derive(Debug, Clone, Copy)]
pub struct Set {
    name: &'static str,
    kernels: fn() -> Option<&'static dyn BackwardKernels>,
}

#[cfg(any(test, feature = "std"))]
impl Set {
    /// The set's name, as in `--kernels NAME`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The set itself, if this machine can run it.
    pub fn kernels(&self) -> Option<&'static dyn BackwardKernels> {
        (self.kernels)()
    }
}

/// Makes the list of sets, and `kernel_suites!`, which makes the tests of each: no set can be added untested.
macro_rules! list {
    ($($(#[$cfg:meta])* $name:ident: $kernels:expr, $agreement:ident;)*) => {
        /// Every set that this build has, fastest first; `portable` and last `reference` run anywhere.
        #[cfg(any(test, feature = "std"))]
        pub const fn sets() -> &'static [Set] {
            const SETS: &[Set] = &[$(
                $(#[$cfg])*
                Set {
                    name: stringify!($name),
                    kernels: $kernels,
                },
            )*];
            SETS
        }

        /// A suite for every set of the list: see [`kernel_suite!`](crate::kernel_suite).
        #[cfg(feature = "testing")]
        #[macro_export]
        macro_rules! kernel_suites {
            () => {
                $(
                    $(#[$cfg])*
                    $crate::kernel_suite!($name, $crate::testing::find(stringify!($name)), $agreement);
                )*
            };
        }
    };
}

list! {
    #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
    avx512: x86_64::avx512, Within;
    #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
    avx2: x86_64::avx2, Within;
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    neon: aarch64::neon, Within;
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    simd128: wasm32::simd128, Within;
    portable: || Some(&crate::Portable), Exact;
    reference: || Some(&crate::Reference), Exact;
}

/// The fastest set that this machine can run.
#[cfg(any(test, feature = "std"))]
pub fn detect() -> &'static dyn BackwardKernels {
    let found = sets().iter().find_map(Set::kernels);
    found.unwrap_or(&crate::Portable)
}
