//! The loop that benchmarks compare with.

use super::Agreement;
use crate::ops::BackwardKernels;

/// Checks that the loop does its multiply-accumulates: `x / 2 + 1 / 2` brings every accumulator to 1.
///
/// # Panics
/// If it does not.
pub fn peak(set: &dyn BackwardKernels, _: Agreement) {
    let mut sum = 0.0;
    set.peak_f32(0, 0.5, &mut sum);
    assert_eq!(sum, 0.0, "no steps");
    set.peak_f32(1, 0.5, &mut sum);
    // One step of each accumulator.
    let accumulators = 2.0 * sum;
    assert!(accumulators >= 1.0 && accumulators.fract() == 0.0, "{sum}");
    let mut sum = 0.0;
    set.peak_f32(64 * accumulators as u64, 0.5, &mut sum);
    assert_eq!(sum, accumulators);
}
