//! Depthwise convolution of three by three taps without stride: two rows of the output at a time.
//!
//! Of the four rows of the input that two of the output see, the numbers of the first and second are brought together in one
//! word, and those of the third and fourth in another, channel by channel. Two products and their sum are one instruction
//! then, for either row of the output: `(r0, r1)` with `(w0, w1)` and `r2` with `w2`; `r1` with `w0` and `(r2, r3)` with
//! `(w1, w2)`. What the zero point adds to the sums goes into the bias.

use core::arch::naked_asm;
use core::ops::Range;

use super::conv2d::SCRATCH;
use super::instructions::{bound, target, twice};
use super::rounding::{Rounding, real, scaled};
use crate::lengths;
use crate::params::{Conv2d, Conv2dI8, WeightsI8};
use crate::portable::rows::{rows_of, rows_of_mut};

/// Channels side by side.
const QUAD: usize = 4;

/// Rows and columns of the window.
const TAPS: usize = 3;

/// Rows of the output that are computed together.
const ROWS: usize = 2;

/// Rows of the input that they see.
const SEEN: usize = ROWS + TAPS - 1;

/// A column of the input for four channels: of each the first two rows, and the last two.
type Column = [u32; 2 * QUAD];

/// The parameters of a channel, as the loop takes them in.
#[repr(C)]
#[derive(Clone, Copy)]
struct Channel {
    /// Of each column of the window the weights of the first two rows.
    first: [u32; TAPS],
    /// And those of the last two.
    last: [u32; TAPS],
    bias: i32,
    scale: f32,
}

/// The most columns at a time: with the parameters of a quad they have to fit [`SCRATCH`].
const MOST_COLUMNS: usize = (SCRATCH - size_of::<[Channel; QUAD]>()) / size_of::<Column>();

/// Whether a layer is one for this.
pub(super) fn takes(geometry: &Conv2d) -> bool {
    let window = geometry.window();
    geometry.is_depthwise()
        && geometry.input().channels.is_multiple_of(QUAD)
        && (window.kernel_h, window.kernel_w) == (TAPS, TAPS)
        && (window.stride_h, window.stride_w) == (1, 1)
        && (window.dilation_h, window.dilation_w) == (1, 1)
        && geometry.output().height >= ROWS
}

/// Columns of the input that are taken over at a time.
fn columns(geometry: &Conv2d) -> usize {
    let all = geometry.output().width.saturating_add(TAPS - 1);
    all.min(MOST_COLUMNS)
}

pub(super) fn scratch_len(geometry: &Conv2d) -> usize {
    let columns = columns(geometry).saturating_mul(size_of::<Column>());
    columns.saturating_add(size_of::<[Channel; QUAD]>())
}

/// Depthwise convolution, bias and bounds.
pub(super) fn conv2d_i8(
    params: &Conv2dI8,
    input: &[i8],
    weights: WeightsI8<'_>,
    scratch: &mut [u8],
    output: &mut [i8],
) {
    let geometry = params.geometry();
    let all = (weights, params.weights_len(weights.order));
    let room = (&*scratch, scratch_len(geometry));
    if lengths::conv2d_i8_with(params, input, all, room, output).is_none() {
        return;
    }
    // SAFETY: any bits are words.
    let (_, strip, _) = unsafe { scratch.align_to_mut::<Column>() };
    let Some(strip) = strip.get_mut(..columns(geometry)) else {
        return;
    };
    let (from, to) = (geometry.input(), geometry.output());
    let at_once = strip.len().saturating_sub(TAPS - 1).max(1);
    let steps = (to.width.wrapping_mul(to.channels), to.channels);
    let rounding = Rounding::new(params.output());
    for x in (0..to.width).step_by(at_once) {
        let count = at_once.min(to.width.wrapping_sub(x));
        let strip = strip.get_mut(..count.wrapping_add(TAPS - 1));
        let strip = strip.unwrap_or_default();
        let seen = Seen::new(params, x, strip);
        for quad in 0..from.channels / QUAD {
            let channels = prepare(params, weights, quad);
            let channel = quad.wrapping_mul(QUAD);
            for (input, output) in rows_of(input, from.len()).zip(rows_of_mut(output, to.len())) {
                let start = x.wrapping_mul(to.channels).wrapping_add(channel);
                for y in (0..to.height).step_by(ROWS) {
                    // Two that end with the last one: one may be computed twice.
                    let y = y.min(to.height.saturating_sub(ROWS));
                    seen.take(input, channel, y, strip);
                    let start = y.wrapping_mul(steps.0).wrapping_add(start);
                    let output = output.get_mut(start..).unwrap_or_default();
                    multiply(strip, &channels, rounding, output, steps);
                }
            }
        }
    }
    bound(output, params.output().low(), params.output().high());
}

