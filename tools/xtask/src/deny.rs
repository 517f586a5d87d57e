//! Licences and doubled dependencies, by cargo-deny.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::process::{command, is_installed, root, run, target_dir};
use crate::steps::Counts;
use crate::toolchain::Toolchain;

/// The version that is built where there is none.
const VERSION: &str = "0.20.2";

/// What is checked. Advisories are left out: they need a network that continuous integration may not have, and
/// change without a change here.
const CHECKS: &[&str] = &["licenses", "bans", "sources"];

/// Builds cargo-deny into the target folder, unless there is one.
pub(crate) fn install() -> Result<()> {
    if is_installed("cargo-deny") || own().is_file() {
        return Ok(());
    }
    println!("to be installed: cargo-deny, into target/tools: checks licences and versions");
    let mut cargo = Toolchain::default().cargo();
    cargo.args(["install", "--quiet", "--locked", "--version", VERSION]);
    cargo.arg("--root").arg(folder()).arg("cargo-deny");
    // Run once, for some seconds: quick to build is worth more.
    cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
    cargo.env("CARGO_PROFILE_RELEASE_LTO", "off");
    cargo.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    let build = folder().join("build");
    cargo.env("CARGO_TARGET_DIR", &build);
    run(&mut cargo)?;
    // Nothing else needs what it was built from.
    fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))
}

/// Checks every workspace by the one configuration; each is one check.
pub(crate) fn check(counts: &mut Counts) -> Result<()> {
    let program = match own().is_file() {
        true => own(),
        false => PathBuf::from("cargo-deny"),
    };
    let mut failed = Vec::new();
    for workspace in crate::test::workspaces() {
        let mut deny = command(&program);
        let manifest = root().join(workspace).join("Cargo.toml");
        deny.arg("--manifest-path").arg(manifest);
        deny.arg("--config").arg(root().join("deny.toml"));
        deny.args(["--locked", "check", "--hide-inclusion-graph"]);
        // Not every version that is skipped occurs in every workspace.
        deny.args(["-A", "unmatched-skip", "-A", "unnecessary-skip"]);
        let passed = run(deny.args(CHECKS)).is_ok();
        counts.add(passed);
        if !passed {
            failed.push(workspace);
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("cargo-deny refuses {}", failed.join(", ")),
    }
}

fn folder() -> PathBuf {
    target_dir().join("tools")
}

fn own() -> PathBuf {
    folder().join("bin/cargo-deny")
}
