//! Linear layers: input `[batch, in_features]`, weights `[out_features, in_features]`, output
//! `[batch, out_features]`. Nothing is packed, weights are read where they are.
//!
//! - **Forward**: every output is a dot product with one vector of partial sums, whose lanes are added
//!   up in a fixed order at the end. A tile is up to three samples times four output features; for one
//!   sample, eight features, which read memory as fast as it goes.
//! - **Backward**: outer products. For the input's gradient a tile is samples times input features and
//!   goes over output features; of one sample, rows of weights are added up where they are. For the weights' gradient
//!   a tile is output times input features, over samples.

use core::mem::MaybeUninit;
use core::ptr::NonNull;

use super::memory::each_with;
use super::microkernel::{Lanes, Tile, for_each_panel, for_each_tile};
use super::{Vector, first_of};
use crate::lengths;
use crate::params::Linear;

/// Output features of a forward tile, and of one for a single sample.
const FEATURES: usize = 4;
const FEATURES_OF_ONE: usize = 8;

/// Samples of a forward tile.
const SAMPLES: usize = 3;

/// Output features that the input's gradient takes in before it goes on to the next tile. So few rows of
/// weights are read side by side, front to back, as caches and their prefetchers like it.
const PASS_FEATURES: usize = 8;

/// The same where the weights of a pass are copied first.
const COPIED_FEATURES: usize = 64;

/// The widest vector that there is room for.
const MAX_LANES: usize = 16;

/// Linear layer, bias and activation.
#[inline(always)]
pub(crate) fn forward<V: Vector>(
    isa: V::Isa,
    params: &Linear,
    input: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    output: &mut [f32],
) {
    let Some(batch) = lengths::linear(params, input, weights, bias, output) else {
        return;
    };
    let to = params.out_features();
    let layer = Layer {
        params: *params,
        weights: weights.as_ptr(),
        bias: bias.map(first_of),
    };
    let (input, output) = (input.as_ptr(), output.as_mut_ptr());
    let mut feature = 0;
    // SAFETY: the lengths were checked; samples are below `batch`, features below `out_features`.
    unsafe {
        if batch == 1 {
            while to - feature >= FEATURES_OF_ONE {
                dots::<V, 1, FEATURES_OF_ONE>(isa, &layer, 0, feature, input, output);
                feature += FEATURES_OF_ONE;
            }
        }
        while to - feature >= FEATURES {
            samples::<V, FEATURES>(isa, &layer, batch, feature, input, output);
            feature += FEATURES;
        }
        while to > feature {
            samples::<V, 1>(isa, &layer, batch, feature, input, output);
            feature += 1;
        }
    }
}

/// A linear layer and its operands.
struct Layer {
    params: Linear,
    weights: *const f32,
    bias: Option<NonNull<f32>>,
}

/// `N` output features of all samples.
///
/// # Safety
/// The operands are complete and the features exist.
#[inline(always)]
unsafe fn samples<V: Vector, const N: usize>(
    isa: V::Isa,
    layer: &Layer,
    batch: usize,
    feature: usize,
    input: *const f32,
    output: *mut f32,
) {
    let mut sample = 0;
    // SAFETY: samples are below `batch`; the caller vouches for operands and features.
    unsafe {
        while batch - sample >= SAMPLES {
            dots::<V, SAMPLES, N>(isa, layer, sample, feature, input, output);
            sample += SAMPLES;
        }
        match batch - sample {
            2 => dots::<V, 2, N>(isa, layer, sample, feature, input, output),
            1 => dots::<V, 1, N>(isa, layer, sample, feature, input, output),
            _ => {}
        }
    }
}

