//! The model file as `FORMAT.md` describes it: bytes that may never change, read by hand, by a plain postcard
//! derive, in `const` context and by the runtime.

use kinglet::model::schema::{
    DType, Extension, File, Graph, MAX_ELEMENTS, MAX_INPUTS, MAX_TENSORS, Node, Operator,
    PREFIX_LEN, Prefix, Tensor, WEIGHTS_ALIGN, bits, operator_name,
};
use kinglet::model::{EncodeError, GraphSpec, OperatorSpec, encode};
use kinglet::{Aligned, AlignedBytes, LoadError, Model, ModelId, Sgd, Sizes, include_model};
use kinglet_kernels::params::MAX_EXTENT;
use kinglet_kernels::{
    Activation, Axis, BinaryFunction, CountPadding, Linear, Padding, ParamsError, Rounding, Shape,
    Unary, Window,
};
use kinglet_tests::bits_of;
use kinglet_tests::branching::branching;
use kinglet_tests::graphs::{chain, every_operator, file, tiny};
use kinglet_tests::quantized::quantized;
use kinglet_tests::seal::{PREFIX_FIELDS, honest_prefix, open, seal};
use serde::Deserialize;
use sha2::{Digest, Sha256};

static TINY: &Aligned = include_model!("data/tiny.kgl");
const TINY_SIZES: Sizes = Sizes::of(TINY);

/// The same file as a literal that nothing but its type aligns.
static LITERAL: Aligned<[u8; include_bytes!("data/tiny.kgl").len()]> = Aligned {
    bytes: *include_bytes!("data/tiny.kgl"),
};

#[test]
fn the_committed_file_is_written_again_byte_for_byte() {
    let (written, _) = encode(&tiny()).expect("a valid graph");
    assert!(
        written == TINY.bytes,
        "the exporter writes other bytes than those of format version 1"
    );
}

#[test]
fn sizes_are_read_in_const_context() {
    const ARENA: usize = TINY_SIZES.arena;
    const TRAINING: usize = TINY_SIZES.training::<Sgd>();
    const LITERAL_SIZES: Sizes = Sizes::of(&LITERAL);
    const { assert!(TINY_SIZES.input_len == 16) };
    assert_eq!(LITERAL_SIZES, TINY_SIZES);
    assert_eq!(TINY_SIZES.output_len, 3);
    assert_eq!(TINY_SIZES.activations(), 64 + 128);
    assert_eq!(TINY_SIZES.trainable_parameters, 27);
    assert_eq!(TINY_SIZES.head, 32 + 4 * 27);
    assert_eq!(TRAINING, 4 * (27 * 2 + 3 * 2));

    static mut SESSION: kinglet::Arena<ARENA> = kinglet::Arena::new();
    let _ = &raw const SESSION;
    let model = Model::load(&TINY.bytes).expect("a valid file");
    assert_eq!(model.sizes(), TINY_SIZES);
    assert_eq!(Sizes::read(&TINY.bytes), Ok(TINY_SIZES));
    assert_eq!(Sizes::read(&TINY.bytes[..PREFIX_LEN]), Ok(TINY_SIZES));
}

#[test]
fn included_bytes_are_aligned() {
    assert!(TINY.bytes.as_ptr().cast::<u8>().align_offset(64) == 0);
    assert!(LITERAL.bytes.as_ptr().align_offset(64) == 0);
    let model = Model::load(&TINY.bytes).expect("a valid file");
    // Weights are used where they lie: within the file, at a multiple of 64.
    let weights = model.weights().as_ptr().cast::<u8>();
    assert!(TINY.bytes.as_ptr_range().contains(&weights));
    assert_eq!(weights.align_offset(WEIGHTS_ALIGN), 0);
}

