//! Windows of the input side by side, as the products of [`matmul`](super::matmul) read them: each number less the zero
//! point, in 16 bits, so that padding is 0 and needs no thought afterwards.

use core::arch::naked_asm;
use core::ops::Range;

use super::instructions::{even_bytes, less, odd_bytes, target, twice};
use super::places::Places;
use crate::params::Conv2dI8;
use crate::portable::rows::rows_of_mut;
use crate::taps::{Axis, Taps};

/// Windows that are multiplied at a time.
pub(super) const PIXELS: usize = 4;

/// Four taps of each window: words of the first and third, and then words of the second and fourth, which is how the
/// bytes of a word of weights become halves.
pub(super) type Group = [u32; 2 * PIXELS];

/// Bytes of 8-bit numbers that a group is made of, for one window.
pub(super) const TAPS: usize = 4;

/// Where the windows of a convolution lie.
pub(super) struct Windows {
    vertical: Axis,
    horizontal: Axis,
    width: usize,
    channels: usize,
    output_width: usize,
    zeros: u32,
    /// Of the words of the last group of a window, what belongs to it.
    last: [u32; 2],
}

impl Windows {
    pub(super) fn new(params: &Conv2dI8) -> Self {
        let geometry = params.geometry();
        let (from, window) = (geometry.input(), geometry.window());
        Self {
            vertical: Axis::vertical(window, from.height),
            horizontal: Axis::horizontal(window, from.width),
            width: from.width,
            channels: from.channels,
            output_width: geometry.output().width,
            zeros: twice(params.input_zero_point()),
            // First and third, second and fourth.
            last: match geometry.taps() % TAPS {
                1 => [0xffff, 0],
                2 => [0xffff; 2],
                3 => [u32::MAX, 0xffff],
                _ => [u32::MAX; 2],
            },
        }
    }

    /// Takes the windows of output pixels `first` to `first + 3`, in row-major order, over to `columns`. `places` are those of
    /// the taps, with an offset for each of a window in whole groups, where rows of windows do not end with a group.
    pub(super) fn take(
        &self,
        input: &[i8],
        first: usize,
        (places, offsets): (&mut Places, &mut [usize]),
        columns: &mut [Group],
    ) {
        if self.row_len().is_multiple_of(TAPS) && self.take_four(input, first, columns) {
            return;
        }
        let (mut y, mut x) = self.position(first);
        let mut rows = self.vertical.taps(y);
        for pixel in 0..PIXELS {
            let taps = self.horizontal.taps(x);
            if self.channels.is_multiple_of(TAPS) {
                self.take_one(input, (rows, taps), pixel, columns);
            } else {
                let (vertical, horizontal) = (&self.vertical, &self.horizontal);
                let base = places.find((vertical, rows), (horizontal, taps), offsets);
                self.pick(base, offsets, pixel, columns);
            }
            x = x.wrapping_add(1);
            if x == self.output_width {
                (x, y) = (0, y.wrapping_add(1));
                rows = self.vertical.taps(y);
            }
        }
    }

    /// Row and column of an output pixel.
    fn position(&self, pixel: usize) -> (usize, usize) {
        let y = pixel.checked_div(self.output_width).unwrap_or(0);
        (y, pixel.wrapping_sub(y.wrapping_mul(self.output_width)))
    }

    /// Numbers in a row of a window.
    fn row_len(&self) -> usize {
        self.horizontal.kernel.wrapping_mul(self.channels)
    }

    /// Takes four windows of one row of the output as if there were no padding to the left and right, and then clears what
    /// should have been padding. False, with nothing done, if that would read what is not in the input.
    fn take_four(&self, input: &[i8], first: usize, columns: &mut [Group]) -> bool {
        let (y, x) = self.position(first);
        let end = x.wrapping_add(PIXELS);
        if end > self.output_width || self.horizontal.dilation != 1 {
            return false;
        }
        let rows = self.vertical.taps(y);
        let (len, step) = (
            self.row_len(),
            self.horizontal.stride.wrapping_mul(self.channels),
        );
        let pixel = rows.position.wrapping_mul(self.width);
        let pixel = pixel.wrapping_add(x.wrapping_mul(self.horizontal.stride));
        let down = self.vertical.dilation.wrapping_mul(self.width);
        let down = down.wrapping_mul(self.channels);
        let Some(start) = pixel.checked_sub(self.horizontal.before) else {
            return false;
        };
        let mut start = start.wrapping_mul(self.channels);
        let reach = step.wrapping_mul(PIXELS - 1).wrapping_add(len);
        let last = down.wrapping_mul(rows.count.saturating_sub(1));
        if rows.count > 0 && start.wrapping_add(last).wrapping_add(reach) > input.len() {
            return false;
        }
        for (tap, groups) in rows_of_mut(columns, len / TAPS).enumerate() {
            if tap.wrapping_sub(rows.first) >= rows.count {
                groups.fill([0; 2 * PIXELS]);
                continue;
            }
            let source = input.get(start..start.wrapping_add(reach));
            widen_four(source.unwrap_or_default(), step, self.zeros, groups);
            start = start.wrapping_add(down);
        }
        for (column, x) in (x..end).enumerate() {
            let taps = self.horizontal.taps(x);
            if taps.count != self.horizontal.kernel {
                let inside = taps.first.wrapping_mul(self.channels)
                    ..taps
                        .first
                        .wrapping_add(taps.count)
                        .wrapping_mul(self.channels);
                for groups in rows_of_mut(columns, len / TAPS) {
                    clear_outside(groups, column, &inside);
                }
            }
        }
        true
    }

