//! Building the standard library of a target from Debian's source, once, into the folder where Debian's
//! compiler looks for it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{command, run};
use crate::toolchain::{Toolchain, has_core};

use super::PREFIX;

/// The file beside the libraries that says which compiler built them, and what. An upgrade of the
/// compiler makes them useless: it reads only its own.
const STAMP: &str = ".built-by";

/// What is built of the library for a target, and how.
#[derive(Debug)]
pub(super) struct Recipe {
    target: &'static str,
    crates: &'static str,
    /// How panics end. Programs that are linked with the library cannot do it in another way, and the
    /// test harness reports a failed test and goes on only where they unwind.
    panic: &'static str,
    /// Packages that hold what is not Rust.
    pub(super) packages: &'static [&'static str],
    /// What a program is linked with besides.
    runtime: Runtime,
}

#[derive(Debug, PartialEq, Eq)]
enum Runtime {
    /// Nothing, or what the linker knows itself.
    None,
    /// Start-up code and C library of WASI, which rustup's copy of the library brings along.
    Wasi,
}

const RECIPES: &[Recipe] = &[
    Recipe {
        target: "thumbv7em-none-eabihf",
        crates: "core,alloc",
        panic: "abort",
        packages: &[],
        runtime: Runtime::None,
    },
    Recipe {
        target: "thumbv8m.main-none-eabihf",
        crates: "core,alloc",
        panic: "abort",
        packages: &[],
        runtime: Runtime::None,
    },
    Recipe {
        target: "aarch64-unknown-linux-gnu",
        crates: "std,panic_unwind,test",
        panic: "unwind",
        packages: &[],
        runtime: Runtime::None,
    },
    Recipe {
        target: "thumbv7neon-unknown-linux-gnueabihf",
        crates: "std,panic_unwind,test",
        panic: "unwind",
        packages: &[],
        runtime: Runtime::None,
    },
    Recipe {
        target: "wasm32-wasip1",
        crates: "std,panic_abort,test",
        panic: "abort",
        packages: &["wasi-libc"],
        runtime: Runtime::Wasi,
    },
];

impl Recipe {
    /// How the library is built for `target`.
    ///
    /// # Errors
    /// Nobody has said how.
    pub(super) fn of(target: &str) -> Result<&'static Self> {
        match RECIPES.iter().find(|recipe| recipe.target == target) {
            Some(recipe) => Ok(recipe),
            None => bail!("Debian's route has no recipe for the target {target}"),
        }
    }

    fn libdir(&self) -> PathBuf {
        Path::new(PREFIX)
            .join("lib/rustlib")
            .join(self.target)
            .join("lib")
    }

    fn stamp(&self, compiler: &str) -> String {
        format!("{compiler}{} {}\n", self.crates, self.panic)
    }

    /// True if the library is there, built by `compiler` after this recipe.
    pub(super) fn is_built(&self, compiler: &str) -> bool {
        let libdir = self.libdir();
        let stamp = fs::read_to_string(libdir.join(STAMP));
        has_core(&libdir) && stamp.is_ok_and(|stamp| stamp == self.stamp(compiler))
    }

    /// Builds the library with the toolchain that rustup knows as `name`.
    pub(super) fn build(&self, name: &str, compiler: &str) -> Result<()> {
        eprintln!(
            "building {} for {} (once, one or two minutes)",
            self.crates, self.target
        );
        let dir = std::env::temp_dir().join(format!("kinglet-library-{}", std::process::id()));
        let libraries = self.compile(name, &dir)?;
        let libdir = self.libdir();
        if libdir.exists() {
            fs::remove_dir_all(&libdir)?;
        }
        fs::create_dir_all(&libdir)
            .with_context(|| format!("cannot create {}", libdir.display()))?;
        for library in &libraries {
            if let Some(file) = library.file_name() {
                fs::copy(library, libdir.join(file))?;
            }
        }
        if self.runtime == Runtime::Wasi {
            wasi_runtime(self.target, &dir, &libdir)?;
        }
        // Written last: a folder without it counts as unfinished.
        fs::write(libdir.join(STAMP), self.stamp(compiler))?;
        let _ = fs::remove_dir_all(&dir);
        Ok(())
    }

    /// Builds an empty crate with its standard library from source and returns the libraries.
    fn compile(&self, name: &str, dir: &Path) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(dir.join("src"))?;
        fs::write(dir.join("src/lib.rs"), "#![no_std]\n")?;
        let manifest = format!(
            "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [workspace]\n[profile.release]\nopt-level = 3\npanic = \"{}\"\n",
            self.panic
        );
        fs::write(dir.join("Cargo.toml"), manifest)?;
        let mut cargo = Toolchain::named(name).cargo();
        cargo
            .current_dir(dir)
            // Both only here, where the library itself is built: it may use what is unstable, and its bitcode
            // lets one copy serve programs with and without link-time optimization.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-C embed-bitcode=yes")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("CARGO_TARGET_DIR", dir.join("target"))
            .args(["build", "--quiet", "--release", "--target", self.target])
            .args(["-Z", &format!("build-std={}", self.crates)]);
        run(&mut cargo)?;
        let deps = dir.join("target").join(self.target).join("release/deps");
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
}

