//! Convolution as a product of matrices: four windows of the input as columns, and all rows of weights.

use super::columns::{Group, PIXELS, TAPS, Windows};
use super::instructions::bound;
use super::matmul::{Channels, Pixels, multiply, multiply_pairs, multiply_two};
use super::places::Places;
use super::rounding::Rounding;
use crate::lengths;
use crate::params::{Conv2d, Conv2dI8, RowOrder, WeightsI8};
use crate::portable::rows::{rows_of, rows_of_mut};

/// Bytes of scratch for each tap: four windows in 16 bits, a row of weights, and one to spare.
pub(super) const SCRATCH_PER_TERM: usize = 2 * PIXELS + 2;

/// Bytes of scratch beside: for taps that are there to make whole groups, for the [places](Places) of taps, and what else
/// [depthwise](super::depthwise) layers ask for.
pub(super) const SCRATCH: usize = 1536;

/// The most taps of a window whose numbers are picked one by one: their places have to fit the scratch.
const MOST_PICKED: usize = 480;

/// Whether a layer is one for this: those of groups would read what lies apart, and shorter rows of weights more of each
/// other than there is.
pub(super) fn takes(geometry: &Conv2d) -> bool {
    let taps = geometry.taps();
    geometry.groups() == 1 && taps >= TAPS && (!picks(geometry) || taps <= MOST_PICKED)
}

/// Taps of a window in whole groups.
fn whole_taps(geometry: &Conv2d) -> usize {
    geometry.taps().saturating_add(TAPS - 1) / TAPS * TAPS
}

/// Whether numbers of windows are picked one by one.
fn picks(geometry: &Conv2d) -> bool {
    !geometry.input().channels.is_multiple_of(TAPS)
}

/// Whether the last row of weights ends within a group, so that more would be read than there is.
fn copies_last(geometry: &Conv2d) -> bool {
    !geometry.taps().is_multiple_of(TAPS)
}

pub(super) fn scratch_len(geometry: &Conv2d) -> usize {
    let taps = whole_taps(geometry);
    let columns = taps.saturating_mul(2 * PIXELS);
    let offsets = offsets(geometry).saturating_mul(size_of::<usize>());
    let last = usize::from(copies_last(geometry)).saturating_mul(taps);
    columns.saturating_add(offsets).saturating_add(last)
}

/// How many offsets there are: one for each tap that is picked, and room for a number that is padding.
fn offsets(geometry: &Conv2d) -> usize {
    match picks(geometry) {
        true => whole_taps(geometry).saturating_add(1),
        false => 0,
    }
}

/// Convolution, bias and bounds.
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
    let Some((columns, offsets, last)) = split(geometry, scratch) else {
        return;
    };
    let rows = Rows::new(params, weights, last);
    let windows = Windows::new(params);
    let (padding, offsets) = offsets.split_first_mut().unzip();
    let padding = padding.map_or(core::ptr::null(), |padding| {
        *padding = usize::from(params.input_zero_point() as u8);
        &raw const *padding
    });
    let offsets = offsets.unwrap_or_default();
    let (from, to) = (geometry.input(), geometry.output());
    let pixels = to.height.wrapping_mul(to.width);
    for (input, output) in rows_of(input, from.len()).zip(rows_of_mut(output, to.len())) {
        let (width, channels) = (from.width, from.channels);
        let mut places = Places::new(width, (channels, channels), input.as_ptr(), padding.cast());
        let mut first = 0usize;
        while first < pixels {
            // Four that end with the last one, if there are as many: some are computed twice.
            let at = first.min(pixels.saturating_sub(PIXELS));
            windows.take(input, at, (&mut places, offsets), columns);
            let start = at.wrapping_mul(to.channels);
            let pixels = output.get_mut(start..).unwrap_or_default();
            rows.multiply(columns, pixels);
            first = first.wrapping_add(PIXELS);
        }
    }
    bound(output, params.output().low(), params.output().high());
}

/// Scratch as columns, offsets, and a row of weights.
fn split<'s>(
    geometry: &Conv2d,
    scratch: &'s mut [u8],
) -> Option<(&'s mut [Group], &'s mut [usize], &'s mut [i8])> {
    let (groups, count) = (whole_taps(geometry) / TAPS, offsets(geometry));
    let (columns, rest) = scratch.split_at_mut_checked(groups.checked_mul(size_of::<Group>())?)?;
    let (offsets, last) = rest.split_at_mut_checked(count.checked_mul(size_of::<usize>())?)?;
    // SAFETY: any bits are a word, or an 8-bit number.
    let (columns, offsets, last) = unsafe {
        (
            columns.align_to_mut().1,
            offsets.align_to_mut().1,
            last.align_to_mut().1,
        )
    };
    (columns.len() == groups && offsets.len() == count).then_some((columns, offsets, last))
}

