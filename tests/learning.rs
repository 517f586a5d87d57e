//! Learning on the device against two independent computations: gradients against finite differences in
//! f64, and whole runs of each optimizer, bit for bit, against a plain implementation that stores everything.

use std::mem::MaybeUninit;

use kinglet::model::{GraphSpec, OutputSpec};
use kinglet::{
    Adam, AnySession, ArenaMut, Bounds, FineTuneError, FineTuner, HeapArena, Model, Optimizer,
    Session, Sgd,
};
use kinglet_kernels::Portable;
use kinglet_tests::bits_of;
use kinglet_tests::graphs::{file, input_len, numbers, tiny};
use kinglet_tests::naive::{Naive, NaiveAdam};
use kinglet_tests::suffixes::{Tuner, features, learn_a_little, suffixes, with_tuner};

/// An "optimizer" that writes the gradients where the weights were.
struct Gradients;

impl Optimizer for Gradients {
    const SLOTS: usize = 1;
    type Step = ();

    fn step(&self, _: u32) {}

    fn bounds(&self, _: Self::Step, before: Bounds, _: f32) -> Bounds {
        before
    }

    fn update(
        &self,
        (): (),
        weights: &mut [f32],
        gradients: impl Iterator<Item = f32>,
        state: &mut [f32],
    ) {
        assert_eq!(weights.len(), state.len());
        let written = weights
            .iter_mut()
            .zip(gradients)
            .map(|(w, g)| *w = g)
            .count();
        assert_eq!(written, weights.len());
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for (name, spec) in suffixes() {
        let rng = &mut fastrand::Rng::with_seed(31);
        let classes = Naive::of(&spec).classes();
        for round in 0..5 {
            let input = numbers(rng, input_len(&spec));
            let class = round % classes;
            let (step, found) = with_tuner(&spec, Gradients, |mut tuner| {
                tuner.set_input_f32(&input).expect("the right length");
                let step = tuner.step(class).expect("a finite loss");
                (step, tuner.weights().to_vec())
            });
            let features = features(&spec, &input);
            let naive = Naive::of(&spec);
            let weights: Vec<f64> = naive.weights().iter().map(|w| f64::from(*w)).collect();
            assert_eq!(weights.len(), found.len(), "{name}");
            let loss = naive.loss_f64(&weights, &features, class);
            assert!((f64::from(step.loss) - loss).abs() < 1e-5, "{name}");
            let mut largest: f64 = 0.0;
            for (index, found) in found.iter().enumerate() {
                const H: f64 = 1e-6;
                let at = |h: f64| {
                    let mut weights = weights.clone();
                    weights[index] += h;
                    naive.loss_f64(&weights, &features, class)
                };
                let expected = (at(H) - at(-H)) / (2.0 * H);
                largest = largest.max(expected.abs());
                assert!(
                    (f64::from(*found) - expected).abs() <= 1e-5 * (1.0 + expected.abs()),
                    "{name}, parameter {index}: {found} instead of {expected}"
                );
            }
            assert!(largest > 0.01, "{name}: no gradient to compare");
        }
    }
}

/// Takes `steps` steps and compares everything after each, bit for bit.
fn assert_learns_like<O: Optimizer + Copy>(
    name: &str,
    spec: &GraphSpec,
    optimizer: O,
    steps: usize,
    mut update: impl FnMut(u32, usize, &mut f32, f32),
) {
    let rng = &mut fastrand::Rng::with_seed(32);
    let mut naive = Naive::of(spec);
    with_tuner(spec, optimizer, |mut tuner| {
        assert_eq!(
            bits_of(tuner.weights()),
            bits_of(&naive.weights()),
            "{name}"
        );
        for step in 1..=steps {
            let input = numbers(rng, input_len(spec));
            let class = rng.usize(0..naive.classes());
            tuner.set_input_f32(&input).expect("the right length");
            let found = tuner.step(class).expect("a finite loss");

            let features = features(spec, &input);
            let logits = naive.logits(&features);
            let (loss, gradients) = naive.gradients(&features, class);
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let first = logits.iter().position(|logit| *logit == largest);
            let mut weights = naive.weights();
            for (index, (w, g)) in weights.iter_mut().zip(gradients).enumerate() {
                update(step as u32, index, w, g);
            }
            naive.set_weights(&weights);

            assert_eq!(found.loss.to_bits(), loss.to_bits(), "{name}, step {step}");
            assert_eq!(found.correct, first == Some(class), "{name}, step {step}");
            assert_eq!(
                bits_of(tuner.weights()),
                bits_of(&weights),
                "{name}, step {step}"
            );
            assert_eq!(tuner.steps(), step as u32);

            // The new head is in use at once.
            tuner.set_input_f32(&input).expect("the right length");
            assert_eq!(
                bits_of(tuner.run()),
                bits_of(&naive.outputs(&features)),
                "{name}, step {step}"
            );
        }
    });
}

#[test]
fn sgd_learns_the_same_bits_as_the_naive_implementation() {
    let variants = [
        Sgd::new(0.1, 0.0),
        Sgd::new(0.05, 0.9),
        Sgd {
            weight_decay: 0.01,
            ..Sgd::new(0.05, 0.5)
        },
        Sgd {
            weight_decay: 0.001,
            nesterov: true,
            ..Sgd::new(0.02, 0.9)
        },
    ];
    for (name, spec) in suffixes() {
        for sgd in variants {
            let mut velocity = vec![0.0f32; Naive::of(&spec).weights().len()];
            assert_learns_like(name, &spec, sgd, 25, |_, index, w, g| {
                let g = g + sgd.weight_decay * *w;
                velocity[index] = sgd.momentum * velocity[index] + g;
                let direction = match sgd.nesterov {
                    true => g + sgd.momentum * velocity[index],
                    false => velocity[index],
                };
                *w -= sgd.learning_rate * direction;
            });
        }
    }
}

#[test]
fn adam_learns_the_same_bits_as_the_naive_implementation() {
    for (name, spec) in suffixes() {
        for weight_decay in [0.0, 0.01] {
            let adam = Adam {
                weight_decay,
                ..Adam::new(0.01)
            };
            let mut naive = NaiveAdam::new(adam, Naive::of(&spec).weights().len());
            assert_learns_like(name, &spec, adam, 25, |step, index, w, g| {
                naive.update(step, index, w, g);
            });
        }
    }
}

/// Teaches which quadrant of a 4 x 4 picture is bright, and returns the share that is right afterwards.
fn learn_quadrants<O: Optimizer>(tuner: &mut Tuner<'_, O>, epochs: usize) -> f32 {
    let picture = |class: usize, rng: &mut fastrand::Rng| -> Vec<u8> {
        (0..16)
            .map(|i| {
                let quadrant = i / 8 * 2 + i % 4 / 2;
                match quadrant == class {
                    true => rng.u8(180..),
                    false => rng.u8(..60),
                }
            })
            .collect()
    };
    let rng = &mut fastrand::Rng::with_seed(33);
    for _ in 0..epochs {
        for class in 0..4 {
            tuner.set_image_u8(&picture(class, rng)).expect("16 pixels");
            tuner.step(class).expect("a finite loss");
        }
    }
    let mut right = 0;
    for round in 0..200 {
        let class = round % 4;
        tuner.set_image_u8(&picture(class, rng)).expect("16 pixels");
        let logits = tuner.run();
        right += usize::from(logits.iter().all(|logit| *logit <= logits[class]));
    }
    right as f32 / 200.0
}

#[test]
fn a_separable_problem_is_learned() {
    for (name, spec) in suffixes() {
        let naive = Naive::of(&spec);
        if naive.classes() != 4 || input_len(&spec) != 16 {
            continue;
        }
        let sgd = with_tuner(&spec, Sgd::new(0.05, 0.9), |mut tuner| {
            learn_quadrants(&mut tuner, 300)
        });
        assert_eq!(sgd, 1.0, "{name}, SGD");
        let adam = with_tuner(&spec, Adam::new(0.01), |mut tuner| {
            learn_quadrants(&mut tuner, 300)
        });
        assert_eq!(adam, 1.0, "{name}, Adam");
    }
}

#[test]
fn a_second_output_of_the_frozen_body_changes_nothing() {
    let mut two = tiny();
    two.outputs.push(OutputSpec::new("features", 2));
    let learned = |spec: &GraphSpec| {
        with_tuner(spec, Sgd::new(0.1, 0.9), |mut tuner| {
            learn_a_little(&mut tuner, 48);
            tuner.set_image_u8(&[77; 16]).expect("16 pixels");
            let output = bits_of(tuner.run());
            (output, bits_of(tuner.weights()))
        })
    };
    assert_eq!(learned(&two), learned(&tiny()));
}

/// A tuner's exact sizes, and what it refuses.
#[test]
fn the_training_arena_is_as_large_as_the_file_says() {
    fn check<O: Optimizer + Copy>(model: &Model<'_>, optimizer: O, expected: usize) {
        let needed = model.sizes().training::<O>();
        assert_eq!(needed, expected);
        let mut bytes = vec![MaybeUninit::new(0xff); needed + 63];
        let skip = bytes.as_ptr().align_offset(kinglet::ARENA_ALIGN);
        for found in [needed, needed - 1, 0] {
            let mut arena = HeapArena::new(model.sizes().arena);
            let session = AnySession::new(model, &mut arena, Portable).expect("fits");
            let training = ArenaMut::align(&mut bytes[skip..skip + found]);
            let tuner = FineTuner::new(session, training, optimizer).map(|_| ());
            let refused = FineTuneError::ArenaTooSmall { needed, found };
            assert_eq!(
                tuner,
                if found == needed {
                    Ok(())
                } else {
                    Err(refused)
                }
            );
        }
    }
    // 8 features to 3 classes with bias: 27 parameters, 3 values and 3 gradients.
    let file = file(&tiny());
    let model = Model::load(&file).expect("a valid file");
    assert_eq!(model.sizes().trainable_parameters, 27);
    check(&model, Sgd::new(0.1, 0.9), 4 * (27 * 2 + 3 * 2));
    check(&model, Adam::new(0.1), 4 * (27 * 3 + 3 * 2));
}

#[test]
fn what_was_in_the_training_arena_does_not_matter() {
    let (_, spec) = suffixes().swap_remove(7);
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    let mut seen = Vec::new();
    for garbage in [0x00, 0x7f, 0xff] {
        let mut bytes = vec![MaybeUninit::new(garbage); model.sizes().training::<Adam>() + 63];
        let mut arena = HeapArena::new(model.sizes().arena);
        let session = AnySession::new(&model, &mut arena, Portable).expect("fits");
        let training = ArenaMut::align(&mut bytes);
        let mut tuner = FineTuner::new(session, training, Adam::new(0.01)).expect("fits");
        let rng = &mut fastrand::Rng::with_seed(34);
        for _ in 0..5 {
            tuner.set_input_f32(&numbers(rng, 16)).expect("16 elements");
            tuner.step(1).expect("a finite loss");
        }
        seen.push(bits_of(tuner.weights()));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let frozen = GraphSpec {
        trainable_nodes: 0,
        ..tiny()
    };
    let frozen = file(&frozen);
    let model = Model::load(&frozen).expect("a valid file");
    assert_eq!(model.sizes().head, 0);
    let (mut arena, mut training) = (HeapArena::new(model.sizes().arena), HeapArena::new(4096));
    let session = AnySession::new(&model, &mut arena, Portable).expect("fits");
    let tuner = FineTuner::new(session, &mut training, Sgd::new(0.1, 0.0));
    assert_eq!(tuner.map(|_| ()), Err(FineTuneError::NotTrainable));

    let file = file(&tiny());
    let model = Model::load(&file).expect("a valid file");
    let mut arena = HeapArena::new(model.sizes().arena_for_batch(2));
    let session = AnySession::with_batch(&model, &mut arena, Portable, 2);
    let tuner = FineTuner::new(session.expect("fits"), &mut training, Sgd::new(0.1, 0.0));
    assert_eq!(tuner.map(|_| ()), Err(FineTuneError::Batch { found: 2 }));
}

#[test]
fn a_class_that_is_not_there_is_refused_and_nothing_is_learned() {
    with_tuner(&tiny(), Sgd::new(0.1, 0.9), |mut tuner| {
        let before = bits_of(tuner.weights());
        for found in [3, usize::MAX] {
            tuner.set_image_u8(&[7; 16]).expect("16 pixels");
            let refused = FineTuneError::Class { found, classes: 3 };
            assert_eq!(tuner.step(found), Err(refused));
        }
        assert_eq!(bits_of(tuner.weights()), before);
        assert_eq!(tuner.steps(), 0);
        let text = FineTuneError::Class {
            found: 3,
            classes: 3,
        };
        assert_eq!(text.to_string(), "class 3 does not exist, the model has 3");
    });
}

#[test]
fn a_loss_that_is_not_finite_changes_nothing() {
    let learn = |disturbed: bool| {
        with_tuner(&tiny(), Adam::new(0.01), |mut tuner| {
            let rng = &mut fastrand::Rng::with_seed(35);
            for _ in 0..6 {
                if disturbed {
                    for poison in [f32::NAN, f32::INFINITY] {
                        let before = bits_of(tuner.weights());
                        tuner.set_input_f32(&[poison; 16]).expect("16 elements");
                        assert_eq!(tuner.step(1), Err(FineTuneError::Diverged));
                        assert_eq!(bits_of(tuner.weights()), before);
                    }
                }
                tuner.set_input_f32(&numbers(rng, 16)).expect("16 elements");
                tuner.step(rng.usize(0..3)).expect("a finite loss");
            }
            assert_eq!(tuner.steps(), 6);
            bits_of(tuner.weights())
        })
    };
    assert_eq!(learn(true), learn(false));
}

#[test]
fn a_learning_rate_that_is_far_too_large_is_reported() {
    with_tuner(&tiny(), Sgd::new(1e38, 0.9), |mut tuner| {
        let outcome = (0..10).find_map(|class| {
            tuner.set_image_u8(&[200; 16]).expect("16 pixels");
            tuner.step(class % 3).err()
        });
        assert_eq!(outcome, Some(FineTuneError::Diverged));
        let text = FineTuneError::Diverged.to_string();
        assert!(text.contains("smaller learning rate"), "{text}");
        // The way out.
        tuner.reset();
        tuner.optimizer_mut().learning_rate = 0.01;
        tuner.set_image_u8(&[200; 16]).expect("16 pixels");
        assert!(tuner.step(0).is_ok());
    });
}

#[test]
fn a_tuner_needs_no_operators_but_its_models() {
    use kinglet::model::schema::bits;
    const TANH: u128 = 1 << 9;
    const LEAKY_RELU: u128 = 1 << 7;
    const OPS: u128 = bits::CONV2D_F32 | bits::LINEAR_F32 | TANH | LEAKY_RELU;
    let mut suffixes = suffixes().into_iter();
    let of_elements = suffixes.find(|(name, _)| *name == "begins and ends element-wise");
    let (name, spec) = of_elements.expect("one of them");
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    assert_eq!(model.sizes().operators, OPS, "{name}");
    let mut arena = HeapArena::new(model.sizes().arena);
    let mut training = HeapArena::new(model.sizes().training::<Sgd>());
    let session = Session::<OPS, _>::new(&model, &mut arena, Portable).expect("fits");
    let mut small = FineTuner::new(session, &mut training, Sgd::new(0.05, 0.9)).expect("fits");
    with_tuner(&spec, Sgd::new(0.05, 0.9), |mut all| {
        let rng = &mut fastrand::Rng::with_seed(46);
        for class in [0, 3, 1, 4] {
            let input = numbers(rng, 16);
            small.set_input_f32(&input).expect("16 elements");
            all.set_input_f32(&input).expect("16 elements");
            assert_eq!(small.step(class), all.step(class));
        }
        assert_eq!(bits_of(small.weights()), bits_of(all.weights()));
    });
}

/// SGD that keeps no velocity: its state has no element.
#[derive(Debug, Clone, Copy)]
struct Plain(f32);

impl Optimizer for Plain {
    const SLOTS: usize = 0;
    type Step = ();

    fn step(&self, _: u32) {}

    fn bounds(&self, (): (), before: Bounds, gradient: f32) -> Bounds {
        Bounds {
            weight: before.weight + self.0 * gradient,
            state: 0.0,
        }
    }

    fn update(
        &self,
        (): (),
        weights: &mut [f32],
        gradients: impl Iterator<Item = f32>,
        state: &mut [f32],
    ) {
        assert!(state.is_empty());
        weights
            .iter_mut()
            .zip(gradients)
            .for_each(|(w, g)| *w -= self.0 * g);
    }
}

/// SGD with a state that is not used, of so many elements a weight.
#[derive(Debug, Clone, Copy)]
struct Padded<const SLOTS: usize>(f32);

impl<const SLOTS: usize> Optimizer for Padded<SLOTS> {
    const SLOTS: usize = SLOTS;
    type Step = ();

    fn step(&self, _: u32) {}

    fn bounds(&self, (): (), before: Bounds, gradient: f32) -> Bounds {
        Plain(self.0).bounds((), before, gradient)
    }

    fn update(
        &self,
        (): (),
        weights: &mut [f32],
        gradients: impl Iterator<Item = f32>,
        state: &mut [f32],
    ) {
        assert_eq!(state.len(), SLOTS * weights.len());
        Plain(self.0).update((), weights, gradients, &mut []);
    }
}

#[test]
fn an_optimizer_of_any_size_of_state_moves_every_weight() {
    fn learn<O: Optimizer>(optimizer: O) -> Vec<u32> {
        with_tuner(&tiny(), optimizer, |mut tuner| {
            let rng = &mut fastrand::Rng::with_seed(36);
            let before = bits_of(tuner.weights());
            for _ in 0..5 {
                tuner.set_input_f32(&numbers(rng, 16)).expect("16 elements");
                tuner.step(rng.usize(0..3)).expect("a finite loss");
            }
            let after = bits_of(tuner.weights());
            let moved = before.iter().zip(&after).filter(|(b, a)| b != a).count();
            assert!(moved * 2 > before.len(), "{moved} of {}", before.len());
            after
        })
    }
    let expected = learn(Sgd::new(0.1, 0.0));
    assert_eq!(learn(Plain(0.1)), expected);
    assert_eq!(learn(Padded::<1>(0.1)), expected);
    assert_eq!(learn(Padded::<3>(0.1)), expected);
}

#[test]
fn no_optimizer_makes_a_head_that_is_not_finite() {
    fn learn<O: Optimizer + Copy + std::fmt::Debug>(optimizer: O, seed: u64) -> (usize, usize) {
        with_tuner(&tiny(), optimizer, |mut tuner| {
            let rng = &mut fastrand::Rng::with_seed(seed);
            let (mut taken, mut refused) = (0, 0);
            for _ in 0..30 {
                let before = (bits_of(tuner.weights()), tuner.steps());
                let scale = 10_f32.powi(rng.i32(-3..20));
                let input: Vec<f32> = numbers(rng, 16).iter().map(|x| x * scale).collect();
                tuner.set_input_f32(&input).expect("16 elements");
                match tuner.step(rng.usize(0..3)) {
                    Ok(_) => taken += 1,
                    Err(FineTuneError::Diverged) => {
                        refused += 1;
                        assert_eq!((bits_of(tuner.weights()), tuner.steps()), before);
                    }
                    Err(e) => panic!("{e}"),
                }
                let finite = tuner.weights().iter().all(|w| w.is_finite());
                assert!(finite, "{optimizer:?} after {taken} steps");
            }
            (taken, refused)
        })
    }
    let (mut taken, mut refused) = (0, 0);
    let rng = &mut fastrand::Rng::with_seed(37);
    for seed in 0..200 {
        let learning_rate = 10_f32.powi(rng.i32(-4..38)) * [1.0, -1.0][rng.usize(0..2)];
        let sgd = Sgd {
            weight_decay: [0.0, 1e-3, 1e30][rng.usize(0..3)],
            nesterov: rng.bool(),
            ..Sgd::new(learning_rate, [0.0, 0.9, 1.5][rng.usize(0..3)])
        };
        let adam = Adam {
            beta1: [0.9, 0.0, 1.5][rng.usize(0..3)],
            epsilon: [1e-8, 1e-30, 1.0][rng.usize(0..3)],
            ..Adam::new(learning_rate)
        };
        for (ok, not) in [learn(sgd, seed), learn(adam, seed)] {
            taken += ok;
            refused += not;
        }
    }
    assert!(
        taken > 1000 && refused > 1000,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn a_step_that_might_be_too_large_is_bounded_by_the_weights_as_they_are() {
    // Each step's bound adds to the last one, so they end beyond what a float holds; the weights go back and forth.
    with_tuner(&tiny(), Plain(1e37), |mut tuner| {
        for step in 0..200 {
            tuner.reset();
            tuner.set_image_u8(&[1; 16]).expect("16 pixels");
            let outcome = tuner.step(step % 3);
            assert!(outcome.is_ok() || outcome == Err(FineTuneError::Diverged));
        }
    });
}

#[test]
fn a_shadow_head_is_gone_back_to() {
    let file = file(&tiny());
    let model = Model::load(&file).expect("a valid file");
    let sizes = model.sizes();
    let bytes = sizes.training_with_shadow::<Sgd>();
    assert_eq!(
        bytes,
        sizes.training::<Sgd>() + 4 * sizes.trainable_parameters
    );
    let (mut arena, mut training) = (HeapArena::new(sizes.arena), HeapArena::new(bytes));
    let session = AnySession::new(&model, &mut arena, Portable).expect("fits");
    let tuner = FineTuner::with_shadow(session, &mut training, Sgd::new(0.1, 0.9));
    let mut tuner = tuner.expect("fits");
    let rng = &mut fastrand::Rng::with_seed(38);
    let mut learn = |tuner: &mut FineTuner<'_, _, _, _>, steps| {
        for _ in 0..steps {
            tuner.set_input_f32(&numbers(rng, 16)).expect("16 elements");
            tuner.step(rng.usize(0..3)).expect("a finite loss");
        }
        bits_of(tuner.weights())
    };
    let factory = bits_of(tuner.weights());
    let kept = learn(&mut tuner, 3);
    tuner.keep_head().expect("a shadow");
    let worse = learn(&mut tuner, 2);
    assert_ne!(worse, kept);
    assert_eq!(tuner.steps(), 5);
    tuner.restore_head().expect("a shadow");
    assert_eq!((bits_of(tuner.weights()), tuner.steps()), (kept, 3));
    // Until a head is kept, the shadow is the factory head; a reset leaves it as it is.
    tuner.reset();
    assert_eq!(bits_of(tuner.weights()), factory);
    tuner.restore_head().expect("a shadow");
    assert_eq!(tuner.steps(), 3);

    with_tuner(&tiny(), Sgd::new(0.1, 0.9), |mut tuner| {
        assert_eq!(tuner.keep_head(), Err(FineTuneError::NoShadow));
        assert_eq!(tuner.restore_head(), Err(FineTuneError::NoShadow));
    });
}

#[test]
fn stored_features_teach_what_their_pictures_do() {
    let learn = |stored: bool| {
        with_tuner(&tiny(), Sgd::new(0.1, 0.9), |mut tuner| {
            let rng = &mut fastrand::Rng::with_seed(39);
            for _ in 0..5 {
                let (input, class) = (numbers(rng, 16), rng.usize(0..3));
                tuner.set_input_f32(&input).expect("16 elements");
                if stored {
                    let features = tuner.features().to_vec();
                    tuner.step_from_features(&features, class).expect("finite");
                } else {
                    tuner.step(class).expect("finite");
                }
            }
            let refused = tuner.step_from_features(&[], 0);
            assert!(
                matches!(refused, Err(FineTuneError::Features(_))),
                "{refused:?}"
            );
            bits_of(tuner.weights())
        })
    };
    assert_eq!(learn(true), learn(false));
}