/// Every byte of a graph, with what it is.
#[test]
fn a_graph_is_these_bytes() {
    let window = Window::new(3, 2)
        .with_stride(2, 1)
        .with_dilation(1, 300)
        .with_padding(Padding {
            top: 1,
            bottom: 2,
            left: 3,
            right: 4,
        });
    let graph = Graph {
        name: "ab",
        tensors: vec![Tensor {
            shape: Shape::new(1, 200, 3),
            dtype: DType::F32,
            offset: 16384,
            last_use: 128,
        }],
        nodes: vec![
            node(Operator::Conv2dF32 {
                window,
                groups: 1,
                activation: Activation::Relu6,
                weights: 64,
                bias: Some(128),
            }),
            node(Operator::LeakyReluF32 { slope: 0.5 }),
        ],
        mean: vec![0.5],
        std: vec![-2.0],
        labels: vec!["é"],
        trainable_nodes: 1,
        extensions: vec![Extension {
            id: 7,
            required: true,
            bytes: &[0xaa, 0xbb],
        }],
    };
    let expected: &[&[u8]] = &[
        &[2, b'a', b'b'],          // name: length, UTF-8
        &[1],                      // one tensor
        &[1, 0xc8, 0x01, 3],       // height, width, channels
        &[0],                      // F32
        &[0x80, 0x80, 0x01],       // offset
        &[0x80, 0x01],             // last use
        &[2],                      // two nodes
        &[0],                      // Conv2dF32
        &[3, 2, 2, 1],             // kernel, stride
        &[1, 0xac, 0x02],          // dilation
        &[1, 2, 3, 4],             // padding: top, bottom, left, right
        &[1],                      // groups
        &[2],                      // Relu6
        &[64],                     // weights
        &[1, 0x80, 0x01],          // bias: present, offset
        &[1, 0],                   // one input: tensor 0
        &[6],                      // LeakyReluF32
        &0.5f32.to_le_bytes(),     // slope
        &[1, 0],                   // one input: tensor 0
        &[1],                      // one mean
        &0.5f32.to_le_bytes(),     //
        &[1],                      // one standard deviation
        &(-2f32).to_le_bytes(),    //
        &[1, 2, 0xc3, 0xa9],       // one label: length, UTF-8
        &[1],                      // one trainable node
        &[1, 7, 1, 2, 0xaa, 0xbb], // one extension: id, required, length, bytes
    ];
    let bytes = postcard::to_stdvec(&graph).expect("it can be written");
    assert_eq!(bytes, expected.concat());
}

fn node(operator: Operator) -> Node {
    Node {
        operator,
        inputs: [0].into_iter().collect(),
    }
}

