//! Models of 8-bit numbers: the same numbers from every kernel set, in batches, and in the places that the plan has
//! chosen as from an interpreter in exact arithmetic; their bytes; and a head that learns behind them.

use kinglet::model::schema::{DType, Operator, PREFIX_LEN, bits, operator_name};
use kinglet::model::{EncodeError, GraphSpec, Int8Spec, OperatorSpec, encode, with_head};
use kinglet::probe::Output;
use kinglet::{
    AlignedBytes, FineTuner, HeapArena, LoadError, Model, Probe, Session, SessionMemory, Sgd,
};
use kinglet_kernels::{
    Activation, Axis, BackwardKernels, CountPadding, ParamsError, Portable, Quantization, Rounding,
    Shape, Unary, Window, arch,
};
use kinglet_tests::bits_of;
use kinglet_tests::graphs::{Bias, chain, file, linear, numbers};
use kinglet_tests::interpreter;
use kinglet_tests::quantized::{head_of, layer, quantized, random_quantized, tiny_i8};
use kinglet_tests::seal::open;

/// Keeps the output of each node; numbers of either type are compared as `f32`, which holds both.
#[derive(Default)]
struct Outputs(Vec<Vec<f32>>);

impl Probe for Outputs {
    fn after(&mut self, _: usize, output: Output<'_>) {
        self.0.push(match output {
            Output::F32(values) => values.to_vec(),
            Output::I8(numbers) => numbers.iter().map(|q| f32::from(*q)).collect(),
        });
    }
}

fn outputs_of(
    spec: &GraphSpec,
    kernels: &dyn BackwardKernels,
    batch: usize,
    input: &[f32],
) -> Vec<Vec<f32>> {
    let file = file(spec);
    let model = Model::load(&file).expect("a valid file");
    let mut memory = SessionMemory::new(&model, &kernels, batch);
    let mut session = memory.session(&model, kernels).expect("its own memory");
    session.set_input_f32(input).expect("the right length");
    let mut outputs = Outputs::default();
    session.run_probed(&mut outputs);
    outputs.0
}

/// Every node up to the trainable ones, whose sums of `f32` have an order of their own in each set.
fn assert_equals_interpreter(spec: &GraphSpec, input: &[f32]) {
    let expected = interpreter::run(spec, input);
    for set in arch::sets() {
        let Some(kernels) = set.kernels() else {
            continue;
        };
        let found = outputs_of(spec, kernels, 1, input);
        let frozen = spec.nodes.len() - spec.trainable_nodes;
        let pairs = found.iter().zip(&expected[1..]).take(frozen);
        for (index, (found, expected)) in pairs.enumerate() {
            assert_eq!(
                bits_of(found),
                bits_of(&expected.elements),
                "node {index} by {} of {spec:?}",
                set.name()
            );
        }
    }
}

#[test]
fn every_set_gives_the_numbers_of_the_interpreter() {
    let rng = &mut fastrand::Rng::with_seed(62);
    let spec = quantized();
    for _ in 0..5 {
        assert_equals_interpreter(&spec, &numbers(rng, spec.input.len()));
    }
    for _ in 0..1500 {
        let spec = random_quantized(rng);
        assert_equals_interpreter(&spec, &numbers(rng, spec.input.len()));
    }
}

#[test]
fn the_sample_has_every_operator_on_8_bit_numbers() {
    let file = file(&quantized());
    let model = Model::load(&file).expect("a valid file");
    assert_eq!(model.sizes().operators, bits::INT8 | bits::LINEAR_F32);
}

#[test]
fn values_do_not_all_end_at_a_bound() {
    // The comparisons above would be worth little on numbers that are all the same.
    let rng = &mut fastrand::Rng::with_seed(63);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let spec = random_quantized(rng);
        for tensor in interpreter::run(&spec, &numbers(rng, spec.input.len())) {
            if tensor.quantization.is_some() {
                seen.extend(tensor.elements.iter().map(|q| *q as i32));
            }
        }
    }
    assert_eq!(seen.len(), 256);
}

#[test]
fn a_batch_gives_each_sample_the_numbers_it_has_alone() {
    let rng = &mut fastrand::Rng::with_seed(64);
    let mut specs = vec![quantized()];
    specs.extend((0..50).map(|_| random_quantized(rng)));
    for spec in specs {
        let input = numbers(rng, 3 * spec.input.len());
        let together = outputs_of(&spec, &Portable, 3, &input).pop();
        let alone: Vec<f32> = input
            .chunks(spec.input.len())
            .flat_map(|sample| outputs_of(&spec, &Portable, 1, sample).pop())
            .flatten()
            .collect();
        assert_eq!(bits_of(&together.expect("an output")), bits_of(&alone));
    }
}

