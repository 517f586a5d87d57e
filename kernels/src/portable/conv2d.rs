//! Convolution: input `[batch, h, w, in_channels]`, weights OHWI `[out_channels, kernel_h, kernel_w,
//! in_channels / groups]`, output `[batch, out_h, out_w, out_channels]`. Four output channels of two
//! neighbouring pixels at a time.
//!
//! What one output reads falls into segments that are contiguous in input and weights alike: a whole
//! row of the window where taps are adjacent and there is one group, else the channels of one tap. The
//! taps in the padding are cut off beforehand, by shorter segments.

use super::dot::{BLOCK, add_row, add_rows, block_rows, dot, dot_1, dot_2};
use super::linear::bias_block;
use super::pool2d::raise;
use super::rows::{rows_of, rows_of_mut};
use crate::lengths;
use crate::params::{Activation, Conv2d, PooledConv2d};
use crate::taps::{Axis, Taps};

/// The taps inside the input at one output pixel, by rows and by columns.
pub(super) type Window = (Taps, Taps);

/// What of a convolution is the same at every pixel, computed once: a microcontroller divides slowly, if it can.
#[derive(Clone, Copy)]
pub(super) struct Layer {
    /// Input channels, and output channels, of a group.
    group_in: usize,
    pub(super) group_out: usize,
    /// Weights of an output channel.
    pub(super) taps: usize,
    whole_rows: bool,
    /// Between neighbouring columns, and rows, of the input; between neighbouring taps of a window.
    column: usize,
    row: usize,
    tap_column: usize,
    tap_row: usize,
    /// Between neighbouring rows of a window in the weights.
    weight_row: usize,
    /// Between neighbouring pixels of the output, in the input.
    pub(super) step: usize,
}

impl Layer {
    pub(super) fn new(params: &Conv2d) -> Self {
        let (from, window) = (params.input(), params.window());
        let group_in = params.group_in_channels();
        let (column, row) = (from.channels, from.width.wrapping_mul(from.channels));
        Self {
            group_in,
            group_out: params.group_out_channels(),
            taps: params.taps(),
            whole_rows: window.dilation_w == 1 && params.groups() == 1,
            column,
            row,
            tap_column: window.dilation_w.wrapping_mul(column),
            tap_row: window.dilation_h.wrapping_mul(row),
            weight_row: window.kernel_w.wrapping_mul(group_in),
            step: window.stride_w.wrapping_mul(column),
        }
    }

    /// The segments at an output pixel that sees these taps.
    #[inline(always)]
    pub(super) fn segments(&self, (rows, columns): Window) -> Segments {
        let (count, len) = match self.whole_rows {
            true => (1, columns.count.wrapping_mul(self.group_in)),
            false => (columns.count, self.group_in),
        };
        let (y, x) = (rows.position, columns.position);
        let first_row = rows.first.wrapping_mul(self.weight_row);
        Segments {
            rows: rows.count,
            columns: count,
            len,
            input: (y.wrapping_mul(self.row)).wrapping_add(x.wrapping_mul(self.column)),
            weight: first_row.wrapping_add(columns.first.wrapping_mul(self.group_in)),
        }
    }
}

/// The segments that an output pixel sees.
#[derive(Clone, Copy)]
pub(super) struct Segments {
    rows: usize,
    /// Segments of a row.
    columns: usize,
    len: usize,
    /// Where the first begins: in the sample's input for the first group, and in an output channel's weights.
    input: usize,
    weight: usize,
}

impl Segments {
    /// Calls `f(index in the sample's input, index in an output channel's weights, length)` for each segment of a group, in
    /// canonical order.
    #[inline(always)]
    pub(super) fn for_each(
        self,
        layer: &Layer,
        group: usize,
        mut f: impl FnMut(usize, usize, usize),
    ) {
        let mut input_row = self.input.wrapping_add(group.wrapping_mul(layer.group_in));
        let mut weight_row = self.weight;
        for _ in 0..self.rows {
            let (mut input, mut weight) = (input_row, weight_row);
            for _ in 0..self.columns {
                f(input, weight, self.len);
                input = input.wrapping_add(layer.tap_column);
                weight = weight.wrapping_add(layer.group_in);
            }
            input_row = input_row.wrapping_add(layer.tap_row);
            weight_row = weight_row.wrapping_add(layer.weight_row);
        }
    }
}

