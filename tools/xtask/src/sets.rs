//! Which kernel sets must run where. A set that a machine cannot run is left out by the suite, which says
//! so; here it is decided where that must not happen.

use std::process::Command;

/// The environment variable by which the suite of the kernels learns it.
const VARIABLE: &str = "KINGLET_REQUIRE_SETS";

/// A kernel set and where it is tested.
struct Set {
    name: &'static str,
    /// True if this machine must run it.
    here: fn() -> bool,
    /// What it takes.
    needs: &'static str,
}

/// Whether this machine has a feature of x86-64.
#[cfg(target_arch = "x86_64")]
macro_rules! cpu_has {
    ($feature:tt) => {
        std::is_x86_feature_detected!($feature)
    };
}

#[cfg(not(target_arch = "x86_64"))]
macro_rules! cpu_has {
    ($feature:tt) => {
        false
    };
}

const SETS: &[Set] = &[
    Set {
        name: "avx512vnni",
        here: || has_avx512() && cpu_has!("avx512vnni"),
        needs: "a CPU with AVX-512 VNNI",
    },
    Set {
        name: "avx512",
        here: has_avx512,
        needs: "a CPU with AVX-512F, DQ and BW",
    },
    Set {
        name: "avxvnni",
        here: || cpu_has!("avxvnni"),
        needs: "a CPU with AVX-VNNI",
    },
    Set {
        // On every x86-64 machine, though there are some without: they would test too little.
        name: "avx2",
        here: || cfg!(target_arch = "x86_64"),
        needs: "x86-64",
    },
    Set {
        name: "neon",
        here: || cfg!(target_arch = "aarch64"),
        needs: "64-bit Arm, see `cargo xtask cross`",
    },
    Set {
        name: "simd128",
        here: || false,
        needs: "WebAssembly, see `cargo xtask cross`",
    },
    Set {
        name: "dsp",
        here: || false,
        needs: "32-bit Arm with the DSP extension, see `cargo xtask cross`",
    },
    Set {
        name: "portable",
        here: || true,
        needs: "nothing",
    },
    Set {
        name: "reference",
        here: || true,
        needs: "nothing",
    },
];

fn has_avx512() -> bool {
    cpu_has!("avx512f") && cpu_has!("avx512dq") && cpu_has!("avx512bw")
}

/// Makes tests that `command` starts fail if they leave out a set that this machine must run, and says
/// which those are.
pub(crate) fn require_here(command: &mut Command) {
    let (here, elsewhere): (Vec<&Set>, Vec<&Set>) = SETS.iter().partition(|set| (set.here)());
    let names: Vec<_> = here.iter().map(|set| set.name).collect();
    println!("kernel sets that must run: {}", names.join(", "));
    for set in elsewhere {
        println!(
            "kernel set {} cannot run on this machine: it needs {}",
            set.name, set.needs
        );
    }
    require(command, &names);
}

/// Makes tests that `command` starts fail if they leave out one of `names`.
pub(crate) fn require(command: &mut Command, names: &[&str]) {
    command.env(VARIABLE, names.join(","));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::root;

    /// The names in the list of the kernels: `    name: path, Within;` between `list! {` and `}`.
    fn listed(source: &str) -> Vec<&str> {
        let lines = source.lines().skip_while(|line| *line != "list! {");
        lines
            .skip(1)
            .take_while(|line| *line != "}")
            .map(str::trim)
            .filter(|line| line.ends_with("Within;") || line.ends_with("Exact;"))
            .filter_map(|line| Some(line.split_once(':')?.0))
            .collect()
    }

    #[test]
    fn the_list_is_read() {
        let source = "x: y, Within;\nlist! {\n    #[cfg(a)]\n    a: b::c, Within;\n    d: || None, Exact;\n}\ne: f, Exact;\n";
        assert_eq!(listed(source), ["a", "d"]);
    }

    #[test]
    fn every_set_of_the_kernels_is_decided_about_in_their_order() {
        let source = std::fs::read_to_string(root().join("kernels/src/arch/mod.rs")).unwrap();
        let names: Vec<_> = SETS.iter().map(|set| set.name).collect();
        assert_eq!(listed(&source), names);
    }

    #[test]
    fn this_machine_must_run_the_sets_of_its_kind() {
        let mut command = Command::new("true");
        require_here(&mut command);
        let value = command.get_envs().find(|(name, _)| *name == VARIABLE);
        let value = value.and_then(|(_, value)| value?.to_str()).unwrap();
        let names: Vec<_> = value.split(',').collect();
        assert!(names.contains(&"portable") && names.contains(&"reference"));
        assert_eq!(names.contains(&"avx2"), cfg!(target_arch = "x86_64"));
        assert_eq!(names.contains(&"neon"), cfg!(target_arch = "aarch64"));
        assert!(!names.contains(&"simd128"));
    }
}
