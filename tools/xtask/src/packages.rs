//! The packages of the workspace and the feature sets in which each is checked. Sets are listed, one
//! by one: all features at once is a combination that nobody uses, and it hides that another does not
//! compile.

use std::process::Command;

/// A library whose feature sets are checked one by one.
pub(crate) struct Library {
    pub(crate) name: &'static str,
    /// Sets for the host: clippy sees its tests too.
    pub(crate) host: &'static [&'static str],
    /// Sets that must build for a microcontroller, without the standard library and an allocator.
    pub(crate) bare_metal: &'static [&'static str],
}

/// The features with which everything on this machine is built, linted and tested: one set, so that it is compiled
/// once. Tests on an OpenCL device are part of it where PoCL is to be had, and tract is not.
const TESTED: &str = if cfg!(target_os = "linux") {
    "kinglet-kernels/testing,kinglet/_opencl-tests,kinglet-tests/opencl,kinglet-tools/_opencl-tests,\
     kinglet-tools/opencl,kinglet-tools/program"
} else {
    "kinglet-kernels/testing,kinglet-tools/opencl,kinglet-tools/program"
};

/// What chooses them.
pub(crate) const TESTED_FEATURES: [&str; 3] = ["--no-default-features", "--features", TESTED];

/// The packages that have features worth checking apart from [`TESTED`]. The others have their default features only.
pub(crate) const LIBRARIES: &[Library] = &[
    Library {
        name: "kinglet-kernels",
        host: &["", "std"],
        bare_metal: &["", "defmt"],
    },
    Library {
        name: "kinglet",
        host: &["", "alloc", "std"],
        bare_metal: &["", "alloc", "defmt"],
    },
    Library {
        name: "kinglet-opencl-stub",
        host: &["_faulty"],
        bare_metal: &[],
    },
    Library {
        name: "kinglet-tools",
        host: &["", "program"],
        bare_metal: &[],
    },
    Library {
        name: "kinglet-board-common",
        host: &[""],
        bare_metal: &[""],
    },
];

/// Names one library with one set of features.
pub(crate) fn select(command: &mut Command, library: &Library, features: &str) {
    command.args(["--package", library.name, "--no-default-features"]);
    if !features.is_empty() {
        command.args(["--features", features]);
    }
}

/// How a set is called in the output.
pub(crate) fn set_name(features: &str) -> &str {
    match features {
        "" => "no features",
        _ => features,
    }
}
