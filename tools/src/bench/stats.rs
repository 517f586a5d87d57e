//! What is said of many times of the same work.

use std::time::Duration;

use serde::Serialize;

/// Quantiles of times, in microseconds. A mean would be moved by every interruption; these are not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stats {
    /// Times there were.
    pub count: usize,
    /// A tenth was at most this.
    pub p10_us: f64,
    /// Half was at most this.
    pub median_us: f64,
    /// Nine tenths were at most this.
    pub p90_us: f64,
}

impl Stats {
    /// The quantiles of `times`, which are put in order; all 0 if there are none.
    pub fn of(times: &mut [Duration]) -> Self {
        times.sort_unstable();
        let at = |tenths: usize| {
            let index = times.len().saturating_sub(1) * tenths / 10;
            times
                .get(index)
                .map_or(0.0, |time| time.as_secs_f64() * 1e6)
        };
        Self {
            count: times.len(),
            p10_us: at(1),
            median_us: at(5),
            p90_us: at(9),
        }
    }
}

/// `macs` multiply-accumulates in `us` microseconds, in units of 10^9 a second; 0 in no time.
pub fn gmacs(macs: u64, us: f64) -> f64 {
    if us > 0.0 {
        macs as f64 / us / 1e3
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_ordered_times() {
        let mut times: Vec<Duration> = (0..11).rev().map(Duration::from_micros).collect();
        let stats = Stats::of(&mut times);
        assert_eq!(stats.count, 11);
        let found = [stats.p10_us, stats.median_us, stats.p90_us];
        let close = |(a, b): (f64, f64)| (a - b).abs() < 1e-9;
        assert!(
            found.into_iter().zip([1.0, 5.0, 9.0]).all(close),
            "{found:?}"
        );
        assert_eq!(Stats::of(&mut []).count, 0);
        let one = Stats::of(&mut [Duration::from_millis(1)]);
        assert_eq!((one.p10_us, one.p90_us), (1000.0, 1000.0));
    }

    #[test]
    fn a_thousand_macs_in_a_microsecond_are_one_gmac_a_second() {
        assert_eq!(gmacs(1000, 1.0), 1.0);
        assert_eq!(gmacs(1000, 0.0), 0.0);
    }
}
