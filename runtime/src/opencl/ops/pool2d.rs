//! Pools.
#![allow(unsafe_code)]

use kinglet_kernels::opencl::POOL2D;
use kinglet_kernels::{CountPadding, Pool2d};

use super::{common_element, work_group};
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{OpenClError, Recording, Slice};

/// Channels of one work-item. More would not make fewer loads.
const CHANNELS: usize = 4;

impl Recording {
    /// Maximum over each window, of `batch` samples. A NaN in a window is its maximum.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn max_pool2d_f32(
        &mut self,
        params: &Pool2d,
        batch: usize,
        input: Slice<'_>,
        output: Slice<'_>,
    ) -> Result<(), OpenClError> {
        if batch == 0 {
            return Ok(());
        }
        let call = arguments("max_pool2d", params, batch, input, output)?;
        // SAFETY: both slices have every element, as was checked; each work-item writes channels of its own.
        unsafe { self.push(call) }
    }

    /// Average over each window, of `batch` samples.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn avg_pool2d_f32(
        &mut self,
        params: &Pool2d,
        batch: usize,
        input: Slice<'_>,
        output: Slice<'_>,
    ) -> Result<(), OpenClError> {
        if batch == 0 {
            return Ok(());
        }
        let padding = params.window().padding;
        let count_padding = params.count_padding() == CountPadding::Include;
        let call = arguments("avg_pool2d", params, batch, input, output)?
            .int(padding.bottom)
            .int(padding.right)
            .int(usize::from(count_padding));
        // SAFETY: both slices have every element, as was checked; each work-item writes channels of its own.
        unsafe { self.push(call) }
    }
}

/// The arguments that both pools begin with.
fn arguments<'a>(
    kernel: &'static str,
    params: &Pool2d,
    batch: usize,
    input: Slice<'a>,
    output: Slice<'a>,
) -> Result<Call<'a>, OpenClError> {
    let (from, to, window) = (params.input(), params.output(), params.window());
    at_least("pool2d: input", input, batch.saturating_mul(from.len()))?;
    at_least("pool2d: output", output, batch.saturating_mul(to.len()))?;
    let lines = batch * to.height;
    let global = [to.channels.div_ceil(CHANNELS), to.width, lines];
    Ok(Call::new(&POOL2D, kernel)
        .storage(common_element(&[input, output])?)
        .define("TILE_N", CHANNELS)
        .slice(input)
        .int(from.height)
        .int(from.width)
        .int(from.channels)
        .slice(output)
        .int(to.height)
        .int(to.width)
        .int(lines)
        .int(window.kernel_h)
        .int(window.kernel_w)
        .int(window.stride_h)
        .int(window.stride_w)
        .int(window.dilation_h)
        .int(window.dilation_w)
        .int(window.padding.top)
        .int(window.padding.left)
        .global(global)
        .local(work_group(global)))
}
