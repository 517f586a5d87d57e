//! Single layers with awkward parameters against PyTorch: what a recipe's layer computes once exported, on
//! every kernel set, and its gradients. `tests/golden/make_layers.py` made the numbers.

use std::fs::File;
use std::path::{Path, PathBuf};

use kinglet::SessionMemory;
use kinglet_kernels::arch::sets;
use kinglet_kernels::{BackwardKernels, Shape};
use kinglet_tools::export::{ExportSettings, export};
use kinglet_tools::graph::{Graph, Operation, Role};
use kinglet_tools::model_file::ModelFile;
use kinglet_tools::recipe::{Normalize, Recipe};
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::NpzReader;

/// Largest distance from PyTorch's float64 results, relative to the largest of them.
const BOUND: f32 = 2e-6;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden")
        .join(name)
}

/// The arrays of one layer.
struct Arrays<'a> {
    file: &'a mut NpzReader<File>,
    name: String,
}

impl Arrays<'_> {
    fn get(&mut self, array: &str) -> Option<ArrayD<f32>> {
        let name = format!("{}/{array}", self.name);
        self.file.by_name::<OwnedRepr<f32>, IxDyn>(&name).ok()
    }

    /// Feature maps or vectors of a batch, in NHWC order.
    fn batch(&mut self, array: &str) -> Vec<f32> {
        let array = self.get(array).unwrap();
        match array.ndim() {
            4 => array
                .permuted_axes(vec![0, 2, 3, 1])
                .iter()
                .copied()
                .collect(),
            _ => array.iter().copied().collect(),
        }
    }
}

/// Parameters by their role, in kinglet's order.
fn import(network: &mut Graph, arrays: &mut Arrays<'_>, prefix: &str) {
    let layer = last(network);
    for name in ["weight", "bias", "running_mean", "running_var"] {
        if let Some(values) = arrays.get(&format!("{prefix}{name}")) {
            let values: Vec<f32> = values.iter().copied().collect();
            network
                .import_pytorch(&format!("{layer}.{name}"), &values)
                .unwrap();
        }
    }
}

fn integers(value: &toml::Value) -> Vec<i64> {
    let values = value.as_array().unwrap();
    values
        .iter()
        .map(|value| value.as_integer().unwrap())
        .collect()
}

/// The number of the layer in question; a linear one has a Flatten before it.
fn last(network: &Graph) -> usize {
    network.nodes.len() - 1
}

fn assert_close(what: &str, found: &[f32], right: &[f32]) {
    assert_eq!(found.len(), right.len(), "{what}");
    let scale = right.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
    let distance = found
        .iter()
        .zip(right)
        .fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(
        distance <= BOUND * scale,
        "{what}: off by {distance}, largest value {scale}"
    );
}

/// The layer exported as a model, run on `set` over the whole batch.
fn run_exported(network: &Graph, set: &'static dyn BackwardKernels, input: &[f32]) -> Vec<f32> {
    let shape = network.input();
    let settings = ExportSettings {
        normalize: Normalize::identity(shape.channels),
        labels: Vec::new(),
        fine_tune_last: 0,
    };
    let (bytes, _) = export(network.clone(), &settings).unwrap();
    let file = ModelFile::from_bytes(&bytes).unwrap();
    let model = file.model();
    let mut memory = SessionMemory::new(&model, &set, input.len() / shape.len());
    let mut session = memory.session(&model, set).unwrap();
    session.set_input_f32(input).unwrap();
    session.run().to_f32().into_owned()
}

/// The gradients that `set` gives for a layer: of its input, and of weights and bias where it has them.
struct Gradients {
    input: Vec<f32>,
    weights: Option<Vec<f32>>,
    bias: Option<Vec<f32>>,
}

