//! Says once which families of kernel sets a build has.
//!
//! `simd`: sets made of vectors, those of `arch/generic`. `arm_dsp`: the set for Arm cores with the DSP extension, which a
//! stable compiler does not tell a crate: names of targets do.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(simd, arm_dsp)");
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
    let target = variable("TARGET");
    // Microcontrollers of ARMv7E-M, and in Thumb code the application cores of ARMv7-A, on which the same kernels are tested.
    // The rounding is the floating point unit's.
    let has_dsp = target.starts_with("thumbv7em-") || target.starts_with("thumbv7neon-");
    if has_dsp && target.ends_with("hf") {
        println!("cargo::rustc-cfg=arm_dsp");
    }
}
