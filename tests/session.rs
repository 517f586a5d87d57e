//! A session against the oracle: every operator, every kernel set, any batch, any leftover bytes in the
//! arena; and what it refuses.

use kinglet::model::schema::{bits, operator_name};
use kinglet::model::{GraphSpec, NodeSpec, OperatorSpec};
use kinglet::probe::Output;
use kinglet::{
    AnySession, Arena, ArenaMut, HeapArena, InputError, LoadError, Model, Probe, Session,
    SessionError, workspace_len,
};
use kinglet_kernels::{
    Activation, Axis, BinaryFunction, Conv2d, CountPadding, Kernels, PooledConv2d, Portable,
    Reference, Rounding, Shape, Unary, Window, arch, portable,
};
use kinglet_tests::bits_of;
use kinglet_tests::graphs::{
    Bias, chain, conv2d, every_operator, file, linear, numbers, pixels, pooled, tiny,
};
use kinglet_tests::interpreter::{self, Value};

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

    fn after(&mut self, node: usize, output: Output<'_>) {
        let Output::F32(output) = output else {
            panic!("no node of these graphs is quantized");
        };
        assert_eq!(self.running, Some(node));
        self.running = None;
        self.outputs.push(output.to_vec());
    }
}

/// The outputs of all nodes for one sample.
fn outputs_of(spec: &GraphSpec, kernels: impl Kernels, input: &[f32]) -> Vec<Vec<f32>> {
    let file = file(spec);
    let model = Model::load(&file).expect("a valid file");
    let mut arena = HeapArena::new(model.sizes().arena);
    let mut workspace = vec![f32::NAN; workspace_len(&model, &kernels)];
    let mut session =
        AnySession::with_workspace(&model, &mut arena, kernels, 1, &mut workspace).expect("fits");
    session.set_input_f32(input).expect("the right length");
    let mut probe = Outputs::default();
    let output = session.run_probed(&mut probe).to_vec();
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
        let input = numbers(rng, spec.input.len());
        assert_equals_interpreter(&spec, Portable, &input);
        assert_equals_interpreter(&spec, Reference, &input);
    }
}

/// A graph of up to 12 nodes, each reading one of the last three tensors, so that branches, dead ends and
/// in-place chains of all kinds come up.
fn random_graph(rng: &mut fastrand::Rng) -> GraphSpec {
    let input = Shape::new(rng.usize(1..8), rng.usize(1..8), rng.usize(1..5));
    let mut spec = chain("random", input, vec![]);
    let mut values = vec![Value::real(input, vec![0.0; input.len()])];
    for _ in 0..rng.usize(1..=12) {
        let read = values.len() - 1 - rng.usize(0..3.min(values.len()));
        let shape = values[read].shape;
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
            3 => OperatorSpec::MaxPool2d {
                window,
                rounding: Rounding::Ceil,
            },
            4 => OperatorSpec::AvgPool2d {
                window,
                rounding: Rounding::Floor,
                count_padding: CountPadding::Include,
            },
            5 => OperatorSpec::Unary(Unary::Tanh),
            6 => OperatorSpec::Unary(Unary::Sigmoid),
            7 => OperatorSpec::Unary(Unary::LeakyRelu { slope: -0.5 }),
            8 => OperatorSpec::Unary(Unary::Relu),
            _ => OperatorSpec::Softmax,
        };
        let node = NodeSpec {
            operator,
            inputs: vec![read],
        };
        values.push(interpreter::output(&node, &[&values[read]]));
        spec.nodes.push(node);
    }
    spec
}

