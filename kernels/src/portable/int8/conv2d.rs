//! Convolution of 8-bit numbers, four output channels at a time; what one output reads is cut into segments as for
//! `f32`. The padding means 0, so its products are left out.

use super::super::conv2d::{Layer, Segments, cut, group_weights, one_by_one};
use super::super::dot::{BLOCK, block_rows};
use super::super::rows::{rows_of, rows_of_mut};
use super::dot::{add_product, bias, bias_block, dot, dot_1, dot_any, finish, finish_block, less};
use crate::lengths;
use crate::params::{Conv2dI8, RowOrder, WeightsI8};
use crate::taps::Axis;

/// Convolution, bias and bounds.
pub fn conv2d_i8(params: &Conv2dI8, input: &[i8], weights: WeightsI8<'_>, output: &mut [i8]) {
    let all = (weights, params.weights_len(weights.order));
    if lengths::conv2d_i8(params, input, all, output).is_none() {
        return;
    }
    let geometry = params.geometry();
    let (from, to) = (geometry.input(), geometry.output());
    let vertical = Axis::vertical(geometry.window(), from.height);
    let horizontal = Axis::horizontal(geometry.window(), from.width);
    let row_len = to.width.saturating_mul(to.channels);
    let (layer, depthwise) = (Layer::new(geometry), one_by_one(geometry));
    for (input, output) in rows_of(input, from.len()).zip(rows_of_mut(output, to.len())) {
        for (y, row) in rows_of_mut(output, row_len).enumerate() {
            let rows = vertical.taps(y);
            for (x, pixel) in rows_of_mut(row, to.channels).enumerate() {
                let segments = layer.segments((rows, horizontal.taps(x)));
                let operands = (params, &layer, input, weights);
                match weights.order {
                    RowOrder::Rows if depthwise => depthwise_pixel(operands, segments, pixel),
                    RowOrder::Rows => one_pixel(operands, segments, pixel),
                    _ => pixel_of_any(operands, segments, pixel),
                }
            }
        }
    }
}

/// What a convolution computes with, apart from the pixel: the input of one sample among them.
type Operands<'a> = (&'a Conv2dI8, &'a Layer, &'a [i8], WeightsI8<'a>);

/// All channels of one pixel.
fn one_pixel((params, layer, input, weights): Operands<'_>, segments: Segments, y: &mut [i8]) {
    let (taps, zero_point) = (layer.taps, params.input_zero_point());
    let mut first = 0usize;
    for (group, y) in rows_of_mut(y, layer.group_out).enumerate() {
        let rows = group_weights(layer, weights.weights, group);
        let mut blocks = rows_of(rows, taps.saturating_mul(BLOCK));
        let (y, y_rest) = y.as_chunks_mut::<BLOCK>();
        for (y, block) in y.iter_mut().zip(blocks.by_ref()) {
            let mut sums = bias_block(&weights, first);
            if let Some([w0, w1, w2, w3]) = block_rows(block, taps) {
                segments.for_each(layer, group, |i, w, len| {
                    let w = [
                        cut(w0, w, len),
                        cut(w1, w, len),
                        cut(w2, w, len),
                        cut(w3, w, len),
                    ];
                    dot(&mut sums, cut(input, i, len), zero_point, w);
                });
            }
            finish_block(params.output(), &weights, first, sums, y);
            first = first.wrapping_add(BLOCK);
        }
        for (y, row) in y_rest.iter_mut().zip(rows_of(blocks.rest(), taps)) {
            let mut sum = bias(&weights, first);
            segments.for_each(layer, group, |i, w, len| {
                sum = dot_1(sum, cut(input, i, len), zero_point, cut(row, w, len));
            });
            finish(params.output(), &weights, first, sum, y);
            first = first.wrapping_add(1);
        }
    }
}

/// All channels of one pixel of a depthwise convolution: the segments of four neighbouring channels, of one value
/// each, are one run of four.
fn depthwise_pixel(
    (params, layer, input, weights): Operands<'_>,
    segments: Segments,
    y: &mut [i8],
) {
    let (taps, zero_point) = (layer.taps, params.input_zero_point());
    let mut blocks = rows_of(weights.weights, taps.saturating_mul(BLOCK));
    let (y, y_rest) = y.as_chunks_mut::<BLOCK>();
    let mut first = 0usize;
    for (y, block) in y.iter_mut().zip(blocks.by_ref()) {
        let mut sums = bias_block(&weights, first);
        if let Some([w0, w1, w2, w3]) = block_rows(block, taps) {
            segments.for_each(layer, 0, |i, w, _| {
                let x: Option<&[i8; BLOCK]> = input
                    .get(i.wrapping_add(first)..)
                    .and_then(|x| x.first_chunk());
                if let (Some(x), Some(w0), Some(w1), Some(w2), Some(w3)) =
                    (x, w0.get(w), w1.get(w), w2.get(w), w3.get(w))
                {
                    sums = [
                        add_product(sums[0], less(x[0], zero_point), *w0),
                        add_product(sums[1], less(x[1], zero_point), *w1),
                        add_product(sums[2], less(x[2], zero_point), *w2),
                        add_product(sums[3], less(x[3], zero_point), *w3),
                    ];
                }
            });
        }
        finish_block(params.output(), &weights, first, sums, y);
        first = first.wrapping_add(BLOCK);
    }
    for (y, row) in y_rest.iter_mut().zip(rows_of(blocks.rest(), taps)) {
        let mut sum = bias(&weights, first);
        segments.for_each(layer, first, |i, w, len| {
            sum = dot_1(sum, cut(input, i, len), zero_point, cut(row, w, len));
        });
        finish(params.output(), &weights, first, sum, y);
        first = first.wrapping_add(1);
    }
}

/// All channels of one pixel, from weights in any order. Not among the loops of those that are meant for this set: they would
/// lose registers to it.
#[cold]
#[inline(never)]
fn pixel_of_any((params, layer, input, weights): Operands<'_>, segments: Segments, y: &mut [i8]) {
    let (taps, zero_point) = (layer.taps, params.input_zero_point());
    let groups = rows_of_mut(y, layer.group_out).enumerate();
    let pixels = groups.flat_map(|(group, y)| y.iter_mut().map(move |y| (group, y)));
    for (channel, (group, y)) in pixels.enumerate() {
        let mut sum = bias(&weights, channel);
        segments.for_each(layer, group, |i, w, len| {
            let x = cut(input, i, len);
            sum = dot_any(sum, x, zero_point, &weights, (taps, channel, w));
        });
        finish(params.output(), &weights, channel, sum, y);
    }
}
