//! What one core of this machine can do at all.

use std::time::{Duration, Instant};

use kinglet_kernels::arch::sets;
use serde::Serialize;

/// The fastest loop of multiply-accumulates that a kernel set of this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Peak {
    /// The set.
    pub kernels: &'static str,
    /// Multiply-accumulates in a second on one core, in units of 10^9.
    pub gmacs: f64,
}

/// Multiply-accumulates of one try: long against the clock's resolution, short against a time slice.
const MACS: u64 = 2_000_000;

/// Measures every set for `time` together and returns the best.
///
/// # Panics
/// Never: the portable set runs anywhere.
pub fn peak(time: Duration) -> Peak {
    let sets: Vec<_> = sets()
        .iter()
        .filter_map(|set| set.training_kernels())
        .collect();
    let mut best = vec![Duration::MAX; sets.len()];
    let start = Instant::now();
    while best.contains(&Duration::MAX) || start.elapsed() < time {
        for (set, best) in sets.iter().zip(&mut best) {
            let mut sum = 0.0;
            let start = Instant::now();
            set.peak_f32(MACS, std::hint::black_box(0.5), &mut sum);
            std::hint::black_box(sum);
            *best = start.elapsed().min(*best);
        }
    }
    let fastest = sets.iter().zip(best).min_by_key(|(_, time)| *time);
    let (set, time) = fastest.expect("the portable set runs anywhere");
    Peak {
        kernels: set.name(),
        gmacs: super::stats::gmacs(MACS, time.as_secs_f64() * 1e6),
    }
}
