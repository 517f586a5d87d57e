//! Debian's compiler as a source of targets, for machines on which rustup cannot download.
//!
//! Debian ships its newest compiler with the library's source but without the libraries of other targets.
//! What is needed of the standard library is therefore built once for each target and put where the
//! compiler looks for it; from then on programs are built by the ordinary rules of a stable compiler.

mod library;

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::process::{capture, command, is_installed, run};
use crate::toolchain::{Toolchain, rustup_toolchains, version_of, wanted_version};

use self::library::Recipe;

/// What the route needs: compiler, cargo, the library's source, and a linker for bare metal.
const PACKAGES: &[&str] = &[
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "rust-web-llvm",
    "lld-22",
];

/// Where Debian's toolchain lives.
const PREFIX: &str = "/usr";

/// The name under which the toolchain is linked, unless it is linked already under another.
const LINK: &str = "debian";

/// The toolchain, if it is linked and has libraries for `target` built by the compiler of today.
pub(crate) fn toolchain(target: &str) -> Option<Toolchain> {
    let name = linked_name()?;
    let recipe = Recipe::of(target).ok()?;
    recipe
        .is_built(&compiler_id().ok()?)
        .then(|| Toolchain::named(&name))
}

/// Brings `target` to Debian's toolchain: packages, link, libraries. Quick if all of it is there.
///
/// # Errors
/// A package cannot be installed, is too old for the workspace, or the libraries do not build.
pub(crate) fn add_target(target: &str) -> Result<()> {
    let recipe = Recipe::of(target)?;
    install(PACKAGES)?;
    install(recipe.packages)?;
    let wanted = wanted_version()?;
    let found = version_of(&mut command(Path::new(PREFIX).join("bin/rustc")))?;
    if found < wanted {
        bail!(
            "Debian's rustc-web is {}.{}, the workspace needs {}.{}: enable bookworm-security, or use rustup",
            found.0,
            found.1,
            wanted.0,
            wanted.1
        );
    }
    let name = match linked_name() {
        Some(name) => name,
        None => {
            run(command("rustup").args(["toolchain", "link", LINK, PREFIX]))
                .context("rustup is needed to select Debian's compiler")?;
            LINK.to_owned()
        }
    };
    let id = compiler_id()?;
    match recipe.is_built(&id) {
        true => Ok(()),
        false => recipe.build(&name, &id),
    }
}

/// True if this process may install packages: Debian's installer is there, and it is root's.
pub(crate) fn can_install() -> bool {
    is_installed("apt-get") && capture(command("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// The packages of the route to `targets`, as `apt-get install` wants them.
pub(crate) fn package_list(targets: &[&str]) -> String {
    let mut packages = PACKAGES.to_vec();
    for recipe in targets.iter().filter_map(|target| Recipe::of(target).ok()) {
        packages.extend(recipe.packages);
    }
    packages.join(" ")
}

/// Installs those packages that are not there.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let missing: Vec<_> = packages
        .iter()
        .copied()
        .filter(|package| !has_package(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !can_install() {
        bail!(
            "run as root: apt-get install --no-install-recommends {}",
            missing.join(" ")
        );
    }
    eprintln!("installing {}", missing.join(" "));
    // The list of a fresh machine is empty or old. A mirror that cannot be reached now is no reason to
    // stop: the list may be good enough, and if it is not the next line says so.
    let _ = capture(command("apt-get").args(["-qq", "update"]));
    let said = capture(
        command("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            // Another installation may hold the lock for a while.
            .args(["-o", "DPkg::Lock::Timeout=600", "-o", "Dpkg::Use-Pty=0"])
            .args(["-qq", "install", "--yes", "--no-install-recommends"])
            .args(&missing),
    )?;
    // Most of what it says is progress; that something had to go is news.
    for line in said.lines().filter(|line| line.starts_with("Removing ")) {
        eprintln!("{line}");
    }
    Ok(())
}

fn has_package(package: &str) -> bool {
    capture(command("dpkg-query").args(["--show", "--showformat=${Status}", package]))
        .is_ok_and(|status| status.ends_with(" installed"))
}

/// The name that rustup has for the toolchain.
fn linked_name() -> Option<String> {
    rustup_toolchains()
        .into_iter()
        .find(|(_, path)| path == Path::new(PREFIX))
        .map(|(name, _)| name)
}

/// What identifies the compiler: libraries are bound to it.
fn compiler_id() -> Result<String> {
    capture(command(Path::new(PREFIX).join("bin/rustc")).arg("-vV"))
}
