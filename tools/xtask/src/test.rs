//! What every change must pass, in one list. A step that failed does not keep the next from running: one run
//! shows all that is wrong.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::arguments::{Arguments, Slot};
use crate::packages::{LIBRARIES, TESTED_FEATURES, select, set_name};
use crate::process::{capture, root, run, run_and_read, target_dir};
use crate::setup::{Purpose, TARGET, TARGET_V8M};
use crate::steps::{Counts, Steps};
use crate::toolchain::{Toolchain, for_target};
use crate::{cross, demo, firmware, opencl, sets, setup};

pub(crate) const HELP: &str = "\
Usage: cargo xtask test [--quick]

Runs the checks of a change, all of them in at most twenty minutes on two cores from a fresh clone, in
this order (6 GB in target/):
  setup             installs what is missing (see `cargo xtask setup --help`)
  lock files        Cargo.lock of every workspace agrees with its Cargo.toml
  format            cargo fmt --check, in every workspace
  clippy            warnings are errors, with the features that are tested
  tests             unit tests, whole paths, every command of README.md; on Linux those on an OpenCL
                    device too, which is PoCL. The kernel sets that must run are named
  opencl            without a library, without drivers, under Oclgrind (see `cargo xtask opencl --help`)
  doc tests         the examples in the documentation
  documentation     rustdoc; warnings are errors
  bare metal        kernels and runtime for a microcontroller, without an allocator
  firmware          the board images in QEMU (see `cargo xtask firmware --help`)
  demo              `cargo xtask demo` with the program as the tests have built it
  aarch64, arm, wasm32   tests on machines that this one is not (see `cargo xtask cross --help`)

`cargo xtask prove` goes on where this ends, with tract, fuzzing, AddressSanitizer and valgrind: continuous integration
runs both.

A failed step does not stop the others. The summary gives each step's time and the failures; its
last line adds up all tests and firmware checks. The exit code is 1 if anything failed.

Options:
  --quick  leave out other machines, for a look before a commit
";

/// The instructions that the sets of x86-64 need.
const X86_SETS: &str = "-C target-feature=+avx2,+fma,+avx512f,+avx512dq,+avx512bw";

/// Workspaces beside the main one.
const OTHER_WORKSPACES: &[&str] = &["boards/mps2-an386", "tests/fuzz"];

