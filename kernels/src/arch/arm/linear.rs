//! Linear layer: four rows of weights at a time, each word of which is used once; or two
//! [pairs](RowOrder::Pairs) of rows.

use core::arch::naked_asm;

use super::columns::{TAPS, widen};
use super::instructions::{bound, target, twice};
use super::matmul::Channels;
use super::rounding::{Rounding, real, scaled, store_four};
use crate::lengths;
use crate::params::{Linear, LinearI8, RowOrder, WeightsI8};
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
    let all = (weights, params.weights_len(weights.order));
    let room = (&*scratch, scratch_len(params));
    if lengths::linear_i8_with(params, input, all, room, output).is_none() {
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
        match weights.order {
            RowOrder::Rows => one_sample(params, x, column, weights, y),
            RowOrder::Pairs => pairs(params, x, column, weights, y),
        }
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
            order: RowOrder::Rows,
            bias: own.bias,
            scale: own.scale,
        };
        portable::linear_i8(&params, x, weights, left);
    }
}

/// One sample of a layer whose rows are pairs.
fn pairs(params: &LinearI8, x: &[i8], column: &[Group], weights: WeightsI8<'_>, y: &mut [i8]) {
    let rounding = Rounding::new(params.output());
    let all = Channels {
        bias: weights.bias,
        scale: weights.scale,
    };
    let (pair, count) = (column.len().wrapping_mul(2 * TAPS), y.len());
    // Words are loaded two at a time, which they have to be aligned for.
    if count <= 2 || !weights.weights.as_ptr().addr().is_multiple_of(4) {
        return portable::linear_i8(params, x, weights, y);
    }
    let whole = count / ROWS;
    multiply_pairs(column, weights.weights, whole, all, rounding, y);
    if count.is_multiple_of(ROWS) {
        return;
    }
    // The last two pairs: some rows are computed twice, and one may be none.
    let first = count.div_ceil(2).wrapping_sub(2).wrapping_mul(2);
    let few = all.from(first).few::<ROWS>();
    let rows = weights.weights.get((first / 2).wrapping_mul(pair)..);
    let rows = rows.unwrap_or_default();
    let mut numbers = [0; ROWS];
    multiply_pairs(column, rows, 1, few.channels(), rounding, &mut numbers);
    let last = y.get_mut(first..).unwrap_or_default();
    last.iter_mut()
        .zip(numbers)
        .for_each(|(to, from)| *to = from);
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
    if weights.len() < len {
        return;
    }
    let weights = (weights.as_ptr(), row);
    if let Some(mut job) = Job::new(column, weights, blocks, channels, rounding, output) {
        // SAFETY: the rows and all that is read behind them are within the weights.
        unsafe { column_times_rows(&mut job) }
    }
}

/// Multiplies `column` with `blocks` times two [pairs](RowOrder::Pairs) of rows, and writes the numbers that the sums become.
///
/// Does nothing if a slice is too short, or weights are not aligned as words are.
fn multiply_pairs(
    column: &[Group],
    weights: &[i8],
    blocks: usize,
    channels: Channels<'_>,
    rounding: Rounding,
    output: &mut [i8],
) {
    let pair = column.len().saturating_mul(2 * TAPS);
    let len = blocks.saturating_mul(2).saturating_mul(pair);
    let is_aligned = weights.as_ptr().addr().is_multiple_of(align_of::<u32>());
    if weights.len() < len || !is_aligned {
        return;
    }
    let weights = (weights.as_ptr(), pair);
    if let Some(mut job) = Job::new(column, weights, blocks, channels, rounding, output) {
        // SAFETY: there are as many pairs, as long as the column.
        unsafe { column_times_pairs(&mut job) }
    }
}

