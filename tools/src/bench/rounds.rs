//! Kernel sets measured against each other, each by sessions on its own threads.
//!
//! Machines are not as fast from one second to the next, so contenders take turns in short rounds and all of
//! them meet the same weather. Only ratios within one measurement mean something.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use kinglet::{Model, SessionError, SessionMemory};
use kinglet_kernels::Kernels;
use serde::Serialize;

use super::Stats;

/// One kernel set's result, or a device's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contender {
    /// The set, or the device.
    pub kernels: String,
    /// Of one run of a batch, over all threads.
    pub run: Stats,
    /// Samples in a second, all threads together: the median of the rounds.
    pub samples_per_second: f64,
}

/// Rounds in all. Each contender is measured in every one of them.
const ROUNDS: u32 = 12;

/// Most times that one thread keeps of one round: the quantiles need no more.
const MAX_TIMES: usize = 1 << 16;

/// Something beside the kernel sets that runs a batch.
pub struct Other<'a> {
    /// What it is called.
    pub name: String,
    /// One run.
    pub run: Box<dyn FnMut() + 'a>,
}

/// Runs `model` on each of `sets`: `threads` sessions of `batch` samples each, for `time` per set in all, after
/// a warm-up of one round. `input` is a batch, NHWC. `other` takes its turns after them.
///
/// # Errors
/// [`SessionError`] if a session cannot be made.
///
/// # Panics
/// If `input` is not one batch.
pub fn measure(
    model: &Model<'_>,
    sets: &[&'static dyn Kernels],
    (threads, batch): (usize, usize),
    input: &[f32],
    time: Duration,
    mut other: Option<Other<'_>>,
) -> Result<Vec<Contender>, SessionError> {
    let mut memories: Vec<Vec<SessionMemory>> = sets
        .iter()
        .map(|set| {
            let memory = || SessionMemory::new(model, set, batch);
            (0..threads).map(|_| memory()).collect()
        })
        .collect();
    let mut names: Vec<String> = sets.iter().map(|set| set.name().to_owned()).collect();
    names.extend(other.as_ref().map(|other| other.name.clone()));
    let mut times = vec![Vec::new(); names.len()];
    let mut rates = vec![Vec::new(); names.len()];
    for round in 0..=ROUNDS {
        for index in 0..names.len() {
            let times = &mut times[index];
            let rate = match (sets.get(index), &mut other) {
                (Some(set), _) => {
                    let memories = &mut memories[index];
                    one_round(model, *set, memories, input, time / ROUNDS, times)?
                }
                (None, Some(other)) => one_thread(&mut other.run, time / ROUNDS, times),
                (None, None) => 0.0,
            };
            if round == 0 {
                times.clear();
            } else {
                rates[index].push(rate * batch as f64);
            }
        }
    }
    let results = names.into_iter().zip(&mut times).zip(&mut rates);
    Ok(results
        .map(|((kernels, times), rates)| {
            rates.sort_unstable_by(f64::total_cmp);
            Contender {
                kernels,
                run: Stats::of(times),
                samples_per_second: rates[rates.len() / 2],
            }
        })
        .collect())
}

/// Runs one session on each thread, all beginning together. Returns runs in a second, all threads together.
fn one_round(
    model: &Model<'_>,
    set: &'static dyn Kernels,
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
    let work = |mut session: kinglet::AnySession<'_, &'static dyn Kernels>| {
        let mut times = Vec::new();
        begin.wait();
        let set_input = |session: &mut kinglet::AnySession<'_, &'static dyn Kernels>| {
            session.set_input_f32(input).expect("of its length");
        };
        let run = |session: &mut kinglet::AnySession<'_, &'static dyn Kernels>| {
            std::hint::black_box(session.run());
        };
        let rate = repeat(&mut session, set_input, run, time, &mut times);
        (times, rate)
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

/// Runs on this thread. Returns runs in a second.
fn one_thread(run: &mut dyn FnMut(), time: Duration, times: &mut Vec<Duration>) -> f64 {
    repeat(&mut (), |()| {}, |()| run(), time, times)
}

/// Runs for `time`, noting how long each run takes. Returns runs in a second, those `before` each included.
fn repeat<S>(
    state: &mut S,
    before: impl Fn(&mut S),
    mut run: impl FnMut(&mut S),
    time: Duration,
    times: &mut Vec<Duration>,
) -> f64 {
    let kept = times.len() + MAX_TIMES;
    let (start, mut runs) = (Instant::now(), 0u64);
    loop {
        before(state);
        let begin = Instant::now();
        run(state);
        let elapsed = begin.elapsed();
        runs += 1;
        if times.len() < kept {
            times.push(elapsed);
        }
        let elapsed = start.elapsed();
        if elapsed >= time {
            return runs as f64 / elapsed.as_secs_f64();
        }
    }
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
        let sets: [&'static dyn Kernels; 2] = [&Portable, &Reference];
        let time = Duration::from_millis(12);
        let mut calls = 0;
        let other = Other {
            name: "other".to_owned(),
            run: Box::new(|| calls += 1),
        };
        let found = measure(&model, &sets, (3, 2), &input, time, Some(other)).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found[2].kernels, "other");
        assert!(calls > found[2].run.count, "the warm-up is not counted");
        for (contender, name) in found.iter().zip(["portable", "reference"]) {
            assert_eq!(contender.kernels, name);
            // Each of three threads runs at least once in each round.
            assert!(contender.run.count >= 3 * ROUNDS as usize, "{contender:?}");
            assert!(contender.samples_per_second > 0.0);
            assert!(contender.run.p10_us <= contender.run.p90_us);
        }
        assert!(matches!(
            measure(&model, &sets, (1, 0), &[], time, None),
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
