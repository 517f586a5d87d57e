//! Whole models on the device, against the CPU.

use std::sync::{Arc, LazyLock};

use kinglet::model::{GraphSpec, OutputSpec};
use kinglet::opencl::{Comparison, Element, Executor, FallbackSession, OpenClError, Session};
use kinglet::operator::{AvgPool2d, MaxPool2d, Softmax};
use kinglet::{FineTuner, HeapArena, Model, SessionMemory, Sgd};
use kinglet_kernels::{
    Activation, BinaryFunction, Conv2d, CountPadding, Padding, Portable, Rounding, Shape, Unary,
    Window,
};
use kinglet_tests::branching::{binary, branching, random_dag};
use kinglet_tests::builder::Builder;
use kinglet_tests::ends::two_ends;
use kinglet_tests::graphs::{
    Bias, chain, conv2d, every_operator, file, input_len, linear, numbers, pooled,
};
use kinglet_tests::quantized::{ends_quantized, quantized, whole_i8};
use kinglet_tests::real;

use crate::device::{Folder, with_cache, with_variant};

static EXECUTOR: LazyLock<Arc<Executor>> = LazyLock::new(|| with_variant(0));

/// The largest difference of `found` from `expected`, relative to the largest magnitude there.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().all(|x| x.is_finite()), "{found:?}");
    let largest = expected.iter().fold(1e-6_f32, |a, x| a.max(x.abs()));
    let differences = found.iter().zip(expected).map(|(f, e)| (f - e).abs());
    differences.fold(0.0, f32::max) / largest
}

/// What the CPU computes of `input`, and what the device does.
fn both(
    executor: &Arc<Executor>,
    spec: &GraphSpec,
    batch: usize,
    storage: Element,
    input: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let file = file(spec);
    let model = Model::load(&file).expect("a valid file");
    let mut memory = SessionMemory::new(&model, &Portable, batch);
    let mut cpu = memory.session(&model, Portable).expect("it fits");
    cpu.set_input_f32(input).expect("the right length");
    let mut device = Session::new(executor, &model, batch, storage).expect("it can be made");
    device.set_input_f32(input).expect("the right length");
    let found = device.run().expect("it runs").to_vec();
    (real(cpu.run()).to_vec(), found)
}

#[test]
fn every_operator_in_one_graph() {
    let spec = every_operator();
    let rng = &mut fastrand::Rng::with_seed(3);
    for batch in [1, 2, 5] {
        let input = numbers(rng, batch * input_len(&spec));
        let (expected, found) = both(&EXECUTOR, &spec, batch, Element::F32, &input);
        let worst = difference(&found, &expected);
        assert!(worst <= 1e-5, "batch {batch}: {worst:e}");
    }
}

#[test]
fn a_graph_that_branches() {
    let spec = branching();
    let rng = &mut fastrand::Rng::with_seed(3);
    for batch in [1, 2, 5] {
        let input = numbers(rng, batch * input_len(&spec));
        let (expected, found) = both(&EXECUTOR, &spec, batch, Element::F32, &input);
        let worst = difference(&found, &expected);
        assert!(worst <= 1e-5, "batch {batch}: {worst:e}");
        let (_, found) = both(&EXECUTOR, &spec, batch, Element::F16, &input);
        let worst = difference(&found, &expected);
        assert!(worst <= 2e-2, "batch {batch} in f16: {worst:e}");
    }
}

/// Graphs that nobody drew. A quotient of small numbers may be anything: samples that are not finite on the CPU
/// are not compared.
#[test]
fn random_graphs_are_within_1e_4() {
    let rng = &mut fastrand::Rng::with_seed(8);
    let mut compared = 0;
    for round in 0..60 {
        let spec = random_dag(rng);
        let input = numbers(rng, 2 * input_len(&spec));
        let (expected, found) = both(&EXECUTOR, &spec, 2, Element::F32, &input);
        if expected.iter().all(|x| x.is_finite()) {
            let difference = difference(&found, &expected);
            assert!(
                difference <= 1e-4,
                "round {round}: {difference:e} of {spec:#?}"
            );
            compared += 1;
        }
    }
    assert!(compared > 30, "{compared} of 60");
}

