//! The model file as `FORMAT.md` describes it: bytes that may never change, read by hand, by a plain postcard
//! derive, in `const` context and by the runtime.

use kinglet::model::schema::{
    DType, Extension, File, Graph, Input, MAX_ELEMENTS, MAX_ENDS, MAX_INPUTS, MAX_RANK,
    MAX_TENSORS, Node, Output, PREFIX_LEN, Prefix, Source, Tensor, WEIGHTS_ALIGN, bits,
    operation_name,
};
use kinglet::model::{
    EncodeError, GraphSpec, InputSpec, NodeSpec, OutputSpec, TensorSpec, encode, with_head,
};
use kinglet::operator::{
    self, AvgPool2d, Binary, BinaryConstant, ChannelAffine, Concat, Conv2d, Conv2dMaxPool2d,
    Dequantize, Element, InFile, Layer, LayerI8, LogSoftmax, MaxPool2d, Offset, Operator, Pad,
    Quantize, QuantizedAdd, QuantizedBinary, QuantizedConv2d, QuantizedLinear, Requantize, Reshape,
    Slice, Softmax, Table, Transpose, Upsample,
};
use kinglet::{Aligned, AlignedBytes, LoadError, Model, ModelId, Sgd, Sizes, include_model};
use kinglet_kernels::params::MAX_EXTENT;
use kinglet_kernels::{
    Activation, Axis, BinaryFunction, CountPadding, Linear, Padding, ParamsError, Quantization,
    Rounding, Shape, Unary, Window,
};
use kinglet_tests::bits_of;
use kinglet_tests::branching::branching;
use kinglet_tests::builder::Builder;
use kinglet_tests::ends::{many_ends, nchw};
use kinglet_tests::graphs::{chain, every_operator, file, one, tiny};
use kinglet_tests::quantized::{ends_quantized, quantized, tiny_i8, whole_i8};
use kinglet_tests::seal::{PREFIX_FIELDS, bit, honest_prefix, open, seal};
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
    let tensors = vec![
        Tensor {
            shape: Shape::new(1, 200, 3),
            dtype: DType::F32,
            offset: 16384,
            last_use: 258,
        },
        Tensor {
            shape: Shape::new(70_000, 2, 1),
            dtype: DType::I8 {
                scale: 0.5,
                zero_point: -2,
            },
            offset: 0x0403_0210,
            last_use: 1,
        },
    ];
    let convolution = Conv2d {
        window,
        groups: 1,
        activation: Activation::Relu6,
        layer: Layer {
            weights: Offset::new(64).into(),
            bias: Some(Offset::new(128)),
        },
    };
    let source = Source {
        shape: [3, 200].into_iter().collect(),
        order: [Axis::Channels, Axis::Height, Axis::Width],
    };
    let graph = Graph {
        name: "ab",
        tensors,
        nodes: vec![node(convolution), node(Unary::LeakyRelu { slope: 0.5 })],
        inputs: vec![Input {
            name: "in",
            source: Some(source),
            normalization: &[1, 2, 3, 4, 5, 6, 7, 8],
        }],
        outputs: vec![
            Output {
                name: "é",
                tensor: 300,
                source: None,
                labels: "x\ny\n",
            },
            Output {
                name: "",
                tensor: 1,
                source: None,
                labels: "",
            },
        ],
        trainable_nodes: 1,
        extensions: vec![Extension {
            id: 7,
            required: true,
            bytes: &[0xaa, 0xbb],
        }],
    };
    let expected: &[&[u8]] = &[
        &[2, b'a', b'b'],               // name: length, UTF-8
        &[2],                           // two tensors
        &[1, 0, 0, 0],                  // height
        &[200, 0, 0, 0],                // width
        &[3, 0, 0, 0],                  // channels
        &[0, 0x40, 0, 0],               // offset
        &[2, 1],                        // last use
        &[0],                           // F32
        &[0],                           // no zero point
        &[0, 0, 0, 0],                  // no scale
        &[0x70, 0x11, 0x01, 0],         // the next tensor's height
        &[2, 0, 0, 0, 1, 0, 0, 0],      // width, channels
        &[0x10, 0x02, 0x03, 0x04],      // offset
        &[1, 0],                        // last use
        &[1],                           // I8
        &[0xfe],                        // zero point
        &0.5f32.to_le_bytes(),          // scale
        &[2],                           // two nodes
        &[0],                           // Conv2d
        &[3, 2, 2, 1],                  // kernel, stride
        &[1, 0xac, 0x02],               // dilation
        &[1, 2, 3, 4],                  // padding: top, bottom, left, right
        &[1],                           // groups
        &[2],                           // Relu6
        &[0, 64],                       // weights: in order 0, offset
        &[1, 0x80, 0x01],               // bias: present, offset
        &[1, 0],                        // one input: tensor 0
        &[5, 2],                        // Unary, LeakyRelu
        &0.5f32.to_le_bytes(),          // slope
        &[1, 0],                        // one input: tensor 0
        &[1],                           // one input of the model
        &[2, b'i', b'n'],               // name
        &[1, 2, 3, 0xc8, 0x01],         // source: present, two axes, 3 and 200
        &[2, 0, 1],                     // channels, height, width
        &[8, 1, 2, 3, 4, 5, 6, 7, 8],   // normalization: length, bytes
        &[2],                           // two outputs
        &[2, 0xc3, 0xa9],               // name: length, UTF-8
        &[0xac, 0x02],                  // tensor
        &[0],                           // no source
        &[4, b'x', b'\n', b'y', b'\n'], // labels: length, each with its end
        &[0, 1, 0, 0],                  // no name, tensor 1, no source, no labels
        &[1],                           // one trainable node
        &[1, 7, 1, 2, 0xaa, 0xbb],      // one extension: id, required, length, bytes
    ];
    let bytes = postcard::to_stdvec(&graph).expect("it can be written");
    assert_eq!(bytes, expected.concat());
    assert_eq!(postcard::from_bytes::<Graph<'_>>(&bytes), Ok(graph));
}

fn node(operator: impl Into<Operator>) -> Node {
    Node {
        operator: operator.into(),
        inputs: [0].into_iter().collect(),
    }
}

/// Parameters somewhere.
fn layer() -> Layer {
    Layer {
        weights: Offset::new(0).into(),
        bias: None,
    }
}

fn layer_i8() -> LayerI8 {
    LayerI8 {
        weights: Offset::new(0).into(),
        bias: None,
        scale: Offset::new(0),
    }
}

fn convolution() -> Conv2d {
    Conv2d {
        window: Window::new(1, 1),
        groups: 1,
        activation: Activation::Identity,
        layer: layer(),
    }
}

