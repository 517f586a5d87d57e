//! Sums of each channel over a batch: in f64 for each shard on all threads, then added in the order of the shards, so that
//! no bit depends on the threads.

use kinglet_kernels::portable::batch_norm::{Channels, backward_sums};
use rayon::prelude::*;

use super::{SHARDS, shard_samples};
use crate::train::plan::Place;

/// Two sums for each channel.
pub(super) struct ChannelSums {
    channels: usize,
    /// Values of one shard.
    shard: usize,
    /// First both sums of one shard, then of the next.
    sums: Vec<f64>,
    /// The same, added over the shards.
    totals: Vec<f64>,
}

impl ChannelSums {
    /// `len` are the values of one sample.
    pub(super) fn new(channels: usize, len: usize, batch_size: usize) -> Self {
        Self {
            channels,
            shard: shard_samples(batch_size) * len,
            sums: vec![0.0; 2 * SHARDS * channels],
            totals: vec![0.0; 2 * channels],
        }
    }

    /// Values of one shard.
    pub(super) fn shard(&self) -> usize {
        self.shard
    }

    /// Lets `add` add to the sums of one shard after the other, by its number and values, and adds those up in order.
    pub(super) fn over(
        &mut self,
        input: &[f32],
        add: impl Fn(usize, &[f32], &mut [f64], &mut [f64]) + Sync,
    ) -> [&[f64]; 2] {
        let shards = self.sums.par_chunks_mut(2 * self.channels);
        shards
            .zip(input.par_chunks(self.shard))
            .with_max_len(1)
            .enumerate()
            .for_each(|(i, (sums, input))| {
                sums.fill(0.0);
                let (first, second) = sums.split_at_mut(self.channels);
                add(i, input, first, second);
            });
        self.totals.fill(0.0);
        let used = input.len().div_ceil(self.shard);
        for sums in self.sums.chunks(2 * self.channels).take(used) {
            for (total, sum) in self.totals.iter_mut().zip(sums) {
                *total += sum;
            }
        }
        let (first, second) = self.totals.split_at(self.channels);
        [first, second]
    }

    /// The gradients of factor and summand of each channel.
    pub(super) fn backward(
        &mut self,
        of: Channels,
        input: &[f32],
        d_output: &[f32],
    ) -> [&[f64]; 2] {
        let shard = self.shard;
        self.over(input, |i, input, weight_sums, bias_sums| {
            let d_output = &d_output[i * shard..][..input.len()];
            backward_sums(of, input, d_output, weight_sums, bias_sums);
        })
    }
}

/// Writes what [`ChannelSums::backward`] gave to the gradients of all parameters.
pub(super) fn write_gradients(
    place: &Place,
    [weight_sums, bias_sums]: [&[f64]; 2],
    gradients: &mut [f32],
) {
    let (d_weights, d_bias) = place.gradients(gradients, 0);
    for (d, &sum) in d_weights.iter_mut().zip(weight_sums) {
        *d = sum as f32;
    }
    for (d, &sum) in d_bias.into_iter().flatten().zip(bias_sums) {
        *d = sum as f32;
    }
}
