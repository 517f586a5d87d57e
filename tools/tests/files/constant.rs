//! Networks without the channels that make no difference: their outputs, on recorded inputs, beside those of the whole
//! networks and of ONNX Runtime. `tests/golden/make_constant.py` made the files.

use std::fs::File;
use std::path::{Path, PathBuf};

use kinglet::SessionMemory;
use kinglet::kernels::Portable;
use kinglet_tools::array_layout::ArrayLayout;
use kinglet_tools::export::{ExportSettings, export, export_without_constant};
use kinglet_tools::graph::Graph;
use kinglet_tools::import::onnx::{self, Options};
use kinglet_tools::model_file::ModelFile;
use kinglet_tools::recipe::Normalize;
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::NpzReader;

/// The folder of the files.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/constant")
}

fn array(name: &str) -> ArrayD<f32> {
    let mut golden = NpzReader::new(File::open(folder().join("expected.npz")).unwrap()).unwrap();
    golden.by_name::<OwnedRepr<f32>, IxDyn>(name).unwrap()
}

fn settings() -> ExportSettings {
    ExportSettings {
        normalize: Normalize::identity(0),
        labels: Vec::new(),
        fine_tune_last: 0,
    }
}

fn import(name: &str) -> Graph {
    let path = folder().join(format!("{name}.onnx"));
    onnx::read(&path, &Options::default()).unwrap().graph
}

/// The outputs of a model for each picture.
fn outputs(bytes: &[u8], pictures: &ArrayD<f32>) -> Vec<f32> {
    let file = ModelFile::from_bytes(bytes).unwrap();
    let model = file.model();
    let source = model.inputs().iter().next().unwrap().source;
    let layout = ArrayLayout::new(
        model.tensors().iter().next().unwrap().shape,
        source.as_ref(),
    );
    let mut memory = SessionMemory::new(&model, &Portable, 1);
    let mut session = memory.session(&model, Portable).unwrap();
    let pictures = pictures.outer_iter();
    let outputs = pictures.flat_map(|picture| {
        let values = layout.to_model(picture.iter().copied().collect());
        session.set_input_f32(&values).unwrap();
        session.run().to_f32().into_owned()
    });
    outputs.collect()
}

#[test]
fn what_is_left_computes_what_the_whole_network_does() {
    for (name, is_int8) in [("int8", true), ("f32", false)] {
        let pictures = array(&format!("{name}/input"));
        let right = array(&format!("{name}/output"));
        let (whole, _) = export(import(name), &settings()).unwrap();
        let (left, removed) = export_without_constant(import(name), &settings()).unwrap();
        let saving = removed.unwrap().saving;
        assert!(
            saving.after.channels + 14 <= saving.before.channels,
            "{saving}"
        );
        assert!(left.len() < whole.len() && saving.after.macs < saving.before.macs);
        let [whole, left] = [whole, left].map(|bytes| outputs(&bytes, &pictures));
        // A step is 0.5.
        let (own, theirs) = if is_int8 { (0.0, 0.51) } else { (2e-5, 2e-5) };
        for ((whole, left), right) in whole.iter().zip(&left).zip(&right) {
            assert!((whole - left).abs() <= own, "{name}: {left}, whole {whole}");
            assert!((left - right).abs() <= theirs, "{name}: {left}, {right}");
        }
    }
}
