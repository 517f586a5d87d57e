//! Gradients of depthwise convolutions.
#![allow(unsafe_code)]

use kinglet_kernels::Conv2d;
use kinglet_kernels::opencl::DEPTHWISE_CONV2D_BACKWARD;

use super::arguments::window;
use super::reduce::{Begin, Chunks};
use super::work_group;
use crate::opencl::recording::Call;
use crate::opencl::{OpenClError, Recording, Slice};

/// Chunks of a depthwise convolution's output rows.
pub(super) fn depthwise_chunks(params: &Conv2d, batch: usize) -> Chunks {
    Chunks::of(batch.saturating_mul(params.output().height))
}

impl Recording {
    /// [`conv2d_f32_backward_input`](Self::conv2d_f32_backward_input), which has checked the slices.
    pub(super) fn depthwise_input(
        &mut self,
        params: &Conv2d,
        batch: usize,
        d_output: Slice<'_>,
        weights: Slice<'_>,
        d_input: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let (from, to) = (params.input(), params.output());
        let pixels = batch * from.height * from.width;
        let call = Call::new(
            &DEPTHWISE_CONV2D_BACKWARD,
            "depthwise_conv2d_backward_input",
        )
        .slice(d_output)
        .slice(weights)
        .slice(d_input)
        .int(pixels);
        let global = [from.channels, pixels, 1];
        let call = window(call, from, to, params.window())
            .global(global)
            .local(work_group(global));
        // SAFETY: the slices have every element, as was checked; each work-item writes one of its own.
        unsafe { self.push(call) }
    }

    /// The weights of [`conv2d_f32_backward_weights`](Self::conv2d_f32_backward_weights), which has checked the slices
    /// but for scratch.
    pub(super) fn depthwise_weights(
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
        let global = [from.channels, params.taps(), chunks.count];
        let call = window(call, from, to, params.window())
            .global(global)
            .local(work_group(global));
        // SAFETY: the caller has checked input and d_output, the partial sums are as long as they must be; each
        // work-item writes one of its own.
        unsafe { self.push(call)? };
        self.add_partials(chunks.count, Begin::Zero, 1.0, partials, d_weights)
    }
}
