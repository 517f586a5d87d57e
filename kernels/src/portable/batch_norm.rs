//! Batch normalization of `[.., channels]` in phases, so that a batch can be sharded: each phase adds a
//! shard's sums to those of the shards before it, or maps elements by what the sums gave. Sums are f64,
//! in order of memory. How the phases make up PyTorch's `BatchNorm2d` in training:
//!
//! 1. [`channel_sums`] of every shard; divided by the count of values in a channel: the mean.
//! 2. [`channel_square_deviations`] of every shard; divided by the count: the biased variance. (The
//!    running variance takes the unbiased one, divided by the count - 1.)
//! 3. [`normalize`] with [`inverse_std`] of that variance. In evaluation this is all, with running
//!    mean and variance.
//! 4. Backward: [`backward_sums`] of every shard are the gradients of weights and bias.
//! 5. [`backward_input`], with those sums divided by the count.

use super::rows::{rows_of, rows_of_mut};
use crate::lengths;

/// What a normalization does to each channel; slices of one value for each.
#[derive(Debug, Clone, Copy)]
pub struct Channels<'a> {
    /// Subtracted first.
    pub mean: &'a [f32],
    /// Then multiplied by; see [`inverse_std`].
    pub inverse_std: &'a [f32],
    /// Then multiplied by (PyTorch's `weight`, gamma).
    pub weights: &'a [f32],
    /// Then added (beta).
    pub bias: &'a [f32],
}

impl Channels<'_> {
    /// Number of channels, if all four slices agree on it and `data` is made of runs of them.
    fn count(&self, data: &[f32]) -> Option<usize> {
        let channels = self.mean.len();
        let ok = lengths::per_channel("inverse_std", self.inverse_std.len(), channels)
            && lengths::per_channel("weights", self.weights.len(), channels)
            && lengths::per_channel("bias", self.bias.len(), channels)
            && lengths::runs(channels, data);
        ok.then_some(channels)
    }

    /// Each channel's mean, inverse standard deviation, weight and bias.
    fn iter(&self) -> impl Iterator<Item = (f32, f32, f32, f32)> {
        let statistics = self.mean.iter().zip(self.inverse_std);
        let learned = self.weights.iter().zip(self.bias);
        statistics
            .zip(learned)
            .map(|((mean, inverse_std), (weight, bias))| (*mean, *inverse_std, *weight, *bias))
    }
}

/// `1 / sqrt(variance + epsilon)`, rounded once.
pub fn inverse_std(variance: f64, epsilon: f64) -> f32 {
    (1.0 / libm::sqrt(variance + epsilon)) as f32
}

/// Adds each channel's values to `sums`.
pub fn channel_sums(input: &[f32], sums: &mut [f64]) {
    if !lengths::runs(sums.len(), input) {
        return;
    }
    for run in rows_of(input, sums.len()) {
        for (sum, &x) in sums.iter_mut().zip(run) {
            *sum += f64::from(x);
        }
    }
}

/// Adds the squares of each channel's deviations from `means` to `sums`.
pub fn channel_square_deviations(input: &[f32], means: &[f64], sums: &mut [f64]) {
    if !lengths::per_channel("means", means.len(), sums.len()) || !lengths::runs(sums.len(), input)
    {
        return;
    }
    for run in rows_of(input, sums.len()) {
        for ((sum, mean), &x) in sums.iter_mut().zip(means).zip(run) {
            let deviation = f64::from(x) - mean;
            *sum += deviation * deviation;
        }
    }
}

/// `output = (input - mean) * inverse_std * weights + bias`.
pub fn normalize(of: Channels, input: &[f32], output: &mut [f32]) {
    let Some(channels) = of.count(input) else {
        return;
    };
    if !lengths::same("output", output, input) {
        return;
    }
    for (run, output) in rows_of(input, channels).zip(rows_of_mut(output, channels)) {
        for ((y, &x), (mean, inverse_std, weight, bias)) in
            output.iter_mut().zip(run).zip(of.iter())
        {
            *y = (x - mean) * inverse_std * weight + bias;
        }
    }
}

/// Adds to `weight_sums` the sums of `d_output * (input - mean) * inverse_std`, to `bias_sums` those of
/// `d_output`.
pub fn backward_sums(
    of: Channels,
    input: &[f32],
    d_output: &[f32],
    weight_sums: &mut [f64],
    bias_sums: &mut [f64],
) {
    let Some(channels) = of.count(input) else {
        return;
    };
    if !lengths::same("d_output", d_output, input)
        || !lengths::per_channel("weight_sums", weight_sums.len(), channels)
        || !lengths::per_channel("bias_sums", bias_sums.len(), channels)
    {
        return;
    }
    for (run, d_run) in rows_of(input, channels).zip(rows_of(d_output, channels)) {
        let sums = weight_sums.iter_mut().zip(bias_sums.iter_mut());
        for (((&x, &d), (mean, inverse_std, ..)), (weight_sum, bias_sum)) in
            run.iter().zip(d_run).zip(of.iter()).zip(sums)
        {
            let normalized = (f64::from(x) - f64::from(mean)) * f64::from(inverse_std);
            *weight_sum += f64::from(d) * normalized;
            *bias_sum += f64::from(d);
        }
    }
}