/// The parameters of a quad.
fn prepare(params: &Conv2dI8, weights: WeightsI8<'_>, quad: usize) -> [Channel; QUAD] {
    let zero_point = i32::from(params.input_zero_point());
    [0, 1, 2, 3].map(|channel| {
        let channel = quad.wrapping_mul(QUAD).wrapping_add(channel);
        let start = channel.wrapping_mul(TAPS * TAPS);
        let own: Option<&[i8; TAPS * TAPS]> = weights
            .weights
            .get(start..)
            .and_then(|own| own.first_chunk());
        let [a0, a1, a2, b0, b1, b2, c0, c1, c2] = own.copied().unwrap_or_default();
        let sum: i32 = own
            .into_iter()
            .flatten()
            .map(|weight| i32::from(*weight))
            .sum();
        let bias = weights.bias.and_then(|bias| bias.get(channel)).copied();
        Channel {
            first: [pair(a0, b0), pair(a1, b1), pair(a2, b2)],
            last: [pair(b0, c0), pair(b1, c1), pair(b2, c2)],
            bias: bias.unwrap_or(0).wrapping_sub(sum.wrapping_mul(zero_point)),
            scale: weights.scale.get(channel).copied().unwrap_or_default(),
        }
    })
}

/// Two numbers as the halves of a word.
fn pair(low: i8, high: i8) -> u32 {
    let half = |x: i8| u32::from(i16::from(x) as u16);
    half(low) | half(high) << 16
}

/// What the output sees of the input, from some column on.
struct Seen {
    height: usize,
    row_len: usize,
    channels: usize,
    /// Rows of padding above the input.
    above: usize,
    /// The column of the input that is the first of the strip which is not padding.
    column: usize,
    /// Those of the strip.
    inside: Range<usize>,
    zeros: u32,
}

impl Seen {
    /// From column `x` of the output on, as many columns as the strip has; those that are padding are written already.
    fn new(params: &Conv2dI8, x: usize, strip: &mut [Column]) -> Self {
        let geometry = params.geometry();
        let (from, padding) = (geometry.input(), geometry.window().padding);
        let zeros = twice(params.input_zero_point());
        let start = padding.left.saturating_sub(x).min(strip.len());
        let end = from.width.saturating_add(padding.left).saturating_sub(x);
        let inside = start..end.clamp(start, strip.len());
        for (index, column) in strip.iter_mut().enumerate() {
            if !inside.contains(&index) {
                *column = [zeros; 2 * QUAD];
            }
        }
        Self {
            height: from.height,
            row_len: from.width.wrapping_mul(from.channels),
            channels: from.channels,
            above: padding.top,
            column: x.wrapping_add(start).wrapping_sub(padding.left),
            inside,
            zeros,
        }
    }

