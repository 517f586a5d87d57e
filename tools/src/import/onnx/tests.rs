//! Files are made of the schema's own messages, and what they become is compared with plain loops in NCHW.

use std::path::Path;

use kinglet::model::schema::Source;
use kinglet::{AlignedBytes, Model, SessionMemory};
use kinglet_kernels::{Axis, Portable, Shape};
use prost::Message;

use super::messages::{
    AttributeProto, DataLocation, DataType, Dimension, DimensionValue, GraphProto,
    OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorType,
    TypeProto, TypeValue, ValueInfoProto,
};
use super::*;
use crate::export::{ExportSettings, export};
use crate::recipe::Normalize;

/// Eighths between -1 and 1: sums of their products are exact in any order.
fn eighths(len: usize, step: usize) -> Vec<f32> {
    let value = |i| ((i * step) % 17) as f32 / 8.0 - 1.0;
    (0..len).map(value).collect()
}

fn tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        name: name.into(),
        raw_data: values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

fn shape_of(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        dims: vec![values.len() as i64],
        data_type: DataType::Int64 as i32,
        name: name.into(),
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints: ints.to_vec(),
        ..AttributeProto::default()
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i,
        ..AttributeProto::default()
    }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        f,
        ..AttributeProto::default()
    }
}

/// A node that is called after its operator and writes a value of that name.
fn node(op_type: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![op_type.to_lowercase()],
        name: format!("the {op_type}"),
        op_type: op_type.into(),
        attribute,
        ..NodeProto::default()
    }
}

fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |dim: &i64| Dimension {
        value: Some(DimensionValue::DimValue(*dim)),
    };
    let shape = TensorShapeProto {
        dim: dims.iter().map(dim).collect(),
    };
    typed(name, DataType::Float, Some(shape))
}

fn typed(name: &str, data_type: DataType, shape: Option<TensorShapeProto>) -> ValueInfoProto {
    let tensor = TensorType {
        elem_type: data_type as i32,
        shape,
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(TypeValue::TensorType(tensor)),
        }),
    }
}

/// A model that reads `x` of these dimensions and ends with its last node.
fn model(dims: &[i64], node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    let last = node.last().map_or("x", |node| &node.output[0]);
    let output = vec![value(last, &[])];
    ModelProto {
        graph: Some(GraphProto {
            name: "test".into(),
            input: vec![value("x", dims)],
            output,
            node,
            initializer,
        }),
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 17,
        }],
    }
}

fn import(model: &ModelProto) -> Result<Imported, ImportError> {
    import_with(model, &Options::default())
}

fn import_with(model: &ModelProto, options: &Options) -> Result<Imported, ImportError> {
    parse(&model.encode_to_vec(), Path::new("test.onnx"), options)
}

/// What the imported model computes from `input`, which is NHWC.
fn run(model: &ModelProto, input: &[f32]) -> Vec<f32> {
    let settings = ExportSettings {
        normalize: Normalize::identity(0),
        labels: vec![],
        fine_tune_last: 0,
    };
    let (bytes, _) = export(import(model).unwrap().graph, &settings).unwrap();
    let bytes = AlignedBytes::from(bytes.as_slice());
    let model = Model::load(&bytes).unwrap();
    let mut memory = SessionMemory::new(&model, &Portable, 1);
    let mut session = memory.session(&model, Portable).unwrap();
    session.set_input_f32(input).unwrap();
    session.run().to_f32().into_owned()
}

/// Convolution, ReLU, flatten and a linear layer: 2x4x3 maps (channels, height, width), a 3x2 kernel with
/// padding at the top and on the right, 3x4x3 maps, 5 outputs.
#[test]
fn a_network_computes_what_it_computes_in_nchw() {
    let (weights, bias) = (eighths(3 * 2 * 3 * 2, 5), eighths(3, 3));
    let (matrix, summand) = (eighths(5 * 36, 7), eighths(5, 11));
    let convolution = vec![ints("kernel_shape", &[3, 2]), ints("pads", &[2, 0, 0, 1])];
    let parameters = vec![
        tensor("w", &[3, 2, 3, 2], &weights),
        tensor("b", &[3], &bias),
        tensor("m", &[5, 36], &matrix),
        tensor("s", &[5], &summand),
        shape_of("flat", &[0, -1]),
    ];
    let before = vec![
        node("Conv", &["x", "w", "b"], convolution),
        node("Relu", &["conv"], vec![]),
    ];

    let x = eighths(2 * 4 * 3, 2);
    let at = |c: usize, y: isize, x_: isize| match (y, x_) {
        (0..4, 0..3) => x[c * 12 + y as usize * 3 + x_ as usize],
        _ => 0.0,
    };
    let mut maps = vec![];
    for o in 0..3 {
        for (y, x_) in (0..12).map(|i| (i / 3, i % 3)) {
            let mut sum = bias[o];
            for c in 0..2 {
                for (ky, kx) in (0..6).map(|k| (k / 2, k % 2)) {
                    let weight = weights[((o * 2 + c) * 3 + ky) * 2 + kx];
                    sum += weight * at(c, (y + ky) as isize - 2, (x_ + kx) as isize);
                }
            }
            maps.push(sum.max(0.0));
        }
    }
    let expected: Vec<f32> = (0..5)
        .map(|o| {
            let products = matrix[o * 36..][..36].iter().zip(&maps);
            0.5 * products.map(|(m, x)| m * x).sum::<f32>() + 2.0 * summand[o]
        })
        .collect();

    let nhwc: Vec<f32> = (0..24).map(|i| x[i % 2 * 12 + i / 2]).collect();
    let factors = || vec![float("alpha", 0.5), float("beta", 2.0)];
    let transposed: Vec<f32> = (0..36 * 5).map(|i| matrix[i % 5 * 36 + i / 5]).collect();
    for (flatten, matrix, transposition) in [
        (node("Flatten", &["relu"], vec![]), &matrix, 1),
        (node("Reshape", &["relu", "flat"], vec![]), &transposed, 0),
    ] {
        let mut parameters = parameters.clone();
        let dims = if transposition == 1 { [5, 36] } else { [36, 5] };
        parameters[2] = tensor("m", &dims, matrix);
        let mut nodes = before.clone();
        let flat = flatten.output[0].clone();
        let mut attributes = factors();
        attributes.push(int("transB", transposition));
        nodes.extend([flatten, node("Gemm", &[&flat, "m", "s"], attributes)]);
        assert_eq!(
            run(&model(&[1, 2, 4, 3], nodes, parameters), &nhwc),
            expected
        );
    }
}

