//! Batch normalization against the definition.

use kinglet::opencl::{BatchNorm, Recording};
use kinglet_kernels::reference::batch_norm as reference;
use kinglet_kernels::testing::Random;

use crate::{assert_close, buffer, run, unwritten};

const EPSILON: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;

fn check(rows: usize, channels: usize) {
    let what = |part: &str| format!("{part} of {rows} rows of {channels}");
    let mut random = Random::new(31);
    // Means far from 0, as activations have them.
    let values = random.values(rows * channels);
    let input: Vec<f32> = values.iter().map(|x| x + 3.0).collect();
    let (weights, bias) = (random.values(channels), random.values(channels));
    // As small as gradients of a mean: so their sums stay of the order of 1.
    let share = (rows as f32).sqrt();
    let values = random.values(input.len());
    let d_output: Vec<f32> = values.iter().map(|d| d / share).collect();

    let (x, d) = (buffer(&input), buffer(&d_output));
    let parameters = (buffer(&weights), buffer(&bias));
    let running = (buffer(&vec![0.5; channels]), buffer(&vec![2.0; channels]));
    let moments = unwritten(2 * channels);
    let scratch = unwritten(Recording::batch_norm_f32_scratch_len(rows, channels));
    let (output, evaluated) = (unwritten(input.len()), unwritten(input.len()));
    let d_parameters = unwritten(2 * channels);
    let of = BatchNorm {
        channels,
        epsilon: EPSILON,
        weights: parameters.0.whole(),
        bias: parameters.1.whole(),
        running_mean: running.0.whole(),
        running_variance: running.1.whole(),
        moments: moments.whole(),
    };
    run(|recording| {
        let (x, d, scratch) = (x.whole(), d.whole(), scratch.whole());
        recording
            .batch_norm_f32_training(&of, rows, MOMENTUM, x, scratch, output.whole())
            .unwrap();
        recording
            .batch_norm_f32_backward(&of, rows, x, d, scratch, d_parameters.whole(), Some(d))
            .unwrap();
        recording
            .batch_norm_f32(&of, rows, x, evaluated.whole())
            .unwrap();
    });

    let epsilon = f64::from(EPSILON);
    let mut expected = vec![0.0; input.len()];
    reference::batch_norm_f32(epsilon, &input, &weights, &bias, &mut expected);
    assert_close(&what("output"), 2e-5, &output, &expected);
    let (mut d_weights, mut d_bias) = (vec![0.0; channels], vec![0.0; channels]);
    reference::batch_norm_f32_backward(
        epsilon,
        &input,
        &weights,
        &d_output,
        &mut expected,
        &mut d_weights,
        &mut d_bias,
    );
    assert_close(&what("d_input"), 2e-5, &d, &expected);
    d_weights.append(&mut d_bias);
    assert_close(&what("d_parameters"), 5e-5, &d_parameters, &d_weights);

    let momentum = f64::from(MOMENTUM);
    let unbiased = rows as f64 / (rows as f64 - 1.0).max(1.0);
    let (mut means, mut variances) = (Vec::new(), Vec::new());
    for channel in 0..channels {
        let of = reference::statistics(channels, channel, &input);
        means.push((0.5 + momentum * (of.mean - 0.5)) as f32);
        variances.push((2.0 + momentum * (of.variance * unbiased - 2.0)) as f32);
    }
    assert_close(&what("running mean"), 1e-6, &running.0, &means);
    assert_close(&what("running variance"), 1e-6, &running.1, &variances);
    for (i, y) in expected.iter_mut().enumerate() {
        let channel = i % channels;
        let scale = weights[channel] / (variances[channel] + EPSILON).sqrt();
        *y = (input[i] - means[channel]) * scale + bias[channel];
    }
    assert_close(&what("evaluation"), 2e-5, &evaluated, &expected);
}

#[test]
fn batch_norm_small() {
    check(7, 3);
    check(40, 5);
}

#[test]
fn batch_norm_of_one_value() {
    check(1, 1);
    check(1, 9);
}

#[test]
fn batch_norm_of_many_values() {
    check(1000, 17);
    check(32 * 32 * 64, 33);
}