#[test]
fn a_tensor_takes_a_byte_for_each_number() {
    let spec = tiny_i8();
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    let tensors: Vec<_> = model.tensors().iter().collect();
    let bytes: Vec<usize> = tensors.iter().map(|tensor| tensor.bytes()).collect();
    assert_eq!(bytes, [8, 2, 2, 8]);
    // 16 for each of two tensors at a time.
    assert_eq!(model.sizes().activations(), 32);
    let mut arena = HeapArena::new(model.sizes().arena);
    let mut session =
        Session::<{ bits::QUANTIZE_I8 | bits::CONV2D_I8 | bits::DEQUANTIZE_I8 }, _>::new(
            &model, &mut arena, Portable,
        )
        .expect("its operators");
    session.set_input_f32(&[5.0, -2.5]).expect("two");
    // As numbers less their zero point 20 and -10: 1 * 20 - 2 * -10 - 300 = -260, * 0.25 is below 3;
    // 127 * 20 - 128 * -10 + 70000 is far above.
    assert_eq!(session.run(), [0.0, 62.0]);
}

/// One node between a quantizing and a dequantizing one.
fn between(spec: OperatorSpec) -> GraphSpec {
    let output = Quantization::new(0.03125, -5);
    let operators = vec![
        OperatorSpec::Int8(Int8Spec::Quantize { output }),
        spec,
        OperatorSpec::Int8(Int8Spec::Dequantize),
    ];
    chain("one", Shape::new(2, 2, 1), operators)
}

#[test]
fn each_operator_is_behind_its_own_bit() {
    const ENDS: u64 = bits::QUANTIZE_I8 | bits::DEQUANTIZE_I8;
    macro_rules! check {
        ($($bit:ident: $operator:expr,)*) => {$({
            let mut spec = between($operator);
            if bits::$bit == bits::ADD_I8 {
                spec.nodes[1].inputs = vec![1, 1];
            }
            let input = [-1.5, 0.25, 7.0, -0.0];
            let expected = interpreter::run(&spec, &input).pop().expect("an output");
            let file = file(&spec);
            let model = Model::load_with::<{ ENDS | bits::$bit }>(&file).expect("a valid file");
            assert_eq!(model.sizes().operators, ENDS | bits::$bit);
            let refused = Model::load_with::<{ bits::ALL & !bits::$bit }>(&file).err();
            let name = operator_name(bits::$bit.trailing_zeros());
            assert_eq!(refused, Some(LoadError::Operator { node: 1, name }));
            let mut arena = HeapArena::new(model.sizes().arena);
            let session = Session::<{ ENDS | bits::$bit }, _>::new(&model, &mut arena, Portable);
            let mut session = session.expect("its operators are there");
            session.set_input_f32(&input).expect("four elements");
            assert_eq!(bits_of(session.run()), bits_of(&expected.elements), stringify!($bit));
        })*};
    }
    let rng = &mut fastrand::Rng::with_seed(68);
    let (from, output) = (Quantization::new(0.03125, -5), Quantization::new(0.05, 9));
    let (bounds, window) = ((-100, 90), Window::new(2, 2));
    let (rounding, count_padding) = (Rounding::Floor, CountPadding::Include);
    check! {
        CONV2D_I8: OperatorSpec::Int8(Int8Spec::Conv2d {
            window,
            groups: 1,
            out_channels: 3,
            layer: layer(rng, (4, 3), from, output, Bias::Yes),
            output,
        }),
        LINEAR_I8: OperatorSpec::Int8(Int8Spec::Linear {
            out_features: 5,
            layer: layer(rng, (4, 5), from, output, Bias::No),
            output,
        }),
        MAX_POOL2D_I8: OperatorSpec::MaxPool2d { window, rounding },
        AVG_POOL2D_I8: OperatorSpec::Int8(Int8Spec::AvgPool2d {
            window,
            rounding,
            count_padding,
            output,
        }),
        ADD_I8: OperatorSpec::Int8(Int8Spec::Add { bounds, output }),
        SOFTMAX_I8: OperatorSpec::Int8(Int8Spec::Softmax { output }),
        REQUANTIZE_I8: OperatorSpec::Int8(Int8Spec::Requantize { bounds, output }),
        RESHAPE_I8: OperatorSpec::Reshape { output: Shape::vector(4) },
        PAD_I8: OperatorSpec::Pad {
            before: [1, 0, 2],
            after: [0, 1, 0],
            value: 0.3,
        },
        CONCAT_I8: OperatorSpec::Concat { axis: Axis::Width },
        SLICE_I8: OperatorSpec::Slice {
            start: [0, 1, 0],
            step: [1; 3],
            output: Shape::new(2, 1, 1),
        },
        TRANSPOSE_I8: OperatorSpec::Transpose {
            order: [Axis::Width, Axis::Height, Axis::Channels],
        },
        UPSAMPLE_I8: OperatorSpec::Upsample {
            factor_h: 2,
            factor_w: 3,
        },
    }
    let file = file(&tiny_i8());
    let refused = |node, name| Some(LoadError::Operator { node, name });
    let without = Model::load_with::<{ bits::ALL & !bits::QUANTIZE_I8 }>(&file);
    assert_eq!(without.err(), refused(0, "QuantizeI8"));
    let without = Model::load_with::<{ bits::ALL & !bits::DEQUANTIZE_I8 }>(&file);
    assert_eq!(without.err(), refused(2, "DequantizeI8"));
}

