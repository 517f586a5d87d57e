//! Depthwise convolution, four channels at a time: one word of the input for each tap.
//!
//! Weights are taken to 16 bits in the order in which they meet a word's halves, and what the zero point adds to the sums
//! goes into the bias. So many channels are prepared at once as there is scratch for.

use core::arch::naked_asm;

use super::conv2d::SCRATCH;
use super::instructions::{bound, target};
use super::places::Places;
use super::rounding::{Rounding, real, scaled, store_four};
use crate::lengths;
use crate::params::{Conv2d, Conv2dI8, WeightsI8};
use crate::portable::rows::{rows_of, rows_of_mut};
use crate::taps::Axis;

/// Channels side by side.
const QUAD: usize = 4;

/// Taps to one turn of the loop; what a window has less are taps of weight 0.
const UNROLLED: usize = 3;

/// The most taps of a window: with their places and the weights of a quad they have to fit [`SCRATCH`].
const MOST_TAPS: usize = 125;

/// Whether a layer is one for this.
pub(super) fn takes(geometry: &Conv2d) -> bool {
    geometry.is_depthwise()
        && geometry.input().channels.is_multiple_of(QUAD)
        && geometry.taps() <= MOST_TAPS
}

fn whole_taps(geometry: &Conv2d) -> usize {
    geometry.taps().saturating_add(UNROLLED - 1) / UNROLLED * UNROLLED
}

/// Bytes of scratch for all quads of channels, or as many as there is room for beside what others need, but at least one.
pub(super) fn scratch_len(geometry: &Conv2d) -> usize {
    let taps = whole_taps(geometry);
    let offsets = taps.saturating_mul(size_of::<usize>());
    let weights = taps.saturating_mul(size_of::<[i16; QUAD]>());
    let quad = weights.saturating_add(BESIDE);
    let quads = geometry.input().channels / QUAD;
    let room = SCRATCH.saturating_sub(offsets).checked_div(quad);
    let quads = quads.min(room.unwrap_or(0)).max(1);
    offsets.saturating_add(quads.saturating_mul(quad))
}

/// What a quad has beside its weights: biases, and numbers that are padding.
const BESIDE: usize = size_of::<[i32; QUAD]>() + size_of::<[i8; QUAD]>();

/// Scratch in its parts.
struct Scratch<'a> {
    /// Where the taps of a window are, from its first on.
    offsets: &'a mut [usize],
    /// Of each quad and tap: channels 0 and 2, 1 and 3.
    weights: &'a mut [[i16; QUAD]],
    bias: &'a mut [[i32; QUAD]],
    /// Zero points.
    padding: &'a mut [[i8; QUAD]],
}

impl<'a> Scratch<'a> {
    /// For as many quads as there is room for, and no more than `most`.
    fn split(scratch: &'a mut [u8], taps: usize, most: usize) -> Option<Self> {
        let offsets = taps.checked_mul(size_of::<usize>())?;
        let weights = taps.checked_mul(size_of::<[i16; QUAD]>())?;
        let room = scratch.len().checked_sub(offsets)?;
        let quads = room.checked_div(weights.checked_add(BESIDE)?)?.min(most);
        let (offsets, rest) = scratch.split_at_mut_checked(offsets)?;
        let (bias, rest) =
            rest.split_at_mut_checked(quads.checked_mul(size_of::<[i32; QUAD]>())?)?;
        let (weights, rest) = rest.split_at_mut_checked(quads.checked_mul(weights)?)?;
        let padding = rest.get_mut(..quads.checked_mul(QUAD)?)?;
        // SAFETY: any bits are numbers of these types.
        let (offsets, bias, weights, padding) = unsafe {
            (
                offsets.align_to_mut().1,
                bias.align_to_mut().1,
                weights.align_to_mut().1,
                padding.align_to_mut().1,
            )
        };
        let split = Self {
            offsets,
            weights,
            bias,
            padding,
        };
        // Scratch is aligned, so nothing was lost; and there has to be something.
        let is_whole = split.offsets.len() == taps
            && split.bias.len() == quads
            && split.padding.len() == quads
            && split.weights.len() == quads.checked_mul(taps)?;
        (quads > 0 && is_whole).then_some(split)
    }
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
    let quads = geometry.input().channels / QUAD;
    let Some(mut scratch) = Scratch::split(scratch, whole_taps(geometry), quads) else {
        return;
    };
    let at_once = scratch.bias.len();
    let (from, to) = (geometry.input(), geometry.output());
    for first in (0..quads).step_by(at_once.max(1)) {
        let quads = at_once.min(quads.saturating_sub(first));
        prepare(params, weights, first, quads, &mut scratch);
        let scale = weights.scale.get(first.wrapping_mul(QUAD)..);
        let channels = Quads {
            first,
            count: quads,
            scale: scale.unwrap_or_default(),
        };
        for (input, output) in rows_of(input, from.len()).zip(rows_of_mut(output, to.len())) {
            one_sample(params, input, channels, &mut scratch, output);
        }
    }
    bound(output, params.output().low(), params.output().high());
}

/// Channels that are prepared.
#[derive(Clone, Copy)]
struct Quads<'a> {
    first: usize,
    count: usize,
    scale: &'a [f32],
}

