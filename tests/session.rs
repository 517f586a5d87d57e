//! A session against the oracle: every operator, every kernel set, any batch, any leftover bytes in the
//! arena; and what it refuses.

use std::mem::MaybeUninit;

use kinglet::model::schema::{MAX_ENDS, bits, operation_name};
use kinglet::model::{GraphSpec, OutputSpec, TensorSpec};
use kinglet::operator::{
    self, AvgPool2d, BinaryConstant, ChannelAffine, Concat, LogSoftmax, MaxPool2d, Operator, Owned,
    Pad, Reshape, Slice, Softmax, Transpose, Upsample,
};
use kinglet::{
    AnySession, Arena, ArenaMut, HeapArena, InputError, LoadError, Model, Probe, Session,
    SessionError, SessionMemory, Sizes, Values, ValuesMut, arena_len,
};
use kinglet_kernels::{
    Activation, Axis, BinaryFunction, Conv2d, CountPadding, Kernels, Padding, Portable,
    Quantization, Reference, Rounding, Shape, StaticKernels, Unary, Window, arch,
};
use kinglet_tests::backwards::Backwards;
use kinglet_tests::branching::{binary, random_dag};
use kinglet_tests::builder::Builder;
use kinglet_tests::ends::{many_ends, two_ends};
use kinglet_tests::graphs::{
    Bias, chain, conv2d, every_operator, file, input_len, linear, numbers, one, pixels, pooled,
    tiny,
};
use kinglet_tests::interpreter::{self, Value};
use kinglet_tests::quantized::whole_i8;
use kinglet_tests::{as_taken, bits_of, numbers_of, real, real_input};

/// Keeps the output of each node, in the order they come.
#[derive(Default)]
struct Outputs {
    running: Option<usize>,
    outputs: Vec<Vec<f32>>,
}

impl Probe for Outputs {
    fn before(&mut self, node: usize) {
        assert_eq!(self.running, None, "node {node} begins inside another");
        assert_eq!(node, self.outputs.len(), "nodes come in order");
        self.running = Some(node);
    }

    fn after(&mut self, node: usize, output: Values<'_>) {
        assert_eq!(self.running, Some(node));
        self.running = None;
        self.outputs.push(real(output).to_vec());
    }
}

/// The outputs of all nodes for one sample.
fn outputs_of(spec: &GraphSpec, kernels: impl Kernels, input: &[f32]) -> Vec<Vec<f32>> {
    let file = file(spec);
    let model = Model::load(&file).expect("a valid file");
    let mut arena = HeapArena::new(arena_len(&model, &kernels, 1));
    let mut session = AnySession::new(&model, &mut arena, kernels).expect("fits");
    session.set_input_f32(input).expect("the right length");
    let mut probe = Outputs::default();
    let output = real(session.run_probed(&mut probe)).to_vec();
    assert_eq!(probe.running, None);
    assert_eq!(probe.outputs.len(), spec.nodes.len());
    assert_eq!(
        probe.outputs.last().map(|last| bits_of(last)),
        Some(bits_of(&output)),
        "the output is that of the last node"
    );
    probe.outputs
}

fn assert_equals_interpreter(spec: &GraphSpec, kernels: impl Kernels, input: &[f32]) {
    let expected = interpreter::run(spec, input);
    let found = outputs_of(spec, kernels, input);
    for (index, (found, expected)) in found.iter().zip(&expected[1..]).enumerate() {
        let operator = &spec.nodes[index].operator;
        assert_eq!(
            bits_of(found),
            bits_of(&expected.elements),
            "node {index} of {:?}: {operator:?}",
            spec.name
        );
    }
}

#[test]
fn every_operator_gives_the_bits_of_the_oracle() {
    let spec = every_operator();
    let rng = &mut fastrand::Rng::with_seed(2);
    for _ in 0..20 {
        let input = numbers(rng, input_len(&spec));
        assert_equals_interpreter(&spec, Portable, &input);
        assert_equals_interpreter(&spec, Reference, &input);
    }
}