impl Job {
    /// A job with at least one group and one block, and with biases, scales and outputs for each row; none if there is too
    /// little of anything. Whoever runs it sees to the weights.
    fn new(
        column: &[Group],
        (weights, row): (*const i8, usize),
        blocks: usize,
        channels: Channels<'_>,
        rounding: Rounding,
        output: &mut [i8],
    ) -> Option<Self> {
        let rows = blocks.saturating_mul(ROWS);
        if column.is_empty() || blocks == 0 || output.len() < rows || !channels.have(rows) {
            return None;
        }
        let column = column.as_ptr_range();
        let (bias, bias_step) = channels.bias(ROWS);
        Some(Self {
            column: column.start,
            column_end: column.end,
            weights,
            row,
            bias,
            bias_step,
            scale: channels.scale.as_ptr(),
            output: output.as_mut_ptr(),
            blocks,
            rounding,
        })
    }
}

/// What the loop reads, and where it keeps count.
#[repr(C)]
struct Job {
    column: *const Group,
    column_end: *const Group,
    /// Of the next four rows.
    weights: *const i8,
    /// From one row to the next; from one pair to the next, where they are such.
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

/// The products of four features with a pair of rows.
macro_rules! products_of_pair {
    ($first:literal, $second:literal) => {
        concat!(
            "sxtb16 r2, r7\n",
            concat!("smlad ", $first, ", r2, r5, ", $first, "\n"),
            concat!("smlad ", $second, ", r7, r5, ", $second, "\n"),
            "sxtb16 r2, r12\n",
            concat!("smlad ", $first, ", r2, r6, ", $first, "\n"),
            concat!("smlad ", $second, ", r12, r6, ", $second, "\n"),
        )
    };
}

/// A group: 16 products in 15 instructions.
macro_rules! group_of_pairs {
    () => {
        concat!(
            "ldrd r5, r6, [r0], #8\n",
            "ldrd r7, r12, [r1], #8\n",
            products_of_pair!("r8", "r9"),
            "ldrd r7, r12, [r4], #8\n",
            products_of_pair!("r10", "r11"),
        )
    };
}

/// A function that multiplies a column with four rows at a time: where the rows after the first are, what sums of rows begin
/// with beside their biases, the products of a group, and how the sums become real numbers.
macro_rules! column_times {
    (fn $name:ident, $next:literal, $rows:literal, $begin:expr, $group:expr, $real:expr) => {
        /// # Safety
        /// What the job points to is there for as many features and rows, of which there is at least one group and block.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(job: &mut Job) {
            naked_asm!(
                target!(),
                "push    {{r4-r11, lr}}",
                "mov     lr, r0",
                "ldr     r3, [r0, #4]",
                // Four rows: where they are, and their biases.
                "2:",
                "ldr     r1, [lr, #8]",
                "ldr     r2, [lr, #12]",
                $next,
                "str     r4, [lr, #8]",
                $rows,
                "ldr     r5, [lr, #16]",
                "ldr     r6, [lr, #20]",
                "ldm     r5, {{r8-r11}}",
                "add     r5, r5, r6",
                "str     r5, [lr, #16]",
                $begin,
                "ldr     r0, [lr]",
                // Two groups at a time; an odd one comes first.
                "sub     r5, r3, r0",
                "tst     r5, #8",
                "bne     4f",
                "3:",
                $group,
                "4:",
                $group,
                "cmp     r0, r3",
                "bne     3b",
                // The sums times their scales, rounded.
                $real,
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
    };
}

column_times!(
    fn column_times_rows,
    "add     r4, r1, r2, lsl #2",
    "add     r4, r1, r2, lsl #1",
    "",
    group!(),
    concat!(
        "vmov s0, s1, r8, r9\n",
        "vmov s2, s3, r10, r11\n",
        real!("s0", "s1", "s2", "s3"),
    )
);

// The second sum of a pair is 256 times what it should be, and has the first added to it.
column_times!(
    fn column_times_pairs,
    "add     r4, r1, r2, lsl #1",
    "add     r4, r1, r2",
    "
    add     r9, r8, r9, lsl #8
    add     r11, r10, r11, lsl #8
    ",
    group_of_pairs!(),
    concat!(
        "sub r9, r9, r8\n",
        "sub r11, r11, r10\n",
        "vmov s0, s1, r8, r9\n",
        "vmov s2, s3, r10, r11\n",
        real!("s0", "s2"),
        real!(256: "s1", "s3"),
    )
);