#[test]
fn variants_have_the_numbers_of_the_page() {
    let first_byte =
        |operator: Operator| postcard::to_stdvec(&operator).expect("it can be written")[0];
    let window = Window::new(1, 1);
    let (rounding, count_padding) = (Rounding::Floor, CountPadding::Include);
    let (activation, weights, bias, groups) = (Activation::Identity, 0, None, 1);
    let function = BinaryFunction::Add;
    let (low, high) = (i8::MIN, i8::MAX);
    let operators = [
        (
            "Conv2dF32",
            bits::CONV2D_F32,
            Operator::Conv2dF32 {
                window,
                groups,
                activation,
                weights,
                bias,
            },
        ),
        (
            "LinearF32",
            bits::LINEAR_F32,
            Operator::LinearF32 {
                activation,
                weights,
                bias,
            },
        ),
        (
            "MaxPool2dF32",
            bits::MAX_POOL2D_F32,
            Operator::MaxPool2dF32 { window, rounding },
        ),
        (
            "AvgPool2dF32",
            bits::AVG_POOL2D_F32,
            Operator::AvgPool2dF32 {
                window,
                rounding,
                count_padding,
            },
        ),
        ("ReluF32", bits::RELU_F32, Operator::ReluF32),
        ("Relu6F32", bits::RELU6_F32, Operator::Relu6F32),
        (
            "LeakyReluF32",
            bits::LEAKY_RELU_F32,
            Operator::LeakyReluF32 { slope: 0.0 },
        ),
        ("SigmoidF32", bits::SIGMOID_F32, Operator::SigmoidF32),
        ("TanhF32", bits::TANH_F32, Operator::TanhF32),
        ("SoftmaxF32", bits::SOFTMAX_F32, Operator::SoftmaxF32),
        (
            "Conv2dMaxPool2dF32",
            bits::CONV2D_MAX_POOL2D_F32,
            Operator::Conv2dMaxPool2dF32 {
                window,
                groups,
                activation,
                weights,
                bias,
                pool: window,
                rounding,
            },
        ),
        (
            "BinaryF32",
            bits::BINARY_F32,
            Operator::BinaryF32 {
                function,
                activation,
            },
        ),
        (
            "BinaryConstantF32",
            bits::BINARY_CONSTANT_F32,
            Operator::BinaryConstantF32 {
                function,
                activation,
                shape: Shape::vector(1),
                operand: weights,
            },
        ),
        (
            "ChannelAffineF32",
            bits::CHANNEL_AFFINE_F32,
            Operator::ChannelAffineF32 {
                activation,
                scale: weights,
                shift: weights,
            },
        ),
        (
            "ClipF32",
            bits::CLIP_F32,
            Operator::ClipF32 {
                low: 0.0,
                high: 1.0,
            },
        ),
        ("EluF32", bits::ELU_F32, Operator::EluF32 { alpha: 1.0 }),
        (
            "HardSigmoidF32",
            bits::HARD_SIGMOID_F32,
            Operator::HardSigmoidF32 {
                alpha: 0.2,
                beta: 0.5,
            },
        ),
        ("HardSwishF32", bits::HARD_SWISH_F32, Operator::HardSwishF32),
        (
            "LogSoftmaxF32",
            bits::LOG_SOFTMAX_F32,
            Operator::LogSoftmaxF32,
        ),
        (
            "ConcatF32",
            bits::CONCAT_F32,
            Operator::ConcatF32 { axis: Axis::Height },
        ),
        (
            "SliceF32",
            bits::SLICE_F32,
            Operator::SliceF32 {
                start: [0; 3],
                step: [1; 3],
            },
        ),
        (
            "PadF32",
            bits::PAD_F32,
            Operator::PadF32 {
                before: [0; 3],
                value: 0.0,
            },
        ),
        (
            "UpsampleF32",
            bits::UPSAMPLE_F32,
            Operator::UpsampleF32 {
                factor_h: 1,
                factor_w: 1,
            },
        ),
        (
            "TransposeF32",
            bits::TRANSPOSE_F32,
            Operator::TransposeF32 {
                order: [Axis::Height, Axis::Width, Axis::Channels],
            },
        ),
        ("ReshapeF32", bits::RESHAPE_F32, Operator::ReshapeF32),
        ("QuantizeI8", bits::QUANTIZE_I8, Operator::QuantizeI8),
        ("DequantizeI8", bits::DEQUANTIZE_I8, Operator::DequantizeI8),
        (
            "Conv2dI8",
            bits::CONV2D_I8,
            Operator::Conv2dI8 {
                window: Window::new(1, 1),
                groups: 1,
                low,
                high,
                weights: 0,
                bias: None,
                scale: 0,
            },
        ),
        (
            "LinearI8",
            bits::LINEAR_I8,
            Operator::LinearI8 {
                low,
                high,
                weights: 0,
                bias: None,
                scale: 0,
            },
        ),
        (
            "MaxPool2dI8",
            bits::MAX_POOL2D_I8,
            Operator::MaxPool2dI8 {
                window: Window::new(1, 1),
                rounding: Rounding::Floor,
            },
        ),
        (
            "AvgPool2dI8",
            bits::AVG_POOL2D_I8,
            Operator::AvgPool2dI8 {
                window: Window::new(1, 1),
                rounding: Rounding::Floor,
                count_padding: CountPadding::Include,
            },
        ),
        ("AddI8", bits::ADD_I8, Operator::AddI8 { low, high }),
        ("SoftmaxI8", bits::SOFTMAX_I8, Operator::SoftmaxI8),
        (
            "RequantizeI8",
            bits::REQUANTIZE_I8,
            Operator::RequantizeI8 { low, high },
        ),
        ("ReshapeI8", bits::RESHAPE_I8, Operator::ReshapeI8),
        (
            "PadI8",
            bits::PAD_I8,
            Operator::PadI8 {
                before: [0; 3],
                value: 0,
            },
        ),
        (
            "ConcatI8",
            bits::CONCAT_I8,
            Operator::ConcatI8 {
                axis: Axis::Channels,
            },
        ),
        (
            "SliceI8",
            bits::SLICE_I8,
            Operator::SliceI8 {
                start: [0; 3],
                step: [1; 3],
            },
        ),
        (
            "TransposeI8",
            bits::TRANSPOSE_I8,
            Operator::TransposeI8 {
                order: [Axis::Height, Axis::Width, Axis::Channels],
            },
        ),
        (
            "UpsampleI8",
            bits::UPSAMPLE_I8,
            Operator::UpsampleI8 {
                factor_h: 1,
                factor_w: 1,
            },
        ),
    ];
    for (number, (name, bit, operator)) in operators.into_iter().enumerate() {
        let is_i8 = name.ends_with("I8");
        assert_eq!(operator.reads_i8(), is_i8 && name != "QuantizeI8", "{name}");
        let writes_i8 = is_i8 && name != "DequantizeI8";
        assert_eq!(operator.writes_i8(), writes_i8, "{name}");
        assert_eq!(usize::from(first_byte(operator)), number, "{name}");
        assert_eq!(operator.bit(), 1 << number, "{name}");
        assert_eq!(operator.bit(), bit, "{name}");
        assert_eq!(operator.name(), name);
        assert_eq!(operator_name(number as u32), name);
    }
    assert_eq!(bits::ALL, (1 << operators.len()) - 1);
    assert_eq!(operator_name(operators.len() as u32), "unknown");

    let number = |bytes: Result<Vec<u8>, _>| bytes.expect("it can be written");
    assert_eq!(number(postcard::to_stdvec(&DType::F32)), [0]);
    let quantized = DType::I8 {
        scale: 0.5,
        zero_point: -2,
    };
    assert_eq!(
        number(postcard::to_stdvec(&quantized)),
        [1, 0, 0, 0, 0x3f, 0xfe]
    );
    assert_eq!(number(postcard::to_stdvec(&Activation::Identity)), [0]);
    assert_eq!(number(postcard::to_stdvec(&Activation::Relu)), [1]);
    assert_eq!(number(postcard::to_stdvec(&Activation::Relu6)), [2]);
    assert_eq!(number(postcard::to_stdvec(&Rounding::Floor)), [0]);
    assert_eq!(number(postcard::to_stdvec(&Rounding::Ceil)), [1]);
    assert_eq!(number(postcard::to_stdvec(&CountPadding::Include)), [0]);
    assert_eq!(number(postcard::to_stdvec(&CountPadding::Exclude)), [1]);
    let functions = [
        BinaryFunction::Add,
        BinaryFunction::Subtract,
        BinaryFunction::ReverseSubtract,
        BinaryFunction::Multiply,
        BinaryFunction::Divide,
        BinaryFunction::ReverseDivide,
        BinaryFunction::Minimum,
        BinaryFunction::Maximum,
        BinaryFunction::PRelu,
    ];
    for (expected, function) in (0..).zip(functions) {
        assert_eq!(number(postcard::to_stdvec(&function)), [expected]);
    }
    for (expected, axis) in (0..).zip([Axis::Height, Axis::Width, Axis::Channels]) {
        assert_eq!(number(postcard::to_stdvec(&axis)), [expected]);
    }
}