#[test]
fn pools_and_normalization_are_those_of_onnx() {
    let x = eighths(9, 4);
    let pool = |op_type, extra: Vec<AttributeProto>| {
        let mut attributes = vec![
            ints("kernel_shape", &[2, 2]),
            ints("strides", &[2, 2]),
            ints("pads", &[1, 1, 0, 0]),
        ];
        attributes.extend(extra);
        run(
            &model(
                &[1, 1, 3, 3],
                vec![node(op_type, &["x"], attributes)],
                vec![],
            ),
            &x,
        )
    };
    let windows = [vec![0], vec![1, 2], vec![3, 6], vec![4, 5, 7, 8]];
    let values = |window: &Vec<usize>| window.iter().map(|i| x[*i]).collect::<Vec<f32>>();
    let sum = |window| values(window).iter().sum::<f32>();
    let max = |window| values(window).into_iter().fold(f32::MIN, f32::max);
    assert_eq!(pool("MaxPool", vec![]), windows.each_ref().map(max));
    let counted = pool("AveragePool", vec![int("count_include_pad", 1)]);
    assert_eq!(counted, windows.each_ref().map(|w| sum(w) / 4.0));
    let means = windows.each_ref().map(|w| sum(w) / w.len() as f32);
    assert_eq!(pool("AveragePool", vec![]), means);

    let parameters = vec![
        tensor("scale", &[2], &[2.0, 1.0]),
        tensor("bias", &[2], &[1.0, 0.0]),
        tensor("mean", &[2], &[0.5, -1.0]),
        tensor("variance", &[2], &[4.0, 1.0]),
    ];
    let inputs = ["x", "scale", "bias", "mean", "variance"];
    let normalize = node("BatchNormalization", &inputs, vec![float("epsilon", 0.0)]);
    let found = run(
        &model(&[1, 2, 1, 2], vec![normalize], parameters),
        &[1.0, 2.0, 3.0, 4.0],
    );
    assert_eq!(found, [1.5, 3.0, 3.5, 5.0]);
}

#[test]
fn constants_may_be_nodes_inputs_and_float_data() {
    let mut weights = tensor("w", &[1, 2], &[]);
    weights.float_data = vec![3.0, 4.0];
    let mut constant = node("Constant", &[], vec![]);
    constant.attribute.push(AttributeProto {
        name: "value".into(),
        t: Some(tensor("", &[], &[0.5])),
        ..AttributeProto::default()
    });
    let gemm = node("Gemm", &["x", "w", "constant"], vec![int("transB", 1)]);
    let mut model = model(&[1, 2], vec![constant, gemm], vec![weights]);
    let graph = model.graph.as_mut().unwrap();
    graph.input.push(value("w", &[1, 2]));
    // A batch that is left open.
    let batch = Dimension {
        value: Some(DimensionValue::DimParam("batch".into())),
    };
    let mut shape = TensorShapeProto { dim: vec![batch] };
    shape.dim.push(Dimension {
        value: Some(DimensionValue::DimValue(2)),
    });
    graph.input[0] = typed("x", DataType::Float, Some(shape));
    assert_eq!(run(&model, &[1.0, 10.0]), [43.5]);
}

