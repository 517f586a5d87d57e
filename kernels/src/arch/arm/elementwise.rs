//! Sums of two tensors, four elements at a time.

use core::arch::naked_asm;

use super::instructions::{bound, target, twice};
use super::rounding::{Rounding, store_four};
use crate::lengths;
use crate::params::AddI8;
use crate::portable;

/// Elements of a word.
const QUAD: usize = 4;

/// The sum of each number and the operand at its place, in place.
pub(super) fn add_i8(params: &AddI8, operand: &[i8], data: &mut [i8]) {
    if !lengths::same("operand", operand, data) {
        return;
    }
    let (quads, rest) = data.as_chunks_mut::<QUAD>();
    let (operands, operand_rest) = operand.as_chunks::<QUAD>();
    if !quads.is_empty() {
        let [first, second] = params.terms;
        let ends = quads.as_mut_ptr_range();
        let job = Job {
            data: ends.start,
            operand: operands.as_ptr(),
            data_end: ends.end,
            zeros: [twice(first.zero_point), twice(second.zero_point)],
            rounding: Rounding::new(params.output()),
            factors: [first.factor, second.factor],
        };
        // SAFETY: there is at least one quad, and as many of the operand.
        unsafe { add_quads(&job) }
    }
    portable::add_i8(params, operand_rest, rest);
    bound(data, params.output().low(), params.output().high());
}

/// What the loop reads.
#[repr(C)]
struct Job {
    data: *mut [i8; QUAD],
    operand: *const [i8; QUAD],
    data_end: *const [i8; QUAD],
    zeros: [u32; 2],
    rounding: Rounding,
    factors: [f32; 2],
}

/// # Safety
/// Of the operand there are as many quads as of the data, of which there is at least one.
#[unsafe(naked)]
unsafe extern "C" fn add_quads(job: &Job) {
    naked_asm!(
        target!(),
        "push    {{r4-r9, lr}}",
        "vldr    s10, [r0, #24]",
        "vldr    s8, [r0, #28]",
        "vldr    s9, [r0, #32]",
        "ldr     lr, [r0, #20]",
        "ldr     r12, [r0, #16]",
        "ldm     r0, {{r0-r3}}",
        "2:",
        "ldr     r4, [r0]",
        "ldr     r6, [r1], #4",
        "sxtb16  r5, r4, ror #8",
        "sxtb16  r4, r4",
        "sxtb16  r7, r6, ror #8",
        "sxtb16  r6, r6",
        "ssub16  r4, r4, r3",
        "ssub16  r5, r5, r3",
        "ssub16  r6, r6, r12",
        "ssub16  r7, r7, r12",
        // Halves are real numbers: 0 and 2, 1 and 3, of either tensor.
        "asrs    r8, r4, #16",
        "vmov    s0, s1, r4, r8",
        "asrs    r9, r5, #16",
        "vmov    s2, s3, r5, r9",
        "asrs    r8, r6, #16",
        "vmov    s4, s5, r6, r8",
        "asrs    r9, r7, #16",
        "vmov    s6, s7, r7, r9",
        "vcvt.f32.s16 s0, s0, #0",
        "vcvt.f32.s16 s1, s1, #0",
        "vcvt.f32.s16 s2, s2, #0",
        "vcvt.f32.s16 s3, s3, #0",
        "vcvt.f32.s16 s4, s4, #0",
        "vcvt.f32.s16 s5, s5, #0",
        "vcvt.f32.s16 s6, s6, #0",
        "vcvt.f32.s16 s7, s7, #0",
        "vmul.f32 s0, s0, s8",
        "vmul.f32 s1, s1, s8",
        "vmul.f32 s2, s2, s8",
        "vmul.f32 s3, s3, s8",
        "vmul.f32 s4, s4, s9",
        "vmul.f32 s5, s5, s9",
        "vmul.f32 s6, s6, s9",
        "vmul.f32 s7, s7, s9",
        "vadd.f32 s0, s0, s4",
        "vadd.f32 s1, s1, s5",
        "vadd.f32 s2, s2, s6",
        "vadd.f32 s3, s3, s7",
        "vadd.f32 s0, s0, s10",
        "vadd.f32 s1, s1, s10",
        "vadd.f32 s2, s2, s10",
        "vadd.f32 s3, s3, s10",
        "vmov    r4, r8, s0, s1",
        "vmov    r5, r9, s2, s3",
        store_four!("r4", "r5", "r8", "r9", less "lr", to "r0"),
        "cmp     r0, r2",
        "bne     2b",
        "pop     {{r4-r9, pc}}",
    )
}