#[test]
fn storage_in_f16_is_good_to_three_digits() {
    let spec = every_operator();
    let input = numbers(&mut fastrand::Rng::with_seed(4), 2 * input_len(&spec));
    let (expected, found) = both(&EXECUTOR, &spec, 2, Element::F16, &input);
    let worst = difference(&found, &expected);
    assert!(worst <= 5e-3, "{worst:e}");
    assert!(worst > 1e-6, "f16 rounds, so it shows: {worst:e}");
}

#[test]
fn a_sample_has_the_same_bits_in_any_batch() {
    let spec = every_operator();
    let len = input_len(&spec);
    let input = numbers(&mut fastrand::Rng::with_seed(5), 3 * len);
    let (_, together) = both(&EXECUTOR, &spec, 3, Element::F32, &input);
    for (sample, together) in input.chunks(len).zip(together.chunks(5)) {
        let (_, alone) = both(&EXECUTOR, &spec, 1, Element::F32, sample);
        assert_eq!(alone, together);
    }
}

/// A chain of layers with shapes that nobody chose.
fn random_chain(rng: &mut fastrand::Rng) -> GraphSpec {
    let input = Shape::new(rng.usize(1..=14), rng.usize(1..=14), rng.usize(1..=9));
    let mut shape = input;
    let mut operators = Vec::new();
    while operators.len() < 7 {
        let window = |rng: &mut fastrand::Rng| {
            let mut side = || rng.usize(0..=1);
            let padding = Padding {
                top: side(),
                bottom: side(),
                left: side(),
                right: side(),
            };
            Window::new(rng.usize(1..=4), rng.usize(1..=4))
                .with_stride(rng.usize(1..=3), rng.usize(1..=3))
                .with_dilation(rng.usize(1..=2), rng.usize(1..=2))
                .with_padding(padding)
        };
        let activation = [Activation::Identity, Activation::Relu, Activation::Relu6];
        let activation = activation[rng.usize(0..3)];
        let bias = if rng.bool() { Bias::Yes } else { Bias::No };
        match rng.u32(0..8) {
            0..=2 => {
                let (groups, out) = match rng.u32(0..3) {
                    0 => (shape.channels, shape.channels * rng.usize(1..=2)),
                    1 if shape.channels.is_multiple_of(2) => (2, 2 * rng.usize(1..=9)),
                    _ => (1, rng.usize(1..=19)),
                };
                let Ok(params) = Conv2d::new(shape, out, window(rng), groups, activation) else {
                    continue;
                };
                let convolution = conv2d(rng, &params, activation, bias);
                shape = params.output();
                let side = rng.usize(1..=3);
                let pool = Window::new(side, side).with_stride(side, side);
                let fits = shape.height >= side && shape.width >= side;
                if fits && rng.bool() {
                    shape = Shape::new(shape.height / side, shape.width / side, out);
                    operators.push(pooled(convolution, pool));
                } else {
                    operators.push(convolution);
                }
            }
            3 | 4 => {
                let rounding = if rng.bool() {
                    Rounding::Floor
                } else {
                    Rounding::Ceil
                };
                let count_padding = match rng.bool() {
                    true => CountPadding::Include,
                    false => CountPadding::Exclude,
                };
                let window = window(rng).with_dilation(1, 1);
                let params = kinglet_kernels::Pool2d::new(shape, window, rounding, count_padding);
                let Ok(params) = params else { continue };
                shape = params.output();
                let average = AvgPool2d {
                    window,
                    rounding,
                    count_padding,
                };
                operators.push(match rng.bool() {
                    true => MaxPool2d { window, rounding }.into(),
                    false => average.into(),
                });
            }
            5 | 6 => {
                let functions = [
                    Unary::Relu,
                    Unary::Relu6,
                    Unary::LeakyRelu { slope: 0.1 },
                    Unary::Sigmoid,
                    Unary::Tanh,
                ];
                operators.push(functions[rng.usize(0..5)].into());
            }
            _ => {
                let features = rng.usize(1..=40);
                operators.push(linear(rng, shape.len(), features, activation, bias));
                shape = Shape::vector(features);
            }
        }
    }
    if rng.bool() {
        operators.push(Softmax.into());
    }
    chain("random", input, operators)
}

