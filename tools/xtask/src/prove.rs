//! The slow proofs: what takes too long for every change on a desk, and is run for every change all the same.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::arguments::{Arguments, Slot};
use crate::process::{run, target_dir};
use crate::setup::ONNX_CASES;
use crate::steps::Steps;
use crate::toolchain::Toolchain;
use crate::{conformance, deny, elf, fuzz, instructions, opencl, sanitize, setup, test};

pub(crate) const HELP: &str = "\
Usage: cargo xtask prove [--seconds N]

Runs what `cargo xtask test` leaves out, in at most 30 minutes on two cores:
  setup        installs what is missing: all that `cargo xtask test` needs; on Debian, ONNX's own test
               cases; cargo-deny, which is built into target/
  clippy       every set of features that is not tested, and other targets
  deny         licences of all dependencies, and no crate in two versions but for those that deny.toml names
  conformance  ONNX's own test cases through import and runtime (see `cargo xtask conformance --help`);
               elsewhere than on Debian it is said that they were not run
  tract        the tests of `kinglet verify`, which `cargo xtask test` is built without, and every command of
               README.md again
  instructions of every operation: a SIMD set takes no more than the portable one (see
               `cargo xtask instructions --help`)
  inference    a program that only infers has no kernel of training in it (elsewhere than on Linux: not run)
  PoCL, speed  every variant of the OpenCL kernels (see `cargo xtask opencl --help`)
  address sanitizer
               the suite of the kernels and the whole paths; the host's side of the OpenCL tests
  fuzz         each fuzz target for N seconds (see `cargo xtask fuzz --help`)
  valgrind     all tests of the kernels and of the runtime, and the whole paths

A failed step does not stop the others; the summary is that of `cargo xtask test`.

Options:
  --seconds N  time for each fuzz target (default 30)
";

pub(crate) fn verb(arguments: Arguments) -> Result<ExitCode> {
    let mut seconds = 30;
    arguments.options(&mut [("seconds", Slot::Seconds(&mut seconds))])?;
    let mut steps = Steps::default();
    steps.run("setup", |_| {
        setup::ensure(setup::ALL)?;
        deny::install()
    });
    steps.run("clippy", |_| test::clippy_elsewhere());
    steps.run("deny", deny::check);
    match Path::new(ONNX_CASES).is_dir() {
        true => steps.run("conformance", |counts| {
            conformance::check(ONNX_CASES, counts)
        }),
        false => println!("\n=== conformance: not run: ONNX's cases are installed on Debian only"),
    }
    steps.run("tract", test::with_tract);
    if cfg!(target_os = "linux") {
        steps.run("inference", |_| inference());
        steps.run("instructions", instructions::check);
        steps.run("PoCL", opencl::pocl);
        steps.run("speed", opencl::speed);
    }
    sanitize::check_addresses(&mut steps);
    steps.run("fuzz", |counts| fuzz::all(seconds, counts));
    steps.run("valgrind", sanitize::valgrind);
    Ok(steps.finish())
}

/// Builds the example that classifies, and looks for what only training calls.
fn inference() -> Result<()> {
    let mut cargo = Toolchain::default().cargo();
    cargo.env_remove("CARGO_BUILD_TARGET");
    cargo.args(["build", "--release", "--package", "kinglet"]);
    cargo.args(["--features", "std", "--example", "classify"]);
    run(cargo.args(["--config", "profile.release.strip = false"]))?;
    let program = target_dir().join("release/examples/classify");
    // It would be in vain to look for names that are not there.
    if elf::names_with(&program, "conv2d_f32")?.is_empty() {
        bail!("{} has no kernels", program.display());
    }
    let mut found = elf::names_with(&program, "backward")?;
    // Others go backward, too.
    found.retain(|name| name.contains("kinglet"));
    match found.is_empty() {
        true => Ok(()),
        false => bail!("a program that only infers has {}", found.join(", ")),
    }
}