/// The rows of a layer's weights.
struct Rows<'a> {
    weights: &'a [i8],
    order: RowOrder,
    /// Weights of a row.
    taps: usize,
    /// How many rows there are.
    count: usize,
    /// The last row, and what makes it whole groups; empty if it is so in place.
    last: &'a [i8],
    channels: Channels<'a>,
    rounding: Rounding,
}

impl<'a> Rows<'a> {
    /// `copy` is at least as long as a row in whole groups, if the last row is not.
    fn new(params: &Conv2dI8, weights: WeightsI8<'a>, copy: &'a mut [i8]) -> Self {
        let geometry = params.geometry();
        let mut rows = Self {
            weights: weights.weights,
            order: weights.order,
            taps: geometry.taps(),
            count: geometry.output().channels,
            last: &[],
            channels: Channels {
                bias: weights.bias,
                scale: weights.scale,
            },
            rounding: Rounding::new(params.output()),
        };
        if weights.order == RowOrder::Rows && copies_last(geometry) {
            let last = rows.row(rows.count.wrapping_sub(1));
            let len = whole_taps(geometry);
            copy.iter_mut().zip(last).for_each(|(to, from)| *to = *from);
            rows.last = copy.get(..len).unwrap_or_default();
        }
        rows
    }

    /// All there is from the beginning of a row on.
    fn row(&self, row: usize) -> &'a [i8] {
        let is_last = row.wrapping_add(1) == self.count;
        if is_last && !self.last.is_empty() {
            return self.last;
        }
        let start = row.wrapping_mul(self.taps);
        self.weights.get(start..).unwrap_or_default()
    }

    /// Multiplies `columns` with all rows; `output` begins with the first pixel, and has four if there are as many.
    fn multiply(&self, columns: &[Group], output: &mut [i8]) {
        let stride = self.count;
        let pairs = match output.len() < PIXELS.wrapping_mul(stride) {
            true => 0,
            // The last row is not in place.
            false if !self.last.is_empty() => self.count.wrapping_sub(1) / 2,
            false => self.count / 2,
        };
        let to = Pixels {
            output: &mut *output,
            stride,
        };
        let (own, rounding) = (self.channels, self.rounding);
        match self.order {
            RowOrder::Rows => {
                let rows = (self.weights, self.taps);
                multiply(columns, rows, pairs, own, rounding, to);
            }
            RowOrder::Pairs => multiply_pairs(columns, self.weights, pairs, own, rounding, to),
        }
        let done = pairs.wrapping_mul(2);
        if pairs > 0 && done.wrapping_add(2) == self.count {
            let rows = [self.row(done), self.row(done.wrapping_add(1))];
            let output = output.get_mut(done..).unwrap_or_default();
            let (own, to) = (self.channels.from(done), Pixels { output, stride });
            return multiply_two(columns, rows, own, self.rounding, to);
        }
        for row in (done..self.count).step_by(2) {
            let numbers = self.two(columns, row);
            for (pixel, numbers) in rows_of_mut(output, stride).zip(numbers) {
                let own = pixel.get_mut(row..).unwrap_or_default();
                own.iter_mut()
                    .zip(numbers)
                    .for_each(|(to, from)| *to = from);
            }
        }
    }

    /// The numbers of four pixels in two rows, `first` and the next, if there is one.
    fn two(&self, columns: &[Group], first: usize) -> [[i8; 2]; PIXELS] {
        let few = self.channels.from(first).few::<2>();
        let channels = few.channels();
        let mut numbers = [[0; 2]; PIXELS];
        let to = Pixels {
            output: numbers.as_flattened_mut(),
            stride: 2,
        };
        match self.order {
            RowOrder::Rows => {
                let second = first.wrapping_add(1).min(self.count.wrapping_sub(1));
                let rows = [self.row(first), self.row(second)];
                multiply_two(columns, rows, channels, self.rounding, to);
            }
            RowOrder::Pairs => {
                let pair = columns.len().wrapping_mul(2 * TAPS);
                let start = (first / 2).wrapping_mul(pair);
                let rows = self.weights.get(start..).unwrap_or_default();
                multiply_pairs(columns, rows, 1, channels, self.rounding, to);
            }
        }
        numbers
    }
}
