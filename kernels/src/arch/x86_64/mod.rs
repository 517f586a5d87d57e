//! Kernel sets for x86-64.

mod avx2;
mod avx512;

pub use avx2::Avx2;
pub use avx512::Avx512;

/// The AVX2 set, if this machine can run it.
#[cfg(any(test, feature = "std"))]
pub(super) fn avx2() -> Option<&'static Avx2> {
    avx2::detected()
}

/// The AVX-512 set, if this machine can run it.
#[cfg(any(test, feature = "std"))]
pub(super) fn avx512() -> Option<&'static Avx512> {
    avx512::detected()
}

/// The AVX2 set with AVX-VNNI, if this machine can run it.
#[cfg(any(test, feature = "std"))]
pub(super) fn avxvnni() -> Option<&'static Avx2> {
    avx2::detected_vnni()
}

/// The AVX-512 set with VNNI, if this machine can run it.
#[cfg(any(test, feature = "std"))]
pub(super) fn avx512vnni() -> Option<&'static Avx512> {
    avx512::detected_vnni()
}
