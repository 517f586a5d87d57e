//! The loss and the optimizers against the CPU's.

use kinglet::opencl::{
    CrossEntropy, Element, OpenClError, Recording, Slice, StepControl, StepRates,
};
use kinglet::train::{Adam, AdamW, Optimizer, Sgd};
use kinglet_kernels::reference::cross_entropy_f32;
use kinglet_kernels::testing::Random;

use crate::{assert_close, buffer, executor, read, run, unwritten};

/// Losses, hits, gradients and whether all losses are finite.
fn cross_entropy(
    classes: usize,
    smoothing: f32,
    logits: &[f32],
    labels: &[u32],
) -> (kinglet::opencl::Buffer, kinglet::opencl::Buffer, f32) {
    let x = buffer(logits);
    let numbers = executor().buffer(labels.len(), Element::U32).unwrap();
    executor().write_u32(numbers.whole(), labels).unwrap();
    let (d, outcomes, finite) = (
        unwritten(logits.len()),
        unwritten(2 * labels.len()),
        unwritten(1),
    );
    let weights = buffer(&vec![1.0; classes]);
    let share = buffer(&[1.0 / labels.len() as f32]);
    run(|recording| {
        let (numbers, outcomes) = (numbers.whole(), outcomes.whole());
        let of = CrossEntropy {
            label_smoothing: smoothing,
            class_weights: weights.whole(),
            share: share.whole(),
        };
        recording
            .cross_entropy_f32(&of, x.whole(), numbers, d.whole(), outcomes)
            .unwrap();
        recording
            .losses_are_finite(labels.len(), outcomes, finite.whole())
            .unwrap();
    });
    let finite = read(&finite)[0];
    (d, outcomes, finite)
}

#[test]
fn cross_entropy_small() {
    for (samples, classes) in [(1, 1), (5, 2), (33, 10)] {
        for (smoothing, spread) in [(0.0, 1.0), (0.1, 30.0), (0.3, 300.0)] {
            let mut random = Random::new(4);
            // Few different values, so that some of the largest are equal.
            let values = random.values(samples * classes);
            let logits: Vec<f32> = values.iter().map(|x| (x * 4.0).round() * spread).collect();
            let labels: Vec<u32> = (0..samples).map(|_| random.below(classes) as u32).collect();
            let (mut d_logits, mut outcomes) = (vec![0.0; logits.len()], vec![0.0; 2 * samples]);
            for (sample, d_logits) in d_logits.chunks_mut(classes).enumerate() {
                let logits = &logits[sample * classes..][..classes];
                let label = labels[sample] as usize;
                let share = smoothing / classes as f32;
                let loss = cross_entropy_f32(logits, label, d_logits);
                d_logits.iter_mut().for_each(|d| *d -= share);
                d_logits[label] += smoothing;
                d_logits.iter_mut().for_each(|d| *d /= samples as f32);
                let mean = logits.iter().sum::<f32>() / classes as f32;
                outcomes[sample] = loss + smoothing * (logits[label] - mean);
                // The first of equals: the last of them, backwards.
                let largest = (0..classes)
                    .rev()
                    .max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
                outcomes[samples + sample] = f32::from(largest == Some(label));
            }
            let found = cross_entropy(classes, smoothing, &logits, &labels);
            assert_close("d_logits", 1e-6, &found.0, &d_logits);
            assert_close("outcomes", 1e-6, &found.1, &outcomes);
            assert_eq!(found.2, 1.0);
        }
    }
}

#[test]
fn losses_that_are_none_small() {
    let infinity = f32::INFINITY;
    for (logits, label) in [
        ([f32::NAN, 1.0], 1),
        ([1.0, infinity], 0),
        ([1.0, 2.0], 2),
        ([1.0, 2.0], u32::MAX),
    ] {
        let (_, outcomes, finite) = cross_entropy(2, 0.1, &logits, &[label]);
        assert!(!read(&outcomes)[0].is_finite(), "{logits:?}");
        assert_eq!(finite, 0.0, "{logits:?}");
    }
}

const COUNT: usize = 70;

/// Twenty steps, each with gradients of its own; `step` gets the step's number, the parameters and the gradients.
fn steps(mut step: impl FnMut(u32, &mut [f32], &[f32])) -> Vec<f32> {
    let mut random = Random::new(1);
    let mut parameters = random.values(COUNT);
    for number in 1..=20 {
        let gradients = random.values(COUNT);
        step(number, &mut parameters, &gradients);
    }
    parameters
}

