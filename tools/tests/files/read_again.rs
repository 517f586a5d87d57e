//! A model file that is read as a graph and written again is the same model.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

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

#[test]
fn what_was_read_is_written_as_it_was() {
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
        assert!(again == bytes, "{}", path.display());
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
        "QuantizedConv2d",
        "QuantizedLinear",
        "Requantize",
        "Reshape",
        "Slice",
        "Softmax",
        "Transpose",
        "Unary",
        "Upsample",
    ];
    assert_eq!(Vec::from_iter(operators), all);
}
