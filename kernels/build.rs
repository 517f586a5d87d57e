//! Finds out what a stable compiler does not tell a crate: whether an Arm core has the DSP extension. Names of targets do.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(arm_dsp)");
    let target = env::var("TARGET").unwrap_or_default();
    // Microcontrollers of ARMv7E-M, and in Thumb code the application cores of ARMv7-A, on which the same kernels are tested.
    // The rounding is the floating point unit's.
    let has_dsp = target.starts_with("thumbv7em-") || target.starts_with("thumbv7neon-");
    if has_dsp && target.ends_with("hf") {
        println!("cargo::rustc-cfg=arm_dsp");
    }
}