/// What is refused, by which node, for what.
#[test]
fn what_cannot_be_imported_is_named() {
    let w = || tensor("w", &[1, 1, 2, 2], &[1.0; 4]);
    let m = || tensor("m", &[2, 9], &[1.0; 18]);
    let conv = |attributes| vec![node("Conv", &["x", "w"], attributes)];
    let flat = || node("Flatten", &["x"], vec![]);
    let text = |name: &str, text: &str| AttributeProto {
        name: name.into(),
        s: text.into(),
        ..AttributeProto::default()
    };
    let mut external = w();
    external.data_location = Some(DataLocation::External as i32);
    let mut outside = external.clone();
    outside.external_data.push(StringStringEntryProto {
        key: "location".into(),
        value: "../secret".into(),
    });
    let mut complex = w();
    complex.data_type = DataType::Complex64 as i32;
    let huge = |dims: &[i64]| TensorProto {
        dims: dims.to_vec(),
        ..shape_of("s", &[])
    };
    let cases = [
        (
            vec![node("Einsum", &["x"], vec![])],
            vec![],
            "the Einsum (Einsum): this operator cannot be imported; docs/import.md has the table of those that can",
        ),
        (
            vec![node("ArgMax", &["x"], vec![])],
            vec![],
            "its scores, of which it makes labels; --output-name x takes",
        ),
        (
            vec![node("Relu", &["x"], vec![float("alpha", 0.5)])],
            vec![],
            "its attribute alpha is not known; consumed_inputs are",
        ),
        (
            conv(vec![]),
            vec![],
            "the Conv (Conv): it reads \"w\", which is neither the input nor what an earlier node computes",
        ),
        (
            vec![node("Conv", &["x", "x"], vec![])],
            vec![],
            "the Conv (Conv): its weights (\"x\") must be a constant of the file",
        ),
        (
            vec![node("Conv", &["x"], vec![])],
            vec![],
            "the Conv (Conv): its weights is missing",
        ),
        (
            conv(vec![]),
            vec![external],
            "\"w\" is in another file, \"\"; ",
        ),
        (
            conv(vec![]),
            vec![outside],
            "\"w\" is in another file, \"../secret\"; a file in the model's folder, or a model saved with",
        ),
        (
            conv(vec![]),
            vec![complex],
            "\"w\" is of COMPLEX64; float32, ",
        ),
        (
            conv(vec![]),
            vec![tensor("w", &[1, 1, 2, 2], &[1.0; 3])],
            "\"w\" is of shape [1, 1, 2, 2] with 3 values; 4 values is right",
        ),
        (
            conv(vec![]),
            vec![tensor("w", &[1 << 40, 1 << 40], &[])],
            "at most 2^28 elements along at most 32 axes is right",
        ),
        (
            conv(vec![]),
            vec![tensor("w", &[1, 2, 2, 2], &[1.0; 8])],
            "its weights is of shape [1, 2, 2, 2]; [1, 1, 2, 2] is right",
        ),
        (
            conv(vec![ints("strides", &[0, 1])]),
            vec![w()],
            "strides is [0, 1]; a list of 2 numbers of at least 1 is right",
        ),
        (
            conv(vec![ints("pads", &[1, 1])]),
            vec![w()],
            "pads is [1, 1]; a list of 4 numbers of at least 0 is right",
        ),
        (
            conv(vec![text("auto_pad", "SAME")]),
            vec![w()],
            "auto_pad is SAME; NOTSET, VALID, SAME_UPPER or SAME_LOWER is right",
        ),
        (
            conv(vec![ints("dilations", &[9, 9])]),
            vec![w()],
            "on an input of [1, 1, 3, 3]: the window spans ",
        ),
        (
            conv(vec![int("group", -1)]),
            vec![w()],
            "on an input of [1, 1, 3, 3]: ",
        ),
        (
            vec![flat(), node("Conv", &["flatten", "w"], vec![])],
            vec![w()],
            "the Conv (Conv): it reads a tensor of the shape [1, 9]; ",
        ),
        (
            vec![node("Gemm", &["x", "m"], vec![])],
            vec![m()],
            "it reads [1, 1, 3, 3] and a matrix of [2, 9]; two axes each is right",
        ),
        (
            vec![flat(), node("Gemm", &["flatten", "m"], vec![])],
            vec![m()],
            "its weights is of shape [2, 9]; [9, out_features] is right",
        ),
        (
            vec![
                flat(),
                node("Gemm", &["flatten", "m"], vec![int("transA", 1)]),
            ],
            vec![m()],
            "transA is 1; 0 is right",
        ),
        (
            vec![node("Softmax", &["x"], vec![int("axis", 4)])],
            vec![],
            "axis is 4; from -4 to 3 is right",
        ),
        (
            vec![node("Reshape", &["x", "s"], vec![])],
            vec![shape_of("s", &[3, 4])],
            "its shape is [3, 4]; a shape of the elements of [1, 1, 3, 3] is right",
        ),
        (
            vec![node("Add", &["x", "y"], vec![])],
            vec![],
            "the Add (Add): it reads \"y\", which is neither the input nor ",
        ),
        (
            vec![
                node("Add", &["x", "sigmoid"], vec![]),
                node("Sigmoid", &["add"], vec![]),
            ],
            vec![],
            "these nodes read each other's outputs in a circle: the Add, the Sigmoid; ",
        ),
        (
            vec![
                node("Relu", &["x"], vec![]),
                node("GRU", &["relu", "w", "w"], vec![]),
            ],
            vec![w()],
            "the GRU (GRU): a GRU layer cannot be imported: what kinglet runs has no loops",
        ),
        (
            vec![node("Loop", &["x"], vec![])],
            vec![],
            "the Loop (Loop): a loop, as recurrent layers become one, cannot be imported",
        ),
        (
            vec![node("MaxPool", &["x"], vec![])],
            vec![],
            "its kernel_shape is missing",
        ),
        (
            vec![
                node("ConstantOfShape", &["s"], vec![]),
                node("Add", &["x", "constantofshape"], vec![]),
            ],
            vec![shape_of("s", &[1 << 14, 1 << 13])],
            "a tensor of the shape [16384, 8192] (134217728 elements, 2 axes) is too large; at most ",
        ),
        (
            vec![node("Reshape", &["x", "s"], vec![])],
            vec![huge(&[1 << 20])],
            "\"s\" is of shape [1048576] with 0 values; 1048576 values is right",
        ),
    ];
    for (nodes, parameters, expected) in cases {
        let error = import(&model(&[1, 1, 3, 3], nodes, parameters))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("test.onnx: "), "{error}");
        assert!(error.contains(expected), "{error}\nexpected: {expected}");
    }
}

