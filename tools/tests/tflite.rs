//! TensorFlow Lite models, one for each operator and its odd options: their outputs are LiteRT's.
//! `tests/golden/tflite/make.py` made the files.

use std::fs::File;
use std::path::{Path, PathBuf};

use kinglet::{AnySession, HeapArena};
use kinglet_kernels::Portable;
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
    let names = names.iter().filter_map(|name| name.strip_suffix("/input.npy"));
    let mut array = |name: &str| -> Vec<f32> {
        let array: ArrayD<f32> = golden.by_name::<OwnedRepr<f32>, IxDyn>(name).unwrap();
        array.iter().copied().collect()
    };
    names
        .map(|name| {
            let input = array(&format!("{name}/input.npy"));
            let output = array(&format!("{name}/output.npy"));
            (name.to_owned(), input, output)
        })
        .collect()
}

fn read(name: &str) -> Graph {
    let path = folder().join(format!("{name}.tflite"));
    tflite::read(&path).unwrap_or_else(|error| panic!("{error}"))
}

fn run(graph: Graph, input: &[f32]) -> Vec<f32> {
    let settings = ExportSettings {
        normalize: Normalize::identity(graph.input.channels),
        labels: Vec::new(),
        fine_tune_last: 0,
    };
    let (bytes, _) = export(graph, &settings).unwrap();
    let file = ModelFile::from_bytes(&bytes).unwrap();
    let model = file.model();
    let mut arena = HeapArena::new(model.sizes().arena);
    let mut session = AnySession::new(&model, &mut arena, Portable).unwrap();
    session.set_input_f32(input).unwrap();
    session.run().to_vec()
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
    assert_eq!(checked, 29);
}
