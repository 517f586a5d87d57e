//! ONNX files of 8-bit operators give ONNX Runtime's numbers, all of them but for softmax, and compute with nothing else.
//! `tests/golden/make_int8.py` made the files.

use std::path::{Path, PathBuf};

use kinglet_tools::graph::{Graph, Int8Operation, Operation};
use kinglet_tools::import::onnx::{self, Options};
use kinglet_tools::optimize::optimize;

use crate::case::{Case, Outcome, Tolerance};

/// The folder of each case, with its name.
fn cases() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/onnx-int8");
    let mut cases: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    cases.sort();
    cases
}

/// The graph of a case, as it is exported.
fn graph(folder: &Path) -> Graph {
    let path = folder.join("model.onnx");
    let mut graph = onnx::read(&path, &Options::default()).unwrap().graph;
    optimize(&mut graph);
    graph
}

/// What one number of the output is apart from the next.
fn step(graph: &Graph) -> f32 {
    let mut last = graph.nodes.iter().rev();
    let scale = last.find_map(|node| match node.operation {
        Operation::Int8 { output, .. } => Some(output.scale),
        _ => None,
    });
    scale.unwrap_or(0.0)
}

#[test]
fn every_number_is_that_of_onnx_runtime() {
    let cases = cases();
    assert_eq!(cases.len(), 82);
    let mut failed = Vec::new();
    for (name, folder) in cases {
        let case = Case::read(&folder).unwrap();
        // Exponentials are rounded otherwise.
        let steps = if name.contains("softmax") { 1.01 } else { 0.0 };
        let tolerance = Tolerance {
            absolute: steps * step(&graph(&folder)),
            ..Tolerance::default()
        };
        match case.run(tolerance) {
            Outcome::Passed => {}
            Outcome::Refused(reason) | Outcome::Failed(reason) => {
                failed.push(format!("{name}: {reason}"));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A network that says it is quantized and is run with real numbers gives nearly the same, and nobody sees that it is slow.
#[test]
fn no_node_computes_with_real_numbers() {
    for (name, folder) in cases() {
        let graph = graph(&folder);
        assert!(graph.inputs[0].quantization.is_some(), "{name}: {graph:?}");
        for node in &graph.nodes {
            let of_numbers = match node.operation {
                Operation::Int8 { .. } => true,
                Operation::Quantize(_) | Operation::Dequantize(_) => false,
                // What is left takes numbers of either type, and has been given those of its input.
                _ => matches!(
                    node.operation,
                    Operation::MaxPool2d(_)
                        | Operation::Concat { .. }
                        | Operation::Slice { .. }
                        | Operation::Pad { .. }
                        | Operation::Upsample { .. }
                        | Operation::Transpose { .. }
                        | Operation::Reshape { .. }
                ),
            };
            assert!(of_numbers, "{name}: {:?}", node.operation);
        }
    }
}

/// What each kind of case becomes.
#[test]
fn operators_become_their_counterparts() {
    let kinds = |name: &str| -> Vec<&'static str> {
        let (_, folder) = cases().into_iter().find(|(own, _)| own == name).unwrap();
        let graph = graph(&folder);
        let kinds = graph.nodes.iter().filter_map(|node| match &node.operation {
            Operation::Int8 { operation, .. } => Some(match operation {
                Int8Operation::Conv2d { .. } => "conv",
                Int8Operation::Linear { .. } => "linear",
                Int8Operation::AvgPool2d(_) => "average",
                Int8Operation::Add { .. } => "add",
                Int8Operation::Binary { .. } => "binary",
                Int8Operation::Softmax => "softmax",
                Int8Operation::Requantize { .. } => "requantize",
                Int8Operation::Table { .. } => "table",
            }),
            _ => None,
        });
        kinds.collect()
    };
    assert_eq!(kinds("qlinear_sigmoid_0"), ["table"]);
    assert_eq!(kinds("qdq_hardswish"), ["table"]);
    assert_eq!(kinds("qdq_relu"), ["requantize"]);
    // However many steps it takes.
    assert_eq!(kinds("qdq_chain"), ["table"]);
    assert_eq!(kinds("times_its_sigmoid_0"), ["table"]);
    assert_eq!(kinds("qlinear_add_0"), ["conv", "add"]);
    assert_eq!(kinds("qdq_sub"), ["conv", "binary"]);
    assert_eq!(
        kinds("squeeze_and_excite_0"),
        ["average", "conv", "table", "conv", "table", "binary"]
    );
    assert_eq!(kinds("qdq_prelu"), ["conv", "binary"]);
    assert_eq!(kinds("qdq_affine"), ["conv", "conv"]);
    assert_eq!(
        kinds("qlinear_concat_0"),
        ["conv", "requantize", "requantize"]
    );
}