/// `M` samples from `sample` times `N` output features from `feature`.
///
/// # Safety
/// The operands are complete, and these samples and features exist.
#[inline(always)]
unsafe fn dots<V: Vector, const M: usize, const N: usize>(
    isa: V::Isa,
    layer: &Layer,
    sample: usize,
    feature: usize,
    input: *const f32,
    output: *mut f32,
) {
    let (from, to) = (layer.params.in_features(), layer.params.out_features());
    let (low, high) = layer.params.activation().range();
    // SAFETY: sample and feature rows are `from` values long; the caller vouches that they exist.
    unsafe {
        let mut inputs = [input; M];
        for (m, input) in inputs.iter_mut().enumerate() {
            *input = input.add((sample + m) * from);
        }
        let mut weights = [layer.weights; N];
        for (n, weights) in weights.iter_mut().enumerate() {
            *weights = weights.add((feature + n) * from);
        }
        let mut sums = [[V::splat(isa, 0.0); M]; N];
        let whole = from - from % V::LANES;
        let mut k = 0;
        while k < whole {
            let mut x = [V::splat(isa, 0.0); M];
            for (x, input) in x.iter_mut().zip(&inputs) {
                *x = V::load(isa, input.add(k));
            }
            for (sums, weights) in sums.iter_mut().zip(&weights) {
                let row = V::load(isa, weights.add(k));
                for (sum, x) in sums.iter_mut().zip(&x) {
                    *sum = sum.add_product(*x, row);
                }
            }
            k += V::LANES;
        }
        if whole < from {
            let rest = from - whole;
            for (sums, weights) in sums.iter_mut().zip(&weights) {
                let row = V::load_partial(isa, weights.add(whole), rest);
                for (sum, input) in sums.iter_mut().zip(&inputs) {
                    let x = V::load_partial(isa, input.add(whole), rest);
                    *sum = sum.add_product(x, row);
                }
            }
        }
        for (n, sums) in sums.iter().enumerate() {
            let bias = layer
                .bias
                .map_or(0.0, |bias| *bias.as_ptr().add(feature + n));
            for (m, sum) in sums.iter().enumerate() {
                let y = crate::params::clamp(sum.sum() + bias, low, high);
                *output.add((sample + m) * to + feature + n) = y;
            }
        }
    }
}

/// Writes the gradient of the input.
#[inline(always)]
pub(crate) fn backward_input<V: Vector>(
    isa: V::Isa,
    params: &Linear,
    d_output: &[f32],
    weights: &[f32],
    d_input: &mut [f32],
) {
    let Some(batch) = lengths::linear(params, d_input, weights, None, d_output) else {
        return;
    };
    d_input.fill(0.0);
    if batch == 1 {
        return backward_input_of_one::<V>(isa, d_output, weights, d_input);
    }
    let (from, to) = (params.in_features(), params.out_features());
    let (d_output, weights) = (d_output.as_ptr(), weights.as_ptr());
    let d_input = d_input.as_mut_ptr();
    // Rows a power of two apart would push each other out of the cache before all samples have used
    // them: if there are many samples, a panel is copied first.
    const { assert!(V::LANES <= MAX_LANES) };
    let mut copy = MaybeUninit::<[f32; COPIED_FEATURES * 2 * MAX_LANES]>::uninit();
    let (pass, copy) = if batch > V::ROWS {
        (COPIED_FEATURES, Some(copy.as_mut_ptr().cast::<f32>()))
    } else {
        (PASS_FEATURES, None)
    };
    let mut feature = 0;
    while feature < to {
        let features = pass.min(to - feature);
        // SAFETY: the lengths were checked; a tile is of samples below `batch` and input features below
        // `from`, and reads these output features of both operands. The copy has room for them, and of it no more is
        // read than was written.
        unsafe {
            for_each_panel!(V, from, |at, NV, PARTIAL, last| {
                let mut lanes = Lanes {
                    start: weights.add(feature * from + at),
                    step: from,
                    last,
                };
                if let Some(copy) = copy {
                    for k in 0..features {
                        let row = lanes.start.add(k * from);
                        let row = Tile::<V, 1, NV, PARTIAL>::load(isa, row, 0, last);
                        row.store(copy.add(k * NV * V::LANES), 0, last);
                    }
                    lanes.start = copy;
                    lanes.step = NV * V::LANES;
                }
                for_each_tile!(V, batch, |sample, M| {
                    let mut scalars = [d_output; M];
                    for (m, scalars) in scalars.iter_mut().enumerate() {
                        *scalars = scalars.add((sample + m) * to + feature);
                    }
                    let d_input = d_input.add(sample * from + at);
                    let mut tile = Tile::<V, M, NV, PARTIAL>::load(isa, d_input, from, last);
                    tile.accumulate::<PARTIAL>(isa, scalars, 1, lanes, features);
                    tile.store(d_input, from, last);
                });
            });
        }
        feature += features;
    }
}

