//! Linear layer: four rows of weights at a time, each word of which is used once.

use core::arch::naked_asm;

use super::columns::{TAPS, widen};
use super::instructions::{bound, twice};
use super::matmul::Channels;
use super::rounding::{Rounding, scaled, store_four};
use crate::lengths;
use crate::params::{Linear, LinearI8, WeightsI8};
use crate::portable;
use crate::portable::rows::{rows_of, rows_of_mut};

/// Rows that are multiplied at a time.
const ROWS: usize = 4;

/// Four features: the first and third, the second and fourth.
type Group = [u32; 2];

fn groups(params: &LinearI8) -> usize {
    params.geometry().in_features().saturating_add(TAPS - 1) / TAPS
}

/// Bytes of scratch: a sample in 16 bits.
pub(super) fn scratch_len(params: &LinearI8) -> usize {
    groups(params).saturating_mul(size_of::<Group>())
}

/// Linear layer, bias and bounds.
pub(super) fn linear_i8(
    params: &LinearI8,
    input: &[i8],
    weights: WeightsI8<'_>,
    scratch: &mut [u8],
    output: &mut [i8],
) {
    let geometry = params.geometry();
    let all = (weights, geometry.weights_len());
    if lengths::linear_i8(params, input, all, output).is_none()
        || !lengths::scratch_i8(scratch, scratch_len(params))
    {
        return;
    }
    // SAFETY: any bits are a word.
    let (_, column, _) = unsafe { scratch.align_to_mut::<Group>() };
    let Some(column) = column.get_mut(..groups(params)) else {
        return;
    };
    let (from, to) = (geometry.in_features(), geometry.out_features());
    for (x, y) in rows_of(input, from).zip(rows_of_mut(output, to)) {
        take(x, params.input_zero_point(), column);
        one_sample(params, x, column, weights, y);
    }
    bound(output, params.output().low(), params.output().high());
}

/// Takes a sample over to a column; what is behind it in the last group is 0.
fn take(x: &[i8], zero_point: i8, column: &mut [Group]) {
    let zeros = twice(zero_point);
    let (words, rest) = x.as_chunks();
    let mut column = column.iter_mut();
    // In this order: it is the words that end first.
    for (bytes, group) in words.iter().zip(column.by_ref()) {
        *group = widen(bytes, zeros);
    }
    if let Some(group) = column.next() {
        let mut bytes = [zero_point; TAPS];
        bytes
            .iter_mut()
            .zip(rest)
            .for_each(|(to, from)| *to = *from);
        *group = widen(&bytes, zeros);
    }
}

fn one_sample(params: &LinearI8, x: &[i8], column: &[Group], weights: WeightsI8<'_>, y: &mut [i8]) {
    let features = params.geometry().in_features();
    let rounding = Rounding::new(params.output());
    let channels = Channels {
        bias: weights.bias,
        scale: weights.scale,
    };
    let rows = |first: usize| {
        let start = first.wrapping_mul(features);
        weights.weights.get(start..).unwrap_or_default()
    };
    // Behind the last row there may be less than a whole group; short rows do not make up for it.
    let in_place = match features {
        _ if features.is_multiple_of(TAPS) => y.len(),
        ..TAPS => 0,
        _ => y.len().saturating_sub(1),
    };
    let whole = in_place / ROWS;
    multiply(column, (rows(0), features), whole, channels, rounding, y);
    let mut done = whole.wrapping_mul(ROWS);
    if whole > 0 && done < in_place {
        // Four that end with the last one: some are computed twice.
        let first = in_place.wrapping_sub(ROWS);
        let y = y.get_mut(first..).unwrap_or_default();
        let own = channels.from(first);
        multiply(column, (rows(first), features), 1, own, rounding, y);
        done = in_place;
    }
    let left = y.get_mut(done..).unwrap_or_default();
    if let Ok(geometry) = Linear::new(features, left.len(), params.geometry().activation()) {
        let params = LinearI8 {
            geometry,
            ..*params
        };
        let own = channels.from(done);
        let weights = WeightsI8 {
            weights: rows(done),
            bias: own.bias,
            scale: own.scale,
        };
        portable::linear_i8(&params, x, weights, left);
    }
}