/// True if segments are single values, one for each channel: they would be all overhead, so all channels
/// of a tap are walked instead.
pub(super) fn one_by_one(params: &Conv2d) -> bool {
    params.is_depthwise() && params.groups() > 1
}

/// `len` elements from `first`, or none.
#[inline(always)]
pub(super) fn cut<T>(slice: &[T], first: usize, len: usize) -> &[T] {
    slice
        .get(first..)
        .and_then(|rest| rest.get(..len))
        .unwrap_or_default()
}

/// What a convolution computes with, apart from the pixel.
#[derive(Clone, Copy)]
struct Operands<'a> {
    layer: &'a Layer,
    activation: Activation,
    input: &'a [f32],
    weights: &'a [f32],
    bias: Option<&'a [f32]>,
}

/// What becomes of an output.
#[derive(Clone, Copy, PartialEq)]
enum Destination {
    /// It is stored.
    Pixel,
    /// It is stored if it is larger than what is there.
    Maximum,
}

impl Destination {
    #[inline(always)]
    fn put<const N: usize>(self, to: &mut [f32; N], values: [f32; N]) {
        match self {
            Self::Pixel => *to = values,
            Self::Maximum => {
                for (max, value) in to.iter_mut().zip(values) {
                    raise(max, value);
                }
            }
        }
    }
}

/// Convolution, bias and activation.
// Inlined as what pools, too.
#[inline(always)]
pub fn conv2d_f32(
    params: &Conv2d,
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    output: &mut [f32],
) {
    let expected = params.weights_len();
    if lengths::conv2d(params, input, (weights, expected), bias, output).is_none() {
        return;
    }
    let (from, to) = (params.input(), params.output());
    let channels = to.channels;
    let vertical = Axis::vertical(params.window(), from.height);
    let horizontal = Axis::horizontal(params.window(), from.width);
    let row_len = to.width.saturating_mul(channels);
    let (layer, depthwise) = (Layer::new(params), one_by_one(params));
    for (input, output) in rows_of(input, from.len()).zip(rows_of_mut(output, to.len())) {
        let operands = Operands {
            layer: &layer,
            activation: params.activation(),
            input,
            weights,
            bias,
        };
        for (y, row) in rows_of_mut(output, row_len).enumerate() {
            let rows = vertical.taps(y);
            let mut x = 0;
            let mut pixels = rows_of_mut(row, channels);
            while let Some(pixel) = pixels.next() {
                let columns = horizontal.taps(x);
                let next = horizontal.taps(x.wrapping_add(1));
                x = x.wrapping_add(1);
                if depthwise {
                    depthwise_pixel(operands, (rows, columns), pixel, Destination::Pixel);
                } else if columns.first == next.first
                    && columns.count == next.count
                    && let Some(neighbour) = pixels.next()
                {
                    two_pixels(operands, (rows, columns), [pixel, neighbour]);
                    x = x.wrapping_add(1);
                } else {
                    one_pixel(operands, (rows, columns), pixel, Destination::Pixel);
                }
            }
        }
    }
}

/// Convolution, bias, activation and the maximum over each window of the result.
// Inlined, so that it is compiled as its caller is: firmware chooses, and at "s" a Cortex-M4 executes a seventh fewer
// instructions than at 3.
#[inline(always)]
pub fn conv2d_max_pool2d_f32(
    params: &PooledConv2d,
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    output: &mut [f32],
) {
    let (conv, to) = (params.conv(), params.output());
    let expected = conv.weights_len();
    if lengths::pooled_conv2d(params, input, (weights, expected), bias, output).is_none() {
        return;
    }
    let from = conv.input();
    let vertical = Axis::vertical(conv.window(), from.height);
    let horizontal = Axis::horizontal(conv.window(), from.width);
    let row_len = to.width.saturating_mul(to.channels);
    let (layer, depthwise) = (Layer::new(conv), one_by_one(conv));
    for (input, output) in rows_of(input, from.len()).zip(rows_of_mut(output, to.len())) {
        let operands = Operands {
            layer: &layer,
            activation: conv.activation(),
            input,
            weights,
            bias,
        };
        for (pool_y, row) in rows_of_mut(output, row_len).enumerate() {
            for (pool_x, max) in rows_of_mut(row, to.channels).enumerate() {
                max.fill(f32::NEG_INFINITY);
                for y in params.rows(pool_y) {
                    let rows = vertical.taps(y);
                    let mut pixels = params.columns(pool_x);
                    while let Some(x) = pixels.next() {
                        let columns = horizontal.taps(x);
                        let next = horizontal.taps(x.wrapping_add(1));
                        let window = (rows, columns);
                        if depthwise {
                            depthwise_pixel(operands, window, max, Destination::Maximum);
                        } else if columns.first == next.first
                            && columns.count == next.count
                            && pixels.next().is_some()
                        {
                            two_pixels(operands, window, [max, &mut []]);
                        } else {
                            one_pixel(operands, window, max, Destination::Maximum);
                        }
                    }
                }
            }
        }
    }
}

