//! `kinglet verify` agrees with tract on what was imported, and names the layer that was changed.

use std::path::{Path, PathBuf};

use kinglet_kernels::Portable;
use kinglet_tools::export::{ExportSettings, export, export_without_constant};
use kinglet_tools::graph::{Graph, Operation};
use kinglet_tools::import::onnx::{self, Options};
use kinglet_tools::model_file::ModelFile;
use kinglet_tools::optimize::optimize;
use kinglet_tools::recipe::Normalize;
use kinglet_tools::verify::{Comparison, Sources, VerifyError, compare, random_inputs};

fn golden(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/onnx");
    root.join(name).join("model.onnx")
}

fn settings() -> ExportSettings {
    ExportSettings {
        normalize: Normalize::identity(0),
        labels: vec![],
        fine_tune_last: 0,
    }
}

/// The model of an optimized graph.
fn model(graph: Graph) -> ModelFile {
    ModelFile::from_bytes(&export(graph, &settings()).unwrap().0).unwrap()
}

fn imported(path: &Path) -> Graph {
    onnx::read(path, &Options::default()).unwrap().graph
}

fn comparison(path: &Path, file: &ModelFile) -> Result<Comparison, VerifyError> {
    let options = Options::default();
    let sources = Sources {
        onnx: path,
        options: &options,
        model: file.model(),
    };
    let inputs = random_inputs(&file.model(), 2);
    compare(&sources, &Portable, &inputs)
}

#[test]
fn what_was_imported_agrees_with_tract() {
    let (mut compared, mut layers) = (0, 0);
    for number in 0..60 {
        let path = golden(&format!("r{number:04}"));
        let found = match comparison(&path, &model(imported(&path))) {
            Ok(found) => found,
            // tract does not run every operator; the rest of the message is its own.
            Err(VerifyError::Tract(_)) => continue,
            Err(error) => panic!("{}: {error}", path.display()),
        };
        compared += 1;
        for layer in &found.layers {
            assert!(!layer.parts(None), "{}: {layer:?}", path.display());
            layers += usize::from(layer.difference.is_some());
        }
        let output = found.layers.last().unwrap();
        assert!(
            output.difference.is_some(),
            "{}: {output:?}",
            path.display()
        );
    }
    assert!(compared >= 30, "tract ran only {compared} of 60 files");
    assert!(layers >= 100, "{layers} layers were compared");
}

#[test]
fn the_layer_that_was_changed_is_named() {
    let mut tested = 0;
    for number in 0..60 {
        let path = golden(&format!("r{number:04}"));
        let mut graph = imported(&path);
        optimize(&mut graph);
        let changed = graph
            .nodes
            .iter_mut()
            .position(|node| match &mut node.operation {
                Operation::Conv2d { weights, .. } | Operation::Linear { weights, .. } => {
                    weights.iter_mut().for_each(|weight| *weight += 0.5);
                    true
                }
                _ => false,
            });
        let (Some(changed), Ok(found)) = (changed, comparison(&path, &model(graph))) else {
            continue;
        };
        let parted = found.layers.iter().position(|layer| layer.parts(None));
        // Weights that only padding meets make no difference.
        if let Some(parted) = parted {
            // Of an operator that is made of several steps the last one has the file's value beside it.
            let mut behind = found.layers.iter().enumerate().skip(changed);
            let compared = behind.find(|(_, layer)| layer.difference.is_some());
            let (compared, layer) = compared.unwrap();
            assert_eq!(layer.name, found.layers[changed].name);
            assert_eq!(parted, compared, "{}: {found:#?}", path.display());
            tested += 1;
        }
    }
    assert!(tested >= 10, "{tested} files");
}

#[test]
fn channels_that_were_left_out_are_compared_by_what_they_always_are() {
    for name in ["int8", "f32"] {
        let path = crate::constant::folder().join(format!("{name}.onnx"));
        let graph = imported(&path);
        let (bytes, removed) = export_without_constant(graph.clone(), &settings()).unwrap();
        assert!(removed.is_some());
        let whole = comparison(&path, &model(graph)).unwrap();
        let found = comparison(&path, &ModelFile::from_bytes(&bytes).unwrap()).unwrap();
        let compared = |found: &Comparison| {
            let layers = found.layers.iter();
            let compared = layers.map(|layer| (layer.name.clone(), layer.difference.is_some()));
            compared.collect::<Vec<_>>()
        };
        assert_eq!(compared(&found), compared(&whole));
        for (layer, whole) in found.layers.iter().zip(&whole.layers) {
            assert!(!layer.parts(None), "{name}: {layer:?}");
            // All of tract's channels were looked at.
            assert_eq!(layer.largest, whole.largest);
        }
        assert!(
            found
                .layers
                .iter()
                .filter(|layer| layer.difference.is_some())
                .count()
                >= 7
        );
    }
}

#[test]
fn the_model_of_another_file_is_refused() {
    let (first, second) = (golden("r0000"), golden("r0001"));
    let error = comparison(&first, &model(imported(&second))).unwrap_err();
    assert!(matches!(error, VerifyError::Other { .. }), "{error}");
    assert!(error.to_string().contains("not an import of"), "{error}");
}
