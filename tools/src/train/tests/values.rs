//! Runs on values instead of classes: regression, and samples that are their own target.

use super::*;
use crate::recipe::{LossSettings, Normalize, Target};

/// Pictures with two numbers each: the mean of their first channel, and what it lacks to one.
fn measured(count: usize) -> Dataset {
    let pictures = pictures(count);
    let shape = pictures.shape();
    let mut targets = Vec::new();
    for index in 0..count {
        let first = pictures.image(index).iter().step_by(shape.channels);
        let sum: f32 = first.map(|x| f32::from(*x) / 255.0).sum();
        let mean = sum / (shape.len() / shape.channels) as f32;
        targets.extend([mean, 1.0 - mean]);
    }
    pictures.with_targets(2, targets)
}

fn collection_of_values() -> Collection {
    Collection {
        train: measured(120),
        test: Some(measured(30)),
        ..collection()
    }
}

const HEAD: &str = r#""Conv2d(2, 4, 3)", "ReLU()", "Flatten()", "Linear(96, 2)""#;

fn recipe_of(layers: &str, train: &str) -> Recipe {
    let text = recipe(layers).text.replace("lr = 0.1", "lr = 0.05");
    let text = text.replace(
        "epochs = 3",
        &format!("epochs = 12\nloss = \"MSELoss\"\n{train}"),
    );
    Recipe::parse(&text, Path::new("test.toml")).unwrap()
}

#[test]
fn squared_errors_have_the_gradients_of_finite_differences() {
    // The target of each sample: as many values as there are outputs, from its own.
    for layers in [
        HEAD,
        r#""Conv2d(2, 3, 3)", "Tanh()", "Conv2d(3, 2, 1)", "Softmax(1)""#,
    ] {
        let recipe = recipe_of(layers, "");
        let network = recipe.graph.clone().initialized(7);
        let options = TrainerOptions {
            loss: Loss::SquaredError,
            ..trainer_options(&Portable, 2)
        };
        let trainer = Trainer::new(network, &recipe.optimizer, options).unwrap();
        let outputs = recipe.graph.output();
        let data = pictures(20);
        let values: Vec<f32> = (0..20 * outputs.len())
            .map(|i| (i % 7) as f32 / 7.0)
            .collect();
        let data = data.with_targets(outputs.len(), values);
        check_gradients_on(trainer, &data, [3e-4, 1e-3]);
    }
}

#[test]
fn a_run_on_values_learns_and_resumes_and_says_no_accuracy() {
    let recipe = recipe_of(HEAD, "");
    let collection = collection_of_values();
    let whole = tempfile::tempdir().unwrap();
    let expected = complete(run_on(
        &recipe,
        &collection,
        &options(whole.path(), Start::New),
        0,
    ));
    let last = expected.history.last().unwrap();
    let first = expected.history[0];
    assert!(last.validation_loss.unwrap() < 0.5 * first.validation_loss.unwrap());
    assert_eq!(
        (last.train_accuracy, last.validation_accuracy),
        (None, None)
    );
    assert!(expected.classes.is_empty());
    let csv = std::fs::read_to_string(whole.path().join("metrics.csv")).unwrap();
    assert!(
        csv.starts_with(
            "epoch,train_loss,train_rmse,validation_loss,validation_rmse,learning_rate,"
        )
    );
    let row: Vec<f64> = csv
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .map(|x| x.parse().unwrap())
        .collect();
    assert!((row[2] * row[2] - row[1]).abs() < 1e-5, "{row:?}");
    let folder = tempfile::tempdir().unwrap();
    let stopped = run_on(&recipe, &collection, &options(folder.path(), Start::New), 7).unwrap();
    assert!(matches!(stopped, Ended::Interrupted { .. }));
    let resumed = run_on(
        &recipe,
        &collection,
        &options(folder.path(), Start::Resume),
        0,
    );
    assert_eq!(complete(resumed).network, expected.network);
    // Other numbers are another data set.
    let mut other = collection_of_values();
    other.train = pictures(120).with_targets(2, vec![0.5; 240]);
    let refused = error(run_on(
        &recipe,
        &other,
        &options(folder.path(), Start::Resume),
        0,
    ));
    assert!(refused.contains("the data set"), "{refused}");
}

#[test]
fn a_sample_can_be_its_own_target() {
    let layers = r#""Flatten()", "Linear(96, 24)", "GELU()", "Linear(24, 96)""#;
    let recipe = recipe_of(layers, "target = \"input\"");
    assert_eq!(
        recipe.loss,
        LossSettings::SquaredError {
            target: Target::Input
        }
    );
    let folder = tempfile::tempdir().unwrap();
    let report = complete(run(&recipe, folder.path(), Start::New, 0));
    let [first, .., last] = report.history.as_slice() else {
        panic!("twelve epochs")
    };
    assert!(last.validation_loss.unwrap() < 0.7 * first.validation_loss.unwrap());
    // What the exported model is measured by is what training was judged by.
    let settings = crate::export::ExportSettings {
        normalize: Normalize::identity(2),
        labels: Vec::new(),
        fine_tune_last: 0,
    };
    let (bytes, _) = crate::export::export(report.network.clone(), &settings).unwrap();
    let file = crate::model_file::ModelFile::from_bytes(&bytes).unwrap();
    let (test, all) = (pictures(30), (0..30).collect::<Vec<usize>>());
    let squares =
        crate::evaluate::squared_errors(&file.model(), &Portable, &test, &all, Target::Input);
    let mean = squares.unwrap().iter().sum::<f64>() / 30.0;
    let own = report.test.unwrap().total().mean_loss();
    assert!((mean - own).abs() < 1e-6, "{mean}, not {own}");
}

#[test]
fn targets_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = |recipe: &Recipe, collection: &Collection| {
        error(run_on(
            recipe,
            collection,
            &options(folder.path(), Start::New),
            0,
        ))
    };
    assert_eq!(
        run(&recipe_of(HEAD, ""), &collection()),
        "the network has 2 outputs, but test has a class for each sample and no numbers that they ought to be: NumPy \
         arrays have them (y_train.npy of float32), or target = \"input\" under [train] takes the sample itself"
    );
    let three = HEAD.replace("96, 2)", "96, 3)");
    assert_eq!(
        run(&recipe_of(&three, ""), &collection_of_values()),
        "the network has 3 outputs, but test has 2 numbers for each sample: end with as many outputs"
    );
    assert_eq!(
        run(&recipe_of(HEAD, "target = \"input\""), &collection()),
        "the network has 2 outputs, but its input has 96 values: with target = \"input\" it must end in as many"
    );
}

#[test]
fn balanced_weights_are_those_of_the_samples_to_train_on() {
    let text = recipe(SMALL)
        .text
        .replace("[train]", "[train]\nclass_weights = \"balanced\"");
    let recipe = Recipe::parse(&text, Path::new("test.toml")).unwrap();
    let data = pictures(12);
    // Four of each class: of class 0 all, of class 1 two, of class 2 one.
    let indices = [0, 3, 6, 9, 1, 4, 2];
    let Loss::CrossEntropy(of) = crate::train::fit::loss(&recipe, &data, &indices) else {
        panic!("of classes")
    };
    let weight = |count: f64| (7.0 / (3.0 * count)) as f32;
    assert_eq!(of.class_weights, [weight(4.0), weight(2.0), weight(1.0)]);
    let folder = tempfile::tempdir().unwrap();
    complete(run(&recipe, folder.path(), Start::New, 0));
}
