//! Batch normalization over the whole batch, in the phases of [`kinglet_kernels::portable::batch_norm`].
//!
//! Sums are taken in f64 for each shard and added in the order of the shards. The running statistics move
//! towards the batch's mean and unbiased variance, as in PyTorch.

use std::ops::Range;

use kinglet_kernels::portable::batch_norm::{
    Channels, backward_input, backward_sums, channel_square_deviations, channel_sums, inverse_std,
    normalize,
};
use rayon::prelude::*;

use super::{Backward, Mode, Pass, SHARDS, shard_samples};
use crate::train::plan::{Normalization, Place};

pub(crate) struct BatchNormStage {
    channels: usize,
    /// Values of one sample.
    len: usize,
    shard: usize,
    of: Normalization,
    /// Mean and inverse standard deviation of the last pass.
    mean: Vec<f32>,
    inverse_std: Vec<f32>,
    /// Two sums for each channel and shard: first all of one shard, then of the next.
    sums: Vec<f64>,
    /// The same, added over the shards.
    totals: Vec<f64>,
    /// The same as means, in the backward pass.
    means: Vec<f32>,
}

impl BatchNormStage {
    /// `len` are the values of one sample.
    pub(super) fn new(of: Normalization, len: usize, batch_size: usize) -> Self {
        let channels = of.channels;
        Self {
            channels,
            len,
            shard: shard_samples(batch_size),
            of,
            mean: vec![0.0; channels],
            inverse_std: vec![0.0; channels],
            sums: vec![0.0; 2 * SHARDS * channels],
            totals: vec![0.0; 2 * channels],
            means: vec![0.0; 2 * channels],
        }
    }

    /// Values of one channel in the batch.
    fn count(&self, input: &[f32]) -> usize {
        input.len() / self.channels
    }

    /// Lets `add` add to two sums for each channel, shard by shard, and adds those up in order.
    fn sum(&mut self, input: &[f32], add: impl Fn(usize, &[f32], &mut [f64], &mut [f64]) + Sync) {
        let shards = self.sums.par_chunks_mut(2 * self.channels);
        shards
            .zip(input.par_chunks(self.shard * self.len))
            .with_max_len(1)
            .enumerate()
            .for_each(|(i, (sums, input))| {
                sums.fill(0.0);
                let (first, second) = sums.split_at_mut(self.channels);
                add(i, input, first, second);
            });
        self.totals.fill(0.0);
        let used = input.len().div_ceil(self.shard * self.len);
        for sums in self.sums.chunks(2 * self.channels).take(used) {
            for (total, sum) in self.totals.iter_mut().zip(sums) {
                *total += sum;
            }
        }
    }

    pub(super) fn forward(
        &mut self,
        pass: &Pass,
        statistics: &mut [f32],
        input: &[f32],
        output: &mut [f32],
    ) {
        let epsilon = f64::from(self.of.epsilon);
        match pass.mode {
            Mode::Evaluate => {
                self.mean
                    .copy_from_slice(&statistics[self.of.running_mean.clone()]);
                let variances = &statistics[self.of.running_variance.clone()];
                for (inverse, &variance) in self.inverse_std.iter_mut().zip(variances) {
                    *inverse = inverse_std(f64::from(variance), epsilon);
                }
            }
            Mode::Train(_) => self.measure(statistics, input),
        }
        let of = channels(
            &self.of.place,
            &self.mean,
            &self.inverse_std,
            pass.parameters,
        );
        let shard = self.shard * self.len;
        input
            .par_chunks(shard)
            .zip(output.par_chunks_mut(shard))
            .for_each(|(input, output)| normalize(of, input, output));
    }

    /// Takes the batch's statistics and moves the running ones.
    fn measure(&mut self, statistics: &mut [f32], input: &[f32]) {
        let (epsilon, momentum) = (f64::from(self.of.epsilon), f64::from(self.of.momentum));
        let count = self.count(input) as f64;
        self.sum(input, |_, input, sums, _| channel_sums(input, sums));
        let means: Vec<f64> = self.totals[..self.channels]
            .iter()
            .map(|sum| sum / count)
            .collect();
        self.sum(input, |_, input, sums, _| {
            channel_square_deviations(input, &means, sums);
        });
        let squares = &self.totals[..self.channels];
        // A single value has no spread to estimate.
        let unbiased = (count - 1.0).max(1.0);
        for (channel, (&mean, &square)) in means.iter().zip(squares).enumerate() {
            self.mean[channel] = mean as f32;
            self.inverse_std[channel] = inverse_std(square / count, epsilon);
            let mut move_towards = |range: &Range<usize>, value: f64| {
                let running = &mut statistics[range.start + channel];
                let old = f64::from(*running);
                *running = (old + momentum * (value - old)) as f32;
            };
            move_towards(&self.of.running_mean, mean);
            move_towards(&self.of.running_variance, square / unbiased);
        }
    }

    pub(super) fn backward(&mut self, pass: &Pass, of: Backward) {
        let d_output = &*of.d_output;
        let shard = self.shard * self.len;
        // The statistics of the forward pass, out of the way of the sums.
        let mean = std::mem::take(&mut self.mean);
        let inverse = std::mem::take(&mut self.inverse_std);
        let place = self.of.place.clone();
        let normalization = channels(&place, &mean, &inverse, pass.parameters);
        self.sum(of.input, |i, input, weight_sums, bias_sums| {
            let d_output = &d_output[i * shard..][..input.len()];
            backward_sums(normalization, input, d_output, weight_sums, bias_sums);
        });
        let (weight_sums, bias_sums) = self.totals.split_at(self.channels);
        let (d_weights, d_bias) = place.gradients(of.gradients, 0);
        for (d, &sum) in d_weights.iter_mut().zip(weight_sums) {
            *d = sum as f32;
        }
        for (d, &sum) in d_bias.into_iter().flatten().zip(bias_sums) {
            *d = sum as f32;
        }
        if let Some(d_input) = of.d_input {
            let count = self.count(of.input) as f64;
            for (mean, total) in self.means.iter_mut().zip(&self.totals) {
                *mean = (total / count) as f32;
            }
            let (weight_means, bias_means) = self.means.split_at(self.channels);
            d_input
                .par_chunks_mut(shard)
                .zip(d_output.par_chunks(shard))
                .zip(of.input.par_chunks(shard))
                .for_each(|((d, d_output), input)| {
                    d.copy_from_slice(d_output);
                    backward_input(normalization, weight_means, bias_means, input, d);
                });
        }
        self.mean = mean;
        self.inverse_std = inverse;
    }
}

fn channels<'a>(
    place: &Place,
    mean: &'a [f32],
    inverse_std: &'a [f32],
    parameters: &'a [f32],
) -> Channels<'a> {
    let (weights, bias) = place.values(parameters);
    Channels {
        mean,
        inverse_std,
        weights,
        bias: bias.unwrap_or(&[]),
    }
}
