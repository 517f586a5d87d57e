//! Batch normalization over the whole batch, in the phases of [`kinglet_kernels::portable::batch_norm`].
//!
//! The running statistics move towards the batch's mean and unbiased variance, as in PyTorch. What is frozen normalizes by
//! them and leaves them as they are.

use std::ops::Range;

use kinglet_kernels::portable::batch_norm::{
    Channels, backward_input, channel_square_deviations, channel_sums, inverse_std, normalize,
};
use rayon::prelude::*;

use super::channel_sums::{ChannelSums, write_gradients};
use super::{Backward, Mode, Pass};
use crate::train::plan::{Normalization, Place};

pub(crate) struct BatchNormStage {
    of: Normalization,
    /// Mean and inverse standard deviation of the last pass.
    mean: Vec<f32>,
    inverse_std: Vec<f32>,
    sums: ChannelSums,
    /// The sums as means, in the backward pass.
    means: Vec<f32>,
}

impl BatchNormStage {
    /// `len` are the values of one sample.
    pub(super) fn new(of: Normalization, len: usize, batch_size: usize) -> Self {
        let channels = of.channels;
        Self {
            sums: ChannelSums::new(channels, len, batch_size),
            of,
            mean: vec![0.0; channels],
            inverse_std: vec![0.0; channels],
            means: vec![0.0; 2 * channels],
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
            Mode::Train(_) if !self.of.frozen => self.measure(statistics, input),
            Mode::Evaluate | Mode::Train(_) => {
                self.mean
                    .copy_from_slice(&statistics[self.of.running_mean.clone()]);
                let variances = &statistics[self.of.running_variance.clone()];
                for (inverse, &variance) in self.inverse_std.iter_mut().zip(variances) {
                    *inverse = inverse_std(f64::from(variance), epsilon);
                }
            }
        }
        let of = channels(
            &self.of.place,
            &self.mean,
            &self.inverse_std,
            pass.parameters,
        );
        let shard = self.sums.shard();
        input
            .par_chunks(shard)
            .zip(output.par_chunks_mut(shard))
            .for_each(|(input, output)| normalize(of, input, output));
    }

    /// Takes the batch's statistics and moves the running ones.
    fn measure(&mut self, statistics: &mut [f32], input: &[f32]) {
        let (epsilon, momentum) = (f64::from(self.of.epsilon), f64::from(self.of.momentum));
        let count = (input.len() / self.of.channels) as f64;
        let add = |_, input: &[f32], sums: &mut [f64], _: &mut [f64]| channel_sums(input, sums);
        let [sums, _] = self.sums.over(input, add);
        let means: Vec<f64> = sums.iter().map(|sum| sum / count).collect();
        let add = |_, input: &[f32], sums: &mut [f64], _: &mut [f64]| {
            channel_square_deviations(input, &means, sums);
        };
        let [squares, _] = self.sums.over(input, add);
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
        let shard = self.sums.shard();
        // The statistics of the forward pass, out of the way of the sums.
        let mean = std::mem::take(&mut self.mean);
        let inverse = std::mem::take(&mut self.inverse_std);
        let place = self.of.place.clone();
        let normalization = channels(&place, &mean, &inverse, pass.parameters);
        let sums = self.sums.backward(normalization, of.input, d_output);
        write_gradients(&place, sums, of.gradients);
        if let Some(d_input) = of.d_input {
            let count = (of.input.len() / self.of.channels) as f64;
            for (mean, total) in self.means.iter_mut().zip(sums.into_iter().flatten()) {
                *mean = (total / count) as f32;
            }
            let (weight_means, bias_means) = self.means.split_at(self.of.channels);
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