/// Multiplies `column` with `blocks` times four rows of `weights`, which begin `row` apart, and writes the numbers that the
/// sums become. What follows a row is multiplied as well, up to the end of a group; the column is 0 there.
///
/// Does nothing if a slice is too short.
fn multiply(
    column: &[Group],
    (weights, row): (&[i8], usize),
    blocks: usize,
    channels: Channels<'_>,
    rounding: Rounding,
    output: &mut [i8],
) {
    let rows = blocks.saturating_mul(ROWS);
    let last = rows.saturating_sub(1).saturating_mul(row);
    let len = last.saturating_add(column.len().saturating_mul(TAPS));
    let short = weights.len() < len || output.len() < rows || !channels.have(rows);
    if column.is_empty() || blocks == 0 || short {
        return;
    }
    let column = column.as_ptr_range();
    let (bias, bias_step) = channels.bias(ROWS);
    let mut job = Job {
        column: column.start,
        column_end: column.end,
        weights: weights.as_ptr(),
        row,
        bias,
        bias_step,
        scale: channels.scale.as_ptr(),
        output: output.as_mut_ptr(),
        blocks,
        rounding,
    };
    // SAFETY: there is at least one group and one block; the rows and all that is read behind them are within the weights,
    // and there are biases, scales and outputs for each row.
    unsafe { column_times_rows(&mut job) }
}

/// What the loop reads, and where it keeps count.
#[repr(C)]
struct Job {
    column: *const Group,
    column_end: *const Group,
    /// Of the next four rows.
    weights: *const i8,
    /// From one row to the next.
    row: usize,
    bias: *const i32,
    /// From the biases of four rows to those of the next four: 0 where all are 0.
    bias_step: usize,
    scale: *const f32,
    output: *mut i8,
    /// How often there are four more rows.
    blocks: usize,
    rounding: Rounding,
}

/// Four products of a row.
macro_rules! products {
    ($sum:literal) => {
        concat!(
            "sxtb16 r7, r12\n",
            concat!("smlad ", $sum, ", r7, r5, ", $sum, "\n"),
            "sxtb16 r7, r12, ror #8\n",
            concat!("smlad ", $sum, ", r7, r6, ", $sum, "\n"),
        )
    };
}

/// A group: 16 products in 21 instructions.
macro_rules! group {
    () => {
        concat!(
            "ldrd r5, r6, [r0], #8\n",
            "ldr r12, [r1, r2]\n",
            products!("r9"),
            "ldr r12, [r1], #4\n",
            products!("r8"),
            "ldr r12, [r4, r2]\n",
            products!("r11"),
            "ldr r12, [r4], #4\n",
            products!("r10"),
        )
    };
}

/// # Safety
/// What the job points to is there for as many features and rows, of which there is at least one group and block.
#[unsafe(naked)]
unsafe extern "C" fn column_times_rows(job: &mut Job) {
    naked_asm!(
        // The assembler does not take it from the target.
        ".fpu fpv4-sp-d16",
        "push    {{r4-r11, lr}}",
        "mov     lr, r0",
        "ldr     r3, [r0, #4]",
        // Four rows: where they are, and their biases.
        "2:",
        "ldr     r1, [lr, #8]",
        "ldr     r2, [lr, #12]",
        "add     r4, r1, r2, lsl #2",
        "str     r4, [lr, #8]",
        "add     r4, r1, r2, lsl #1",
        "ldr     r5, [lr, #16]",
        "ldr     r6, [lr, #20]",
        "ldm     r5, {{r8-r11}}",
        "add     r5, r5, r6",
        "str     r5, [lr, #16]",
        "ldr     r0, [lr]",
        // Two groups at a time; an odd one comes first.
        "sub     r5, r3, r0",
        "tst     r5, #8",
        "bne     4f",
        "3:",
        group!(),
        "4:",
        group!(),
        "cmp     r0, r3",
        "bne     3b",
        // The sums times their scales, rounded.
        "vmov    s0, s1, r8, r9",
        "vmov    s2, s3, r10, r11",
        "ldr     r5, [lr, #24]",
        "vldmia  r5!, {{s4-s7}}",
        "vldr    s8, [lr, #40]",
        "str     r5, [lr, #24]",
        scaled!("s8": "s0" * "s4", "s1" * "s5", "s2" * "s6", "s3" * "s7"),
        "vmov    r8, r9, s0, s1",
        "vmov    r10, r11, s2, s3",
        "ldr     r5, [lr, #36]",
        "ldr     r6, [lr, #28]",
        store_four!("r8", "r9", "r10", "r11", less "r5", to "r6"),
        "str     r6, [lr, #28]",
        "ldr     r5, [lr, #32]",
        "subs    r5, r5, #1",
        "str     r5, [lr, #32]",
        "bne     2b",
        "pop     {{r4-r11, pc}}",
    )
}
