//! Products of four columns with two rows of weights at a time: eight sums in registers, and what becomes of them.
//!
//! Of the fourteen registers that there are eight hold sums, three say where columns and rows are, and three hold what is
//! multiplied. So a word of weights is loaded twice, for its even bytes and for its odd ones, and where the columns end is
//! looked up in memory.

use core::arch::naked_asm;

use super::columns::{Group, PIXELS, TAPS};
use super::rounding::{Rounding, scaled};

/// Rows that are multiplied at a time.
const ROWS: usize = 2;

/// What the loop reads, and where it keeps count. Neighbours here are loaded together.
#[repr(C)]
struct Job {
    /// Of the next two rows.
    weights: *const i8,
    bias: *const i32,
    /// From one row to the next.
    row: usize,
    /// From the biases of two rows to those of the next two: 0 where all are 0.
    bias_step: usize,
    scale: *const f32,
    output: *mut i8,
    /// From one pixel of the output to the next.
    stride: usize,
    rounding: Rounding,
    columns: *const Group,
    columns_end: *const Group,
    /// The scale behind that of the last row.
    scale_end: *const f32,
}

/// The biases of rows without any.
pub(super) static NO_BIAS: [i32; 4] = [0; 4];

/// A layer's bias and scale from some row on.
#[derive(Clone, Copy)]
pub(super) struct Channels<'a> {
    pub(super) bias: Option<&'a [i32]>,
    pub(super) scale: &'a [f32],
}

impl<'a> Channels<'a> {
    /// Those from row `first` on.
    pub(super) fn from(self, first: usize) -> Self {
        Self {
            bias: self.bias.map(|bias| bias.get(first..).unwrap_or_default()),
            scale: self.scale.get(first..).unwrap_or_default(),
        }
    }

    /// Whether there are as many.
    pub(super) fn have(self, rows: usize) -> bool {
        self.scale.len() >= rows && self.bias.is_none_or(|bias| bias.len() >= rows)
    }

    /// Where biases are, and how far those of `rows` rows reach.
    pub(super) fn bias(self, rows: usize) -> (*const i32, usize) {
        match self.bias {
            Some(bias) => (bias.as_ptr(), rows.wrapping_mul(size_of::<i32>())),
            None => (NO_BIAS.as_ptr(), 0),
        }
    }
}

/// The numbers of four output pixels.
pub(super) struct Pixels<'a> {
    /// From the first channel of the first pixel that is to be written on.
    pub(super) output: &'a mut [i8],
    /// From one pixel to the next.
    pub(super) stride: usize,
}

/// Multiplies all of `columns` with `pairs` times two rows of `weights`, which begin `row` apart, and writes the numbers
/// that the sums become. What follows a row is multiplied as well, up to the end of a group; the columns are 0 there.
///
/// Does nothing if a slice is too short.
pub(super) fn multiply(
    columns: &[Group],
    (weights, row): (&[i8], usize),
    pairs: usize,
    channels: Channels<'_>,
    rounding: Rounding,
    to: Pixels<'_>,
) {
    let rows = pairs.saturating_mul(ROWS);
    let last = rows.saturating_sub(1).saturating_mul(row);
    let len = last.saturating_add(columns.len().saturating_mul(TAPS));
    if pairs == 0 || weights.len() < len {
        return;
    }
    // SAFETY: the rows and all that is read behind them are within the weights.
    unsafe {
        run(
            columns,
            (weights.as_ptr(), row),
            pairs,
            channels,
            rounding,
            to,
        )
    }
}

/// Multiplies `columns` with two rows that lie anywhere, as [`multiply`] does.
pub(super) fn multiply_two(
    columns: &[Group],
    [first, second]: [&[i8]; ROWS],
    channels: Channels<'_>,
    rounding: Rounding,
    to: Pixels<'_>,
) {
    let len = columns.len().saturating_mul(TAPS);
    if first.len() < len || second.len() < len {
        return;
    }
    let (first, second) = (first.as_ptr(), second.as_ptr().expose_provenance());
    let row = second.wrapping_sub(first.expose_provenance());
    // SAFETY: both rows are as long as the columns.
    unsafe { run(columns, (first, row), 1, channels, rounding, to) }
}

/// # Safety
/// The rows are readable for as long as the columns.
unsafe fn run(
    columns: &[Group],
    (weights, row): (*const i8, usize),
    pairs: usize,
    channels: Channels<'_>,
    rounding: Rounding,
    Pixels { output, stride }: Pixels<'_>,
) {
    let rows = pairs.saturating_mul(ROWS);
    let last = stride.saturating_mul(PIXELS - 1);
    let short = output.len() < last.saturating_add(rows) || !channels.have(rows);
    if columns.is_empty() || short {
        return;
    }
    let columns = columns.as_ptr_range();
    let (bias, bias_step) = channels.bias(ROWS);
    let scale = channels.scale.as_ptr();
    let mut job = Job {
        weights,
        bias,
        row,
        bias_step,
        scale,
        output: output.as_mut_ptr(),
        stride,
        rounding,
        columns: columns.start,
        columns_end: columns.end,
        scale_end: scale.wrapping_add(rows),
    };
    // SAFETY: there is at least one group and one pair; rows are readable by contract, and there are biases, scales and
    // outputs for each row.
    unsafe { columns_times_rows(&mut job) }
}