#[test]
fn the_page_states_what_the_code_has() {
    let page = include_str!("../FORMAT.md");
    let states = |row: String| assert!(page.contains(&row), "FORMAT.md has no `{row}`");
    for (name, offset, len) in PREFIX_FIELDS {
        states(format!("| {offset} | {len} | `{name}` |"));
    }
    for bit in 0..bits::ALL.count_ones() {
        states(format!("| {bit} | `{}` |", operator_name(bit)));
    }
    states(format!("(`MAX_TENSORS`) | {MAX_TENSORS} |"));
    states(format!("(`MAX_INPUTS`) | {MAX_INPUTS} |"));
    states(format!("(`MAX_ELEMENTS`) | 2^{} |", MAX_ELEMENTS.ilog2()));
    states(format!("(`MAX_EXTENT`) | 2^{} |", MAX_EXTENT.ilog2()));
    let features = Linear::MAX_FEATURES.ilog2();
    states(format!("(`Linear::MAX_FEATURES`) | 2^{features} |"));
    assert!(MAX_ELEMENTS.is_power_of_two() && MAX_EXTENT.is_power_of_two());

    // The walk through the tiny file, at the end of the page, is that file.
    let (_, walk) = page
        .split_once("```\n04 74")
        .expect("the walk through the tiny file");
    let (walk, _) = walk.split_once("2f 00 ..").expect("the padding");
    let mut bytes = vec![0x04, 0x74];
    for line in walk.lines() {
        // Bytes come first, names in quotes, and two spaces before what they are.
        for part in line
            .trim_start()
            .split("   ")
            .next()
            .unwrap_or_default()
            .split(' ')
        {
            match part.strip_prefix('"') {
                Some(name) => bytes.extend(name.trim_end_matches('"').bytes()),
                None if part.is_empty() => {}
                None => bytes.push(u8::from_str_radix(part, 16).expect("a byte")),
            }
        }
    }
    assert_eq!(bytes, TINY.bytes[PREFIX_LEN..][..bytes.len()]);
    assert!(bytes.len() > 100);
}