/// Two hundred of them, each with another variant of every kernel.
#[test]
fn random_chains_are_within_1e_4() {
    let executors: Vec<_> = (0..4).map(|i| with_variant(2 * i)).collect();
    let rng = &mut fastrand::Rng::with_seed(6);
    let mut worst = 0.0_f32;
    for round in 0..200 {
        let spec = random_chain(rng);
        let batch = rng.usize(1..=4);
        let input = numbers(rng, batch * input_len(&spec));
        let executor = &executors[round % executors.len()];
        let (expected, found) = both(executor, &spec, batch, Element::F32, &input);
        let difference = difference(&found, &expected);
        assert!(
            difference <= 1e-4,
            "round {round}: {difference:e} of {spec:#?}"
        );
        worst = worst.max(difference);
    }
    println!("the worst of 200 chains is off by {worst:e}");
}

#[test]
fn a_session_with_the_cpu_behind_it_gives_the_same_answers_and_checks_its_first() {
    let spec = every_operator();
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    let rng = &mut fastrand::Rng::with_seed(7);
    let mut memory = SessionMemory::new(&model, &Portable, 2);
    let cpu = memory.session(&model, Portable).expect("it fits");
    let device = Session::new(&EXECUTOR, &model, 2, Element::F32).expect("it can be made");
    let mut session = FallbackSession::new(cpu, device);
    for _ in 0..3 {
        let input = numbers(rng, 2 * input_len(&spec));
        session.set_input_f32(&input).expect("the right length");
        let found = real(session.run()).to_vec();
        let (expected, _) = both(&EXECUTOR, &spec, 2, Element::F32, &input);
        assert!(difference(&found, &expected) <= 1e-5);
        assert_eq!(session.failure(), None);
        assert!(session.device().is_some());
    }
    assert!(session.set_input_f32(&[0.0]).is_err());
}

#[test]
fn a_measured_choice_is_remembered() {
    let folder = Folder::new("measured");
    let executor = with_cache(&folder);
    let spec = every_operator();
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    let mut memory = SessionMemory::new(&model, &Portable, 1);
    let mut cpu = memory.session(&model, Portable).expect("it fits");
    let mut measure = |threads| {
        let (found, session) =
            Comparison::of(&executor, &mut cpu, Element::F32, threads).expect("it runs");
        assert_eq!(session.is_some(), found.device_wins(threads));
        found
    };
    let first = measure(1);
    assert!(first.cpu.as_nanos() > 0 && first.device.as_nanos() > 0);
    // From the cache: measured anew, they would hardly be the same to the tenth of a microsecond.
    assert_eq!(measure(1), measure(4));
}

#[test]
fn the_frozen_body_on_the_device_feeds_the_fine_tuner() {
    let spec = every_operator();
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    let input = numbers(&mut fastrand::Rng::with_seed(8), input_len(&spec));
    let tune = |features: Option<&[f32]>| {
        let mut memory = SessionMemory::new(&model, &Portable, 1);
        let session = memory.session(&model, Portable).expect("it fits");
        let mut training = HeapArena::new(model.sizes().training::<Sgd>());
        let mut tuner =
            FineTuner::new(session, &mut training, Sgd::new(0.01, 0.9)).expect("trainable");
        for class in [0, 3, 1] {
            match features {
                Some(features) => tuner.set_features(features),
                None => tuner.set_input_f32(&input),
            }
            .expect("the right length");
            tuner.step(class).expect("the loss is finite");
        }
        assert!(tuner.set_features(&[]).is_err());
        tuner.weights().to_vec()
    };
    let mut body = Session::frozen_body(&EXECUTOR, &model, 1, Element::F32).expect("made");
    body.set_input_f32(&input).expect("the right length");
    let features = body.run().expect("it runs").to_vec();
    let (expected, found) = (tune(None), tune(Some(&features)));
    assert!(difference(&found, &expected) <= 1e-5);
    // What the features are is all that counts: the steps are canonical.
    assert_eq!(found, tune(Some(&features)));
}

/// Sets each input of `session` to random numbers, which are returned.
fn set_inputs(session: &mut Session<'_>, rng: &mut fastrand::Rng) -> Vec<Vec<f32>> {
    let count = session.model().inputs().len();
    let set = (0..count).map(|index| {
        let input = session.input_mut(index).expect("it has so many");
        let values = numbers(rng, input.len());
        input.copy_from_slice(&values);
        values
    });
    set.collect()
}

