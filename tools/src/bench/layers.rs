//! The time of each layer, taken by a probe around the nodes of a session.

use std::time::{Duration, Instant};

use kinglet::probe::Probe;
use kinglet::{AnySession, Values};
use kinglet_kernels::Kernels;

use super::Stats;

/// The times of one layer.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct LayerTime {
    /// Of one run of the batch.
    pub stats: Stats,
    /// Its median as a share of the sum of all layers' medians, 0 to 1.
    pub share: f64,
}

/// Notes when nodes begin and end.
struct Stopwatch {
    begun: Instant,
    times: Vec<Vec<Duration>>,
}

impl Probe for Stopwatch {
    fn before(&mut self, _node: usize) {
        self.begun = Instant::now();
    }

    fn after(&mut self, node: usize, _output: Values<'_>) {
        let time = self.begun.elapsed();
        self.times[node].push(time);
    }
}

/// Runs `session` on `input` (the whole batch, NHWC) for `time`, after a warm-up of a quarter of it, and
/// returns the times of its layers in order. Reading the clock twice adds some tens of nanoseconds to each.
///
/// # Panics
/// If `input` has another length than the session's.
pub fn layers<K: Kernels>(
    session: &mut AnySession<'_, K>,
    input: &[f32],
    time: Duration,
) -> Vec<LayerTime> {
    let nodes = session.model().nodes().len();
    let mut watch = Stopwatch {
        begun: Instant::now(),
        times: vec![Vec::new(); nodes],
    };
    for time in [time / 4, time] {
        watch.times.iter_mut().for_each(Vec::clear);
        let start = Instant::now();
        loop {
            session.set_input_f32(input).expect("of its length");
            session.run_probed(&mut watch);
            if start.elapsed() >= time {
                break;
            }
        }
    }
    of_times(&mut watch.times)
}

/// As [`layers`], of a session on a device, which is waited for after each layer.
///
/// # Errors
/// [`OpenClError`](kinglet::opencl::OpenClError) if the device fails.
#[cfg(feature = "opencl")]
pub fn device_layers(
    session: &mut kinglet::opencl::Session<'_>,
    time: Duration,
) -> Result<Vec<LayerTime>, kinglet::opencl::OpenClError> {
    let mut times = vec![Vec::new(); session.model().nodes().len()];
    for time in [time / 4, time] {
        times.iter_mut().for_each(Vec::clear);
        let start = Instant::now();
        while times.iter().any(Vec::is_empty) || start.elapsed() < time {
            let mut begun = Instant::now();
            session.run_in_steps(|node| {
                times[node].push(begun.elapsed());
                begun = Instant::now();
            })?;
        }
    }
    Ok(of_times(&mut times))
}

fn of_times(times: &mut [Vec<Duration>]) -> Vec<LayerTime> {
    let stats: Vec<Stats> = times.iter_mut().map(|times| Stats::of(times)).collect();
    let all: f64 = stats.iter().map(|stats| stats.median_us).sum();
    stats
        .into_iter()
        .map(|stats| LayerTime {
            stats,
            share: if all > 0.0 {
                stats.median_us / all
            } else {
                0.0
            },
        })
        .collect()
}