/// A graph of up to 12 nodes, each reading one of the last three tensors, so that branches, dead ends and
/// in-place chains of all kinds come up.
fn random_graph(rng: &mut fastrand::Rng) -> GraphSpec {
    let input = Shape::new(rng.usize(1..8), rng.usize(1..8), rng.usize(1..5));
    let mut graph = Builder::new("random", input);
    for _ in 0..rng.usize(1..=12) {
        let read = graph.last() - rng.usize(0..3.min(graph.tensors()));
        let shape = graph.shape(read);
        let window = Window::new(
            rng.usize(1..=2.min(shape.height)),
            rng.usize(1..=2.min(shape.width)),
        )
        .with_stride(rng.usize(1..3), rng.usize(1..3));
        let operator = match rng.u8(0..10) {
            0 | 1 => {
                let out_channels = rng.usize(1..10);
                let params = Conv2d::new(shape, out_channels, window, 1, Activation::Identity);
                let activation = *rng
                    .choice(&[Activation::Identity, Activation::Relu])
                    .expect("some");
                let convolution = conv2d(rng, &params.expect("it fits"), activation, Bias::Yes);
                // Now and then one output in two is looked at.
                match rng.u8(0..3) {
                    0 => pooled(convolution, Window::new(1, 1).with_stride(2, 2)),
                    _ => convolution,
                }
            }
            2 => linear(rng, shape.len(), 9, Activation::Relu6, Bias::No),
            3 => Operator::MaxPool2d(MaxPool2d {
                window,
                rounding: Rounding::Ceil,
            }),
            4 => Operator::AvgPool2d(AvgPool2d {
                window,
                rounding: Rounding::Floor,
                count_padding: CountPadding::Include,
            }),
            5 => Unary::Tanh.into(),
            6 => Unary::Sigmoid.into(),
            7 => Unary::LeakyRelu { slope: -0.5 }.into(),
            8 => Unary::Relu.into(),
            _ => Softmax.into(),
        };
        graph.add(operator, &[read]);
    }
    graph.finish()
}

#[test]
fn random_graphs_give_the_bits_of_the_oracle() {
    let rng = &mut fastrand::Rng::with_seed(3);
    for _ in 0..300 {
        let spec = random_graph(rng);
        let input = numbers(rng, input_len(&spec));
        assert_equals_interpreter(&spec, Portable, &input);
    }
}

#[test]
fn every_kernel_set_agrees_with_the_oracle_node_by_node() {
    let rng = &mut fastrand::Rng::with_seed(4);
    let mut ran = Vec::new();
    for set in arch::sets() {
        let Some(kernels) = set.kernels() else {
            println!("{}: not on this machine", set.name());
            continue;
        };
        ran.push(set.name());
        assert_eq!(kernels.name(), set.name());
        for round in 0..60 {
            let spec = match round % 2 {
                0 => every_operator(),
                _ => random_graph(rng),
            };
            let input = numbers(rng, input_len(&spec));
            let outputs = outputs_of(&spec, kernels, &input);
            // Each node is compared on the input that it had: errors of earlier nodes do not add up.
            let shapes = interpreter::run(&spec, &input);
            let tensors: Vec<Value> = std::iter::once(&input)
                .chain(&outputs)
                .zip(&shapes)
                .map(|(elements, value)| Value::real(value.shape, elements.clone()))
                .collect();
            for (index, node) in spec.nodes.iter().enumerate() {
                let read = interpreter::read(node, &tensors);
                let expected = interpreter::output(node, &read).elements;
                let bounds = interpreter::bounds(node, &read);
                for ((found, expected), bound) in outputs[index].iter().zip(&expected).zip(&bounds)
                {
                    assert!(
                        (found - expected).abs() <= *bound,
                        "{}, node {index}: {found} instead of {expected}, bound {bound}",
                        set.name()
                    );
                }
            }
        }
    }
    assert!(
        ran.contains(&"portable") && ran.contains(&"reference"),
        "{ran:?}"
    );
}

#[test]
fn a_batch_gives_each_sample_the_bits_it_has_alone() {
    let rng = &mut fastrand::Rng::with_seed(5);
    let spec = every_operator();
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    for set in arch::sets() {
        let Some(kernels) = set.kernels() else {
            continue;
        };
        for batch in [2, 3, 5, 8] {
            let input = numbers(rng, batch * input_len(&spec));
            let mut arena = HeapArena::new(arena_len(&model, &kernels, batch));
            let session = AnySession::with_batch(&model, &mut arena, kernels, batch);
            let mut session = session.expect("fits");
            assert_eq!(session.batch(), batch);
            session.set_input_f32(&input).expect("the right length");
            let together = real(session.run()).to_vec();
            let alone: Vec<f32> = input
                .chunks(input_len(&spec))
                .flat_map(|sample| outputs_of(&spec, kernels, sample).pop().expect("an output"))
                .collect();
            assert_eq!(
                bits_of(&together),
                bits_of(&alone),
                "{} x {batch}",
                set.name()
            );
        }
    }
}

