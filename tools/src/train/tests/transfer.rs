//! Runs that go on from a trained network: what is new, what is frozen, what a checkpoint holds of it.

use super::*;
use crate::base::{Base, Frozen};
use crate::export::{ExportSettings, export};
use crate::graph::{Graph, Operation};
use crate::recipe::Normalize;

/// A model whose convolution has its pool within, and four outputs.
const BODY: &str = r#""Conv2d(2, 4, 3, padding=1)", "BatchNorm2d(4)", "ReLU()", "MaxPool2d(2)", "Conv2d(4, 6, 3)", "GELU()",
    "Flatten()", "Linear(12, 8)", "ReLU()", "Linear(8, 4)", "Softmax(1)""#;

fn base(layers: &str, classes: Option<usize>, frozen: Frozen) -> Base {
    let settings = ExportSettings {
        normalize: Normalize {
            mean: vec![0.5, 0.25],
            std: vec![0.5, 1.0],
        },
        labels: Vec::new(),
        fine_tune_last: 0,
    };
    let (model, _) = export(recipe(layers).graph.initialized(9), &settings).unwrap();
    Base {
        model,
        classes,
        frozen,
    }
}

const SETTINGS: &str = "[data]\nvalidation = 0.25\n[train]\nepochs = 3\nbatch_size = 20\nseed = 4\nema = 0.5\n\
                        [optimizer]\ntype = \"Adam\"\nlr = 0.01\nweight_decay = 0.1\n";

fn onto(base: Base) -> Recipe {
    Recipe::parse_onto(SETTINGS, Path::new("test.toml"), base).unwrap()
}

fn refused(text: &str, base: Base) -> String {
    let recipe = Recipe::parse_onto(text, Path::new("test.toml"), base);
    recipe.unwrap_err().to_string()
}

#[test]
fn it_begins_with_the_values_that_were_trained() {
    let recipe = onto(base(BODY, None, Frozen::Nothing));
    let names: Vec<&str> = recipe
        .graph
        .nodes
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "1 Conv2dMaxPool2d",
            "1 MaxPool2d",
            "2 Conv2d",
            "3 Unary",
            "4 Linear",
            "5 Linear",
            "6 Softmax"
        ]
    );
    // The model's own normalization, and its values.
    assert_eq!(recipe.data.normalize.mean, [0.5, 0.25]);
    assert_eq!(recipe.network(), recipe.graph);
    let head = recipe.graph.nodes[5]
        .operation
        .values(crate::graph::Role::Weights);
    let first = super::recipe(BODY).graph.initialized(9);
    let own = first.nodes[9].operation.values(crate::graph::Role::Weights);
    assert_eq!(head, own);
    // What the recipe says of pictures goes first.
    let text = "[data]\nnormalize = { mean = [0], std = [1] }";
    let said = Recipe::parse_onto(text, Path::new("t"), recipe.base.clone().unwrap()).unwrap();
    assert_eq!(said.data.normalize, Normalize::identity(2));
}

#[test]
fn a_new_last_layer_has_values_from_the_seed_alone() {
    let mut recipe = onto(base(BODY, Some(3), Frozen::AllBut(1)));
    assert_eq!((recipe.graph.output().len(), recipe.frozen), (3, 5));
    let (one, again) = (recipe.network(), recipe.network());
    recipe.train.seed += 1;
    let other = recipe.network();
    assert_eq!(one, again);
    for (index, (one, other)) in one.nodes.iter().zip(&other.nodes).enumerate() {
        assert_eq!(one == other, index != 5, "{}", one.name);
    }
}

#[test]
fn heads_of_convolutions_are_replaced_and_what_stands_behind_them_fits() {
    let layers = r#""Conv2d(2, 4, 3)", "ReLU()", "Conv2d(4, 5, 1)", "ReLU()", "AvgPool2d((6, 4))", "Flatten()", "LeakyReLU()""#;
    let recipe = onto(base(layers, Some(3), Frozen::Nothing));
    assert_eq!(recipe.graph.output(), Shape::vector(3));
    let network = recipe.network();
    let is_head = |graph: &Graph| match &graph.nodes[1].operation {
        Operation::Conv2d { params, bias, .. } => {
            params.output().channels == 3 && bias.as_ref().is_some_and(|bias| bias.len() == 3)
        }
        _ => false,
    };
    assert!(is_head(&network));
    let folder = tempfile::tempdir().unwrap();
    complete(run(&recipe, folder.path(), Start::New, 0));
}