#[test]
fn nodes_may_stand_in_any_order() {
    let nodes = |turned: bool| {
        let mut nodes = vec![
            node("Relu", &["x"], vec![]),
            node("Sigmoid", &["x"], vec![]),
            node("Mul", &["relu", "sigmoid"], vec![]),
        ];
        if turned {
            nodes.reverse();
        }
        nodes
    };
    let mut turned = model(&[1, 2, 3, 4], nodes(true), vec![]);
    turned.graph.as_mut().unwrap().output = vec![value("mul", &[])];
    let (there, back) = (
        import(&model(&[1, 2, 3, 4], nodes(false), vec![])).unwrap(),
        import(&turned).unwrap(),
    );
    let names = |imported: &Imported| -> Vec<String> {
        let nodes = imported.graph.nodes.iter();
        nodes.map(|node| node.name.clone()).collect()
    };
    for imported in [there, back] {
        let names = names(&imported);
        let place = |name: &str| names.iter().position(|own| own == name).unwrap();
        assert!(place("the Mul") > place("the Relu").max(place("the Sigmoid")));
    }
}

/// The layout of the only input, and the shape it has in the model.
fn door_of(dims: &[i64], nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> (Layout, Shape) {
    let imported = import(&model(dims, nodes, constants)).unwrap();
    let [door] = imported.inputs.as_slice() else {
        panic!("{:?}", imported.inputs);
    };
    assert_eq!(imported.graph.inputs[0].shape, door.shape());
    (door.layout, door.shape())
}

#[test]
fn rows_and_columns_are_a_gray_picture_unless_they_are_read_as_a_sequence() {
    let picture = (Layout::Gray, Shape::new(6, 5, 1));
    let w = || tensor("w", &[2, 1, 3, 3], &eighths(18, 1));
    let unsqueeze = || node("Unsqueeze", &["x", "axes"], vec![]);
    let conv = node("Conv", &["unsqueeze", "w"], vec![]);
    let axes = || shape_of("axes", &[1]);
    let found = door_of(&[1, 6, 5], vec![unsqueeze(), conv], vec![w(), axes()]);
    assert_eq!(found, picture);
    // As Keras has handwritten digits.
    let m = tensor("m", &[30, 2], &eighths(60, 1));
    let nodes = vec![
        node("Flatten", &["x"], vec![]),
        node("Gemm", &["flatten", "m"], vec![]),
    ];
    assert_eq!(door_of(&[1, 6, 5], nodes, vec![m]), picture);
    // A convolution over one axis reads 6 channels.
    let w = tensor("w", &[2, 6, 3], &eighths(36, 1));
    let nodes = vec![node("Conv", &["x", "w"], vec![])];
    let found = door_of(&[1, 6, 5], nodes, vec![w]);
    assert_eq!(found, (Layout::ChannelsFirst, Shape::new(1, 5, 6)));
    // A product with the last axis reads 6 rows of 5 features.
    let m = tensor("m", &[5, 2], &eighths(10, 1));
    let nodes = vec![node("MatMul", &["x", "m"], vec![])];
    let found = door_of(&[1, 6, 5], nodes, vec![m]);
    assert_eq!(found, (Layout::AsInFile, Shape::new(1, 6, 5)));
}

#[test]
fn a_fixed_batch_is_one_where_samples_are_apart() {
    let m = || tensor("m", &[3, 2], &eighths(6, 5));
    let gemm = || node("Gemm", &["x", "m"], vec![]);
    let batched = import(&model(&[32, 3], vec![gemm()], vec![m()])).unwrap();
    assert_eq!(batched.inputs[0].dims, [1, 3]);
    assert_eq!(batched.outputs[0].dims, [1, 2]);
    assert!(
        batched.notes[0].contains("a fixed batch of 32"),
        "{:?}",
        batched.notes
    );
    // Pictures, which are refused several at once.
    let w = tensor("w", &[2, 1, 2, 2], &eighths(8, 1));
    let conv = vec![node("Conv", &["x", "w"], vec![])];
    let pictures = import(&model(&[8, 1, 3, 3], conv, vec![w])).unwrap();
    assert_eq!(pictures.inputs[0].dims, [1, 1, 3, 3]);
    // Rows that are put together are no batch.
    let mean = node("ReduceMean", &["gemm"], vec![ints("axes", &[0])]);
    let added = node("Sub", &["gemm", "reducemean"], vec![]);
    let rows = import(&model(&[4, 3], vec![gemm(), mean, added], vec![m()])).unwrap();
    assert_eq!(rows.inputs[0].dims, [4, 3]);
    assert!(rows.notes.is_empty());
    // Whoever says how many rows there are gets them.
    let options = Options {
        input_shapes: vec!["32,3".parse().unwrap()],
        ..Options::default()
    };
    let literal = import_with(&model(&[32, 3], vec![gemm()], vec![m()]), &options).unwrap();
    assert_eq!(literal.inputs[0].dims, [32, 3]);
}

#[test]
fn the_parts_of_a_split_are_called_by_what_they_are() {
    let mut split = node("Split", &["x"], vec![int("axis", 1)]);
    split.output = vec!["first".into(), "second".into()];
    let sub = node("Sub", &["second", "first"], vec![]);
    let imported = import(&model(&[1, 4, 3, 3], vec![split, sub], vec![])).unwrap();
    let slices = imported.graph.nodes.iter();
    let slices = slices.filter(|node| matches!(node.operation, Operation::Slice { .. }));
    let names: Vec<&str> = slices.map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["the Split", "second"]);
}

