//! Runs that differ in this and that, beside each other.

use super::*;
use crate::train::EpochMetrics;

fn metrics(epoch: usize, validation: Option<f64>) -> EpochMetrics {
    EpochMetrics {
        epoch,
        train_loss: 1.0 / epoch as f64,
        train_accuracy: Some(0.5),
        validation_loss: validation,
        validation_accuracy: validation.map(|loss| 1.0 - loss / 2.0),
        learning_rate: 0.1,
        images_per_second: 1000.0 * epoch as f64,
        loader_wait: 0.0,
        seconds: 30.0,
    }
}

fn run(name: &str, lr: &str) -> Run {
    let single = |text: &str| settings::Value::Single(text.to_owned());
    Run {
        name: name.to_owned(),
        data: "data/x".to_owned(),
        kernels: "portable".to_owned(),
        epochs: 3,
        best_epoch: 2,
        validation_accuracy: Some(0.9),
        validation_loss: Some(0.2),
        test: None,
        parameters: 12345,
        macs: 1_000_000,
        training_seconds: 90.0,
        images_per_second: 2000.0,
        origin: None,
        history: vec![
            metrics(1, Some(0.5)),
            metrics(2, Some(0.2)),
            metrics(3, Some(0.3)),
        ],
        settings: vec![("optimizer.lr".to_owned(), single(lr))],
    }
}

#[test]
fn a_table_has_a_column_for_each_run_and_the_settings_that_differ() {
    let mut tested = run("second", "0.2");
    tested.test = Some(Test {
        accuracy: Some(0.8765),
        loss: 0.5,
    });
    let text = Comparison::new(vec![run("first", "0.1"), tested]).to_string();
    let row = |key: &str| -> Vec<String> {
        let line = text.lines().find(|line| line.trim_start().starts_with(key));
        let line = line.unwrap_or_else(|| panic!("{key} in\n{text}"));
        let values = line.trim_start()[key.len()..].split("  ");
        let values = values.map(str::trim).filter(|value| !value.is_empty());
        values.map(str::to_owned).collect()
    };
    assert_eq!(row("run"), ["first", "second"]);
    assert_eq!(row("best epoch"), ["2 of 3", "2 of 3"]);
    assert_eq!(row("validation accuracy"), ["90.00 %", "90.00 %"]);
    assert_eq!(row("test accuracy"), ["–", "87.65 %"]);
    assert_eq!(row("parameters"), ["12,345", "12,345"]);
    assert_eq!(row("training time"), ["1 min 30 s", "1 min 30 s"]);
    assert_eq!(row("optimizer.lr"), ["0.1", "0.2"]);
    assert!(!text.contains("kernels") && !text.contains("different data"));
}

#[test]
fn equal_runs_and_other_data_are_told() {
    let text = Comparison::new(vec![run("a", "1"), run("b", "1")]).to_string();
    assert!(text.contains("The runs have the same settings."), "{text}");
    let other = Run {
        data: "data/y".to_owned(),
        ..run("b", "1")
    };
    let comparison = Comparison::new(vec![run("a", "1"), other]);
    assert_eq!(comparison.differences[0].key, "data set");
    assert!(comparison.to_string().contains("trained on different data"));
    assert!(
        comparison
            .page()
            .unwrap()
            .contains("trained on different data")
    );
}

#[test]
fn a_page_has_the_curves_of_all_runs_and_escapes_their_names() {
    let runs = vec![run("<b>eins", "1"), run("二", "2"), run("three", "<3>")];
    let comparison = Comparison::new(runs);
    let page = comparison.page().unwrap();
    assert!(page.contains("&lt;b&gt;eins") && !page.contains("<b>eins") && !page.contains("<3>"));
    // Two diagrams with a line for each run, and a sample of each line.
    assert_eq!(
        page.matches("<polyline class=\"curve series-2\"").count(),
        2
    );
    assert_eq!(page.matches("<line class=\"curve series-3\"").count(), 1);
    let title = "<title>epoch 2\n&lt;b&gt;eins: 0.2000\n二: 0.2000\nthree: 0.2000</title>";
    assert!(page.contains(title));
    for forbidden in ["<script", "http://", "https://", "<link", "src="] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert_eq!(page, comparison.page().unwrap());
}

#[test]
fn without_validation_the_training_curves_are_compared() {
    let mut blind = run("blind", "1");
    blind.history = vec![metrics(1, None)];
    let page = Comparison::new(vec![run("a", "1"), blind]).page().unwrap();
    assert!(page.contains("Training loss by epoch") && !page.contains("Validation loss by epoch"));
}
