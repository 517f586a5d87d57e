//! Gradients of pools.
#![allow(unsafe_code)]

use kinglet_kernels::opencl::POOL2D_BACKWARD;
use kinglet_kernels::{CountPadding, Padding, Pool2d};

use super::arguments::{expect, plane, window};
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{Element, OpenClError, Recording, Slice};

impl Recording {
    /// Writes the gradient of a max pool's input: each output's goes to the first position, in row-major order,
    /// that holds the maximum.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn max_pool2d_f32_backward(
        &mut self,
        params: &Pool2d,
        batch: usize,
        input: Slice<'_>,
        d_output: Slice<'_>,
        d_input: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let pixels = check(params, batch, d_output, d_input)?;
        let (from, to) = (params.input(), params.output());
        expect(Element::F32, &[input])?;
        at_least("max_pool2d_f32_backward: input", input, batch * from.len())?;
        let call = Call::new(&POOL2D_BACKWARD, "max_pool2d_backward")
            .slice(input)
            .slice(d_output)
            .slice(d_input)
            .int(pixels);
        let call = window(call, from, to, params.window())
            .global([from.channels, pixels, 1])
            .local(plane(from.channels));
        // SAFETY: the slices have every element, as was checked; each work-item writes one of its own.
        unsafe { self.push(call) }
    }

    /// Writes the gradient of an average pool's input.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn avg_pool2d_f32_backward(
        &mut self,
        params: &Pool2d,
        batch: usize,
        d_output: Slice<'_>,
        d_input: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let pixels = check(params, batch, d_output, d_input)?;
        let (from, to) = (params.input(), params.output());
        let counted = match params.count_padding() {
            CountPadding::Include => params.window().padding,
            CountPadding::Exclude => Padding::symmetric(0, 0),
        };
        let call = Call::new(&POOL2D_BACKWARD, "avg_pool2d_backward")
            .slice(d_output)
            .slice(d_input)
            .int(pixels);
        let call = window(call, from, to, params.window())
            .int(counted.top)
            .int(counted.bottom)
            .int(counted.left)
            .int(counted.right)
            .global([from.channels, pixels, 1])
            .local(plane(from.channels));
        // SAFETY: the slices have every element, as was checked; each work-item writes one of its own.
        unsafe { self.push(call) }
    }
}

/// Pixels of the input in all samples, if both gradients have every element.
fn check(
    params: &Pool2d,
    batch: usize,
    d_output: Slice<'_>,
    d_input: Slice<'_>,
) -> Result<usize, OpenClError> {
    let (from, to) = (params.input(), params.output());
    expect(Element::F32, &[d_output, d_input])?;
    at_least(
        "pool2d_f32_backward: d_output",
        d_output,
        batch.saturating_mul(to.len()),
    )?;
    at_least(
        "pool2d_f32_backward: d_input",
        d_input,
        batch.saturating_mul(from.len()),
    )?;
    Ok(batch * from.height * from.width)
}