/// Adds the gradient of one sample's input to `d_input`, each sum in the order of the tiles. A tile of one row would
/// spend more on finding its operands than on multiplying them.
#[inline(always)]
fn backward_input_of_one<V: Vector>(
    isa: V::Isa,
    d_output: &[f32],
    weights: &[f32],
    d_input: &mut [f32],
) {
    let from = d_input.len().max(1);
    let passes = d_output.chunks(PASS_FEATURES);
    for (d_output, weights) in passes.zip(weights.chunks(PASS_FEATURES * from)) {
        if let Ok(scalars) = <&[f32; PASS_FEATURES]>::try_from(d_output) {
            add_rows::<V, PASS_FEATURES>(isa, scalars, weights, d_input);
            continue;
        }
        for (scalar, weights) in d_output.iter().zip(weights.chunks_exact(from)) {
            add_rows::<V, 1>(isa, &[*scalar], weights, d_input);
        }
    }
}

/// Adds to `sums` the products of each scalar and its row of `rows`, in their order.
#[inline(always)]
fn add_rows<V: Vector, const N: usize>(
    isa: V::Isa,
    scalars: &[f32; N],
    rows: &[f32],
    sums: &mut [f32],
) {
    let mut factors = [V::splat(isa, 0.0); N];
    for (factor, scalar) in factors.iter_mut().zip(scalars) {
        *factor = V::splat(isa, *scalar);
    }
    let mut operands: [&[f32]; N] = [&[]; N];
    for (operand, row) in operands
        .iter_mut()
        .zip(rows.chunks_exact(sums.len().max(1)))
    {
        *operand = row;
    }
    each_with::<V, N>(
        isa,
        operands,
        sums,
        #[inline(always)]
        |mut sum, rows| {
            for (factor, row) in factors.iter().zip(&rows) {
                sum = sum.add_product(*factor, *row);
            }
            sum
        },
    );
}

/// Adds the gradients of the weights and bias of the output features in `rows`.
#[inline(always)]
pub(crate) fn backward_weights<V: Vector>(
    isa: V::Isa,
    params: &Linear,
    rows: core::ops::Range<usize>,
    input: &[f32],
    d_output: &[f32],
    d_weights: &mut [f32],
    d_bias: Option<&mut [f32]>,
) {
    let bias = d_bias.as_deref();
    let batch = lengths::linear_rows(params, &rows, input, d_output, d_weights, bias);
    let Some(batch) = batch else {
        return;
    };
    let (from, to) = (params.in_features(), params.out_features());
    if let Some(d_bias) = d_bias {
        for d_output in d_output.chunks_exact(to.max(1)) {
            let d_output = d_output.get(rows.clone()).unwrap_or_default();
            for (d_bias, d) in d_bias.iter_mut().zip(d_output) {
                *d_bias += d;
            }
        }
    }
    let (input, d_output) = (input.as_ptr(), d_output.as_ptr());
    let d_weights = d_weights.as_mut_ptr();
    // SAFETY: the lengths were checked; a tile is of rows in `rows` and input features below `from`, and
    // reads every sample of both operands.
    unsafe {
        for_each_tile!(V, rows.len(), |row, M| {
            let mut scalars = [d_output; M];
            for (m, scalars) in scalars.iter_mut().enumerate() {
                *scalars = scalars.add(rows.start + row + m);
            }
            for_each_panel!(V, from, |at, NV, PARTIAL, last| {
                let lanes = Lanes {
                    start: input.add(at),
                    step: from,
                    last,
                };
                let d_weights = d_weights.add(row * from + at);
                let mut tile = Tile::<V, M, NV, PARTIAL>::load(isa, d_weights, from, last);
                tile.accumulate::<PARTIAL>(isa, scalars, to, lanes, batch);
                tile.store(d_weights, from, last);
            });
        });
    }
}