#[test]
fn quantized_numbers_without_a_zero_point_are_of_the_type_at_their_other_end() {
    let scale = || tensor("s", &[], &[0.5]);
    let quantize = |attributes| node("QuantizeLinear", &["x", "s"], attributes);
    let dequantize = || node("DequantizeLinear", &["quantizelinear", "s"], vec![]);
    let zero_point = |attributes| {
        let nodes = vec![quantize(attributes), dequantize()];
        let mut model = model(&[1, 4], nodes, vec![scale()]);
        model.opset_import[0].version = 21;
        let imported = import(&model).unwrap();
        let first = imported
            .graph
            .nodes
            .iter()
            .find_map(|node| match node.operation {
                Operation::Quantize(quantization) => Some(quantization.zero_point),
                _ => None,
            });
        first.unwrap()
    };
    assert_eq!(zero_point(vec![]), -128);
    assert_eq!(zero_point(vec![int("output_dtype", 3)]), 0);
    // An input of 8-bit numbers.
    let mut direct = model(
        &[1, 4],
        vec![node("DequantizeLinear", &["x", "s"], vec![])],
        vec![scale()],
    );
    let shape = |info: ValueInfoProto| {
        let TypeValue::TensorType(tensor) = info.r#type?.value?;
        tensor.shape
    };
    let of = |data_type| typed("x", data_type, shape(value("x", &[1, 4])));
    for (data_type, signed) in [(DataType::Int8, true), (DataType::Uint8, false)] {
        direct.graph.as_mut().unwrap().input = vec![of(data_type)];
        let numbers = import(&direct).unwrap().inputs[0].numbers.unwrap();
        assert_eq!((numbers.signed, numbers.zero_point), (signed, 0));
    }
}

#[test]
fn one_scale_and_zero_point_may_be_written_in_several_shapes() {
    let integers = |name: &str, dims: &[i64], data_type: DataType, numbers: &[u8]| TensorProto {
        dims: dims.to_vec(),
        data_type: data_type as i32,
        name: name.into(),
        raw_data: numbers.to_vec(),
        ..TensorProto::default()
    };
    let (of_input, of_weights) = (DataType::Uint8, DataType::Int8);
    let outputs = |one: &[i64], channels: usize| {
        // Of the weights there may be one for each of three channels.
        let all: &[i64] = if channels == 1 { one } else { &[3] };
        let constants = vec![
            tensor("s", one, &[0.25]),
            integers("z", one, of_input, &[130]),
            integers("w", &[3, 2, 1, 1], of_weights, &[3, 250, 127, 128, 7, 1]),
            tensor("ws", all, &vec![0.5; channels]),
            integers("wz", all, of_weights, &vec![0; channels]),
        ];
        let inputs = ["quantizelinear", "s", "z", "w", "ws", "wz", "s", "z"];
        let nodes = vec![
            node("QuantizeLinear", &["x", "s", "z"], vec![]),
            node("QLinearConv", &inputs, vec![]),
            node("DequantizeLinear", &["qlinearconv", "s", "z"], vec![]),
        ];
        run(&model(&[1, 2, 3, 2], nodes, constants), &eighths(12, 5))
    };
    let expected = outputs(&[], 1);
    assert_eq!(expected.len(), 18);
    assert_eq!(outputs(&[1], 1), expected);
    assert_eq!(outputs(&[1], 3), expected);
    assert_eq!(outputs(&[], 3), expected);
}

