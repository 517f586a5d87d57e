//! AVX2 with FMA: eight lanes of f32, sixteen registers.

use crate::ops::{BackwardKernels, Kernels};

/// The kernel set for CPUs with AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub struct Avx2(());

/// The one value that there is a reference to.
#[cfg(any(test, feature = "std"))]
static AVX2: Avx2 = Avx2(());

#[cfg(any(test, feature = "std"))]
pub(super) fn detected() -> Option<&'static Avx2> {
    let can = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
    can.then_some(&AVX2)
}

impl Avx2 {
    /// The set, if this CPU can run it.
    #[cfg(any(test, feature = "std"))]
    pub fn detect() -> Option<Self> {
        detected().copied()
    }
}

impl Kernels for Avx2 {
    fn name(&self) -> &'static str {
        "avx2"
    }
}

impl BackwardKernels for Avx2 {}