/// Brings weights and bias of `count` quads from quad `first` on into the order in which they are used.
fn prepare(
    params: &Conv2dI8,
    weights: WeightsI8<'_>,
    first: usize,
    count: usize,
    scratch: &mut Scratch<'_>,
) {
    let taps = params.geometry().taps();
    let zero_point = params.input_zero_point();
    let whole = scratch.offsets.len();
    let all = rows_of_mut(scratch.weights, whole).zip(scratch.bias.iter_mut());
    for (quad, (packed, bias)) in all.take(count).enumerate() {
        let channel = quad.wrapping_add(first).wrapping_mul(QUAD);
        packed.fill([0; QUAD]);
        for (at, bias) in bias.iter_mut().enumerate() {
            let channel = channel.wrapping_add(at);
            let own = weights.bias.and_then(|bias| bias.get(channel));
            let row = weights.weights.get(channel.wrapping_mul(taps)..);
            // Halves of words: 0 and 2, 1 and 3.
            let place = [0, 2, 1, 3].get(at).copied().unwrap_or(0);
            let mut sum = 0i32;
            for (packed, weight) in packed.iter_mut().zip(row.unwrap_or_default()).take(taps) {
                sum = sum.wrapping_add(i32::from(*weight));
                if let Some(packed) = packed.get_mut(place) {
                    *packed = i16::from(*weight);
                }
            }
            let sum = sum.wrapping_mul(i32::from(zero_point));
            *bias = own.copied().unwrap_or(0).wrapping_sub(sum);
        }
    }
    scratch.padding.fill([zero_point; QUAD]);
}

fn one_sample(
    params: &Conv2dI8,
    input: &[i8],
    quads: Quads<'_>,
    scratch: &mut Scratch<'_>,
    output: &mut [i8],
) {
    let geometry = params.geometry();
    let (from, to, window) = (geometry.input(), geometry.output(), geometry.window());
    let vertical = Axis::vertical(window, from.height);
    let horizontal = Axis::horizontal(window, from.width);
    let rounding = Rounding::new(params.output());
    let row_len = to.width.wrapping_mul(to.channels);
    let channel = quads.first.wrapping_mul(QUAD);
    let channels = (from.channels, 1);
    let first = input.get(channel..).unwrap_or_default().as_ptr();
    let mut places = Places::new(from.width, channels, first, scratch.padding.as_ptr().cast());
    for (y, row) in rows_of_mut(output, row_len).enumerate() {
        let rows = vertical.taps(y);
        for (x, pixel) in rows_of_mut(row, to.channels).enumerate() {
            let base = places.find(
                (&vertical, rows),
                (&horizontal, horizontal.taps(x)),
                scratch.offsets,
            );
            let Some(numbers) = pixel.get_mut(channel..) else {
                continue;
            };
            if numbers.len() < quads.count.wrapping_mul(QUAD) {
                continue;
            }
            let offsets = scratch.offsets.as_ptr_range();
            let job = Job {
                offsets: offsets.start,
                offsets_end: offsets.end,
                weights: scratch.weights.as_ptr(),
                bias: scratch.bias.as_ptr(),
                scale: quads.scale.as_ptr(),
                base,
                base_end: base.wrapping_add(quads.count.wrapping_mul(QUAD)),
                output: numbers.as_mut_ptr(),
                rounding,
            };
            // SAFETY: the offsets lead from `base` to where a tap of the first of these quads is in the input, or to the
            // padding; of either, as of weights, biases, scales and outputs, there is as much as there are quads.
            unsafe { quads_of_a_pixel(&job) }
        }
    }
}

/// What the loop reads.
#[repr(C)]
struct Job {
    offsets: *const usize,
    offsets_end: *const usize,
    weights: *const [i16; QUAD],
    bias: *const [i32; QUAD],
    scale: *const f32,
    base: usize,
    base_end: usize,
    output: *mut i8,
    rounding: Rounding,
}

/// A tap of a quad.
macro_rules! tap {
    () => {
        "
        ldr     r8, [r0], #4
        ldr     r8, [r2, r8]
        ldrd    r9, r11, [r1], #8
        sxtb16  r10, r8
        smlabb  r4, r10, r9, r4
        smlatt  r6, r10, r9, r6
        sxtb16  r10, r8, ror #8
        smlabb  r5, r10, r11, r5
        smlatt  r7, r10, r11, r7
        "
    };
}

/// # Safety
/// What the job points to is there for as many taps and quads, of which there is at least one each; taps come in whole
/// [turns](UNROLLED).
#[unsafe(naked)]
unsafe extern "C" fn quads_of_a_pixel(job: &Job) {
    naked_asm!(
        target!(),
        "push    {{r4-r11, lr}}",
        "ldr     r3, [r0, #4]",
        "ldr     r1, [r0, #8]",
        "ldr     r12, [r0, #12]",
        "ldr     lr, [r0, #16]",
        "ldr     r2, [r0, #20]",
        "vldr    s13, [r0, #24]",
        "vldr    s12, [r0, #28]",
        "vldr    s11, [r0, #32]",
        "vldr    s10, [r0, #36]",
        "ldr     r0, [r0]",
        "vmov    s14, r0",
        "2:",
        "ldm     r12!, {{r4-r7}}",
        "3:",
        tap!(),
        tap!(),
        tap!(),
        "cmp     r0, r3",
        "bne     3b",
        "vmov    s0, s1, r4, r5",
        "vmov    s2, s3, r6, r7",
        "vldmia  lr!, {{s4-s7}}",
        "vmov    r0, s14",
        real!("s0", "s1", "s2", "s3"),
        scaled!("s10": "s0" * "s4", "s1" * "s5", "s2" * "s6", "s3" * "s7"),
        "vmov    r4, r5, s0, s1",
        "vmov    r6, r7, s2, s3",
        "vmov    r9, s11",
        "vmov    r8, s12",
        store_four!("r4", "r5", "r6", "r7", less "r9", to "r8"),
        "vmov    s12, r8",
        "vmov    r9, s13",
        "adds    r2, r2, #4",
        "cmp     r2, r9",
        "bne     2b",
        "pop     {{r4-r11, pc}}",
    )
}