    /// Takes over what the output's rows `y` and `y + 1` see of four channels, from `channel` on.
    fn take(&self, input: &[i8], channel: usize, y: usize, strip: &mut [Column]) {
        let strip = strip.get_mut(self.inside.clone()).unwrap_or_default();
        let Some(last) = strip.len().checked_sub(1) else {
            return;
        };
        let first = self
            .column
            .wrapping_mul(self.channels)
            .wrapping_add(channel);
        let len = last.wrapping_mul(self.channels).wrapping_add(QUAD);
        // Rows above and below are read as if they were the first, and are replaced then.
        let rows = [0, 1, 2, 3].map(|row| {
            let row = y.wrapping_add(row).wrapping_sub(self.above);
            (row < self.height).then_some(row)
        });
        let starts =
            rows.map(|row| first.wrapping_add(row.unwrap_or(0).wrapping_mul(self.row_len)));
        let furthest = starts.into_iter().max().unwrap_or(0);
        if furthest.saturating_add(len) > input.len() {
            return;
        }
        let starts = starts.map(|start| input.as_ptr().wrapping_add(start));
        let words = strip.as_mut_ptr_range();
        // SAFETY: in each row there are four numbers for each column of the strip, of which there is at least one.
        unsafe { columns_of_four(&starts, self.channels, words.start, words.end) }
        for (row, found) in rows.iter().enumerate() {
            if found.is_none() {
                self.clear(row, strip);
            }
        }
    }

    /// Makes padding of one of the rows.
    #[inline(never)]
    fn clear(&self, row: usize, strip: &mut [Column]) {
        let keep = if row.is_multiple_of(2) {
            0xffff_0000
        } else {
            0xffff
        };
        for column in strip {
            for word in column.iter_mut().skip(row / 2).step_by(2) {
                *word = *word & keep | self.zeros & !keep;
            }
        }
    }
}

/// Writes two rows of four channels; `output` begins with the first number of the upper one.
///
/// Does nothing if it is too short.
fn multiply(
    strip: &[Column],
    channels: &[Channel; QUAD],
    rounding: Rounding,
    output: &mut [i8],
    (down, right): (usize, usize),
) {
    let Some(last) = strip.len().checked_sub(TAPS) else {
        return;
    };
    let reach = last
        .saturating_mul(right)
        .saturating_add(down)
        .saturating_add(QUAD);
    if output.len() < reach {
        return;
    }
    let channels = channels.as_ptr_range();
    let strip = strip.as_ptr();
    let job = Job {
        channels: channels.start,
        channels_end: channels.end,
        strip,
        strip_end: strip.wrapping_add(last).wrapping_add(1),
        output: output.as_mut_ptr(),
        down,
        right,
        rounding,
    };
    // SAFETY: the strip has two columns more than there are pixels, of which there is at least one, and the output has both
    // rows.
    unsafe { rows_of_four_channels(&job) }
}

/// What the loop reads.
#[repr(C)]
struct Job {
    channels: *const Channel,
    channels_end: *const Channel,
    strip: *const Column,
    /// The column that the pixel behind the last would begin with.
    strip_end: *const Column,
    output: *mut i8,
    /// From one row to the next.
    down: usize,
    /// From one pixel to the next.
    right: usize,
    rounding: Rounding,
}

/// What two rows give of four channels, of which the bytes stand for: the first two, and the last two where they go.
macro_rules! two_rows {
    ($even:literal, $odd:literal, $ror:literal, $first:literal, $second:literal) => {
        concat!(
            concat!("sxtb16 r8, ", $even, $ror, "\n"),
            concat!("sxtb16 r9, ", $odd, $ror, "\n"),
            "pkhbt r10, r8, r9, lsl #16\n",
            "pkhtb r11, r9, r8, asr #16\n",
            concat!("str r10, [r2, #", $first, "]\n"),
            concat!("str r11, [r2, #", $second, "]\n"),
        )
    };
}