#[test]
fn a_quantized_model_is_these_bytes() {
    let bytes = file(&tiny_i8());
    let quarter = 0.25f32.to_le_bytes();
    let half = 0.5f32.to_le_bytes();
    let expected: &[&[u8]] = &[
        &[2, b'i', b'8'],
        &[4],
        &[1, 2, 1, 0, 0, 0],     // F32, offset 0
        &[1, 2, 1, 1],           // I8
        &quarter,                // scale
        &[0xff],                 // zero point -1
        &[16, 1],                // offset 16, last read by node 1
        &[1, 1, 2, 1],           // I8
        &half,                   // scale
        &[3],                    // zero point
        &[0, 2],                 // offset 0
        &[1, 1, 2, 0, 16, 2],    // F32, offset 16
        &[3],                    // three nodes
        &[25, 1, 0],             // QuantizeI8
        &[27, 1, 2, 1, 1, 1, 1], // Conv2dI8: kernel, stride, dilation
        &[0, 0, 0, 0, 1],        // padding, groups
        &[3, 127],               // low, high
        &[0, 1, 16, 32],         // weights, bias, scale
        &[1, 1],                 // reads tensor 1
        &[26, 1, 2],             // DequantizeI8
        &[0, 0, 0, 0, 0],        // mean, std, labels, trainable nodes, extensions
    ];
    let file = open(&bytes);
    let graph = postcard::to_stdvec(&file.graph).expect("it can be written");
    assert_eq!(graph, expected.concat());
    assert_eq!(bytes[PREFIX_LEN..][..graph.len()], graph);
    let weights: &[&[u8]] = &[
        &[1, 0xfe, 127, 0x80],
        &[0; 12],
        &(-300i32).to_le_bytes(),
        &70000i32.to_le_bytes(),
        &[0; 8],
        &quarter,
        &0.125f32.to_le_bytes(),
    ];
    assert_eq!(file.weights, weights.concat());
    let operators = file.prefix.operators;
    assert_eq!(operators, (0b111u64 << 25).to_le_bytes());
}

#[test]
fn a_head_learns_behind_a_quantized_body() {
    let rng = &mut fastrand::Rng::with_seed(66);
    let spec = quantized();
    let (body_file, head_file) = (file(&spec), file(&head_of(&spec)));
    let model = Model::load(&body_file).expect("a valid file");
    let head = Model::load(&head_file).expect("a valid file");
    let (mut memory, mut head_memory) = (
        SessionMemory::new(&model, &Portable, 1),
        SessionMemory::new(&head, &Portable, 1),
    );
    let (mut training, mut head_training) = (
        HeapArena::new(model.sizes().training::<Sgd>()),
        HeapArena::new(head.sizes().training::<Sgd>()),
    );
    let sgd = || Sgd::new(0.1, 0.9);
    let session = memory.session(&model, Portable).expect("its own memory");
    let mut tuner = FineTuner::new(session, &mut training, sgd()).expect("trainable");
    let session = head_memory
        .session(&head, Portable)
        .expect("its own memory");
    let mut alone = FineTuner::new(session, &mut head_training, sgd()).expect("trainable");
    for step in 0..30 {
        let input = numbers(rng, spec.input.len());
        let features = interpreter::run(&spec, &input);
        let features = &features[spec.nodes.len() - 1];
        assert_eq!(features.quantization, None);
        tuner.set_input_f32(&input).expect("the right length");
        alone.set_input_f32(&features.elements).expect("as many");
        let (found, expected) = (tuner.step(step % 4), alone.step(step % 4));
        assert_eq!(found, expected);
        assert!(found.is_ok());
        assert_eq!(bits_of(tuner.weights()), bits_of(alone.weights()));
    }
    // The model with the new head has the body's bytes as they were.
    let trained = with_head(&model, tuner.weights()).expect("as many parameters");
    let trained = AlignedBytes::from(trained.as_slice());
    let trained = Model::load(&trained).expect("a valid file");
    assert_eq!(trained.parent(), Some(model.id()));
    let (before, after) = (bits_of(model.weights()), bits_of(trained.weights()));
    let last = model.nodes().iter().last().expect("a node").operator;
    let Operator::LinearF32 { weights, .. } = last else {
        panic!("the head is a linear layer");
    };
    let first = weights as usize / 4;
    assert_eq!(before[..first], after[..first]);
    assert_ne!(before[first..], after[first..]);
}

