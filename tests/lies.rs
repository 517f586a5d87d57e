//! One lie at a time: each file below says one thing that is not so, under right CRCs and (where the lie is
//! not in the prefix itself) a prefix that agrees with it. Each is refused with the reason it deserves.

use kinglet::model::schema::{
    DType, Extension, File, Input, MAX_ELEMENTS, MAX_ENDS, MAX_RANK, MAX_TENSORS, Output,
    PREFIX_LEN, Prefix, Source, Tensor,
};
use kinglet::model::{GraphSpec, TensorSpec};
use kinglet::operator::{
    self, Binary, BinaryConstant, ChannelAffine, Concat, Conv2d, Dequantize, Layer, LayerI8,
    MaxPool2d, Offset, Operator, Pad, Quantize, QuantizedAdd, QuantizedConv2d, QuantizedLinear,
    Reshape, Slice, Softmax, Table, Transpose, Upsample, WeightsOrder,
};
use kinglet::{AlignedBytes, LoadError, Model};
use kinglet_kernels::params::MAX_EXTENT;
use kinglet_kernels::{
    Activation, Axis, BinaryFunction, Padding, ParamsError, Quantization, Shape, Unary, Window,
};
use kinglet_tests::builder::Builder;
use kinglet_tests::graphs::{Bias, chain, file, linear, tiny};
use kinglet_tests::quantized::{quantized, tiny_i8};
use kinglet_tests::seal::{
    PREFIX_FIELDS, changed, open, patched, repair_crcs, seal, set_file_len, unaries, with_body,
};

fn refusal(bytes: &[u8]) -> Option<LoadError> {
    let bytes = AlignedBytes::from(bytes);
    Model::load(&bytes).err()
}

/// The tiny file with a change to its prefix, closed again.
fn lying(change: impl FnOnce(&mut Prefix)) -> Vec<u8> {
    let bytes = file(&tiny());
    let mut file = open(&bytes);
    change(&mut file.prefix);
    seal(&file)
}