/// Turns the gradient of the output into that of the input, in place. The means are the sums that
/// [`backward_sums`] gave over the whole batch, divided by the count of values in a channel.
pub fn backward_input(
    of: Channels,
    weight_means: &[f32],
    bias_means: &[f32],
    input: &[f32],
    d: &mut [f32],
) {
    let Some(channels) = of.count(input) else {
        return;
    };
    if !lengths::same("d", d, input)
        || !lengths::per_channel("weight_means", weight_means.len(), channels)
        || !lengths::per_channel("bias_means", bias_means.len(), channels)
    {
        return;
    }
    for (run, d_run) in rows_of(input, channels).zip(rows_of_mut(d, channels)) {
        let means = weight_means.iter().zip(bias_means);
        for (((&x, d), (mean, inverse_std, weight, _)), (weight_mean, bias_mean)) in
            run.iter().zip(d_run).zip(of.iter()).zip(means)
        {
            let normalized = (x - mean) * inverse_std;
            *d = weight * inverse_std * (*d - bias_mean - normalized * weight_mean);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::batch_norm as reference;
    use crate::testing::Random;

    fn assert_close(what: &str, found: &[f32], expected: &[f32]) {
        for (x, y) in found.iter().zip(expected) {
            assert!(
                (x - y).abs() <= 2e-5 * y.abs().max(1.0),
                "{what}: {x} instead of {y}"
            );
        }
    }

    fn to_f32(values: &[f64], count: f64) -> Vec<f32> {
        values.iter().map(|x| (x / count) as f32).collect()
    }

    /// The phases over shards of a batch give what the definition gives over the whole.
    #[test]
    fn phases_are_batch_norm() {
        let epsilon = 1e-5;
        for channels in [1, 3, 8, 17] {
            let mut random = Random::new(31);
            let rows = 40;
            // Means far from 0, as activations have them.
            let input: Vec<f32> = random
                .values(rows * channels)
                .iter()
                .map(|x| x + 3.0)
                .collect();
            let (weights, bias) = (random.values(channels), random.values(channels));
            let d_output = random.values(input.len());
            let shards = |values: &[f32]| -> Vec<Vec<f32>> {
                let shards = values.chunks(13 * channels);
                shards.map(<[f32]>::to_vec).collect()
            };

            let mut sums = vec![0.0; channels];
            for shard in shards(&input) {
                channel_sums(&shard, &mut sums);
            }
            let means: Vec<f64> = sums.iter().map(|sum| sum / rows as f64).collect();
            let mut squares = vec![0.0; channels];
            for shard in shards(&input) {
                channel_square_deviations(&shard, &means, &mut squares);
            }
            let inverse_stds: Vec<f32> = (squares.iter())
                .map(|sum| inverse_std(sum / rows as f64, epsilon))
                .collect();
            let of = Channels {
                mean: &to_f32(&means, 1.0),
                inverse_std: &inverse_stds,
                weights: &weights,
                bias: &bias,
            };
            let mut output = vec![f32::NAN; input.len()];
            normalize(of, &input, &mut output);
            let mut expected = vec![0.0; input.len()];
            reference::batch_norm_f32(epsilon, &input, &weights, &bias, &mut expected);
            assert_close("output", &output, &expected);

            let (mut weight_sums, mut bias_sums) = (vec![0.0; channels], vec![0.0; channels]);
            for (shard, d_shard) in shards(&input).iter().zip(shards(&d_output)) {
                backward_sums(of, shard, &d_shard, &mut weight_sums, &mut bias_sums);
            }
            let mut d = d_output.clone();
            let count = rows as f64;
            let means = (to_f32(&weight_sums, count), to_f32(&bias_sums, count));
            backward_input(of, &means.0, &means.1, &input, &mut d);
            let mut d_input = vec![0.0; input.len()];
            let (mut d_weights, mut d_bias) = (vec![0.0; channels], vec![0.0; channels]);
            reference::batch_norm_f32_backward(
                epsilon,
                &input,
                &weights,
                &d_output,
                &mut d_input,
                &mut d_weights,
                &mut d_bias,
            );
            assert_close("d_input", &d, &d_input);
            assert_close("d_weights", &to_f32(&weight_sums, 1.0), &d_weights);
            assert_close("d_bias", &to_f32(&bias_sums, 1.0), &d_bias);
        }
    }
}
