//! Pools: input `[batch, h, w, channels]`, output `[batch, out_h, out_w, channels]`. A vector holds
//! neighbouring channels of one position; a window is walked position by position, in row-major order.

use super::Vector;
use super::memory::{for_each_vector, load, store};
use crate::Shape;
use crate::lengths;
use crate::params::{Pool2d, PooledConv2d};
use crate::portable::pool2d::divisor;
use crate::taps::{Axis, Taps};

/// Where the taps of one window lie in a sample.
#[derive(Clone, Copy)]
struct View {
    /// The first channel of the first tap.
    start: usize,
    rows: usize,
    columns: usize,
    /// From one tap to the next: down, and to the right.
    down: usize,
    right: usize,
}

impl View {
    #[inline(always)]
    fn new(params: &Pool2d, rows: Taps, columns: Taps) -> Self {
        let (from, window) = (params.input(), params.window());
        let row = from.width * from.channels;
        // A window that sees padding alone has no taps, and no position.
        let position = rows
            .position
            .wrapping_mul(row)
            .wrapping_add(columns.position.wrapping_mul(from.channels));
        Self {
            start: position,
            rows: rows.count,
            columns: columns.count,
            // A step that is never taken, of a window of one row, may be larger than memory.
            down: window.dilation_h.wrapping_mul(row),
            right: window.dilation_w.wrapping_mul(from.channels),
        }
    }

    /// Calls `f` with the offset of each tap. Windows of two by two, the commonest, are unrolled.
    #[inline(always)]
    fn for_each_tap(&self, mut f: impl FnMut(usize)) {
        if (self.rows, self.columns) == (2, 2) {
            f(self.start);
            f(self.start + self.right);
            f(self.start + self.down);
            f(self.start + self.down + self.right);
            return;
        }
        for y in 0..self.rows {
            for x in 0..self.columns {
                f(self.start + y * self.down + x * self.right);
            }
        }
    }
}

/// Calls `f` for every output position of a sample with the offset of its first channel, the position, its
/// taps on both axes and what they see.
#[inline(always)]
fn for_each_window(params: &Pool2d, mut f: impl FnMut(usize, (usize, usize), (Taps, Taps), View)) {
    let (from, to) = (params.input(), params.output());
    let vertical = Axis::vertical(params.window(), from.height);
    let horizontal = Axis::horizontal(params.window(), from.width);
    let mut offset = 0;
    for y in 0..to.height {
        let rows = vertical.taps(y);
        for x in 0..to.width {
            let columns = horizontal.taps(x);
            f(
                offset,
                (y, x),
                (rows, columns),
                View::new(params, rows, columns),
            );
            offset += to.channels;
        }
    }
}

/// Samples of an operand, of which there is at least one element in each.
#[inline(always)]
fn len(shape: Shape) -> usize {
    shape.len().max(1)
}

/// `x` where it is larger or NaN, `max` elsewhere: a NaN in a window is its maximum.
#[inline(always)]
fn raise<V: Vector>(max: V, x: V) -> V {
    let larger = V::select(x.greater(max), x, max);
    V::select(x.equal(x), larger, x)
}

/// The maximum of all channels of one window, written to one position of the output.
///
/// # Safety
/// The taps of the window can be read, the channels of the position written.
#[inline(always)]
unsafe fn max_of_window<V: Vector>(
    isa: V::Isa,
    view: &View,
    channels: usize,
    input: *const f32,
    output: *mut f32,
) {
    for_each_vector!(V, channels, |at, count| {
        // SAFETY: as the caller vouches: the lanes are of the channels.
        unsafe {
            let mut max = V::splat(isa, f32::NEG_INFINITY);
            view.for_each_tap(
                #[inline(always)]
                |tap| max = raise(max, load(isa, input.add(tap + at), count)),
            );
            store(max, output.add(at), count);
        }
    });
}

/// Maximum over each window.
#[inline(always)]
pub(crate) fn max<V: Vector>(isa: V::Isa, params: &Pool2d, input: &[f32], output: &mut [f32]) {
    if lengths::pool2d(params, input, output).is_none() {
        return;
    }
    let (from, to) = (params.input(), params.output());
    for (input, output) in input
        .chunks_exact(len(from))
        .zip(output.chunks_exact_mut(len(to)))
    {
        let (input, output) = (input.as_ptr(), output.as_mut_ptr());
        for_each_window(
            params,
            #[inline(always)]
            |offset, _, _, view| {
                // SAFETY: the taps are inside the sample, the offset is of an output position.
                unsafe { max_of_window::<V>(isa, &view, to.channels, input, output.add(offset)) }
            },
        );
    }
}

/// One row of the output of a convolution's pool: the maximum over the windows that lie in `rows` of `input`, which
/// has the columns and channels of the convolution's output.
///
/// # Safety
/// The rows can be read, a row of the pool's output can be written.
#[inline(always)]
pub(super) unsafe fn max_of_rows<V: Vector>(
    isa: V::Isa,
    params: &PooledConv2d,
    rows: core::ops::Range<usize>,
    input: *const f32,
    output: *mut f32,
) {
    let (from, to) = (params.conv().output(), params.output());
    for x in 0..to.width {
        let columns = params.columns(x);
        let view = View {
            start: (rows.start * from.width + columns.start) * from.channels,
            rows: rows.len(),
            columns: columns.len(),
            down: from.width * from.channels,
            right: from.channels,
        };
        // SAFETY: the taps are inside these rows, `x` is of the pool's row.
        unsafe { max_of_window::<V>(isa, &view, to.channels, input, output.add(x * to.channels)) }
    }
}