/// The weights, bias and outputs of one group are those of the `index`-th of equal parts.
#[inline(always)]
pub(super) fn group_weights<'a, T>(layer: &Layer, weights: &'a [T], index: usize) -> &'a [T] {
    let len = layer.group_out.saturating_mul(layer.taps);
    cut(weights, index.wrapping_mul(len), len)
}

/// Two neighbouring pixels that see the same taps, into two places; where the second is empty both go into the
/// first, as maxima.
fn two_pixels(operands: Operands, window: Window, [ya, yb]: [&mut [f32]; 2]) {
    let Operands {
        layer,
        activation,
        input,
        weights,
        bias,
    } = operands;
    let segments = layer.segments(window);
    let into = match yb.is_empty() {
        true => Destination::Maximum,
        false => Destination::Pixel,
    };
    let (group_out, taps) = (layer.group_out, layer.taps);
    // The neighbour sees the same, one stride to the right.
    let step = layer.step;
    let mut others = rows_of_mut(yb, group_out);
    for (group, ya) in rows_of_mut(ya, group_out).enumerate() {
        let yb = others.next().unwrap_or_default();
        let weights = group_weights(layer, weights, group);
        let bias = bias.and_then(|bias| bias.get(group.wrapping_mul(group_out)..));
        let (ya, ya_rest) = ya.as_chunks_mut::<BLOCK>();
        let (yb, yb_rest) = yb.as_chunks_mut::<BLOCK>();
        let mut blocks = rows_of(weights, taps.saturating_mul(BLOCK));
        let mut first = 0usize;
        let mut yb = yb.iter_mut();
        for (ya, block) in ya.iter_mut().zip(blocks.by_ref()) {
            let mut sums = [bias_block(bias, first); 2];
            if let Some([w0, w1, w2, w3]) = block_rows(block, taps) {
                segments.for_each(layer, group, |i, w, len| {
                    let x = [cut(input, i, len), cut(input, i.wrapping_add(step), len)];
                    let w = [
                        cut(w0, w, len),
                        cut(w1, w, len),
                        cut(w2, w, len),
                        cut(w3, w, len),
                    ];
                    dot_2(&mut sums, x, w);
                });
            }
            let [a, b] = sums;
            into.put(ya, a.map(|sum| activation.apply(sum)));
            let b = b.map(|sum| activation.apply(sum));
            match yb.next() {
                Some(yb) => *yb = b,
                None => into.put(ya, b),
            }
            first = first.wrapping_add(BLOCK);
        }
        let mut yb_rest = yb_rest.iter_mut();
        for (ya, weights) in ya_rest.iter_mut().zip(rows_of(blocks.rest(), taps)) {
            let bias = bias.and_then(|bias| bias.get(first)).copied();
            let (mut a, mut b) = (bias.unwrap_or(0.0), bias.unwrap_or(0.0));
            segments.for_each(layer, group, |i, w, len| {
                let weights = cut(weights, w, len);
                a = dot_1(a, cut(input, i, len), weights);
                b = dot_1(b, cut(input, i.wrapping_add(step), len), weights);
            });
            let ya = core::array::from_mut(ya);
            into.put(ya, [activation.apply(a)]);
            let b = activation.apply(b);
            match yb_rest.next() {
                Some(yb) => *yb = b,
                None => into.put(ya, [b]),
            }
            first = first.wrapping_add(1);
        }
    }
}

