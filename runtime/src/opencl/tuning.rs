//! Which variant of a kernel is the fastest for a problem: measured at first use, then remembered.

use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::vec::Vec;

use super::cache::{Cache, Key};
use super::{Executor, OpenClError, Recording};

/// How a variant is chosen where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tuning {
    /// By measurement on the device, at first use.
    #[default]
    Measure,
    /// Always the one at this place (counted around): for tests, which see all of them so.
    Fixed(usize),
}

/// What was found so far. A key is a text that names operation and problem.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    entries: BTreeMap<String, u32>,
    changed: bool,
}

impl Findings {
    /// What an earlier process has found.
    pub(super) fn read(cache: &Cache, key: Key) -> Self {
        let entries = cache.read(key);
        let entries = entries.and_then(|bytes| postcard::from_bytes(&bytes).ok());
        Self {
            found: Mutex::new(Found {
                entries: entries.unwrap_or_default(),
                changed: false,
            }),
        }
    }

    pub(super) fn get(&self, problem: &str) -> Option<u32> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.entries.get(problem).copied()
    }

    pub(super) fn set(&self, problem: &str, value: u32) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.entries.insert(problem.to_string(), value);
        found.changed = true;
    }

    /// Keeps the findings, if there are new ones.
    pub(super) fn save(&self, cache: &Cache, key: Key) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.changed
            && let Ok(bytes) = postcard::to_stdvec(&found.entries)
        {
            cache.write(key, &bytes);
            found.changed = false;
        }
    }
}

/// Each variant is measured so many times.
const RUNS: usize = 5;
/// A measurement lasts as long as this, where a hundred runs do.
const LONG_ENOUGH: Duration = Duration::from_millis(2);
/// No more than this for one variant.
const PATIENCE: Duration = Duration::from_millis(200);

impl Executor {
    /// The one of `variants` that `record` makes the fastest recording of. It is recorded on the operands of the
    /// problem itself, so their values are lost: outputs and scratch only.
    ///
    /// # Errors
    /// [`OpenClError`] if no variant could be run.
    pub(super) fn fastest<V: Copy>(
        &self,
        problem: &str,
        variants: &[V],
        mut record: impl FnMut(V) -> Result<Recording, OpenClError>,
    ) -> Result<V, OpenClError> {
        let nothing = || OpenClError::Unsupported {
            reason: std::format!("there is no kernel for {problem}"),
        };
        let (&first, rest) = variants.split_first().ok_or_else(nothing)?;
        if let Tuning::Fixed(at) = self.options.tuning {
            return Ok(variants[at % variants.len()]);
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let known = self.findings.get(problem);
        if let Some(&variant) = known.and_then(|at| variants.get(at as usize)) {
            return Ok(variant);
        }
        let mut best: Option<(usize, Duration)> = None;
        let mut failure = None;
        for (at, &variant) in variants.iter().enumerate() {
            // A variant may be more than the device can do: then it is not the fastest.
            match record(variant).and_then(|recording| self.time(&recording)) {
                Ok(time) if best.is_none_or(|(_, least)| time < least) => best = Some((at, time)),
                Ok(_) => {}
                Err(error) => failure = Some(error),
            }
        }
        match best {
            Some((at, _)) => {
                self.findings.set(problem, at as u32);
                Ok(variants[at])
            }
            None => Err(failure.unwrap_or_else(nothing)),
        }
    }

    /// The median time of one run, in runs long enough that waiting for them does not count.
    fn time(&self, recording: &Recording) -> Result<Duration, OpenClError> {
        let measure = |repeats: u32| {
            let start = Instant::now();
            for _ in 0..repeats {
                recording.enqueue()?;
            }
            self.finish()?;
            Ok(start.elapsed())
        };
        // The first launch is slower, and a short one is mostly waiting.
        measure(1)?;
        let once = measure(1)?.as_nanos().max(1);
        let repeats = (LONG_ENOUGH.as_nanos() / once).clamp(1, 100) as u32;
        let begin = Instant::now();
        let mut times = Vec::new();
        while times.is_empty() || (times.len() < RUNS && begin.elapsed() < PATIENCE) {
            times.push(measure(repeats)? / repeats);
        }
        times.sort();
        Ok(times[times.len() / 2])
    }
}
