//! Convolution, alone and with a max pool.
#![allow(unsafe_code)]

use std::format;

use kinglet_kernels::opencl::{CONV2D, PACK};
use kinglet_kernels::{Conv2d, PooledConv2d};

use super::{PACKED_COLUMNS, Tile, common_element};
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{OpenClError, Recording, Slice};

/// Columns of a group's packed weights.
fn packed_columns(params: &Conv2d) -> usize {
    params.group_out_channels().next_multiple_of(PACKED_COLUMNS)
}

impl Recording {
    /// Elements of packed weights: those of [`conv2d_f32_pack`](Self::conv2d_f32_pack).
    pub fn conv2d_f32_packed_len(params: &Conv2d) -> usize {
        (params.groups() * params.taps()).saturating_mul(packed_columns(params))
    }

    /// Reorders OHWI weights for the convolutions of this device.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn conv2d_f32_pack(
        &mut self,
        params: &Conv2d,
        weights: Slice<'_>,
        packed: Slice<'_>,
    ) -> Result<(), OpenClError> {
        at_least("conv2d_f32_pack: weights", weights, params.weights_len())?;
        let packed_len = Self::conv2d_f32_packed_len(params);
        at_least("conv2d_f32_pack: packed", packed, packed_len)?;
        let columns = packed_columns(params);
        let call = Call::new(&PACK, "pack")
            .storage(common_element(&[weights, packed])?)
            .slice(weights)
            .slice(packed)
            .int(params.group_out_channels())
            .int(params.taps())
            .int(columns)
            .global([columns, params.taps(), params.groups()])
            .local([8, 8, 1]);
        // SAFETY: both slices have every element, as was checked; each work-item writes one of its own.
        unsafe { self.push(call) }
    }

    /// Convolution, bias and activation of `batch` samples; `weights` are packed. Without `bias` it is 0.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn conv2d_f32(
        &mut self,
        params: &Conv2d,
        batch: usize,
        input: Slice<'_>,
        weights: Slice<'_>,
        bias: Option<Slice<'_>>,
        output: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let to = params.output();
        at_least("conv2d_f32: output", output, batch * to.len())?;
        let pixels = batch * to.height * to.width;
        if pixels == 0 {
            return Ok(());
        }
        let record = |recording: &mut Self, tile: Tile| {
            let call = Call::new(&CONV2D, "conv2d");
            let call = arguments(
                call, params, batch, pixels, tile, input, weights, bias, output,
            )?;
            let call = call.global([
                params.group_out_channels().div_ceil(tile.n),
                pixels.div_ceil(tile.m),
                params.groups(),
            ]);
            // SAFETY: the slices have every element, as was checked; each work-item writes a tile of its own.
            unsafe { recording.push(call) }
        };
        let problem = format!("conv2d {params:?} batch {batch} {:?}", input.element());
        self.with_fastest_tile(&problem, record)
    }

    /// Convolution, bias, activation and the maximum over each window of the result, with the bits of
    /// [`conv2d_f32`](Self::conv2d_f32) and then [`max_pool2d_f32`](Self::max_pool2d_f32).
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn conv2d_max_pool2d_f32(
        &mut self,
        params: &PooledConv2d,
        batch: usize,
        input: Slice<'_>,
        weights: Slice<'_>,
        bias: Option<Slice<'_>>,
        output: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let (conv, to) = (params.conv(), params.output());
        at_least("conv2d_max_pool2d_f32: output", output, batch * to.len())?;
        let pixels = batch * to.height * to.width;
        if pixels == 0 {
            return Ok(());
        }
        let (kernel, stride) = (params.kernel(), params.stride());
        let record = |recording: &mut Self, tile: Tile| {
            let call = Call::new(&CONV2D, "conv2d_max_pool2d");
            let call = arguments(
                call, conv, batch, pixels, tile, input, weights, bias, output,
            )?;
            let call = call
                .int(to.height)
                .int(to.width)
                .int(kernel.0)
                .int(kernel.1)
                .int(stride.0)
                .int(stride.1)
                .global([
                    conv.group_out_channels().div_ceil(tile.n),
                    pixels,
                    conv.groups(),
                ]);
            // SAFETY: the slices have every element, as was checked; each work-item writes pixels of its own.
            unsafe { recording.push(call) }
        };
        let problem = format!("conv2d {params:?} batch {batch} {:?}", input.element());
        self.with_fastest_tile(&problem, record)
    }
}

/// The arguments that both convolutions begin with, after a check that input, weights and bias are long enough.
#[expect(
    clippy::too_many_arguments,
    reason = "those of a convolution, and how to cut it"
)]
fn arguments<'a>(
    call: Call<'a>,
    params: &Conv2d,
    batch: usize,
    pixels: usize,
    tile: Tile,
    input: Slice<'a>,
    weights: Slice<'a>,
    bias: Option<Slice<'a>>,
    output: Slice<'a>,
) -> Result<Call<'a>, OpenClError> {
    let (from, to, window) = (params.input(), params.output(), params.window());
    at_least("conv2d_f32: input", input, batch * from.len())?;
    let packed_len = Recording::conv2d_f32_packed_len(params);
    at_least("conv2d_f32: weights", weights, packed_len)?;
    if let Some(bias) = bias {
        at_least("conv2d_f32: bias", bias, to.channels)?;
    }
    let (low, high) = params.activation().range();
    Ok(call
        .storage(common_element(&[
            input,
            weights,
            bias.unwrap_or(output),
            output,
        ])?)
        .define("TILE_M", tile.m)
        .define("TILE_N", tile.n)
        .slice(input)
        .int(from.height)
        .int(from.width)
        .int(from.channels)
        .slice(weights)
        .int(packed_columns(params))
        .optional(bias, output)
        .slice(output)
        .int(to.height)
        .int(to.width)
        .int(to.channels)
        .int(pixels)
        .int(params.group_in_channels())
        .int(params.group_out_channels())
        .int(window.kernel_h)
        .int(window.kernel_w)
        .int(window.stride_h)
        .int(window.stride_w)
        .int(window.dilation_h)
        .int(window.dilation_w)
        .int(window.padding.top)
        .int(window.padding.left)
        .float(low)
        .float(high)
        .local(tile.local))
}