#[test]
fn prefix_fields_lie_where_the_page_says() {
    let prefix = &TINY.bytes[..PREFIX_LEN];
    let mut end = 0;
    let field = |wanted: &str| {
        let found = PREFIX_FIELDS.iter().find(|(name, _, _)| *name == wanted);
        let (_, offset, len) = found.expect("a field of the prefix");
        &prefix[*offset..offset + len]
    };
    for (name, offset, len) in PREFIX_FIELDS {
        assert_eq!(offset, end, "{name} follows the field before");
        end += len;
    }
    assert_eq!(end, PREFIX_LEN);
    let model = Model::load(&TINY.bytes).expect("a valid file");
    let number = |name| u32::from_le_bytes(field(name).try_into().expect("four bytes")) as usize;
    assert_eq!(field("magic"), b"kinglet\0");
    assert_eq!(number("format_version"), 1);
    assert_eq!(
        ModelId(field("model_id").try_into().expect("16 bytes")),
        model.id()
    );
    assert_eq!(field("parent_id"), [0; 16]);
    assert_eq!(number("file_len"), TINY.bytes.len());
    assert_eq!(number("weights_len"), 4 * (20 + 4 + 24 + 3));
    assert_eq!(
        number("weights_offset") + number("weights_len"),
        TINY.bytes.len()
    );
    assert_eq!(number("weights_offset") % WEIGHTS_ALIGN, 0);
    assert_eq!(number("input_len"), 16);
    assert_eq!(number("output_len"), 3);
    assert_eq!(number("activation_bytes"), 192);
    assert_eq!(number("scratch_bytes"), 0);
    assert_eq!(number("records"), 3);
    assert_eq!(number("trainable_parameters"), 27);
    assert_eq!(number("suffix_values"), 3);
    assert_eq!(field("operators"), 0b111u64.to_le_bytes());
}

/// CRC-32/ISO-HDLC from its definition, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1))
        })
    })
}

#[test]
fn crcs_and_the_id_follow_their_definitions() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    for spec in [tiny(), every_operator()] {
        let bytes = file(&spec);
        let file = open(&bytes);
        let (covered, body) = (&bytes[..PREFIX_LEN - 4], &bytes[PREFIX_LEN..]);
        assert_eq!(file.prefix.prefix_crc, crc32(covered).to_le_bytes());
        assert_eq!(file.prefix.body_crc, crc32(body).to_le_bytes());
        let graph = postcard::to_stdvec(&file.graph).expect("it can be written");
        let digest = Sha256::new().chain_update(graph).chain_update(file.weights);
        assert_eq!(file.prefix.model_id, digest.finalize()[..16]);
    }
}

/// The schema as someone else would write it down from `FORMAT.md`, without this project's types.
mod page {
    use super::Deserialize;

    #[derive(Deserialize)]
    pub(crate) struct File<'a> {
        pub(crate) prefix: ([u8; 32], [u8; 32], [u8; 32], [u8; 4]),
        #[serde(borrow)]
        pub(crate) graph: Graph<'a>,
        pub(crate) padding: &'a [u8],
        pub(crate) weights: &'a [u8],
    }

    #[derive(Deserialize)]
    pub(crate) struct Graph<'a> {
        pub(crate) name: String,
        /// Height, width, channels, dtype, offset, last use.
        pub(crate) tensors: Vec<(u32, u32, u32, DType, u32, u16)>,
        pub(crate) nodes: Vec<(Operator, Vec<u16>)>,
        pub(crate) mean: Vec<f32>,
        pub(crate) std: Vec<f32>,
        pub(crate) labels: Vec<String>,
        pub(crate) trainable_nodes: u16,
        #[serde(borrow)]
        pub(crate) extensions: Vec<(u32, bool, &'a [u8])>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    pub(crate) enum DType {
        F32,
        I8(f32, i8),
    }

    /// Kernel, stride, dilation (height and width each), padding (top, bottom, left, right).
    type Window = ([u32; 2], [u32; 2], [u32; 2], [u32; 4]);

    #[derive(Debug, PartialEq, Deserialize)]
    pub(crate) enum Operator {
        Conv2d(Window, u32, u8, u32, Option<u32>),
        Linear(u8, u32, Option<u32>),
        MaxPool2d(Window, u8),
        AvgPool2d(Window, u8, u8),
        Relu,
        Relu6,
        LeakyRelu(f32),
        Sigmoid,
        Tanh,
        Softmax,
        Conv2dMaxPool2d(Window, u32, u8, u32, Option<u32>, Window, u8),
        Binary(u8, u8),
        BinaryConstant(u8, u8, [u32; 3], u32),
        ChannelAffine(u8, u32, u32),
        Clip(f32, f32),
        Elu(f32),
        HardSigmoid(f32, f32),
        HardSwish,
        LogSoftmax,
        Concat(u8),
        Slice([u32; 3], [u32; 3]),
        Pad([u32; 3], f32),
        Upsample(u32, u32),
        Transpose([u8; 3]),
        Reshape,
        Quantize,
        Dequantize,
        Conv2dI8(Window, u32, i8, i8, u32, Option<u32>, u32),
        LinearI8(i8, i8, u32, Option<u32>, u32),
        MaxPool2dI8(Window, u8),
        AvgPool2dI8(Window, u8, u8),
        AddI8(i8, i8),
        SoftmaxI8,
        RequantizeI8(i8, i8),
        ReshapeI8,
        PadI8([u32; 3], i8),
        ConcatI8(u8),
        SliceI8([u32; 3], [u32; 3]),
        TransposeI8([u8; 3]),
        UpsampleI8(u32, u32),
    }
}