#[test]
fn random_graphs_give_the_bits_of_the_oracle() {
    let rng = &mut fastrand::Rng::with_seed(3);
    for _ in 0..300 {
        let spec = random_graph(rng);
        let input = numbers(rng, spec.input.len());
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
            let input = numbers(rng, spec.input.len());
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
            let input = numbers(rng, batch * spec.input.len());
            let mut arena = HeapArena::new(model.sizes().arena_for_batch(batch));
            let mut workspace = vec![0.0; workspace_len(&model, &kernels)];
            let mut session =
                AnySession::with_workspace(&model, &mut arena, kernels, batch, &mut workspace)
                    .expect("fits");
            assert_eq!(session.batch(), batch);
            session.set_input_f32(&input).expect("the right length");
            let together = session.run().to_vec();
            let alone: Vec<f32> = input
                .chunks(spec.input.len())
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
    let input = numbers(rng, spec.input.len());
    let expected = interpreter::run(&spec, &input).pop().expect("an output");
    for garbage in [0x00, 0x7f, 0xff] {
        // 63 bytes more than needed: `align` loses some at the front.
        let mut bytes = vec![garbage; model.sizes().arena + 63];
        for run in 0..3 {
            let arena = ArenaMut::align(&mut bytes);
            let mut session = AnySession::new(&model, arena, Portable).expect("fits");
            session.set_input_f32(&input).expect("the right length");
            assert_eq!(
                bits_of(session.run()),
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
        let input = numbers(rng, spec.input.len());
        session.input_mut().copy_from_slice(&input);
        let expected = interpreter::run(&spec, &input).pop().expect("an output");
        assert_eq!(bits_of(session.run()), bits_of(&expected.elements));
    }
}

#[test]
fn an_arena_one_byte_short_is_refused_with_the_right_number() {
    let file = file(&every_operator());
    let model = Model::load(&file).expect("a valid file");
    for batch in [1, 3] {
        let needed = model.sizes().arena_for_batch(batch);
        // On the heap the start is aligned by hand, so that the length is exact.
        let mut bytes = vec![0; needed + 63];
        let skip = bytes.as_ptr().align_offset(kinglet::ARENA_ALIGN);
        let mut with = |len: usize| {
            let arena = ArenaMut::align(&mut bytes[skip..skip + len]);
            assert_eq!(arena.len(), len);
            AnySession::with_workspace(&model, arena, Portable, batch, &mut []).map(|_| ())
        };
        assert_eq!(with(needed), Ok(()));
        for found in [needed - 1, needed / 2, 64, 0] {
            assert_eq!(
                with(found),
                Err(SessionError::ArenaTooSmall { needed, found })
            );
        }
    }
    let mut arena = Arena::<64>::new();
    let refused = AnySession::new(&model, &mut arena, Portable).map(|_| ());
    let text = refused.expect_err("64 bytes are too few").to_string();
    let needed = model.sizes().arena;
    assert_eq!(
        text,
        format!("the arena has 64 bytes, the model needs {needed}")
    );
}

#[test]
fn a_batch_of_none_and_one_of_too_many_are_refused() {
    let file = file(&tiny());
    let model = Model::load(&file).expect("a valid file");
    let mut arena = HeapArena::new(model.sizes().arena);
    let refused = AnySession::with_workspace(&model, &mut arena, Portable, 0, &mut []);
    assert_eq!(refused.map(|_| ()), Err(SessionError::EmptyBatch));
    let refused = AnySession::with_workspace(&model, &mut arena, Portable, usize::MAX, &mut []);
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
    fn with<const OPS: u64>(model: &Model<'_>) -> Result<Vec<f32>, SessionError> {
        let mut arena = HeapArena::new(model.sizes().arena);
        let mut session = Session::<OPS, _>::new(model, &mut arena, Portable)?;
        session.input_mut().fill(0.5);
        Ok(session.run().to_vec())
    }
    let file = file(&tiny());
    let model = Model::load(&file).expect("a valid file");
    const EXACTLY: u64 = bits::CONV2D_F32 | bits::MAX_POOL2D_F32 | bits::LINEAR_F32;
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

#[test]
fn each_operator_is_behind_its_own_bit() {
    macro_rules! check {
        ($($bit:ident: $operator:expr,)*) => {$({
            let mut spec = chain("one", Shape::new(2, 2, 1), vec![$operator]);
            if bits::$bit == bits::BINARY_F32 {
                spec.nodes[0].inputs = vec![0, 0];
            }
            let input = [-1.5, 0.25, 7.0, -0.0];
            let expected = interpreter::run(&spec, &input).pop().expect("an output");
            let file = file(&spec);
            let model = Model::load_with::<{ bits::$bit }>(&file).expect("a valid file");
            assert_eq!(model.sizes().operators, bits::$bit);
            let refused = Model::load_with::<{ bits::ALL & !bits::$bit }>(&file).err();
            let name = operator_name(bits::$bit.trailing_zeros());
            assert_eq!(refused, Some(LoadError::Operator { node: 0, name }));
            let mut arena = HeapArena::new(model.sizes().arena);
            let mut session = Session::<{ bits::$bit }, _>::new(&model, &mut arena, Portable)
                .expect("the one operator is there");
            session.set_input_f32(&input).expect("four elements");
            assert_eq!(bits_of(session.run()), bits_of(&expected.elements), stringify!($bit));
            let refused = Session::<{ bits::ALL & !bits::$bit }, _>::new(&model, &mut arena, Portable);
            assert!(matches!(refused.map(|_| ()), Err(SessionError::Operator { .. })));
        })*};
    }
    let rng = &mut fastrand::Rng::with_seed(8);
    let window = Window::new(2, 2);
    let conv = Conv2d::new(Shape::new(2, 2, 1), 3, window, 1, Activation::Identity);
    let conv = conv.expect("a sample layer");
    check! {
        CONV2D_F32: conv2d(rng, &conv, Activation::Identity, Bias::Yes),
        LINEAR_F32: linear(rng, 4, 2, Activation::Identity, Bias::Yes),
        MAX_POOL2D_F32: OperatorSpec::MaxPool2d { window, rounding: Rounding::Floor },
        AVG_POOL2D_F32: OperatorSpec::AvgPool2d {
            window,
            rounding: Rounding::Floor,
            count_padding: CountPadding::Include,
        },
        RELU_F32: OperatorSpec::Unary(Unary::Relu),
        RELU6_F32: OperatorSpec::Unary(Unary::Relu6),
        LEAKY_RELU_F32: OperatorSpec::Unary(Unary::LeakyRelu { slope: 0.1 }),
        SIGMOID_F32: OperatorSpec::Unary(Unary::Sigmoid),
        TANH_F32: OperatorSpec::Unary(Unary::Tanh),
        SOFTMAX_F32: OperatorSpec::Softmax,
        CONV2D_MAX_POOL2D_F32: pooled(
            conv2d(rng, &conv, Activation::Relu, Bias::Yes),
            Window::new(1, 1),
        ),
        BINARY_F32: OperatorSpec::Binary {
            function: BinaryFunction::Multiply,
            activation: Activation::Identity,
        },
        BINARY_CONSTANT_F32: OperatorSpec::BinaryConstant {
            function: BinaryFunction::Divide,
            activation: Activation::Relu6,
            shape: Shape::new(2, 1, 1),
            operand: vec![-0.5, 0.25],
        },
        CHANNEL_AFFINE_F32: OperatorSpec::ChannelAffine {
            activation: Activation::Identity,
            scale: vec![3.0],
            shift: vec![-1.0],
        },
        CLIP_F32: OperatorSpec::Unary(Unary::Clip { low: -1.0, high: f32::INFINITY }),
        ELU_F32: OperatorSpec::Unary(Unary::Elu { alpha: 0.5 }),
        HARD_SIGMOID_F32: OperatorSpec::Unary(Unary::HardSigmoid { alpha: 0.2, beta: 0.5 }),
        HARD_SWISH_F32: OperatorSpec::Unary(Unary::HardSwish),
        LOG_SOFTMAX_F32: OperatorSpec::LogSoftmax,
        CONCAT_F32: OperatorSpec::Concat { axis: Axis::Height },
        SLICE_F32: OperatorSpec::Slice {
            start: [0, 1, 0],
            step: [1, 2, 1],
            output: Shape::new(2, 1, 1),
        },
        PAD_F32: OperatorSpec::Pad { before: [1, 0, 0], after: [0, 1, 2], value: 0.5 },
        UPSAMPLE_F32: OperatorSpec::Upsample { factor_h: 1, factor_w: 3 },
        TRANSPOSE_F32: OperatorSpec::Transpose {
            order: [Axis::Width, Axis::Channels, Axis::Height],
        },
        RESHAPE_F32: OperatorSpec::Reshape { output: Shape::vector(4) },
    }
}

/// A kernel set that wants its weights backwards and some scratch: what a wide SIMD set asks of a session.
#[derive(Debug)]
struct Backwards;

const SCRATCH: usize = 11;

impl Kernels for Backwards {
    fn name(&self) -> &'static str {
        "backwards"
    }

    fn conv2d_f32_packed_len(&self, params: &Conv2d) -> usize {
        params.weights_len()
    }

    fn conv2d_f32_pack(&self, _: &Conv2d, weights: &[f32], packed: &mut [f32]) {
        assert_eq!(weights.len(), packed.len());
        packed.copy_from_slice(weights);
        packed.reverse();
    }

    fn conv2d_f32_scratch_len(&self, _: &Conv2d) -> usize {
        SCRATCH
    }

    fn conv2d_f32(
        &self,
        params: &Conv2d,
        input: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        assert!(scratch.len() >= SCRATCH);
        scratch.fill(f32::NAN);
        let mut weights = weights.to_vec();
        weights.reverse();
        portable::conv2d_f32(params, input, &weights, bias, output);
    }

    fn conv2d_max_pool2d_f32_scratch_len(&self, _: &PooledConv2d) -> usize {
        2 * SCRATCH
    }

    fn conv2d_max_pool2d_f32(
        &self,
        params: &PooledConv2d,
        input: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        assert!(scratch.len() >= 2 * SCRATCH);
        scratch.fill(f32::NAN);
        let mut weights = weights.to_vec();
        weights.reverse();
        portable::conv2d_max_pool2d_f32(params, input, &weights, bias, output);
    }
}

#[test]
fn packed_weights_and_scratch_come_from_the_workspace() {
    let spec = every_operator();
    let input = numbers(&mut fastrand::Rng::with_seed(9), spec.input.len());
    assert_equals_interpreter(&spec, Backwards, &input);
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    let convolutions = 8 * 27 + 8 * 6 + 6 * 2 * 3 * 4 + 6 * 9 * 6;
    assert_eq!(
        workspace_len(&model, &Backwards),
        convolutions + 2 * SCRATCH
    );
    assert_eq!(workspace_len(&model, &Portable), 0);
}

#[test]
fn a_workspace_one_element_short_is_refused_with_the_right_number() {
    fn check(model: &Model<'_>, kernels: impl Kernels + Copy) {
        let needed = workspace_len(model, &kernels);
        let mut arena = HeapArena::new(model.sizes().arena);
        for found in [needed.saturating_sub(1), needed / 2, 0] {
            if found == needed {
                continue;
            }
            let mut workspace = vec![0.0; found];
            let refused = AnySession::with_workspace(model, &mut arena, kernels, 1, &mut workspace);
            assert_eq!(
                refused.map(|_| ()),
                Err(SessionError::WorkspaceTooSmall { needed, found }),
                "{}",
                kernels.name()
            );
        }
        let mut workspace = vec![0.0; needed];
        let session = AnySession::with_workspace(model, &mut arena, kernels, 1, &mut workspace);
        assert!(session.is_ok(), "{}", kernels.name());
    }
    let file = file(&every_operator());
    let model = Model::load(&file).expect("a valid file");
    check(&model, &Backwards);
    for set in arch::sets() {
        if let Some(kernels) = set.kernels() {
            check(&model, kernels);
        }
    }
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
        let spec = GraphSpec {
            mean: mean.clone(),
            std: std.clone(),
            ..chain("picture", shape, vec![OperatorSpec::Unary(Unary::Relu)])
        };
        let file = file(&spec);
        let model = Model::load(&file).expect("a valid file");
        for batch in [1, 2] {
            let mut arena = HeapArena::new(model.sizes().arena_for_batch(batch));
            let mut session =
                AnySession::with_workspace(&model, &mut arena, Portable, batch, &mut [])
                    .expect("fits");
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
            assert_eq!(bits_of(session.input_mut()), bits_of(&expected));

            let expected = image.len();
            let found = expected - 1;
            let refused = Err(InputError { expected, found });
            let before = bits_of(session.input_mut());
            assert_eq!(session.set_image_u8(&image[1..]), refused);
            assert_eq!(session.set_input_f32(&vec![9.0; found]), refused);
            assert_eq!(bits_of(session.input_mut()), before, "nothing was changed");
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
        let input = numbers(rng, spec.input.len());
        let probabilities = outputs_of(&spec, Portable, &input)
            .pop()
            .expect("an output");
        assert!(probabilities.iter().all(|p| (0.0..=1.0).contains(p)));
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
