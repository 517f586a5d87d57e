//! Any bytes as a TensorFlow Lite file: refused, or a graph that can be optimized, with constants that the length
//! of the file bounds.
#![no_main]

use std::path::Path;

use kinglet_tools::graph::Operation;
use kinglet_tools::import::tflite;
use kinglet_tools::optimize::optimize;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(tflite::Imported { mut graph, .. }) = tflite::parse(data, Path::new("fuzz.tflite"), &[])
    else {
        return;
    };
    let weights = graph.nodes.iter().map(|node| match &node.operation {
        Operation::Conv2d { weights, .. } | Operation::Linear { weights, .. } => weights.len(),
        _ => 0,
    });
    assert!(weights.sum::<usize>() <= 4 * data.len());
    optimize(&mut graph);
});
