//! ONNX's own test cases through import, export and the runtime. The program that runs them is an example of
//! `kinglet-tools`: this one stays small.

use std::path::{PathBuf, absolute};
use std::process::{Command, ExitCode};

use anyhow::{Result, bail, ensure};

use crate::arguments::{Arguments, Slot};
use crate::packages::TESTED_FEATURES;
use crate::process::{command, run, run_and_read, target_dir};
use crate::steps::Counts;
use crate::toolchain::Toolchain;

pub(crate) const HELP: &str = "\
Usage: cargo xtask conformance [DATA] [--random FOLDER] [--verbose]

Imports every ONNX test case in DATA whose operators can all be imported, runs it, and compares the
outputs as ONNX's own runner does (1e-3 of each element plus 1e-7). DATA is onnx/backend/test/data
in the Python package onnx, once it is installed, or /usr/share/libonnx-testdata/data of Debian's
package libonnx-testdata, which `cargo xtask prove` takes. A table says for each operator how many
cases passed, were refused, and failed; one that fails is a failure.

Inputs but the first become constants of the model. Where a case has a batch of several samples and the
import refuses it for that, the samples are run one by one. A case of several outputs is imported once
for each.

Options:
  --random FOLDER  also run the cases in FOLDER, which tests/golden/make_onnx.py wrote: every one must
                   pass, each element within 1e-4 of the largest (or without DATA only these)
  --verbose        say why each refused case was refused
";

pub(crate) fn verb(mut arguments: Arguments) -> Result<ExitCode> {
    let data = arguments.word()?;
    let (mut random, mut verbose): (Option<PathBuf>, bool) = (None, false);
    arguments.options(&mut [
        ("random", Slot::Path(&mut random)),
        ("verbose", Slot::Flag(&mut verbose)),
    ])?;
    if data.is_none() && random.is_none() {
        bail!("which cases? cargo xtask conformance DATA, or --random FOLDER");
    }
    let mut program = program()?;
    // Cargo runs in the root of the repository, wherever this was started.
    if let Some(data) = data {
        program.arg(absolute(data)?);
    }
    if let Some(folder) = random {
        program.arg("--random").arg(absolute(folder)?);
    }
    if verbose {
        program.arg("--verbose");
    }
    match program.status()?.success() {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

/// Runs the cases in `data`, each of which is a check; those that are refused are none.
pub(crate) fn check(data: &str, counts: &mut Counts) -> Result<()> {
    let mut program = program()?;
    run_and_read(program.arg(data), |line| {
        // The last row of the table: all, passed, refused, failed.
        let mut words = line.split_whitespace();
        if words.next() == Some("all") {
            let numbers: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
            if let &[passed, _, failed] = numbers.as_slice() {
                counts.passed += passed;
                counts.failed += failed;
            }
        }
    })?;
    ensure!(counts.passed > 0, "not one case in {data} was run");
    Ok(())
}

/// The program that runs cases, built as the tests are: most of it is there after them.
fn program() -> Result<Command> {
    let mut cargo = Toolchain::default().cargo();
    cargo.env_remove("CARGO_BUILD_TARGET");
    cargo.args(["build", "--quiet", "--profile", "test", "--workspace"]);
    run(cargo
        .args(TESTED_FEATURES)
        .args(["--example", "conformance"]))?;
    Ok(command(target_dir().join("debug/examples/conformance")))
}
