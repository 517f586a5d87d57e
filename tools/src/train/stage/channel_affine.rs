//! Factor and summand of each channel, and the activation behind them: what a batch normalization is that has been trained.
//!
//! Its gradients are those of a normalization by mean 0 and variance 1 that no batch moves.

use kinglet_kernels::Activation;
use kinglet_kernels::portable::batch_norm::Channels;
use rayon::prelude::*;

use super::channel_sums::{ChannelSums, write_gradients};
use super::{Backward, Pass};
use crate::train::plan::{Affine, function_of};

pub(crate) struct ChannelAffineStage {
    of: Affine,
    sums: ChannelSums,
    /// As many as there are channels.
    zeros: Vec<f32>,
    ones: Vec<f32>,
}

impl ChannelAffineStage {
    /// `len` are the values of one sample.
    pub(super) fn new(of: Affine, len: usize, batch_size: usize) -> Self {
        Self {
            sums: ChannelSums::new(of.channels, len, batch_size),
            zeros: vec![0.0; of.channels],
            ones: vec![1.0; of.channels],
            of,
        }
    }

    pub(super) fn forward(&self, pass: &Pass, input: &[f32], output: &mut [f32]) {
        let (scale, shift) = self.of.place.values(pass.parameters);
        let shift = shift.unwrap_or(&self.zeros);
        let shards = output.par_chunks_mut(self.sums.shard());
        let shards = shards.zip(input.par_chunks(self.sums.shard()));
        shards.for_each(|(output, input)| {
            output.copy_from_slice(input);
            let activation = self.of.activation;
            pass.kernels
                .channel_affine_f32(activation, scale, shift, output);
        });
    }

    pub(super) fn backward(&mut self, pass: &Pass, of: Backward) {
        let shard = self.sums.shard();
        if let Some(function) = function_of(self.of.activation) {
            let shards = of.output.par_chunks(shard);
            let shards = shards.zip(of.d_output.par_chunks_mut(shard));
            shards.for_each(|(output, d)| pass.kernels.unary_f32_backward(function, output, d));
        }
        let (scale, shift) = self.of.place.values(pass.parameters);
        let channels = Channels {
            mean: &self.zeros,
            inverse_std: &self.ones,
            weights: scale,
            bias: shift.unwrap_or(&self.zeros),
        };
        let sums = self.sums.backward(channels, of.input, of.d_output);
        write_gradients(&self.of.place, sums, of.gradients);
        let Some(d_input) = of.d_input else { return };
        let shards = d_input.par_chunks_mut(shard);
        let shards = shards.zip(of.d_output.par_chunks(shard));
        shards.for_each(|(d, d_output)| {
            d.copy_from_slice(d_output);
            let (identity, zeros) = (Activation::Identity, &self.zeros);
            pass.kernels.channel_affine_f32(identity, scale, zeros, d);
        });
    }
}