#[test]
fn the_page_alone_suffices_to_read_a_file() {
    for spec in [tiny(), every_operator(), branching(), quantized()] {
        let bytes = file(&spec);
        let model = Model::load(&bytes).expect("a valid file");
        let (read, rest): (page::File<'_>, _) =
            postcard::take_from_bytes(&bytes).expect("readable");
        assert!(rest.is_empty());
        assert_eq!(read.prefix.0[..8], *b"kinglet\0");
        assert_eq!(read.graph.name, model.name());
        assert_eq!(read.graph.labels, model.labels().iter().collect::<Vec<_>>());
        assert_eq!(read.graph.mean, model.mean().iter().collect::<Vec<_>>());
        assert_eq!(read.graph.std, model.std().iter().collect::<Vec<_>>());
        assert_eq!(
            usize::from(read.graph.trainable_nodes),
            model.trainable_nodes()
        );
        assert!(read.graph.extensions.is_empty());
        assert!(read.padding.iter().all(|byte| *byte == 0));
        let weights: Vec<f32> = read
            .weights
            .chunks(4)
            .map(|word| f32::from_le_bytes(word.try_into().expect("whole words")))
            .collect();
        // By their bits: four 8-bit weights may look like a NaN.
        assert_eq!(bits_of(&weights), bits_of(model.weights()));
        assert_eq!(read.graph.tensors.len(), model.tensors().len());
        for (read, tensor) in read.graph.tensors.iter().zip(model.tensors().iter()) {
            let Shape {
                height,
                width,
                channels,
            } = tensor.shape;
            let (h, w, c) = (height as u32, width as u32, channels as u32);
            let dtype = match tensor.dtype {
                DType::F32 => page::DType::F32,
                DType::I8 { scale, zero_point } => page::DType::I8(scale, zero_point),
            };
            assert_eq!(*read, (h, w, c, dtype, tensor.offset, tensor.last_use));
        }
        assert_eq!(read.graph.nodes.len(), model.nodes().len());
        for (read, node) in read.graph.nodes.iter().zip(model.nodes().iter()) {
            assert_eq!(read.1, node.inputs.as_slice());
            let words = |window: Window| {
                let p = window.padding;
                let all = [
                    [window.kernel_h, window.kernel_w],
                    [window.stride_h, window.stride_w],
                    [window.dilation_h, window.dilation_w],
                ];
                let [kernel, stride, dilation] = all.map(|pair| pair.map(|n| n as u32));
                let padding = [p.top, p.bottom, p.left, p.right].map(|n| n as u32);
                (kernel, stride, dilation, padding)
            };
            let numbers = |values: [usize; 3]| values.map(|value| value as u32);
            use page::Operator as Page;
            let expected = match node.operator {
                Operator::Conv2dF32 {
                    window,
                    groups,
                    activation,
                    weights,
                    bias,
                } => Page::Conv2d(words(window), groups, activation as u8, weights, bias),
                Operator::LinearF32 {
                    activation,
                    weights,
                    bias,
                } => Page::Linear(activation as u8, weights, bias),
                Operator::MaxPool2dF32 { window, rounding } => {
                    Page::MaxPool2d(words(window), rounding as u8)
                }
                Operator::AvgPool2dF32 {
                    window,
                    rounding,
                    count_padding,
                } => Page::AvgPool2d(words(window), rounding as u8, count_padding as u8),
                Operator::ReluF32 => Page::Relu,
                Operator::Relu6F32 => Page::Relu6,
                Operator::LeakyReluF32 { slope } => Page::LeakyRelu(slope),
                Operator::SigmoidF32 => Page::Sigmoid,
                Operator::TanhF32 => Page::Tanh,
                Operator::SoftmaxF32 => Page::Softmax,
                Operator::Conv2dMaxPool2dF32 {
                    window,
                    groups,
                    activation,
                    weights,
                    bias,
                    pool,
                    rounding,
                } => Page::Conv2dMaxPool2d(
                    words(window),
                    groups,
                    activation as u8,
                    weights,
                    bias,
                    words(pool),
                    rounding as u8,
                ),
                Operator::BinaryF32 {
                    function,
                    activation,
                } => Page::Binary(function as u8, activation as u8),
                Operator::BinaryConstantF32 {
                    function,
                    activation,
                    shape:
                        Shape {
                            height,
                            width,
                            channels,
                        },
                    operand,
                } => {
                    let shape = numbers([height, width, channels]);
                    Page::BinaryConstant(function as u8, activation as u8, shape, operand)
                }
                Operator::ChannelAffineF32 {
                    activation,
                    scale,
                    shift,
                } => Page::ChannelAffine(activation as u8, scale, shift),
                Operator::ClipF32 { low, high } => Page::Clip(low, high),
                Operator::EluF32 { alpha } => Page::Elu(alpha),
                Operator::HardSigmoidF32 { alpha, beta } => Page::HardSigmoid(alpha, beta),
                Operator::HardSwishF32 => Page::HardSwish,
                Operator::LogSoftmaxF32 => Page::LogSoftmax,
                Operator::ConcatF32 { axis } => Page::Concat(axis as u8),
                Operator::SliceF32 { start, step } => Page::Slice(numbers(start), numbers(step)),
                Operator::PadF32 { before, value } => Page::Pad(numbers(before), value),
                Operator::UpsampleF32 { factor_h, factor_w } => Page::Upsample(factor_h, factor_w),
                Operator::TransposeF32 { order } => Page::Transpose(order.map(|axis| axis as u8)),
                Operator::ReshapeF32 => Page::Reshape,
                Operator::QuantizeI8 => Page::Quantize,
                Operator::DequantizeI8 => Page::Dequantize,
                Operator::Conv2dI8 {
                    window,
                    groups,
                    low,
                    high,
                    weights,
                    bias,
                    scale,
                } => Page::Conv2dI8(words(window), groups, low, high, weights, bias, scale),
                Operator::LinearI8 {
                    low,
                    high,
                    weights,
                    bias,
                    scale,
                } => Page::LinearI8(low, high, weights, bias, scale),
                Operator::MaxPool2dI8 { window, rounding } => {
                    Page::MaxPool2dI8(words(window), rounding as u8)
                }
                Operator::AvgPool2dI8 {
                    window,
                    rounding,
                    count_padding,
                } => Page::AvgPool2dI8(words(window), rounding as u8, count_padding as u8),
                Operator::AddI8 { low, high } => Page::AddI8(low, high),
                Operator::SoftmaxI8 => Page::SoftmaxI8,
                Operator::RequantizeI8 { low, high } => Page::RequantizeI8(low, high),
                Operator::ReshapeI8 => Page::ReshapeI8,
                Operator::PadI8 { before, value } => Page::PadI8(numbers(before), value),
                Operator::ConcatI8 { axis } => Page::ConcatI8(axis as u8),
                Operator::SliceI8 { start, step } => Page::SliceI8(numbers(start), numbers(step)),
                Operator::TransposeI8 { order } => Page::TransposeI8(order.map(|axis| axis as u8)),
                Operator::UpsampleI8 { factor_h, factor_w } => Page::UpsampleI8(factor_h, factor_w),
            };
            assert_eq!(read.0, expected);
        }
    }
}

#[test]
fn the_schema_reads_what_the_model_shows() {
    let bytes = file(&every_operator());
    let model = Model::load(&bytes).expect("a valid file");
    let file: File<'_> = open(&bytes);
    assert_eq!(file.graph.name, model.name());
    assert_eq!(
        file.graph.tensors,
        model.tensors().iter().collect::<Vec<_>>()
    );
    assert_eq!(file.graph.nodes, model.nodes().iter().collect::<Vec<_>>());
    assert_eq!(file.graph.tensors[0].shape, model.input());
    assert_eq!(
        file.graph.tensors.last().map(|tensor| tensor.shape),
        Some(model.output())
    );
    assert_eq!(file.prefix.model_id, model.id().0);
    assert_eq!(file.weights, bytes_of(model.weights()));
    // Written again by the schema, it is the same file.
    let again = postcard::to_stdvec(&file).expect("it can be written");
    assert_eq!(again, &bytes[..]);
}

fn bytes_of(weights: &[f32]) -> Vec<u8> {
    weights.iter().flat_map(|w| w.to_le_bytes()).collect()
}

#[test]
fn the_exporter_and_the_page_agree_on_the_prefix() {
    for spec in [tiny(), every_operator(), quantized()] {
        let bytes = file(&spec);
        let mut file = open(&bytes);
        let id = file.prefix.model_id;
        file.prefix = Prefix {
            model_id: id,
            ..honest_prefix(&file.graph)
        };
        assert!(seal(&file) == bytes[..], "{}", spec.name);
    }
}

#[test]
fn labels_and_names_are_text() {
    let spec = GraphSpec {
        name: "Größe".into(),
        labels: vec!["猫".into(), String::new()],
        ..chain("", Shape::vector(2), vec![OperatorSpec::Unary(Unary::Relu)])
    };
    let file = file(&spec);
    let model = Model::load(&file).expect("a valid file");
    assert_eq!(model.name(), "Größe");
    assert_eq!(model.label(0), Some("猫"));
    assert_eq!(model.label(1), Some(""));
    assert_eq!(model.label(2), None);
}

#[test]
fn a_model_without_weights_is_a_model() {
    let relu = || OperatorSpec::Unary(Unary::Relu);
    let file = file(&chain("", Shape::vector(1), vec![relu()]));
    let model = Model::load(&file).expect("a valid file");
    assert!(model.weights().is_empty());
    assert_eq!(model.sizes().operators, bits::RELU_F32);
}

#[test]
fn the_exporter_refuses_what_no_reader_would_take() {
    let relu = || OperatorSpec::Unary(Unary::Relu);
    let refused = |spec: &GraphSpec| encode(spec).map(|_| ()).expect_err("refused");
    let many = |nodes| {
        let operators = (0..nodes).map(|_| relu()).collect();
        chain("many", Shape::vector(1), operators)
    };
    assert!(encode(&many(1023)).is_ok());
    let found = 1025;
    assert_eq!(
        refused(&many(1024)),
        LoadError::TensorCount { found }.into()
    );
    assert_eq!(
        refused(&many(0)),
        LoadError::TensorCount { found: 1 }.into()
    );
    let huge = chain("huge", Shape::new(usize::MAX, 2, 2), vec![relu()]);
    assert_eq!(refused(&huge), LoadError::Tensor { tensor: 0 }.into());
    let empty = chain("empty", Shape::new(1, 0, 1), vec![relu()]);
    assert_eq!(refused(&empty), LoadError::Tensor { tensor: 0 }.into());

    let mut later = many(3);
    later.nodes[1].inputs = vec![2];
    assert_eq!(refused(&later), EncodeError::Input { node: 1 });
    later.nodes[1].inputs = vec![0, 1];
    assert_eq!(refused(&later), LoadError::Shape { node: 1 }.into());
    later.nodes[1].inputs = vec![];
    assert_eq!(refused(&later), EncodeError::Input { node: 1 });

    let linear = |weights, bias| {
        let linear = OperatorSpec::Linear {
            out_features: 2,
            activation: Activation::Identity,
            weights: vec![0.0; weights],
            bias: Some(vec![0.0; bias]),
        };
        chain("linear", Shape::vector(3), vec![linear])
    };
    assert!(encode(&linear(6, 2)).is_ok());
    let parameters = |expected, found| EncodeError::Parameters {
        node: 0,
        expected,
        found,
    };
    assert_eq!(refused(&linear(5, 2)), parameters(6, 5));
    assert_eq!(refused(&linear(6, 3)), parameters(2, 3));
    let trainable = GraphSpec {
        trainable_nodes: 1,
        ..many(2)
    };
    assert_eq!(refused(&trainable), LoadError::Suffix { node: 1 }.into());
    let pool = OperatorSpec::MaxPool2d {
        window: Window::new(2, 2).with_stride(0, 1),
        rounding: Rounding::Floor,
    };
    let reason = ParamsError::Zero;
    assert_eq!(
        refused(&chain("pool", Shape::new(4, 4, 1), vec![pool])),
        LoadError::Params { node: 0, reason }.into()
    );
    let overlapping = OperatorSpec::Conv2dMaxPool2d {
        window: Window::new(1, 1),
        groups: 1,
        out_channels: 1,
        activation: Activation::Identity,
        weights: vec![1.0],
        bias: None,
        pool: Window::new(2, 2),
        rounding: Rounding::Floor,
    };
    let reason = ParamsError::NotFusible;
    assert_eq!(
        refused(&chain("pooled", Shape::new(4, 4, 1), vec![overlapping])),
        LoadError::Params { node: 0, reason }.into()
    );
}

#[test]
fn loading_takes_any_multiple_of_four() {
    let file = file(&tiny());
    let mut shifted = vec![0; 64];
    shifted.extend_from_slice(&file);
    for shift in [4, 8, 20, 60] {
        let shifted = AlignedBytes::from(&shifted[64 - shift..]);
        let model = Model::load(&shifted[shift..]).expect("words are aligned");
        assert_eq!(model.name(), "tiny");
    }
}
