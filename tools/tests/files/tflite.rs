//! TensorFlow Lite models, one for each operator and its odd options: their outputs are LiteRT's.
//! `tests/golden/tflite/make.py` made the files.

use std::fs::File;
use std::path::{Path, PathBuf};

use kinglet::{AnySession, HeapArena};
use kinglet_kernels::Portable;
use kinglet_tools::array_layout::ArrayLayout;
use kinglet_tools::export::{ExportSettings, export};
use kinglet_tools::graph::{Graph, Operation};
use kinglet_tools::import::tflite;
use kinglet_tools::model_file::ModelFile;
use kinglet_tools::optimize::optimize;
use kinglet_tools::recipe::Normalize;
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::NpzReader;

/// Largest distance from LiteRT's results of float32, relative to the largest of them.
const BOUND: f32 = 2e-6;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/tflite")
}

/// The models with their input and output, real numbers also where the model's are not.
fn models() -> Vec<(String, Vec<f32>, Vec<f32>)> {
    let mut golden = NpzReader::new(File::open(folder().join("expected.npz")).unwrap()).unwrap();
    let names = golden.names().unwrap();
    let names = names.iter().filter_map(|name| name.strip_suffix("/input"));
    let mut array = |name: &str| -> Vec<f32> {
        let array: ArrayD<f32> = golden.by_name::<OwnedRepr<f32>, IxDyn>(name).unwrap();
        array.iter().copied().collect()
    };
    names
        .map(|name| {
            let input = array(&format!("{name}/input"));
            let output = array(&format!("{name}/output"));
            (name.to_owned(), input, output)
        })
        .collect()
}