#[test]
fn graphs_of_another_form_are_refused() {
    let relu = || vec![node("Relu", &["x"], vec![])];
    let refused = |change: &dyn Fn(&mut ModelProto)| {
        let mut model = model(&[1, 2, 3, 4], relu(), vec![]);
        change(&mut model);
        import(&model).unwrap_err().to_string()
    };
    let of_graph =
        |change: &dyn Fn(&mut GraphProto)| refused(&|model| change(model.graph.as_mut().unwrap()));
    for (error, expected) in [
        (
            of_graph(&|g| g.input = vec![value("x", &[1, 0, 3, 4])]),
            "input x is [1, 0, 3, 4]; known sizes are right: --input-shape gives them",
        ),
        (
            of_graph(&|g| g.input = vec![typed("x", DataType::Float, None)]),
            "input x is []; known sizes are right: --input-shape gives them",
        ),
        (
            of_graph(&|g| g.input = vec![typed("x", DataType::Int64, None)]),
            "input x is int64; float32, or quantized uint8 or int8, is right",
        ),
        (
            of_graph(&|g| g.input = vec![value("x", &[1 << 20, 1 << 20])]),
            "input x of the shape [1048576, 1048576] (1099511627776 elements, 2 axes) is too large; at most 268435456 elements along 32 axes are right",
        ),
        (
            of_graph(&|g| {
                let names: Vec<String> = (0..17).map(|n| format!("x{n}")).collect();
                g.input = names.iter().map(|name| value(name, &[1, 2])).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                g.node = vec![node("Sum", &names, vec![])];
                g.output[0].name = "sum".into();
            }),
            "the graph has 17 inputs; 1 to 16 are right",
        ),
        (
            of_graph(&|g| g.output.clear()),
            "the graph has 0 outputs; 1 to 16 are right",
        ),
        (
            of_graph(&|g| g.node = vec![node("ConstantOfShape", &["s"], vec![])]),
            "the output relu does not depend on the input",
        ),
        (
            of_graph(&|g| g.node.push(node("Relu", &["x"], vec![]))),
            "two nodes compute relu; one is right",
        ),
        (
            refused(&|model| model.opset_import[0].version = 0),
            "its operator set is version 0; 1 to 28 are right",
        ),
        (
            refused(&|model| model.opset_import[0].version = 99),
            "its operator set is version 99; 1 to 28 are right",
        ),
    ] {
        assert_eq!(error, format!("test.onnx: {expected}"));
    }
}

#[test]
fn a_dead_node_is_left_out_whatever_it_is() {
    let mut einsum = node("Einsum", &["x", "y"], vec![]);
    einsum.output.push("more".into());
    let nodes = vec![einsum, node("Relu", &["x"], vec![])];
    assert_eq!(
        run(&model(&[1, 3], nodes, vec![]), &[-1.0, 0.0, 2.0]),
        [0.0, 0.0, 2.0]
    );
}

#[test]
fn any_value_may_be_the_output_and_any_shape_the_input_s() {
    let nodes = vec![
        node("Relu", &["x"], vec![]),
        node("ArgMax", &["relu"], vec![]),
    ];
    let model = model(&[8, 2, 3, 4], nodes, vec![]);
    let mut options = Options {
        input_shapes: vec!["1,2,5,5".parse().unwrap()],
        outputs: vec!["relu".into()],
    };
    let imported = import_with(&model, &options).unwrap();
    assert_eq!(imported.outputs[0].name, "relu");
    assert_eq!(imported.inputs[0].dims, [1, 2, 5, 5]);
    let shape = imported.graph.inputs[0].shape;
    assert_eq!(shape, kinglet_kernels::Shape::new(5, 5, 2));
    options.outputs = vec!["nothing".into()];
    assert_eq!(
        import_with(&model, &options).unwrap_err().to_string(),
        "test.onnx: no node computes the output nothing; the graph's outputs are argmax"
    );
    options.input_shapes = vec!["x=1,2".parse().unwrap()];
    options.outputs = vec!["relu".into()];
    assert_eq!(
        import_with(&model, &options).unwrap_err().to_string(),
        "test.onnx: --input-shape has 2 numbers, but input x has 4 axes"
    );
    options.input_shapes = vec!["y=1,2".parse().unwrap()];
    assert_eq!(
        import_with(&model, &options).unwrap_err().to_string(),
        "test.onnx: --input-shape: there is no input y; the inputs are x"
    );
    assert!("1,2,z".parse::<InputShape>().is_err());
}