#[test]
fn what_was_in_the_arena_does_not_matter() {
    let rng = &mut fastrand::Rng::with_seed(6);
    let spec = every_operator();
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    let input = numbers(rng, input_len(&spec));
    let expected = interpreter::run(&spec, &input).pop().expect("an output");
    for garbage in [0x00, 0x7f, 0xff] {
        // 63 bytes more than needed: `align` loses some at the front.
        let mut bytes = vec![MaybeUninit::new(garbage); model.sizes().arena + 63];
        for run in 0..3 {
            let arena = ArenaMut::align(&mut bytes);
            let mut session = AnySession::new(&model, arena, Portable).expect("fits");
            session.set_input_f32(&input).expect("the right length");
            assert_eq!(
                bits_of(real(session.run())),
                bits_of(&expected.elements),
                "run {run}"
            );
        }
    }
}

#[test]
fn a_session_runs_again_and_again() {
    let rng = &mut fastrand::Rng::with_seed(7);
    let spec = every_operator();
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    let mut arena = HeapArena::new(model.sizes().arena);
    let mut session = AnySession::new(&model, &mut arena, Portable).expect("fits");
    for _ in 0..5 {
        let input = numbers(rng, input_len(&spec));
        real_input(&mut session).copy_from_slice(&input);
        let expected = interpreter::run(&spec, &input).pop().expect("an output");
        assert_eq!(bits_of(real(session.run())), bits_of(&expected.elements));
    }
}

#[test]
fn an_arena_one_byte_short_is_refused_with_the_right_number() {
    fn check(model: &Model<'_>, kernels: impl Kernels + Copy) {
        for batch in [1, 3] {
            let needed = arena_len(model, &kernels, batch);
            // On the heap the start is aligned by hand, so that the length is exact.
            let mut bytes = vec![MaybeUninit::uninit(); needed + 63];
            let skip = bytes.as_ptr().align_offset(kinglet::ARENA_ALIGN);
            let mut with = |len: usize| {
                let arena = ArenaMut::align(&mut bytes[skip..skip + len]);
                assert_eq!(arena.len(), len);
                AnySession::with_batch(model, arena, kernels, batch).map(|_| ())
            };
            assert_eq!(with(needed), Ok(()), "{}", kernels.name());
            let portable = model.sizes().arena_for_batch(batch);
            for found in [needed - 1, portable + 1, portable, needed / 2, 64, 0] {
                if found >= needed {
                    continue;
                }
                // What a set asks for is known once the model's own part is there.
                let needed = if found < portable { portable } else { needed };
                assert_eq!(
                    with(found),
                    Err(SessionError::ArenaTooSmall { needed, found }),
                    "{}",
                    kernels.name()
                );
            }
        }
    }
    let file = file(&every_operator());
    let model = Model::load(&file).expect("a valid file");
    assert_eq!(arena_len(&model, &Portable, 1), model.sizes().arena);
    check(&model, Backwards);
    for set in arch::sets() {
        if let Some(kernels) = set.kernels() {
            check(&model, kernels);
        }
    }
    let mut arena = Arena::<64>::new();
    let refused = AnySession::new(&model, &mut arena, Portable).map(|_| ());
    let text = refused.expect_err("64 bytes are too few").to_string();
    let needed = model.sizes().arena;
    assert_eq!(text, format!("the arena has 64 bytes, {needed} are needed"));
}

#[test]
fn a_batch_of_none_and_one_of_too_many_are_refused() {
    let file = file(&tiny());
    let model = Model::load(&file).expect("a valid file");
    let mut arena = HeapArena::new(model.sizes().arena);
    let refused = AnySession::with_batch(&model, &mut arena, Portable, 0);
    assert_eq!(refused.map(|_| ()), Err(SessionError::EmptyBatch));
    let refused = AnySession::with_batch(&model, &mut arena, Portable, usize::MAX);
    assert!(matches!(
        refused.map(|_| ()),
        Err(SessionError::ArenaTooSmall {
            needed: usize::MAX,
            ..
        })
    ));
}

#[test]
fn an_operator_outside_of_the_mask_is_refused_by_name() {
    fn with<const OPS: u128>(model: &Model<'_>) -> Result<Vec<f32>, SessionError> {
        let mut arena = HeapArena::new(model.sizes().arena);
        let mut session = Session::<OPS, _>::new(model, &mut arena, Portable)?;
        real_input(&mut session).fill(0.5);
        Ok(real(session.run()).to_vec())
    }
    let file = file(&tiny());
    let model = Model::load(&file).expect("a valid file");
    const EXACTLY: u128 = bits::CONV2D_F32 | bits::MAX_POOL2D_F32 | bits::LINEAR_F32;
    assert_eq!(model.sizes().operators, EXACTLY);
    assert_eq!(with::<EXACTLY>(&model), with::<{ bits::ALL }>(&model));
    assert!(with::<EXACTLY>(&model).is_ok());

    let refused = |name| Err(SessionError::Operator { name });
    assert_eq!(
        with::<{ EXACTLY & !bits::CONV2D_F32 }>(&model),
        refused("Conv2dF32")
    );
    assert_eq!(
        with::<{ EXACTLY & !bits::MAX_POOL2D_F32 }>(&model),
        refused("MaxPool2dF32")
    );
    assert_eq!(
        with::<{ EXACTLY & !bits::LINEAR_F32 }>(&model),
        refused("LinearF32")
    );
    assert_eq!(with::<0>(&model), refused("Conv2dF32"));
    let text = SessionError::Operator { name: "LinearF32" }.to_string();
    assert_eq!(
        text,
        "the model uses LinearF32, which this program was built without"
    );
}

