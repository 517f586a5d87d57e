//! Installing what the other verbs need. Every need is checked before anything is done, so that a
//! second run costs a moment and the other verbs can begin with it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::arguments::{Arguments, Slot};
use crate::debian;
use crate::process::{command, is_installed, run_within};
use crate::toolchain;

pub(crate) const HELP: &str = "\
Usage: cargo xtask setup [--debian]

Installs what the other verbs need and is not there yet:
  - the target thumbv7em-none-eabihf, by `rustup target add`; where rustup cannot download,
    by Debian's compiler, linked to rustup, with core and alloc built once from its source
  - qemu-system-arm, the emulated microcontroller
  - valgrind

Packages are installed by apt-get, as root. Elsewhere the list of what is missing is
printed and the exit code is 1.

Options:
  --debian  take Debian's route for the target even if rustup's is there
";

/// The target of the boards.
pub(crate) const TARGET: &str = "thumbv7em-none-eabihf";

/// Programs that come from packages of the same name, and what for.
const PROGRAMS: &[(&str, &str)] = &[
    ("qemu-system-arm", "runs the firmware"),
    ("valgrind", "checks memory accesses"),
];

/// rustup gives up by itself when it is refused; this is for networks that swallow the request.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn verb(arguments: Arguments) -> Result<ExitCode> {
    let mut debian = false;
    arguments.options(&mut [("debian", Slot::Flag(&mut debian))])?;
    if debian {
        debian::add_target(TARGET)?;
    }
    ensure()?;
    println!("target {TARGET}: {}", toolchain::bare_metal(TARGET)?);
    for (program, purpose) in PROGRAMS {
        println!("{program}: {purpose}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Installs what is missing.
///
/// # Errors
/// Something is missing and cannot be installed by this process: the message lists what to type.
pub(crate) fn ensure() -> Result<()> {
    let mut missing = Vec::new();
    if let Err(how) = ensure_target() {
        missing.push(how);
    }
    let programs: Vec<_> = PROGRAMS
        .iter()
        .map(|(program, _)| *program)
        .filter(|program| !is_installed(program))
        .collect();
    if !programs.is_empty() {
        if debian::can_install() {
            debian::install(&programs)?;
        } else {
            missing.push(format!(
                "install {} (Debian, as root: apt-get install --no-install-recommends {})",
                programs.join(" and "),
                programs.join(" ")
            ));
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => bail!("something is missing:\n  - {}", missing.join("\n  - ")),
    }
}

/// Brings the bare-metal target; the error says how a person can.
fn ensure_target() -> std::result::Result<(), String> {
    if toolchain::bare_metal(TARGET).is_ok() {
        return Ok(());
    }
    let mut rustup = command("rustup");
    let by_rustup = run_within(DOWNLOAD_LIMIT, rustup.args(["target", "add", TARGET]));
    if by_rustup.is_ok() && toolchain::bare_metal(TARGET).is_ok() {
        return Ok(());
    }
    if !debian::can_install() {
        return Err(format!(
            "the target: rustup target add {TARGET}\n    \
             (Debian without such a download: as root, apt-get install --no-install-recommends {}, \
             then this verb again)",
            debian::package_list()
        ));
    }
    eprintln!("rustup cannot add {TARGET}: taking Debian's compiler");
    debian::add_target(TARGET).map_err(|error| format!("the target: {error:#}"))
}
