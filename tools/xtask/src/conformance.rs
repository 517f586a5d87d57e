//! ONNX's own test cases through import, export and the runtime. The program that runs them is an example of
//! `kinglet-tools`: this one stays small.

use std::path::{PathBuf, absolute};
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::arguments::{Arguments, Slot};
use crate::toolchain::Toolchain;

pub(crate) const HELP: &str = "\
Usage: cargo xtask conformance [DATA] [--random FOLDER] [--verbose]

Imports every ONNX test case in DATA whose operators can all be imported, runs it, and compares the
outputs as ONNX's own runner does (1e-3 of each element plus 1e-7). DATA is onnx/backend/test/data
in the Python package onnx (1.16.2), once it is installed. A table says for each operator how many
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
    let mut program = Toolchain::default().cargo();
    program.args(["run", "--quiet", "--release", "-p", "kinglet-tools"]);
    // The importer and the runtime are all it takes.
    program.args(["--no-default-features", "--example", "conformance", "--"]);
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