/// Runs a graph of one operation with its bit alone, and refuses it without.
fn check_alone<const BIT: u128, const OTHERS: u128>(name: &str, spec: &GraphSpec) {
    assert_eq!((BIT.count_ones(), BIT | OTHERS), (1, bits::ALL), "{name}");
    let input = [-1.5, 0.25, 7.0, -0.0];
    let expected = interpreter::run(spec, &input).pop().expect("an output");
    let file = file(spec);
    let model = Model::load_with::<BIT>(&file).expect("a valid file");
    assert_eq!(model.sizes().operators, BIT, "{name}");
    // The graph tells the operator, the bit what it computes of which elements. Functions have one operator.
    let of_bit = operation_name(BIT.trailing_zeros());
    let name = match &spec.nodes[0].operator {
        Operator::Unary(_) => of_bit,
        operator => operator.name(),
    };
    let refused = Model::load_with::<OTHERS>(&file).err();
    assert_eq!(refused, Some(LoadError::Operator { node: 0, name }));
    let mut arena = HeapArena::new(model.sizes().arena);
    let session = Session::<BIT, _>::new(&model, &mut arena, Portable);
    let mut session = session.expect("the one operator is there");
    session.set_input_f32(&input).expect("four elements");
    assert_eq!(
        bits_of(real(session.run())),
        bits_of(&expected.elements),
        "{name}"
    );
    let refused = Session::<OTHERS, _>::new(&model, &mut arena, Portable);
    assert_eq!(
        refused.map(|_| ()),
        Err(SessionError::Operator { name: of_bit }),
        "of a model that was loaded whole"
    );
}

/// One node that reads a square of four, once or twice.
fn alone(operator: impl Into<Operator<Owned>>, inputs: &[usize]) -> GraphSpec {
    let mut graph = Builder::new("one", Shape::new(2, 2, 1));
    graph.add(operator, inputs);
    graph.finish()
}

/// One that says what it writes.
fn alone_as(operator: impl Into<Operator<Owned>>, output: Shape) -> GraphSpec {
    one(operator, Shape::new(2, 2, 1), output)
}

