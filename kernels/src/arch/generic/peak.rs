//! How fast an instruction set can be at all: multiply-accumulates whose operands never leave the registers.

use super::Vector;

/// Accumulators side by side: at two multiply-accumulates a cycle, each of which takes four or five cycles,
/// ten keep the units busy; sixteen registers hold twelve and the operands.
const VECTORS: usize = 12;

/// See [`BackwardKernels::peak_f32`](crate::BackwardKernels::peak_f32).
///
/// # Safety
/// The CPU can run `V`.
#[inline(always)]
pub(crate) unsafe fn run<V: Vector>(macs: u64, factor: f32, sum: &mut f32) {
    // SAFETY: the caller vouches for the CPU.
    unsafe {
        let mut vectors = [V::splat(0.0); VECTORS];
        let factor = V::splat(factor);
        for _ in 0..macs.div_ceil((VECTORS * V::LANES) as u64) {
            for vector in &mut vectors {
                *vector = factor.add_product(*vector, factor);
            }
        }
        for vector in vectors {
            *sum += vector.sum();
        }
    }
}
