//! OpenCL on a machine without a GPU: what a program does without a library and without drivers, what
//! kernels compute on the CPU, what they access, and what becomes of a driver's faults.

mod drivers;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::arguments::Arguments;
use crate::process::{capture, command, describe, run, run_and_read, target_dir};
use crate::steps::{Counts, Steps};
use crate::toolchain::{Toolchain, host};
use crate::{elf, setup};

use self::drivers::Drivers;

pub(crate) const HELP: &str = "\
Usage: cargo xtask opencl

Checks OpenCL without a GPU, on Linux, in six steps:
  linking     the program `kinglet` has OpenCL in it and does not need its library to start
  no library  `kinglet devices` and `kinglet eval` with KINGLET_OPENCL_LIB=none
  no drivers  the same with a loader that finds no drivers, within 5 s
  PoCL        operations, models and training on the CPU as an OpenCL device
  Oclgrind    those of these tests that are called `small`: an access out of bounds, a data race, a
              use of uninitialized memory or a wrong call, as Oclgrind reports them, is a failure
  faults      `kinglet` with a driver that hangs, fails and computes nonsense: the library of
              runtime/opencl-stub/examples/faulty.rs, whose path is in KINGLET_FAULTY_OPENCL

Tests fail if there is no device of the platform that KINGLET_REQUIRE_OPENCL names. What drivers and
programs keep is in target/opencl, which is removed first.
";

/// The features that bring the tests, which not every machine can run.
const FEATURES: &str = "kinglet-tests/opencl,kinglet-tools/_opencl-tests";

/// The test programs that compute on a device.
const ON_DEVICE: &[&str] = &["device", "opencl"];

/// The test programs that load the library with faults.
const WITH_FAULTS: &[&str] = &["opencl_faults"];

/// How long a program may take that finds no drivers. `ocl` alone waits ten seconds.
const NO_DRIVERS_LIMIT: Duration = Duration::from_secs(5);

pub(crate) fn verb(arguments: Arguments) -> Result<ExitCode> {
    arguments.options(&mut [])?;
    ensure!(cfg!(target_os = "linux"), "OpenCL is tested on Linux only");
    let mut steps = Steps::default();
    steps.run("setup", |_| setup::ensure());
    check(&mut steps);
    Ok(steps.finish())
}

/// All steps, where there are the drivers for them.
pub(crate) fn check(steps: &mut Steps) {
    if !cfg!(target_os = "linux") {
        println!("OpenCL is not tested: that takes Linux");
        return;
    }
    steps.run("opencl: linking", linking);
    steps.run("opencl: no library", no_library);
    steps.run("opencl: no drivers", no_drivers);
    steps.run("opencl: PoCL", pocl);
    steps.run("opencl: Oclgrind", oclgrind);
    steps.run("opencl: faults", faults);
}

fn linking(counts: &mut Counts) -> Result<()> {
    // The program is built along with the tests that start it.
    run(tests(&[ON_DEVICE, WITH_FAULTS].concat()).arg("--no-run"))?;
    let program = program();
    let has_opencl = elf::defines(&program, "clGetPlatformIDs")?;
    counts.add(has_opencl);
    ensure!(has_opencl, "{} has no OpenCL in it", program.display());
    let libraries = elf::libraries(&program)?.join(", ");
    println!("{} needs {libraries}", program.display());
    let starts = !libraries.contains("OpenCL");
    counts.add(starts);
    ensure!(starts, "without an OpenCL library it does not start");
    Ok(())
}

fn no_library(counts: &mut Counts) -> Result<()> {
    works_on_the_cpu(counts, "KINGLET_OPENCL_LIB=none", |kinglet| {
        kinglet.env("KINGLET_OPENCL_LIB", "none");
        Ok(())
    })
}

fn no_drivers(counts: &mut Counts) -> Result<()> {
    works_on_the_cpu(counts, "the OpenCL library finds no devices", |kinglet| {
        Drivers::None.set_for(kinglet)
    })
}

