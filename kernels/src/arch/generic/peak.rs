//! How fast an instruction set can be at all: multiply-accumulates whose operands never leave the registers.

use super::Vector;

/// Accumulators side by side: at two multiply-accumulates a cycle, each of which takes four or five cycles,
/// ten keep the units busy; sixteen registers hold twelve and the operands.
const VECTORS: usize = 12;

/// See [`BackwardKernels::peak_f32`](crate::BackwardKernels::peak_f32).
#[inline(always)]
pub(crate) fn run<V: Vector>(isa: V::Isa, macs: u64, factor: f32, sum: &mut f32) {
    let mut vectors = [V::splat(isa, 0.0); VECTORS];
    let factor = V::splat(isa, factor);
    for _ in 0..macs.div_ceil((VECTORS * V::LANES) as u64) {
        for vector in &mut vectors {
            *vector = factor.add_product(*vector, factor);
        }
    }
    for vector in vectors {
        *sum += vector.sum();
    }
}
