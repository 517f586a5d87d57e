//! Kernel sets for 64-bit Arm.

mod neon;

pub use neon::Neon;

/// The NEON set, which every machine of this target can run.
#[cfg(any(test, feature = "std"))]
pub(super) fn neon() -> Option<&'static Neon> {
    Some(&neon::NEON)
}