/// # Safety
/// From each row on there are four numbers for each column, which lie `right` apart; of columns there is at least one.
#[unsafe(naked)]
unsafe extern "C" fn columns_of_four(
    rows: &[*const i8; SEEN],
    right: usize,
    columns: *mut Column,
    columns_end: *const Column,
) {
    naked_asm!(
        target!(),
        "push    {{r4-r11, lr}}",
        "vmov    s0, s1, r1, r3",
        "ldm     r0, {{r0, r1, r3, r12}}",
        "mov     lr, #0",
        "2:",
        "ldr     r4, [r0, lr]",
        "ldr     r5, [r1, lr]",
        "ldr     r6, [r3, lr]",
        "ldr     r7, [r12, lr]",
        two_rows!("r4", "r5", "", "0", "16"),
        two_rows!("r6", "r7", "", "4", "20"),
        two_rows!("r4", "r5", ", ror #8", "8", "24"),
        two_rows!("r6", "r7", ", ror #8", "12", "28"),
        "vmov    r8, r9, s0, s1",
        "add     r2, r2, #32",
        "add     lr, lr, r8",
        "cmp     r2, r9",
        "bne     2b",
        "pop     {{r4-r11, pc}}",
    )
}

/// The products of a column with the weights in these registers.
macro_rules! column {
    ($at:literal, $first:literal, $last:literal) => {
        concat!(
            concat!("ldrd r2, r3, [r0", $at, "\n"),
            concat!("smlad r10, r2, ", $first, ", r10\n"),
            concat!("smlabt r10, r3, ", $last, ", r10\n"),
            concat!("smlatb r11, r2, ", $first, ", r11\n"),
            concat!("smlad r11, r3, ", $last, ", r11\n"),
        )
    };
}

/// # Safety
/// What the job points to is there for as many channels and pixels, of which there is at least one each.
#[unsafe(naked)]
unsafe extern "C" fn rows_of_four_channels(job: &Job) {
    naked_asm!(
        target!(),
        "push    {{r4-r11, lr}}",
        "ldm     r0!, {{r1-r5}}",
        "ldm     r0, {{r6-r9}}",
        "mov     r12, r6",
        "mov     lr, r7",
        // Parameters and their end, the first column and the one behind the last, where the output is.
        "vmov    s13, r1",
        "vmov    s7, r2",
        "vmov    s14, r3",
        "vmov    s12, r4",
        "vmov    s15, r5",
        "vmov    s11, r8",
        "vmov    s10, r9",
        // A channel: the words of each are two behind those of the one before.
        "2:",
        "vmov    r1, s13",
        "ldm     r1!, {{r4-r9}}",
        "vldmia  r1!, {{s8, s9}}",
        "vmov    s13, r1",
        "vmov    r0, r1, s14, s15",
        "add     r2, r0, #8",
        "add     r3, r1, #1",
        "vmov    s14, s15, r2, r3",
        "vmov    r2, s12",
        "vmov    s6, r2",
        "add     r2, r2, #8",
        "vmov    s12, r2",
        "3:",
        "vmov    r10, s8",
        "mov     r11, r10",
        column!("], #32", "r4", "r7"),
        column!("]", "r5", "r8"),
        column!(", #32]", "r6", "r9"),
        // The sums times their scale, rounded.
        "vmov    s0, s1, r10, r11",
        "vmov    r2, s11",
        real!("s0", "s1"),
        scaled!("s10": "s0" * "s9", "s1" * "s9"),
        "vmov    r10, r11, s0, s1",
        "vmov    r3, s6",
        "qsub    r10, r10, r2",
        "qsub    r11, r11, r2",
        "ssat    r10, #8, r10",
        "ssat    r11, #8, r11",
        "strb    r11, [r1, r12]",
        "strb    r10, [r1]",
        "add     r1, r1, lr",
        "cmp     r0, r3",
        "bne     3b",
        "vmov    r1, s13",
        "vmov    r2, s7",
        "cmp     r1, r2",
        "bne     2b",
        "pop     {{r4-r11, pc}}",
    )
}