/// Average over each window.
#[inline(always)]
pub(crate) fn average<V: Vector>(isa: V::Isa, params: &Pool2d, input: &[f32], output: &mut [f32]) {
    if lengths::pool2d(params, input, output).is_none() {
        return;
    }
    let (from, to) = (params.input(), params.output());
    for (input, output) in input
        .chunks_exact(len(from))
        .zip(output.chunks_exact_mut(len(to)))
    {
        let (input, output) = (input.as_ptr(), output.as_mut_ptr());
        for_each_window(
            params,
            #[inline(always)]
            |offset, at, taps, view| {
                let position = offset;
                let divisor = divisor(params, at, taps);
                for_each_vector!(V, to.channels, |at, count| {
                    // SAFETY: the taps are inside the sample, the channels those of each position.
                    unsafe {
                        let mut sum = V::splat(isa, 0.0);
                        view.for_each_tap(
                            #[inline(always)]
                            |tap| {
                                sum = sum.add(load(isa, input.add(tap + at), count));
                            },
                        );
                        let average = sum.div(V::splat(isa, divisor));
                        store(average, output.add(position + at), count);
                    }
                });
            },
        );
    }
}

/// Writes the gradient of a max pool's input: each output's goes to the first position, in row-major order,
/// that holds the maximum.
#[inline(always)]
pub(crate) fn max_backward<V: Vector>(
    isa: V::Isa,
    params: &Pool2d,
    input: &[f32],
    d_output: &[f32],
    d_input: &mut [f32],
) {
    let fits = lengths::pool2d(params, input, d_output).is_some()
        && lengths::same("d_input", d_input, input);
    if !fits {
        return;
    }
    d_input.fill(0.0);
    let (from, to) = (params.input(), params.output());
    for ((input, d_input), d_output) in input
        .chunks_exact(len(from))
        .zip(d_input.chunks_exact_mut(len(from)))
        .zip(d_output.chunks_exact(len(to)))
    {
        let (input, d_output) = (input.as_ptr(), d_output.as_ptr());
        let d_input = d_input.as_mut_ptr();
        for_each_window(
            params,
            #[inline(always)]
            |offset, _, _, view| {
                for_each_vector!(V, to.channels, |at, count| {
                    // SAFETY: the taps are inside the sample, the channels those of each position.
                    unsafe {
                        let zero = V::splat(isa, 0.0);
                        let mut max = V::splat(isa, f32::NEG_INFINITY);
                        // Which tap it is. The first counts even if none is larger than what no maximum is.
                        let mut best = zero;
                        let mut tap_number = 0.0;
                        view.for_each_tap(
                            #[inline(always)]
                            |tap| {
                                let x = load::<V>(isa, input.add(tap + at), count);
                                let number = V::splat(isa, tap_number);
                                let larger = x.greater(max);
                                let raised = V::select(larger, number, best);
                                // Of several NaN the first is the maximum: nothing is greater than it.
                                let first_nan = V::select(max.equal(max), number, best);
                                best = V::select(x.equal(x), raised, first_nan);
                                max = V::select(x.equal(x), V::select(larger, x, max), x);
                                tap_number += 1.0;
                            },
                        );
                        let d = load::<V>(isa, d_output.add(offset + at), count);
                        tap_number = 0.0;
                        view.for_each_tap(
                            #[inline(always)]
                            |tap| {
                                let to = d_input.add(tap + at);
                                let chosen = best.equal(V::splat(isa, tap_number));
                                // Adding 0 changes nothing: a sum that started at 0 is never -0.
                                let d = V::select(chosen, d, zero);
                                store(load::<V>(isa, to, count).add(d), to, count);
                                tap_number += 1.0;
                            },
                        );
                    }
                });
            },
        );
    }
}

/// Writes the gradient of an average pool's input.
#[inline(always)]
pub(crate) fn average_backward<V: Vector>(
    isa: V::Isa,
    params: &Pool2d,
    d_output: &[f32],
    d_input: &mut [f32],
) {
    if lengths::pool2d(params, d_input, d_output).is_none() {
        return;
    }
    d_input.fill(0.0);
    let (from, to) = (params.input(), params.output());
    for (d_input, d_output) in d_input
        .chunks_exact_mut(len(from))
        .zip(d_output.chunks_exact(len(to)))
    {
        let (d_input, d_output) = (d_input.as_mut_ptr(), d_output.as_ptr());
        for_each_window(
            params,
            #[inline(always)]
            |offset, at, taps, view| {
                let position = offset;
                let divisor = divisor(params, at, taps);
                for_each_vector!(V, to.channels, |at, count| {
                    // SAFETY: the taps are inside the sample, the channels those of each position.
                    unsafe {
                        let d = load::<V>(isa, d_output.add(position + at), count);
                        let d = d.div(V::splat(isa, divisor));
                        view.for_each_tap(
                            #[inline(always)]
                            |tap| {
                                let to = d_input.add(tap + at);
                                store(load::<V>(isa, to, count).add(d), to, count);
                            },
                        );
                    }
                });
            },
        );
    }
}
