//! Convolution, alone and with a max pool: as a matrix product, implicit but for windows of 1 x 1, or depthwise.
#![allow(unsafe_code)]

use std::format;

use kinglet_kernels::opencl::{CONV2D, PACK};
use kinglet_kernels::{Conv2d, PooledConv2d, Window};

use super::gemm::{Gemm, Matrix};
use super::{TILES, Tile, common_element, work_group};
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{OpenClError, Recording, Slice};

/// Packed weights have rows of a multiple of this many columns: all loads of them are whole vectors, in any tile.
const PACKED_COLUMNS: usize = 8;

/// How the weights of a convolution are packed: `[groups][taps][columns]`, of which the first `n` columns count.
pub(super) struct Packed {
    groups: usize,
    taps: usize,
    n: usize,
    pub(super) columns: usize,
}

impl Packed {
    pub(super) fn new(params: &Conv2d) -> Self {
        // The groups of a depthwise convolution are columns side by side.
        let (groups, n) = match params.is_depthwise() {
            true => (1, params.output().channels),
            false => (params.groups(), params.group_out_channels()),
        };
        Self {
            groups,
            taps: params.taps(),
            n,
            columns: n.next_multiple_of(PACKED_COLUMNS),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.groups
            .saturating_mul(self.taps)
            .saturating_mul(self.columns)
    }
}

/// The tensors of a convolution of `batch` samples.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    pub(super) batch: usize,
    pub(super) input: Slice<'a>,
    pub(super) weights: Slice<'a>,
    pub(super) bias: Option<Slice<'a>>,
    pub(super) output: Slice<'a>,
}

impl Operands<'_> {
    /// `Ok` if all are long enough, an output sample having `output_len` elements.
    fn check(&self, params: &Conv2d, output_len: usize) -> Result<(), OpenClError> {
        let Self { batch, .. } = *self;
        let input_len = batch.saturating_mul(params.input().len());
        at_least("conv2d_f32: input", self.input, input_len)?;
        let packed_len = Packed::new(params).len();
        at_least("conv2d_f32: weights", self.weights, packed_len)?;
        if let Some(bias) = self.bias {
            at_least("conv2d_f32: bias", bias, params.output().channels)?;
        }
        let output_len = batch.saturating_mul(output_len);
        at_least("conv2d_f32: output", self.output, output_len)
    }
}

impl Recording {
    /// Elements that [`conv2d_f32_pack`](Self::conv2d_f32_pack) writes.
    pub fn conv2d_f32_packed_len(params: &Conv2d) -> usize {
        Packed::new(params).len()
    }

    /// Reorders OHWI `weights` for [`conv2d_f32`](Self::conv2d_f32).
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn conv2d_f32_pack(
        &mut self,
        params: &Conv2d,
        weights: Slice<'_>,
        packed: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let layout = Packed::new(params);
        at_least("conv2d_f32_pack: weights", weights, params.weights_len())?;
        at_least("conv2d_f32_pack: packed", packed, layout.len())?;
        let global = [layout.columns, layout.taps, layout.groups];
        let call = Call::new(&PACK, "pack")
            .storage(common_element(&[weights, packed])?)
            .slice(weights)
            .slice(packed)
            .int(layout.groups)
            .int(layout.n)
            .int(layout.taps)
            .int(layout.columns)
            .global(global)
            .local(work_group(global));
        // SAFETY: both slices have every element, as was checked; each work-item writes one of its own.
        unsafe { self.push(call) }
    }

