//! Steps that are run one after the other whatever became of those before, and the summary at the end:
//! times, failures, and one line of totals.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How many checks passed and failed: tests of `cargo test`, and comparisons of firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Counts {
    /// Counts one check.
    pub(crate) fn add(&mut self, passed: bool) {
        match passed {
            true => self.passed += 1,
            false => self.failed += 1,
        }
    }

    /// Adds what a line of libtest's output reports, if it is the closing line of a test program:
    /// `test result: ok. 12 passed; 0 failed; 1 ignored; ...`.
    pub(crate) fn add_line(&mut self, line: &str) {
        let Some((_, rest)) = line.split_once("test result: ") else {
            return;
        };
        for part in rest.split([';', '.']) {
            match part.trim().split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse::<u64>().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse::<u64>().unwrap_or(0),
                _ => {}
            }
        }
    }
}

struct Outcome {
    name: String,
    time: Duration,
    error: Option<anyhow::Error>,
}

/// The steps so far.
#[derive(Default)]
pub(crate) struct Steps {
    outcomes: Vec<Outcome>,
    counts: Counts,
}

impl Steps {
    /// Runs a step. It counts the checks that it makes; a step that fails without having counted one
    /// as failed (it did not compile, say) counts as one.
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce(&mut Counts) -> Result<()>) {
        println!("\n=== {name}");
        let started = Instant::now();
        let mut counts = Counts::default();
        let error = step(&mut counts).err();
        let time = started.elapsed();
        if let Some(error) = &error {
            println!("{error:#}");
            counts.failed = counts.failed.max(1);
        }
        println!(
            "=== {name}: {} in {}",
            verdict(error.as_ref()),
            seconds(time)
        );
        self.counts.passed += counts.passed;
        self.counts.failed += counts.failed;
        self.outcomes.push(Outcome {
            name: name.to_owned(),
            time,
            error,
        });
    }

    /// Prints the summary. The last line is `N passed, N failed`.
    pub(crate) fn finish(self) -> ExitCode {
        println!("\n=== summary");
        for outcome in &self.outcomes {
            let verdict = verdict(outcome.error.as_ref());
            println!(
                "{:>9}  {verdict:<6}  {}",
                seconds(outcome.time),
                outcome.name
            );
        }
        let total = self.outcomes.iter().map(|outcome| outcome.time).sum();
        println!("{:>9}  in all", seconds(total));
        for outcome in &self.outcomes {
            if let Some(error) = &outcome.error {
                println!("failed: {}: {error:#}", outcome.name);
            }
        }
        println!(
            "{} passed, {} failed",
            self.counts.passed, self.counts.failed
        );
        let failed = self.counts.failed > 0 || self.outcomes.iter().any(|o| o.error.is_some());
        match failed {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        }
    }
}

fn verdict(error: Option<&anyhow::Error>) -> &'static str {
    match error {
        None => "ok",
        Some(_) => "FAILED",
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_libtest_are_added() {
        let mut counts = Counts::default();
        counts.add_line("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        counts.add_line(
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        );
        counts.add_line("test tests::totals ... ok");
        counts.add_line("7 passed by");
        assert_eq!(
            counts,
            Counts {
                passed: 15,
                failed: 2
            }
        );
    }

    #[test]
    fn a_step_that_fails_before_it_counts_is_one_failure() {
        let mut steps = Steps::default();
        steps.run("fine", |counts| {
            counts.add(true);
            Ok(())
        });
        steps.run("broken", |_| anyhow::bail!("does not compile"));
        assert_eq!(
            steps.counts,
            Counts {
                passed: 1,
                failed: 1
            }
        );
        assert_eq!(steps.finish(), ExitCode::FAILURE);
    }
}
