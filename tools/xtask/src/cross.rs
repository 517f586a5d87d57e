//! The tests of the kernels and of whole paths on machines that this one is not: in an emulator, with
//! optimizations, each with the one SIMD set that it has.

use std::env::consts::ARCH;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::arguments::Arguments;
use crate::process::{root, run, run_and_read, target_dir};
use crate::setup::Purpose;
use crate::steps::{Counts, Steps};
use crate::toolchain::for_target;
use crate::{sets, setup};

pub(crate) const HELP: &str = "\
Usage: cargo xtask cross [aarch64|arm|wasm32]

Runs on other machines, emulated, or on one of them alone:
  aarch64  64-bit Arm with NEON, under qemu-aarch64; debug assertions are on
  arm      32-bit Arm in Thumb code, with the DSP extension that microcontrollers have, under qemu-arm;
           debug assertions are on
  wasm32   WebAssembly with 128-bit vectors, in node; debug assertions are off, since a panic cannot
           be caught there: what is checked is how a release build treats slices that do not fit

Each runs the suite of every kernel set that it has, of which its SIMD set must be one, and the
whole-path tests that compare bits: sessions, learning, heads, and the programs of the boards with
what the emulated microcontroller has printed.

On wasm32 the first test that fails ends its test program; the panic's message is shown.
";

/// A machine that is emulated.
pub(crate) struct Machine {
    /// Its architecture, as Rust calls it.
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    /// The SIMD set that must run there.
    set: &'static str,
    /// Flags for the compiler.
    flags: &'static str,
    /// Whether a test can catch a panic, and libtest that of a test.
    panics: Panics,
    /// What links its programs, if that is not the compiler's own linker.
    linker: Option<&'static str>,
    runner: fn() -> Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Panics {
    Unwind,
    Abort,
}

const MACHINES: &[Machine] = &[
    Machine {
        name: "aarch64",
        target: "aarch64-unknown-linux-gnu",
        set: "neon",
        // A program that is linked statically needs no folder of libraries that the emulator would have to find.
        flags: "-C target-feature=+crt-static",
        panics: Panics::Unwind,
        linker: Some("aarch64-linux-gnu-gcc"),
        runner: || vec!["qemu-aarch64".to_owned()],
    },
    Machine {
        name: "arm",
        target: "thumbv7neon-unknown-linux-gnueabihf",
        set: "dsp",
        flags: "-C target-feature=+crt-static",
        panics: Panics::Unwind,
        linker: Some("arm-linux-gnueabihf-gcc"),
        runner: || vec!["qemu-arm".to_owned()],
    },
    Machine {
        name: "wasm32",
        target: "wasm32-wasip1",
        set: "simd128",
        flags: "-C target-feature=+simd128",
        panics: Panics::Abort,
        linker: None,
        runner: || {
            let script = root().join("tools/xtask/wasi.mjs");
            // It warns that WASI is experimental, once for each program.
            ["node", "--no-warnings"]
                .map(str::to_owned)
                .into_iter()
                .chain([script.to_string_lossy().into_owned()])
                .collect()
        },
    },
];

/// The suite of the kernels, on every set.
const SUITE: &[&str] = &["--test", "suite"];

/// Whole paths whose results are the same bits on every machine.
const PATHS: &[&str] = &[
    "--test",
    "paths",
    "--",
    "firmware::",
    "head::",
    "learning::",
    "session::",
];

/// Where both are: named together, so that what they share is compiled once.
const PACKAGES: &[&str] = &[
    "--package",
    "kinglet-kernels",
    "--package",
    "kinglet-tests",
    "--features",
    "kinglet-kernels/testing",
];

/// These programs run for seconds, so most of the time is the compiler's. Optimizing what is not this
/// project's, macros above all, and describing it to a debugger would take most of that.
const QUICK_BUILD: &[&str] = &[
    "build.incremental = false",
    "profile.dev.debug = false",
    "profile.dev.package.\"*\".opt-level = 1",
];

pub(crate) fn verb(mut arguments: Arguments) -> Result<ExitCode> {
    let name = arguments.word()?;
    arguments.options(&mut [])?;
    let chosen = choose(name.as_deref())?;
    let mut steps = Steps::default();
    steps.run("setup", |_| setup::ensure(&[Purpose::Cross]));
    for machine in chosen {
        steps.run(machine.name, |counts| machine.test(counts));
    }
    Ok(steps.finish())
}

/// The machines to emulate: all but what this machine is itself, where the ordinary tests do the same.
pub(crate) fn machines() -> impl Iterator<Item = &'static Machine> {
    MACHINES.iter().filter(|machine| machine.name != ARCH)
}

