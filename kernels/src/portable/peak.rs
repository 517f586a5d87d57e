//! How fast this arithmetic can be at all: multiply-accumulates whose operands never leave the registers.

/// Accumulators side by side: enough to hide the time that a multiplication and an addition take, and few
/// enough to stay in the registers of most machines.
const LANES: usize = 32;

/// See [`BackwardKernels::peak_f32`](crate::BackwardKernels::peak_f32).
pub fn peak_f32(macs: u64, factor: f32, sum: &mut f32) {
    let mut lanes = [0.0; LANES];
    for _ in 0..macs.div_ceil(LANES as u64) {
        for lane in &mut lanes {
            *lane = *lane * factor + factor;
        }
    }
    *sum += lanes.iter().sum::<f32>();
}