fn one_pixel(operands: Operands, window: Window, y: &mut [f32], into: Destination) {
    let Operands {
        layer,
        activation,
        input,
        weights,
        bias,
    } = operands;
    let segments = layer.segments(window);
    let (group_out, taps) = (layer.group_out, layer.taps);
    for (group, y) in rows_of_mut(y, group_out).enumerate() {
        let weights = group_weights(layer, weights, group);
        let bias = bias.and_then(|bias| bias.get(group.wrapping_mul(group_out)..));
        let (y, y_rest) = y.as_chunks_mut::<BLOCK>();
        let mut blocks = rows_of(weights, taps.saturating_mul(BLOCK));
        let mut first = 0usize;
        for (y, block) in y.iter_mut().zip(blocks.by_ref()) {
            let mut sums = bias_block(bias, first);
            if let Some([w0, w1, w2, w3]) = block_rows(block, taps) {
                segments.for_each(layer, group, |i, w, len| {
                    let w = [
                        cut(w0, w, len),
                        cut(w1, w, len),
                        cut(w2, w, len),
                        cut(w3, w, len),
                    ];
                    dot(&mut sums, cut(input, i, len), w);
                });
            }
            into.put(y, sums.map(|sum| activation.apply(sum)));
            first = first.wrapping_add(BLOCK);
        }
        for (y, weights) in y_rest.iter_mut().zip(rows_of(blocks.rest(), taps)) {
            let bias = bias.and_then(|bias| bias.get(first)).copied();
            let mut sum = bias.unwrap_or(0.0);
            segments.for_each(layer, group, |i, w, len| {
                sum = dot_1(sum, cut(input, i, len), cut(weights, w, len));
            });
            into.put(core::array::from_mut(y), [activation.apply(sum)]);
            first = first.wrapping_add(1);
        }
    }
}

/// All channels of one pixel of a depthwise convolution: each has one input channel, so the segments of
/// four neighbouring channels are one run of four values.
fn depthwise_pixel(operands: Operands, window: Window, y: &mut [f32], into: Destination) {
    let Operands {
        layer,
        activation,
        input,
        weights,
        bias,
    } = operands;
    let segments = layer.segments(window);
    let taps = layer.taps;
    let (y, y_rest) = y.as_chunks_mut::<BLOCK>();
    let mut blocks = rows_of(weights, taps.saturating_mul(BLOCK));
    let mut first = 0usize;
    for (y, block) in y.iter_mut().zip(blocks.by_ref()) {
        let mut sums = bias_block(bias, first);
        if let Some([w0, w1, w2, w3]) = block_rows(block, taps) {
            segments.for_each(layer, 0, |i, w, _| {
                let x: Option<&[f32; BLOCK]> = input
                    .get(i.wrapping_add(first)..)
                    .and_then(|x| x.first_chunk());
                if let (Some(x), Some(w0), Some(w1), Some(w2), Some(w3)) =
                    (x, w0.get(w), w1.get(w), w2.get(w), w3.get(w))
                {
                    sums = [
                        sums[0] + x[0] * w0,
                        sums[1] + x[1] * w1,
                        sums[2] + x[2] * w2,
                        sums[3] + x[3] * w3,
                    ];
                }
            });
        }
        into.put(y, sums.map(|sum| activation.apply(sum)));
        first = first.wrapping_add(BLOCK);
    }
    for (y, weights) in y_rest.iter_mut().zip(rows_of(blocks.rest(), taps)) {
        let bias = bias.and_then(|bias| bias.get(first)).copied();
        let mut sum = bias.unwrap_or(0.0);
        segments.for_each(layer, first, |i, w, len| {
            sum = dot_1(sum, cut(input, i, len), cut(weights, w, len));
        });
        into.put(core::array::from_mut(y), [activation.apply(sum)]);
        first = first.wrapping_add(1);
    }
}

/// Calls `f` for every output pixel of one sample with its run of channels and its taps.
#[inline(always)]
fn for_each_pixel(params: &Conv2d, d_output: &[f32], mut f: impl FnMut(&[f32], Window)) {
    let (from, to) = (params.input(), params.output());
    let channels = to.channels;
    let vertical = Axis::vertical(params.window(), from.height);
    let horizontal = Axis::horizontal(params.window(), from.width);
    let row_len = to.width.saturating_mul(channels);
    for (y, row) in rows_of(d_output, row_len).enumerate() {
        let rows = vertical.taps(y);
        for (x, run) in rows_of(row, channels).enumerate() {
            f(run, (rows, horizontal.taps(x)));
        }
    }
}