/// Lists the devices, where `explanation` must stand, and runs a model. Neither may wait for drivers.
fn works_on_the_cpu(
    counts: &mut Counts,
    explanation: &str,
    set: impl Fn(&mut Command) -> Result<()>,
) -> Result<()> {
    let mut kinglet = |arguments: &[&str]| {
        let mut kinglet = command(program());
        set(kinglet.args(arguments))?;
        let start = Instant::now();
        let said = capture(&mut kinglet);
        let time = start.elapsed();
        counts.add(said.is_ok() && time < NO_DRIVERS_LIMIT);
        let said = said?;
        println!("$ {}\n{said}({time:.1?})", describe(&kinglet));
        ensure!(time < NO_DRIVERS_LIMIT, "this took too long");
        Ok(said)
    };
    let devices = kinglet(&["devices"])?;
    kinglet(&["eval", "boards/models/micro.kgl"])?;
    let explained = devices.contains(explanation);
    counts.add(explained);
    ensure!(explained, "`kinglet devices` does not say: {explanation}");
    Ok(())
}

fn pocl(counts: &mut Counts) -> Result<()> {
    on_pocl(&mut tests(ON_DEVICE), counts)
}

/// Runs the tests that `cargo` names, with PoCL for a device that has compiled nothing yet.
pub(crate) fn on_pocl(cargo: &mut Command, counts: &mut Counts) -> Result<()> {
    drivers::forget()?;
    Drivers::Pocl.set_for(cargo)?;
    run_tests(counts, cargo)
}

fn oclgrind(counts: &mut Counts) -> Result<()> {
    let mut cargo = tests(ON_DEVICE);
    Drivers::Oclgrind.set_for(&mut cargo)?;
    // It reports on standard error, and the program ends with success: a test program that has written
    // anything there has failed. Its own log (OCLGRIND_LOG) begins anew with each context.
    let reports = drivers::folder().join("oclgrind.txt");
    let runner = [
        "sh",
        "-c",
        "exec \"$@\" 2> \"$0\"",
        &reports.to_string_lossy(),
    ]
    .map(str::to_owned);
    cargo
        .args([
            "--config",
            &format!("target.{}.runner = {runner:?}", host()?),
        ])
        .env("OCLGRIND_DATA_RACES", "1")
        .env("OCLGRIND_UNINITIALIZED", "1")
        .env("OCLGRIND_CHECK_API", "1")
        // It miscalculates where two contexts work at the same time.
        .args(["--", "small", "--test-threads=1"]);
    let outcome = run_tests(counts, &mut cargo);
    let found = fs::read_to_string(&reports).unwrap_or_default();
    counts.add(found.is_empty());
    ensure!(found.is_empty(), "Oclgrind has found errors:\n{found}");
    outcome
}

fn faults(counts: &mut Counts) -> Result<()> {
    let mut build = Toolchain::default().cargo();
    build.env_remove("CARGO_BUILD_TARGET");
    build.args(["build", "--quiet", "--package", "kinglet-opencl-stub"]);
    run(build.args(["--features", "_faulty", "--example", "faulty"]))?;
    let mut cargo = tests(WITH_FAULTS);
    Drivers::Pocl.set_for(&mut cargo)?;
    let library = target_dir().join("debug/examples/libfaulty.so");
    run_tests(counts, cargo.env("KINGLET_FAULTY_OPENCL", library))
}

/// `cargo test` for some test programs. It names the whole workspace, so that what was built for all of its
/// tests is used again.
fn tests(programs: &[&str]) -> Command {
    let mut cargo = Toolchain::default().cargo();
    cargo
        .env_remove("CARGO_BUILD_TARGET")
        .args(["test", "--no-fail-fast", "--workspace"])
        .args(["--features", FEATURES]);
    for program in programs {
        cargo.args(["--test", program]);
    }
    cargo
}

/// Runs tests. A test program that runs none is a failure: its name or a filter must be wrong.
fn run_tests(counts: &mut Counts, cargo: &mut Command) -> Result<()> {
    let mut idle = false;
    run_and_read(cargo, |line| {
        let before = *counts;
        counts.add_line(line);
        idle |= line.starts_with("test result: ") && *counts == before;
    })?;
    ensure!(!idle, "a test program has run no tests");
    Ok(())
}

/// The program as `cargo test` has built it.
fn program() -> PathBuf {
    target_dir().join("debug/kinglet")
}
