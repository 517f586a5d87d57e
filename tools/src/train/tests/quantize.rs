//! Training for 8-bit numbers: what rounding lets through, and that the network which is exported is the one that was
//! trained.

use kinglet_kernels::Quantization;

use super::*;
use crate::base::{Base, Frozen};
use crate::evaluate::evaluate;
use crate::export::{ExportSettings, export};
use crate::graph::{FakeQuantize, Graph, Input, Operation, Output, Role};
use crate::model_file::ModelFile;
use crate::optimize::optimize;
use crate::picture::Fit;
use crate::recipe::{Normalize, OptimizerSettings};

/// A model that was trained on Fashion-MNIST.
const MICRO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../boards/models/micro.kgl");

const SETTINGS: &str = "[data]\nvalidation = 0.25\n[train]\nepochs = 2\nbatch_size = 20\nseed = 4\n\
                        [optimizer]\ntype = \"SGD\"\nlr = 0.005\nmomentum = 0.9\n[quantize]\nmomentum = 0.1\n";

fn base(layers: &str) -> Base {
    let settings = ExportSettings {
        normalize: Normalize::identity(2),
        labels: Vec::new(),
        fine_tune_last: 0,
    };
    let graph = recipe(layers).graph.initialized(9);
    Base {
        model: export(graph, &settings).unwrap().0,
        classes: None,
        frozen: Frozen::Nothing,
    }
}

fn onto(base: Base) -> Recipe {
    Recipe::parse_onto(SETTINGS, Path::new("test.toml"), base).unwrap()
}

const BODY: &str = r#""Conv2d(2, 4, 3, padding=1)", "BatchNorm2d(4)", "ReLU()", "MaxPool2d(2)", "x = Conv2d(4, 6, 3, padding=1)",
    "Conv2d(6, 6, 1)", "_ + x", "ReLU()", "Flatten()", "Linear(72, 3)""#;

#[test]
fn the_recipe_of_the_page_is_one() {
    let page = include_str!("../../../../docs/quantize.md");
    let (_, after) = page.split_once("```toml\n").expect("a recipe");
    let (text, _) = after.split_once("```").expect("its end");
    let recipe = Recipe::parse_onto(text, Path::new("int8.toml"), base(BODY)).unwrap();
    assert_eq!(recipe.train.epochs, 3);
}

#[test]
fn values_are_rounded_where_a_quantized_network_has_numbers() {
    let recipe = onto(base(BODY));
    let rounded = |node: &crate::graph::Node| matches!(node.operation, Operation::FakeQuantize(_));
    let nodes = recipe.graph.nodes.iter();
    let names: Vec<&str> = nodes
        .filter(|node| rounded(node))
        .map(|node| &node.name[..])
        .collect();
    // Not behind the max pool, which only copies; the sum and its ReLU are one operation.
    assert_eq!(
        names,
        [
            "input on 8 bits",
            "1 Conv2dMaxPool2d on 8 bits",
            "2 Conv2d on 8 bits",
            "3 Conv2d on 8 bits",
            "4 Binary on 8 bits",
            "5 Linear on 8 bits"
        ]
    );
    let mut graph = recipe.graph;
    for node in &mut graph.nodes {
        if let Operation::FakeQuantize(of) = &mut node.operation {
            of.range = [-1.0, 2.0];
        }
    }
    optimize(&mut graph);
    let is_int8 = |node: &crate::graph::Node| {
        matches!(
            node.operation,
            Operation::Int8 { .. } | Operation::MaxPool2d(_) | Operation::Reshape { .. }
        )
    };
    assert!(graph.nodes.iter().all(is_int8), "{graph:#?}");
}

#[test]
fn what_was_not_trained_or_is_trained_in_part_is_not_rounded() {
    let refused = |text: &str, base: Base| {
        let recipe = Recipe::parse_onto(text, Path::new("test.toml"), base);
        recipe.unwrap_err().to_string()
    };
    let mut part = base(BODY);
    part.frozen = Frozen::AllBut(1);
    let message = refused(SETTINGS, part);
    assert!(
        message.starts_with("test.toml:11: [quantize] trains all layers"),
        "{message}"
    );
    let text = format!("{}[quantize]\n", recipe(BODY).text);
    let untrained = Recipe::parse(&text, Path::new("test.toml")).unwrap();
    let message = untrained
        .check_trainable(Path::new("test.toml"))
        .unwrap_err();
    assert!(
        message
            .to_string()
            .contains("go on with `kinglet train RECIPE --from"),
        "{message}"
    );
    let message = refused("[quantize]\nmomentum = 0", base(BODY));
    assert!(message.contains("above 0 and at most 1"), "{message}");
}

/// One value goes through rounding, and is the output.
fn through(range: [f32; 2], momentum: f32) -> Trainer {
    let mut graph = Graph::new("net", vec![Input::new("input", Shape::vector(3))]);
    let affine = Operation::ChannelAffine {
        activation: kinglet_kernels::Activation::Identity,
        scale: vec![1.0; 3],
        shift: vec![0.0; 3],
    };
    let value = graph.push("affine", affine, &[0]);
    let rounding = Operation::FakeQuantize(FakeQuantize { range, momentum });
    let value = graph.push("rounding", rounding, &[value]);
    graph.outputs.push(Output::new("output", value));
    let options = TrainerOptions {
        kernels: &Portable,
        threads: 1,
        batch_size: 4,
        seed: 1,
        frozen: 0,
        loss: Loss::SquaredError,
    };
    let sgd = OptimizerSettings::Sgd {
        learning_rate: 0.0,
        momentum: 0.0,
        weight_decay: 0.0,
        nesterov: false,
        decay_bias: true,
    };
    Trainer::new(graph, &sgd, options).unwrap()
}

