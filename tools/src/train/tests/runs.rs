//! Whole runs: what is kept, when they end, what they refuse.

use super::*;
use crate::recipe::BestBy;

#[test]
fn a_run_learns_and_keeps_its_best_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(SMALL);
    recipe.train.epochs = 6;
    let report = complete(run(&recipe, folder.path(), Start::New, 0));
    let losses: Vec<f64> = report
        .history
        .iter()
        .map(|m| m.validation_loss.unwrap())
        .collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses[report.best_epoch - 1], best);
    assert!(losses.iter().position(|&loss| loss == best) == Some(report.best_epoch - 1));
    let test = report.test.unwrap();
    assert_eq!(test.total().samples, 30);
    assert!(test.total().accuracy() > 0.9, "{}", test.total().accuracy());
    assert_eq!(report.classes, ["0", "1", "2"]);
    // What was kept is what the checkpoint says.
    let checkpoint = Checkpoint::load(folder.path()).unwrap();
    assert_eq!(
        checkpoint.best_network().unwrap().nodes,
        report.network.nodes
    );
    assert_eq!(checkpoint.history, report.history);
    let csv = std::fs::read_to_string(folder.path().join("metrics.csv")).unwrap();
    assert_eq!(csv.lines().count(), 7);
    // 120 pictures, a quarter validates, batches of 20: the last of 10 counts for 10.
    let metrics = report.history[0];
    let hits = metrics.train_accuracy.unwrap() * 90.0;
    assert!((hits - hits.round()).abs() < 1e-9, "{hits}");
}

#[test]
fn a_loss_that_is_not_a_number_stops_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let text = recipe("\"Flatten()\", \"Linear(96, 3)\"")
        .text
        .replace("lr = 0.1", "lr = 1e38");
    let recipe = Recipe::parse(&text, Path::new("test.toml")).unwrap();
    let error = error(run(&recipe, folder.path(), Start::New, 0));
    assert!(error.starts_with("the loss became "), "{error}");
    assert!(
        error.contains(" in epoch 1, batch ") && error.contains("try a smaller learning rate"),
        "{error}"
    );
}

#[test]
fn data_that_does_not_fit_the_recipe_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = "input = [2, 8, 7]\nlayers = [\"Flatten()\", \"Linear(112, 3)\"]";
    let other = Recipe::parse(text, Path::new("test.toml")).unwrap();
    assert_eq!(
        error(run(&other, folder.path(), Start::New, 0)),
        "the recipe's input is 2x8x7, but the pictures of test are 2x8x6 (channels, height, width): \
         write input = [2, 8, 6], resize = [8, 7] under [data] or choose another data set"
    );
    let two = recipe("\"Flatten()\", \"Linear(96, 2)\"");
    assert_eq!(
        error(run(&two, folder.path(), Start::New, 0)),
        "the network has 2 outputs, but test has 3 classes: end with 3 outputs"
    );
}

#[test]
fn a_folder_that_cannot_be_written_shows_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "a file").unwrap();
    let error = error(run(&recipe(SMALL), &taken.join("out"), Start::New, 0));
    assert!(
        error.starts_with("cannot write ") && error.contains("taken/out: "),
        "{error}"
    );
}

#[test]
fn a_run_without_a_better_epoch_ends_early() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(SMALL);
    recipe.train.epochs = 60;
    recipe.train.early_stop = Some(2);
    let report = complete(run(&recipe, folder.path(), Start::New, 0));
    assert!(report.stopped_early);
    assert_eq!(report.history.len(), report.best_epoch + 2);
    assert!(report.history.len() < 60);
    // It stays ended when it is continued, and goes on with more patience.
    let again = complete(run(&recipe, folder.path(), Start::Resume, 0));
    assert_eq!(again.history, report.history);
    assert_eq!(again.network, report.network);
    recipe.train.early_stop = None;
    recipe.train.epochs = report.history.len() + 1;
    let more = complete(run(&recipe, folder.path(), Start::Resume, 0));
    assert_eq!(more.history.len(), recipe.train.epochs);
    assert!(!more.stopped_early);
}

#[test]
fn the_best_epoch_can_be_the_most_accurate() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(SMALL);
    recipe.train.epochs = 8;
    recipe.train.best = BestBy::Accuracy;
    let report = complete(run(&recipe, folder.path(), Start::New, 0));
    let score = |m: &EpochMetrics| (m.validation_accuracy.unwrap(), -m.validation_loss.unwrap());
    let best = report.history[report.best_epoch - 1];
    assert!(report.history.iter().all(|m| score(m) <= score(&best)));
    let checkpoint = Checkpoint::load(folder.path()).unwrap();
    assert_eq!(checkpoint.best.unwrap().accuracy, best.validation_accuracy);
}

#[test]
fn the_table_of_epochs_shows_the_learning_rate() {
    let folder = tempfile::tempdir().unwrap();
    let text = recipe(SMALL).text + "[schedule]\ntype = \"StepLR\"\nstep_size = 2\ngamma = 0.5\n";
    let recipe = Recipe::parse(&text, Path::new("test.toml")).unwrap();
    let report = complete(run(&recipe, folder.path(), Start::New, 0));
    let rates: Vec<f64> = report.history.iter().map(|m| m.learning_rate).collect();
    assert_eq!(rates, [0.1, 0.1, 0.05]);
    assert!(report.history.iter().all(|m| m.loader_wait <= m.seconds));
}

#[test]
fn the_average_validates_and_is_kept() {
    let mut recipe = recipe(SMALL);
    recipe.train.epochs = 2;
    recipe.train.ema = Some(0.9);
    let folder = tempfile::tempdir().unwrap();
    let report = complete(run(&recipe, folder.path(), Start::New, 0));
    let checkpoint = Checkpoint::load(folder.path()).unwrap();
    let average = checkpoint.average.as_ref().unwrap();
    assert_ne!(average.parameters, checkpoint.values.parameters);
    assert_eq!(report.best_epoch, 2);
    assert_eq!(Values::of(&report.network), *average);
    // Training itself is as without an average.
    let plain = tempfile::tempdir().unwrap();
    recipe.train.ema = None;
    complete(run(&recipe, plain.path(), Start::New, 0));
    let plain = Checkpoint::load(plain.path()).unwrap();
    assert_eq!(plain.values, checkpoint.values);
    assert!(plain.average.is_none());
}

#[test]
fn a_folder_with_a_run_is_left_alone_unless_asked() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(SMALL);
    complete(run(&recipe, folder.path(), Start::New, 0));
    let path = folder.path().join("checkpoint.postcard");
    let before = std::fs::read(&path).unwrap();
    assert_eq!(
        error(run(&recipe, folder.path(), Start::New, 0)),
        format!(
            "{} holds a training run already: continue it with --resume, choose another folder, or replace it \
             with --force",
            folder.path().display()
        )
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let Ended::Interrupted { batch, .. } = run(&recipe, folder.path(), Start::Replace, 2).unwrap()
    else {
        panic!("complete")
    };
    assert_eq!(batch, 2);
    assert_ne!(std::fs::read(&path).unwrap(), before);
}
