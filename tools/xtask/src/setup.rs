//! Installing what the other verbs need, each no more than its own. Every need is checked before anything is
//! done, so that a second run costs a moment and the other verbs can begin with it.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::arguments::{Arguments, Slot};
use crate::process::{capture, command, is_installed, run_within};
use crate::{cross, debian, toolchain};

pub(crate) const HELP: &str = "\
Usage: cargo xtask setup [--debian]

Installs what all verbs together need and is not there yet. Each verb begins with its own part of it:
  firmware  the targets thumbv7em-none-eabihf and thumbv8m.main-none-eabihf; qemu-system-arm, the
            emulated microcontroller. All that `cargo xtask demo` needs
  cross     the targets aarch64-unknown-linux-gnu, thumbv7neon-unknown-linux-gnueabihf and wasm32-wasip1;
            qemu-aarch64 and aarch64-linux-gnu-gcc, for tests on 64-bit Arm; qemu-arm and
            arm-linux-gnueabihf-gcc, for those on 32-bit Arm; node, for tests on WebAssembly
  opencl    on Linux: the OpenCL loader, PoCL, which runs OpenCL kernels on the CPU, and Oclgrind,
            which checks them
  sanitize  valgrind
  prove     on Debian: ONNX's own test cases

Targets come by `rustup target add`; where rustup cannot download, by Debian's compiler, linked to
rustup, with the standard library built once from its source. Packages are installed by apt-get, as
root. Elsewhere the list of what is missing is printed and the exit code is 1.

Options:
  --debian  take Debian's route for the targets even if rustup's are there
";

/// What something is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The boards and their emulator.
    Firmware,
    /// Tests on other machines, emulated.
    Cross,
    /// OpenCL without a GPU.
    OpenCl,
    /// Checks of memory accesses.
    Sanitize,
    /// ONNX's own test cases.
    Conformance,
}

/// What `cargo xtask test` needs.
pub(crate) const TESTS: &[Purpose] = &[Purpose::Firmware, Purpose::Cross, Purpose::OpenCl];

/// What `cargo xtask prove` needs, and all verbs together.
pub(crate) const ALL: &[Purpose] = &[
    Purpose::Firmware,
    Purpose::Cross,
    Purpose::OpenCl,
    Purpose::Sanitize,
    Purpose::Conformance,
];

/// The target of the boards.
pub(crate) const TARGET: &str = "thumbv7em-none-eabihf";

/// The target of microcontrollers of ARMv8-M: there is no board of that kind here, but kernels are built for it.
pub(crate) const TARGET_V8M: &str = "thumbv8m.main-none-eabihf";

/// The file by which the OpenCL loader finds PoCL: it holds the name of a library.
pub(crate) const POCL_ICD: &str = "/etc/OpenCL/vendors/pocl.icd";

/// Oclgrind as a driver. Its package does not register it: no program must take it unasked.
pub(crate) const OCLGRIND_ICD: &str = "/usr/lib/oclgrind/liboclgrind-rt-icd.so";

/// ONNX's own test cases, from Debian's package.
pub(crate) const ONNX_CASES: &str = "/usr/share/libonnx-testdata/data";

/// A program, a library or a folder that is needed, and the packages of Debian that bring it.
struct Need {
    name: &'static str,
    wanted_for: Purpose,
    packages: &'static [&'static str],
    purpose: &'static str,
    place: Place,
    is_there: fn(&str) -> bool,
}

/// Which machines need something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Everywhere,
    /// Those that emulate this architecture: all but that machine itself.
    Emulating(&'static str),
    Linux,
    Debian,
}

