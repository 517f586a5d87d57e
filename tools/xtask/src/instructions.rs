//! How many instructions each operation takes, counted by valgrind, which comes to the same on every machine: no SIMD
//! set may take more than the portable one. Times would say more, but not the same twice.

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::arguments::Arguments;
use crate::process::{capture, command, target_dir};
use crate::setup::{self, Purpose};
use crate::steps::{Counts, Steps};
use crate::test::executable_of;
use crate::toolchain::Toolchain;

pub(crate) const HELP: &str = "\
Usage: cargo xtask instructions

Builds the benchmark of the operations, runs each operation once under valgrind and prints how many
instructions it took, of each SIMD set beside those of the portable one. An operation of a SIMD set
that takes more fails. Valgrind knows no AVX-512: of a set that it cannot run nothing is said.
";

/// The set that the others are held against.
const PORTABLE: &str = "portable";

/// What is counted: the function of the benchmark that runs an operation.
const FUNCTION: &str = "operations::counted";

/// What a set may take beyond the portable one's instructions, in hundredths: an operation that it leaves to that one is
/// called in another way, and a copy of short runs takes fewer, wider stores but as many instructions around them.
const TOLERANCE: u64 = 5;

pub(crate) fn verb(arguments: Arguments) -> Result<ExitCode> {
    arguments.options(&mut [])?;
    let mut steps = Steps::default();
    steps.run("setup", |_| setup::ensure(&[Purpose::Sanitize]));
    steps.run("instructions", check);
    Ok(steps.finish())
}

/// Counts, compares and prints.
pub(crate) fn check(counts: &mut Counts) -> Result<()> {
    let mut cargo = Toolchain::default().cargo();
    cargo.args(["bench", "--package", "kinglet-benches", "--no-run"]);
    cargo.args(["--bench", "operations"]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    // Valgrind finds the function that it counts in by its name.
    cargo.args(["--config", "profile.bench.strip = false"]);
    let messages = capture(&mut cargo)?;
    let program = messages
        .lines()
        .find_map(|message| executable_of("operations", message))
        .context("cargo has built no benchmark of the operations")?;
    let file = target_dir().join("instructions");
    let mut valgrind = command("valgrind");
    valgrind
        .args(["--quiet", "--tool=callgrind", "--combine-dumps=yes"])
        .arg(format!("--toggle-collect={FUNCTION}"))
        .arg(format!("--dump-after={FUNCTION}"))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .arg("--count");
    let printed = capture(&mut valgrind)?;
    let dumps = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    compare(&counted(&printed, &dumps)?, counts)
}

/// Instructions of each operation by its name, which is printed before the dump of its profile is written.
fn counted(printed: &str, dumps: &str) -> Result<BTreeMap<String, u64>> {
    let names = printed.lines().filter(|line| line.split('/').count() == 3);
    let mut of_function = false;
    let mut sums = Vec::new();
    for line in dumps.lines() {
        if let Some(trigger) = line.strip_prefix("desc: Trigger: ") {
            // The last profile is that of the end of the program.
            of_function = trigger.starts_with("--dump-after");
        } else if let Some(sum) = line.strip_prefix("summary: ").filter(|_| of_function) {
            sums.push(sum.trim().parse()?);
        }
    }
    let names: Vec<_> = names.map(str::to_owned).collect();
    if names.len() != sums.len() {
        bail!("{} operations, {} profiles", names.len(), sums.len());
    }
    Ok(names.into_iter().zip(sums).collect())
}

/// Holds each operation of a SIMD set to the instructions of the portable one.
fn compare(found: &BTreeMap<String, u64>, counts: &mut Counts) -> Result<()> {
    let mut slower = Vec::new();
    for (name, taken) in found {
        let Some((portable, allowed)) = allowance(name, found) else {
            continue;
        };
        println!("{taken:>12} of {portable:>12}  {name}");
        counts.add(*taken <= allowed);
        if *taken > allowed {
            slower.push(name.as_str());
        }
    }
    if *counts == Counts::default() {
        bail!("there is no SIMD set that valgrind can run");
    }
    match slower.is_empty() {
        true => Ok(()),
        false => bail!(
            "more instructions than {PORTABLE} takes: {}",
            slower.join(", ")
        ),
    }
}

/// What the portable set takes for the same, and what may be taken; nothing of the portable set itself.
fn allowance(name: &str, found: &BTreeMap<String, u64>) -> Option<(u64, u64)> {
    let mut parts = name.split('/');
    let (operation, set, shape) = (parts.next()?, parts.next()?, parts.next()?);
    if set == PORTABLE {
        return None;
    }
    let portable = *found.get(&format!("{operation}/{PORTABLE}/{shape}"))?;
    Some((portable, portable.saturating_mul(100 + TOLERANCE) / 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "avx512: NOT RUN on this CPU\nadd/avx2/8\nadd/portable/8\n";

    const DUMPS: &str = "\
part: 1
desc: Trigger: --dump-after=operations::counted
events: Ir
summary: 215
part: 2
desc: Trigger: --dump-after=operations::counted
summary: 200
part: 3
desc: Trigger: Program termination
summary: 9
";

    #[test]
    fn profiles_are_given_to_operations_in_their_order() {
        let found = counted(PRINTED, DUMPS).unwrap();
        assert_eq!(found["add/avx2/8"], 215);
        assert_eq!(found["add/portable/8"], 200);
        assert!(counted("add/avx2/8\n", DUMPS).is_err());
    }

    #[test]
    fn a_set_that_takes_more_than_the_portable_one_fails() {
        let mut counts = Counts::default();
        let found = counted(PRINTED, DUMPS).unwrap();
        let error = compare(&found, &mut counts).unwrap_err().to_string();
        assert!(error.ends_with("add/avx2/8"), "{error}");
        assert_eq!((counts.passed, counts.failed), (0, 1));
        let found = counted(PRINTED, &DUMPS.replace("215", "210")).unwrap();
        let mut counts = Counts::default();
        compare(&found, &mut counts).unwrap();
        assert_eq!((counts.passed, counts.failed), (1, 0));
    }

    #[test]
    fn nothing_to_compare_is_a_failure() {
        let found = counted(
            "add/portable/8\n",
            "desc: Trigger: --dump-after=x\nsummary: 1\n",
        );
        assert!(compare(&found.unwrap(), &mut Counts::default()).is_err());
    }
}
