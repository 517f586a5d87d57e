//! Files are made of the schema's own messages, and what they become is compared with plain loops in NCHW.

use std::path::Path;

use kinglet::{AlignedBytes, Model, SessionMemory};
use kinglet_kernels::Portable;
use prost::Message;

use super::schema::*;
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
        data_type: FLOAT,
        name: name.into(),
        raw_data: values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

fn shape_of(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        dims: vec![values.len() as i64],
        data_type: INT64,
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
    let dim = |dim: &i64| DimensionProto {
        dim_value: Some(*dim),
        dim_param: None,
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: FLOAT,
                shape: Some(TensorShapeProto {
                    dim: dims.iter().map(dim).collect(),
                }),
            }),
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

fn import(model: &ModelProto) -> Result<Graph, ImportError> {
    parse(&model.encode_to_vec(), Path::new("test.onnx"))
}

/// What the imported model computes from `input`, which is NHWC.
fn run(model: &ModelProto, input: &[f32]) -> Vec<f32> {
    let settings = ExportSettings {
        normalize: Normalize::identity(0),
        labels: vec![],
        fine_tune_last: 0,
    };
    let (bytes, _) = export(import(model).unwrap(), &settings).unwrap();
    let bytes = AlignedBytes::from(bytes.as_slice());
    let model = Model::load(&bytes).unwrap();
    let mut memory = SessionMemory::new(&model, &Portable, 1);
    let mut session = memory.session(&model, Portable).unwrap();
    session.set_input_f32(input).unwrap();
    session.run().to_vec()
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
    let tensor = graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut();
    tensor.unwrap().shape.as_mut().unwrap().dim[0] = DimensionProto {
        dim_value: None,
        dim_param: Some("batch".into()),
    };
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
    external.data_location = EXTERNAL;
    let mut half = w();
    half.data_type = 10;
    let cases = [
        (
            vec![node("Einsum", &["x"], vec![])],
            vec![],
            "the Einsum (Einsum): this operator cannot be imported; AveragePool, ",
        ),
        (
            conv(vec![]),
            vec![],
            "the Conv (Conv): its weights (\"w\") must be a constant of the file",
        ),
        (
            vec![node("Conv", &["x"], vec![])],
            vec![],
            "the Conv (Conv): its weights is missing",
        ),
        (
            conv(vec![]),
            vec![external],
            "the Conv (Conv): its weights is in another file; a model saved with its weights inside is right",
        ),
        (
            conv(vec![]),
            vec![half],
            "the Conv (Conv): its weights is of data type 10; float32 (1) is right",
        ),
        (
            conv(vec![]),
            vec![tensor("w", &[1, 1, 2, 2], &[1.0; 3])],
            "its weights is of shape [1, 1, 2, 2] with 3 values",
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
            conv(vec![text("auto_pad", "SAME_UPPER")]),
            vec![w()],
            "auto_pad is SAME_UPPER; NOTSET with explicit pads is right",
        ),
        (
            conv(vec![ints("dilations", &[9, 9])]),
            vec![w()],
            "on an input of 3x3x1 (height x width x channels): ",
        ),
        (
            conv(vec![int("group", -1)]),
            vec![w()],
            "on an input of 3x3x1 (height x width x channels): ",
        ),
        (
            vec![flat(), node("Conv", &["flatten", "w"], vec![])],
            vec![w()],
            "the Conv (Conv): it reads a vector of 9 values; ",
        ),
        (
            vec![node("Gemm", &["x", "m"], vec![])],
            vec![m()],
            "it reads feature maps; a Flatten before it is right",
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
            vec![flat(), node("Softmax", &["flatten"], vec![])],
            vec![],
            "it reads flattened maps of 3x3x1",
        ),
        (
            vec![node("Softmax", &["x"], vec![int("axis", 2)])],
            vec![],
            "axis is 2; 1, the channels, ",
        ),
        (
            vec![node("Flatten", &["x"], vec![int("axis", 2)])],
            vec![],
            "axis is 2; 1 is right",
        ),
        (
            vec![node("Reshape", &["x", "s"], vec![])],
            vec![shape_of("s", &[3, 3])],
            "its shape is [3, 3]; [1, 9] is right",
        ),
        (
            vec![node("Relu", &["y"], vec![])],
            vec![],
            "it reads \"y\", which is neither the input nor ",
        ),
        (
            vec![node("MaxPool", &["x"], vec![])],
            vec![],
            "its kernel_shape is missing",
        ),
    ];
    for (nodes, parameters, expected) in cases {
        let error = import(&model(&[1, 1, 3, 3], nodes, parameters))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("test.onnx: node the "), "{error}");
        assert!(error.contains(expected), "{error}\nexpected: {expected}");
    }
}

#[test]
fn graphs_of_another_form_are_refused() {
    let relu = || vec![node("Relu", &["x"], vec![])];
    let refused = |change: &dyn Fn(&mut GraphProto)| {
        let mut model = model(&[1, 2, 3, 4], relu(), vec![]);
        change(model.graph.as_mut().unwrap());
        import(&model).unwrap_err().to_string()
    };
    let dims = |dims: &'static [i64]| refused(&|graph| graph.input = vec![value("x", dims)]);
    let right = "float32 [1, channels, height, width] or [1, features] is right, with known sizes";
    for (error, expected) in [
        (
            dims(&[8, 2, 3, 4]),
            format!("input x is [8, 2, 3, 4]; {right}"),
        ),
        (dims(&[1, 2, 3]), format!("input x is [1, 2, 3]; {right}")),
        (
            dims(&[1, 0, 3, 4]),
            format!("input x is [1, 0, 3, 4]; {right}"),
        ),
        (dims(&[]), format!("input x is []; {right}")),
        (
            refused(&|g| g.input.push(value("y", &[1, 2]))),
            "the graph has 2 inputs (x, y); one is right".into(),
        ),
        (
            refused(&|g| g.output.clear()),
            "the graph has 0 outputs; one is right".into(),
        ),
        (
            refused(&|g| g.output[0].name = "x".into()),
            "the output x is not what the last node (the Relu) computes".into(),
        ),
        (
            refused(&|g| g.node.clear()),
            "the graph has no nodes".into(),
        ),
    ] {
        assert_eq!(error, format!("test.onnx: {expected}"));
    }
}

#[test]
fn damaged_files_are_refused_without_a_panic() {
    let name = Path::new("x.onnx");
    assert_eq!(
        parse(b"", name).unwrap_err().to_string(),
        "x.onnx: not an ONNX model: there is no graph in it"
    );
    for other in [b"layers = []".as_slice(), b"\x89PNG\r\n\x1a\n", &[0xff; 64]] {
        let error = parse(other, name).unwrap_err().to_string();
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
    let mut good = model(&[1, 1, 3, 3], nodes, parameters);
    // What stands last: a file that ends before it would be whole.
    good.opset_import.clear();
    let good = good.encode_to_vec();
    parse(&good, name).unwrap();
    for len in 0..good.len() {
        assert!(
            parse(&good[..len], name).is_err(),
            "{len} of {} bytes",
            good.len()
        );
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            // Many such files are other valid models.
            let _ = parse(&bad, name);
        }
    }
}
