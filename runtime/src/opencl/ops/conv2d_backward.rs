//! Gradients of convolutions: matrix products over the columns of im2col, for a few samples at a time; those of
//! depthwise convolutions have kernels of their own.
#![allow(unsafe_code)]

use kinglet_kernels::Conv2d;
use kinglet_kernels::opencl::{DEPTHWISE_CONV2D_BACKWARD, IM2COL};

use super::arguments::{UNLIMITED, expect, plane, window};
use super::gemm::{Gemm, Matrix};
use super::reduce::{Begin, Chunks};
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

    /// Partial sums over the samples that are there at a time.
    fn partials(&self) -> usize {
        self.samples
            .saturating_mul(self.pixels)
            .div_ceil(self.chunk)
    }

    /// First sample and number of samples of each turn.
    fn turns(&self, batch: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let samples = self.samples.max(1);
        (0..batch)
            .step_by(samples)
            .map(move |first| (first, samples.min(batch - first)))
    }
}

/// Chunks of a depthwise convolution's output rows.
fn depthwise_chunks(params: &Conv2d, batch: usize) -> Chunks {
    Chunks::of(batch.saturating_mul(params.output().height))
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
                let partials = cut.partials().saturating_mul(params.weights_len());
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
            let pixels = batch * from.height * from.width;
            let call = Call::new(
                &DEPTHWISE_CONV2D_BACKWARD,
                "depthwise_conv2d_backward_input",
            )
            .slice(d_output)
            .slice(weights)
            .slice(d_input)
            .int(pixels);
            let call = window(call, from, to, params.window())
                .global([from.channels, pixels, 1])
                .local(plane(from.channels));
            // SAFETY: the slices have every element, as was checked; each work-item writes one of its own.
            return unsafe { self.push(call) };
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
        let partials = scratch.part(
            cut.columns_len(),
            cut.partials().saturating_mul(params.weights_len()),
        )?;
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

    fn depthwise_weights(
        &mut self,
        params: &Conv2d,
        batch: usize,
        input: Slice<'_>,
        d_output: Slice<'_>,
        scratch: Slice<'_>,
        d_weights: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let (from, to) = (params.input(), params.output());
        let chunks = depthwise_chunks(params, batch);
        let partials = scratch.part(0, chunks.partials_len(params.weights_len()))?;
        let call = Call::new(
            &DEPTHWISE_CONV2D_BACKWARD,
            "depthwise_conv2d_backward_weights",
        )
        .slice(input)
        .slice(d_output)
        .slice(partials)
        .int(chunks.rows)
        .int(chunks.rows_in_chunk);
        let call = window(call, from, to, params.window())
            .global([from.channels, params.taps(), chunks.count])
            .local(plane(from.channels));
        // SAFETY: the caller has checked input and d_output, the partial sums are as long as they must be; each
        // work-item writes one of its own.
        unsafe { self.push(call)? };
        self.add_partials(chunks.count, Begin::Zero, 1.0, partials, d_weights)
    }

    fn im2col(
        &mut self,
        params: &Conv2d,
        samples: usize,
        input: Slice<'_>,
        columns: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let (from, to) = (params.input(), params.output());
        let (pixels, row) = (
            samples * to.height * to.width,
            params.groups() * params.taps(),
        );
        let call = Call::new(&IM2COL, "im2col")
            .slice(input)
            .slice(columns)
            .int(pixels);
        let call = window(call, from, to, params.window())
            .int(params.groups())
            .global([row, pixels, 1])
            .local(plane(row));
        // SAFETY: the caller has cut both slices to what the samples take; each work-item writes an element of
        // its own.
        unsafe { self.push(call) }
    }

    fn col2im(
        &mut self,
        params: &Conv2d,
        samples: usize,
        columns: Slice<'_>,
        d_input: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let (from, to) = (params.input(), params.output());
        let pixels = samples * from.height * from.width;
        let call = Call::new(&IM2COL, "col2im")
            .slice(columns)
            .slice(d_input)
            .int(pixels);
        let call = window(call, from, to, params.window())
            .int(params.groups())
            .global([from.channels, pixels, 1])
            .local(plane(from.channels));
        // SAFETY: the caller has cut both slices to what the samples take; each work-item writes an element of
        // its own.
        unsafe { self.push(call) }
    }
}
