//! Gradients of convolutions: matrix products over the columns of im2col, for a few samples at a time; those of
//! depthwise convolutions have kernels of their own.
#![allow(unsafe_code)]

use kinglet_kernels::Conv2d;
use kinglet_kernels::opencl::IM2COL;

use super::arguments::{UNLIMITED, expect, window};
use super::depthwise_conv2d_backward::depthwise_chunks;
use super::gemm::{Gemm, Matrix};
use super::reduce::{Begin, Chunks};
use super::work_group;
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{Element, OpenClError, Recording, Slice};

/// Elements of columns at a time, unless one sample has more: 16 MiB.
const MOST_COLUMNS: usize = 4 << 20;

/// Elements of partial sums, unless one has more.
const MOST_PARTIALS: usize = 4 << 20;

/// Pixels that one partial sum of the weights' gradient goes over, at least: work for many at once, and sums that
/// are not long.
const LEAST_PIXELS: usize = 512;

/// How the work on a batch is cut: by batch and parameters alone, so that sums have one order.
struct Cut {
    /// Output pixels of one sample.
    pixels: usize,
    /// Elements of a row of columns.
    row: usize,
    /// Whether the input itself is the columns.
    in_place: bool,
    /// Samples whose columns are there at a time.
    samples: usize,
    /// Output pixels of one partial sum.
    chunk: usize,
}

impl Cut {
    fn of(params: &Conv2d, batch: usize) -> Self {
        let (to, window) = (params.output(), params.window());
        let pixels = to.height * to.width;
        let row = params.groups() * params.taps();
        let in_place = (window.kernel_h, window.kernel_w) == (1, 1)
            && (window.stride_h, window.stride_w) == (1, 1)
            && window.padding.is_zero();
        let samples = match in_place {
            true => batch,
            false => (MOST_COLUMNS / pixels.saturating_mul(row)).clamp(1, batch.max(1)),
        };
        let partials = samples
            .saturating_mul(pixels)
            .saturating_mul(params.weights_len());
        Self {
            pixels,
            row,
            in_place,
            samples,
            chunk: partials.div_ceil(MOST_PARTIALS).max(LEAST_PIXELS),
        }
    }

    /// Elements of the columns.
    fn columns_len(&self) -> usize {
        match self.in_place {
            true => 0,
            false => self
                .samples
                .saturating_mul(self.pixels)
                .saturating_mul(self.row),
        }
    }

    /// Partial sums over the samples that are there at a time, at most: a bound that no smaller batch exceeds, since
    /// scratch is made once for the largest.
    fn most_partials(&self, weights: usize) -> usize {
        let pixels = self.samples.saturating_mul(self.pixels);
        let limit = MOST_PARTIALS / weights + 1;
        pixels.div_ceil(LEAST_PIXELS).min(limit)
    }

    /// First sample and number of samples of each turn.
    fn turns(&self, batch: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let samples = self.samples.max(1);
        (0..batch)
            .step_by(samples)
            .map(move |first| (first, samples.min(batch - first)))
    }
}

/// Chunks of a batch's output pixels.
fn bias_chunks(params: &Conv2d, batch: usize) -> Chunks {
    let to = params.output();
    Chunks::of(batch.saturating_mul(to.height * to.width))
}

impl Recording {
    /// Elements of scratch that either backward convolution of `batch` samples needs.
    pub fn conv2d_f32_backward_scratch_len(params: &Conv2d, batch: usize) -> usize {
        let bias = bias_chunks(params, batch).partials_len(params.output().channels);
        let weights = match params.is_depthwise() {
            true => depthwise_chunks(params, batch).partials_len(params.weights_len()),
            false => {
                let cut = Cut::of(params, batch);
                let weights = params.weights_len();
                let partials = cut.most_partials(weights).saturating_mul(weights);
                cut.columns_len().saturating_add(partials)
            }
        };
        bias.max(weights)
    }