/// Every operator, with its name, in the order of their numbers.
fn operators() -> Vec<(&'static str, Operator)> {
    let window = Window::new(1, 1);
    let (rounding, count_padding) = (Rounding::Floor, CountPadding::Include);
    let (activation, function) = (Activation::Identity, BinaryFunction::Add);
    let (low, high) = (i8::MIN, i8::MAX);
    let somewhere = Offset::new(0);
    let linear = operator::Linear {
        activation,
        layer: layer(),
    };
    let joined = Conv2dMaxPool2d {
        conv: convolution(),
        pool: window,
        rounding,
    };
    let average = AvgPool2d {
        window,
        rounding,
        count_padding,
    };
    let binary = Binary {
        function,
        activation,
    };
    let constant = BinaryConstant {
        function,
        activation,
        shape: Shape::vector(1),
        operand: somewhere,
    };
    let affine = ChannelAffine {
        activation,
        scale: somewhere,
        shift: somewhere,
    };
    let slice = Slice {
        start: [0; 3],
        step: [1; 3],
    };
    let pad = Pad {
        before: [0; 3],
        value: 0.0,
    };
    let upsample = Upsample {
        factor_h: 1,
        factor_w: 1,
    };
    let transpose = Transpose {
        order: [Axis::Height, Axis::Width, Axis::Channels],
    };
    let quantized_conv2d = QuantizedConv2d {
        window,
        groups: 1,
        low,
        high,
        layer: layer_i8(),
    };
    let quantized_linear = QuantizedLinear {
        low,
        high,
        layer: layer_i8(),
    };
    let quantized_binary = QuantizedBinary {
        function,
        low,
        high,
    };
    vec![
        ("Conv2d", convolution().into()),
        ("Linear", linear.into()),
        ("Conv2dMaxPool2d", joined.into()),
        ("MaxPool2d", MaxPool2d { window, rounding }.into()),
        ("AvgPool2d", average.into()),
        ("Unary", Unary::Relu.into()),
        ("Softmax", Softmax.into()),
        ("LogSoftmax", LogSoftmax.into()),
        ("Binary", binary.into()),
        ("BinaryConstant", constant.into()),
        ("ChannelAffine", affine.into()),
        ("Concat", Concat { axis: Axis::Height }.into()),
        ("Slice", slice.into()),
        ("Pad", pad.into()),
        ("Upsample", upsample.into()),
        ("Transpose", transpose.into()),
        ("Reshape", Reshape.into()),
        ("Quantize", Quantize.into()),
        ("Dequantize", Dequantize.into()),
        ("Requantize", Requantize { low, high }.into()),
        ("QuantizedConv2d", quantized_conv2d.into()),
        ("QuantizedLinear", quantized_linear.into()),
        ("QuantizedAdd", QuantizedAdd { low, high }.into()),
        (
            "Table",
            Operator::Table(Table {
                entries: Offset::new(16),
            }),
        ),
        ("QuantizedBinary", quantized_binary.into()),
    ]
}