    /// Convolution, bias and activation of `batch` samples. `weights` are packed. Without `bias` it is 0.
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
        let operands = Operands {
            batch,
            input,
            weights,
            bias,
            output,
        };
        operands.check(params, params.output().len())?;
        if batch == 0 {
            return Ok(());
        }
        if params.is_depthwise() {
            return self.depthwise_conv2d(params, &operands);
        }
        if is_pointwise(params.window()) {
            return self.pointwise_conv2d(params, &operands);
        }
        let to = params.output();
        let pixels = batch * to.height * to.width;
        let problem = format!("conv2d {params:?} batch {batch} {:?}", input.element());
        self.with_fastest_tile(&problem, TILES, |recording, tile| {
            let call = implicit(
                Call::new(&CONV2D, "conv2d"),
                params,
                &operands,
                pixels,
                tile,
            )?;
            let call = call.global([
                params.group_out_channels().div_ceil(tile.n),
                pixels.div_ceil(tile.m),
                params.groups(),
            ]);
            // SAFETY: the slices have every element, as was checked; each work-item writes a tile of its own.
            unsafe { recording.push(call) }
        })
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
        let operands = Operands {
            batch,
            input,
            weights,
            bias,
            output,
        };
        let (conv, to) = (params.conv(), params.output());
        operands.check(conv, to.len())?;
        if batch == 0 {
            return Ok(());
        }
        if conv.is_depthwise() {
            return self.depthwise_conv2d_max_pool2d(params, &operands);
        }
        let pixels = batch * to.height * to.width;
        let problem = format!("conv2d {params:?} batch {batch} {:?}", input.element());
        self.with_fastest_tile(&problem, TILES, |recording, tile| {
            let call = Call::new(&CONV2D, "conv2d_max_pool2d");
            let call = pool(implicit(call, conv, &operands, pixels, tile)?, params);
            let call = call.global([
                conv.group_out_channels().div_ceil(tile.n),
                pixels,
                conv.groups(),
            ]);
            // SAFETY: the slices have every element, as was checked; each work-item writes pixels of its own.
            unsafe { recording.push(call) }
        })
    }

    /// A window of 1 x 1: a matrix product as it stands.
    fn pointwise_conv2d(
        &mut self,
        params: &Conv2d,
        operands: &Operands<'_>,
    ) -> Result<(), OpenClError> {
        let (from, to, packed) = (params.input(), params.output(), Packed::new(params));
        self.gemm(&Gemm {
            groups: params.groups(),
            m: operands.batch * to.height * to.width,
            n: params.group_out_channels(),
            k: params.group_in_channels(),
            a: Matrix {
                slice: operands.input,
                stride: from.channels,
                group: params.group_in_channels(),
            },
            transpose_a: false,
            b: Matrix {
                slice: operands.weights,
                stride: packed.columns,
                group: packed.taps * packed.columns,
            },
            b_columns: packed.columns,
            c: Matrix {
                slice: operands.output,
                stride: to.channels,
                group: params.group_out_channels(),
            },
            bias: operands.bias,
            range: params.activation().range(),
        })
    }
}

/// True if outputs are products of weights with the pixel at the same place.
fn is_pointwise(window: Window) -> bool {
    let Window {
        dilation_h,
        dilation_w,
        ..
    } = window;
    // Dilation means nothing to a single tap.
    window == Window::new(1, 1).with_dilation(dilation_h, dilation_w)
}

/// The arguments of an implicit matrix product, with or without a pool.
fn implicit<'a>(
    call: Call<'a>,
    params: &Conv2d,
    operands: &Operands<'a>,
    pixels: usize,
    tile: Tile,
) -> Result<Call<'a>, OpenClError> {
    let to = params.output();
    let call = tensors(call, params, operands, tile)?
        .int(to.height)
        .int(to.width)
        .int(to.channels)
        .int(pixels)
        .int(params.group_in_channels())
        .int(params.group_out_channels());
    Ok(window(call, params))
}

/// The arguments that every convolution begins with, and how it is cut.
pub(super) fn tensors<'a>(
    call: Call<'a>,
    params: &Conv2d,
    operands: &Operands<'a>,
    tile: Tile,
) -> Result<Call<'a>, OpenClError> {
    let Operands {
        input,
        weights,
        bias,
        output,
        ..
    } = *operands;
    let from = params.input();
    let element = common_element(&[input, weights, bias.unwrap_or(output), output])?;
    Ok(call
        .storage(element)
        .define("TILE_M", tile.m)
        .define("TILE_N", tile.n)
        .local(tile.local)
        .slice(input)
        .int(from.height)
        .int(from.width)
        .int(from.channels)
        .slice(weights)
        .int(Packed::new(params).columns)
        .optional(bias, output)
        .slice(output))
}

/// The arguments that say which window slides, and what is done with its sum.
pub(super) fn window<'a>(call: Call<'a>, params: &Conv2d) -> Call<'a> {
    let window = params.window();
    let (low, high) = params.activation().range();
    call.int(window.kernel_h)
        .int(window.kernel_w)
        .int(window.stride_h)
        .int(window.stride_w)
        .int(window.dilation_h)
        .int(window.dilation_w)
        .int(window.padding.top)
        .int(window.padding.left)
        .float(low)
        .float(high)
}

/// The arguments that a pool adds.
pub(super) fn pool<'a>(call: Call<'a>, params: &PooledConv2d) -> Call<'a> {
    let (to, kernel, stride) = (params.output(), params.kernel(), params.stride());
    call.int(to.height)
        .int(to.width)
        .int(kernel.0)
        .int(kernel.1)
        .int(stride.0)
        .int(stride.1)
}
