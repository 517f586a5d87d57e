//! The first command of the README: everything this project does, once, on embedded data.

use std::process::ExitCode;

use anyhow::Result;

use crate::arguments::{Arguments, Slot};
use crate::process::run;
use crate::setup;
use crate::toolchain::Toolchain;

pub(crate) const HELP: &str = "\
Usage: cargo xtask demo [--no-board]

Runs `kinglet demo`: trains a small network on the embedded photographs, exports it as a .kgl file,
runs it, shifts the domain and fine-tunes its last layers. Then builds firmware around the model that
was just trained, runs it on an emulated Cortex-M4F, and compares the bits that it learned with the
host's. Results are left in target/demo.

Options:
  --no-board  leave the microcontroller out: nothing is installed
";

pub(crate) fn verb(arguments: Arguments) -> Result<ExitCode> {
    let mut no_board = false;
    arguments.options(&mut [("no-board", Slot::Flag(&mut no_board))])?;
    if !no_board {
        setup::ensure()?;
    }
    let mut cargo = Toolchain::default().cargo();
    run(cargo
        .args([
            "run",
            "--release",
            "--package",
            "kinglet-tools",
            "--bin",
            "kinglet",
        ])
        .args(["--", "demo", "--out"])
        .arg(crate::process::target_dir().join("demo")))?;
    Ok(ExitCode::SUCCESS)
}
