//! Kernel sets for 32-bit Arm.

mod columns;
mod conv2d;
mod depthwise;
mod depthwise_rows;
mod dsp;
mod elementwise;
mod instructions;
mod linear;
mod matmul;
mod places;
mod pool2d;
mod rounding;

pub use dsp::Dsp;

/// The set of the DSP extension, which every machine of this target can run.
#[cfg(any(test, feature = "std"))]
pub(super) fn dsp() -> Option<&'static Dsp> {
    static DSP: Dsp = Dsp::new();
    Some(&DSP)
}
