//! Batch normalization of `[rows, channels]`, where a row is a pixel of a sample.
#![allow(unsafe_code)]

use kinglet_kernels::opencl::BATCH_NORM;

use super::arguments::{expect, plane};
use super::reduce::{Begin, Chunks};
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{Element, OpenClError, Recording, Slice};

/// What a batch normalization has for each channel; slices of one value for each but `moments`, which has two.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm<'b> {
    /// Number of channels.
    pub channels: usize,
    /// Added to the variance.
    pub epsilon: f32,
    /// Factors.
    pub weights: Slice<'b>,
    /// Summands.
    pub bias: Slice<'b>,
    /// Mean of the batches so far.
    pub running_mean: Slice<'b>,
    /// Variance of the batches so far.
    pub running_variance: Slice<'b>,
    /// Means and then inverse standard deviations of the last forward pass, for the backward pass.
    pub moments: Slice<'b>,
}

impl BatchNorm<'_> {
    fn check(&self, rows: usize, tensors: [Slice<'_>; 2]) -> Result<(), OpenClError> {
        let values = rows.saturating_mul(self.channels);
        for tensor in tensors {
            at_least("batch_norm_f32: values", tensor, values)?;
        }
        at_least("batch_norm_f32: weights", self.weights, self.channels)?;
        at_least("batch_norm_f32: bias", self.bias, self.channels)?;
        at_least(
            "batch_norm_f32: running_mean",
            self.running_mean,
            self.channels,
        )?;
        at_least(
            "batch_norm_f32: running_variance",
            self.running_variance,
            self.channels,
        )?;
        at_least(
            "batch_norm_f32: moments",
            self.moments,
            self.channels.saturating_mul(2),
        )?;
        let [input, output] = tensors;
        expect(
            Element::F32,
            &[
                input,
                output,
                self.weights,
                self.bias,
                self.running_mean,
                self.running_variance,
                self.moments,
            ],
        )
    }
}

impl Recording {
    /// Elements of scratch that a batch normalization needs in training.
    pub fn batch_norm_f32_scratch_len(rows: usize, channels: usize) -> usize {
        Chunks::of(rows).partials_len(channels.saturating_mul(2))
    }

    /// Normalizes by the batch's own statistics and moves the running ones towards them: by `momentum`, to the mean
    /// and the unbiased variance.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn batch_norm_f32_training(
        &mut self,
        of: &BatchNorm<'_>,
        rows: usize,
        momentum: f32,
        input: Slice<'_>,
        scratch: Slice<'_>,
        output: Slice<'_>,
    ) -> Result<(), OpenClError> {
        of.check(rows, [input, output])?;
        expect(Element::F32, &[scratch])?;
        let chunks = Chunks::of(rows);
        let partials = scratch.part(0, chunks.partials_len(of.channels))?;
        let mean = of.moments.part(0, of.channels)?;
        self.column_sums(chunks, of.channels, input, partials)?;
        self.add_partials(chunks.count, Begin::Zero, rows as f32, partials, mean)?;
        let call = Call::new(&BATCH_NORM, "batch_norm_square_deviations")
            .slice(input)
            .slice(of.moments)
            .slice(partials)
            .int(rows)
            .int(of.channels)
            .int(chunks.rows_in_chunk)
            .global([of.channels, chunks.count, 1])
            .local(plane(of.channels));
        // SAFETY: the slices have every element, as was checked; each work-item writes one of its own.
        unsafe { self.push(call)? };
        let call = Call::new(&BATCH_NORM, "batch_norm_statistics")
            .slice(partials)
            .slice(of.moments)
            .slice(of.running_mean)
            .slice(of.running_variance)
            .int(chunks.count)
            .int(rows)
            .int(of.channels)
            .float(of.epsilon)
            .float(momentum)
            .global([of.channels, 1, 1])
            .local([64, 1, 1]);
        // SAFETY: the slices have every element, as was checked; each work-item reads and writes those of its
        // channel.
        unsafe { self.push(call)? };
        self.normalize(of, rows, input, output)
    }

    /// Normalizes by the running statistics.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn batch_norm_f32(
        &mut self,
        of: &BatchNorm<'_>,
        rows: usize,
        input: Slice<'_>,
        output: Slice<'_>,
    ) -> Result<(), OpenClError> {
        of.check(rows, [input, output])?;
        let call = Call::new(&BATCH_NORM, "batch_norm_running")
            .slice(of.running_mean)
            .slice(of.running_variance)
            .slice(of.moments)
            .int(of.channels)
            .float(of.epsilon)
            .global([of.channels, 1, 1])
            .local([64, 1, 1]);
        // SAFETY: the slices have every element, as was checked; each work-item writes those of its channel.
        unsafe { self.push(call)? };
        self.normalize(of, rows, input, output)
    }

    fn normalize(
        &mut self,
        of: &BatchNorm<'_>,
        rows: usize,
        input: Slice<'_>,
        output: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let call = Call::new(&BATCH_NORM, "batch_norm_normalize")
            .slice(input)
            .slice(of.moments)
            .slice(of.weights)
            .slice(of.bias)
            .slice(output)
            .int(rows)
            .int(of.channels)
            .global([of.channels, rows, 1])
            .local(plane(of.channels));
        // SAFETY: the callers have checked the slices; each work-item writes an element of its own.
        unsafe { self.push(call) }
    }

    /// Writes the gradients of weights and bias to `d_parameters`, `[2, channels]`, and where it is asked for, that
    /// of the input, which may be the same slice as `d_output`. The moments are those of the forward pass.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    #[expect(clippy::too_many_arguments, reason = "every tensor of a gradient")]
    pub fn batch_norm_f32_backward(
        &mut self,
        of: &BatchNorm<'_>,
        rows: usize,
        input: Slice<'_>,
        d_output: Slice<'_>,
        scratch: Slice<'_>,
        d_parameters: Slice<'_>,
        d_input: Option<Slice<'_>>,
    ) -> Result<(), OpenClError> {
        of.check(rows, [input, d_output])?;
        expect(Element::F32, &[scratch, d_parameters])?;
        let chunks = Chunks::of(rows);
        let sums = of.channels.saturating_mul(2);
        let partials = scratch.part(0, chunks.partials_len(sums))?;
        let d_parameters = d_parameters.part(0, sums)?;
        let call = Call::new(&BATCH_NORM, "batch_norm_backward_sums")
            .slice(input)
            .slice(d_output)
            .slice(of.moments)
            .slice(partials)
            .int(rows)
            .int(of.channels)
            .int(chunks.rows_in_chunk)
            .global([of.channels, chunks.count, 1])
            .local(plane(of.channels));
        // SAFETY: the slices have every element, as was checked; each work-item writes two of its own.
        unsafe { self.push(call)? };
        self.add_partials(chunks.count, Begin::Zero, 1.0, partials, d_parameters)?;
        let Some(d_input) = d_input else {
            return Ok(());
        };
        of.check(rows, [input, d_input])?;
        let call = Call::new(&BATCH_NORM, "batch_norm_backward_input")
            .slice(input)
            .slice(d_output)
            .slice(of.moments)
            .slice(of.weights)
            .slice(d_parameters)
            .slice(d_input)
            .int(rows)
            .int(of.channels)
            .global([of.channels, rows, 1])
            .local(plane(of.channels));
        // SAFETY: the slices have every element, as was checked; each work-item reads of d_output and writes of
        // d_input the same element.
        unsafe { self.push(call) }
    }
}
