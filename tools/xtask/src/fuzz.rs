//! Running the fuzz targets of `tests/fuzz`. The layout is that of cargo-fuzz, and so are the flags; it
//! is not needed to run them, so nobody has to install it first.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use crate::arguments::{Arguments, Slot};
use crate::process::{command, root, run, target_dir};
use crate::steps::{Counts, Steps};
use crate::toolchain::{host, unstable};

pub(crate) const HELP: &str = "\
Usage: cargo xtask fuzz [--seconds N]

Runs each fuzz target of tests/fuzz for N seconds, two at a time, starting from the committed inputs
in tests/fuzz/corpus/TARGET. An input that makes it fail is written to tests/fuzz/artifacts/TARGET;
to run it again: the program's path is printed, give it the file.

The nightly toolchain is used if there is one that is new enough, otherwise the stable one with its
unstable flags unlocked. The targets are cargo-fuzz's too: `cargo +nightly fuzz run TARGET` in tests.

Options:
  --seconds N  time for each target (default 60)
";

/// What cargo-fuzz passes to the compiler: AddressSanitizer, and the coverage that libFuzzer is led by. In more than
/// one unit it builds in half the time.
const FLAGS: &[&str] = &[
    "-Zsanitizer=address",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "--cfg=fuzzing",
];

/// How many targets run at the same time, each on a core.
const AT_A_TIME: usize = 2;

/// How much is shown of what a target says that fails: stack and input stand at the end.
const SHOWN_BYTES: usize = 20_000;

pub(crate) fn verb(arguments: Arguments) -> Result<ExitCode> {
    let mut seconds = 60;
    arguments.options(&mut [("seconds", Slot::Seconds(&mut seconds))])?;
    let mut steps = Steps::default();
    steps.run("fuzz", |counts| all(seconds, counts));
    Ok(steps.finish())
}

/// Runs every target for so many seconds; each is one check.
pub(crate) fn all(seconds: u64, counts: &mut Counts) -> Result<()> {
    let dir = root().join("tests/fuzz");
    let targets = targets(&dir.join("fuzz_targets"))?;
    let host = host()?;
    let target_dir = target_dir().join("fuzz");
    let mut cargo = unstable()?.cargo();
    cargo
        .current_dir(&dir)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", FLAGS.join(" "))
        .env("CARGO_TARGET_DIR", &target_dir)
        .args(["build", "--release", "--bins", "--target", &host]);
    run(&mut cargo)?;
    let folder = target_dir.join(&host).join("release");
    let left = Mutex::new(targets.iter());
    let outcomes = Mutex::new(Vec::new());
    let work = || {
        // Taken and let go of before the target runs.
        let next = || left.lock().ok()?.next();
        while let Some(name) = next() {
            let outcome = one(name, seconds, &folder.join(name));
            match &outcome {
                Ok(()) => println!("{name}: ok"),
                Err(error) => println!("{name}: {error:#}"),
            }
            if let Ok(mut outcomes) = outcomes.lock() {
                outcomes.push(outcome.is_ok());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(work);
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_default();
    outcomes.iter().for_each(|passed| counts.add(*passed));
    match targets.len() - outcomes.iter().filter(|passed| **passed).count() {
        0 => Ok(()),
        failed => bail!("{failed} of {} fuzz targets failed", targets.len()),
    }
}

/// Runs one target. What it says is shown if it fails: several run at the same time.
fn one(name: &str, seconds: u64, program: &Path) -> Result<()> {
    let dir = root().join("tests/fuzz");
    let artifacts = dir.join("artifacts").join(name);
    fs::create_dir_all(&artifacts)?;
    // New inputs go to the first folder, so that the committed ones are read only.
    let found = target_dir().join("fuzz/corpus").join(name);
    fs::create_dir_all(&found)?;
    let mut fuzzer = command(program);
    fuzzer
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        // An input that allocates or takes without bound is a finding too.
        .args(["-rss_limit_mb=1024", "-timeout=10", "-print_final_stats=1"])
        .arg(&found);
    let committed = dir.join("corpus").join(name);
    if committed.is_dir() {
        fuzzer.arg(committed);
    }
    let output = fuzzer
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let first = said.len().saturating_sub(SHOWN_BYTES);
        let first = said.ceil_char_boundary(first);
        bail!(
            "{} ended with {}\n{}",
            program.display(),
            output.status,
            &said[first..]
        );
    }
    let runs = said
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    println!("{name}: {} runs", runs.unwrap_or("?").trim());
    Ok(())
}

/// The targets, by the names of their files.
fn targets(dir: &PathBuf) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && let Some(name) = path.file_stem()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    match names.is_empty() {
        true => bail!("no fuzz target in {}", dir.display()),
        false => Ok(names),
    }
}