/// Every function of one element, with its name, in the order of their numbers.
fn functions() -> [(&'static str, Unary); 22] {
    [
        ("Relu", Unary::Relu),
        ("Relu6", Unary::Relu6),
        ("LeakyRelu", Unary::LeakyRelu { slope: 0.0 }),
        ("Sigmoid", Unary::Sigmoid),
        ("Tanh", Unary::Tanh),
        (
            "Clip",
            Unary::Clip {
                low: 0.0,
                high: 1.0,
            },
        ),
        ("Elu", Unary::Elu { alpha: 1.0 }),
        (
            "HardSigmoid",
            Unary::HardSigmoid {
                alpha: 0.2,
                beta: 0.5,
            },
        ),
        ("HardSwish", Unary::HardSwish),
        (
            "Selu",
            Unary::Selu {
                alpha: 1.5,
                gamma: 1.0,
            },
        ),
        ("Swish", Unary::Swish { alpha: 1.0 }),
        ("Softplus", Unary::Softplus),
        ("Softsign", Unary::Softsign),
        ("Mish", Unary::Mish),
        ("Gelu", Unary::Gelu),
        ("GeluTanh", Unary::GeluTanh),
        ("Erf", Unary::Erf),
        ("Abs", Unary::Abs),
        ("Exp", Unary::Exp),
        ("Log", Unary::Log),
        ("Sqrt", Unary::Sqrt),
        ("Power", Unary::Power { exponent: 2.5 }),
    ]
}

/// The name of each bit of the prefix's bitmap, but for those of functions: which operator computes what elements.
const OPERATIONS: [(u128, u32, &str, &str, Element); 33] = {
    use Element::{F32, I8};
    [
        (bits::CONV2D_F32, 0, "Conv2dF32", "Conv2d", F32),
        (bits::LINEAR_F32, 1, "LinearF32", "Linear", F32),
        (
            bits::CONV2D_MAX_POOL2D_F32,
            2,
            "Conv2dMaxPool2dF32",
            "Conv2dMaxPool2d",
            F32,
        ),
        (bits::MAX_POOL2D_F32, 3, "MaxPool2dF32", "MaxPool2d", F32),
        (bits::AVG_POOL2D_F32, 4, "AvgPool2dF32", "AvgPool2d", F32),
        (bits::SOFTMAX_F32, 14, "SoftmaxF32", "Softmax", F32),
        (
            bits::LOG_SOFTMAX_F32,
            15,
            "LogSoftmaxF32",
            "LogSoftmax",
            F32,
        ),
        (bits::BINARY_F32, 16, "BinaryF32", "Binary", F32),
        (
            bits::BINARY_CONSTANT_F32,
            17,
            "BinaryConstantF32",
            "BinaryConstant",
            F32,
        ),
        (
            bits::CHANNEL_AFFINE_F32,
            18,
            "ChannelAffineF32",
            "ChannelAffine",
            F32,
        ),
        (bits::CONCAT_F32, 19, "ConcatF32", "Concat", F32),
        (bits::SLICE_F32, 20, "SliceF32", "Slice", F32),
        (bits::PAD_F32, 21, "PadF32", "Pad", F32),
        (bits::UPSAMPLE_F32, 22, "UpsampleF32", "Upsample", F32),
        (bits::TRANSPOSE_F32, 23, "TransposeF32", "Transpose", F32),
        (bits::RESHAPE_F32, 24, "ReshapeF32", "Reshape", F32),
        (bits::QUANTIZE_I8, 25, "QuantizeI8", "Quantize", F32),
        (bits::DEQUANTIZE_I8, 26, "DequantizeI8", "Dequantize", I8),
        (bits::REQUANTIZE_I8, 27, "RequantizeI8", "Requantize", I8),
        (bits::MAX_POOL2D_I8, 28, "MaxPool2dI8", "MaxPool2d", I8),
        (bits::AVG_POOL2D_I8, 29, "AvgPool2dI8", "AvgPool2d", I8),
        (bits::SOFTMAX_I8, 30, "SoftmaxI8", "Softmax", I8),
        (bits::CONCAT_I8, 31, "ConcatI8", "Concat", I8),
        (bits::SLICE_I8, 32, "SliceI8", "Slice", I8),
        (bits::PAD_I8, 33, "PadI8", "Pad", I8),
        (bits::UPSAMPLE_I8, 34, "UpsampleI8", "Upsample", I8),
        (bits::TRANSPOSE_I8, 35, "TransposeI8", "Transpose", I8),
        (bits::RESHAPE_I8, 36, "ReshapeI8", "Reshape", I8),
        (bits::CONV2D_I8, 37, "Conv2dI8", "QuantizedConv2d", I8),
        (bits::LINEAR_I8, 38, "LinearI8", "QuantizedLinear", I8),
        (bits::ADD_I8, 39, "AddI8", "QuantizedAdd", I8),
        (bits::TABLE_I8, 53, "TableI8", "Table", I8),
        (bits::BINARY_I8, 54, "BinaryI8", "QuantizedBinary", I8),
    ]
};

fn written(operator: impl Into<Operator>) -> Vec<u8> {
    let operator = operator.into();
    postcard::to_stdvec(&operator).expect("it can be written")
}

#[test]
fn variants_have_the_numbers_of_the_page() {
    let in_place = [
        "Unary",
        "Softmax",
        "LogSoftmax",
        "Binary",
        "BinaryConstant",
        "ChannelAffine",
        "Reshape",
        "Requantize",
        "QuantizedAdd",
        "Table",
        "QuantizedBinary",
    ];
    for (number, (name, operator)) in (0..).zip(operators()) {
        assert_eq!(written(operator.clone())[0], number, "{name}");
        assert_eq!(operator.name(), name);
        let inputs = match name {
            "Binary" | "QuantizedAdd" | "QuantizedBinary" => 2..=2,
            "Concat" => 1..=4,
            _ => 1..=1,
        };
        assert_eq!(operator.inputs(), inputs, "{name}");
        assert_eq!(operator.in_place(), in_place.contains(&name), "{name}");
        // What has no row in the table of operations has no bit.
        for element in [Element::F32, Element::I8] {
            let mut rows = OPERATIONS.iter();
            let row = rows.find(|(.., of, on)| *of == name && *on == element);
            let expected = match (name, element) {
                ("Unary", Element::F32) => Some(5),
                _ => row.map(|(_, bit, ..)| *bit),
            };
            assert_eq!(bit(&operator, element), expected, "{name}");
        }
    }
    for (bits, bit, name, ..) in OPERATIONS {
        assert_eq!(bits, 1 << bit, "{name}");
        assert_eq!(operation_name(bit), name);
    }
    for (number, (name, function)) in (0u8..).zip(functions()) {
        assert_eq!(written(function)[..2], [5, number], "{name}");
        // Those that were there first have bits between those of operators.
        let of_function = u32::from(number) + if number < 9 { 5 } else { 31 };
        assert_eq!(bit(&function.into(), Element::F32), Some(of_function));
        assert_eq!(operation_name(of_function), format!("{name}F32"));
    }
    assert_eq!(bits::UNARY_F32, (0b1_1111_1111 << 5) | (0x1fff << 40));
    assert_eq!(bits::ALL, (1 << 55) - 1);
    assert_eq!(operation_name(55), "an unknown operator");
    assert_eq!(operation_name(127), "an unknown operator");
}

#[test]
fn vocabulary_has_the_numbers_of_the_page() {
    use BinaryFunction::*;
    let activations = [Activation::Identity, Activation::Relu, Activation::Relu6];
    for (number, activation) in (0..).zip(activations) {
        let layer = layer();
        let linear = operator::Linear { activation, layer };
        assert_eq!(written(linear), [1, number, 0, 0, 0]);
    }
    let window = Window::new(1, 1);
    for (number, rounding) in (0..).zip([Rounding::Floor, Rounding::Ceil]) {
        let bytes = written(MaxPool2d { window, rounding });
        assert_eq!(bytes, [3, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, number]);
    }
    for (number, count_padding) in (0..).zip([CountPadding::Include, CountPadding::Exclude]) {
        let rounding = Rounding::Ceil;
        let pool = AvgPool2d {
            window,
            rounding,
            count_padding,
        };
        assert_eq!(written(pool)[11..], [1, number]);
    }
    let functions = [
        Add,
        Subtract,
        ReverseSubtract,
        Multiply,
        Divide,
        ReverseDivide,
        Minimum,
        Maximum,
        PRelu,
    ];
    for (number, function) in (0..).zip(functions) {
        let activation = Activation::Relu;
        let binary = Binary {
            function,
            activation,
        };
        assert_eq!(written(binary), [8, number, 1]);
    }
    for (number, axis) in (0..).zip([Axis::Height, Axis::Width, Axis::Channels]) {
        assert_eq!(written(Concat { axis }), [11, number]);
    }
}

#[test]
fn the_page_states_what_the_code_has() {
    let page = include_str!("../FORMAT.md");
    let states = |row: String| assert!(page.contains(&row), "FORMAT.md has no `{row}`");
    for (name, offset, len) in PREFIX_FIELDS {
        states(format!("| {offset} | {len} | `{name}` |"));
    }
    // An operator's number, name, and its bits, where it has one for a type of elements.
    for (number, (name, operator)) in operators().iter().enumerate() {
        let cell = |element| match (*name, bit(operator, element)) {
            ("Unary", Some(_)) => " 5 to 13, 40 to 52 |".to_owned(),
            (_, Some(bit)) => format!(" {bit} |"),
            (_, None) => " |".to_owned(),
        };
        let (f32, i8) = (cell(Element::F32), cell(Element::I8));
        states(format!("| {number} | `{name}` |{f32}{i8}"));
    }
    for (number, (name, function)) in functions().into_iter().enumerate() {
        let bit = bit(&function.into(), Element::F32).expect("each has one");
        states(format!("| {number} | {bit} | `{name}` |"));
    }
    states(format!("(`MAX_TENSORS`) | {MAX_TENSORS} |"));
    states(format!("(`MAX_INPUTS`) | {MAX_INPUTS} |"));
    states(format!("(`MAX_ENDS`) | {MAX_ENDS} each |"));
    states(format!("at most {MAX_RANK} axes"));
    states(format!("(`MAX_ELEMENTS`) | 2^{} |", MAX_ELEMENTS.ilog2()));
    states(format!("(`MAX_EXTENT`) | 2^{} |", MAX_EXTENT.ilog2()));
    let features = Linear::MAX_FEATURES.ilog2();
    states(format!("(`Linear::MAX_FEATURES`) | 2^{features} |"));
    assert!(MAX_ELEMENTS.is_power_of_two() && MAX_EXTENT.is_power_of_two());

    // The walk through the tiny file, at the end of the page, is that file.
    let (_, walk) = page
        .split_once("```\n04 74")
        .expect("the walk through the tiny file");
    let (walk, _) = walk.split_once("0e 00 ..").expect("the padding");
    let mut bytes = vec![0x04, 0x74];
    for line in walk.lines() {
        // Bytes come first, names in quotes, the rest of a number of four bytes as two dots, and two spaces before
        // what they are.
        let (parts, _) = line
            .trim_start()
            .split_once("  ")
            .unwrap_or((line.trim_start(), ""));
        for part in parts.split(' ') {
            match part.strip_prefix('"') {
                Some(name) => bytes.extend(name.trim_end_matches('"').replace("\\n", "\n").bytes()),
                None if part.is_empty() => {}
                None if part == ".." => bytes.extend([0; 3]),
                None => bytes.push(u8::from_str_radix(part, 16).expect("a byte")),
            }
        }
    }
    assert_eq!(bytes, TINY.bytes[PREFIX_LEN..][..bytes.len()]);
    assert_eq!(bytes.len(), 195, "up to the padding");
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
    assert_eq!(number("sum_terms"), 9);
    assert_eq!(number("records"), 3);
    assert_eq!(number("trainable_parameters"), 27);
    assert_eq!(number("suffix_values"), 3);
    assert_eq!(field("operators"), 0b1011u128.to_le_bytes());
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
fn crcs_follow_their_definition() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    for spec in [tiny(), every_operator(), quantized()] {
        let bytes = file(&spec);
        let file = open(&bytes);
        let (covered, body) = (&bytes[..PREFIX_LEN - 4], &bytes[PREFIX_LEN..]);
        assert_eq!(file.prefix.prefix_crc, crc32(covered).to_le_bytes());
        assert_eq!(file.prefix.body_crc, crc32(body).to_le_bytes());
    }
}

fn id_of(spec: &GraphSpec) -> ModelId {
    Model::load(&file(spec)).expect("a valid file").id()
}

/// A tensor of real numbers as the id counts it in: wherever it lies, however long it lives.
fn real_tensor(height: u8, width: u8, channels: u8) -> Vec<u8> {
    let mut bytes = vec![0; 24];
    (bytes[0], bytes[4], bytes[8]) = (height, width, channels);
    bytes
}

/// Parameters as the id counts them in: how many, and each.
fn counted(values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![values.len() as u8];
    bytes.extend(bytes_of(values));
    bytes
}

#[test]
fn the_id_is_a_hash_of_what_is_computed() {
    let spec = tiny();
    let parameters = |node: usize| -> [Vec<u8>; 2] {
        let layer = match &spec.nodes[node].operator {
            Operator::Conv2d(conv) => &conv.layer,
            Operator::Linear(linear) => &linear.layer,
            other => panic!("{other:?} has no layer"),
        };
        let bias = layer.bias.as_ref().expect("it has one");
        [counted(&layer.weights), counted(bias)]
    };
    let (conv, linear) = (parameters(0), parameters(2));
    let computed: &[&[u8]] = &[
        &[1], // one input
        &real_tensor(4, 4, 1),
        &counted(&[0.5]),  // mean
        &counted(&[0.25]), // standard deviation
        &[3],              // three nodes
        &[0, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1],
        &[1, 1], // one group, Relu
        &conv[0],
        &[1], // a bias
        &conv[1],
        &[1, 0], // reads tensor 0
        &real_tensor(4, 4, 2),
        &[3, 2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 0],
        &[1, 1],
        &real_tensor(2, 2, 2),
        &[1, 0], // Linear, Identity
        &linear[0],
        &[1],
        &linear[1],
        &[1, 2],
        &real_tensor(1, 1, 3),
        &[1, 3], // one output: tensor 3
    ];
    let digest = Sha256::digest(computed.concat());
    assert_eq!(id_of(&spec).0, digest[..16]);
}

#[test]
fn the_id_counts_in_8_bit_numbers_and_what_they_mean() {
    let (quarter, half) = (0.25f32.to_le_bytes(), 0.5f32.to_le_bytes());
    let tensor = |extents: [u8; 3], zero_point: u8| {
        let mut bytes = real_tensor(extents[0], extents[1], extents[2]);
        (bytes[18], bytes[19]) = (1, zero_point);
        bytes.truncate(20);
        bytes
    };
    let computed: &[&[u8]] = &[
        &[1], // one input
        &tensor([1, 2, 1], 0xff),
        &quarter,
        &[0, 0], // neither mean nor standard deviation
        &[1],    // one node
        &[20, 1, 2, 1, 1, 1, 1, 0, 0, 0, 0, 1],
        &[3, 127],
        &[4, 1, 0xfe, 127, 0x80],              // weights
        &[1, 2, 0xd7, 0x04, 0xe0, 0xc5, 0x08], // bias: -300 and 70000, as variable-length numbers
        &counted(&[0.25, 0.125]),              // scale
        &[1, 0],                               // reads tensor 0
        &tensor([1, 1, 2], 3),
        &half,
        &[1, 1], // one output: tensor 1
    ];
    let digest = Sha256::digest(computed.concat());
    assert_eq!(id_of(&whole_i8()).0, digest[..16]);
}

/// What a model is called, where it came from, and where the file has it, are no part of its id.
#[test]
fn the_id_does_not_depend_on_names_and_places() {
    let id = id_of(&tiny());
    let same = |what: &str, change: &dyn Fn(&mut GraphSpec)| {
        let mut spec = tiny();
        change(&mut spec);
        assert_ne!(spec, tiny(), "{what}");
        assert_eq!(id_of(&spec), id, "{what}");
    };
    same("name", &|spec| spec.name = "other".into());
    same("name of the input", &|spec| {
        spec.inputs[0].name = "x".into()
    });
    same("name of the output", &|spec| {
        spec.outputs[0].name = "y".into()
    });
    same("a label", &|spec| spec.outputs[0].labels[1] = "box".into());
    same("labels", &|spec| spec.outputs[0].labels.clear());
    same("trainable nodes", &|spec| spec.trainable_nodes = 0);
    same("sources", &|spec| {
        spec.inputs[0].source = Some(nchw(Shape::new(4, 4, 1)));
        spec.outputs[0].source = Some(nchw(Shape::vector(3)));
    });

    // A plan that wastes memory, and weights in another order, written again: the file that was.
    let bytes = file(&tiny());
    let mut other = open(&bytes);
    for (tensor, offset) in other.graph.tensors.iter_mut().zip([1024, 512, 256, 0]) {
        (tensor.offset, tensor.last_use) = (offset, 2);
    }
    // The linear layer lies from 96 on: 96 bytes of weights, 12 of biases.
    let (conv, linear) = other.weights.split_at(96);
    let weights = [linear, &[0; 4], conv].concat();
    assert_eq!(linear.len() + 4, 112);
    other.weights = &weights;
    let moved = |offset: u32| {
        Offset::new(if offset < 96 {
            offset + 112
        } else {
            offset - 96
        })
    };
    for node in &mut other.graph.nodes {
        let layer = match &mut node.operator {
            Operator::Conv2d(conv) => &mut conv.layer,
            Operator::Linear(linear) => &mut linear.layer,
            _ => continue,
        };
        layer.weights = moved(layer.weights.offset.bytes()).into();
        layer.bias = layer.bias.map(|bias| moved(bias.bytes()));
    }
    other.prefix = honest_prefix(&other.graph);
    let other = AlignedBytes::from(seal(&other).as_slice());
    let other = Model::load(&other).expect("a valid file");
    assert_ne!(
        bits_of(other.weights()),
        bits_of_words(open(&bytes).weights)
    );
    let again = GraphSpec::of(&other).expect("it can be read");
    assert_eq!(again, tiny());
    assert_eq!(id_of(&again), id);
}

fn bits_of_words(bytes: &[u8]) -> Vec<u32> {
    let (words, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    words.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

#[test]
fn the_id_depends_on_everything_that_is_computed() {
    let mut seen = vec![id_of(&tiny())];
    let mut other = |what: &str, spec: &GraphSpec| {
        let id = id_of(spec);
        assert!(!seen.contains(&id), "{what}");
        seen.push(id);
    };
    let mut changed = |what: &str, change: &dyn Fn(&mut GraphSpec)| {
        let mut spec = tiny();
        change(&mut spec);
        other(what, &spec);
    };
    fn linear(spec: &mut GraphSpec) -> &mut operator::Linear<operator::Owned> {
        match &mut spec.nodes[2].operator {
            Operator::Linear(linear) => linear,
            other => panic!("{other:?} is no linear layer"),
        }
    }
    fn conv(spec: &mut GraphSpec) -> &mut Conv2d<operator::Owned> {
        match &mut spec.nodes[0].operator {
            Operator::Conv2d(conv) => conv,
            other => panic!("{other:?} is no convolution"),
        }
    }
    changed("a weight", &|spec| linear(spec).layer.weights[5] += 0.125);
    changed("the sign of a zero", &|spec| {
        let bias = linear(spec).layer.bias.as_mut().expect("it has one");
        assert_eq!(bias[0].to_bits(), 0);
        bias[0] = -0.0;
    });
    changed("no bias", &|spec| linear(spec).layer.bias = None);
    changed("a weight of the body", &|spec| {
        conv(spec).layer.weights[0] = 3.0;
    });
    changed("an activation", &|spec| {
        conv(spec).activation = Activation::Relu6;
    });
    changed("a mean", &|spec| spec.inputs[0].mean = vec![0.25]);
    changed("a standard deviation", &|spec| {
        spec.inputs[0].std = vec![0.5];
    });
    changed("no normalization", &|spec| {
        spec.inputs[0].mean.clear();
        spec.inputs[0].std.clear();
    });
    changed("another output", &|spec| {
        spec.trainable_nodes = 0;
        spec.outputs = vec![OutputSpec::new("output", 2)];
    });
    changed("one more output", &|spec| {
        spec.outputs.push(OutputSpec::new("features", 2));
    });
    changed("one more input", &|spec| {
        spec.inputs.push(InputSpec::new("other", Shape::vector(1)));
        let nodes = spec.nodes.iter_mut().flat_map(|node| &mut node.inputs);
        let outputs = spec.outputs.iter_mut().map(|output| &mut output.tensor);
        for tensor in nodes.chain(outputs).filter(|tensor| **tensor > 0) {
            *tensor += 1;
        }
    });
    changed("one more node", &|spec| {
        spec.nodes.push(NodeSpec {
            operator: Unary::Relu.into(),
            inputs: vec![3],
            output: Shape::vector(3).into(),
        });
        spec.outputs[0].tensor = 4;
        spec.trainable_nodes = 2;
    });
    changed("a shape", &|spec| {
        // The linear layer reads as many elements.
        spec.nodes[1].operator = Reshape.into();
        spec.nodes[1].output = Shape::new(2, 8, 2).into();
        let weights = spec.nodes[0].output.shape.len() * 3;
        linear(spec).layer.weights = vec![0.5; weights];
    });
    changed("another shape", &|spec| {
        spec.nodes[1].operator = Reshape.into();
        spec.nodes[1].output = Shape::new(8, 2, 2).into();
        let weights = spec.nodes[0].output.shape.len() * 3;
        linear(spec).layer.weights = vec![0.5; weights];
    });

    // Functions, elements, quantizations, and which tensor is read.
    let input = Shape::vector(2);
    let one_of = |tensor: TensorSpec| one(Reshape, tensor, tensor);
    for (name, function) in functions() {
        other(name, &one(function, input, input));
    }
    let steeper = Unary::LeakyRelu { slope: 0.5 };
    other("a slope", &one(steeper, input, input));
    other("f32", &one_of(input.into()));
    let quantized = |scale, zero_point| {
        let quantization = Quantization::new(scale, zero_point);
        one_of(TensorSpec::quantized(input, quantization))
    };
    other("i8", &quantized(0.5, 0));
    other("another scale", &quantized(0.25, 0));
    other("another zero point", &quantized(0.5, 1));
    let subtract = |inputs: &[usize]| {
        let subtract = Binary {
            function: BinaryFunction::Subtract,
            activation: Activation::Identity,
        };
        let mut graph = Builder::new("", input);
        graph.add_input("other", input);
        graph.add(subtract, inputs);
        graph.finish()
    };
    other("one less the other", &subtract(&[0, 1]));
    other("the other way round", &subtract(&[1, 0]));
}

/// The schema as someone else would write it down from `FORMAT.md`, without this project's types.
mod page {
    use super::Deserialize;

    #[derive(Deserialize)]
    pub(crate) struct File<'a> {
        pub(crate) prefix: ([u8; 32], [u8; 32], [u8; 32], [u8; 12]),
        #[serde(borrow)]
        pub(crate) graph: Graph<'a>,
        pub(crate) padding: &'a [u8],
        pub(crate) weights: &'a [u8],
    }

    #[derive(Deserialize)]
    pub(crate) struct Graph<'a> {
        pub(crate) name: String,
        /// Height, width, channels, offset (`u32` each), last use (`u16`), element type, zero point, scale (`f32`).
        pub(crate) tensors: Vec<[u8; 24]>,
        pub(crate) nodes: Vec<(Operator, Vec<u16>)>,
        #[serde(borrow)]
        pub(crate) inputs: Vec<(String, Option<Source>, &'a [u8])>,
        pub(crate) outputs: Vec<(String, u16, Option<Source>, String)>,
        pub(crate) trainable_nodes: u16,
        #[serde(borrow)]
        pub(crate) extensions: Vec<(u32, bool, &'a [u8])>,
    }

    /// Extents, and the order of the axes.
    pub(crate) type Source = (Vec<u32>, [u8; 3]);

    /// Kernel, stride, dilation (height and width each), padding (top, bottom, left, right).
    pub(crate) type Window = ([u32; 2], [u32; 2], [u32; 2], [u32; 4]);

    /// Order and offset.
    pub(crate) type Weights = (u32, u32);

    /// Weights and bias.
    pub(crate) type Layer = (Weights, Option<u32>);

    /// Weights, bias and scale.
    pub(crate) type LayerI8 = (Weights, Option<u32>, u32);

    /// Window, groups, activation, layer.
    pub(crate) type Conv2d = (Window, u32, u8, Layer);

    #[derive(Debug, PartialEq, Deserialize)]
    pub(crate) enum Operator {
        Conv2d(Conv2d),
        Linear(u8, Layer),
        Conv2dMaxPool2d(Conv2d, Window, u8),
        MaxPool2d(Window, u8),
        AvgPool2d(Window, u8, u8),
        Unary(Unary),
        Softmax,
        LogSoftmax,
        Binary(u8, u8),
        BinaryConstant(u8, u8, [u32; 3], u32),
        ChannelAffine(u8, u32, u32),
        Concat(u8),
        Slice([u32; 3], [u32; 3]),
        Pad([u32; 3], f32),
        Upsample(u32, u32),
        Transpose([u8; 3]),
        Reshape,
        Quantize,
        Dequantize,
        Requantize(i8, i8),
        QuantizedConv2d(Window, u32, i8, i8, LayerI8),
        QuantizedLinear(i8, i8, LayerI8),
        QuantizedAdd(i8, i8),
        Table(u32),
        QuantizedBinary(u8, i8, i8),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    pub(crate) enum Unary {
        Relu,
        Relu6,
        LeakyRelu(f32),
        Sigmoid,
        Tanh,
        Clip(f32, f32),
        Elu(f32),
        HardSigmoid(f32, f32),
        HardSwish,
        Selu(f32, f32),
        Swish(f32),
        Softplus,
        Softsign,
        Mish,
        Gelu,
        GeluTanh,
        Erf,
        Abs,
        Exp,
        Log,
        Sqrt,
        Power(f32),
    }
}

/// `operator` in the page's words.
fn on_the_page(operator: &Operator) -> page::Operator {
    use page::Operator as Page;
    let window = |window: &Window| -> page::Window {
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
    let layer = |layer: &Layer| {
        let weights = (layer.weights.order.0, layer.weights.offset.bytes());
        (weights, layer.bias.map(Offset::bytes))
    };
    let layer_i8 = |layer: &LayerI8| {
        let bias = layer.bias.map(Offset::bytes);
        (
            (layer.weights.order.0, layer.weights.offset.bytes()),
            bias,
            layer.scale.bytes(),
        )
    };
    let conv2d = |conv: &Conv2d| -> page::Conv2d {
        let (groups, activation) = (conv.groups, conv.activation as u8);
        (window(&conv.window), groups, activation, layer(&conv.layer))
    };
    let numbers = |values: &[usize; 3]| values.map(|value| value as u32);
    match operator {
        Operator::Conv2d(conv) => Page::Conv2d(conv2d(conv)),
        Operator::Linear(linear) => Page::Linear(linear.activation as u8, layer(&linear.layer)),
        Operator::Conv2dMaxPool2d(joined) => {
            let rounding = joined.rounding as u8;
            Page::Conv2dMaxPool2d(conv2d(&joined.conv), window(&joined.pool), rounding)
        }
        Operator::MaxPool2d(pool) => Page::MaxPool2d(window(&pool.window), pool.rounding as u8),
        Operator::AvgPool2d(pool) => {
            let (rounding, counting) = (pool.rounding as u8, pool.count_padding as u8);
            Page::AvgPool2d(window(&pool.window), rounding, counting)
        }
        Operator::Unary(function) => Page::Unary(match *function {
            Unary::Relu => page::Unary::Relu,
            Unary::Relu6 => page::Unary::Relu6,
            Unary::LeakyRelu { slope } => page::Unary::LeakyRelu(slope),
            Unary::Sigmoid => page::Unary::Sigmoid,
            Unary::Tanh => page::Unary::Tanh,
            Unary::Clip { low, high } => page::Unary::Clip(low, high),
            Unary::Elu { alpha } => page::Unary::Elu(alpha),
            Unary::HardSigmoid { alpha, beta } => page::Unary::HardSigmoid(alpha, beta),
            Unary::HardSwish => page::Unary::HardSwish,
            Unary::Selu { alpha, gamma } => page::Unary::Selu(alpha, gamma),
            Unary::Swish { alpha } => page::Unary::Swish(alpha),
            Unary::Softplus => page::Unary::Softplus,
            Unary::Softsign => page::Unary::Softsign,
            Unary::Mish => page::Unary::Mish,
            Unary::Gelu => page::Unary::Gelu,
            Unary::GeluTanh => page::Unary::GeluTanh,
            Unary::Erf => page::Unary::Erf,
            Unary::Abs => page::Unary::Abs,
            Unary::Exp => page::Unary::Exp,
            Unary::Log => page::Unary::Log,
            Unary::Sqrt => page::Unary::Sqrt,
            Unary::Power { exponent } => page::Unary::Power(exponent),
        }),
        Operator::Softmax(Softmax) => Page::Softmax,
        Operator::LogSoftmax(LogSoftmax) => Page::LogSoftmax,
        Operator::Binary(binary) => Page::Binary(binary.function as u8, binary.activation as u8),
        Operator::BinaryConstant(constant) => {
            let Shape {
                height,
                width,
                channels,
            } = constant.shape;
            let shape = numbers(&[height, width, channels]);
            let (function, activation) = (constant.function as u8, constant.activation as u8);
            Page::BinaryConstant(function, activation, shape, constant.operand.bytes())
        }
        Operator::ChannelAffine(affine) => Page::ChannelAffine(
            affine.activation as u8,
            affine.scale.bytes(),
            affine.shift.bytes(),
        ),
        Operator::Concat(concat) => Page::Concat(concat.axis as u8),
        Operator::Slice(slice) => Page::Slice(numbers(&slice.start), numbers(&slice.step)),
        Operator::Pad(pad) => Page::Pad(numbers(&pad.before), pad.value),
        Operator::Upsample(upsample) => Page::Upsample(upsample.factor_h, upsample.factor_w),
        Operator::Transpose(transpose) => Page::Transpose(transpose.order.map(|axis| axis as u8)),
        Operator::Reshape(Reshape) => Page::Reshape,
        Operator::Quantize(Quantize) => Page::Quantize,
        Operator::Dequantize(Dequantize) => Page::Dequantize,
        Operator::Requantize(Requantize { low, high }) => Page::Requantize(*low, *high),
        Operator::QuantizedConv2d(conv) => Page::QuantizedConv2d(
            window(&conv.window),
            conv.groups,
            conv.low,
            conv.high,
            layer_i8(&conv.layer),
        ),
        Operator::QuantizedLinear(linear) => {
            Page::QuantizedLinear(linear.low, linear.high, layer_i8(&linear.layer))
        }
        Operator::QuantizedAdd(QuantizedAdd { low, high }) => Page::QuantizedAdd(*low, *high),
        Operator::Table(table) => Page::Table(table.entries.bytes()),
        Operator::QuantizedBinary(binary) => {
            Page::QuantizedBinary(binary.function as u8, binary.low, binary.high)
        }
    }
}

/// A tensor's bytes as the page describes them.
fn tensor_on_the_page(tensor: &Tensor) -> [u8; 24] {
    let Shape {
        height,
        width,
        channels,
    } = tensor.shape;
    let (element, zero_point, scale) = match tensor.dtype {
        DType::F32 => (0, 0, 0.0),
        DType::I8 { scale, zero_point } => (1, zero_point, scale),
    };
    let mut bytes = Vec::new();
    for extent in [height, width, channels] {
        bytes.extend((extent as u32).to_le_bytes());
    }
    bytes.extend(tensor.offset.to_le_bytes());
    bytes.extend(tensor.last_use.to_le_bytes());
    bytes.extend([element, zero_point as u8]);
    bytes.extend(f32::to_le_bytes(scale));
    bytes.try_into().expect("24 bytes")
}

fn source_on_the_page(source: &Option<Source>) -> Option<page::Source> {
    let source = source.as_ref()?;
    Some((source.shape.to_vec(), source.order.map(|axis| axis as u8)))
}

#[test]
fn the_page_alone_suffices_to_read_a_file() {
    for spec in [
        tiny(),
        every_operator(),
        branching(),
        quantized(),
        whole_i8(),
        ends_quantized(),
        many_ends(),
    ] {
        let bytes = file(&spec);
        let model = Model::load(&bytes).expect("a valid file");
        let (read, rest): (page::File<'_>, _) =
            postcard::take_from_bytes(&bytes).expect("readable");
        assert!(rest.is_empty());
        assert_eq!(read.prefix.0[..8], *b"kinglet\0");
        assert_eq!(read.graph.name, model.name());
        assert_eq!(
            usize::from(read.graph.trainable_nodes),
            model.trainable_nodes()
        );
        assert!(read.graph.extensions.is_empty());
        assert!(read.padding.iter().all(|byte| *byte == 0));
        // By their bits: four 8-bit weights may look like a NaN.
        assert_eq!(bits_of_words(read.weights), bits_of(model.weights()));
        assert_eq!(read.graph.tensors.len(), model.tensors().len());
        for (read, tensor) in read.graph.tensors.iter().zip(model.tensors().iter()) {
            assert_eq!(*read, tensor_on_the_page(&tensor));
        }
        assert_eq!(read.graph.nodes.len(), model.nodes().len());
        for (read, node) in read.graph.nodes.iter().zip(model.nodes().iter()) {
            assert_eq!(read.1, node.inputs.as_slice());
            assert_eq!(read.0, on_the_page(&node.operator));
        }
        assert_eq!(read.graph.inputs.len(), model.inputs().len());
        for (read, input) in read.graph.inputs.iter().zip(model.inputs().iter()) {
            assert_eq!(read.0, input.name);
            assert_eq!(read.1, source_on_the_page(&input.source));
            assert_eq!(read.2, input.normalization);
        }
        // Means, then standard deviations.
        let normalization = model.normalization();
        let numbers: Vec<f32> = normalization.mean().chain(normalization.std()).collect();
        assert_eq!(read.graph.inputs[0].2, bytes_of(&numbers));
        assert_eq!(read.graph.outputs.len(), model.outputs().len());
        for (read, output) in read.graph.outputs.iter().zip(model.outputs().iter()) {
            assert_eq!(read.0, output.name);
            assert_eq!(read.1, output.tensor);
            assert_eq!(read.2, source_on_the_page(&output.source));
            assert_eq!(read.3, output.labels);
        }
        // Each name with its end.
        let labels = model.labels().iter().map(|label| format!("{label}\n"));
        assert_eq!(read.graph.outputs[0].3, labels.collect::<String>());
    }
}

#[test]
fn a_model_that_is_written_again_is_the_same_file() {
    for spec in [
        tiny(),
        every_operator(),
        branching(),
        quantized(),
        tiny_i8(),
        whole_i8(),
        many_ends(),
    ] {
        let bytes = file(&spec);
        let model = Model::load(&bytes).expect("a valid file");
        let read = GraphSpec::of(&model).expect("it can be read");
        assert!(file(&read)[..] == bytes[..], "{}", spec.name);
    }
    // That of which the operands were exchanged reads them in the new order; all others are as they were.
    for spec in [tiny(), every_operator(), tiny_i8(), whole_i8(), many_ends()] {
        let bytes = file(&spec);
        let model = Model::load(&bytes).expect("a valid file");
        assert_eq!(GraphSpec::of(&model), Ok(spec));
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
    assert_eq!(file.graph.inputs, model.inputs().iter().collect::<Vec<_>>());
    assert_eq!(
        file.graph.outputs,
        model.outputs().iter().collect::<Vec<_>>()
    );
    assert_eq!(file.graph.tensors[0].shape, model.input());
    assert_eq!(
        file.graph.tensors.last().map(|tensor| tensor.shape),
        Some(model.output())
    );
    let tensors = model.tensors();
    assert_eq!(tensors.get(3), Some(file.graph.tensors[3]));
    assert_eq!(tensors.get(file.graph.tensors.len()), None);
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
    for spec in [
        tiny(),
        every_operator(),
        branching(),
        quantized(),
        whole_i8(),
        many_ends(),
    ] {
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
    let mut spec = chain("Größe", Shape::vector(2), vec![Unary::Relu.into()]);
    spec.outputs[0].labels = vec!["猫".into(), String::new()];
    let bytes = file(&spec);
    let model = Model::load(&bytes).expect("a valid file");
    assert_eq!(model.name(), "Größe");
    assert_eq!(model.labels().len(), 2);
    assert!(!model.labels().is_empty());
    assert_eq!(model.label(0), Some("猫"));
    assert_eq!(model.label(1), Some(""));
    assert_eq!(model.label(2), None);
    assert_eq!(model.labels().iter().collect::<Vec<_>>(), ["猫", ""]);

    // A name of a class that would be two.
    spec.outputs[0].labels[1] = "a\nb".into();
    let refused = encode(&spec).map(|_| ()).expect_err("refused");
    assert_eq!(refused, EncodeError::Label { label: 1 });
    spec.outputs[0].labels.clear();
    let bytes = file(&spec);
    let model = Model::load(&bytes).expect("a valid file");
    assert_eq!((model.labels().len(), model.label(0)), (0, None));
    assert!(model.labels().is_empty());
}

#[test]
fn a_model_without_weights_is_a_model() {
    let file = file(&one(Unary::Relu, Shape::vector(1), Shape::vector(1)));
    let model = Model::load(&file).expect("a valid file");
    assert!(model.weights().is_empty());
    assert_eq!(model.sizes().operators, 1 << 5);
}

fn refused(spec: &GraphSpec) -> EncodeError {
    encode(spec).map(|_| ()).expect_err("refused")
}

/// So many ReLUs of one element, one after the other.
fn many(nodes: usize) -> GraphSpec {
    let operators = (0..nodes).map(|_| Unary::Relu.into()).collect();
    chain("many", Shape::vector(1), operators)
}

#[test]
fn the_exporter_refuses_what_no_reader_would_take() {
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
    let relu = |shape: Shape| one(Unary::Relu, shape, shape);
    let huge = relu(Shape::new(usize::MAX, 2, 2));
    assert_eq!(refused(&huge), LoadError::Tensor { tensor: 0 }.into());
    let empty = relu(Shape::new(1, 0, 1));
    assert_eq!(refused(&empty), LoadError::Tensor { tensor: 0 }.into());

    let mut later = many(3);
    later.nodes[1].inputs = vec![2];
    assert_eq!(refused(&later), EncodeError::Input { node: 1 });
    later.nodes[1].inputs = vec![0, 1];
    assert_eq!(refused(&later), LoadError::Shape { node: 1 }.into());
    later.nodes[1].inputs = vec![];
    assert_eq!(refused(&later), EncodeError::Input { node: 1 });

    let linear = |weights, bias| {
        let linear = operator::Linear {
            activation: Activation::Identity,
            layer: Layer {
                weights: vec![0.0; weights],
                bias: Some(vec![0.0; bias]),
            },
        };
        one(linear, Shape::vector(3), Shape::vector(2))
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
    let trainable = GraphSpec {
        trainable_nodes: 3,
        ..many(2)
    };
    assert_eq!(refused(&trainable), LoadError::Suffix { node: 0 }.into());
    let pool = MaxPool2d {
        window: Window::new(2, 2).with_stride(0, 1),
        rounding: Rounding::Floor,
    };
    let reason = ParamsError::Zero;
    let picture = Shape::new(4, 4, 1);
    assert_eq!(
        refused(&one(pool, picture, picture)),
        LoadError::Params { node: 0, reason }.into()
    );
    let overlapping = Conv2dMaxPool2d {
        conv: Conv2d {
            window: Window::new(1, 1),
            groups: 1,
            activation: Activation::Identity,
            layer: Layer {
                weights: vec![1.0],
                bias: None,
            },
        },
        pool: Window::new(2, 2),
        rounding: Rounding::Floor,
    };
    let reason = ParamsError::NotFusible;
    assert_eq!(
        refused(&one(overlapping, picture, Shape::new(3, 3, 1))),
        LoadError::Params { node: 0, reason }.into()
    );
    let slope = Unary::LeakyRelu { slope: f32::NAN };
    let reason = ParamsError::Function;
    assert_eq!(
        refused(&one(slope, picture, picture)),
        LoadError::Params { node: 0, reason }.into()
    );
}

/// Inputs and outputs that do not fit the tensors, as a writer may describe them.
#[test]
fn the_exporter_refuses_ends_that_no_reader_would_take() {
    let ends = |inputs: usize, outputs: usize| {
        let mut spec = many(1);
        spec.inputs = (0..inputs)
            .map(|_| InputSpec::new("input", Shape::vector(1)))
            .collect();
        spec.outputs = (0..outputs)
            .map(|_| OutputSpec::new("output", inputs))
            .collect();
        spec
    };
    assert!(encode(&ends(16, 16)).is_ok());
    let wrong = |found| EncodeError::from(LoadError::Ends { found });
    assert_eq!(refused(&ends(17, 1)), wrong(17));
    assert_eq!(refused(&ends(1, 17)), wrong(17));
    assert_eq!(refused(&ends(1, 0)), wrong(0));
    // Without an input there is nothing that the first node could read.
    assert_eq!(refused(&ends(0, 1)), EncodeError::Input { node: 0 });

    let change = |change: &dyn Fn(&mut GraphSpec)| {
        let mut spec = tiny();
        change(&mut spec);
        refused(&spec)
    };
    for tensor in [4, usize::MAX] {
        let missing = change(&|spec| spec.outputs.push(OutputSpec::new("output", tensor)));
        assert_eq!(missing, EncodeError::Output { output: 1 });
    }
    let normalization = EncodeError::from(LoadError::Normalization);
    let uneven = change(&|spec| spec.inputs[0].std.clear());
    assert_eq!(uneven, normalization);
    let uneven = change(&|spec| spec.inputs[0].mean = vec![0.5, 0.5]);
    assert_eq!(uneven, normalization);
    let two_channels = change(&|spec| {
        spec.inputs[0].mean = vec![0.5, 0.5];
        spec.inputs[0].std = vec![0.5, 0.5];
    });
    assert_eq!(two_channels, normalization);
    let labels = change(&|spec| spec.outputs[0].labels.truncate(2));
    let reason = LoadError::Labels {
        found: 2,
        outputs: 3,
    };
    assert_eq!(labels, reason.into());
    let source = change(&|spec| spec.inputs[0].source = Some(nchw(Shape::new(4, 4, 2))));
    assert_eq!(source, LoadError::Source.into());
    // What is trained is the last output, and no other.
    let inside = change(&|spec| spec.outputs.push(OutputSpec::new("again", 3)));
    assert_eq!(inside, LoadError::Output { output: 1 }.into());
    let first = change(&|spec| spec.outputs[0].tensor = 2);
    assert_eq!(first, LoadError::Output { output: 0 }.into());
}

/// The numbers of a file have 32 bits: what is larger on this machine is not cut off.
#[test]
fn numbers_above_32_bits_cannot_be_written() {
    let Ok(large) = usize::try_from(1_u64 << 40) else {
        return; // here no number has more
    };
    let slice = Slice {
        start: [0; 3],
        step: [1, 1, large],
    };
    // One channel: the step is never taken.
    let spec = one(slice.clone(), Shape::vector(4), Shape::vector(1));
    assert_eq!(refused(&spec), LoadError::Malformed.into());
    let unwritten = |operator: Operator| postcard::to_stdvec(&operator).is_err();
    assert!(unwritten(slice.into()));
    let before = [large, 0, 0];
    assert!(unwritten(Operator::Pad(Pad { before, value: 0.0 })));
    let window = Window::new(1, 1).with_dilation(1, large);
    let rounding = Rounding::Floor;
    assert!(unwritten(MaxPool2d { window, rounding }.into()));
    let constant = BinaryConstant::<InFile> {
        function: BinaryFunction::Add,
        activation: Activation::Identity,
        shape: Shape::vector(large),
        operand: Offset::new(0),
    };
    assert!(unwritten(constant.into()));
    let tensor = Tensor {
        shape: Shape::vector(large),
        dtype: DType::F32,
        offset: 0,
        last_use: 0,
    };
    assert!(postcard::to_stdvec(&tensor).is_err());
}

/// A head is written into the layers that it was trained in, and into no others.
#[test]
fn a_head_leaves_everything_else_as_it_was() {
    let bytes = file(&tiny());
    let model = Model::load(&bytes).expect("a valid file");
    let head: Vec<f32> = (0..27).map(|i| i as f32).collect();
    let trained = with_head(&model, &head).expect("as many parameters");
    let (before, after) = (open(&bytes), open(&trained));
    assert_eq!(before.graph, after.graph);
    // Convolution and bias lie before the linear layer, which lies at 96.
    assert_eq!(before.weights[..96], after.weights[..96]);
    let weights = bits_of_words(&after.weights[96..]);
    assert_eq!(weights, bits_of(&head));
    assert_eq!(after.prefix.parent_id, before.prefix.model_id);
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