#[test]
fn frozen_layers_keep_their_bits_through_a_whole_run() {
    for frozen in [
        Frozen::AllBut(2),
        Frozen::Until("3".to_owned()),
        Frozen::Until("3 Unary".to_owned()),
    ] {
        let recipe = onto(base(BODY, Some(3), frozen));
        let before = recipe.network();
        let folder = tempfile::tempdir().unwrap();
        let report = complete(run(&recipe, folder.path(), Start::New, 0));
        for (index, (before, after)) in before.nodes.iter().zip(&report.network.nodes).enumerate() {
            let keeps = index < 4 || before.operation.parameters() == 0;
            assert_eq!(before == after, keeps, "{}", before.name);
        }
        assert!(report.history[2].train_loss < report.history[0].train_loss);
    }
}

#[test]
fn a_checkpoint_needs_nothing_else() {
    let recipe = onto(base(BODY, Some(3), Frozen::AllBut(2)));
    let whole = tempfile::tempdir().unwrap();
    let expected = complete(run(&recipe, whole.path(), Start::New, 0));
    let folder = tempfile::tempdir().unwrap();
    let stopped = run(&recipe, folder.path(), Start::New, 7).unwrap();
    assert!(matches!(stopped, Ended::Interrupted { .. }));
    // Recipe and network are those of the checkpoint.
    let recipe_again = Checkpoint::load(folder.path()).unwrap().recipe().unwrap();
    let report = complete(run(&recipe_again, folder.path(), Start::Resume, 0));
    assert_eq!(report.network, expected.network);
    assert_eq!(report.test, expected.test);
    let best = Checkpoint::load(folder.path()).unwrap().best_network();
    assert_eq!(best.unwrap(), expected.network);
    // Another network, or others of its layers, is another run.
    for other in [
        base(BODY, Some(3), Frozen::AllBut(1)),
        base(&BODY.replace("GELU", "Mish"), Some(3), Frozen::AllBut(2)),
    ] {
        let error = error(run(&onto(other), folder.path(), Start::Resume, 0));
        assert!(
            error.contains("cannot resume: the trained network (--from)"),
            "{error}"
        );
    }
    let error = error(run(&super::recipe(SMALL), folder.path(), Start::Resume, 0));
    assert!(
        error.contains("cannot resume: the trained network (--from)"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_is_said() {
    let own = || base(BODY, None, Frozen::Nothing);
    assert_eq!(
        refused("name = \"x\"\ninput = [2, 8, 6]", own()),
        "test.toml:2: `input` has no place in a recipe for --from, whose file is the network: leave it out"
    );
    assert_eq!(
        refused("layers = []", own()),
        "test.toml:1: `layers` has no place in a recipe for --from, whose file is the network: leave it out"
    );
    assert_eq!(
        refused("", base(BODY, None, Frozen::Until("conv1".to_owned()))),
        "--freeze-until conv1: there is no such layer; there are 1 Conv2dMaxPool2d, 1 MaxPool2d, 2 Conv2d, 3 Unary, \
         4 Linear, 5 Linear, 6 Softmax"
    );
    assert_eq!(
        refused("", base(BODY, None, Frozen::AllBut(5))),
        "--last 5: only 4 layers of this network have parameters to train"
    );
    assert_eq!(
        refused("", base(BODY, None, Frozen::Until("6".to_owned()))),
        "all layers with parameters are frozen: nothing is left to train"
    );
    assert_eq!(
        refused("", base(r#""ReLU()", "Flatten()""#, None, Frozen::Nothing)),
        "no layer of this network has parameters to train"
    );
    assert_eq!(
        refused(
            "",
            base(
                r#""Conv2d(2, 4, 3)", "x = Flatten()", "x + x""#,
                Some(3),
                Frozen::Nothing
            )
        ),
        "--classes 3: 2 Binary stands behind the last layer with weights, which then cannot have another number of outputs"
    );
    // Three classes of pictures, and a network of two.
    let two = BODY.replace("8, 4)", "8, 2)");
    let folder = tempfile::tempdir().unwrap();
    let recipe = onto(base(&two, None, Frozen::Nothing));
    assert_eq!(
        error(run(&recipe, folder.path(), Start::New, 0)),
        "the trained network has 2 outputs, but test has 3 classes: --classes 3 gives it a new last layer of as many"
    );
    let recipe = onto(base(r#""Conv2d(2, 4, 3)""#, None, Frozen::Nothing));
    assert_eq!(
        error(run(&recipe, folder.path(), Start::New, 0)),
        "the network ends in 4x6x4 (channels, height, width), but training needs one number for each class"
    );
}

#[test]
fn a_network_of_8_bit_numbers_is_refused_at_the_layer_in_the_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let base = Base::open(&root.join("tests/golden/mlperf-tiny/kws.tflite")).unwrap();
    let recipe = Recipe::parse_onto("", Path::new("test.toml"), base);
    let error = recipe.unwrap_err().to_string();
    assert_eq!(
        error,
        "1 QuantizedConv2d computes with 8-bit numbers, which training cannot move in small steps: go on from the \
         float32 network"
    );
}