/// Vectors of three that all ought to become 0.
struct Vectors(Vec<[f32; 3]>);

impl Source for Vectors {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn shape(&self) -> Shape {
        Shape::vector(3)
    }

    fn write(&self, index: usize, output: &mut [f32]) {
        output.copy_from_slice(&self.0[index]);
    }

    fn label(&self, _: usize) -> usize {
        0
    }

    fn write_target(&self, _: usize, _: &[f32], target: &mut [f32]) {
        target.fill(0.0);
    }
}

#[test]
fn gradients_go_straight_through_but_not_to_what_is_cut_off() {
    // The range hardly moves.
    let mut trainer = through([-1.0, 1.55], 1e-6);
    let vectors = Vectors(vec![[0.123_45, 1.9, -1.2]]);
    let tally = trainer.gradient(&vectors, &[0], 0).unwrap();
    let numbers = Quantization::new(0.01, -28);
    let rounded = vectors.0[0].map(|x| numbers.dequantize(numbers.quantize(x)));
    // The loss is of what was rounded, ...
    let squares: f32 = rounded.iter().map(|x| x * x / 3.0).sum();
    assert!((tally.loss as f32 - squares).abs() < 1e-4, "{}", tally.loss);
    // ... and the gradient of a summand is that of its output, or nothing.
    let gradients = trainer.gradients().unwrap();
    let of_shift = &gradients[3..];
    let expected = 2.0 * rounded[0] / 3.0;
    assert!((of_shift[0] - expected).abs() < 1e-5, "{of_shift:?}");
    assert_eq!(of_shift[1..], [0.0, 0.0]);
}

#[test]
fn ranges_follow_the_batches_in_training_alone() {
    let range = |trainer: &Trainer| trainer.values().statistics.clone();
    let mut trainer = through([0.0; 2], 0.25);
    let vectors = Vectors(vec![[0.5, 1.0, 2.0], [-1.0, 0.0, 4.0], [9.0, 9.0, 9.0]]);
    trainer.evaluate(&vectors, &[0], &|| true).unwrap();
    assert_eq!(range(&trainer), [0.0, 0.0]);
    // The first batch is all there is, the next counts for a quarter; 0 is always within.
    trainer.gradient(&vectors, &[0], 0).unwrap();
    assert_eq!(range(&trainer), [0.0, 2.0]);
    trainer.gradient(&vectors, &[1], 0).unwrap();
    assert_eq!(range(&trainer), [-0.25, 2.5]);
    trainer.evaluate(&vectors, &[2], &|| true).unwrap();
    assert_eq!(range(&trainer), [-0.25, 2.5]);
}

#[test]
fn what_is_exported_is_what_was_trained() {
    let file = ModelFile::read(MICRO.as_ref()).unwrap();
    let read = crate::dataset::ReadOptions::of_model(&file.model(), Fit::Resize, None);
    let data = crate::dataset::embedded().unwrap().fitted(&read).unwrap();
    let base = Base {
        model: file.bytes().to_vec(),
        classes: None,
        frozen: Frozen::Nothing,
    };
    let mut recipe = onto(base);
    recipe.train.epochs = 1;
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path(), Start::New);
    let report = complete(run_on(&recipe, &data, &options, 0));
    let settings = ExportSettings {
        normalize: recipe.data.normalize.clone(),
        labels: Vec::new(),
        fine_tune_last: 0,
    };
    // The checkpoint has the ranges.
    let network = Checkpoint::load(folder.path())
        .unwrap()
        .best_network()
        .unwrap();
    let (bytes, _) = export(network, &settings).unwrap();
    let int8 = ModelFile::from_bytes(&bytes).unwrap();
    assert!(
        int8.model()
            .tensors()
            .iter()
            .all(|tensor| tensor.dtype.quantization().is_some())
    );
    let test = data.test.as_ref().unwrap();
    let all: Vec<usize> = (0..test.len()).collect();
    let found = evaluate(&int8.model(), &Portable, test, &all).unwrap();
    let trained = report.test.unwrap().total();
    let before = evaluate(&file.model(), &Portable, test, &all).unwrap();
    // Both round the same values; sums of f32 may fall to the other side of a tie.
    assert!(
        (found.accuracy() - trained.accuracy()).abs() <= 0.0025,
        "{} on 8 bits, {} in training",
        found.accuracy(),
        trained.accuracy()
    );
    assert!(found.accuracy() > before.accuracy() - 0.01);
    let weights = |graph: &Graph| {
        graph.nodes[1]
            .operation
            .values(Role::Weights)
            .unwrap()
            .to_vec()
    };
    assert_ne!(weights(&report.network), weights(&recipe.graph));
}

#[test]
fn an_interrupted_run_goes_on_with_its_ranges() {
    let recipe = onto(base(BODY));
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let whole = complete(run(&recipe, folders[0].path(), Start::New, 0));
    let stopped = run(&recipe, folders[1].path(), Start::New, 7).unwrap();
    assert!(matches!(stopped, Ended::Interrupted { .. }));
    let resumed = complete(run(&recipe, folders[1].path(), Start::Resume, 0));
    assert_eq!(resumed.network, whole.network);
    assert_eq!(resumed.history.len(), whole.history.len());
}
