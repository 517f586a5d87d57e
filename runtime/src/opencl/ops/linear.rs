//! Linear layers.
#![allow(unsafe_code)]

use std::format;

use kinglet_kernels::Linear;
use kinglet_kernels::opencl::LINEAR;

use super::{Tile, common_element};
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{OpenClError, Recording, Slice};

/// What one work-group computes, samples by outputs: little, for many groups, or much, for few loads.
const TILES: &[(usize, usize)] = &[(1, 1), (1, 4), (4, 4), (8, 4)];

/// Work-items that share a sum. The layer alone says how many: the order of its sums depends on it.
fn lanes(params: &Linear) -> usize {
    if params.in_features() < 1024 { 16 } else { 64 }
}

impl Recording {
    /// Linear layer, bias and activation of `batch` samples; `weights` are `[out_features, in_features]`. Without
    /// `bias` it is 0.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if a slice is too short, or one of the driver's.
    pub fn linear_f32(
        &mut self,
        params: &Linear,
        batch: usize,
        input: Slice<'_>,
        weights: Slice<'_>,
        bias: Option<Slice<'_>>,
        output: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let (from, to) = (params.in_features(), params.out_features());
        at_least("linear_f32: input", input, batch.saturating_mul(from))?;
        at_least("linear_f32: weights", weights, params.weights_len())?;
        if let Some(bias) = bias {
            at_least("linear_f32: bias", bias, to)?;
        }
        at_least("linear_f32: output", output, batch.saturating_mul(to))?;
        if batch == 0 {
            return Ok(());
        }
        let element = common_element(&[input, weights, bias.unwrap_or(output), output])?;
        let lanes = lanes(params);
        let (low, high) = params.activation().range();
        let tiles = TILES.iter().map(|&(m, n)| Tile::new(m, n, lanes, 1));
        let tiles: std::vec::Vec<Tile> = tiles.collect();
        let problem = format!("linear {params:?} batch {batch} {element:?}");
        self.with_fastest_tile(&problem, &tiles, |recording, tile| {
            let call = Call::new(&LINEAR, "linear")
                .storage(element)
                .define("TILE_M", tile.m)
                .define("TILE_N", tile.n)
                .slice(input)
                .slice(weights)
                .optional(bias, output)
                .slice(output)
                .int(batch)
                .int(from)
                .int(to)
                .float(low)
                .float(high)
                .local_floats(tile.m * tile.n * lanes)
                .global([lanes, to.div_ceil(tile.n), batch.div_ceil(tile.m)])
                .local(tile.local);
            // SAFETY: the slices have every element, as was checked; each work-item writes outputs of its own, and
            // reads of `shared` what others wrote behind a barrier.
            unsafe { recording.push(call) }
        })
    }
}
