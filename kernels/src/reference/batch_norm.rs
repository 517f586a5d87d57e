//! Batch normalization of `[batch, h, w, channels]` by the batch's own statistics, whole and in one go.
//! [`crate::portable::batch_norm`] computes the same in phases, so that a batch can be sharded.

/// One channel's statistics over the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    /// Mean.
    pub mean: f64,
    /// Biased variance: the mean of squared deviations.
    pub variance: f64,
}

/// The statistics of `channel`.
pub fn statistics(channels: usize, channel: usize, input: &[f32]) -> Statistics {
    let values = || {
        let of_channel = input.iter().skip(channel).step_by(channels);
        of_channel.map(|&x| f64::from(x))
    };
    let count = values().count() as f64;
    let mean = values().sum::<f64>() / count;
    let variance = values().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    Statistics { mean, variance }
}

/// `output = (input - mean) / sqrt(variance + epsilon) * weights + bias`, channel by channel.
pub fn batch_norm_f32(
    epsilon: f64,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    output: &mut [f32],
) {
    let channels = weights.len();
    for channel in 0..channels {
        let of = statistics(channels, channel, input);
        let scale = f64::from(weights[channel]) / libm::sqrt(of.variance + epsilon);
        for i in (channel..input.len()).step_by(channels) {
            let y = (f64::from(input[i]) - of.mean) * scale + f64::from(bias[channel]);
            output[i] = y as f32;
        }
    }
}

/// Writes the gradient of the input and adds those of weights and bias. With
/// `normalized = (input - mean) / sqrt(variance + epsilon)` and `n` values in a channel:
/// `d_bias = sum of d_output`, `d_weights = sum of d_output * normalized`, and
/// `d_input = weights / sqrt(variance + epsilon) * (d_output - d_bias / n - normalized * d_weights / n)`.
pub fn batch_norm_f32_backward(
    epsilon: f64,
    input: &[f32],
    weights: &[f32],
    d_output: &[f32],
    d_input: &mut [f32],
    d_weights: &mut [f32],
    d_bias: &mut [f32],
) {
    let channels = weights.len();
    for channel in 0..channels {
        let of = statistics(channels, channel, input);
        let inverse_std = 1.0 / libm::sqrt(of.variance + epsilon);
        let normalized = |i: usize| (f64::from(input[i]) - of.mean) * inverse_std;
        let positions = || (channel..input.len()).step_by(channels);
        let mut weight_sum = 0.0;
        let mut bias_sum = 0.0;
        for i in positions() {
            weight_sum += f64::from(d_output[i]) * normalized(i);
            bias_sum += f64::from(d_output[i]);
        }
        let count = positions().count() as f64;
        for i in positions() {
            let d = f64::from(d_output[i]) - bias_sum / count - normalized(i) * weight_sum / count;
            d_input[i] = (f64::from(weights[channel]) * inverse_std * d) as f32;
        }
        d_weights[channel] += weight_sum as f32;
        d_bias[channel] += bias_sum as f32;
    }
}