#[test]
fn each_operator_is_behind_its_own_bit() {
    macro_rules! check {
        ($($bit:expr => $spec:expr,)*) => {$(
            check_alone::<{ $bit }, { bits::ALL & !($bit) }>(stringify!($bit), &$spec);
        )*};
    }
    let rng = &mut fastrand::Rng::with_seed(8);
    let window = Window::new(2, 2);
    let (rounding, count_padding) = (Rounding::Floor, CountPadding::Include);
    let conv = Conv2d::new(Shape::new(2, 2, 1), 3, window, 1, Activation::Identity);
    let conv = conv.expect("a sample layer");
    let convolution = conv2d(rng, &conv, Activation::Relu, Bias::Yes);
    check! {
        bits::CONV2D_F32 => alone(conv2d(rng, &conv, Activation::Identity, Bias::Yes), &[0]),
        bits::LINEAR_F32 => alone(linear(rng, 4, 2, Activation::Identity, Bias::Yes), &[0]),
        bits::CONV2D_MAX_POOL2D_F32 => alone(pooled(convolution, Window::new(1, 1)), &[0]),
        bits::MAX_POOL2D_F32 => alone(MaxPool2d { window, rounding }, &[0]),
        bits::AVG_POOL2D_F32 => alone(AvgPool2d { window, rounding, count_padding }, &[0]),
        1 << 5 => alone(Unary::Relu, &[0]),
        1 << 6 => alone(Unary::Relu6, &[0]),
        1 << 7 => alone(Unary::LeakyRelu { slope: 0.1 }, &[0]),
        1 << 8 => alone(Unary::Sigmoid, &[0]),
        1 << 9 => alone(Unary::Tanh, &[0]),
        1 << 10 => alone(Unary::Clip { low: -1.0, high: f32::INFINITY }, &[0]),
        1 << 11 => alone(Unary::Elu { alpha: 0.5 }, &[0]),
        1 << 12 => alone(Unary::HardSigmoid { alpha: 0.2, beta: 0.5 }, &[0]),
        1 << 13 => alone(Unary::HardSwish, &[0]),
        bits::SOFTMAX_F32 => alone(Softmax, &[0]),
        bits::LOG_SOFTMAX_F32 => alone(LogSoftmax, &[0]),
        bits::BINARY_F32 => alone(
            operator::Binary {
                function: BinaryFunction::Multiply,
                activation: Activation::Identity,
            },
            &[0, 0],
        ),
        bits::BINARY_CONSTANT_F32 => alone(
            BinaryConstant {
                function: BinaryFunction::Divide,
                activation: Activation::Relu6,
                shape: Shape::new(2, 1, 1),
                operand: vec![-0.5, 0.25],
            },
            &[0],
        ),
        bits::CHANNEL_AFFINE_F32 => alone(
            ChannelAffine {
                activation: Activation::Identity,
                scale: vec![3.0],
                shift: vec![-1.0],
            },
            &[0],
        ),
        bits::CONCAT_F32 => alone(Concat { axis: Axis::Height }, &[0]),
        bits::SLICE_F32 => alone_as(
            Slice {
                start: [0, 1, 0],
                step: [1, 2, 1],
            },
            Shape::new(2, 1, 1),
        ),
        bits::PAD_F32 => alone_as(
            Pad {
                before: [1, 0, 0],
                value: 0.5,
            },
            Shape::new(3, 3, 3),
        ),
        bits::UPSAMPLE_F32 => alone(Upsample { factor_h: 1, factor_w: 3 }, &[0]),
        bits::TRANSPOSE_F32 => alone(
            Transpose {
                order: [Axis::Width, Axis::Channels, Axis::Height],
            },
            &[0],
        ),
        bits::RESHAPE_F32 => alone_as(Reshape, Shape::vector(4)),
    }
}

#[test]
fn packed_weights_and_scratch_come_from_the_arena() {
    let spec = every_operator();
    let input = numbers(&mut fastrand::Rng::with_seed(9), input_len(&spec));
    assert_equals_interpreter(&spec, Backwards, &input);
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    let convolutions = [8 * 27, 8 * 6, 6 * 2 * 3 * 4, 6 * 9 * 6];
    let aligned = |elements: usize| (elements * 4).next_multiple_of(64);
    let packed: usize = convolutions.into_iter().map(aligned).sum();
    assert_eq!(
        arena_len(&model, &Backwards, 2),
        model.sizes().arena_for_batch(2) + 63 + packed + aligned(2 * Backwards::SCRATCH)
    );
}

/// A set that only asks for scratch, by the term.
#[derive(Debug)]
struct Columns;

impl Kernels for Columns {
    fn name(&self) -> &'static str {
        "columns"
    }

    fn conv2d_f32_scratch_len(&self, params: &Conv2d) -> usize {
        params.taps()
    }
}

impl StaticKernels for Columns {
    const SCRATCH_PER_TERM: usize = 4;
    const SCRATCH: usize = 0;
}

#[test]
fn the_arena_of_a_named_set_is_known_from_the_prefix() {
    let spec = every_operator();
    let file = file(&spec);
    let sizes = Sizes::read(&file).expect("a valid file");
    assert_eq!(sizes.arena_for::<Portable>(), sizes.arena);
    let model = Model::load(&file).expect("a valid file");
    let constant = sizes.arena_for::<Columns>();
    assert!(constant >= arena_len(&model, &Columns, 1));
    let longest = 16 * 16 * 8;
    assert!(constant <= sizes.arena + 63 + (4 * longest as usize).next_multiple_of(64));
    let mut arena = HeapArena::new(constant);
    assert!(AnySession::new(&model, &mut arena, Columns).is_ok());
}