/// Writes the gradient of the input: every output pixel adds its share to the input pixels it saw.
pub fn conv2d_f32_backward_input(
    params: &Conv2d,
    d_output: &[f32],
    weights: &[f32],
    d_input: &mut [f32],
) {
    let expected = params.weights_len();
    if lengths::conv2d(params, d_input, (weights, expected), None, d_output).is_none() {
        return;
    }
    d_input.fill(0.0);
    let layer = &Layer::new(params);
    let (group_out, taps) = (layer.group_out, layer.taps);
    for (d_input, d_output) in
        rows_of_mut(d_input, params.input().len()).zip(rows_of(d_output, params.output().len()))
    {
        for_each_pixel(params, d_output, |run, window| {
            let segments = layer.segments(window);
            if one_by_one(params) {
                segments.for_each(layer, 0, |i, w, _| {
                    let d_input = d_input.get_mut(i..).unwrap_or_default().iter_mut();
                    for ((d_input, d), weights) in d_input.zip(run).zip(rows_of(weights, taps)) {
                        *d_input += d * weights.get(w).unwrap_or(&0.0);
                    }
                });
                return;
            }
            for (group, d) in rows_of(run, group_out).enumerate() {
                let weights = group_weights(layer, weights, group);
                let mut blocks = rows_of(weights, taps.saturating_mul(BLOCK));
                let (d, d_rest) = d.as_chunks::<BLOCK>();
                for (&d, block) in d.iter().zip(blocks.by_ref()) {
                    let Some([w0, w1, w2, w3]) = block_rows(block, taps) else {
                        continue;
                    };
                    segments.for_each(layer, group, |i, w, len| {
                        let w = [
                            cut(w0, w, len),
                            cut(w1, w, len),
                            cut(w2, w, len),
                            cut(w3, w, len),
                        ];
                        add_rows(d_input.get_mut(i..).unwrap_or_default(), d, w);
                    });
                }
                let rest = rows_of(blocks.rest(), taps);
                for (&d, weights) in d_rest.iter().zip(rest) {
                    segments.for_each(layer, group, |i, w, len| {
                        let d_input = d_input.get_mut(i..).unwrap_or_default();
                        add_row(d_input, d, cut(weights, w, len));
                    });
                }
            }
        });
    }
}

/// Adds the gradients of weights and bias, summed over the batch: every output pixel adds the input it
/// saw, times its gradient.
pub fn conv2d_f32_backward_weights(
    params: &Conv2d,
    input: &[f32],
    d_output: &[f32],
    d_weights: &mut [f32],
    mut d_bias: Option<&mut [f32]>,
) {
    let expected = params.weights_len();
    let bias = d_bias.as_deref();
    if lengths::conv2d(params, input, (d_weights, expected), bias, d_output).is_none() {
        return;
    }
    let layer = &Layer::new(params);
    let (group_out, taps) = (layer.group_out, layer.taps);
    for (input, d_output) in
        rows_of(input, params.input().len()).zip(rows_of(d_output, params.output().len()))
    {
        for_each_pixel(params, d_output, |run, window| {
            let segments = layer.segments(window);
            if one_by_one(params) {
                segments.for_each(layer, 0, |i, w, _| {
                    let input = input.get(i..).unwrap_or_default();
                    let d_weights = rows_of_mut(d_weights, taps);
                    for ((d_weights, d), x) in d_weights.zip(run).zip(input) {
                        if let Some(d_weight) = d_weights.get_mut(w) {
                            *d_weight += d * x;
                        }
                    }
                });
            } else {
                let group_len = group_out.saturating_mul(taps);
                for (group, (d, d_weights)) in rows_of(run, group_out)
                    .zip(rows_of_mut(d_weights, group_len))
                    .enumerate()
                {
                    for (&d, d_weights) in d.iter().zip(rows_of_mut(d_weights, taps)) {
                        segments.for_each(layer, group, |i, w, len| {
                            let d_weights = d_weights.get_mut(w..).unwrap_or_default();
                            add_row(d_weights, d, cut(input, i, len));
                        });
                    }
                }
            }
            if let Some(d_bias) = d_bias.as_deref_mut() {
                add_row(d_bias, 1.0, run);
            }
        });
    }
}