const NEEDS: &[Need] = &[
    Need {
        name: "qemu-system-arm",
        wanted_for: Purpose::Firmware,
        packages: &["qemu-system-arm"],
        purpose: "runs the firmware",
        place: Place::Everywhere,
        is_there: is_installed,
    },
    Need {
        name: "valgrind",
        wanted_for: Purpose::Sanitize,
        packages: &["valgrind"],
        purpose: "checks memory accesses",
        place: Place::Everywhere,
        is_there: is_installed,
    },
    Need {
        name: "qemu-aarch64",
        wanted_for: Purpose::Cross,
        packages: &["qemu-user"],
        purpose: "runs tests for 64-bit Arm",
        place: Place::Emulating("aarch64"),
        is_there: is_installed,
    },
    Need {
        name: "aarch64-linux-gnu-gcc",
        wanted_for: Purpose::Cross,
        packages: &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
        purpose: "links tests for 64-bit Arm",
        place: Place::Emulating("aarch64"),
        is_there: can_link_statically,
    },
    Need {
        name: "qemu-arm",
        wanted_for: Purpose::Cross,
        packages: &["qemu-user"],
        purpose: "runs tests for 32-bit Arm",
        place: Place::Emulating("arm"),
        is_there: is_installed,
    },
    Need {
        name: "arm-linux-gnueabihf-gcc",
        wanted_for: Purpose::Cross,
        packages: &["gcc-arm-linux-gnueabihf", "libc6-dev-armhf-cross"],
        purpose: "links tests for 32-bit Arm",
        place: Place::Emulating("arm"),
        is_there: can_link_statically,
    },
    Need {
        name: "node",
        wanted_for: Purpose::Cross,
        packages: &["nodejs"],
        purpose: "runs tests for WebAssembly",
        place: Place::Emulating("wasm32"),
        is_there: is_installed,
    },
    Need {
        name: "libOpenCL.so.1",
        wanted_for: Purpose::OpenCl,
        packages: &["ocl-icd-libopencl1"],
        purpose: "finds the drivers of OpenCL",
        place: Place::Linux,
        is_there: is_library,
    },
    Need {
        name: POCL_ICD,
        wanted_for: Purpose::OpenCl,
        packages: &["pocl-opencl-icd"],
        purpose: "runs OpenCL kernels on the CPU",
        place: Place::Linux,
        is_there: is_file,
    },
    Need {
        name: OCLGRIND_ICD,
        wanted_for: Purpose::OpenCl,
        packages: &["oclgrind"],
        purpose: "checks what OpenCL kernels access",
        place: Place::Linux,
        is_there: is_file,
    },
    Need {
        name: ONNX_CASES,
        wanted_for: Purpose::Conformance,
        packages: &["libonnx-testdata"],
        purpose: "holds ONNX's own test cases",
        place: Place::Debian,
        is_there: is_folder,
    },
];

/// rustup gives up by itself when it is refused; this is for networks that swallow the request.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn verb(arguments: Arguments) -> Result<ExitCode> {
    let mut debian = false;
    arguments.options(&mut [("debian", Slot::Flag(&mut debian))])?;
    if debian {
        for target in targets(ALL) {
            debian::add_target(target)?;
        }
    }
    ensure(ALL)?;
    for target in targets(ALL) {
        println!("target {target}: {}", toolchain::for_target(target)?);
    }
    for need in needs(ALL) {
        println!("{}: {}", need.name, need.purpose);
    }
    Ok(ExitCode::SUCCESS)
}

/// The targets beside the host: of the boards, and of the machines that are emulated.
pub(crate) fn targets(purposes: &[Purpose]) -> impl Iterator<Item = &'static str> {
    let boards = purposes
        .contains(&Purpose::Firmware)
        .then_some([TARGET, TARGET_V8M]);
    let machines = purposes.contains(&Purpose::Cross).then(cross::machines);
    let machines = machines.into_iter().flatten();
    boards
        .into_iter()
        .flatten()
        .chain(machines.map(|machine| machine.target))
}

/// What this machine needs beside the targets.
fn needs(purposes: &[Purpose]) -> impl Iterator<Item = &'static Need> {
    let here = |need: &&Need| match need.place {
        Place::Everywhere => true,
        Place::Emulating(name) => cross::machines().any(|machine| machine.name == name),
        Place::Linux => cfg!(target_os = "linux"),
        Place::Debian => is_file("/etc/debian_version"),
    };
    let wanted = |need: &&Need| purposes.contains(&need.wanted_for);
    NEEDS.iter().filter(wanted).filter(here)
}

