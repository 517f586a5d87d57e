//! Models of 8-bit numbers: the same numbers from every kernel set, in batches, and in the places that the plan has
//! chosen as from an interpreter in exact arithmetic; their bytes; and a head that learns behind them.

use kinglet::model::schema::{DType, Operator, PREFIX_LEN, bits, operation_name};
use kinglet::model::{EncodeError, GraphSpec, TensorSpec, encode, with_head};
use kinglet::operator::{
    AvgPool2d, Concat, Dequantize, Element, LayerI8, LogSoftmax, MaxPool2d, Owned, Pad, Quantize,
    QuantizedAdd, QuantizedBinary, QuantizedConv2d, QuantizedLinear, Requantize, Reshape, Slice,
    Softmax, Table, Transpose, Upsample,
};
use kinglet::{
    AlignedBytes, FineTuner, HeapArena, LoadError, Model, Probe, Session, SessionError,
    SessionMemory, Sgd, Values,
};
use kinglet_kernels::{
    Activation, Axis, BinaryFunction, CountPadding, Kernels, ParamsError, Portable, Quantization,
    Rounding, Shape, Unary, Window, arch,
};
use kinglet_tests::backwards::Backwards;
use kinglet_tests::branching::binary;
use kinglet_tests::builder::Builder;
use kinglet_tests::graphs::{Bias, file, input_len, linear, numbers};
use kinglet_tests::quantized::{
    begins_quantized, ends_quantized, head_of, layer, quantized, random_quantized, table, tiny_i8,
    whole_i8,
};
use kinglet_tests::seal::open;
use kinglet_tests::{as_taken, bits_of, interpreter, numbers_of, real};

/// Keeps the output of each node; numbers of either type are compared as `f32`, which holds both.
#[derive(Default)]
struct Outputs(Vec<Vec<f32>>);

impl Probe for Outputs {
    fn after(&mut self, _: usize, output: Values<'_>) {
        self.0.push(numbers_of(output));
    }
}

fn outputs_of(
    spec: &GraphSpec,
    kernels: impl Kernels + Copy,
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
        assert_equals_interpreter(&spec, &numbers(rng, input_len(&spec)));
    }
    for _ in 0..1500 {
        let spec = random_quantized(rng);
        assert_equals_interpreter(&spec, &numbers(rng, input_len(&spec)));
    }
}

#[test]
fn packed_weights_and_scratch_come_from_the_arena() {
    let rng = &mut fastrand::Rng::with_seed(64);
    let spec = quantized();
    for batch in [1, 3] {
        let input = numbers(rng, batch * input_len(&spec));
        let found = outputs_of(&spec, Backwards, batch, &input);
        let expected = outputs_of(&spec, Portable, batch, &input);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(bits_of(found), bits_of(expected));
        }
    }
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    assert!(kinglet::arena_len(&model, &Backwards, 1) > model.sizes().arena + 63);
}

#[test]
fn the_sample_has_every_operator_on_8_bit_numbers() {
    let file = file(&quantized());
    let model = Model::load(&file).expect("a valid file");
    let all_of_int8 = ((1 << 40) - (1 << 25)) | bits::TABLE_I8 | bits::BINARY_I8;
    assert_eq!(model.sizes().operators, all_of_int8 | bits::LINEAR_F32);
}

