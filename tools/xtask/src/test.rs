//! Everything that continuous integration runs, in one list. A step that failed does not keep the next
//! from running: one run shows all that is wrong.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::arguments::{Arguments, Slot};
use crate::packages::{LIBRARIES, select, set_name};
use crate::process::{capture, root, run, run_and_read, target_dir};
use crate::setup::TARGET;
use crate::steps::{Counts, Steps};
use crate::toolchain::{Toolchain, for_target};
use crate::{cross, firmware, fuzz, opencl, sanitize, sets, setup};

pub(crate) const HELP: &str = "\
Usage: cargo xtask test [--quick]

Runs every check that continuous integration runs, in this order:
  setup             installs what is missing (see `cargo xtask setup --help`)
  lock files        Cargo.lock of every workspace agrees with its Cargo.toml
  format            cargo fmt --check, in every workspace
  clippy            warnings are errors; every listed set of features
  tests             unit and integration tests of the workspace; the kernel sets that must run are named
  opencl            six steps without a GPU (see `cargo xtask opencl --help`)
  doc tests         the examples in the documentation
  documentation     rustdoc; warnings are errors
  bare metal        kernels and runtime for a microcontroller, without an allocator
  firmware          the board images in QEMU (see `cargo xtask firmware --help`)
  aarch64, wasm32   tests on machines that this one is not (see `cargo xtask cross --help`)
  fuzz              each fuzz target for a minute (see `cargo xtask fuzz --help`)
  address sanitizer and valgrind (see `cargo xtask sanitize --help`)

A failed step does not stop the others. The summary gives each step's time and the failures; its
last line adds up all tests and firmware checks. The exit code is 1 if anything failed.

Options:
  --quick  leave out other machines, fuzz and sanitizers, for a look before a commit
";

/// Long enough to run the committed corpus and some thousands of mutations of it.
const FUZZ_SECONDS: u64 = 60;

/// Workspaces beside the main one.
const OTHER_WORKSPACES: &[&str] = &["boards/mps2-an386", "tests/fuzz"];

pub(crate) fn verb(arguments: Arguments) -> Result<ExitCode> {
    let mut quick = false;
    arguments.options(&mut [("quick", Slot::Flag(&mut quick))])?;
    let mut steps = Steps::default();
    steps.run("setup", |_| setup::ensure());
    steps.run("lock files", |_| lock_files());
    steps.run("format", |_| format());
    steps.run("clippy", |_| clippy());
    steps.run("tests", |counts| tests(counts, "--all-targets"));
    opencl::check(&mut steps);
    steps.run("doc tests", |counts| tests(counts, "--doc"));
    steps.run("documentation", |_| documentation());
    steps.run("bare metal", |_| bare_metal_builds());
    steps.run("firmware", firmware::check);
    if !quick {
        for machine in cross::machines() {
            steps.run(machine.name, |counts| machine.test(counts));
        }
        steps.run("fuzz", |counts| fuzz::all(FUZZ_SECONDS, counts));
        sanitize::check_addresses(&mut steps);
        steps.run("valgrind", sanitize::valgrind);
    }
    Ok(steps.finish())
}

fn lock_files() -> Result<()> {
    for workspace in workspaces() {
        let mut cargo = Toolchain::default().cargo();
        cargo.current_dir(root().join(workspace));
        // It resolves the dependencies and compiles nothing.
        cargo.args(["metadata", "--locked", "--format-version", "1"]);
        capture(&mut cargo)
            .with_context(|| format!("{workspace}/Cargo.lock is not committed or not current"))?;
    }
    Ok(())
}

fn format() -> Result<()> {
    for workspace in workspaces() {
        let mut cargo = Toolchain::default().cargo();
        cargo.current_dir(root().join(workspace));
        run(cargo.args(["fmt", "--all", "--check"])).with_context(|| {
            format!("not formatted in {workspace}: run `cargo fmt --all` there")
        })?;
    }
    Ok(())
}

fn clippy() -> Result<()> {
    let mut failed = Vec::new();
    let mut lint = |what: String, cargo: &mut Command| {
        println!("{what}");
        cargo.args(["--quiet", "--all-targets", "--", "-D", "warnings"]);
        if run(cargo).is_err() {
            failed.push(what);
        }
    };
    let mut cargo = Toolchain::default().cargo();
    lint(
        "workspace".to_owned(),
        cargo.args(["clippy", "--workspace"]),
    );
    for library in LIBRARIES {
        for features in library.host {
            let mut cargo = Toolchain::default().cargo();
            cargo.arg("clippy");
            select(&mut cargo, library, features);
            lint(
                format!("{} ({})", library.name, set_name(features)),
                &mut cargo,
            );
        }
    }
    // Debian's compiler comes without clippy: with it other targets are only built.
    let own = Toolchain::default();
    for machine in cross::machines() {
        if for_target(machine.target)? == own {
            let mut cargo = machine.cargo("clippy")?;
            cargo.args(["--package", "kinglet-kernels", "--features", "testing"]);
            lint(machine.target.to_owned(), &mut cargo);
        }
    }
    if for_target(TARGET)? == own {
        for board in firmware::folders() {
            let mut cargo = Toolchain::default().cargo();
            cargo
                .current_dir(&board)
                .env("CARGO_TARGET_DIR", target_dir().join("boards"))
                .args([
                    "clippy", "--quiet", "--lib", "--bins", "--", "-D", "warnings",
                ]);
            println!("{}", board.display());
            if run(&mut cargo).is_err() {
                failed.push(board.display().to_string());
            }
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("warnings or errors in {}", failed.join(", ")),
    }
}

fn tests(counts: &mut Counts, which: &str) -> Result<()> {
    let mut cargo = Toolchain::default().cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast", which]);
    sets::require_here(&mut cargo);
    run_and_read(&mut cargo, |line| counts.add_line(line))
}

fn documentation() -> Result<()> {
    let mut cargo = Toolchain::default().cargo();
    cargo.env("RUSTDOCFLAGS", "-D warnings");
    run(cargo.args(["doc", "--quiet", "--workspace", "--no-deps"]))
}

fn bare_metal_builds() -> Result<()> {
    let toolchain = for_target(TARGET)?;
    for library in LIBRARIES {
        for features in library.bare_metal {
            println!("{} ({})", library.name, set_name(features));
            let mut cargo = toolchain.cargo();
            // Code that only hosts use must not be there at all: elsewhere it shows as a warning.
            cargo
                .env_remove("CARGO_ENCODED_RUSTFLAGS")
                .env("RUSTFLAGS", "-D warnings")
                .env("CARGO_TARGET_DIR", target_dir().join("bare-metal"))
                .args(["build", "--quiet", "--release", "--target", TARGET]);
            select(&mut cargo, library, features);
            run(&mut cargo)?;
        }
    }
    Ok(())
}

/// Folders of all workspaces, the main one first.
fn workspaces() -> impl Iterator<Item = &'static str> {
    std::iter::once(".").chain(OTHER_WORKSPACES.iter().copied())
}