    /// One window of whatever place.
    fn take_one(
        &self,
        input: &[i8],
        (rows, taps): (Taps, Taps),
        column: usize,
        columns: &mut [Group],
    ) {
        // Taps that are neighbours are one run.
        let (run, runs) = match self.horizontal.dilation {
            1 => (taps.count.wrapping_mul(self.channels), 1),
            _ => (self.channels, taps.count),
        };
        let before = taps.first.wrapping_mul(self.channels);
        let mut row = rows.position;
        for (tap, groups) in rows_of_mut(columns, self.row_len() / TAPS).enumerate() {
            let (before, mut groups) = groups
                .split_at_mut_checked(before / TAPS)
                .unwrap_or_default();
            clear(before, column);
            if tap.wrapping_sub(rows.first) < rows.count {
                let mut left = taps.position;
                for _ in 0..runs {
                    let (own, rest) = groups.split_at_mut_checked(run / TAPS).unwrap_or_default();
                    let source = input.get(self.start(row, left)..).unwrap_or_default();
                    widen_one(source, self.zeros, column, own);
                    groups = rest;
                    left = left.wrapping_add(self.horizontal.dilation);
                }
                row = row.wrapping_add(self.vertical.dilation);
            }
            clear(groups, column);
        }
    }

    /// One window of whatever place, number by number. Does nothing if there are not as many offsets as taps.
    fn pick(&self, base: usize, offsets: &[usize], column: usize, columns: &mut [Group]) {
        // Sized for it by whoever split the scratch.
        if offsets.is_empty() || offsets.len() != columns.len().saturating_mul(TAPS) {
            return;
        }
        let Some(words) = columns.as_flattened_mut().get_mut(column..) else {
            return;
        };
        let offsets = offsets.as_ptr_range();
        // SAFETY: each offset leads from `base` to a number of the input, or to one that is padding; there are groups for all of
        // them, whole ones, of which there is at least one.
        unsafe {
            pick_words(
                offsets.start,
                base,
                words.as_mut_ptr(),
                offsets.end,
                self.zeros,
            )
        }
        if let Some(group) = columns.last_mut() {
            mask(group, column, self.last);
        }
    }

    /// Where the channels of an input pixel begin.
    fn start(&self, row: usize, column: usize) -> usize {
        let pixel = row.wrapping_mul(self.width).wrapping_add(column);
        pixel.wrapping_mul(self.channels)
    }
}

fn word(bytes: &[i8; TAPS]) -> u32 {
    u32::from_le_bytes(bytes.map(|q| q as u8))
}

/// Four windows at once, or rows of them, which begin `step` apart. Does nothing if the source is too short.
fn widen_four(source: &[i8], step: usize, zeros: u32, groups: &mut [Group]) {
    let len = groups.len().saturating_mul(TAPS);
    let reach = step.saturating_mul(PIXELS - 1).saturating_add(len);
    if groups.is_empty() || source.len() < reach {
        return;
    }
    let groups = groups.as_mut_ptr_range();
    // SAFETY: there is at least one group, and four times as many numbers as there are groups from each window's first on.
    unsafe { words_of_four(source.as_ptr(), step, groups.start, groups.end, zeros) }
}

