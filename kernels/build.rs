//! Says once which families of kernel sets a build has.
//!
//! `simd`: sets made of vectors, those of `arch/generic`. `arm_dsp`: the set for Arm cores with the DSP extension, which a
//! stable compiler does not tell a crate: names of targets and cores do. `arm_v8m`: such a core of ARMv8-M.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(simd, arm_dsp, arm_v8m)");
    let variable = |name| env::var(name).unwrap_or_default();
    let features = variable("CARGO_CFG_TARGET_FEATURE");
    let has = |feature| features.split(',').any(|found| found == feature);
    let simd = match variable("CARGO_CFG_TARGET_ARCH").as_str() {
        // With coverage counters in them these sets take minutes to compile.
        "x86_64" => env::var_os("CARGO_CFG_FUZZING").is_none(),
        "aarch64" => has("neon"),
        "wasm32" => has("simd128"),
        _ => false,
    };
    if simd {
        println!("cargo::rustc-cfg=simd");
    }
    // The rounding is the floating point unit's.
    let target = variable("TARGET");
    if target.ends_with("hf") {
        // Microcontrollers of ARMv7E-M, and in Thumb code the application cores of ARMv7-A, on which the same kernels are tested.
        let has_dsp = target.starts_with("thumbv7em-") || target.starts_with("thumbv7neon-");
        let is_v8m = target.starts_with("thumbv8m.main-");
        if has_dsp || is_v8m && names_core_with_dsp(&variable("CARGO_ENCODED_RUSTFLAGS")) {
            println!("cargo::rustc-cfg=arm_dsp");
        }
        if is_v8m {
            println!("cargo::rustc-cfg=arm_v8m");
        }
    }
}

/// In ARMv8-M the extension is an option: whether the build is for a core that has it.
fn names_core_with_dsp(flags: &str) -> bool {
    let cores = ["cortex-m33", "cortex-m35p", "cortex-m55", "cortex-m85"];
    let is_flag = |sought: &str| flags.split(['\x1f', ' ', '=', ',']).any(|f| f == sought);
    !is_flag("-dsp") && (is_flag("+dsp") || cores.into_iter().any(is_flag))
}
