//! Which toolchain does what.
//!
//! The workspace is built with whatever `cargo` the user called. Two things may need another one: the
//! targets beside the host, where rustup cannot add them and Debian's compiler brings them, and the
//! sanitizers, which are unstable flags. No `rust-toolchain.toml` pins either: a name that exists on one machine
//! only would break every other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian;
use crate::process::{capture, command, root, succeeds};

/// A way to call cargo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toolchain {
    /// `+name` for rustup; none for the `cargo` on the `PATH`.
    selector: Option<String>,
    /// Whether unstable flags must be unlocked on a stable compiler.
    unlock: bool,
}

impl Toolchain {
    /// The `cargo` on the `PATH`.
    pub(crate) const fn default() -> Self {
        Self {
            selector: None,
            unlock: false,
        }
    }

    /// A toolchain that rustup knows by name.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            selector: Some(format!("+{name}")),
            unlock: false,
        }
    }

    /// `cargo`, to be run in the root of the repository.
    pub(crate) fn cargo(&self) -> Command {
        self.program("cargo")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = command(name);
        command.args(&self.selector);
        if self.unlock {
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command
    }

    /// True if its standard library is there for `target`.
    pub(crate) fn has_target(&self, target: &str) -> bool {
        let mut rustc = self.program("rustc");
        let Ok(dir) = capture(rustc.args(["--print", "target-libdir", "--target", target])) else {
            return false;
        };
        has_core(Path::new(dir.trim()))
    }

    /// The version of its compiler: major, minor.
    pub(crate) fn version(&self) -> Result<(u32, u32)> {
        version_of(&mut self.program("rustc"))
    }
}

impl std::fmt::Display for Toolchain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.selector {
            None => write!(f, "cargo"),
            Some(selector) => write!(f, "cargo {selector}"),
        }
    }
}

/// The toolchain that builds for `target`: the user's own if rustup (or the distribution) has brought the
/// target, Debian's otherwise.
///
/// # Errors
/// Neither has it.
pub(crate) fn for_target(target: &str) -> Result<Toolchain> {
    let own = Toolchain::default();
    if own.has_target(target) {
        return Ok(own);
    }
    match debian::toolchain(target) {
        Some(toolchain) => Ok(toolchain),
        None => bail!("the target {target} is not installed: run `cargo xtask setup`"),
    }
}

/// The toolchain for unstable flags: nightly where there is one that is new enough, otherwise the
/// user's own with the flags unlocked.
pub(crate) fn unstable() -> Result<Toolchain> {
    let nightly = Toolchain::named("nightly");
    let wanted = wanted_version()?;
    if nightly.version().is_ok_and(|version| version >= wanted) {
        return Ok(nightly);
    }
    Ok(Toolchain {
        selector: None,
        unlock: true,
    })
}

/// The triple of this machine.
pub(crate) fn host() -> Result<String> {
    let text = capture(command("rustc").arg("-vV"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("`rustc -vV` names no host")
}

/// The oldest compiler that the workspace promises to build with.
pub(crate) fn wanted_version() -> Result<(u32, u32)> {
    let path = root().join("Cargo.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.lines()
        .find_map(|line| line.strip_prefix("rust-version"))
        .and_then(|rest| parse_version(rest.trim_matches([' ', '=', '"'])))
        .context("the workspace's Cargo.toml has no rust-version")
}

/// The version that a `rustc` reports.
pub(crate) fn version_of(rustc: &mut Command) -> Result<(u32, u32)> {
    let text = capture(rustc.arg("--version"))?;
    text.strip_prefix("rustc ")
        .and_then(parse_version)
        .with_context(|| format!("`{}` is not a version of rustc", text.trim()))
}

/// The path of each toolchain that rustup knows, by name.
pub(crate) fn rustup_toolchains() -> Vec<(String, PathBuf)> {
    if !succeeds(command("rustup").arg("--version")) {
        return Vec::new();
    }
    let Ok(text) = capture(command("rustup").args(["toolchain", "list", "--verbose"])) else {
        return Vec::new();
    };
    text.lines().filter_map(parse_toolchain).collect()
}

/// True if the folder holds the core library.
pub(crate) fn has_core(libdir: &Path) -> bool {
    fs::read_dir(libdir).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with("libcore-") && name.ends_with(".rlib")
            })
        })
    })
}

/// `1.95.0 (59807616e 2026-04-14)` -> (1, 95); `1.95` too.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let number = text.split([' ', '-']).next()?;
    let mut parts = number.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    Some((major, minor))
}

/// `name (active, default) /path` or `name /path`.
fn parse_toolchain(line: &str) -> Option<(String, PathBuf)> {
    let (name, rest) = line.split_once(char::is_whitespace)?;
    let path = match rest.rfind(") ") {
        Some(end) => rest.get(end + 2..)?,
        None => rest,
    };
    Some((name.to_owned(), PathBuf::from(path.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(
            parse_version("1.95.0 (59807616e 2026-04-14)"),
            Some((1, 95))
        );
        assert_eq!(
            parse_version("1.97.0-nightly (e50aa6fba 2026-05-19)"),
            Some((1, 97))
        );
        assert_eq!(parse_version("1.95"), Some((1, 95)));
        assert_eq!(parse_version("error: no"), None);
        assert!((1, 100) > (1, 95));
    }

    #[test]
    fn rustup_lists_toolchains_with_and_without_remarks() {
        let path = |text: &str| PathBuf::from(text);
        assert_eq!(
            parse_toolchain("stable-x86_64 (active, default) /root/.rustup/toolchains/stable"),
            Some((
                "stable-x86_64".into(),
                path("/root/.rustup/toolchains/stable")
            ))
        );
        assert_eq!(
            parse_toolchain("deb /usr"),
            Some(("deb".into(), path("/usr")))
        );
        assert_eq!(
            parse_toolchain("nightly\t/home/a b/nightly"),
            Some(("nightly".into(), path("/home/a b/nightly")))
        );
    }

    #[test]
    fn the_workspace_names_its_oldest_compiler() {
        assert!(wanted_version().unwrap() >= (1, 95));
    }
}
