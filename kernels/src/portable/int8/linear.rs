//! Linear layer of 8-bit numbers, four outputs at a time.

use super::super::dot::{BLOCK, block_rows};
use super::super::rows::{rows_of, rows_of_mut};
use super::dot::{bias, bias_block, dot, dot_1, dot_any, finish, finish_block};
use crate::lengths;
use crate::params::{LinearI8, RowOrder, WeightsI8};

/// Linear layer, bias and bounds.
pub fn linear_i8(params: &LinearI8, input: &[i8], weights: WeightsI8<'_>, output: &mut [i8]) {
    let all = (weights, params.weights_len(weights.order));
    if lengths::linear_i8(params, input, all, output).is_none() {
        return;
    }
    let (from, to) = (
        params.geometry().in_features(),
        params.geometry().out_features(),
    );
    for (x, y) in rows_of(input, from).zip(rows_of_mut(output, to)) {
        one_sample(params, x, weights, y);
    }
}

fn one_sample(params: &LinearI8, x: &[i8], weights: WeightsI8<'_>, y: &mut [i8]) {
    let (from, zero_point) = (params.geometry().in_features(), params.input_zero_point());
    if weights.order != RowOrder::Rows {
        for (feature, y) in y.iter_mut().enumerate() {
            let sum = bias(&weights, feature);
            let sum = dot_any(sum, x, zero_point, &weights, (from, feature, 0));
            finish(params.output(), &weights, feature, sum, y);
        }
        return;
    }
    let mut blocks = rows_of(weights.weights, from.saturating_mul(BLOCK));
    let (y, y_rest) = y.as_chunks_mut::<BLOCK>();
    let mut first = 0usize;
    for (y, block) in y.iter_mut().zip(blocks.by_ref()) {
        let mut sums = bias_block(&weights, first);
        if let Some(w) = block_rows(block, from) {
            dot(&mut sums, x, zero_point, w);
        }
        finish_block(params.output(), &weights, first, sums, y);
        first = first.wrapping_add(BLOCK);
    }
    for (y, w) in y_rest.iter_mut().zip(rows_of(blocks.rest(), from)) {
        let sum = dot_1(bias(&weights, first), x, zero_point, w);
        finish(params.output(), &weights, first, sum, y);
        first = first.wrapping_add(1);
    }
}