/// Two inputs and two outputs; then an input that is an output as well, and an operator in place on one.
#[test]
fn every_input_is_taken_and_every_output_given() {
    let mut passed_on = two_ends();
    passed_on.outputs.push(OutputSpec::new("as it came", 1));
    let mut in_place = Builder::new("in place", Shape::new(2, 3, 1));
    let other = in_place.add_input("other", Shape::new(2, 3, 1));
    let relu = in_place.add(Unary::Relu, &[other]);
    let add = binary(BinaryFunction::Add, Activation::Identity);
    let sum = in_place.add(add, &[relu, 0]);
    let in_place = in_place.finish_with(&[sum, relu]);
    for spec in [two_ends(), passed_on, in_place] {
        let file = file(&spec);
        let model = Model::load(&file).expect("a valid file");
        let rng = &mut fastrand::Rng::with_seed(13);
        for batch in [1, 3] {
            let mut memory = SessionMemory::new(&model, &Portable, batch);
            let mut cpu = memory.session(&model, Portable).expect("it fits");
            let device = Session::new(&EXECUTOR, &model, batch, Element::F32);
            let mut device = device.expect("it can be made");
            let inputs = set_inputs(&mut device, rng);
            assert!(device.input_mut(inputs.len()).is_none());
            for (index, values) in inputs.iter().enumerate() {
                let input = cpu.input_mut(index).expect("it has so many");
                input.set_f32(values).expect("of its length");
            }
            device.run().expect("it runs");
            cpu.run();
            for index in 0..model.outputs().len() {
                let expected = real(cpu.output(index).expect("it is there"));
                let found = device.output(index).expect("it is there");
                let worst = difference(found, expected);
                assert!(worst <= 1e-5, "{}, output {index}: {worst:e}", spec.name);
            }
            assert!(device.output(model.outputs().len()).is_none());
        }
    }
}

#[test]
fn all_ends_have_the_cpu_behind_them() {
    let file = file(&two_ends());
    let model = Model::load(&file).expect("a valid file");
    let mut memory = SessionMemory::new(&model, &Portable, 2);
    let cpu = memory.session(&model, Portable).expect("it fits");
    let device = Session::new(&EXECUTOR, &model, 2, Element::F32).expect("it can be made");
    let mut session = FallbackSession::new(cpu, device);
    let mut again = SessionMemory::new(&model, &Portable, 2);
    let mut cpu = again.session(&model, Portable).expect("it fits");
    let rng = &mut fastrand::Rng::with_seed(14);
    for _ in 0..2 {
        for (index, tensor) in model.tensors().iter().take(2).enumerate() {
            let values = numbers(rng, 2 * tensor.shape.len());
            let inputs = [session.input_mut(index), cpu.input_mut(index)];
            for input in inputs {
                let input = input.expect("there are two");
                input.set_f32(&values).expect("of its length");
            }
        }
        session.run();
        cpu.run();
        assert_eq!(session.failure(), None);
        for index in 0..2 {
            let [found, expected] = [session.output(index), cpu.output(index)];
            let [found, expected] = [found, expected].map(|output| real(output.expect("there")));
            assert!(difference(found, expected) <= 1e-5);
        }
    }
}

/// Models of 8-bit numbers, at either end or within.
#[test]
fn what_devices_do_not_run_yet_is_refused() {
    for spec in [quantized(), ends_quantized(), whole_i8()] {
        let file = file(&spec);
        let model = Model::load(&file).expect("a valid file");
        let session = Session::new(&EXECUTOR, &model, 1, Element::F32).map(|_| ());
        let unsupported = matches!(session, Err(OpenClError::Unsupported { .. }));
        assert!(unsupported, "{}: {session:?}", spec.name);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let file = file(&every_operator());
    let model = Model::load(&file).expect("a valid file");
    let refused = |batch, storage| Session::new(&EXECUTOR, &model, batch, storage).map(|_| ());
    let unsupported = |result| matches!(result, Err(OpenClError::Unsupported { .. }));
    assert!(unsupported(refused(0, Element::F32)));
    assert!(unsupported(refused(1, Element::U32)));
    // An arena of some terabytes.
    let error = refused(1 << 30, Element::F32).expect_err("too large");
    assert!(
        matches!(
            error,
            OpenClError::TooLarge { .. } | OpenClError::Memory { .. }
        ),
        "{error}"
    );
}
