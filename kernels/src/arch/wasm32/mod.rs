//! Kernel sets for WebAssembly. A module that holds instructions the engine does not know is refused as a
//! whole, before anything runs: so there is nothing to detect, the build decides
//! (`-C target-feature=+simd128`).

mod simd128;

pub use simd128::Simd128;

/// The set of 128-bit vectors, which is there if the build has them.
#[cfg(any(test, feature = "std"))]
pub(super) fn simd128() -> Option<&'static Simd128> {
    Some(&simd128::SIMD128)
}