/// The products of two taps of four windows with those of two rows, which are in `r3` and `r12`.
macro_rules! products {
    () => {
        "
        ldr     lr, [r0], #4
        smlad   r4, r3, lr, r4
        smlad   r8, r12, lr, r8
        ldr     lr, [r0], #4
        smlad   r5, r3, lr, r5
        smlad   r9, r12, lr, r9
        ldr     lr, [r0], #4
        smlad   r6, r3, lr, r6
        smlad   r10, r12, lr, r10
        ldr     lr, [r0], #4
        smlad   r7, r3, lr, r7
        smlad   r11, r12, lr, r11
        "
    };
}

/// A group: 32 products in 32 instructions.
macro_rules! group {
    () => {
        concat!(
            "ldr r3, [r1]\n",
            "ldr r12, [r2]\n",
            "sxtb16 r3, r3\n",
            "sxtb16 r12, r12\n",
            products!(),
            "ldr r3, [r1], #4\n",
            "ldr r12, [r2], #4\n",
            "sxtb16 r3, r3, ror #8\n",
            "sxtb16 r12, r12, ror #8\n",
            products!(),
        )
    };
}

/// The two numbers of a pixel.
macro_rules! store {
    ($a:literal, $b:literal) => {
        concat!(
            concat!("qsub ", $a, ", ", $a, ", r12\n"),
            concat!("qsub ", $b, ", ", $b, ", r12\n"),
            concat!("ssat ", $a, ", #8, ", $a, "\n"),
            concat!("ssat ", $b, ", #8, ", $b, "\n"),
            concat!("strb ", $a, ", [r2]\n"),
            concat!("strb ", $b, ", [r2, #1]\n"),
            "add r2, r2, r3\n",
        )
    };
}

/// # Safety
/// What the job points to is there for as many columns, rows and pixels, of which there is at least one each.
#[unsafe(naked)]
unsafe extern "C" fn columns_times_rows(job: &mut Job) {
    naked_asm!(
        // The assembler does not take it from the target.
        ".fpu fpv4-sp-d16",
        "push    {{r4-r11, lr}}",
        "sub     sp, sp, #16",
        // The job, where columns end, and where scales do.
        "ldrd    r1, r2, [r0, #40]",
        "stm     sp, {{r0-r2}}",
        "vldr    s10, [r0, #32]",
        // The place in the loop to begin at: groups come four at a time, and what is left over comes first.
        "ldr     r3, [r0, #36]",
        "sub     r3, r1, r3",
        "ands    r3, r3, #96",
        "adr.w r1, 3f",
        "it      ne",
        "adrne.w r1, 6f",
        "cmp     r3, #64",
        "it      eq",
        "adreq.w r1, 5f",
        "it      hi",
        "adrhi.w r1, 4f",
        "orr     r1, r1, #1",
        "str     r1, [sp, #12]",
        // Two rows: where they are, and both biases for each of four pixels.
        "2:",
        "ldm     r0, {{r1, r2, r3, r12}}",
        "ldrd    r4, r8, [r2]",
        "add     r12, r12, r2",
        "add     lr, r1, r3, lsl #1",
        "strd    lr, r12, [r0]",
        "add     r2, r1, r3",
        "mov     r5, r4",
        "mov     r6, r4",
        "mov     r7, r4",
        "mov     r9, r8",
        "mov     r10, r8",
        "mov     r11, r8",
        "ldr     r0, [r0, #36]",
        "ldr     pc, [sp, #12]",
        "3:",
        group!(),
        "4:",
        group!(),
        "5:",
        group!(),
        "6:",
        group!(),
        "ldr     r3, [sp, #4]",
        "cmp     r0, r3",
        "bne     3b",
        // The sums of either row times its scale, rounded.
        "ldr     r0, [sp]",
        "vmov    s0, s1, r4, r5",
        "vmov    s2, s3, r6, r7",
        "vmov    s4, s5, r8, r9",
        "vmov    s6, s7, r10, r11",
        "add     r1, r0, #16",
        "ldm     r1, {{r1, r2, r3, r12}}",
        "vldmia  r1!, {{s8, s9}}",
        "add     lr, r2, #2",
        "strd    r1, lr, [r0, #16]",
        scaled!(
            "s10": "s0" * "s8", "s1" * "s8", "s2" * "s8", "s3" * "s8",
            "s4" * "s9", "s5" * "s9", "s6" * "s9", "s7" * "s9"
        ),
        "vmov    r4, r5, s0, s1",
        "vmov    r6, r7, s2, s3",
        "vmov    r8, r9, s4, s5",
        "vmov    r10, r11, s6, s7",
        store!("r4", "r8"),
        store!("r5", "r9"),
        store!("r6", "r10"),
        store!("r7", "r11"),
        "ldr     r3, [sp, #8]",
        "cmp     r1, r3",
        "bne     2b",
        "add     sp, sp, #16",
        "pop     {{r4-r11, pc}}",
    )
}