pub(crate) fn verb(arguments: Arguments) -> Result<ExitCode> {
    let mut quick = false;
    arguments.options(&mut [("quick", Slot::Flag(&mut quick))])?;
    let mut steps = Steps::default();
    let needed = match quick {
        true => &[Purpose::Firmware, Purpose::OpenCl],
        false => setup::TESTS,
    };
    steps.run("setup", |_| setup::ensure(needed));
    steps.run("lock files", |_| lock_files());
    steps.run("format", |_| format());
    steps.run("clippy", |_| clippy());
    steps.run("tests", tests);
    opencl::without_pocl(&mut steps);
    steps.run("doc tests", doc_tests);
    steps.run("documentation", |_| documentation());
    steps.run("bare metal", |_| bare_metal_builds());
    steps.run("firmware", firmware::check);
    steps.run("demo", demo::check);
    if !quick {
        for machine in cross::machines() {
            steps.run(machine.name, |counts| machine.test(counts));
        }
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

/// Lints everything, as it is tested.
fn clippy() -> Result<()> {
    let mut cargo = Toolchain::default().cargo();
    cargo.args(["clippy", "--workspace", "--lib", "--bins", "--tests"]);
    deny_warnings(cargo.args(TESTED_FEATURES))
}

/// Lints what takes tract, benches and examples, every other set of features, and what other targets' compilers see.
pub(crate) fn clippy_elsewhere() -> Result<()> {
    let mut failed = Vec::new();
    let mut lint = |what: String, cargo: &mut Command| {
        println!("{what}");
        if deny_warnings(cargo).is_err() {
            failed.push(what);
        }
    };
    let mut cargo = Toolchain::default().cargo();
    cargo.args(["clippy", "--workspace", "--all-targets"]);
    lint("workspace".to_owned(), &mut cargo);
    for library in LIBRARIES {
        for features in library.host {
            let mut cargo = Toolchain::default().cargo();
            cargo.arg("clippy");
            select(&mut cargo, library, features);
            cargo.arg("--all-targets");
            lint(
                format!("{} ({})", library.name, set_name(features)),
                &mut cargo,
            );
        }
    }
    // Where a build has the instructions, sets of x86-64 are constants.
    if cfg!(target_arch = "x86_64") {
        for features in ["", "testing"] {
            let mut cargo = Toolchain::default().cargo();
            cargo
                .env_remove("CARGO_ENCODED_RUSTFLAGS")
                .env("RUSTFLAGS", X86_SETS)
                .env("CARGO_TARGET_DIR", target_dir().join("cross"))
                .args(["clippy", "--package", "kinglet-kernels", "--all-targets"])
                .args(["--no-default-features", "--features", features]);
            lint(format!("{X86_SETS} ({})", set_name(features)), &mut cargo);
        }
    }
    // Debian's compiler comes without clippy: with it other targets are only built.
    let own = Toolchain::default();
    for machine in cross::machines() {
        if for_target(machine.target)? == own {
            let mut cargo = machine.cargo("clippy")?;
            cargo.args(["--package", "kinglet-kernels", "--features", "testing"]);
            cargo.arg("--all-targets");
            lint(machine.target.to_owned(), &mut cargo);
        }
    }
    if for_target(TARGET)? == own {
        for board in firmware::folders() {
            let mut cargo = Toolchain::default().cargo();
            cargo
                .current_dir(&board)
                .env("CARGO_TARGET_DIR", target_dir().join("boards"))
                .args(["clippy", "--lib", "--bins"]);
            lint(board.display().to_string(), &mut cargo);
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("warnings or errors in {}", failed.join(", ")),
    }
}

/// Runs a `cargo clippy` with warnings for errors.
fn deny_warnings(cargo: &mut Command) -> Result<()> {
    run(cargo.args(["--quiet", "--", "-D", "warnings"]))
}

/// `cargo test` of everything on this machine, with the one set of features.
pub(crate) fn cargo_test() -> Command {
    let mut cargo = Toolchain::default().cargo();
    // The program is looked for in the folder of the host's builds.
    cargo.env_remove("CARGO_BUILD_TARGET");
    cargo.args(["test", "--workspace", "--no-fail-fast"]);
    cargo.args(TESTED_FEATURES);
    cargo
}

/// The test programs of these libraries and tests, as [`cargo_test`] has built them.
pub(crate) fn programs(targets: &[&str]) -> Result<Vec<PathBuf>> {
    let mut cargo = cargo_test();
    cargo.args([
        "--tests",
        "--no-run",
        "--message-format",
        "json-render-diagnostics",
    ]);
    let messages = capture(&mut cargo)?;
    targets
        .iter()
        .map(|name| {
            let executable = messages
                .lines()
                .find_map(|message| executable_of(name, message));
            executable.with_context(|| format!("cargo has built no tests of `{name}`"))
        })
        .collect()
}

/// The program that a message of cargo's names, if it is of the tests of `name`. One object a line; paths and names have
/// nothing in them that JSON would escape on the systems this runs on.
pub(crate) fn executable_of(name: &str, message: &str) -> Option<PathBuf> {
    let (_, target) = message.split_once("\"target\":{")?;
    // A program may have the name of a library.
    let is_program = target.starts_with("\"kind\":[\"bin\"]");
    let is_wanted = !is_program && target.contains(&format!("\"name\":\"{name}\","));
    let (_, path) = message
        .split_once("\"executable\":\"")
        .filter(|_| is_wanted)?;
    Some(path.split_once('"')?.0.into())
}

fn tests(counts: &mut Counts) -> Result<()> {
    let mut cargo = cargo_test();
    cargo.arg("--tests");
    sets::require_here(&mut cargo);
    if cfg!(target_os = "linux") {
        opencl::provide(&mut cargo)?;
        cargo.arg("--");
        for name in opencl::LEFT_TO_PROVE {
            cargo.args(["--skip", name]);
        }
    }
    run_and_read(&mut cargo, |line| counts.add_line(line))
}

/// The tests that are about tract, with it: the program is another one then.
pub(crate) fn with_tract(counts: &mut Counts) -> Result<()> {
    let mut cargo = Toolchain::default().cargo();
    cargo
        .env_remove("CARGO_BUILD_TARGET")
        .args(["test", "--no-fail-fast", "--package", "kinglet-tools"])
        .args(["--test", "files", "--test", "program", "--"])
        .args(["verify", "readme"]);
    run_and_read(&mut cargo, |line| counts.add_line(line))
}

fn doc_tests(counts: &mut Counts) -> Result<()> {
    run_and_read(cargo_test().arg("--doc"), |line| counts.add_line(line))
}

fn documentation() -> Result<()> {
    let mut cargo = Toolchain::default().cargo();
    cargo.env("RUSTDOCFLAGS", "-D warnings");
    cargo.args(["doc", "--quiet", "--workspace", "--no-deps"]);
    run(cargo.args(TESTED_FEATURES))
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
                .args(["check", "--quiet", "--target", TARGET]);
            select(&mut cargo, library, features);
            run(&mut cargo)?;
        }
    }
    // Whether the assembler takes the set for cores with the DSP extension there, too.
    println!("kinglet-kernels for Cortex-M33");
    let mut cargo = for_target(TARGET_V8M)?.cargo();
    cargo
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-D warnings -C target-cpu=cortex-m33")
        .args(["build", "--quiet", "--target", TARGET_V8M])
        .args(["--package", "kinglet-kernels", "--no-default-features"]);
    run(&mut cargo)
}

/// Folders of all workspaces, the main one first.
pub(crate) fn workspaces() -> impl Iterator<Item = &'static str> {
    std::iter::once(".").chain(OTHER_WORKSPACES.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_told_from_the_program_of_its_name() {
        let message = |kind: &str, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"path+file:///x#kinglet@0.1.0","target":{{"kind":["{kind}"],"crate_types":["{kind}"],"name":"kinglet","test":true}},"executable":{executable},"fresh":true}}"#
            )
        };
        let found = |kind, executable| executable_of("kinglet", &message(kind, executable));
        assert_eq!(found("lib", "\"/t/a\""), Some(PathBuf::from("/t/a")));
        assert_eq!(found("bin", "\"/t/a\""), None);
        assert_eq!(found("lib", "null"), None);
        assert_eq!(executable_of("paths", &message("lib", "\"/t/a\"")), None);
    }
}