fn read(name: &str) -> Graph {
    let path = folder().join(format!("{name}.tflite"));
    let imported = tflite::read(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
    let notes = imported
        .notes
        .iter()
        .any(|note| note.contains("dynamic range"));
    assert_eq!(notes, name == "dynamic_range", "{:?}", imported.notes);
    imported.graph
}

fn run(graph: Graph, input: &[f32]) -> Vec<f32> {
    let settings = ExportSettings {
        normalize: Normalize::identity(graph.inputs[0].shape.channels),
        labels: Vec::new(),
        fine_tune_last: 0,
    };
    let (bytes, _) = export(graph, &settings).unwrap();
    let file = ModelFile::from_bytes(&bytes).unwrap();
    let model = file.model();
    let mut arena = HeapArena::new(model.sizes().arena);
    let mut session = AnySession::new(&model, &mut arena, Portable).unwrap();
    session.set_input_f32(input).unwrap();
    session.run().to_f32().into_owned()
}

/// Arrays of a model of several inputs or outputs, with their shapes in the file.
fn arrays(name: &str, what: &str) -> Vec<(Vec<usize>, Vec<f32>)> {
    let mut golden = NpzReader::new(File::open(folder().join("expected.npz")).unwrap()).unwrap();
    let names = golden.names().unwrap();
    let prefix = format!("{name}/{what}/");
    let count = names
        .iter()
        .filter(|name| name.starts_with(&prefix))
        .count();
    let array = |index| {
        let name = format!("{prefix}{index}");
        let array: ArrayD<f32> = golden.by_name::<OwnedRepr<f32>, IxDyn>(&name).unwrap();
        (array.shape().to_vec(), array.iter().copied().collect())
    };
    (0..count).map(array).collect()
}

#[test]
fn models_of_several_inputs_and_outputs_take_and_give_arrays_as_the_file_does() {
    for (name, names) in [
        ("two_outputs", ["t1", "t2"]),
        (
            "two_inputs",
            [
                "StatefulPartitionedCall",
                "StatefulPartitionedCall (tensor 10)",
            ],
        ),
    ] {
        let graph = read(name);
        let settings = ExportSettings {
            normalize: Normalize::identity(0),
            labels: Vec::new(),
            fine_tune_last: 0,
        };
        let (bytes, _) = export(graph, &settings).unwrap();
        let file = ModelFile::from_bytes(&bytes).unwrap();
        let model = file.model();
        let mut arena = HeapArena::new(model.sizes().arena);
        let mut session = AnySession::new(&model, &mut arena, Portable).unwrap();
        let inputs = model.inputs().iter().zip(model.tensors().iter());
        for ((index, (input, tensor)), (shape, values)) in
            inputs.enumerate().zip(arrays(name, "inputs"))
        {
            let layout = ArrayLayout::new(tensor.shape, input.source.as_ref());
            assert_eq!([&[1], layout.array()].concat(), shape, "{name}");
            let values = layout.to_model(values);
            session.input_mut(index).unwrap().set_f32(&values).unwrap();
        }
        session.run();
        let outputs = model.outputs().iter().zip(model.output_tensors());
        let expected = arrays(name, "outputs");
        assert_eq!(model.outputs().len(), expected.len());
        for ((index, (output, tensor)), (shape, right)) in outputs.enumerate().zip(expected) {
            assert_eq!(output.name, names[index]);
            let layout = ArrayLayout::new(tensor.shape, output.source.as_ref());
            assert_eq!([&[1], layout.array()].concat(), shape, "{name}");
            let found = session.output(index).unwrap().to_f32().into_owned();
            let found = layout.to_array(found);
            let distances = found.iter().zip(&right).map(|(a, b)| (a - b).abs());
            assert!(distances.fold(0.0, f32::max) < 1e-5, "{name}: {found:?}");
        }
    }
}

fn is_quantized(name: &str) -> bool {
    name.starts_with("int8_") || name.starts_with("uint8_")
}

#[test]
fn outputs_of_real_numbers_are_those_of_litert() {
    let mut checked = 0;
    for (name, input, right) in models() {
        if is_quantized(&name) {
            continue;
        }
        let found = run(read(&name), &input);
        assert_eq!(found.len(), right.len(), "{name}");
        let largest = right.iter().copied().map(f32::abs).fold(0.0, f32::max);
        let distances = found.iter().zip(&right).map(|(a, b)| (a - b).abs());
        let distance = distances.fold(0.0, f32::max) / largest;
        assert!(distance <= BOUND, "{name}: off by {distance}");
        checked += 1;
    }
    assert_eq!(checked, 36);
}

/// What one number of a quantized output is apart from the next.
fn step(graph: &Graph) -> f32 {
    let mut last = graph.nodes.iter().rev();
    let scale = last.find_map(|node| match node.operation {
        Operation::Quantize(output) => Some(output.scale),
        _ => None,
    });
    scale.unwrap()
}

#[test]
fn outputs_of_8_bit_numbers_are_within_one_of_litert() {
    let mut checked = 0;
    for (name, input, right) in models() {
        if !is_quantized(&name) {
            continue;
        }
        let graph = read(&name);
        let step = step(&graph);
        let found = run(graph, &input);
        assert_eq!(found.len(), right.len(), "{name}");
        let distances = found.iter().zip(&right).map(|(a, b)| (a - b).abs());
        let distance = distances.fold(0.0, f32::max) / step;
        assert!(distance <= 1.01, "{name}: off by {distance} steps");
        checked += 1;
    }
    assert_eq!(checked, 7);
}

#[test]
fn a_quantized_network_computes_with_8_bit_numbers_throughout() {
    for name in [
        "int8_conv",
        "int8_depthwise",
        "int8_residual",
        "int8_others",
        "int8_functions",
        "int8_pairs",
    ] {
        let mut graph = read(name);
        optimize(&mut graph);
        let takes_numbers = graph.nodes.iter().filter(|node| {
            matches!(
                node.operation,
                Operation::Int8 { .. }
                    | Operation::MaxPool2d(_)
                    | Operation::Concat { .. }
                    | Operation::Pad { .. }
                    | Operation::Upsample { .. }
                    | Operation::Transpose { .. }
                    | Operation::Reshape { .. }
            )
        });
        // The ends, too.
        assert!(graph.inputs[0].quantization.is_some(), "{name}: {graph:?}");
        assert_eq!(
            takes_numbers.count(),
            graph.nodes.len(),
            "{name}: {graph:?}"
        );
    }
}

#[test]
fn what_the_converter_spreads_over_several_operators_is_joined() {
    let operations = |name| {
        let mut graph = read(name);
        optimize(&mut graph);
        graph.nodes
    };
    // Padding and activations go into the convolution, a computed shape and open batch leave nothing.
    assert!(matches!(
        operations("pad_before_conv").as_slice(),
        [node] if matches!(node.operation, Operation::Conv2d { .. })
    ));
    assert!(matches!(
        operations("reshape_computed").as_slice(),
        [node] if matches!(node.operation, Operation::Linear { .. })
    ));
    assert_eq!(operations("gray_picture").len(), 2);
}

/// What must be refused, and words of the message.
const REFUSED: &[(&str, &str)] = &[
    (
        "batch",
        "input t0 is float32 [2, 3]; float32, int8 or uint8 [1, height, width, channels]",
    ),
    (
        "computed_twice",
        "operator 1 (RELU6), which computes \"t1\": it computes \"t1\", which is there already",
    ),
    (
        "control_flow",
        "operator 0 (WHILE), which computes \"t1\": a loop, as LSTM and GRU layers become one, cannot be imported",
    ),
    (
        "custom_operator",
        "operator 0 (custom operator Detect), which computes \"t1\": this operator",
    ),
    (
        "fused_tanh",
        "fused_activation_function is TANH; NONE, RELU, RELU6 or RELU_N1_TO_1 is right",
    ),
    ("huge_tensor", "(PAD), which computes \"t2\": "),
    (
        "int16_activations",
        "\"t1\" is int16 [1, 3]; float32, or int8 or uint8 of one scale, is right",
    ),
    (
        "later_tensor",
        "operator 0 (ADD), which computes \"t1\": it reads \"t2\", which is neither",
    ),
    (
        "loop",
        "operator 0 (WHILE), which computes \"t1\": a loop, as LSTM and GRU layers become one, cannot be imported",
    ),
    (
        "lstm",
        "operator 0 (UNIDIRECTIONAL_SEQUENCE_LSTM), which computes \"t1\": an LSTM layer cannot be imported: what kinglet runs has no loops",
    ),
    (
        "negative_extent",
        "its weights is float32 [2, -3] with 24 bytes",
    ),
    ("no_scale", "\"t1\" is int8 [1, 3] without a finite scale"),
    (
        "recorded_shape",
        "it computes [1, 2, 3], but the file says that \"t2\" is float32 [1, 3, 2]",
    ),
    (
        "same_axis_twice",
        "order is [0, 1, 1]; each of the 3 axes once is right",
    ),
    (
        "short_constant",
        "its weights is float32 [2000000000, 3] with 24 bytes",
    ),
    (
        "sparse_weights",
        "its weights is sparse; a dense tensor is right",
    ),
    (
        "stride_of_zero",
        "stride is [0, 1]; at least 1 on both axes is right",
    ),
    ("two_subgraphs", "the model has 2 subgraphs; one is right"),
    (
        "unknown_buffer",
        "its weights (\"t0\") must be a constant of the file",
    ),
    ("unknown_tensor", "it reads \"tensor 77\""),
    ("variable", "\"t1\" is a variable of float32 [1, 3]"),
];

/// Names of the files, of those that must be refused or of the others.
fn files(refused: bool) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder()).unwrap();
    let paths = paths.map(|entry| entry.unwrap().path());
    let is_refused = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("refused_")
    };
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "tflite")
        })
        .filter(|path| is_refused(path) == refused)
        .collect();
    paths.sort();
    paths
}