/// A case: what was done, the file, and why it must be refused.
type Case = (&'static str, Vec<u8>, LoadError);

fn prefix_cases() -> Vec<Case> {
    let mut cases: Vec<Case> = vec![
        ("no bytes", vec![], LoadError::Truncated),
        ("a short text", b"hello".to_vec(), LoadError::Magic),
        ("a cut magic", b"kingl".to_vec(), LoadError::Truncated),
        (
            "other magic",
            patched(|bytes| bytes[0] = b'K'),
            LoadError::Magic,
        ),
        (
            "version 2",
            patched(|bytes| bytes[8] = 2),
            LoadError::Version { found: 2 },
        ),
        (
            "version 0",
            patched(|bytes| bytes[8] = 0),
            LoadError::Version { found: 0 },
        ),
        (
            "trailing byte",
            patched(|bytes| bytes.push(0)),
            LoadError::Length {
                expected: 524,
                found: 525,
            },
        ),
        (
            "trailing word that the length covers",
            patched(|bytes| {
                bytes.extend([0; 4]);
                set_file_len(bytes);
            }),
            LoadError::WeightsPlace,
        ),
        (
            "weights offset",
            patched(|bytes| bytes[52..56].copy_from_slice(&384u32.to_le_bytes())),
            LoadError::WeightsPlace,
        ),
        (
            "weights length",
            patched(|bytes| bytes[56..60].copy_from_slice(&208u32.to_le_bytes())),
            LoadError::WeightsPlace,
        ),
        (
            "flipped prefix",
            {
                let mut bytes = file(&tiny()).to_vec();
                bytes[12] ^= 1;
                bytes
            },
            LoadError::PrefixCrc,
        ),
        (
            "flipped weights",
            {
                let mut bytes = file(&tiny()).to_vec();
                bytes[523] ^= 1;
                bytes
            },
            LoadError::BodyCrc,
        ),
        (
            "activations end before the last tensor",
            lying(|prefix| prefix.activation_bytes = 176u32.to_le_bytes()),
            LoadError::Tensor { tensor: 0 },
        ),
    ];
    // Each number of the prefix that the graph bears out, off by the least that can be said.
    for (field, expected, least) in [
        ("input_len", 16, 1),
        ("output_len", 3, 1),
        ("activation_bytes", 192, 16),
        ("sum_terms", 9, 1),
        ("records", 3, 1),
        ("trainable_parameters", 27, 1),
        ("suffix_values", 3, 1),
        ("operators", 0b1011, 4),
    ] {
        let (_, offset, len) = *PREFIX_FIELDS
            .iter()
            .find(|(name, _, _)| *name == field)
            .expect("a field of the prefix");
        let lies = [expected + least, u32::MAX as usize];
        for found in lies.into_iter().chain(expected.checked_sub(least)) {
            if field == "activation_bytes" && found < expected {
                continue; // tensors lie outside then: a case of its own, above
            }
            let bytes = patched(|bytes| {
                bytes[offset..offset + len].copy_from_slice(&(found as u128).to_le_bytes()[..len]);
            });
            let reason = LoadError::Prefix {
                field,
                expected,
                found,
            };
            cases.push((field, bytes, reason));
        }
    }
    cases
}

fn body_cases() -> Vec<Case> {
    let malformed = LoadError::Malformed;
    let bytes = file(&tiny());
    let graph = postcard::to_stdvec(&open(&bytes).graph).expect("it can be written");
    let patch = |position: usize, value: u8| {
        patched(|bytes| {
            bytes[PREFIX_LEN + position] = value;
        })
    };
    // Behind the name (5 bytes) and the number of tensors (1): the first tensor, see `a_graph_is_these_bytes`.
    assert_eq!(graph[5..10], [4, 4, 0, 0, 0]);
    assert_eq!(graph[18..30], [128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(graph[102..106], [3, 0, 3, 3], "the first node");
    assert_eq!(graph[145..152], *b"\x01\x05input", "the first input");
    assert_eq!(graph[162..170], *b"\x01\x06output", "the first output");
    let patch_function = |number: u8| {
        let mut bytes = unaries(1, |_| {});
        // Two tensors of 24 bytes, one node, and the operator's number stand before it.
        let at = PREFIX_LEN + 6 + 2 * 24 + 1 + 1;
        assert_eq!(bytes[at - 2..=at], [1, 5, 0]);
        bytes[at] = number;
        repair_crcs(&mut bytes);
        bytes
    };
    let with_source = |bytes: &[u8]| {
        let mut graph = graph.clone();
        graph.splice(152..153, bytes.iter().copied());
        graph.extend([0, 0]);
        with_body(&graph)
    };
    let long_number = [0xff; 11];
    let mut without_weights = graph.clone();
    without_weights.push(0);
    let padding = |padding: &[u8], weights: &[u8]| {
        let body = postcard::to_stdvec(&(open(&bytes).graph, padding, weights));
        let mut bytes = with_body(&body.expect("it can be written"));
        let offset = (bytes.len() - weights.len()) as u32;
        bytes[52..56].copy_from_slice(&offset.to_le_bytes());
        bytes[56..60].copy_from_slice(&(weights.len() as u32).to_le_bytes());
        repair_crcs(&mut bytes);
        bytes
    };
    let weights = open(&bytes).weights;
    assert_eq!(refusal(&padding(&[0; 14], weights)), None);
    vec![
        ("empty body", with_body(&[]), malformed),
        ("endless number", with_body(&long_number), malformed),
        ("name beyond the end", with_body(&[200, 1, b'x']), malformed),
        ("name that is not UTF-8", patch(1, 0xff), malformed),
        (
            "name of an input that is not UTF-8",
            patch(148, 0xff),
            malformed,
        ),
        (
            "name of an output that is not UTF-8",
            patch(166, 0xff),
            malformed,
        ),
        ("label that is not UTF-8", patch(177, 0xff), malformed),
        ("unknown element type", patch(24, 2), malformed),
        ("zero point of real numbers", patch(25, 1), malformed),
        ("scale of real numbers", patch(28, 0x80), malformed),
        (
            "scale of real numbers that is -0",
            patch(29, 0x80),
            malformed,
        ),
        ("unknown operator", patch(103, 23), malformed),
        ("unknown function", patch_function(9), malformed),
        (
            "a source that is neither there nor not",
            patch(152, 2),
            malformed,
        ),
        ("more tensors than bytes", patch(5, 0xff), malformed),
        (
            "list of 4 billion",
            with_body(&[0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            malformed,
        ),
        ("graph only", with_body(&graph), malformed),
        ("no weights", with_body(&without_weights), malformed),
        (
            "five inputs",
            {
                // heapless refuses the fifth while it decodes.
                let at = graph
                    .windows(7)
                    .position(|w| w == [0x50, 1, 0, 3, 2, 2, 2])
                    .expect("the end of the first node");
                let mut graph = graph.clone();
                graph.splice(at + 1..at + 3, [5, 0, 0, 0, 0, 0]);
                graph.push(0);
                graph.push(0);
                with_body(&graph)
            },
            malformed,
        ),
        (
            "a source of nine axes",
            // heapless refuses the ninth while it decodes.
            with_source(&[1, 9, 16, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 2]),
            malformed,
        ),
        (
            "a source with an unknown axis",
            with_source(&[1, 1, 16, 0, 1, 3]),
            malformed,
        ),
        (
            "padding that is not zero",
            patch(graph.len() + 1, 1),
            LoadError::WeightsPlace,
        ),
        (
            "weights not aligned",
            padding(&[0; 12], weights),
            LoadError::WeightsPlace,
        ),
        (
            "half a word of weights",
            padding(&[0; 16], &weights[..202]),
            LoadError::WeightsPlace,
        ),
    ]
}

fn set_operator(file: &mut File<'_>, node: usize, operator: impl Into<Operator>) {
    file.graph.nodes[node].operator = operator.into();
}

fn set_inputs(file: &mut File<'_>, node: usize, inputs: &[u16]) {
    file.graph.nodes[node].inputs = inputs.iter().copied().collect();
}

fn conv(window: Window, groups: u32, weights: u32, bias: u32) -> Operator {
    let conv = Conv2d {
        window,
        groups,
        activation: Activation::Relu,
        layer: Layer {
            weights: Offset::new(weights).into(),
            bias: Some(Offset::new(bias)),
        },
    };
    conv.into()
}

fn tensor_cases() -> Vec<Case> {
    let tensor = |number: usize, change: &dyn Fn(&mut Tensor)| {
        changed(&tiny(), |file| change(&mut file.graph.tensors[number]))
    };
    let overlap = |first, second| LoadError::Overlap { first, second };
    // Tensor 0 lies at 128..192, 1 at 0..128, 2 at 128..160, 3 at 0..12.
    vec![
        (
            "no nodes",
            changed(&tiny(), |file| {
                file.graph.nodes.clear();
                file.graph.tensors.truncate(1);
            }),
            LoadError::TensorCount { found: 1 },
        ),
        (
            "nothing at all",
            changed(&tiny(), |file| {
                file.graph.nodes.clear();
                file.graph.tensors.clear();
            }),
            LoadError::TensorCount { found: 0 },
        ),
        (
            "a tensor too few",
            changed(&tiny(), |file| file.graph.tensors.truncate(3)),
            LoadError::TensorCount { found: 3 },
        ),
        (
            "one tensor more than the cap",
            unaries(MAX_TENSORS, |_| {}),
            LoadError::TensorCount {
                found: MAX_TENSORS + 1,
            },
        ),
        (
            "empty tensor",
            tensor(2, &|t| t.shape.width = 0),
            LoadError::Tensor { tensor: 2 },
        ),
        (
            "tensor with too many elements",
            tensor(0, &|t| t.shape = Shape::new(2, 1, MAX_ELEMENTS / 2 + 1)),
            LoadError::Tensor { tensor: 0 },
        ),
        (
            "shape whose product overflows",
            tensor(0, &|t| t.shape = Shape::new(1 << 31, 1 << 31, 1 << 31)),
            LoadError::Tensor { tensor: 0 },
        ),
        (
            "misaligned tensor",
            tensor(3, &|t| t.offset = 8),
            LoadError::Tensor { tensor: 3 },
        ),
        (
            "offset near 4 GiB",
            tensor(3, &|t| t.offset = u32::MAX - 15),
            LoadError::Tensor { tensor: 3 },
        ),
        (
            "output over input",
            tensor(1, &|t| t.offset = 128),
            overlap(0, 1),
        ),
        (
            "output over the end of its input",
            tensor(1, &|t| t.offset = 64),
            overlap(0, 1),
        ),
        (
            "output within its input",
            tensor(2, &|t| t.offset = 48),
            overlap(1, 2),
        ),
        (
            "output over the last bytes",
            tensor(2, &|t| t.offset = 112),
            overlap(1, 2),
        ),
        (
            "input that lives longer than its place is free",
            tensor(0, &|t| t.last_use = 1),
            overlap(0, 2),
        ),
        (
            "pool in place",
            changed(&tiny(), |file| {
                file.graph.tensors[2].offset = 0;
                file.graph.tensors[3].offset = 128;
            }),
            overlap(1, 2),
        ),
        (
            "in place over half of the input",
            unaries(2, |file| file.graph.tensors[1].offset = 16),
            overlap(0, 1),
        ),
        (
            "in place over an input that is read later",
            unaries(2, |file| {
                file.graph.tensors[0].last_use = 1;
                set_inputs(file, 1, &[0]);
            }),
            overlap(0, 1),
        ),
        (
            "in place over a tensor that is not the input",
            // Node 2 reads tensor 1, but writes over tensor 2, which lives until then.
            unaries(3, |file| {
                file.graph.tensors[1].offset = 64;
                file.graph.tensors[1].last_use = 2;
                file.graph.tensors[2].last_use = 2;
                set_inputs(file, 2, &[1]);
            }),
            overlap(2, 3),
        ),
    ]
}

fn node_cases() -> Vec<Case> {
    let change = |change: &dyn Fn(&mut File<'_>)| changed(&tiny(), change);
    let lifetime = |node| LoadError::Lifetime { node };
    let params = |reason| LoadError::Params { node: 0, reason };
    let window = Window::new(3, 3).with_padding(Padding::symmetric(1, 1));
    let linear = |weights, bias: Option<u32>| operator::Linear {
        activation: Activation::Identity,
        layer: Layer {
            weights: Offset::new(weights).into(),
            bias: bias.map(Offset::new),
        },
    };
    vec![
        (
            "reads its own output",
            change(&|file| set_inputs(file, 1, &[2])),
            lifetime(1),
        ),
        (
            "reads what is not there",
            change(&|file| set_inputs(file, 2, &[4])),
            lifetime(2),
        ),
        (
            "reads far away",
            change(&|file| set_inputs(file, 0, &[u16::MAX])),
            lifetime(0),
        ),
        (
            "reads what was released",
            change(&|file| file.graph.tensors[1].last_use = 0),
            lifetime(1),
        ),
        (
            "released before it is written",
            change(&|file| file.graph.tensors[2].last_use = 0),
            lifetime(1),
        ),
        (
            "lives longer than the graph",
            change(&|file| file.graph.tensors[2].last_use = 3),
            lifetime(1),
        ),
        (
            "output that outlives the last node",
            change(&|file| file.graph.tensors[3].last_use = u16::MAX),
            lifetime(2),
        ),
        (
            "no input",
            change(&|file| set_inputs(file, 0, &[])),
            LoadError::Shape { node: 0 },
        ),
        (
            "two inputs",
            change(&|file| set_inputs(file, 1, &[1, 1])),
            LoadError::Shape { node: 1 },
        ),
        (
            "output of another height",
            change(&|file| file.graph.tensors[1].shape = Shape::new(3, 4, 2)),
            LoadError::Shape { node: 0 },
        ),
        (
            "pool that changes channels",
            change(&|file| file.graph.tensors[2].shape = Shape::new(2, 2, 1)),
            LoadError::Shape { node: 1 },
        ),
        (
            "linear layer with a surface",
            change(&|file| file.graph.tensors[3].shape = Shape::new(1, 3, 1)),
            LoadError::Shape { node: 2 },
        ),
        (
            "stride 0",
            change(&|file| set_operator(file, 0, conv(window.with_stride(0, 1), 1, 0, 80))),
            params(ParamsError::Zero),
        ),
        (
            "kernel 0",
            change(&|file| set_operator(file, 0, conv(Window::new(0, 3), 1, 0, 80))),
            params(ParamsError::Zero),
        ),
        (
            "no groups",
            change(&|file| set_operator(file, 0, conv(window, 0, 0, 80))),
            params(ParamsError::Zero),
        ),
        (
            "groups that do not divide",
            change(&|file| set_operator(file, 0, conv(window, 3, 0, 80))),
            params(ParamsError::Groups {
                groups: 3,
                in_channels: 1,
                out_channels: 2,
            }),
        ),
        (
            "window larger than the input",
            change(&|file| set_operator(file, 0, conv(Window::new(5, 3), 1, 0, 80))),
            params(ParamsError::WindowTooLarge { span: 5, padded: 4 }),
        ),
        (
            "dilation beyond the limit",
            change(&|file| {
                let window = window.with_dilation(1 << 30, 1 << 30);
                set_operator(file, 0, conv(window, 1, 0, 80));
            }),
            params(ParamsError::TooLarge {
                found: 1 << 30,
                limit: MAX_EXTENT,
            }),
        ),
        (
            "pool of padding alone",
            change(&|file| {
                let window = Window::new(2, 2).with_padding(Padding::symmetric(2, 0));
                let rounding = Default::default();
                set_operator(file, 0, MaxPool2d { window, rounding });
            }),
            params(ParamsError::PoolPadding),
        ),
        (
            "slope that is not a number",
            unaries(1, |file| {
                set_operator(file, 0, Unary::LeakyRelu { slope: f32::NAN })
            }),
            params(ParamsError::Function),
        ),
        (
            "misaligned weights",
            change(&|file| set_operator(file, 0, conv(window, 1, 8, 80))),
            LoadError::Weights { node: 0 },
        ),
        (
            "misaligned bias",
            change(&|file| set_operator(file, 0, conv(window, 1, 0, 84))),
            LoadError::Weights { node: 0 },
        ),
        (
            "weights beyond the end",
            change(&|file| set_operator(file, 2, linear(112, None))),
            LoadError::Weights { node: 2 },
        ),
        (
            "bias beyond the end",
            change(&|file| set_operator(file, 2, linear(96, Some(208)))),
            LoadError::Weights { node: 2 },
        ),
        (
            "weights near 4 GiB",
            change(&|file| set_operator(file, 2, linear(u32::MAX - 15, None))),
            LoadError::Weights { node: 2 },
        ),
        (
            "weights in an order that nobody knows",
            change(&|file| {
                let mut linear = linear(96, None);
                linear.layer.weights.order = WeightsOrder(1);
                set_operator(file, 2, linear);
            }),
            LoadError::WeightsOrder {
                node: 2,
                order: WeightsOrder(1),
            },
        ),
        (
            "a word less of weights",
            change(&|file| file.weights = &file.weights[..200]),
            LoadError::Weights { node: 2 },
        ),
    ]
}

/// Operators of several tensors, and those that move elements, over vectors of eight (see [`unaries`]).
fn branch_cases() -> Vec<Case> {
    let params = |node, reason| LoadError::Params { node, reason };
    let shape = |node| LoadError::Shape { node };
    let add = || Binary {
        function: BinaryFunction::Add,
        activation: Activation::Identity,
    };
    let constant = |shape, operand| -> Operator {
        let constant = BinaryConstant {
            function: BinaryFunction::Multiply,
            activation: Activation::Relu,
            shape,
            operand: Offset::new(operand),
        };
        constant.into()
    };
    let affine = |scale, shift| -> Operator {
        let affine = ChannelAffine {
            activation: Activation::Identity,
            scale: Offset::new(scale),
            shift: Offset::new(shift),
        };
        affine.into()
    };
    let slice = |start, step| Operator::Slice(Slice { start, step });
    let pad = |before| Operator::Pad(Pad { before, value: 0.0 });
    let upsample = |factor_h, factor_w| Operator::Upsample(Upsample { factor_h, factor_w });
    let transpose = |order| Operator::Transpose(Transpose { order });
    let largest = u32::MAX as usize;
    let one = |operator: Operator| unaries(1, move |file| set_operator(file, 0, operator));
    // Somewhere else than the input, as what does not work in place must be.
    let apart = |operator: Operator, output: Shape| {
        unaries(1, move |file| {
            set_operator(file, 0, operator);
            file.graph.tensors[1].offset = 32;
            file.graph.tensors[1].shape = output;
        })
    };
    let sum = |change: &dyn Fn(&mut File<'_>)| {
        unaries(2, |file| {
            set_operator(file, 1, add());
            set_inputs(file, 1, &[1, 0]);
            file.graph.tensors[0].last_use = 1;
            file.graph.tensors[1].offset = 32;
            file.graph.tensors[2].offset = 32;
            change(file);
        })
    };
    assert_eq!(
        refusal(&sum(&|_| {})),
        None,
        "what the lies below are about"
    );
    let eight = Shape::vector(8);
    let height = Axis::Height;
    vec![
        ("a sum of one", one(add().into()), shape(0)),
        (
            "a sum of three",
            sum(&|file| set_inputs(file, 1, &[1, 0, 0])),
            shape(1),
        ),
        (
            "a sum with what is not there yet",
            sum(&|file| set_inputs(file, 1, &[1, 2])),
            LoadError::Lifetime { node: 1 },
        ),
        (
            "a sum with what was released",
            sum(&|file| file.graph.tensors[0].last_use = 0),
            LoadError::Lifetime { node: 1 },
        ),
        (
            "a sum over its second operand",
            sum(&|file| file.graph.tensors[2].offset = 0),
            LoadError::Overlap {
                first: 0,
                second: 2,
            },
        ),
        (
            "a tensor plus itself, written while it is read",
            sum(&|file| set_inputs(file, 1, &[1, 1])),
            LoadError::Overlap {
                first: 1,
                second: 2,
            },
        ),
        (
            "an operand that cannot be spread",
            one(constant(Shape::vector(4), 0)),
            params(
                0,
                ParamsError::Broadcast {
                    operand: Shape::vector(4),
                    shape: eight,
                },
            ),
        ),
        (
            "an operand without elements",
            one(constant(Shape::vector(0), 0)),
            params(0, ParamsError::Zero),
        ),
        (
            "an operand larger than anything",
            one(constant(Shape::new(largest, 1, 8), 0)),
            params(
                0,
                ParamsError::Broadcast {
                    operand: Shape::new(largest, 1, 8),
                    shape: eight,
                },
            ),
        ),
        (
            "an operand beyond the weights",
            one(constant(eight, 192)),
            LoadError::Weights { node: 0 },
        ),
        (
            "a shift beyond the weights",
            one(affine(0, 192)),
            LoadError::Weights { node: 0 },
        ),
        (
            "a misaligned scale",
            one(affine(4, 0)),
            LoadError::Weights { node: 0 },
        ),
        (
            "an empty range",
            one(Operator::Unary(Unary::Clip {
                low: 1.0,
                high: 0.5,
            })),
            params(0, ParamsError::Function),
        ),
        (
            "a range that is not a number",
            one(Operator::Unary(Unary::Clip {
                low: 0.0,
                high: f32::NAN,
            })),
            params(0, ParamsError::Function),
        ),
        (
            "an infinite factor",
            one(Operator::Unary(Unary::Elu {
                alpha: f32::INFINITY,
            })),
            params(0, ParamsError::Function),
        ),
        (
            "a value at 0 that is not a number",
            one(Operator::Unary(Unary::HardSigmoid {
                alpha: 0.2,
                beta: f32::NAN,
            })),
            params(0, ParamsError::Function),
        ),
        (
            "a concatenation in place",
            one(Concat { axis: height }.into()),
            LoadError::Overlap {
                first: 0,
                second: 1,
            },
        ),
        (
            "a concatenation of other extents",
            sum(&|file| {
                set_operator(file, 1, Concat { axis: height });
                file.graph.tensors[0].shape = Shape::vector(4);
                set_operator(file, 0, pad([0; 3]));
            }),
            params(1, ParamsError::Concat),
        ),
        (
            "a concatenation longer than its parts",
            apart(Concat { axis: height }.into(), Shape::new(2, 1, 8)),
            shape(0),
        ),
        (
            "a slice from beyond the end",
            apart(slice([0, 0, 8], [1; 3]), Shape::vector(1)),
            params(0, ParamsError::OutOfRange),
        ),
        (
            "a slice that goes too far",
            apart(slice([0, 0, 1], [1, 1, 3]), Shape::vector(4)),
            params(0, ParamsError::OutOfRange),
        ),
        (
            "a slice whose reach overflows",
            apart(slice([0, 0, 1], [1, 1, largest]), Shape::vector(4)),
            params(0, ParamsError::OutOfRange),
        ),
        (
            "a slice that stands still",
            apart(slice([0; 3], [1, 1, 0]), Shape::vector(4)),
            params(0, ParamsError::Zero),
        ),
        (
            "an input outside of its padding",
            apart(pad([0, 0, 3]), Shape::vector(10)),
            params(0, ParamsError::OutOfRange),
        ),
        (
            "no rows at all",
            apart(upsample(0, 1), eight),
            params(0, ParamsError::Zero),
        ),
        (
            "more columns than anything has",
            apart(upsample(1, u32::MAX), eight),
            params(
                0,
                ParamsError::TooLarge {
                    found: u32::MAX as usize,
                    limit: MAX_EXTENT,
                },
            ),
        ),
        (
            "an axis named twice",
            apart(transpose([height, Axis::Channels, height]), eight),
            params(0, ParamsError::Order),
        ),
        (
            "a transposition that does not turn",
            apart(transpose([height, Axis::Channels, Axis::Width]), eight),
            shape(0),
        ),
        (
            "another shape of fewer elements",
            apart(Reshape.into(), Shape::vector(7)),
            shape(0),
        ),
        (
            "a function with no way back in the suffix",
            {
                let rng = &mut fastrand::Rng::with_seed(2);
                let layer = linear(rng, 4, 4, Activation::Identity, Bias::Yes);
                let swish = Unary::HardSwish.into();
                let spec = chain("swish", Shape::vector(4), vec![layer, swish]);
                changed(&spec, |file| file.graph.trainable_nodes = 2)
            },
            LoadError::Suffix { node: 1 },
        ),
    ]
}

fn int8_cases() -> Vec<Case> {
    let change = |change: &dyn Fn(&mut File<'_>)| changed(&tiny_i8(), change);
    let params = |node, reason| LoadError::Params { node, reason };
    let dtype = |node| LoadError::DType { node };
    let numbers = |scale, zero_point| DType::I8 { scale, zero_point };
    let set_dtype =
        |tensor: usize, dtype| changed(&tiny_i8(), |file| file.graph.tensors[tensor].dtype = dtype);
    // The convolution with other numbers: bounds, and where weights, bias and scales lie.
    let conv = |low, high, weights, bias, scale| {
        changed(&tiny_i8(), |file| {
            let layer = LayerI8 {
                weights: Offset::new(weights).into(),
                bias: Some(Offset::new(bias)),
                scale: Offset::new(scale),
            };
            let conv = QuantizedConv2d {
                window: Window::new(1, 2),
                groups: 1,
                low,
                high,
                layer,
            };
            set_operator(file, 1, conv);
        })
    };
    let weights = |at: usize, word: [u8; 4]| {
        let spec = tiny_i8();
        let bytes = file(&spec);
        let mut file = open(&bytes);
        let mut weights = file.weights.to_vec();
        weights[at..at + 4].copy_from_slice(&word);
        file.weights = &weights;
        seal(&file)
    };
    let sample = |node: usize, operator: Operator| {
        changed(&quantized(), |file| set_operator(file, node, operator))
    };
    let nodes = quantized().nodes;
    let find = |wanted: &str| {
        let bytes = file(&quantized());
        let model = Model::load(&bytes).expect("a valid file");
        let found = model
            .nodes()
            .iter()
            .position(|n| n.operator.name() == wanted);
        found.expect("every operator is there")
    };
    // Fewer bytes than a table has are left there.
    let last_place = open(&file(&quantized())).weights.len() as u32 / 16 * 16 - 240;
    let binary = find("QuantizedBinary");
    let (pool, add, pad, joined) = (
        find("MaxPool2d"),
        find("QuantizedAdd"),
        find("Pad"),
        find("Concat"),
    );
    // The tensor that node `pool` writes means something else than the one it reads.
    let other_meaning = |node: usize| {
        changed(&quantized(), |file| {
            file.graph.tensors[node + 1].dtype = numbers(0.5, 1);
        })
    };
    assert!(nodes.len() > joined);
    let least = f32::from_bits(1).to_le_bytes();
    assert_eq!(refusal(&weights(32, least)), None);
    assert_eq!(refusal(&conv(3, 3, 0, 16, 32)), None);
    vec![
        (
            "a scale of 0",
            set_dtype(1, numbers(0.0, 0)),
            LoadError::Scale { tensor: 1 },
        ),
        (
            "a scale below 0",
            set_dtype(2, numbers(-1.0, 0)),
            LoadError::Scale { tensor: 2 },
        ),
        (
            "an infinite scale",
            set_dtype(1, numbers(f32::INFINITY, 0)),
            LoadError::Scale { tensor: 1 },
        ),
        (
            "a scale that is no number",
            set_dtype(2, numbers(f32::NAN, 0)),
            LoadError::Scale { tensor: 2 },
        ),
        (
            "an input of 8-bit numbers",
            {
                changed(&tiny(), |file| {
                    file.graph.tensors[0].dtype = numbers(1.0, 0)
                })
            },
            dtype(0),
        ),
        ("quantized to f32", set_dtype(1, DType::F32), dtype(0)),
        ("a convolution to f32", set_dtype(2, DType::F32), dtype(1)),
        (
            "a function of 8-bit numbers",
            change(&|file| set_operator(file, 1, Unary::Relu)),
            dtype(1),
        ),
        (
            "dequantized twice",
            change(&|file| set_operator(file, 1, Dequantize)),
            dtype(1),
        ),
        (
            "quantized twice",
            change(&|file| set_operator(file, 1, Quantize)),
            dtype(1),
        ),
        (
            "a pool that changes the meaning",
            other_meaning(pool),
            dtype(pool),
        ),
        (
            "padding that changes the meaning",
            other_meaning(pad),
            dtype(pad),
        ),
        (
            "numbers of two meanings side by side",
            other_meaning(joined),
            dtype(joined),
        ),
        (
            "a sum of one",
            {
                changed(&quantized(), |file| {
                    let first = file.graph.nodes[add].inputs[0];
                    set_inputs(file, add, &[first]);
                })
            },
            LoadError::Shape { node: add },
        ),
        (
            "a sum in one place of many",
            sample(pad, QuantizedAdd { low: 0, high: 1 }.into()),
            LoadError::Shape { node: pad },
        ),
        (
            "bounds out of order",
            conv(1, 0, 0, 16, 32),
            params(1, ParamsError::Bounds),
        ),
        (
            "weights between two places",
            conv(3, 127, 4, 16, 32),
            LoadError::Weights { node: 1 },
        ),
        (
            "weights beyond the end",
            conv(3, 127, 48, 16, 32),
            LoadError::Weights { node: 1 },
        ),
        (
            "a bias between two places",
            conv(3, 127, 0, 20, 32),
            LoadError::Weights { node: 1 },
        ),
        (
            "a bias over the end",
            conv(3, 127, 0, 48, 32),
            LoadError::Weights { node: 1 },
        ),
        (
            "scales far away",
            conv(3, 127, 0, 16, u32::MAX - 15),
            LoadError::Weights { node: 1 },
        ),
        (
            "scales where others lie",
            conv(3, 127, 0, 16, 0),
            params(1, ParamsError::Scale),
        ),
        (
            "a scale of 0 in the weights",
            weights(32, [0; 4]),
            params(1, ParamsError::Scale),
        ),
        (
            "an infinite scale in the weights",
            weights(36, f32::INFINITY.to_le_bytes()),
            params(1, ParamsError::Scale),
        ),
        (
            "a scale that is no number in the weights",
            weights(32, f32::NAN.to_le_bytes()),
            params(1, ParamsError::Scale),
        ),
        (
            "a bias that overflows",
            weights(16, (i32::MAX - 65279).to_le_bytes()),
            params(1, ParamsError::Accumulator),
        ),
        (
            "a bias that underflows",
            weights(20, i32::MIN.to_le_bytes()),
            params(1, ParamsError::Accumulator),
        ),
        (
            "an operand that cannot be spread",
            {
                changed(&quantized(), |file| {
                    let [map, gate] = file.graph.nodes[binary].inputs[..] else {
                        unreachable!("two inputs");
                    };
                    set_inputs(file, binary, &[gate, map]);
                })
            },
            params(
                binary,
                ParamsError::Broadcast {
                    operand: Shape::new(4, 4, 8),
                    shape: Shape::vector(8),
                },
            ),
        ),
        (
            "a table over the end",
            sample(
                pad,
                Operator::Table(Table {
                    entries: Offset::new(last_place),
                }),
            ),
            LoadError::Weights { node: pad },
        ),
        (
            "a table between two places",
            sample(
                pad,
                Operator::Table(Table {
                    entries: Offset::new(8),
                }),
            ),
            LoadError::Weights { node: pad },
        ),
        (
            "scales too far apart",
            {
                changed(&quantized(), |file| {
                    file.graph.tensors[add + 1].dtype = numbers(f32::MIN_POSITIVE, 0);
                    let first = usize::from(file.graph.nodes[add].inputs[0]);
                    file.graph.tensors[first].dtype = numbers(f32::MAX, 0);
                })
            },
            params(add, ParamsError::Scale),
        ),
    ]
}

/// More products in one sum than 32 bits can hold.
#[test]
fn sums_that_could_overflow_are_refused() {
    let most = i32::MAX as usize / (255 * 128);
    for (features, expected) in [(most, None), (most + 1, Some(ParamsError::Accumulator))] {
        let bytes = changed(&tiny_i8(), |file| {
            let tensors = &mut file.graph.tensors;
            tensors[0].shape = Shape::vector(features);
            tensors[1].shape = Shape::vector(features);
            tensors[2].shape = Shape::vector(1);
            tensors[3].shape = Shape::vector(1);
            tensors[0].offset = 1 << 17;
            tensors[2].offset = 1 << 17;
            let layer = LayerI8 {
                weights: Offset::new(0).into(),
                bias: None,
                scale: Offset::new(1 << 17),
            };
            let (low, high) = (0, 0);
            set_operator(file, 1, QuantizedLinear { low, high, layer });
            file.weights = &MANY;
        });
        let reason = expected.map(|reason| LoadError::Params { node: 1, reason });
        assert_eq!(refusal(&bytes), reason, "{features}");
    }
}

/// Words of 1.0: scales, and weights of no matter what.
static MANY: [u8; (1 << 17) + 4] = {
    let mut bytes = [0; (1 << 17) + 4];
    let one = 1f32.to_le_bytes();
    let mut i = 0;
    while i < bytes.len() {
        bytes[i] = one[i % 4];
        i += 1;
    }
    bytes
};

fn meaning_cases() -> Vec<Case> {
    let change = |change: &dyn Fn(&mut File<'_>)| changed(&tiny(), change);
    let normalization = |numbers: &[u8]| {
        let bytes = file(&tiny());
        let mut file = open(&bytes);
        file.graph.inputs[0].normalization = numbers;
        ("normalization", seal(&file), LoadError::Normalization)
    };
    let normalized = |numbers: &[f32]| {
        let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
        normalization(&numbers.collect::<Vec<u8>>())
    };
    let suffix = |node| LoadError::Suffix { node };
    // linear, softmax, linear; and two branches of linear layers.
    let rng = &mut fastrand::Rng::with_seed(1);
    let mut layer = || linear(rng, 4, 4, Activation::Identity, Bias::Yes);
    let middle = vec![layer(), Softmax.into(), layer()];
    let branch = vec![layer(), layer(), layer()];
    let leaky = Unary::LeakyRelu { slope: -0.5 }.into();
    let leaky = vec![layer(), leaky, layer()];
    let middle = chain("middle", Shape::vector(4), middle);
    let leaky = chain("leaky", Shape::vector(4), leaky);
    let mut branch = chain("branch", Shape::vector(4), branch);
    branch.nodes[2].inputs = vec![1];
    let trainable =
        |spec: &GraphSpec, nodes| changed(spec, |file| file.graph.trainable_nodes = nodes);
    let extension = |id, required| Extension {
        id,
        required,
        bytes: &[1, 2, 3],
    };
    vec![
        // Means of two channels, then their standard deviations.
        normalized(&[0.5, 0.5, 1.0, 1.0]),
        normalized(&[0.5]),
        normalized(&[0.5, 0.5, 1.0]),
        normalization(&[0, 0, 0, 0x3f, 0, 0, 0x80]),
        normalization(&[0, 0, 0, 0x3f, 0, 0, 0x80, 0x3f, 0]),
        normalization(&[0]),
        normalized(&[f32::NAN, 1.0]),
        normalized(&[f32::INFINITY, 1.0]),
        normalized(&[0.5, 0.0]),
        normalized(&[0.5, -1.0]),
        normalized(&[0.5, f32::NAN]),
        normalized(&[0.5, f32::INFINITY]),
        (
            "two labels for three outputs",
            change(&|file| file.graph.outputs[0].labels = "circle\nsquare\n"),
            LoadError::Labels {
                found: 2,
                outputs: 3,
            },
        ),
        (
            "four labels for three outputs",
            change(&|file| file.graph.outputs[0].labels = "\n\n\n\n"),
            LoadError::Labels {
                found: 4,
                outputs: 3,
            },
        ),
        (
            "a label without its end",
            change(&|file| file.graph.outputs[0].labels = "circle\nsquare\ncross"),
            LoadError::Labels {
                found: 2,
                outputs: 3,
            },
        ),
        (
            "text behind the last label",
            change(&|file| file.graph.outputs[0].labels = "circle\nsquare\ncross\n?"),
            LoadError::Labels {
                found: 3,
                outputs: 3,
            },
        ),
        (
            "a pool to be trained",
            change(&|file| file.graph.trainable_nodes = 2),
            suffix(1),
        ),
        (
            "more to be trained than there is",
            change(&|file| file.graph.trainable_nodes = 4),
            suffix(0),
        ),
        (
            "nothing to be trained in it",
            unaries(3, |file| file.graph.trainable_nodes = 2),
            suffix(1),
        ),
        ("softmax within", trainable(&middle, 3), suffix(1)),
        ("a branch within", trainable(&branch, 2), suffix(2)),
        ("a slope with no way back", trainable(&leaky, 2), suffix(1)),
        (
            "an unknown extension that is required",
            change(&|file| file.graph.extensions = vec![extension(5, false), extension(7, true)]),
            LoadError::Extension { id: 7 },
        ),
    ]
}

fn end_cases() -> Vec<Case> {
    let change = |change: &dyn Fn(&mut File<'_>)| changed(&tiny(), change);
    let output = |output| LoadError::Output { output };
    let another = |tensor| Output {
        name: "another",
        tensor,
        source: None,
        labels: "",
    };
    let frozen = |tensor| {
        changed(&tiny(), |file| {
            file.graph.trainable_nodes = 0;
            file.graph.outputs[0] = another(tensor);
        })
    };
    let source = |shape: &[u32], order: [Axis; 3]| {
        let source = Source {
            shape: shape.iter().copied().collect(),
            order,
        };
        changed(&tiny(), |file| file.graph.inputs[0].source = Some(source))
    };
    let nchw = [Axis::Channels, Axis::Height, Axis::Width];
    // What the lies below are about. The last node reads tensor 2, so it is there at the end.
    assert_eq!(refusal(&frozen(2)), None);
    assert_eq!(refusal(&source(&[1, 4, 4], nchw)), None);
    // Two linear layers that are trained.
    let two_layers = |change: &dyn Fn(&mut File<'_>)| {
        let rng = &mut fastrand::Rng::with_seed(3);
        let mut layer = || linear(rng, 4, 4, Activation::Identity, Bias::Yes);
        let spec = chain("two", Shape::vector(4), vec![layer(), layer(), layer()]);
        changed(&spec, |file| {
            file.graph.trainable_nodes = 2;
            for (tensor, offset) in file.graph.tensors.iter_mut().zip([0, 16, 32, 48]) {
                (tensor.offset, tensor.last_use) = (offset, 2);
            }
            change(file);
        })
    };
    let with_output = |tensor| two_layers(&|file| file.graph.outputs.push(another(tensor)));
    assert_eq!(refusal(&with_output(0)), None);
    assert_eq!(refusal(&with_output(1)), None);
    vec![
        (
            "no input",
            change(&|file| file.graph.inputs.clear()),
            LoadError::Ends { found: 0 },
        ),
        (
            "no output",
            change(&|file| file.graph.outputs.clear()),
            LoadError::Ends { found: 0 },
        ),
        (
            "too many inputs",
            change(&|file| {
                let input = file.graph.inputs[0].clone();
                file.graph.inputs = vec![input; MAX_ENDS + 1];
            }),
            LoadError::Ends { found: 17 },
        ),
        (
            "too many outputs",
            change(&|file| {
                let output = file.graph.outputs[0].clone();
                file.graph.outputs = vec![output; MAX_ENDS + 1];
            }),
            LoadError::Ends { found: 17 },
        ),
        (
            "an input that is no tensor",
            change(&|file| {
                let input = file.graph.inputs[0].clone();
                file.graph.inputs.push(input);
            }),
            LoadError::TensorCount { found: 4 },
        ),
        ("an output that was released", frozen(1), output(0)),
        (
            "an input that was released as an output",
            frozen(0),
            output(0),
        ),
        ("an output that is no tensor", frozen(4), output(0)),
        ("an output far away", frozen(u16::MAX), output(0)),
        (
            "a second output that was released",
            change(&|file| file.graph.outputs.push(another(1))),
            output(1),
        ),
        (
            "a second output that is no tensor",
            change(&|file| file.graph.outputs.push(another(4))),
            output(1),
        ),
        (
            "an output before the trained layers alone",
            two_layers(&|file| file.graph.outputs[0].tensor = 1),
            output(0),
        ),
        (
            "an output between trained layers alone",
            two_layers(&|file| file.graph.outputs[0].tensor = 2),
            output(0),
        ),
        (
            "a second one between trained layers",
            with_output(2),
            output(1),
        ),
        ("what is trained twice", with_output(3), output(1)),
        (
            "a source of more elements",
            source(&[1, 4, 4, 2], nchw),
            LoadError::Source,
        ),
        (
            "a source of fewer",
            source(&[3, 5], nchw),
            LoadError::Source,
        ),
        (
            "a source of one element",
            source(&[], nchw),
            LoadError::Source,
        ),
        (
            "a source of none",
            source(&[16, 0], nchw),
            LoadError::Source,
        ),
        (
            "a source whose product overflows",
            source(&[u32::MAX; MAX_RANK], nchw),
            LoadError::Source,
        ),
        (
            "a source whose product would be right if it wrapped around",
            source(&[1 << 31, 1 << 31, 4, 16], nchw),
            LoadError::Source,
        ),
        (
            "a source with an axis twice",
            source(&[16], [Axis::Height, Axis::Width, Axis::Height]),
            LoadError::Source,
        ),
        (
            "a source with one axis three times",
            source(&[16], [Axis::Channels; 3]),
            LoadError::Source,
        ),
        (
            "the source of an output",
            change(&|file| {
                file.graph.outputs[0].source = Some(Source {
                    shape: [4].into_iter().collect(),
                    order: nchw,
                });
            }),
            LoadError::Source,
        ),
        (
            "two inputs in one place",
            two_inputs(|file| file.graph.tensors[1].offset = 0),
            LoadError::Overlap {
                first: 0,
                second: 1,
            },
        ),
        (
            "the normalization of a second input",
            two_inputs(|file| file.graph.inputs[1].normalization = &[0; 8]),
            LoadError::Normalization,
        ),
        (
            "the source of a second input",
            two_inputs(|file| {
                file.graph.inputs[1].source = Some(Source {
                    shape: [5].into_iter().collect(),
                    order: nchw,
                });
            }),
            LoadError::Source,
        ),
        (
            "labels of a second output",
            two_inputs(|file| file.graph.outputs[1].labels = "a\n"),
            LoadError::Labels {
                found: 1,
                outputs: 4,
            },
        ),
        (
            "an output that the last node writes over",
            unaries(2, |file| {
                // The last node works in place on what is an output, too.
                file.graph.outputs.push(another(1));
            }),
            LoadError::Overlap {
                first: 1,
                second: 2,
            },
        ),
        (
            "an input that is an output and is written over",
            unaries(1, |file| file.graph.outputs.push(another(0))),
            LoadError::Overlap {
                first: 0,
                second: 1,
            },
        ),
    ]
}

/// A sum of two inputs of four, and the first of them made real, with a change.
fn two_inputs(change: impl FnOnce(&mut File<'_>)) -> Vec<u8> {
    let tensor = TensorSpec::quantized(Shape::vector(4), Quantization::new(0.5, 1));
    let mut graph = Builder::new("two inputs", tensor);
    let other = graph.add_input("other", tensor);
    let (low, high) = (i8::MIN, i8::MAX);
    let sum = graph.add_as(QuantizedAdd { low, high }, &[0, other], tensor);
    let real = graph.add(Dequantize, &[0]);
    changed(&graph.finish_with(&[real, sum]), change)
}

#[test]
fn every_lie_is_found_out() {
    let mut reasons = std::collections::BTreeSet::new();
    let cases = [
        prefix_cases(),
        body_cases(),
        tensor_cases(),
        node_cases(),
        branch_cases(),
        int8_cases(),
        meaning_cases(),
        end_cases(),
    ];
    for (what, bytes, reason) in cases.concat() {
        assert_eq!(refusal(&bytes), Some(reason), "{what}");
        assert!(!reason.to_string().is_empty());
        let name = format!("{reason:?}");
        let name = name.split([' ', '{']).next().map(str::to_owned);
        reasons.extend(name);
    }
    // All variants but two that are not a matter of the bytes alone: Misaligned, see `bytes_between_words_are_refused`,
    // and Operator, see `each_operator_is_behind_its_own_bit`.
    let expected = [
        "BodyCrc",
        "DType",
        "Ends",
        "Extension",
        "Labels",
        "Length",
        "Lifetime",
        "Magic",
        "Malformed",
        "Normalization",
        "Output",
        "Overlap",
        "Params",
        "Prefix",
        "PrefixCrc",
        "Scale",
        "Shape",
        "Source",
        "Suffix",
        "Tensor",
        "TensorCount",
        "Truncated",
        "Version",
        "Weights",
        "WeightsOrder",
        "WeightsPlace",
    ];
    assert_eq!(reasons, expected.map(str::to_owned).into());
}

#[test]
fn what_is_only_unusual_is_accepted() {
    let accepted = |bytes: &[u8]| assert_eq!(refusal(bytes), None);
    accepted(&changed(&tiny(), |_| {}));
    accepted(&unaries(1, |_| {}));
    accepted(&unaries(MAX_TENSORS - 1, |_| {}));
    // Unknown extensions that are not required, even empty and twice.
    let extension = Extension {
        id: u32::MAX,
        required: false,
        bytes: &[],
    };
    let bytes = changed(&tiny(), |file| file.graph.extensions = vec![extension; 2]);
    accepted(&bytes);
    let bytes = AlignedBytes::from(bytes.as_slice());
    let model = Model::load(&bytes).expect("accepted");
    assert_eq!(
        model.extensions().iter().collect::<Vec<_>>(),
        [extension; 2]
    );
    // A plan that wastes memory, an output that nobody reads, a tensor kept for longer than it must be.
    accepted(&changed(&tiny(), |file| {
        let offsets = [1024, 512, 256, 0];
        for (tensor, offset) in file.graph.tensors.iter_mut().zip(offsets) {
            tensor.offset = offset;
            tensor.last_use = 2;
        }
    }));
    // Leaky ReLU with a negative slope, as long as it is not trained.
    let slope = Unary::LeakyRelu { slope: -0.5 };
    accepted(&unaries(1, |file| set_operator(file, 0, slope)));
    // Nothing but 8-bit numbers.
    accepted(&unaries(1, |file| {
        set_operator(file, 0, Reshape);
        for tensor in &mut file.graph.tensors {
            let (scale, zero_point) = (1.0, 0);
            tensor.dtype = DType::I8 { scale, zero_point };
        }
    }));
    // One tensor as all outputs, and inputs that nobody reads.
    accepted(&changed(&tiny(), |file| {
        file.graph.trainable_nodes = 0;
        let output = file.graph.outputs[0].clone();
        file.graph.outputs = vec![output; MAX_ENDS];
    }));
    accepted(&two_inputs(|_| {}));
    accepted(&unaries(1, |file| {
        let input = Input {
            name: "",
            source: None,
            normalization: &[],
        };
        file.graph.inputs = vec![input; MAX_ENDS];
        file.graph.nodes[0].inputs = [3].into_iter().collect();
        let first = file.graph.tensors[0];
        file.graph.tensors = (0..=MAX_ENDS as u32)
            .map(|number| Tensor {
                offset: 32 * number,
                ..first
            })
            .collect();
        file.graph.outputs[0].tensor = MAX_ENDS as u16;
    }));
    // A source of as many axes as there may be, most of which are 1; one of no axis, for a single element.
    let source = |shape: &[u32]| Source {
        shape: shape.iter().copied().collect(),
        order: [Axis::Width, Axis::Channels, Axis::Height],
    };
    let many = source(&[1, 2, 1, 2, 1, 4, 1, 1]);
    assert_eq!(many.shape.len(), MAX_RANK);
    accepted(&changed(&tiny(), |file| {
        file.graph.inputs[0].source = Some(many);
    }));
    accepted(&unaries(1, |file| {
        for tensor in &mut file.graph.tensors {
            tensor.shape = Shape::vector(1);
        }
        file.graph.inputs[0].source = Some(source(&[]));
    }));
}