/// Where Debian's package has the C library of WASI.
const WASI_LIBC: &str = "/usr/lib/wasm32-wasi";

/// Debian's C library is older than what the standard library is written for and lacks these two. They are
/// linked and never called: a program for this target cannot start a thread to wait for.
const NO_THREADS: &str = r#"#![no_std]
#[unsafe(no_mangle)]
pub extern "C" fn pthread_join(_: usize, _: usize) -> i32 {
    core::arch::wasm32::unreachable()
}
#[unsafe(no_mangle)]
pub extern "C" fn pthread_detach(_: usize) -> i32 {
    core::arch::wasm32::unreachable()
}
"#;

/// Puts the C library where the compiler looks for it, and the start-up code with what it lacks.
fn wasi_runtime(target: &str, dir: &Path, libdir: &Path) -> Result<()> {
    let into = libdir.join("self-contained");
    fs::create_dir_all(&into)?;
    let libc = Path::new(WASI_LIBC).join("libc.a");
    fs::copy(&libc, into.join("libc.a"))
        .with_context(|| format!("cannot copy {}", libc.display()))?;
    let (source, object) = (dir.join("no_threads.rs"), dir.join("no_threads.o"));
    fs::write(&source, NO_THREADS)?;
    run(command(Path::new(PREFIX).join("bin/rustc"))
        .args(["--edition", "2024", "--crate-type", "lib", "-O"])
        .args(["--emit", "obj", "--target", target, "-o"])
        .args([&object, &source]))?;
    run(command(Path::new(PREFIX).join("bin/rust-lld"))
        .args(["-flavor", "wasm", "--relocatable", "-o"])
        .arg(into.join("crt1-command.o"))
        .arg(Path::new(WASI_LIBC).join("crt1-command.o"))
        .arg(&object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_of_setup_has_a_recipe() {
        for target in crate::setup::targets(crate::setup::TESTS) {
            assert_eq!(Recipe::of(target).unwrap().target, target);
        }
    }

    #[test]
    fn a_target_without_a_recipe_is_refused_by_name() {
        let error = Recipe::of("mips-unknown-none").unwrap_err().to_string();
        assert!(error.contains("mips-unknown-none"), "{error}");
    }

    #[test]
    fn another_compiler_or_recipe_makes_another_stamp() {
        let recipe = Recipe::of("wasm32-wasip1").unwrap();
        let other = Recipe::of("thumbv7em-none-eabihf").unwrap();
        assert_ne!(
            recipe.stamp("rustc 1.95.0\n"),
            recipe.stamp("rustc 1.96.0\n")
        );
        assert_ne!(
            recipe.stamp("rustc 1.95.0\n"),
            other.stamp("rustc 1.95.0\n")
        );
    }
}
