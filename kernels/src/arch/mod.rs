//! Kernel sets for particular instruction sets, and the list of all sets.
//!
//! Each set is a type with a private field which only its `detect` can make: to hold one is the proof
//! that this CPU can run it. The algorithms are written once, in `generic`, over a small vector trait;
//! a file for an instruction set says what a vector is there and instantiates them.
//!
//! This is the only place of the crate with unsafe code.
#![allow(unsafe_code)]

mod generic;
#[cfg(target_arch = "x86_64")]
pub mod x86_64;

#[cfg(feature = "std")]
use crate::ops::BackwardKernels;

/// One entry of the list of kernel sets.
#[cfg(feature = "std")]
#[derive(Debug, Clone, Copy)]
pub struct Set {
    name: &'static str,
    kernels: fn() -> Option<&'static dyn BackwardKernels>,
}

#[cfg(feature = "std")]
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

/// Every set that this build has, fastest first; `portable` and last `reference` run anywhere.
#[cfg(feature = "std")]
pub const fn sets() -> &'static [Set] {
    const SETS: &[Set] = &[
        #[cfg(target_arch = "x86_64")]
        Set {
            name: "avx2",
            kernels: x86_64::avx2,
        },
        Set {
            name: "portable",
            kernels: || Some(&crate::Portable),
        },
        Set {
            name: "reference",
            kernels: || Some(&crate::Reference),
        },
    ];
    SETS
}

/// The fastest set that this machine can run.
#[cfg(feature = "std")]
pub fn detect() -> &'static dyn BackwardKernels {
    let found = sets().iter().find_map(Set::kernels);
    found.unwrap_or(&crate::Portable)
}