/// # Safety
/// From `source`, and once, twice and three times `step` behind it, there is a word for each group, of which there is at
/// least one.
#[unsafe(naked)]
unsafe extern "C" fn words_of_four(
    source: *const i8,
    step: usize,
    groups: *mut Group,
    groups_end: *const Group,
    zeros: u32,
) {
    naked_asm!(
        target!(),
        "push    {{r4-r11, lr}}",
        "ldr     lr, [sp, #36]",
        "add     r12, r0, r1, lsl #1",
        "2:",
        "ldr     r9, [r0, r1]",
        "ldr     r8, [r0], #4",
        "ldr     r11, [r12, r1]",
        "ldr     r10, [r12], #4",
        "sxtb16  r4, r8",
        "sxtb16  r5, r9",
        "sxtb16  r6, r10",
        "sxtb16  r7, r11",
        "sxtb16  r8, r8, ror #8",
        "sxtb16  r9, r9, ror #8",
        "sxtb16  r10, r10, ror #8",
        "sxtb16  r11, r11, ror #8",
        "ssub16  r4, r4, lr",
        "ssub16  r5, r5, lr",
        "ssub16  r6, r6, lr",
        "ssub16  r7, r7, lr",
        "ssub16  r8, r8, lr",
        "ssub16  r9, r9, lr",
        "ssub16  r10, r10, lr",
        "ssub16  r11, r11, lr",
        "stmia   r2!, {{r4-r11}}",
        "cmp     r2, r3",
        "bne     2b",
        "pop     {{r4-r11, pc}}",
    )
}

/// # Safety
/// The numbers at the offsets from `base` are there, and a group's words for each four of them, of which there are some.
#[unsafe(naked)]
unsafe extern "C" fn pick_words(
    offsets: *const usize,
    base: usize,
    words: *mut u32,
    offsets_end: *const usize,
    zeros: u32,
) {
    naked_asm!(
        target!(),
        "push    {{r4-r7, lr}}",
        "ldr     r12, [sp, #20]",
        "2:",
        "ldm     r0!, {{r4-r7}}",
        "ldrsb   r4, [r1, r4]",
        "ldrsb   r5, [r1, r5]",
        "ldrsb   r6, [r1, r6]",
        "ldrsb   r7, [r1, r7]",
        "pkhbt   r4, r4, r6, lsl #16",
        "pkhbt   r5, r5, r7, lsl #16",
        "ssub16  r4, r4, r12",
        "ssub16  r5, r5, r12",
        "str     r5, [r2, #16]",
        "str     r4, [r2], #32",
        "cmp     r0, r3",
        "bne     2b",
        "pop     {{r4-r7, pc}}",
    )
}

/// One window, or a part of it.
#[inline(always)]
fn widen_one(source: &[i8], zeros: u32, column: usize, groups: &mut [Group]) {
    for (group, bytes) in groups.iter_mut().zip(source.as_chunks().0) {
        set(group, column, widen(bytes, zeros));
    }
}

/// The words of four taps.
#[inline(always)]
pub(super) fn widen(bytes: &[i8; TAPS], zeros: u32) -> [u32; 2] {
    let bytes = word(bytes);
    [
        less(even_bytes(bytes), zeros),
        less(odd_bytes(bytes), zeros),
    ]
}

/// A part of a window that is padding.
fn clear(groups: &mut [Group], column: usize) {
    for group in groups {
        set(group, column, [0; 2]);
    }
}

/// Makes padding of what is not `inside`, of a row of one window. Whole groups are cleared as such.
fn clear_outside(groups: &mut [Group], column: usize, inside: &Range<usize>) {
    for (index, group) in groups.iter_mut().enumerate() {
        let first = index.wrapping_mul(TAPS);
        if first >= inside.end || first.wrapping_add(TAPS) <= inside.start {
            set(group, column, [0; 2]);
        } else if first < inside.start || first.wrapping_add(TAPS) > inside.end {
            let half = |tap: usize| match inside.contains(&first.wrapping_add(tap)) {
                true => 0xffff,
                false => 0,
            };
            mask(
                group,
                column,
                [half(0) | half(2) << 16, half(1) | half(3) << 16],
            );
        }
    }
}

/// Keeps what is in the masks.
fn mask(group: &mut Group, column: usize, masks: [u32; 2]) {
    let (evens, odds) = group.split_at_mut(PIXELS);
    for (words, mask) in [evens, odds].into_iter().zip(masks) {
        if let Some(word) = words.get_mut(column) {
            *word &= mask;
        }
    }
}

#[inline(always)]
fn set(group: &mut Group, column: usize, [even, odd]: [u32; 2]) {
    let (evens, odds) = group.split_at_mut(PIXELS);
    if let (Some(e), Some(o)) = (evens.get_mut(column), odds.get_mut(column)) {
        (*e, *o) = (even, odd);
    }
}