fn backward(
    set: &dyn BackwardKernels,
    network: &Graph,
    input: &[f32],
    output: &[f32],
    d_output: &[f32],
) -> Option<Gradients> {
    let operation = &network.nodes[last(network)].operation;
    let weights = operation.values(Role::Weights);
    let zeros = |role| {
        let values = operation.values(role);
        values.map(|values| vec![0.0; values.len()])
    };
    let mut d = Gradients {
        input: vec![f32::NAN; input.len()],
        weights: zeros(Role::Weights),
        bias: zeros(Role::Bias),
    };
    match operation {
        Operation::Conv2d { params, .. } => {
            let mut scratch = vec![f32::NAN; set.conv2d_f32_backward_scratch_len(params)];
            set.conv2d_f32_backward_input(params, d_output, weights?, &mut scratch, &mut d.input);
            set.conv2d_f32_backward_weights(
                params,
                input,
                d_output,
                &mut scratch,
                d.weights.as_mut()?,
                d.bias.as_deref_mut(),
            );
        }
        Operation::Linear { params, .. } => {
            set.linear_f32_backward_input(params, d_output, weights?, &mut d.input);
            set.linear_f32_backward_weights(
                params,
                0..params.out_features(),
                input,
                d_output,
                d.weights.as_mut()?,
                d.bias.as_deref_mut(),
            );
        }
        Operation::MaxPool2d(params) => {
            set.max_pool2d_f32_backward(params, input, d_output, &mut d.input);
        }
        Operation::AvgPool2d(params) => {
            set.avg_pool2d_f32_backward(params, d_output, &mut d.input);
        }
        Operation::Unary(function) => {
            d.input.copy_from_slice(d_output);
            set.unary_f32_backward(*function, output, &mut d.input);
        }
        Operation::Softmax => {
            d.input.copy_from_slice(d_output);
            set.softmax_f32_backward(network.output().channels, output, &mut d.input);
        }
        // Batch normalization needs the whole batch: its gradients are compared in training.
        _ => return None,
    }
    Some(d)
}

#[test]
fn layers_compute_what_pytorch_computes() {
    let text = std::fs::read_to_string(golden("layers.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let mut file = NpzReader::new(File::open(golden("layers.npz")).unwrap()).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    assert!(layers.len() >= 40);
    for entry in layers {
        let name = entry["name"].as_str().unwrap();
        let text = entry["layer"].as_str().unwrap();
        // A vector is a picture of one pixel.
        let mut shape: Vec<i64> = integers(&entry["input"]);
        shape.resize(3, 1);
        let before = if text.starts_with("Linear") {
            "\"Flatten()\", "
        } else {
            ""
        };
        let recipe = format!("input = {shape:?}\nlayers = [{before}\"{text}\"]\n");
        let recipe = Recipe::parse(&recipe, Path::new("layer.toml")).unwrap();
        let mut arrays = Arrays {
            file: &mut file,
            name: name.to_owned(),
        };
        let mut network = recipe.graph.clone();
        import(&mut network, &mut arrays, "");
        let operation = &network.nodes[last(&network)].operation;
        let normalizes = matches!(operation, Operation::BatchNorm2d(_));
        let input = arrays.batch("input");
        let output = arrays.batch(if normalizes { "eval_output" } else { "output" });
        let d_output = arrays.batch("d_output");
        let d_input = arrays.batch("d_input");
        let mut right = recipe.graph;
        import(&mut right, &mut arrays, "d_");

        for set in sets().iter().filter_map(|set| set.training_kernels()) {
            let what = |part: &str| format!("{name}: {text} on {}: {part}", set.name());
            // An identity is nothing that could be exported by itself.
            if !matches!(operation, Operation::Reshape { .. }) {
                let found = run_exported(&network, set, &input);
                assert_close(&what("output"), &found, &output);
            }
            let d = backward(set, &network, &input, &output, &d_output);
            if let Some(d) = d {
                assert_close(&what("d_input"), &d.input, &d_input);
                let right = |role| right.nodes[last(&right)].operation.values(role);
                for (role, found) in [(Role::Weights, &d.weights), (Role::Bias, &d.bias)] {
                    if let Some((found, right)) = found.as_ref().zip(right(role)) {
                        assert_close(&what(&format!("{role:?}")), found, right);
                    }
                }
            }
        }
        assert_ne!(network.output(), Shape::default());
    }
}