#[test]
fn the_exporter_refuses_what_no_reader_would_take() {
    let rng = &mut fastrand::Rng::with_seed(67);
    let q = Quantization::new(0.1, 0);
    let quantize = |output| OperatorSpec::Int8(Int8Spec::Quantize { output });
    let dequantize = || OperatorSpec::Int8(Int8Spec::Dequantize);
    let refused = |operators: Vec<OperatorSpec>| {
        let spec = chain("", Shape::vector(4), operators);
        match encode(&spec).map(|_| ()).expect_err("refused") {
            EncodeError::Refused(reason) => reason,
            other => panic!("refused as {other:?}"),
        }
    };
    let relu = || OperatorSpec::Unary(Unary::Relu);
    assert_eq!(refused(vec![quantize(q)]), LoadError::Ends);
    let dtype = |node| LoadError::DType { node };
    assert_eq!(refused(vec![quantize(q), relu()]), dtype(1));
    assert_eq!(refused(vec![dequantize()]), dtype(0));
    assert_eq!(refused(vec![quantize(q), quantize(q)]), dtype(1));
    let softmax = OperatorSpec::Int8(Int8Spec::Softmax { output: q });
    assert_eq!(refused(vec![softmax, dequantize()]), dtype(0));
    let real = linear(rng, 4, 4, Activation::Identity, Bias::No);
    assert_eq!(refused(vec![quantize(q), real, dequantize()]), dtype(1));
    for scale in [0.0, -0.5, f32::NAN, f32::INFINITY] {
        let operators = vec![quantize(Quantization::new(scale, 0)), dequantize()];
        assert_eq!(refused(operators), LoadError::Scale { tensor: 1 });
    }
    let bounds = OperatorSpec::Int8(Int8Spec::Requantize {
        bounds: (5, 4),
        output: q,
    });
    let params = |node, reason| LoadError::Params { node, reason };
    assert_eq!(
        refused(vec![quantize(q), bounds, dequantize()]),
        params(1, ParamsError::Bounds)
    );
    // A quotient of scales that is no number.
    let far = OperatorSpec::Int8(Int8Spec::Requantize {
        bounds: (-128, 127),
        output: Quantization::new(1e-30, 0),
    });
    assert_eq!(
        refused(vec![
            quantize(Quantization::new(1e30, 0)),
            far,
            dequantize()
        ]),
        params(1, ParamsError::Scale)
    );
    let mut with = |change: &dyn Fn(&mut kinglet::model::LayerI8)| {
        let mut layer = layer(rng, (4, 2), q, q, Bias::Yes);
        change(&mut layer);
        let linear = OperatorSpec::Int8(Int8Spec::Linear {
            out_features: 2,
            layer,
            output: q,
        });
        refused(vec![quantize(q), linear, dequantize()])
    };
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(
            with(&|layer| layer.scale[1] = scale),
            params(1, ParamsError::Scale)
        );
    }
    let room = i32::MAX - 4 * 255 * 128;
    for bias in [room + 1, -room - 1, i32::MIN] {
        assert_eq!(
            with(&|layer| layer.bias = Some(vec![room, bias])),
            params(1, ParamsError::Accumulator)
        );
    }
}

#[test]
fn dtypes_know_their_size() {
    assert_eq!(DType::F32.size(), 4);
    let q = Quantization::new(0.5, -7);
    let dtype = DType::from(q);
    assert_eq!((dtype.size(), dtype.quantization()), (1, Some(q)));
    assert_eq!(DType::F32.quantization(), None);
}
