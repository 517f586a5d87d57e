//! Kernel sets for x86-64.

mod avx2;
mod avx512;

pub use avx2::Avx2;
pub use avx512::Avx512;

/// The AVX2 set, if this machine can run it.
#[cfg(any(test, feature = "std"))]
pub(super) fn avx2() -> Option<&'static dyn crate::ops::BackwardKernels> {
    avx2::detected().map(|set| set as _)
}

/// The AVX-512 set, if this machine can run it.
#[cfg(any(test, feature = "std"))]
pub(super) fn avx512() -> Option<&'static dyn crate::ops::BackwardKernels> {
    avx512::detected().map(|set| set as _)
}