#[test]
fn pictures_are_normalized_as_the_file_says() {
    let rng = &mut fastrand::Rng::with_seed(10);
    let normalizations: [(usize, Vec<f32>, Vec<f32>); 4] = [
        (1, vec![], vec![]),
        (3, vec![], vec![]),
        (1, vec![0.2860], vec![0.3530]),
        (
            3,
            vec![0.4914, 0.4822, 0.4465],
            vec![0.2470, 0.2435, 0.2616],
        ),
    ];
    for (channels, mean, std) in normalizations {
        let shape = Shape::new(5, 4, channels);
        let mut spec = chain("picture", shape, vec![Unary::Relu.into()]);
        spec.inputs[0].mean = mean.clone();
        spec.inputs[0].std = std.clone();
        let file = file(&spec);
        let model = Model::load(&file).expect("a valid file");
        for batch in [1, 2] {
            let mut arena = HeapArena::new(model.sizes().arena_for_batch(batch));
            let mut session =
                AnySession::with_batch(&model, &mut arena, Portable, batch).expect("fits");
            let mut image = pixels(rng, batch * shape.len());
            image[..2].copy_from_slice(&[0, 255]);
            session
                .set_image_u8(&image)
                .expect("the right number of pixels");
            let expected: Vec<f32> = image
                .iter()
                .enumerate()
                .map(|(i, pixel)| {
                    let x = f32::from(*pixel) / 255.0;
                    match mean.is_empty() {
                        true => x,
                        false => (x - mean[i % channels]) / std[i % channels],
                    }
                })
                .collect();
            assert_eq!(bits_of(real_input(&mut session)), bits_of(&expected));

            let expected = image.len();
            let found = expected - 1;
            let refused = Err(InputError::Length { expected, found });
            let before = bits_of(real_input(&mut session));
            assert_eq!(session.set_image_u8(&image[1..]), refused);
            assert_eq!(session.set_input_f32(&vec![9.0; found]), refused);
            let numbers = vec![9; image.len()];
            assert_eq!(session.set_input_i8(&numbers), Err(InputError::Real));
            assert_eq!(
                bits_of(real_input(&mut session)),
                before,
                "nothing was changed"
            );
        }
    }
}

#[test]
fn element_wise_functions_work_in_place_where_they_may() {
    let spec = every_operator();
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    let offsets: Vec<u32> = model.tensors().iter().map(|tensor| tensor.offset).collect();
    // Nodes 1, 6, 9, 11 and 13 are the last to read their inputs; the input of node 5 is read by node 6.
    for node in [1, 6, 9, 11, 13] {
        let read = spec.nodes[node].inputs[0];
        assert_eq!(
            offsets[read],
            offsets[node + 1],
            "node {node} takes its input's place"
        );
    }
    assert_ne!(offsets[5], offsets[6], "node 5 must leave its input alone");
}

#[test]
fn a_model_that_ends_in_softmax_gives_probabilities() {
    let rng = &mut fastrand::Rng::with_seed(11);
    let spec = every_operator();
    for _ in 0..10 {
        let input = numbers(rng, input_len(&spec));
        let probabilities = outputs_of(&spec, Portable, &input)
            .pop()
            .expect("an output");
        assert!(probabilities.iter().all(|p| (0.0..=1.0).contains(p)));
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}

#[test]
fn a_model_of_8_bit_numbers_takes_and_gives_them() {
    let spec = whole_i8();
    let q = Quantization::new(0.25, -1);
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    let sizes = model.sizes();
    assert_eq!((sizes.input_len, sizes.output_len), (2, 2));
    assert_eq!(sizes.operators, bits::CONV2D_I8);
    let mut arena = HeapArena::new(sizes.arena_for_batch(2));
    let session = AnySession::with_batch(&model, &mut arena, Portable, 2);
    let mut session = session.expect("fits");
    let held = |session: &mut AnySession<'_, Portable>| match session.input_mut(0) {
        Some(ValuesMut::I8 {
            numbers,
            quantization,
        }) => (numbers.to_vec(), quantization),
        other => panic!("{other:?} is no input of 8-bit numbers"),
    };

    // As they are.
    session.set_input_i8(&[5, -128, 127, 0]).expect("four");
    assert_eq!(held(&mut session), (vec![5, -128, 127, 0], q));
    // rint(x / 0.25) - 1, ties to even, within the range of a byte; NaN is the smallest.
    session
        .set_input_f32(&[1.0, 0.375, 1e9, f32::NAN])
        .expect("four");
    assert_eq!(held(&mut session).0, [3, 1, 127, -128]);
    // pixel / 255, quantized.
    session.set_image_u8(&[0, 255, 128, 31]).expect("four");
    assert_eq!(held(&mut session).0, [-1, 3, 1, -1]);
    // What has another length changes nothing.
    let (expected, found) = (4, 3);
    let refused = Err(InputError::Length { expected, found });
    assert_eq!(session.set_input_i8(&[0; 3]), refused);
    assert_eq!(session.set_input_f32(&[0.0; 3]), refused);
    assert_eq!(session.set_image_u8(&[0; 3]), refused);
    assert_eq!(held(&mut session).0, [-1, 3, 1, -1]);

    // As numbers less their zero point, of the first sample: 1 * 2 - 2 * -1 - 300, * 0.25 is below 3, and
    // 127 * 2 - 128 * -1 + 70000 far above 127.
    session.set_input_i8(&[1, -2, 127, -128]).expect("four");
    let samples = [[1.0, -2.0], [127.0, -128.0]];
    let expected: Vec<f32> = samples
        .iter()
        .flat_map(|sample| interpreter::run(&spec, sample).pop())
        .flat_map(|output| output.elements)
        .collect();
    assert_eq!(expected[..2], [3.0, 127.0]);
    let output = session.run();
    assert_eq!(numbers_of(output), expected);
    assert_eq!((output.len(), output.is_empty()), (4, false));
    assert_eq!(output.as_f32(), None);
    let numbers = output.as_i8().expect("8-bit numbers");
    assert_eq!(numbers.len(), 4);
    // What they mean: (q - 3) * 0.5.
    let meant: Vec<f32> = expected.iter().map(|q| (q - 3.0) * 0.5).collect();
    assert_eq!(output.iter().collect::<Vec<_>>(), meant);
    assert_eq!(output.get(1), Some(62.0));
    assert_eq!(output.get(4), None);
    assert_eq!(output.argmax(), Some(1));
}

