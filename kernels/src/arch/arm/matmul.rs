//! Products of four columns with two rows of weights at a time: eight sums in registers, and what becomes of them.
//!
//! Of the fourteen registers that there are eight hold sums, three say where columns and rows are, and three hold what is
//! multiplied. So a word of weights is loaded twice, for its even bytes and for its odd ones, and where the columns end is
//! looked up in memory. Where weights are [pairs](crate::params::RowOrder::Pairs) of rows, one register says where they
//! are, one word has two weights of either row, and two windows are loaded at once.

use core::arch::naked_asm;

use super::columns::{Group, PIXELS, TAPS};
use super::instructions::target;
use super::rounding::{Rounding, real, scaled};

/// Rows that are multiplied at a time.
const ROWS: usize = 2;

/// What the loop reads, and where it keeps count. Neighbours here are loaded together.
#[repr(C)]
struct Job {
    /// Of the next two rows.
    weights: *const i8,
    bias: *const i32,
    /// From one row to the next; from one pair to the next, where they are such.
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

    /// Copies of the first.
    pub(super) fn few<const N: usize>(self) -> Few<N> {
        Few {
            bias: self.bias.map(first),
            scale: first(self.scale),
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

/// Bias and scale of `N` rows, 0 for those that there are not.
pub(super) struct Few<const N: usize> {
    bias: Option<[i32; N]>,
    scale: [f32; N],
}

impl<const N: usize> Few<N> {
    pub(super) fn channels(&self) -> Channels<'_> {
        Channels {
            bias: self.bias.as_ref().map(|bias| bias.as_slice()),
            scale: &self.scale,
        }
    }
}

/// The first of a list, and 0 where it has ended.
fn first<T: Copy + Default, const N: usize>(list: &[T]) -> [T; N] {
    let mut first = [T::default(); N];
    first
        .iter_mut()
        .zip(list)
        .for_each(|(to, from)| *to = *from);
    first
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
    if weights.len() < len {
        return;
    }
    let job = Job::new(
        columns,
        (weights.as_ptr(), row),
        pairs,
        channels,
        rounding,
        to,
    );
    if let Some(mut job) = job {
        // SAFETY: the rows and all that is read behind them are within the weights.
        unsafe { columns_times_rows(&mut job) }
    }
}

/// Multiplies all of `columns` with `pairs` [pairs](crate::params::RowOrder::Pairs) of rows, as [`multiply`] does.
pub(super) fn multiply_pairs(
    columns: &[Group],
    weights: &[i8],
    pairs: usize,
    channels: Channels<'_>,
    rounding: Rounding,
    to: Pixels<'_>,
) {
    let pair = columns.len().saturating_mul(ROWS * TAPS);
    if weights.len() < pairs.saturating_mul(pair) {
        return;
    }
    let weights = (weights.as_ptr(), pair);
    let job = Job::new(columns, weights, pairs, channels, rounding, to);
    if let Some(mut job) = job {
        // SAFETY: there are as many pairs, as long as the columns.
        unsafe { columns_times_pairs(&mut job) }
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
    let job = Job::new(columns, (first, row), 1, channels, rounding, to);
    if let Some(mut job) = job {
        // SAFETY: both rows are as long as the columns.
        unsafe { columns_times_rows(&mut job) }
    }
}

impl Job {
    /// A job with at least one group and one pair of rows, and with biases, scales and outputs for each row; none if there is
    /// too little of anything. Whoever runs it sees to the weights.
    fn new(
        columns: &[Group],
        (weights, row): (*const i8, usize),
        pairs: usize,
        channels: Channels<'_>,
        rounding: Rounding,
        Pixels { output, stride }: Pixels<'_>,
    ) -> Option<Self> {
        let rows = pairs.saturating_mul(ROWS);
        let last = stride.saturating_mul(PIXELS - 1);
        let short = output.len() < last.saturating_add(rows) || !channels.have(rows);
        if columns.is_empty() || pairs == 0 || short {
            return None;
        }
        let columns = columns.as_ptr_range();
        let (bias, bias_step) = channels.bias(ROWS);
        let scale = channels.scale.as_ptr();
        Some(Self {
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
        })
    }
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

/// The products of two taps of four windows with those of a pair of rows, which are one word.
macro_rules! products_of_pair {
    () => {
        "
        ldr     r3, [r1], #4
        sxtb16  r12, r3
        ldrd    r2, lr, [r0], #8
        smlad   r4, r12, r2, r4
        smlad   r8, r3, r2, r8
        smlad   r5, r12, lr, r5
        smlad   r9, r3, lr, r9
        ldrd    r2, lr, [r0], #8
        smlad   r6, r12, r2, r6
        smlad   r10, r3, r2, r10
        smlad   r7, r12, lr, r7
        smlad   r11, r3, lr, r11
        "
    };
}

/// A group: 32 products in 24 instructions.
macro_rules! group_of_pair {
    () => {
        concat!(products_of_pair!(), products_of_pair!())
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

/// A function that multiplies four columns with rows, two at a time: what comes before them, the products of a group, and how
/// the sums of the second row become real numbers.
macro_rules! columns_times {
    (fn $name:ident, $begin:expr, $group:expr, $sums:expr, $real:expr) => {
        /// # Safety
        /// What the job points to is there for as many columns, rows and pixels, of which there is at least one each.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(job: &mut Job) {
            naked_asm!(
                target!(),
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
                $begin,
                "mov     r5, r4",
                "mov     r6, r4",
                "mov     r7, r4",
                "mov     r9, r8",
                "mov     r10, r8",
                "mov     r11, r8",
                "ldr     r0, [r0, #36]",
                "ldr     pc, [sp, #12]",
                "3:",
                $group,
                "4:",
                $group,
                "5:",
                $group,
                "6:",
                $group,
                "ldr     r3, [sp, #4]",
                "cmp     r0, r3",
                "bne     3b",
                // The sums of either row times its scale, rounded.
                "ldr     r0, [sp]",
                "vmov    s0, s1, r4, r5",
                "vmov    s2, s3, r6, r7",
                $sums,
                real!("s0", "s1", "s2", "s3"),
                $real,
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
    };
}

columns_times!(
    fn columns_times_rows,
    "
    add     lr, r1, r3, lsl #1
    strd    lr, r12, [r0]
    add     r2, r1, r3
    ",
    group!(),
    "
    vmov    s4, s5, r8, r9
    vmov    s6, s7, r10, r11
    ",
    real!("s4", "s5", "s6", "s7")
);

// Where a pair of rows lies together, the second sum is 256 times what it should be, and has the first added to it.
columns_times!(
    fn columns_times_pairs,
    "
    add     lr, r1, r3
    strd    lr, r12, [r0]
    add     r8, r4, r8, lsl #8
    ",
    group_of_pair!(),
    "
    sub     r8, r8, r4
    sub     r9, r9, r5
    sub     r10, r10, r6
    sub     r11, r11, r7
    vmov    s4, s5, r8, r9
    vmov    s6, s7, r10, r11
    ",
    real!(256: "s4", "s5", "s6", "s7")
);
