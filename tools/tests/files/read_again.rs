//! A model file that is read as a graph and written again computes the same.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kinglet::SessionMemory;
use kinglet::kernels::Portable;
use kinglet::model::GraphSpec;
use kinglet_tools::export::{ExportSettings, export};
use kinglet_tools::graph::Graph;
use kinglet_tools::import::{onnx, tflite};
use kinglet_tools::model_file::ModelFile;
use kinglet_tools::recipe::Normalize;

/// The networks of other frameworks that tests have.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let (mut files, mut folders) = (Vec::new(), vec![root]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("onnx" | "tflite") => files.push(path),
                _ if path.is_dir() => folders.push(path),
                _ => {}
            }
        }
    }
    files
}

/// The network of a file; None of those that are to be refused.
fn import(path: &Path) -> Option<Graph> {
    Some(match tflite::is_tflite(path) {
        true => tflite::read(path, &[]).ok()?.graph,
        false => onnx::read(path, &onnx::Options::default()).ok()?.graph,
    })
}

/// What a model computes, all outputs, of inputs that are no two the same.
fn outputs(file: &ModelFile) -> Vec<Vec<u32>> {
    let model = file.model();
    let mut memory = SessionMemory::new(&model, &Portable, 1);
    let mut session = memory.session(&model, Portable).unwrap();
    for (index, tensor) in (0..model.inputs().len()).zip(model.tensors().iter()) {
        let input = session.input_mut(index).unwrap();
        let numbers: Vec<f32> = (0..tensor.shape.len())
            .map(|at| ((at * 37 + index * 11) % 101) as f32 / 50.0 - 1.0)
            .collect();
        input.set_f32(&numbers).unwrap();
    }
    session.run();
    let outputs = (0..model.outputs().len()).map(|index| session.output(index).unwrap());
    outputs
        .map(|output| output.iter().map(f32::to_bits).collect())
        .collect()
}

#[test]
fn what_was_read_and_written_computes_the_same_bits() {
    let mut operators = BTreeSet::new();
    for path in files() {
        let Some(graph) = import(&path) else {
            continue;
        };
        let settings = ExportSettings {
            normalize: Normalize::identity(0),
            labels: Vec::new(),
            fine_tune_last: 0,
        };
        let (bytes, _) = export(graph, &settings).unwrap();
        let file = ModelFile::from_bytes(&bytes).unwrap();
        let read = GraphSpec::of(&file.model()).unwrap();
        operators.extend(read.nodes.iter().map(|node| node.operator.name()));
        let graph = Graph::of_model(&file.model()).unwrap();
        let (again, _) = export(graph, &settings).unwrap();
        let again = ModelFile::from_bytes(&again).unwrap();
        assert_eq!(outputs(&again), outputs(&file), "{}", path.display());
    }
    // None is left out.
    let all = [
        "AvgPool2d",
        "Binary",
        "BinaryConstant",
        "ChannelAffine",
        "Concat",
        "Conv2d",
        "Conv2dMaxPool2d",
        "Dequantize",
        "Linear",
        "LogSoftmax",
        "MaxPool2d",
        "Pad",
        "Quantize",
        "QuantizedAdd",
        "QuantizedBinary",
        "QuantizedConv2d",
        "QuantizedLinear",
        "Requantize",
        "Reshape",
        "Slice",
        "Softmax",
        "Table",
        "Transpose",
        "Unary",
        "Upsample",
    ];
    assert_eq!(Vec::from_iter(operators), all);
}
