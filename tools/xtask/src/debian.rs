//! Debian's compiler as a source of bare-metal targets, for machines on which rustup cannot download.
//!
//! Debian ships its newest compiler with the library's source but without the libraries of bare-metal
//! targets. `core` and `alloc` are therefore built once for each target and put where the compiler looks
//! for them; from then on firmware is built by the ordinary rules of a stable compiler.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{capture, command, is_installed, run};
use crate::toolchain::{Toolchain, has_core, rustup_toolchains, version_of, wanted_version};

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

/// The file beside the libraries that says which compiler built them. An upgrade of the compiler
/// makes them useless: it reads only its own.
const STAMP: &str = ".built-by";

/// The toolchain, if it is linked and has libraries for `target` built by the compiler of today.
pub(crate) fn toolchain(target: &str) -> Option<Toolchain> {
    let name = linked_name()?;
    let id = compiler_id().ok()?;
    is_current(&libdir(target), &id).then(|| Toolchain::named(&name))
}

/// Brings `target` to Debian's toolchain: packages, link, libraries. Quick if all of it is there.
///
/// # Errors
/// A package cannot be installed, is too old for the workspace, or the libraries do not build.
pub(crate) fn add_target(target: &str) -> Result<()> {
    install(PACKAGES)?;
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
    let libdir = libdir(target);
    if is_current(&libdir, &id) {
        return Ok(());
    }
    eprintln!("building core and alloc for {target} (once, about half a minute)");
    let libraries = build_libraries(&name, target)?;
    if libdir.exists() {
        fs::remove_dir_all(&libdir)?;
    }
    fs::create_dir_all(&libdir).with_context(|| format!("cannot create {}", libdir.display()))?;
    for library in &libraries {
        if let Some(file) = library.file_name() {
            fs::copy(library, libdir.join(file))?;
        }
    }
    // Written last: a folder without it counts as unfinished.
    fs::write(libdir.join(STAMP), id)?;
    let _ = fs::remove_dir_all(work_dir());
    Ok(())
}

/// True if this process may install packages: Debian's installer is there, and it is root's.
pub(crate) fn can_install() -> bool {
    is_installed("apt-get") && capture(command("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// The packages of the route, as `apt-get install` wants them.
pub(crate) fn package_list() -> String {
    PACKAGES.join(" ")
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

fn libdir(target: &str) -> PathBuf {
    Path::new(PREFIX)
        .join("lib/rustlib")
        .join(target)
        .join("lib")
}

fn is_current(libdir: &Path, id: &str) -> bool {
    has_core(libdir) && fs::read_to_string(libdir.join(STAMP)).is_ok_and(|stamp| stamp == id)
}

fn work_dir() -> PathBuf {
    std::env::temp_dir().join(format!("kinglet-core-{}", std::process::id()))
}

/// Builds an empty crate with its standard library from source and returns the libraries.
fn build_libraries(name: &str, target: &str) -> Result<Vec<PathBuf>> {
    let dir = work_dir();
    fs::create_dir_all(dir.join("src"))?;
    fs::write(dir.join("src/lib.rs"), "#![no_std]\n")?;
    fs::write(
        dir.join("Cargo.toml"),
        "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [workspace]\n[profile.release]\nopt-level = 3\npanic = \"abort\"\n",
    )?;
    let mut cargo = Toolchain::named(name).cargo();
    cargo
        .current_dir(&dir)
        // Both only here, where the library itself is built: it may use what is unstable, and its bitcode
        // lets one copy serve firmware with and without link-time optimization.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-C embed-bitcode=yes")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("CARGO_TARGET_DIR", dir.join("target"))
        .args(["build", "--quiet", "--release", "--target", target])
        .args(["-Z", "build-std=core,alloc"]);
    run(&mut cargo)?;
    let deps = dir.join("target").join(target).join("release/deps");
    let mut libraries = Vec::new();
    for entry in fs::read_dir(&deps)? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        if file.ends_with(".rlib") && !file.starts_with("libempty-") {
            libraries.push(path);
        }
    }
    if libraries.is_empty() {
        bail!("no library in {}", deps.display());
    }
    Ok(libraries)
}
