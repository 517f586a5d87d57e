//! Kernel sets measured against each other, each by sessions on its own threads.
//!
//! Machines are not as fast from one second to the next, so contenders take turns in short rounds and all of
//! them meet the same weather. Only ratios within one measurement mean something.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use kinglet::{Model, SessionError, SessionMemory};
use kinglet_kernels::BackwardKernels;
use serde::Serialize;

use super::Stats;

/// One kernel set's result.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Contender {
    /// The set.
    pub kernels: &'static str,
    /// Of one run of a batch, over all threads.
    pub run: Stats,
    /// Samples in a second, all threads together: the median of the rounds.
    pub samples_per_second: f64,
}

/// Rounds in all. Each contender is measured in every one of them.
const ROUNDS: u32 = 12;

/// Most times that one thread keeps of one round: the quantiles need no more.
const MAX_TIMES: usize = 1 << 16;

/// Runs `model` on each of `sets`: `threads` sessions of `batch` samples each, for `time` per set in all, after
/// a warm-up of one round. `input` is a batch, NHWC.
///
/// # Errors
/// [`SessionError`] if a session cannot be made.
///
/// # Panics
/// If `input` is not one batch.
pub fn measure(
    model: &Model<'_>,
    sets: &[&'static dyn BackwardKernels],
    (threads, batch): (usize, usize),
    input: &[f32],
    time: Duration,
) -> Result<Vec<Contender>, SessionError> {
    let mut memories: Vec<Vec<SessionMemory>> = sets
        .iter()
        .map(|set| {
            let memory = || SessionMemory::new(model, set, batch);
            (0..threads).map(|_| memory()).collect()
        })
        .collect();
    let mut times = vec![Vec::new(); sets.len()];
    let mut rates = vec![Vec::new(); sets.len()];
    for round in 0..=ROUNDS {
        for (index, set) in sets.iter().enumerate() {
            let rate = one_round(
                model,
                *set,
                &mut memories[index],
                input,
                time / ROUNDS,
                &mut times[index],
            )?;
            if round == 0 {
                times[index].clear();
            } else {
                rates[index].push(rate * batch as f64);
            }
        }
    }
    let results = sets.iter().zip(&mut times).zip(&mut rates);
    Ok(results
        .map(|((set, times), rates)| {
            rates.sort_unstable_by(f64::total_cmp);
            Contender {
                kernels: set.name(),
                run: Stats::of(times),
                samples_per_second: rates[rates.len() / 2],
            }
        })
        .collect())
}

/// Runs one session on each thread, all beginning together. Returns runs in a second, all threads together.
fn one_round(
    model: &Model<'_>,
    set: &'static dyn BackwardKernels,
    memories: &mut [SessionMemory],
    input: &[f32],
    time: Duration,
    times: &mut Vec<Duration>,
) -> Result<f64, SessionError> {
    // Sessions pack their weights when they are made: before the clock starts.
    let sessions: Result<Vec<_>, _> = memories
        .iter_mut()
        .map(|memory| memory.session(model, set))
        .collect();
    let sessions = sessions?;
    let begin = Barrier::new(sessions.len());
    let begin = &begin;
    let work = |mut session: kinglet::AnySession<'_, &'static dyn BackwardKernels>| {
        let mut times = Vec::new();
        begin.wait();
        let (start, mut runs) = (Instant::now(), 0u64);
        loop {
            session.input_mut().copy_from_slice(input);
            let run = Instant::now();
            std::hint::black_box(session.run());
            let run = run.elapsed();
            runs += 1;
            if times.len() < MAX_TIMES {
                times.push(run);
            }
            let elapsed = start.elapsed();
            if elapsed >= time {
                return (times, runs as f64 / elapsed.as_secs_f64());
            }
        }
    };
    let mut rate = 0.0;
    thread::scope(|scope| {
        let threads: Vec<_> = sessions
            .into_iter()
            .map(|session| scope.spawn(|| work(session)))
            .collect();
        for thread in threads {
            let (found, runs) = thread.join().expect("a session does not panic");
            times.extend(found);
            rate += runs;
        }
    });
    Ok(rate)
}

#[cfg(test)]
mod tests {
    use kinglet_kernels::{Portable, Reference};

    use super::*;
    use crate::bench::layers;
    use crate::model_file::ModelFile;

    const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny.kgl");

    #[test]
    fn every_contender_is_measured_on_every_thread() {
        let file = ModelFile::read(TINY.as_ref()).unwrap();
        let model = file.model();
        let input = vec![0.5; 2 * model.input().len()];
        let sets: [&'static dyn BackwardKernels; 2] = [&Portable, &Reference];
        let time = Duration::from_millis(12);
        let found = measure(&model, &sets, (3, 2), &input, time).unwrap();
        assert_eq!(found.len(), 2);
        for (contender, name) in found.iter().zip(["portable", "reference"]) {
            assert_eq!(contender.kernels, name);
            // Each of three threads runs at least once in each round.
            assert!(contender.run.count >= 3 * ROUNDS as usize, "{contender:?}");
            assert!(contender.samples_per_second > 0.0);
            assert!(contender.run.p10_us <= contender.run.p90_us);
        }
        assert!(matches!(
            measure(&model, &sets, (1, 0), &[], time),
            Err(SessionError::EmptyBatch)
        ));
    }

    #[test]
    fn every_layer_is_timed() {
        let file = ModelFile::read(TINY.as_ref()).unwrap();
        let model = file.model();
        let mut memory = SessionMemory::new(&model, &Portable, 1);
        let mut session = memory.session(&model, Portable).unwrap();
        let input = vec![0.5; model.input().len()];
        let found = layers(&mut session, &input, Duration::from_millis(4));
        assert_eq!(found.len(), model.nodes().len());
        assert!(
            found
                .iter()
                .all(|layer| layer.stats.count == found[0].stats.count)
        );
        let shares: f64 = found.iter().map(|layer| layer.share).sum();
        assert!((shares - 1.0).abs() < 1e-9);
    }
}