#[test]
fn pictures_are_normalized_before_they_are_quantized() {
    let (mean, std) = (vec![0.5, 0.25], vec![0.25, 0.5]);
    let tensor = TensorSpec::quantized(Shape::new(2, 1, 2), Quantization::new(0.1, 7));
    let mut spec = one(Reshape, tensor, tensor);
    spec.inputs[0].mean = mean.clone();
    spec.inputs[0].std = std.clone();
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    let mut memory = SessionMemory::new(&model, &Portable, 1);
    let mut session = memory.session(&model, Portable).expect("its own memory");
    let pixels = [0, 255, 100, 101];
    session.set_image_u8(&pixels).expect("four pixels");
    let expected: Vec<f32> = pixels
        .iter()
        .enumerate()
        .map(|(i, pixel)| {
            let x = (f32::from(*pixel) / 255.0 - mean[i % 2]) / std[i % 2];
            f32::from(Quantization::new(0.1, 7).quantize(x))
        })
        .collect();
    assert_eq!(expected[0], -13.0);
    assert_eq!(numbers_of(session.run()), expected);
}

/// Where every number has 8 bits, no tensor takes four bytes for one.
#[test]
fn a_model_of_8_bit_numbers_has_a_quarter_of_the_arena() {
    let real = Shape::new(8, 8, 4);
    let quantized = TensorSpec::quantized(real, Quantization::new(0.5, 0));
    let activations = |tensor: TensorSpec| {
        let pool = MaxPool2d {
            window: Window::new(3, 3).with_padding(Padding::symmetric(1, 1)),
            rounding: Rounding::Floor,
        };
        let file = file(&chain("pool", tensor, vec![pool.into()]));
        let model = Model::load(&file).expect("a valid file");
        (model.sizes().activations(), model.sizes().arena)
    };
    let (whole, quarter) = (activations(real.into()), activations(quantized));
    assert_eq!((whole.0, quarter.0), (2 * 1024, 2 * 256));
    assert_eq!(whole.1 - quarter.1, 2 * (1024 - 256));
}

/// What each output holds after a run, as `f32`.
fn ends_of(spec: &GraphSpec, batch: usize, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let file = file(spec);
    let model = Model::load(&file).expect("a valid file");
    let mut memory = SessionMemory::new(&model, &Portable, batch);
    let mut session = memory.session(&model, Portable).expect("its own memory");
    for (index, numbers) in inputs.iter().enumerate() {
        let input = session.input_mut(index).expect("as many as the model has");
        input.set_f32(numbers).expect("the right length");
    }
    assert_eq!(session.input_mut(inputs.len()), None);
    let first = numbers_of(session.run());
    let outputs = (0..).map_while(|index| session.output(index).map(numbers_of));
    let outputs: Vec<Vec<f32>> = outputs.collect();
    assert_eq!(outputs.len(), spec.outputs.len());
    assert_eq!(bits_of(&outputs[0]), bits_of(&first));
    outputs
}

