//! Memory checks of the code that holds `unsafe`: AddressSanitizer over the suite of the kernels and the whole
//! paths, valgrind over the same tests and the unit tests, without instrumentation.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::arguments::{Arguments, Slot};
use crate::process::{command, run_and_read, target_dir};
use crate::setup::Purpose;
use crate::steps::{Counts, Steps};
use crate::test::programs;
use crate::toolchain::{host, unstable};
use crate::{opencl, sets, setup};

pub(crate) const HELP: &str = "\
Usage: cargo xtask sanitize [--address] [--valgrind]

Runs the suite of the kernels and the whole-path tests under AddressSanitizer, then these and the unit
tests of kernels and runtime under valgrind. On Linux, those on an OpenCL device follow
AddressSanitizer's, without a look at leaks: PoCL and the compiler in it leave megabytes.

AddressSanitizer uses the nightly toolchain if there is one that is new enough, and otherwise the
stable one with its unstable flags unlocked. Valgrind runs tests some thirty times slower: those
with `slow` in their names are left out. `cargo xtask prove` does the same.

With Miri installed, the same tests run under it too: cargo +nightly miri test -p kinglet

Options:
  --address   AddressSanitizer only
  --valgrind  valgrind only
";

/// Where the suite of the kernels is, and the tests of hostile files, sessions and learning. The runtime is what they
/// test.
const PACKAGES: &[&str] = &["--package", "kinglet-kernels", "--package", "kinglet-tests"];

/// The test programs that run under valgrind, by the names of their targets.
const CHECKED: &[&str] = &["suite", "paths", "kinglet_kernels", "kinglet"];

pub(crate) fn verb(arguments: Arguments) -> Result<ExitCode> {
    let (mut only_address, mut only_valgrind) = (false, false);
    arguments.options(&mut [
        ("address", Slot::Flag(&mut only_address)),
        ("valgrind", Slot::Flag(&mut only_valgrind)),
    ])?;
    let both = only_address == only_valgrind;
    let mut steps = Steps::default();
    steps.run("setup", |_| {
        setup::ensure(&[Purpose::Sanitize, Purpose::OpenCl])
    });
    if both || only_address {
        check_addresses(&mut steps);
    }
    if both || only_valgrind {
        steps.run("valgrind", valgrind);
    }
    Ok(steps.finish())
}

/// All tests under AddressSanitizer, built once.
pub(crate) fn check_addresses(steps: &mut Steps) {
    steps.run("address sanitizer", address);
    if cfg!(target_os = "linux") {
        steps.run("address sanitizer: OpenCL", address_opencl);
    }
}

/// The tests on the CPU, leaks included.
fn address(counts: &mut Counts) -> Result<()> {
    let mut cargo = sanitized_tests()?;
    cargo.args(["--test", "suite", "--test", "paths"]);
    sets::require_here(&mut cargo);
    run_and_read(&mut cargo, |line| counts.add_line(line))
}

/// The tests on an OpenCL device: what the runtime hands to the driver, and what the driver writes into its
/// buffers. The kernels themselves are not instrumented; Oclgrind checks those.
fn address_opencl(counts: &mut Counts) -> Result<()> {
    let mut cargo = sanitized_tests()?;
    cargo
        // PoCL's compiler gives threads signal stacks of its own, which AddressSanitizer would take for its.
        .env("ASAN_OPTIONS", "detect_leaks=0:use_sigaltstack=0")
        // What the host does differs little from one kernel's variant to the next.
        .args(["--test", "opencl", "--", "model", "damaged", "variant_0"]);
    opencl::on_pocl(&mut cargo, counts)
}

/// `cargo test` for code with AddressSanitizer in it, with one set of features.
fn sanitized_tests() -> Result<Command> {
    let mut features = "kinglet-kernels/testing".to_owned();
    if cfg!(target_os = "linux") {
        features.push_str(",kinglet-tests/opencl");
    }
    let mut cargo = unstable()?.cargo();
    cargo
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-Zsanitizer=address")
        // Other flags, another folder: the ordinary builds stay as they are.
        .env("CARGO_TARGET_DIR", target_dir().join("sanitize"))
        .env("CARGO_INCREMENTAL", "0")
        // Names of functions are enough to find what it reports.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        // A named target keeps the flags away from build scripts and procedural macros.
        .args(["test", "--no-fail-fast", "--target", &host()?])
        .args(PACKAGES)
        .args(["--features", &features]);
    Ok(cargo)
}

/// The tests under valgrind: reads of uninitialized memory are its part, which AddressSanitizer
/// does not see.
pub(crate) fn valgrind(counts: &mut Counts) -> Result<()> {
    // All at once: valgrind runs a program's threads by turns, on one core.
    let mut running = Vec::new();
    for (name, program) in CHECKED.iter().zip(programs(CHECKED)?) {
        let mut valgrind = command("valgrind");
        valgrind
            .args(["--quiet", "--error-exitcode=99", "--leak-check=full"])
            .arg("--errors-for-leak-kinds=definite")
            .arg(program)
            // A device's driver is others' work.
            .args(["--skip", "slow", "--skip", "opencl"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        running.push((*name, valgrind.spawn().context("cannot start valgrind")?));
    }
    let mut failed = Vec::new();
    for (name, child) in running {
        let output = child.wait_with_output()?;
        println!("{name}");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            println!("{line}");
            counts.add_line(line);
        }
        print!("{}", String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            failed.push(name);
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("errors in {}", failed.join(", ")),
    }
}
