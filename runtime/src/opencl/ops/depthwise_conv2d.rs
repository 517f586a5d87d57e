//! Depthwise convolution, alone and with a max pool.
#![allow(unsafe_code)]

use std::format;

use kinglet_kernels::opencl::DEPTHWISE_CONV2D;
use kinglet_kernels::{Conv2d, PooledConv2d};

use super::TILES;
use super::conv2d::{Operands, pool, tensors, window};
use crate::opencl::recording::Call;
use crate::opencl::{OpenClError, Recording};

impl Recording {
    /// Depthwise convolution; the operands are long enough.
    pub(super) fn depthwise_conv2d(
        &mut self,
        params: &Conv2d,
        operands: &Operands<'_>,
    ) -> Result<(), OpenClError> {
        let (to, batch, element) = (params.output(), operands.batch, operands.input.element());
        let problem = format!("depthwise_conv2d {params:?} batch {batch} {element:?}");
        self.with_fastest_tile(&problem, TILES, |recording, tile| {
            let call = Call::new(&DEPTHWISE_CONV2D, "depthwise_conv2d");
            let lines = batch * to.height;
            let call = tensors(call, params, operands, tile)?
                .int(to.height)
                .int(to.width)
                .int(lines);
            let call = window(call, params).global([
                to.channels.div_ceil(tile.n),
                to.width.div_ceil(tile.m),
                lines,
            ]);
            // SAFETY: the slices have every element, as the caller checked; each work-item writes a tile of its own.
            unsafe { recording.push(call) }
        })
    }

    /// Depthwise convolution with a max pool; the operands are long enough.
    pub(super) fn depthwise_conv2d_max_pool2d(
        &mut self,
        params: &PooledConv2d,
        operands: &Operands<'_>,
    ) -> Result<(), OpenClError> {
        let (conv, to) = (params.conv(), params.output());
        let (batch, element) = (operands.batch, operands.input.element());
        let problem = format!("depthwise_conv2d {params:?} batch {batch} {element:?}");
        self.with_fastest_tile(&problem, TILES, |recording, tile| {
            let call = Call::new(&DEPTHWISE_CONV2D, "depthwise_conv2d_max_pool2d");
            let lines = batch * to.height;
            let call = tensors(call, conv, operands, tile)?
                .int(conv.output().height)
                .int(conv.output().width)
                .int(lines);
            let call = pool(window(call, conv), params).global([
                to.channels.div_ceil(tile.n),
                to.width,
                lines,
            ]);
            // SAFETY: the slices have every element, as the caller checked; each work-item writes a pixel of its own.
            unsafe { recording.push(call) }
        })
    }
}