/// Compares every output with what the interpreter has in the tensor of that number.
fn assert_ends_equal_interpreter(spec: &GraphSpec, rng: &mut fastrand::Rng) {
    for batch in [1, 3] {
        let samples: Vec<Vec<Vec<f32>>> = (0..batch)
            .map(|_| {
                let inputs = spec.inputs.iter();
                let inputs = inputs.map(|input| numbers(rng, input.tensor.shape.len()));
                inputs.collect()
            })
            .collect();
        let together = |index: usize| -> Vec<f32> {
            let samples = samples.iter();
            samples.flat_map(|sample| sample[index].clone()).collect()
        };
        let inputs: Vec<Vec<f32>> = (0..spec.inputs.len()).map(together).collect();
        let found = ends_of(spec, batch, &inputs);
        let tensors: Vec<Vec<Value>> = samples
            .iter()
            .map(|sample| {
                let inputs = spec.inputs.iter().zip(sample);
                let inputs: Vec<Vec<f32>> = inputs
                    .map(|(input, numbers)| as_taken(input, numbers))
                    .collect();
                let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
                interpreter::run_all(spec, &inputs)
            })
            .collect();
        for (output, found) in spec.outputs.iter().zip(found) {
            let expected: Vec<f32> = tensors
                .iter()
                .flat_map(|tensors| tensors[output.tensor].elements.clone())
                .collect();
            assert_eq!(
                plain(&found),
                plain(&expected),
                "batch {batch}, tensor {} of {spec:?}",
                output.tensor
            );
        }
    }
}

/// NaN is NaN, whatever its bits.
fn plain(values: &[f32]) -> Vec<u32> {
    let quiet = |x: &f32| if x.is_nan() { f32::NAN } else { *x };
    bits_of(&values.iter().map(quiet).collect::<Vec<_>>())
}

#[test]
fn a_model_may_have_several_inputs_and_outputs() {
    let spec = two_ends();
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    assert_eq!((model.inputs().len(), model.outputs().len()), (2, 2));
    assert_eq!(model.input(), Shape::new(2, 3, 1));
    assert_eq!(model.output(), Shape::vector(3));
    assert_eq!((model.sizes().input_len, model.sizes().output_len), (6, 3));
    let shapes: Vec<Shape> = model.output_tensors().map(|tensor| tensor.shape).collect();
    assert_eq!(shapes, [Shape::vector(3), Shape::vector(4)]);
    let rng = &mut fastrand::Rng::with_seed(13);
    for _ in 0..10 {
        assert_ends_equal_interpreter(&spec, rng);
        // One of 8-bit numbers among them.
        assert_ends_equal_interpreter(&many_ends(), rng);
    }
}

/// A function that works in place must leave a tensor alone that is an output, even if it is the last to read it.
#[test]
fn an_output_is_never_written_over() {
    let rng = &mut fastrand::Rng::with_seed(14);
    let functions: [Operator<Owned>; 4] = [
        Unary::Tanh.into(),
        Softmax.into(),
        Reshape.into(),
        binary(BinaryFunction::Subtract, Activation::Identity),
    ];
    for function in functions {
        let mut graph = Builder::new("in place", Shape::vector(4));
        let first = graph.add(linear(rng, 4, 4, Activation::Identity, Bias::Yes), &[0]);
        let inputs = match &function {
            Operator::Binary(_) => vec![first, 0],
            _ => vec![first],
        };
        let second = graph.add_as(function, &inputs, Shape::vector(4));
        for outputs in [vec![first, second], vec![second, first], vec![first]] {
            assert_ends_equal_interpreter(&graph.clone().finish_with(&outputs), rng);
        }
        // The input itself, as it was given.
        assert_ends_equal_interpreter(&graph.clone().finish_with(&[second, 0]), rng);
    }
    // Not even the input that the one node works on.
    let mut graph = Builder::new("in place", Shape::vector(4));
    let only = graph.add(Unary::Tanh, &[0]);
    assert_ends_equal_interpreter(&graph.finish_with(&[only, 0]), rng);
}

#[test]
fn any_tensor_may_be_an_output_any_number_of_times() {
    let rng = &mut fastrand::Rng::with_seed(15);
    for _ in 0..300 {
        let mut spec = random_dag(rng);
        let tensors = spec.nodes.len() + 1;
        spec.outputs = (0..rng.usize(1..=MAX_ENDS))
            .map(|_| OutputSpec::new("output", rng.usize(0..tensors)))
            .collect();
        assert_ends_equal_interpreter(&spec, rng);
    }
}

#[test]
fn what_is_largest_is_the_first_of_equals_and_never_nan() {
    let largest = |values: &[f32]| Values::F32(values).argmax();
    assert_eq!(largest(&[]), None);
    assert_eq!(largest(&[f32::NAN]), None);
    assert_eq!(largest(&[f32::NAN, -1.0, f32::NAN, -1.0]), Some(1));
    assert_eq!(largest(&[0.5, 2.0, 2.0, 1.0]), Some(1));
    assert_eq!(largest(&[f32::NEG_INFINITY]), Some(0));
    let quantization = Quantization::new(0.5, 100);
    let largest = |numbers: &[i8]| {
        let values = Values::I8 {
            numbers,
            quantization,
        };
        values.argmax()
    };
    assert_eq!(largest(&[]), None);
    assert_eq!(largest(&[-128, 5, -1, 5]), Some(1));
}