/// A network for NHWC pictures goes to NCHW and back; in the model it does neither.
#[test]
fn pictures_of_either_order_go_in_as_they_are() {
    let weights = || vec![tensor("w", &[2, 3, 1, 1], &eighths(6, 5))];
    let transpose = |from: &str, to: &str, perm: &[i64]| {
        let mut node = node("Transpose", &[from], vec![ints("perm", perm)]);
        node.output[0] = to.into();
        node
    };
    let nchw = model(
        &[1, 3, 4, 5],
        vec![node("Conv", &["x", "w"], vec![])],
        weights(),
    );
    let nodes = vec![
        transpose("x", "first", &[0, 3, 1, 2]),
        node("Conv", &["first", "w"], vec![]),
        transpose("conv", "last", &[0, 2, 3, 1]),
    ];
    let nhwc = model(&[1, 4, 5, 3], nodes, weights());
    let (from_nchw, from_nhwc) = (import(&nchw).unwrap(), import(&nhwc).unwrap());
    assert_eq!(from_nchw.inputs[0].layout, Layout::ChannelsFirst);
    assert_eq!(from_nchw.outputs[0].layout, Layout::ChannelsFirst);
    assert_eq!(from_nhwc.inputs[0].layout, Layout::AsInFile);
    assert_eq!(from_nhwc.outputs[0].layout, Layout::AsInFile);
    let operations = |imported: Imported| -> Vec<Operation> {
        let mut graph = imported.graph;
        simplify(&mut graph);
        graph.nodes.into_iter().map(|node| node.operation).collect()
    };
    let axes = [Axis::Channels, Axis::Height, Axis::Width];
    let source = Some(Source {
        shape: [3, 4, 5].into_iter().collect(),
        order: axes,
    });
    assert_eq!(from_nchw.graph.inputs[0].source, source);
    assert_eq!(from_nhwc.graph.inputs[0].source, None);
    let operations = [operations(from_nchw), operations(from_nhwc)];
    assert_eq!(operations[0].len(), 1);
    assert_eq!(operations[0], operations[1]);
}

/// Weights beside the model are read, from its own folder only.
#[test]
fn weights_may_stand_in_a_file_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let values = eighths(8, 5);
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(folder.path().join("weights.bin"), &bytes).unwrap();
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: key.into(),
        value: value.into(),
    };
    let external = |offset: &str| TensorProto {
        raw_data: vec![],
        data_location: Some(DataLocation::External as i32),
        external_data: vec![
            entry("location", "weights.bin"),
            entry("offset", offset),
            entry("length", "16"),
        ],
        ..tensor("w", &[2, 2], &[])
    };
    let path = folder.path().join("model.onnx");
    let import = |offset| {
        let gemm = node("Gemm", &["x", "w"], vec![int("transB", 1)]);
        let bytes = model(&[1, 2], vec![gemm], vec![external(offset)]).encode_to_vec();
        parse(&bytes, &path, &Options::default())
    };
    let graph = import("16").unwrap().graph;
    let Operation::Linear { weights, .. } = &graph.nodes[0].operation else {
        panic!("{graph:?}");
    };
    assert_eq!(*weights, values[4..]);
    let error = import("20").unwrap_err().to_string();
    assert!(
        error.contains("at least 16 bytes from byte 20 on is right"),
        "{error}"
    );
}

#[test]
fn damaged_files_are_refused_without_a_panic() {
    let name = Path::new("x.onnx");
    assert_eq!(
        parse(b"", name, &Options::default())
            .unwrap_err()
            .to_string(),
        "x.onnx: not an ONNX model: there is no graph in it"
    );
    for other in [b"layers = []".as_slice(), b"\x89PNG\r\n\x1a\n", &[0xff; 64]] {
        let error = parse(other, name, &Options::default())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("x.onnx: not an ONNX model: "), "{error}");
    }
    let nodes = vec![
        node("Conv", &["x", "w"], vec![ints("pads", &[1, 1, 1, 1])]),
        node("Flatten", &["conv"], vec![]),
        node("Gemm", &["flatten", "m"], vec![int("transB", 1)]),
    ];
    let parameters = vec![
        tensor("w", &[1, 1, 3, 3], &eighths(9, 5)),
        tensor("m", &[1, 9], &eighths(9, 5)),
    ];
    // The version of the operator set stands last, and a file without it is refused.
    let good = model(&[1, 1, 3, 3], nodes, parameters).encode_to_vec();
    parse(&good, name, &Options::default()).unwrap();
    for len in 0..good.len() {
        assert!(
            parse(&good[..len], name, &Options::default()).is_err(),
            "{len} of {} bytes",
            good.len()
        );
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            // Many such files are other valid models.
            let _ = parse(&bad, name, &Options::default());
        }
    }
}

#[test]
fn a_network_that_ends_in_arg_max_gives_its_scores() {
    let nodes = || {
        vec![
            node("Relu", &["x"], vec![]),
            node("ArgMax", &["relu"], vec![]),
        ]
    };
    let imported = import(&model(&[1, 4], nodes(), vec![])).unwrap();
    assert_eq!(imported.outputs[0].name, "relu");
    let labels = Labels {
        name: "argmax".into(),
        scores: "relu".into(),
    };
    assert_eq!(imported.labels, [labels]);
    // Scores that are an output as well are one all the same.
    let mut both = model(&[1, 4], nodes(), vec![]);
    let graph = both.graph.as_mut().unwrap();
    graph.output.push(value("relu", &[]));
    assert_eq!(import(&both).unwrap().outputs.len(), 1);
    // In the middle it cannot be left out.
    let mut inner = nodes();
    inner.push(node("Sigmoid", &["argmax"], vec![]));
    assert!(import(&model(&[1, 4], inner, vec![])).is_err());
}