#[test]
fn values_do_not_all_end_at_a_bound() {
    // The comparisons above would be worth little on numbers that are all the same.
    let rng = &mut fastrand::Rng::with_seed(63);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let spec = random_quantized(rng);
        for tensor in interpreter::run(&spec, &numbers(rng, input_len(&spec))) {
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
        let input = numbers(rng, 3 * input_len(&spec));
        let together = outputs_of(&spec, Portable, 3, &input).pop();
        let alone: Vec<f32> = input
            .chunks(input_len(&spec))
            .flat_map(|sample| outputs_of(&spec, Portable, 1, sample).pop())
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
    assert_eq!(real(session.run()), [0.0, 62.0]);
}

/// What a square of four numbers is quantized with before one node, and another quantization for after it.
const BEFORE: Quantization = Quantization::new(0.03125, -5);
const AFTER: Quantization = Quantization::new(0.05, 9);
const SQUARE: Shape = Shape::new(2, 2, 1);

/// One node that writes `output` between a quantizing and a dequantizing one.
fn between(
    operator: impl Into<Operator<Owned>>,
    inputs: &[usize],
    output: TensorSpec,
) -> GraphSpec {
    let mut graph = Builder::new("one", SQUARE);
    graph.add_as(Quantize, &[0], TensorSpec::quantized(SQUARE, BEFORE));
    graph.add_as(operator, inputs, output);
    graph.add(Dequantize, &[2]);
    graph.finish()
}

/// Runs a graph of [`between`] with the bit of its node, and refuses it without.
fn check_alone<const OPS: u128, const OTHERS: u128>(name: &str, spec: &GraphSpec) {
    assert_eq!((!OTHERS & bits::ALL).count_ones(), 1, "{name}");
    let input = [-1.5, 0.25, 7.0, -0.0];
    let expected = interpreter::run(spec, &input).pop().expect("an output");
    let file = file(spec);
    let model = Model::load_with::<OPS>(&file).expect("a valid file");
    assert_eq!(model.sizes().operators, OPS, "{name}");
    let refused = Model::load_with::<OTHERS>(&file).err();
    let operator = spec.nodes[1].operator.name();
    let unknown = |node, name| Some(LoadError::Operator { node, name });
    assert_eq!(refused, unknown(1, operator), "{name}");
    let mut arena = HeapArena::new(model.sizes().arena);
    let session = Session::<OPS, _>::new(&model, &mut arena, Portable);
    let mut session = session.expect("its operators are there");
    session.set_input_f32(&input).expect("four elements");
    let found = real(session.run());
    assert_eq!(bits_of(found), bits_of(&expected.elements), "{name}");
    // A session knows the bit: what the operator computes of which elements.
    let of_bit = operation_name((OPS & !OTHERS).trailing_zeros());
    let refused = Session::<OTHERS, _>::new(&model, &mut arena, Portable).map(|_| ());
    assert_eq!(refused, Err(SessionError::Operator { name: of_bit }));
}

#[test]
fn each_operator_is_behind_its_own_bit() {
    const ENDS: u128 = bits::QUANTIZE_I8 | bits::DEQUANTIZE_I8;
    macro_rules! check {
        ($($bit:ident: $operator:expr, $inputs:expr => $output:expr;)*) => {$(
            check_alone::<{ ENDS | bits::$bit }, { bits::ALL & !bits::$bit }>(
                stringify!($bit),
                &between($operator, &$inputs, $output),
            );
        )*};
    }
    let rng = &mut fastrand::Rng::with_seed(68);
    let (low, high) = (-100, 90);
    let window = Window::new(2, 2);
    let (rounding, count_padding) = (Rounding::Floor, CountPadding::Include);
    let kept = |height, width, channels| {
        TensorSpec::quantized(Shape::new(height, width, channels), BEFORE)
    };
    let other =
        |height, width, channels| TensorSpec::quantized(Shape::new(height, width, channels), AFTER);
    let convolution = QuantizedConv2d {
        window,
        groups: 1,
        low,
        high,
        layer: layer(rng, (4, 3), BEFORE, AFTER, Bias::Yes),
    };
    let linear = QuantizedLinear {
        low,
        high,
        layer: layer(rng, (4, 5), BEFORE, AFTER, Bias::No),
    };
    let average = AvgPool2d {
        window,
        rounding,
        count_padding,
    };
    let pad = Pad {
        before: [1, 0, 2],
        value: 0.3,
    };
    let slice = Slice {
        start: [0, 1, 0],
        step: [1; 3],
    };
    let transpose = Transpose {
        order: [Axis::Width, Axis::Channels, Axis::Height],
    };
    let product = QuantizedBinary {
        function: BinaryFunction::Multiply,
        low,
        high,
    };
    let upsample = Upsample {
        factor_h: 2,
        factor_w: 3,
    };
    check! {
        CONV2D_I8: convolution, [1] => other(1, 1, 3);
        LINEAR_I8: linear, [1] => other(1, 1, 5);
        MAX_POOL2D_I8: MaxPool2d { window, rounding }, [1] => kept(1, 1, 1);
        AVG_POOL2D_I8: average, [1] => other(1, 1, 1);
        ADD_I8: QuantizedAdd { low, high }, [1, 1] => other(2, 2, 1);
        BINARY_I8: product, [1, 1] => other(2, 2, 1);
        SOFTMAX_I8: Softmax, [1] => other(2, 2, 1);
        REQUANTIZE_I8: Requantize { low, high }, [1] => other(2, 2, 1);
        TABLE_I8: table(rng), [1] => other(2, 2, 1);
        RESHAPE_I8: Reshape, [1] => kept(1, 1, 4);
        PAD_I8: pad, [1] => kept(3, 3, 3);
        CONCAT_I8: Concat { axis: Axis::Width }, [1] => kept(2, 2, 1);
        SLICE_I8: slice, [1] => kept(2, 1, 1);
        TRANSPOSE_I8: transpose, [1] => kept(2, 1, 2);
        UPSAMPLE_I8: upsample, [1] => kept(4, 6, 1);
    }
    let file = file(&tiny_i8());
    let refused = |node, name| Some(LoadError::Operator { node, name });
    let without = Model::load_with::<{ bits::ALL & !bits::QUANTIZE_I8 }>(&file);
    assert_eq!(without.err(), refused(0, "Quantize"));
    let without = Model::load_with::<{ bits::ALL & !bits::DEQUANTIZE_I8 }>(&file);
    assert_eq!(without.err(), refused(2, "Dequantize"));
}

#[test]
fn a_quantized_model_is_these_bytes() {
    let bytes = file(&tiny_i8());
    let quarter = 0.25f32.to_le_bytes();
    let half = 0.5f32.to_le_bytes();
    let word = u32::to_le_bytes;
    let expected: &[&[u8]] = &[
        &[2, b'i', b'8'],
        &[4],
        &[word(1), word(2), word(1)].concat(),
        &[0; 4],       // offset 0
        &[0, 0, 0, 0], // last read by node 0; F32, which has no zero point
        &[0; 4],       // and no scale
        &[word(1), word(2), word(1)].concat(),
        &[16, 0, 0, 0],   // offset 16
        &[1, 0, 1, 0xff], // last read by node 1; I8, zero point -1
        &quarter,         // scale
        &[word(1), word(1), word(2)].concat(),
        &[0; 4],       // offset 0
        &[2, 0, 1, 3], // last read by node 2; I8, zero point 3
        &half,         // scale
        &[word(1), word(1), word(2)].concat(),
        &[16, 0, 0, 0], // offset 16
        &[2, 0, 0, 0],  // there after node 2, the last
        &[0; 4],
        &[3],                    // three nodes
        &[17, 1, 0],             // Quantize reads tensor 0
        &[20, 1, 2, 1, 1, 1, 1], // QuantizedConv2d: kernel, stride, dilation
        &[0, 0, 0, 0, 1],        // padding, groups
        &[3, 127],               // low, high
        &[0, 0, 1, 16, 32],      // weights: order, offset; bias, scale
        &[1, 1],                 // reads tensor 1
        &[18, 1, 2],             // Dequantize reads tensor 2
        &[1, 5],                 // one input: its name
        b"input",
        &[0, 0], // no source, no normalization
        &[1, 6], // one output: its name
        b"output",
        &[3, 0, 0], // tensor 3, no source, no labels
        &[0, 0],    // trainable nodes, extensions
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
    let bits = 1u128 << 25 | 1 << 37 | 1 << 26;
    assert_eq!(file.prefix.operators, bits.to_le_bytes());
    // Two products of one output channel.
    assert_eq!(file.prefix.sum_terms, 2u32.to_le_bytes());
}

#[test]
fn a_head_learns_behind_a_quantized_body() {
    for spec in [quantized(), begins_quantized()] {
        assert_learns_like_its_head(&spec);
    }
}

/// The layer behind a quantized body learns what it learns alone from the body's features.
fn assert_learns_like_its_head(spec: &GraphSpec) {
    let rng = &mut fastrand::Rng::with_seed(66);
    let (body_file, head_file) = (file(spec), file(&head_of(spec)));
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
        let input = numbers(rng, input_len(spec));
        let features = interpreter::run(spec, &as_taken(&spec.inputs[0], &input));
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
    let Operator::Linear(linear) = last else {
        panic!("the head is a linear layer");
    };
    let first = linear.layer.weights.offset.bytes() as usize / 4;
    assert_eq!(before[..first], after[..first]);
    assert_ne!(before[first..], after[first..]);
}

/// Models whose inputs, or outputs, or both, have 8 bits, against the interpreter on every set.
#[test]
fn either_end_of_a_model_may_have_8_bits() {
    let rng = &mut fastrand::Rng::with_seed(69);
    for (spec, ends) in [
        (begins_quantized(), (Element::I8, Element::F32)),
        (ends_quantized(), (Element::F32, Element::I8)),
        (whole_i8(), (Element::I8, Element::I8)),
    ] {
        let output = spec.nodes.last().expect("a node").output.dtype;
        let found = (spec.inputs[0].tensor.dtype.element(), output.element());
        assert_eq!(found, ends, "{}", spec.name);
        for _ in 0..20 {
            let input = numbers(rng, input_len(&spec));
            let expected = interpreter::run(&spec, &as_taken(&spec.inputs[0], &input));
            let frozen = spec.nodes.len() - spec.trainable_nodes;
            for kernels in arch::sets().iter().filter_map(|set| set.kernels()) {
                let found = outputs_of(&spec, kernels, 1, &input);
                let pairs = found.iter().zip(&expected[1..]).take(frozen);
                for (found, expected) in pairs {
                    assert_eq!(bits_of(found), bits_of(&expected.elements), "{}", spec.name);
                }
            }
        }
    }
}

/// Why nodes over vectors of four are refused, each of which reads the one before and writes a tensor of a type.
fn refusal(input: DType, nodes: Vec<(Operator<Owned>, DType)>) -> LoadError {
    let tensor = |dtype| TensorSpec {
        shape: Shape::vector(4),
        dtype,
    };
    let mut graph = Builder::new("", tensor(input));
    for (operator, dtype) in nodes {
        let before = graph.last();
        let reads = match &operator {
            Operator::Binary(_) | Operator::QuantizedAdd(_) | Operator::QuantizedBinary(_) => {
                vec![before; 2]
            }
            _ => vec![before],
        };
        graph.add_as(operator, &reads, tensor(dtype));
    }
    match encode(&graph.finish()).map(|_| ()).expect_err("refused") {
        EncodeError::Refused(reason) => reason,
        other => panic!("refused as {other:?}"),
    }
}

#[test]
fn the_exporter_refuses_what_no_reader_would_take() {
    let rng = &mut fastrand::Rng::with_seed(67);
    let q = DType::from(Quantization::new(0.1, 0));
    let real = DType::F32;
    let quantize = |to: DType| (Operator::from(Quantize), to);
    let dequantize = || (Operator::from(Dequantize), real);
    let refused = |nodes| refusal(real, nodes);
    let relu = |to| (Operator::from(Unary::Relu), to);
    let dtype = |node| LoadError::DType { node };
    assert_eq!(refused(vec![quantize(q), relu(q)]), dtype(1));
    assert_eq!(refused(vec![dequantize()]), dtype(0));
    assert_eq!(refused(vec![quantize(q), quantize(q)]), dtype(1));
    assert_eq!(refused(vec![(Softmax.into(), q), dequantize()]), dtype(0));
    let layer_of_reals = linear(rng, 4, 4, Activation::Identity, Bias::No);
    let nodes = vec![quantize(q), (layer_of_reals, q), dequantize()];
    assert_eq!(refused(nodes), dtype(1));
    for scale in [0.0, -0.5, f32::NAN, f32::INFINITY] {
        let nodes = vec![quantize(Quantization::new(scale, 0).into()), dequantize()];
        assert_eq!(refused(nodes), LoadError::Scale { tensor: 1 });
        // An input's too.
        let scale = Quantization::new(scale, 0).into();
        let reason = refusal(scale, vec![(Dequantize.into(), real)]);
        assert_eq!(reason, LoadError::Scale { tensor: 0 });
    }
    let requantize = |low, high| Operator::from(Requantize { low, high });
    let params = |node, reason| LoadError::Params { node, reason };
    assert_eq!(
        refused(vec![quantize(q), (requantize(5, 4), q), dequantize()]),
        params(1, ParamsError::Bounds)
    );
    // A quotient of scales that is no number.
    let (large, small) = (Quantization::new(1e30, 0), Quantization::new(1e-30, 0));
    let nodes = vec![
        quantize(large.into()),
        (requantize(-128, 127), small.into()),
        dequantize(),
    ];
    assert_eq!(refused(nodes), params(1, ParamsError::Scale));
    let mut with = |change: &dyn Fn(&mut LayerI8<Owned>)| {
        let same = Quantization::new(0.1, 0);
        let mut layer = layer(rng, (4, 4), same, same, Bias::Yes);
        change(&mut layer);
        let (low, high) = (i8::MIN, i8::MAX);
        let linear = QuantizedLinear { low, high, layer };
        refused(vec![quantize(q), (linear.into(), q), dequantize()])
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
            with(&|layer| layer.bias = Some(vec![room, bias, 0, 0])),
            params(1, ParamsError::Accumulator)
        );
    }
}

/// Every operator on every type that it has no kernel for, and on mixed types.
#[test]
fn an_operator_on_elements_that_it_has_no_kernel_for_is_refused() {
    let rng = &mut fastrand::Rng::with_seed(70);
    let q = DType::from(Quantization::new(0.1, 0));
    let other = DType::from(Quantization::new(0.1, 1));
    let real = DType::F32;
    let dtype = LoadError::DType { node: 0 };
    let (low, high) = (i8::MIN, i8::MAX);
    let window = Window::new(1, 1);
    let same = Quantization::new(0.1, 0);
    let of_reals: Vec<Operator<Owned>> = vec![
        linear(rng, 4, 4, Activation::Identity, Bias::No),
        Unary::Relu.into(),
        LogSoftmax.into(),
        binary(BinaryFunction::Add, Activation::Identity),
        Quantize.into(),
    ];
    for operator in of_reals {
        for to in [q, real] {
            assert_eq!(refusal(q, vec![(operator.clone(), to)]), dtype);
        }
    }
    let of_numbers: Vec<Operator<Owned>> = vec![
        Dequantize.into(),
        Requantize { low, high }.into(),
        table(rng),
        QuantizedAdd { low, high }.into(),
        QuantizedBinary {
            function: BinaryFunction::Multiply,
            low,
            high,
        }
        .into(),
        Operator::QuantizedLinear(QuantizedLinear {
            low,
            high,
            layer: layer(rng, (4, 4), same, same, Bias::Yes),
        }),
        Operator::QuantizedConv2d(QuantizedConv2d {
            window,
            groups: 1,
            low,
            high,
            layer: layer(rng, (4, 4), same, same, Bias::Yes),
        }),
    ];
    for operator in of_numbers {
        for to in [q, real] {
            assert_eq!(refusal(real, vec![(operator.clone(), to)]), dtype);
        }
    }
    // What takes either writes what it reads.
    let (rounding, count_padding) = (Rounding::Floor, CountPadding::Include);
    let average = AvgPool2d {
        window,
        rounding,
        count_padding,
    };
    let requantizing: Vec<Operator<Owned>> = vec![average.into(), Softmax.into()];
    for operator in requantizing {
        assert_eq!(refusal(real, vec![(operator.clone(), q)]), dtype);
        assert_eq!(refusal(q, vec![(operator, real)]), dtype);
    }
    let (start, step, before) = ([0; 3], [1; 3], [0; 3]);
    let (factor_h, factor_w) = (1, 1);
    let moving: Vec<Operator<Owned>> = vec![
        MaxPool2d { window, rounding }.into(),
        Concat { axis: Axis::Width }.into(),
        Slice { start, step }.into(),
        Operator::Pad(Pad { before, value: 0.0 }),
        Upsample { factor_h, factor_w }.into(),
        Operator::Transpose(Transpose {
            order: [Axis::Height, Axis::Width, Axis::Channels],
        }),
        Reshape.into(),
    ];
    for operator in moving {
        for (from, to) in [(real, q), (q, real), (q, other)] {
            assert_eq!(refusal(from, vec![(operator.clone(), to)]), dtype);
        }
    }
}

#[test]
fn a_table_has_an_entry_for_each_number() {
    let entries_of = |len| {
        let entries = vec![1; len];
        let output = TensorSpec::quantized(SQUARE, AFTER);
        let spec = between(Operator::Table(Table { entries }), &[1], output);
        encode(&spec).map(|_| ())
    };
    assert_eq!(entries_of(256), Ok(()));
    for found in [0, 255, 257, 512] {
        let refused = EncodeError::Parameters {
            node: 1,
            expected: 256,
            found,
        };
        assert_eq!(entries_of(found), Err(refused));
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