/// Installs what is missing, and says first what that is.
///
/// # Errors
/// Something is missing and cannot be installed by this process: the message lists what to type.
pub(crate) fn ensure(purposes: &[Purpose]) -> Result<()> {
    let needs: Vec<_> = needs(purposes)
        .filter(|need| !(need.is_there)(need.name))
        .collect();
    announce(purposes, &needs);
    let mut missing = ensure_targets(purposes);
    if !needs.is_empty() {
        let packages: Vec<_> = needs
            .iter()
            .flat_map(|need| need.packages.iter().copied())
            .collect();
        if debian::can_install() {
            debian::install(&packages)?;
        } else {
            let names: Vec<_> = needs.iter().map(|need| need.name).collect();
            missing.push(format!(
                "install {} (Debian, as root: apt-get install --no-install-recommends {})",
                names.join(" and "),
                packages.join(" ")
            ));
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => bail!("something is missing:\n  - {}", missing.join("\n  - ")),
    }
}

/// Says what is about to be installed.
fn announce(purposes: &[Purpose], needs: &[&Need]) {
    for target in missing_targets(purposes) {
        println!("to be installed: Rust's target {target}");
    }
    for need in needs {
        let packages = need.packages.join(", ");
        println!("to be installed: {packages}: {}", need.purpose);
    }
}

fn missing_targets(purposes: &[Purpose]) -> Vec<&'static str> {
    targets(purposes)
        .filter(|target| toolchain::for_target(target).is_err())
        .collect()
}

/// Brings the targets; for those that it cannot bring it says how a person can.
fn ensure_targets(purposes: &[Purpose]) -> Vec<String> {
    let wanted = missing_targets(purposes);
    if wanted.is_empty() {
        return Vec::new();
    }
    let mut rustup = command("rustup");
    // What came of it is seen by looking.
    let _ = run_within(DOWNLOAD_LIMIT, rustup.args(["target", "add"]).args(&wanted));
    let wanted = missing_targets(purposes);
    if wanted.is_empty() {
        return Vec::new();
    }
    let names = wanted.join(" ");
    if !debian::can_install() {
        return vec![format!(
            "targets: rustup target add {names}\n    \
             (Debian without such a download: as root, apt-get install --no-install-recommends {}, \
             then this verb again)",
            debian::package_list(&wanted)
        )];
    }
    eprintln!("rustup cannot add {names}: taking Debian's compiler");
    wanted
        .iter()
        .filter_map(|target| {
            let error = debian::add_target(target).err()?;
            Some(format!("the target {target}: {error:#}"))
        })
        .collect()
}

/// True if the C compiler `name` is there with a C library to link with.
fn can_link_statically(name: &str) -> bool {
    // It answers with the path of the file, or with the bare name if it has no such file.
    is_installed(name)
        && capture(command(name).arg("-print-file-name=libc.a"))
            .is_ok_and(|path| path.contains('/'))
}

/// True if programs find the shared library `name`.
fn is_library(name: &str) -> bool {
    // By its path: the `PATH` of ordinary users does not have the folder.
    capture(command("/sbin/ldconfig").arg("-p")).is_ok_and(|list| {
        list.lines()
            .any(|line| line.split_whitespace().next() == Some(name))
    })
}

fn is_file(path: &str) -> bool {
    Path::new(path).is_file()
}

fn is_folder(path: &str) -> bool {
    Path::new(path).is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_emulated_machine_has_what_runs_it() {
        for machine in cross::machines() {
            assert!(targets(ALL).any(|target| target == machine.target));
            let serves = |need: &Need| need.place == Place::Emulating(machine.name);
            assert!(needs(&[Purpose::Cross]).any(serves), "{}", machine.name);
        }
        for need in NEEDS {
            assert!(!need.packages.is_empty(), "{}", need.name);
        }
    }

    #[test]
    fn the_demo_needs_a_board_and_nothing_else() {
        let names: Vec<_> = needs(&[Purpose::Firmware]).map(|need| need.name).collect();
        assert_eq!(names, ["qemu-system-arm"]);
        assert_eq!(
            targets(&[Purpose::Firmware]).collect::<Vec<_>>(),
            [TARGET, TARGET_V8M]
        );
    }

    #[test]
    fn libraries_are_looked_up_by_their_whole_names() {
        assert!(!is_library("libnowhere.so.7"));
        if cfg!(all(target_os = "linux", target_env = "gnu")) {
            assert!(is_library("libc.so.6"));
        }
    }

    #[test]
    fn a_compiler_that_is_not_there_cannot_link() {
        assert!(!can_link_statically("no-such-gcc"));
    }
}