#[test]
fn what_cannot_be_computed_is_refused_by_name() {
    assert_eq!(files(true).len(), REFUSED.len());
    for (name, words) in REFUSED {
        let path = folder().join(format!("refused_{name}.tflite"));
        let message = tflite::read(&path, &[]).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
        assert!(message.contains("refused_"), "{message}");
    }
}

/// Reads and optimizes a file that may be anything.
fn try_bytes(bytes: &[u8], path: &Path) {
    let Ok(tflite::Imported { graph, .. }) = tflite::parse(bytes, path, &[]) else {
        return;
    };
    let weights = graph.nodes.iter().map(|node| match &node.operation {
        Operation::Conv2d { weights, .. } | Operation::Linear { weights, .. } => weights.len(),
        _ => 0,
    });
    assert!(weights.sum::<usize>() <= 4 * bytes.len());
    let settings = ExportSettings {
        normalize: Normalize::identity(graph.inputs[0].shape.channels),
        labels: Vec::new(),
        fine_tune_last: 0,
    };
    let _ = export(graph, &settings);
}

#[test]
fn damaged_files_are_read_or_refused() {
    for path in files(false).into_iter().chain(files(true)) {
        let bytes = std::fs::read(&path).unwrap();
        for len in (0..bytes.len()).step_by(7) {
            try_bytes(&bytes[..len], &path);
        }
        let mut damaged = bytes.clone();
        for at in 0..bytes.len() {
            damaged[at] ^= 1 << (at % 8);
            try_bytes(&damaged, &path);
            damaged[at] = bytes[at];
        }
    }
}
