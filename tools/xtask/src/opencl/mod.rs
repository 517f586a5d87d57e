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
use crate::setup::Purpose;
use crate::steps::{Counts, Steps};
use crate::test::cargo_test;
use crate::toolchain::{Toolchain, host};
use crate::{elf, setup};

use self::drivers::Drivers;

pub(crate) const HELP: &str = "\
Usage: cargo xtask opencl

Checks OpenCL without a GPU, on Linux, in six steps:
  PoCL        operations, models and training on the CPU as an OpenCL device, and the program `kinglet`
              with a driver that hangs, fails and computes nonsense: the library of
              runtime/opencl-stub/examples/faulty.rs, whose path is in KINGLET_FAULTY_OPENCL
  speed       a matrix product on PoCL and the plain loop: the figures are shown, not judged
  linking     the program `kinglet` has OpenCL in it and does not need its library to start
  no library  `kinglet devices` and `kinglet eval` with KINGLET_OPENCL_LIB=none
  no drivers  the same with a loader that finds no drivers, without `ocl`'s ten seconds of waiting
  Oclgrind    those of these tests that are called `small`, and random chains: an access out of bounds, a data race, a
              use of uninitialized memory or a wrong call, as Oclgrind reports them, is a failure

Tests fail if there is no device of the platform that KINGLET_REQUIRE_OPENCL names. What drivers and
programs keep is in target/opencl, which is removed first. `cargo xtask test` runs the first step among
all other tests, with one of seven variants of the kernels, and `cargo xtask prove` runs both whole.
";

/// The test programs that compute on a device, or on one with faults.
const ON_DEVICE: &[&str] = &["device", "opencl"];

/// Tests that are not for every change: variants of the kernels that differ in their tiles only, and figures for people.
pub(crate) const LEFT_TO_PROVE: &[&str] = &[
    "gemm_speed",
    "variant_1",
    "variant_2",
    "variant_3",
    "variant_4",
    "variant_5",
    "variant_6",
];

/// What a program waits that leaves the search for drivers to `ocl`.
const WAIT_OF_OCL: Duration = Duration::from_secs(10);

/// Runs each of the chosen tests in a process of its own, for `sh`. With two contexts at work on two threads
/// Oclgrind miscalculates, and what it knows of a buffer it takes for true of the next in its place.
///
/// It reports on standard error and lets the program end with success: a test that has written anything there
/// has failed. Its own log (OCLGRIND_LOG) begins anew with each context. `$0` is the file for it all.
const ONE_BY_ONE: &str = r#"
tests=$("$@" --list --format terse | sed -n 's/: test$//p')
[ "$tests" ] || exit 1
status=0
for test in $tests; do
    "$@" --exact "$test" 2>> "$0" || status=1
done
exit $status
"#;

/// Lines of Oclgrind's reports that are shown. The first are the ones to look at.
const FIRST_REPORTS: usize = 40;

pub(crate) fn verb(arguments: Arguments) -> Result<ExitCode> {
    arguments.options(&mut [])?;
    ensure!(cfg!(target_os = "linux"), "OpenCL is tested on Linux only");
    let mut steps = Steps::default();
    steps.run("setup", |_| setup::ensure(&[Purpose::OpenCl]));
    steps.run("opencl: PoCL", pocl);
    steps.run("opencl: speed", speed);
    without_pocl(&mut steps);
    Ok(steps.finish())
}

/// What the tests on PoCL do not show.
pub(crate) fn without_pocl(steps: &mut Steps) {
    if !cfg!(target_os = "linux") {
        println!("OpenCL is not tested: that takes Linux");
        return;
    }
    steps.run("opencl: linking", linking);
    steps.run("opencl: no library", no_library);
    steps.run("opencl: no drivers", no_drivers);
    steps.run("opencl: Oclgrind", oclgrind);
}

fn linking(counts: &mut Counts) -> Result<()> {
    // The program is built along with the tests that start it.
    run(tests(ON_DEVICE).args(["--quiet", "--no-run"]))?;
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
        counts.add(said.is_ok() && time < WAIT_OF_OCL);
        let said = said?;
        println!("$ {}\n{said}({time:.1?})", describe(&kinglet));
        ensure!(time < WAIT_OF_OCL, "it has waited for drivers");
        Ok(said)
    };
    let devices = kinglet(&["devices"])?;
    kinglet(&["eval", "boards/models/micro.kgl"])?;
    let explained = devices.contains(explanation);
    counts.add(explained);
    ensure!(explained, "`kinglet devices` does not say: {explanation}");
    Ok(())
}

/// Everything on PoCL.
pub(crate) fn pocl(counts: &mut Counts) -> Result<()> {
    let mut cargo = tests(ON_DEVICE);
    provide(&mut cargo)?;
    run_tests(counts, &mut cargo)
}

/// Lets tests find PoCL, which has compiled nothing yet, and the library with faults in front of it.
pub(crate) fn provide(cargo: &mut Command) -> Result<()> {
    let mut build = Toolchain::default().cargo();
    build.env_remove("CARGO_BUILD_TARGET");
    build.args(["build", "--quiet", "--package", "kinglet-opencl-stub"]);
    run(build.args(["--features", "_faulty", "--example", "faulty"]))?;
    let library = target_dir().join("debug/examples/libfaulty.so");
    cargo.env("KINGLET_FAULTY_OPENCL", library);
    drivers::forget()?;
    Drivers::Pocl.set_for(cargo)
}

/// The speed of a matrix product, with its figures shown.
pub(crate) fn speed(counts: &mut Counts) -> Result<()> {
    let mut cargo = cargo_test();
    cargo.args(["--lib", "--", "--nocapture", "gemm_speed"]);
    Drivers::Pocl.set_for(&mut cargo)?;
    run_and_read(&mut cargo, |line| counts.add_line(line))
}

/// Runs the tests that `cargo` names, with PoCL for a device that has compiled nothing yet.
pub(crate) fn on_pocl(cargo: &mut Command, counts: &mut Counts) -> Result<()> {
    drivers::forget()?;
    Drivers::Pocl.set_for(cargo)?;
    run_tests(counts, cargo)
}

fn oclgrind(counts: &mut Counts) -> Result<()> {
    let reports = drivers::folder().join("oclgrind.txt");
    fs::create_dir_all(drivers::folder())?;
    fs::write(&reports, "")?;
    let runner = ["sh", "-c", ONE_BY_ONE, &reports.to_string_lossy()].map(str::to_owned);
    let runner = format!("target.{}.runner = {runner:?}", host()?);
    let mut cargo = tests(ON_DEVICE);
    Drivers::Oclgrind.set_for(&mut cargo)?;
    cargo
        .args(["--config", &runner])
        // It always looks for accesses out of bounds.
        .env("OCLGRIND_DATA_RACES", "1")
        .env("OCLGRIND_UNINITIALIZED", "1")
        .env("OCLGRIND_CHECK_API", "1")
        .args(["--", "small", "random_chains"]);
    let outcome = run_tests(counts, &mut cargo);
    let found = fs::read_to_string(&reports)?;
    counts.add(found.is_empty());
    let first: Vec<_> = found.lines().take(FIRST_REPORTS).collect();
    ensure!(
        found.is_empty(),
        "Oclgrind reports (all of it in {}):\n{}",
        reports.display(),
        first.join("\n")
    );
    outcome
}

/// `cargo test` for some test programs.
fn tests(programs: &[&str]) -> Command {
    let mut cargo = cargo_test();
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
