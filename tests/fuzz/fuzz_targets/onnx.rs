//! Any bytes as an ONNX file: refused, or a graph that can be exported or is refused then, within memory that the
//! length of the file bounds.
#![no_main]

use std::path::Path;

use kinglet_tools::export::{ExportSettings, export};
use kinglet_tools::import::onnx::{Options, parse};
use kinglet_tools::recipe::Normalize;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(imported) = parse(data, Path::new("fuzz.onnx"), &Options::default()) else {
        return;
    };
    for (door, input) in imported.inputs.iter().zip(&imported.graph.inputs) {
        assert_eq!(door.shape(), input.shape);
    }
    let settings = ExportSettings {
        normalize: Normalize::identity(0),
        labels: vec![],
        fine_tune_last: 0,
    };
    let _ = export(imported.graph, &settings);
});
