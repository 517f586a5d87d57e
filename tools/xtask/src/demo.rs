//! The first command of the README: everything this project does, once, on embedded data. The second half
//! takes the model that was just trained to an emulated microcontroller and compares bits.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::arguments::{Arguments, Slot};
use crate::firmware::{Payload, run_image};
use crate::process::{command, run, target_dir};
use crate::setup;
use crate::setup::Purpose;
use crate::steps::Counts;
use crate::toolchain::Toolchain;

pub(crate) const HELP: &str = "\
Usage: cargo xtask demo [--no-board]

Runs `kinglet demo`: trains a small network on the embedded photographs, exports it as a .kgl file,
runs it, shifts the domain and fine-tunes its last layers. Then builds firmware around the model that
was just trained, fine-tunes it on an emulated Cortex-M4F and on this machine, and compares the bits
that they learned. Results are left in target/demo.

It installs the targets of microcontrollers and qemu-system-arm, if they are missing. On two cores it
takes about four minutes the first time, three of them to build, and half a minute after that; 1 GB in
target/.

Options:
  --no-board  leave the microcontroller out: nothing is installed
";

/// What the board learns from: as many pictures as fit into its flash beside the model, and more than the
/// head has classes.
const BOARD_LESSON: &[&str] = &[
    "--invert",
    "--samples",
    "200",
    "--evaluate",
    "100",
    "--epochs",
    "2",
    "--kernels",
    "portable",
];

pub(crate) fn verb(arguments: Arguments) -> Result<ExitCode> {
    let mut no_board = false;
    arguments.options(&mut [("no-board", Slot::Flag(&mut no_board))])?;
    if !no_board {
        setup::ensure(&[Purpose::Firmware])
            .context("without the microcontroller: cargo xtask demo --no-board")?;
    }
    println!(
        "This builds the program, which takes about three minutes the first time and 1 GB in target/; then it \
         runs for half a minute."
    );
    let out = target_dir().join("demo");
    // Not quiet: this builds the program, which takes a while the first time.
    run(released(&[]).arg("demo").arg("--out").arg(&out))?;
    if !no_board {
        board(&out, || released(&["--quiet"]))?;
    }
    let report = out.join("report.html");
    println!("\nThe report, for a browser: {}", report.display());
    Ok(ExitCode::SUCCESS)
}

/// The same with the program as the tests have built it.
pub(crate) fn check(counts: &mut Counts) -> Result<()> {
    let out = target_dir().join("demo-tested");
    let program = || command(target_dir().join("debug/kinglet"));
    // What it learns is of no interest here.
    let demo = run(program().args(["demo", "--epochs", "2", "--out"]).arg(&out));
    counts.add(demo.is_ok());
    demo?;
    let board = board(&out, program);
    counts.add(board.is_ok());
    board
}

/// Fine-tunes the model in `out` on this machine, by the program `kinglet`, and on the board.
fn board(out: &Path, kinglet: impl Fn() -> Command) -> Result<()> {
    println!(
        "\nThe same on a microcontroller: a Cortex-M4F with 2 MiB of flash and 640 KiB of RAM, emulated by QEMU."
    );
    let payload = Payload {
        model: Some(out.join("model.kgl")),
        samples: Some(out.join("board/samples")),
    };
    println!("On this machine:");
    run(kinglet()
        .arg("fine-tune")
        .args(&payload.model)
        .args(BOARD_LESSON)
        .arg("--out")
        .arg(out.join("board"))
        // What an earlier demonstration has left there is its own.
        .arg("--force")
        .arg("--firmware-samples")
        .args(&payload.samples))?;

    println!("On the board:");
    let lines = run_image("fine_tune", &payload)?;
    for line in &lines {
        println!("  {line}");
    }
    let path = out.join("board/head.kgh");
    let head = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // The CRC that the head carries: over all of it, with that CRC, it would be the same for every head.
    let crc = head.last_chunk().copied().map_or(0, u32::from_le_bytes);
    let here = format!("saved head: {} bytes, crc32 {crc:08x}", head.len());
    if !lines.contains(&here) {
        bail!("the board has learned other bits than this machine, whose {here}");
    }
    println!(
        "The board has learned the same bits as this machine: {}",
        path.display()
    );
    Ok(())
}

/// The command line program, built with optimizations and without tract.
fn released(options: &[&str]) -> Command {
    let mut cargo = Toolchain::default().cargo();
    cargo.args(["run", "--profile", "quick"]).args(options);
    cargo.args(["--package", "kinglet-tools", "--bin", "kinglet"]);
    cargo.args([
        "--no-default-features",
        "--features",
        "opencl,program",
        "--",
    ]);
    cargo
}