/// A value that a node writes under another name than that of its operator.
fn named(mut node: NodeProto, name: &str) -> NodeProto {
    node.output[0] = name.into();
    node.name = name.into();
    node
}

/// What an imported network computes of its inputs, arrays as the file has them: its outputs, such arrays as well.
fn run_all(imported: Imported, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let Imported {
        graph,
        inputs: doors,
        outputs,
        ..
    } = imported;
    let settings = ExportSettings {
        normalize: Normalize::identity(0),
        labels: vec![],
        fine_tune_last: 0,
    };
    let (bytes, _) = export(graph, &settings).unwrap();
    let bytes = AlignedBytes::from(bytes.as_slice());
    let model = Model::load(&bytes).unwrap();
    let mut memory = SessionMemory::new(&model, &Portable, 1);
    let mut session = memory.session(&model, Portable).unwrap();
    for (index, (door, values)) in doors.iter().zip(inputs).enumerate() {
        let input = session.input_mut(index).unwrap();
        let values = door.array().to_model(values.clone());
        input.set_f32(&values).unwrap();
    }
    session.run();
    let found = outputs.iter().enumerate().map(|(index, door)| {
        let values = session.output(index).unwrap().to_f32().into_owned();
        door.array().to_array(values)
    });
    found.collect()
}

/// Two branches of other layouts that meet, and outputs before and behind: a picture in NCHW, one in NHWC.
#[test]
fn each_input_and_output_has_a_layout_of_its_own() {
    let transpose = |perm: &[i64]| vec![ints("perm", perm)];
    let nodes = vec![
        named(node("Conv", &["first", "w"], vec![]), "a"),
        named(
            node("Transpose", &["second"], transpose(&[0, 3, 1, 2])),
            "turned",
        ),
        named(node("Conv", &["turned", "w"], vec![]), "b"),
        named(node("Add", &["a", "b"], vec![]), "sum"),
        named(
            node("Transpose", &["sum"], transpose(&[0, 2, 3, 1])),
            "last",
        ),
        named(node("Flatten", &["b"], vec![]), "flat"),
    ];
    let weights = vec![tensor("w", &[2, 2, 1, 1], &[1.0, 2.0, -1.0, 0.5])];
    let mut model = model(&[1, 2, 2, 3], nodes, weights);
    let graph = model.graph.as_mut().unwrap();
    graph.input = vec![
        value("first", &[1, 2, 2, 3]),
        value("second", &[1, 2, 3, 2]),
    ];
    graph.output = ["last", "a", "flat"].map(|name| value(name, &[])).into();

    let imported = import(&model).unwrap();
    let layouts = |doors: &[Door]| -> Vec<Layout> { doors.iter().map(|d| d.layout).collect() };
    let (first, as_is) = (Layout::ChannelsFirst, Layout::AsInFile);
    assert_eq!(layouts(&imported.inputs), [first, as_is]);
    assert_eq!(layouts(&imported.outputs), [as_is, first, as_is]);
    let names: Vec<&str> = imported
        .graph
        .outputs
        .iter()
        .map(|output| output.name.as_str())
        .collect();
    assert_eq!(names, ["last", "a", "flat"]);
    // What is flattened is flattened in the file's order.
    assert_eq!(transpositions(&imported.graph), 1);

    let (x, y) = (eighths(12, 3), eighths(12, 5));
    let convolve = |at: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
        let maps = [[1.0, 2.0], [-1.0, 0.5]].map(|[u, v]| (0..6).map(move |i| (u, v, i)));
        let maps = maps.into_iter().flatten();
        maps.map(|(u, v, i)| u * at(0, i) + v * at(1, i)).collect()
    };
    let a = convolve(&|channel, i| x[channel * 6 + i]);
    let b = convolve(&|channel, i| y[i * 2 + channel]);
    let last: Vec<f32> = (0..12)
        .map(|i| (i % 2) * 6 + i / 2)
        .map(|i| a[i] + b[i])
        .collect();
    assert_eq!(run_all(imported, &[x, y]), [last, a, b]);
}

#[test]
fn an_input_shape_says_which_input_it_is_of() {
    let mut model = model(&[1, 2], vec![node("Add", &["x", "y"], vec![])], vec![]);
    let graph = model.graph.as_mut().unwrap();
    graph.input.push(value("y", &[1, 2]));
    let with = |text: &str| {
        let options = Options {
            input_shapes: vec![text.parse().unwrap()],
            outputs: vec![],
        };
        import_with(&model, &options)
    };
    assert_eq!(with("y=1,1").unwrap().inputs[1].dims, [1, 1]);
    assert_eq!(
        with("1,1").unwrap_err().to_string(),
        "test.onnx: --input-shape 1,1: the graph has the inputs x, y; --input-shape NAME=1,1 says which"
    );
}