fn choose(name: Option<&str>) -> Result<Vec<&'static Machine>> {
    let Some(name) = name else {
        return Ok(machines().collect());
    };
    if name == ARCH {
        bail!(
            "this machine is {ARCH} itself: `cargo xtask test` runs its tests without an emulator"
        );
    }
    let known: Vec<_> = machines().map(|machine| machine.name).collect();
    let chosen = machines().find(|machine| machine.name == name);
    let chosen = chosen.with_context(|| {
        format!(
            "there is no machine `{name}`; choose one of {}",
            known.join(", ")
        )
    })?;
    Ok(vec![chosen])
}

impl Machine {
    /// Builds the tests and runs them.
    pub(crate) fn test(&self, counts: &mut Counts) -> Result<()> {
        // Firmware names its set, without the standard library.
        let mut cargo = self.cargo("check")?;
        run(cargo.args([
            "--quiet",
            "--package",
            "kinglet-kernels",
            "--no-default-features",
        ]))?;
        let mut outcome = Ok(());
        for tests in [SUITE, PATHS] {
            let mut cargo = self.cargo("test")?;
            cargo.arg("--no-fail-fast").args(PACKAGES).args(tests);
            sets::require(&mut cargo, &[self.set, "portable", "reference"]);
            if self.panics == Panics::Abort {
                cargo.env("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false");
                // Where a panic is the end, a message that libtest keeps for later is lost.
                if !tests.contains(&"--") {
                    cargo.arg("--");
                }
                cargo.arg("--nocapture");
            }
            outcome = outcome.and(run_and_read(&mut cargo, |line| counts.add_line(line)));
        }
        outcome
    }

    /// `cargo SUBCOMMAND` for its target.
    pub(crate) fn cargo(&self, subcommand: &str) -> Result<Command> {
        let mut cargo = for_target(self.target)?.cargo();
        cargo
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", format!("-D warnings {}", self.flags))
            .env("CARGO_TARGET_DIR", target_dir().join("cross"))
            .arg(subcommand)
            .args(["--target", self.target]);
        for setting in self.settings() {
            cargo.args(["--config", &setting]);
        }
        Ok(cargo)
    }

    /// How its programs are built, linked and run, for `cargo --config`.
    fn settings(&self) -> Vec<String> {
        let target = self.target;
        let mut settings: Vec<_> = QUICK_BUILD.iter().map(|&s| s.to_owned()).collect();
        settings.push(format!("target.{target}.runner = {:?}", (self.runner)()));
        if let Some(linker) = self.linker {
            settings.push(format!("target.{target}.linker = {linker:?}"));
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_is_chosen_by_name() {
        let names = |name| -> Vec<_> {
            let chosen = choose(name).unwrap();
            chosen.iter().map(|machine| machine.name).collect()
        };
        assert_eq!(names(Some("wasm32")), ["wasm32"]);
        assert_eq!(names(None).len(), machines().count());
        let error = choose(Some("mips")).err().unwrap().to_string();
        assert!(
            error.contains("`mips`") && error.contains("wasm32"),
            "{error}"
        );
    }

    #[test]
    fn this_machine_is_not_emulated() {
        assert!(machines().all(|machine| machine.name != ARCH));
        let error = choose(Some(ARCH)).err().unwrap().to_string();
        assert!(error.contains("cargo xtask test"), "{error}");
    }

    #[test]
    fn settings_survive_a_path_with_spaces() {
        let mut machines = MACHINES.iter();
        let machine = Machine {
            runner: || vec!["node".to_owned(), "/a b/\"c\".mjs".to_owned()],
            linker: Some("gcc"),
            ..*machines.find(|machine| machine.name == "wasm32").unwrap()
        };
        assert_eq!(
            machine.settings()[QUICK_BUILD.len()..],
            [
                r#"target.wasm32-wasip1.runner = ["node", "/a b/\"c\".mjs"]"#,
                r#"target.wasm32-wasip1.linker = "gcc""#
            ]
        );
    }
}
