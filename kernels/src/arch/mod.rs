//! Kernel sets for particular instruction sets, and the list of all sets.
//!
//! Each set is a type with a private field which only its `detect` can make (and `new`, where the target or the
//! build has the instructions): to hold one is the proof that this CPU can run it. The algorithms are written
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
#[cfg(arm_dsp)]
pub mod arm;
#[cfg(simd)]
mod generic;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub mod wasm32;
#[cfg(all(target_arch = "x86_64", not(any(fuzzing, test))))]
pub mod x86_64;
#[cfg(all(target_arch = "x86_64", not(fuzzing), test))]
mod x86_64 {
    pub(super) fn avx512() -> Option<&'static crate::Portable> {
        None
    }

    pub(super) fn avx2() -> Option<&'static crate::Portable> {
        None
    }

    pub(super) fn avx512vnni() -> Option<&'static crate::Portable> {
        None
    }

    pub(super) fn avxvnni() -> Option<&'static crate::Portable> {
        None
    }
}

#[cfg(any(test, feature = "std"))]
use crate::ops::{BackwardKernels, Kernels};

/// One entry of the list of kernel sets.
#[cfg(any(test, feature = "std"))]
#[derive(Debug, Clone, Copy)]
pub struct Set(Name);

/// Makes the list of sets, and `kernel_suites!`, which makes the tests of each: no set can be added untested.
///
/// The entries have no pointers to functions in them: the linker would keep what any of them leads to, and
/// with that all of training in programs that only infer.
macro_rules! list {
    ($($(#[$cfg:meta])* $name:ident: $kernels:expr, $agreement:ident;)*) => {
        /// The sets by their names, as in `--kernels NAME`.
        #[cfg(any(test, feature = "std"))]
        #[derive(Debug, Clone, Copy)]
        #[allow(non_camel_case_types, reason = "the names of sets are written so")]
        enum Name {
            $($(#[$cfg])* $name,)*
        }

        #[cfg(any(test, feature = "std"))]
        impl Set {
            /// The set's name, as in `--kernels NAME`.
            pub fn name(&self) -> &'static str {
                match self.0 {
                    $($(#[$cfg])* Name::$name => stringify!($name),)*
                }
            }

            /// The set itself, if this machine can run it.
            pub fn kernels(&self) -> Option<&'static dyn Kernels> {
                match self.0 {
                    $($(#[$cfg])* Name::$name => ($kernels)().map(|set| set as _),)*
                }
            }

            /// The set with its backward operations, for training, if this machine can run it. A program that calls
            /// this has twice the kernels in it.
            pub fn training_kernels(&self) -> Option<&'static dyn BackwardKernels> {
                match self.0 {
                    $($(#[$cfg])* Name::$name => ($kernels)().map(|set| set as _),)*
                }
            }
        }

        /// Every set that this build has, fastest first; `portable` and last `reference` run anywhere.
        #[cfg(any(test, feature = "std"))]
        pub const fn sets() -> &'static [Set] {
            const SETS: &[Set] = &[$($(#[$cfg])* Set(Name::$name),)*];
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
    avx512vnni: x86_64::avx512vnni, Within;
    #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
    avx512: x86_64::avx512, Within;
    #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
    avxvnni: x86_64::avxvnni, Within;
    #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
    avx2: x86_64::avx2, Within;
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    neon: aarch64::neon, Within;
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    simd128: wasm32::simd128, Within;
    #[cfg(arm_dsp)]
    dsp: arm::dsp, Exact;
    portable: || Some(&crate::Portable), Exact;
    reference: || Some(&crate::Reference), Exact;
}

/// The fastest set that this machine can run.
#[cfg(any(test, feature = "std"))]
pub fn detect() -> &'static dyn Kernels {
    let found = sets().iter().find_map(Set::kernels);
    found.unwrap_or(&crate::Portable)
}

/// The fastest set that this machine can run, with its backward operations: what [`detect`] finds, for programs
/// that train.
#[cfg(any(test, feature = "std"))]
pub fn detect_training() -> &'static dyn BackwardKernels {
    let found = sets().iter().find_map(Set::training_kernels);
    found.unwrap_or(&crate::Portable)
}