    /// Writes the gradient of the input. `weights` are OHWI, not packed; `params.activation()` is ignored.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn conv2d_f32_backward_input(
        &mut self,
        params: &Conv2d,
        batch: usize,
        d_output: Slice<'_>,
        weights: Slice<'_>,
        scratch: Slice<'_>,
        d_input: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let (from, to) = (params.input(), params.output());
        let (output_len, input_len) = (
            batch.saturating_mul(to.len()),
            batch.saturating_mul(from.len()),
        );
        expect(Element::F32, &[d_output, weights, scratch, d_input])?;
        at_least("conv2d_f32_backward_input: d_output", d_output, output_len)?;
        at_least(
            "conv2d_f32_backward_input: weights",
            weights,
            params.weights_len(),
        )?;
        at_least("conv2d_f32_backward_input: d_input", d_input, input_len)?;
        if params.is_depthwise() {
            return self.depthwise_input(params, batch, d_output, weights, d_input);
        }
        let cut = Cut::of(params, batch);
        for (first, samples) in cut.turns(batch) {
            let d_output = d_output.part(first * to.len(), samples * to.len())?;
            let d_input = d_input.part(first * from.len(), samples * from.len())?;
            let columns = match cut.in_place {
                true => d_input,
                false => scratch.part(0, samples * cut.pixels * cut.row)?,
            };
            self.gemm(&Gemm {
                groups: params.groups(),
                m: samples * cut.pixels,
                n: params.taps(),
                k: params.group_out_channels(),
                a: Matrix {
                    slice: d_output,
                    stride: to.channels,
                    group: params.group_out_channels(),
                },
                transpose_a: false,
                b: Matrix {
                    slice: weights,
                    stride: params.taps(),
                    group: params.group_out_channels() * params.taps(),
                },
                b_columns: params.taps(),
                c: Matrix {
                    slice: columns,
                    stride: cut.row,
                    group: params.taps(),
                },
                bias: None,
                range: UNLIMITED,
            })?;
            if !cut.in_place {
                self.col2im(params, samples, columns, d_input)?;
            }
        }
        Ok(())
    }

    /// Writes the gradients of weights (OHWI) and bias, summed over the batch; `params.activation()` is ignored.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    #[expect(
        clippy::too_many_arguments,
        reason = "those of the trait, and the batch"
    )]
    pub fn conv2d_f32_backward_weights(
        &mut self,
        params: &Conv2d,
        batch: usize,
        input: Slice<'_>,
        d_output: Slice<'_>,
        scratch: Slice<'_>,
        d_weights: Slice<'_>,
        d_bias: Option<Slice<'_>>,
    ) -> Result<(), OpenClError> {
        let (from, to) = (params.input(), params.output());
        let (output_len, input_len) = (
            batch.saturating_mul(to.len()),
            batch.saturating_mul(from.len()),
        );
        expect(Element::F32, &[input, d_output, scratch, d_weights])?;
        at_least("conv2d_f32_backward_weights: input", input, input_len)?;
        at_least(
            "conv2d_f32_backward_weights: d_output",
            d_output,
            output_len,
        )?;
        let d_weights = d_weights.part(0, params.weights_len())?;
        if let Some(d_bias) = d_bias {
            let d_bias = d_bias.part(0, to.channels)?;
            let chunks = bias_chunks(params, batch);
            self.column_sums(chunks, to.channels, d_output, scratch)?;
            self.add_partials(chunks.count, Begin::Zero, 1.0, scratch, d_bias)?;
        }
        if params.is_depthwise() {
            return self.depthwise_weights(params, batch, input, d_output, scratch, d_weights);
        }
        let cut = Cut::of(params, batch);
        let weights = params.weights_len();
        let partials = cut.most_partials(weights).saturating_mul(weights);
        let partials = scratch.part(cut.columns_len(), partials)?;
        let mut begin = Begin::Zero;
        for (first, samples) in cut.turns(batch) {
            let input = input.part(first * from.len(), samples * from.len())?;
            let d_output = d_output.part(first * to.len(), samples * to.len())?;
            let columns = match cut.in_place {
                true => input,
                false => {
                    let columns = scratch.part(0, samples * cut.pixels * cut.row)?;
                    self.im2col(params, samples, input, columns)?;
                    columns
                }
            };
            let pixels = samples * cut.pixels;
            self.partial_weights(params, &cut, pixels, columns, d_output, partials)?;
            self.add_partials(pixels.div_ceil(cut.chunk), begin, 1.0, partials, d_weights)?;
            begin = Begin::Output;
        }
        Ok(())
    }

    /// Writes the gradient of the weights of each chunk of `pixels`.
    fn partial_weights(
        &mut self,
        params: &Conv2d,
        cut: &Cut,
        pixels: usize,
        columns: Slice<'_>,
        d_output: Slice<'_>,
        partials: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let (channels, taps, weights) = (
            params.output().channels,
            params.taps(),
            params.weights_len(),
        );
        let rest = |slice: Slice<'_>, at: usize| slice.len().saturating_sub(at);
        let mut chunk = 0;
        while chunk * cut.chunk < pixels {
            let first = chunk * cut.chunk;
            // One launch does the groups of a chunk, or where there is one group, all whole chunks.
            let whole = (pixels - first) / cut.chunk;
            let chunks = match params.groups() {
                1 => whole.max(1),
                _ => 1,
            };
            let one = |of_group: usize, of_chunk: usize| match params.groups() {
                1 => of_chunk,
                _ => of_group,
            };
            let (a_at, b_at, c_at) = (first * channels, first * cut.row, chunk * weights);
            self.gemm(&Gemm {
                groups: chunks.max(params.groups()),
                m: params.group_out_channels(),
                n: taps,
                k: cut.chunk.min(pixels - first),
                a: Matrix {
                    slice: d_output.part(a_at, rest(d_output, a_at))?,
                    stride: channels,
                    group: one(params.group_out_channels(), cut.chunk * channels),
                },
                transpose_a: true,
                b: Matrix {
                    slice: columns.part(b_at, rest(columns, b_at))?,
                    stride: cut.row,
                    group: one(taps, cut.chunk * cut.row),
                },
                b_columns: taps,
                c: Matrix {
                    slice: partials.part(c_at, rest(partials, c_at))?,
                    stride: taps,
                    group: one(params.group_out_channels() * taps, weights),
                },
                bias: None,
                range: UNLIMITED,
            })?;
            chunk += chunks;
        }
        Ok(())
    }

    fn im2col(
        &mut self,
        params: &Conv2d,
        samples: usize,
        input: Slice<'_>,
        columns: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let pixels = samples * params.output().height * params.output().width;
        self.move_columns("im2col", params, pixels, input, columns)
    }

    fn col2im(
        &mut self,
        params: &Conv2d,
        samples: usize,
        columns: Slice<'_>,
        d_input: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let pixels = samples * params.input().height * params.input().width;
        self.move_columns("col2im", params, pixels, columns, d_input)
    }

    /// One of the two kernels between an input and its columns, which has a work-item for each channel of so many pixels.
    fn move_columns(
        &mut self,
        kernel: &'static str,
        params: &Conv2d,
        pixels: usize,
        source: Slice<'_>,
        target: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let (from, to) = (params.input(), params.output());
        let call = Call::new(&IM2COL, kernel)
            .slice(source)
            .slice(target)
            .int(pixels);
        let global = [from.channels, pixels, 1];
        let call = window(call, from, to, params.window())
            .int(params.groups())
            .global(global)
            .local(work_group(global));
        // SAFETY: the callers have cut both slices to what the samples take; each work-item writes the elements of one
        // channel and pixel.
        unsafe { self.push(call) }
    }
}

#[cfg(test)]
mod tests {
    use kinglet_kernels::{Activation, Conv2d, Padding, Shape, Window};

    use super::{Cut, Recording};

    /// Scratch is made once, for the largest batch.
    #[test]
    fn fewer_samples_need_no_more_scratch() {
        let window = Window::new(3, 3).with_padding(Padding::symmetric(1, 1));
        for (extent, channels, groups, window) in [
            (32, 32, 1, window),
            (7, 300, 1, window),
            (15, 24, 2, window),
            (9, 24, 24, window),
            (14, 700, 1, Window::new(1, 1)),
        ] {
            let input = Shape::new(extent, extent, channels);
            let params = Conv2d::new(input, channels, window, groups, Activation::Identity);
            let params = params.unwrap();
            let mut before = 0;
            for batch in 1..200 {
                let cut = Cut::of(&params, batch);
                let used = (cut.samples * cut.pixels).div_ceil(cut.chunk);
                assert!(used <= cut.most_partials(params.weights_len()));
                let scratch = Recording::conv2d_f32_backward_scratch_len(&params, batch);
                assert!(scratch >= before, "{params:?}, batch {batch}");
                before = scratch;
            }
        }
    }
}
