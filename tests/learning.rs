//! Learning on the device against two independent computations: gradients against finite differences in
//! f64, and whole runs of each optimizer, bit for bit, against a plain implementation that stores
//! everything. Then the head: saved, loaded, damaged, exported.

mod naive;

use kinglet::model::{EncodeError, GraphSpec, OperatorSpec, with_head};
use kinglet::{
    Adam, AlignedBytes, AnySession, ArenaMut, FineTuneError, FineTuner, HeadError, HeapArena,
    Model, ModelId, Optimizer, Session, Sgd,
};
use kinglet_kernels::{Activation, Conv2d, Padding, Portable, Shape, Unary, Window};
use kinglet_tests::graphs::{Bias, chain, conv2d, file, linear, numbers, tiny};
use kinglet_tests::interpreter;

use naive::Naive;

type Tuner<'a, O> = FineTuner<'a, { kinglet::model::schema::bits::ALL }, Portable, O>;

fn bits_of(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// A small body with `suffix` behind it, all of it trainable. The features are 2 x 2 x 3 values.
fn with_suffix(seed: u64, suffix: impl Fn(&mut fastrand::Rng) -> Vec<OperatorSpec>) -> GraphSpec {
    let rng = &mut fastrand::Rng::with_seed(seed);
    let input = Shape::new(4, 4, 1);
    let window = Window::new(3, 3)
        .with_stride(2, 2)
        .with_padding(Padding::symmetric(1, 1));
    let body = Conv2d::new(input, 3, window, 1, Activation::Identity).expect("a sample layer");
    let mut operators = vec![conv2d(rng, &body, Activation::Identity, Bias::Yes)];
    operators.extend(suffix(rng));
    GraphSpec {
        trainable_nodes: operators.len() - 1,
        ..chain("suffix", input, operators)
    }
}

const FEATURES: usize = 12;

/// Every kind of suffix that can be trained, by name.
fn suffixes() -> Vec<(&'static str, GraphSpec)> {
    use Activation::{Identity, Relu, Relu6};
    use OperatorSpec::Softmax;
    let unary = OperatorSpec::Unary;
    let between = |function: Unary| {
        with_suffix(21, |rng| {
            vec![
                linear(rng, FEATURES, 7, Identity, Bias::Yes),
                unary(function),
                linear(rng, 7, 4, Identity, Bias::Yes),
            ]
        })
    };
    let whole = GraphSpec {
        trainable_nodes: 2,
        ..chain(
            "no body",
            Shape::new(2, 3, 2),
            vec![
                linear(&mut fastrand::Rng::with_seed(22), 12, 5, Relu, Bias::Yes),
                linear(&mut fastrand::Rng::with_seed(23), 5, 3, Identity, Bias::Yes),
            ],
        )
    };
    vec![
        (
            "one linear",
            with_suffix(24, |rng| {
                vec![linear(rng, FEATURES, 4, Identity, Bias::Yes)]
            }),
        ),
        (
            "without bias",
            with_suffix(25, |rng| {
                vec![
                    linear(rng, FEATURES, 6, Relu, Bias::No),
                    linear(rng, 6, 4, Identity, Bias::No),
                ]
            }),
        ),
        ("relu between", between(Unary::Relu)),
        ("relu6 between", between(Unary::Relu6)),
        ("sigmoid between", between(Unary::Sigmoid)),
        ("tanh between", between(Unary::Tanh)),
        (
            "leaky relu between",
            between(Unary::LeakyRelu { slope: 0.2 }),
        ),
        (
            "fused relu6, three layers",
            with_suffix(26, |rng| {
                vec![
                    linear(rng, FEATURES, 9, Relu6, Bias::Yes),
                    linear(rng, 9, 6, Relu, Bias::No),
                    linear(rng, 6, 5, Identity, Bias::Yes),
                ]
            }),
        ),
        (
            "ends in softmax",
            with_suffix(27, |rng| {
                vec![
                    linear(rng, FEATURES, 6, Relu, Bias::Yes),
                    linear(rng, 6, 4, Identity, Bias::Yes),
                    Softmax,
                ]
            }),
        ),
        (
            "begins and ends element-wise",
            with_suffix(28, |rng| {
                vec![
                    unary(Unary::Tanh),
                    linear(rng, FEATURES, 5, Identity, Bias::Yes),
                    unary(Unary::LeakyRelu { slope: 0.5 }),
                ]
            }),
        ),
        ("no body", whole),
    ]
}

/// What `spec`'s frozen nodes make of `input`.
fn features(spec: &GraphSpec, input: &[f32]) -> Vec<f32> {
    let mut body = spec.clone();
    body.nodes.truncate(spec.nodes.len() - spec.trainable_nodes);
    let features = interpreter::run(&body, input).pop();
    features.expect("at least the input").elements
}

/// Calls `test` with a tuner of `spec`.
fn with_tuner<O: Optimizer, T>(
    spec: &GraphSpec,
    optimizer: O,
    test: impl FnOnce(Tuner<'_, O>) -> T,
) -> T {
    let file = file(spec);
    let model = Model::load(&file).expect("a valid file");
    let mut arena = HeapArena::new(model.sizes().arena);
    let mut training = HeapArena::new(model.sizes().training::<O>());
    let session = AnySession::new(&model, &mut arena, Portable).expect("fits");
    test(FineTuner::new(session, &mut training, optimizer).expect("fits"))
}

/// An "optimizer" that writes the gradients where the weights were.
struct Gradients;

impl Optimizer for Gradients {
    const SLOTS: usize = 1;
    type Step = ();

    fn step(&self, _: u32) {}

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
            let input = numbers(rng, spec.input.len());
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
            let input = numbers(rng, spec.input.len());
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

/// Adam as PyTorch documents it, one weight at a time.
struct NaiveAdam {
    adam: Adam,
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl NaiveAdam {
    fn new(adam: Adam, weights: usize) -> Self {
        Self {
            adam,
            mean: vec![0.0; weights],
            square: vec![0.0; weights],
        }
    }

    fn update(&mut self, step: u32, index: usize, w: &mut f32, g: f32) {
        let Adam {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
        } = self.adam;
        let g = g + weight_decay * *w;
        let (mean, square) = (&mut self.mean[index], &mut self.square[index]);
        *mean += (1.0 - beta1) * (g - *mean);
        *square = *square * beta2 + (1.0 - beta2) * g * g;
        let correction1 = 1.0 - f64::from(beta1).powi(step as i32);
        let correction2 = 1.0 - f64::from(beta2).powi(step as i32);
        let step_size = (f64::from(learning_rate) / correction1) as f32;
        let denominator = square.sqrt() / correction2.sqrt() as f32 + epsilon;
        *w -= step_size * (*mean / denominator);
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
        if naive.classes() != 4 || spec.input.len() != 16 {
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

/// A tuner's exact sizes, and what it refuses.
#[test]
fn the_training_arena_is_as_large_as_the_file_says() {
    fn check<O: Optimizer + Copy>(model: &Model<'_>, optimizer: O, expected: usize) {
        let needed = model.sizes().training::<O>();
        assert_eq!(needed, expected);
        let mut bytes = vec![0xff; needed + 63];
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
        let mut bytes = vec![garbage; model.sizes().training::<Adam>() + 63];
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
    let session = AnySession::with_workspace(&model, &mut arena, Portable, 2, &mut []);
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

/// A few steps on inputs that depend on `seed`.
fn learn_a_little<O: Optimizer>(tuner: &mut Tuner<'_, O>, seed: u64) {
    let rng = &mut fastrand::Rng::with_seed(seed);
    for _ in 0..8 {
        tuner.set_input_f32(&numbers(rng, 16)).expect("16 elements");
        tuner.step(rng.usize(0..3)).expect("a finite loss");
    }
}

#[test]
fn reset_goes_back_to_the_start() {
    let fresh = with_tuner(&tiny(), Adam::new(0.01), |mut tuner| {
        learn_a_little(&mut tuner, 36);
        bits_of(tuner.weights())
    });
    with_tuner(&tiny(), Adam::new(0.01), |mut tuner| {
        let factory = bits_of(tuner.weights());
        learn_a_little(&mut tuner, 37);
        assert_ne!(bits_of(tuner.weights()), factory);
        tuner.reset();
        assert_eq!(bits_of(tuner.weights()), factory);
        assert_eq!(tuner.steps(), 0);
        // The optimizer's state is gone too.
        learn_a_little(&mut tuner, 36);
        assert_eq!(bits_of(tuner.weights()), fresh);
    });
}

fn saved_head<O: Optimizer>(tuner: &Tuner<'_, O>) -> Vec<u8> {
    let mut head = vec![0xaa; tuner.head_len() + 5];
    let written = tuner.save_head(&mut head).expect("large enough");
    assert_eq!(written, tuner.head_len());
    assert_eq!(
        head[written..],
        [0xaa; 5],
        "nothing is written behind the head"
    );
    head.truncate(written);
    head
}

#[test]
fn a_head_is_saved_and_loaded() {
    let (head, weights, id) = with_tuner(&tiny(), Sgd::new(0.1, 0.9), |mut tuner| {
        learn_a_little(&mut tuner, 38);
        (
            saved_head(&tuner),
            tuner.weights().to_vec(),
            tuner.model().id(),
        )
    });
    // The layout is that of FORMAT.md.
    assert_eq!(head.len(), 32 + 4 * 27);
    assert_eq!(head[..4], *b"kgh1");
    assert_eq!(head[4..20], id.0);
    assert_eq!(head[20..24], 27u32.to_le_bytes());
    assert_eq!(head[24..28], 8u32.to_le_bytes());
    for (bytes, weight) in head[28..].chunks(4).zip(&weights) {
        assert_eq!(bytes, weight.to_le_bytes());
    }

    with_tuner(&tiny(), Sgd::new(0.1, 0.9), |mut tuner| {
        learn_a_little(&mut tuner, 39);
        tuner.load_head(&head).expect("of this model");
        assert_eq!(bits_of(tuner.weights()), bits_of(&weights));
        assert_eq!(tuner.steps(), 8);
        assert_eq!(saved_head(&tuner), head);
        // A longer buffer, as flash pages are, is fine.
        let mut page = head.clone();
        page.resize(512, 0xff);
        assert_eq!(tuner.load_head(&page), Ok(()));
    });
}

#[test]
fn learning_goes_on_from_a_loaded_head_with_a_new_optimizer() {
    let adam = Adam::new(0.01);
    let head = with_tuner(&tiny(), adam, |mut tuner| {
        learn_a_little(&mut tuner, 40);
        saved_head(&tuner)
    });
    let input = numbers(&mut fastrand::Rng::with_seed(41), 16);
    with_tuner(&tiny(), adam, |mut tuner| {
        learn_a_little(&mut tuner, 42);
        tuner.load_head(&head).expect("of this model");
        let mut naive = Naive::of(&tiny());
        naive.set_weights(tuner.weights());
        let (_, gradients) = naive.gradients(&features(&tiny(), &input), 2);
        let mut weights = naive.weights();
        let mut first_step = NaiveAdam::new(adam, weights.len());
        for (index, (w, g)) in weights.iter_mut().zip(gradients).enumerate() {
            first_step.update(1, index, w, g);
        }
        tuner.set_input_f32(&input).expect("16 elements");
        tuner.step(2).expect("a finite loss");
        assert_eq!(bits_of(tuner.weights()), bits_of(&weights));
        assert_eq!(tuner.steps(), 9, "steps are counted through");
    });
}

#[test]
fn a_damaged_head_is_refused_and_the_head_stays() {
    let head = with_tuner(&tiny(), Sgd::new(0.1, 0.9), |mut tuner| {
        learn_a_little(&mut tuner, 43);
        saved_head(&tuner)
    });
    with_tuner(&tiny(), Sgd::new(0.1, 0.9), |mut tuner| {
        learn_a_little(&mut tuner, 44);
        let before = bits_of(tuner.weights());
        let mut refuse = |bytes: &[u8]| {
            let refused = tuner.load_head(bytes).expect_err("damaged");
            assert_eq!(bits_of(tuner.weights()), before);
            assert_eq!(tuner.steps(), 8);
            refused
        };
        for position in 0..head.len() {
            for bit in 0..8 {
                let mut damaged = head.clone();
                damaged[position] ^= 1 << bit;
                let refused = refuse(&damaged);
                match position {
                    0..4 => assert_eq!(refused, HeadError::NotAHead),
                    4..20 => assert!(matches!(refused, HeadError::OtherModel { .. })),
                    _ => assert_eq!(refused, HeadError::Crc),
                }
            }
        }
        for length in 0..head.len() {
            assert_eq!(
                refuse(&head[..length]),
                HeadError::NotAHead,
                "{length} bytes"
            );
        }
        assert_eq!(refuse(&[0xff; 512]), HeadError::NotAHead, "erased flash");
        assert_eq!(tuner.load_head(&head), Ok(()));
    });
}

#[test]
fn a_head_of_another_model_is_refused() {
    let mut other = tiny();
    other.name = "other".into();
    let (head, id): (Vec<u8>, ModelId) = with_tuner(&other, Sgd::new(0.1, 0.9), |tuner| {
        (saved_head(&tuner), tuner.model().id())
    });
    with_tuner(&tiny(), Sgd::new(0.1, 0.9), |mut tuner| {
        let refused = HeadError::OtherModel { found: id };
        assert_eq!(tuner.load_head(&head), Err(refused));
        assert_eq!(
            refused.to_string(),
            format!("the head belongs to another model, {id}")
        );
        let needed = tuner.head_len();
        let found = needed - 1;
        let mut short = vec![0; found];
        let refused = Err(HeadError::BufferTooSmall { needed, found });
        assert_eq!(tuner.save_head(&mut short), refused);
        assert_eq!(short, vec![0; found], "nothing was written");
    });
}

#[test]
fn a_trained_head_becomes_a_model_of_its_own() {
    for (name, spec) in suffixes() {
        let file = file(&spec);
        let model = Model::load(&file).expect("a valid file");
        let mut arena = HeapArena::new(model.sizes().arena);
        let mut training = HeapArena::new(model.sizes().training::<Sgd>());
        let session = AnySession::new(&model, &mut arena, Portable).expect("fits");
        let mut tuner = FineTuner::new(session, &mut training, Sgd::new(0.05, 0.9)).expect("fits");
        let rng = &mut fastrand::Rng::with_seed(45);
        for _ in 0..5 {
            tuner
                .set_input_f32(&numbers(rng, spec.input.len()))
                .expect("the length");
            tuner.step(1).expect("a finite loss");
        }

        let trained = with_head(&model, tuner.weights()).expect("as many parameters");
        let trained = AlignedBytes::from(trained.as_slice());
        let trained = Model::load(&trained).expect("a valid file");
        assert_eq!(trained.parent(), Some(model.id()), "{name}");
        assert_eq!(model.parent(), None, "{name}");
        assert_ne!(trained.id(), model.id(), "{name}");
        assert_eq!(trained.sizes(), model.sizes(), "{name}");
        let mut arena = HeapArena::new(trained.sizes().arena);
        let mut session = AnySession::new(&trained, &mut arena, Portable).expect("fits");
        for _ in 0..5 {
            let input = numbers(rng, spec.input.len());
            session.set_input_f32(&input).expect("the right length");
            tuner.set_input_f32(&input).expect("the right length");
            assert_eq!(bits_of(session.run()), bits_of(tuner.run()), "{name}");
        }

        // The session that comes back has the factory head.
        let input = numbers(rng, spec.input.len());
        let expected = interpreter::run(&spec, &input).pop().expect("an output");
        let short = &tuner.weights()[1..];
        let refused = EncodeError::Parameters {
            node: spec.nodes.len() - spec.trainable_nodes,
            expected: short.len() + 1,
            found: short.len(),
        };
        assert_eq!(with_head(&model, short), Err(refused));
        let mut session = tuner.into_session();
        session.set_input_f32(&input).expect("the right length");
        assert_eq!(
            bits_of(session.run()),
            bits_of(&expected.elements),
            "{name}"
        );
    }
}

#[test]
fn a_tuner_needs_no_operators_but_its_models() {
    use kinglet::model::schema::bits;
    const OPS: u64 = bits::CONV2D_F32 | bits::LINEAR_F32 | bits::TANH_F32 | bits::LEAKY_RELU_F32;
    let (name, spec) = suffixes().swap_remove(9);
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