#[test]
fn sgd_small() {
    for nesterov in [false, true] {
        let sgd = Sgd {
            learning_rate: 0.1,
            momentum: 0.9,
            weight_decay: 0.01,
            nesterov,
        };
        let mut state = vec![0.0; COUNT];
        let expected = steps(|_, parameters, gradients| {
            sgd.update((), parameters, gradients.iter().copied(), &mut state);
        });
        let velocities = buffer(&vec![0.0; COUNT]);
        let rates = buffer(&StepRates::of_sgd(&sgd).to_array());
        let (yes, no) = (buffer(&[1.0]), buffer(&[0.0]));
        let found = steps(|_, parameters, gradients| {
            let (p, g) = (buffer(parameters), buffer(gradients));
            run(|recording| {
                // Where the loss was not finite, nothing moves.
                for finite in [&no, &yes, &no] {
                    let control = StepControl {
                        rates: rates.whole(),
                        finite: finite.whole(),
                    };
                    recording
                        .sgd_f32(&sgd, control, p.whole(), g.whole(), velocities.whole())
                        .unwrap();
                }
            });
            parameters.copy_from_slice(&read(&p));
        });
        assert_close("parameters", 2e-6, &buffer(&found), &expected);
        assert_close("velocities", 2e-6, &velocities, &state);
    }
}

#[test]
fn adam_small() {
    let adam = Adam {
        weight_decay: 0.01,
        ..Adam::new(0.01)
    };
    check_adam(
        adam,
        |number| StepRates::of_adam(&adam, number),
        |recording, control, [p, g, means, squares]| {
            recording.adam_f32(&adam, control, p, g, means, squares)
        },
    );
}

#[test]
fn adam_w_small() {
    let adam_w = AdamW(Adam {
        weight_decay: 0.5,
        ..Adam::new(0.01)
    });
    check_adam(
        adam_w,
        |number| StepRates::of_adam_w(&adam_w, number),
        |recording, control, [p, g, means, squares]| {
            recording.adam_w_f32(&adam_w, control, p, g, means, squares)
        },
    );
}

fn check_adam<O: Optimizer>(
    adam: O,
    rates_of: impl Fn(u32) -> StepRates,
    record: impl Fn(&mut Recording, StepControl<'_>, [Slice<'_>; 4]) -> Result<(), OpenClError>,
) {
    let mut state = vec![0.0; 2 * COUNT];
    let expected = steps(|number, parameters, gradients| {
        let gradients = gradients.iter().copied();
        adam.update(adam.step(number), parameters, gradients, &mut state);
    });
    let moments = buffer(&vec![0.0; 2 * COUNT]);
    let finite = buffer(&[1.0]);
    let found = steps(|number, parameters, gradients| {
        let (p, g) = (buffer(parameters), buffer(gradients));
        let rates = buffer(&rates_of(number).to_array());
        run(|recording| {
            let control = StepControl {
                rates: rates.whole(),
                finite: finite.whole(),
            };
            let means = moments.whole().part(0, COUNT).unwrap();
            let squares = moments.whole().part(COUNT, COUNT).unwrap();
            record(recording, control, [p.whole(), g.whole(), means, squares]).unwrap();
        });
        parameters.copy_from_slice(&read(&p));
    });
    assert_close("parameters", 2e-6, &buffer(&found), &expected);
    assert_close("moments", 2e-6, &moments, &state);
}

#[test]
fn moving_average_small() {
    let (values, averages) = (buffer(&[1.0, -2.0, 3.0]), unwritten(3));
    let finite = buffer(&[1.0]);
    for (decay, start) in [(0.0, [1.0, -2.0, 3.0]), (0.75, [5.0, 2.0, 3.0])] {
        executor().write_f32(values.whole(), &start).unwrap();
        let rates = StepRates::of_sgd(&Sgd::new(0.1, 0.9)).with_average_decay(decay);
        let rates = buffer(&rates.to_array());
        run(|recording| {
            let control = StepControl {
                rates: rates.whole(),
                finite: finite.whole(),
            };
            recording
                .moving_average_f32(control, values.whole(), averages.whole())
                .unwrap();
        });
    }
    assert_close("averages", 0.0, &averages, &[2.0, -1.0, 3.0]);
}
