//! The comparison as one HTML page: the curves of all runs over each other, and both tables.

use minijinja::value::Serde;
use minijinja::{Value, context};

use super::{Comparison, Run};
use crate::page;
use crate::svg::Drawing;
use crate::svg::chart::{Line, Panel};
use crate::train::EpochMetrics;

const TEMPLATE: &str = include_str!("compare.html");

/// Fills the template.
pub(super) fn page(comparison: &Comparison) -> Result<String, minijinja::Error> {
    let panels: Vec<Value> = panels(&comparison.runs)
        .iter()
        .map(|panel| {
            let label = format!("{} by epoch", panel.title);
            Value::from_safe_string(panel.drawing().inline(&label))
        })
        .collect();
    let legend = comparison.runs.iter().enumerate();
    let legend: Vec<Value> = legend
        .map(|(series, run)| {
            let line = Line::new(&run.name, series, std::iter::empty(), 0);
            let mut sample = Drawing::new(26.0, 12.0);
            let class = format!("{} {}", line.stroke(), line.class());
            sample.line(&class, (0.0, 6.0), (26.0, 6.0));
            let sample = Value::from_safe_string(sample.inline(""));
            context! { name => run.name.clone(), sample }
        })
        .collect();
    let values = context! {
        runs => Value::from(Serde(&comparison.runs)),
        facts => Value::from(Serde(comparison.facts())),
        settings => Value::from(Serde(comparison.settings())),
        same_data => comparison.same_data(),
        validated => validated(&comparison.runs),
        panels,
        legend,
    };
    page::render(TEMPLATE, values)
}

/// Whether every run has been validated; otherwise the training curves are what all have.
fn validated(runs: &[Run]) -> bool {
    let mut epochs = runs.iter().flat_map(|run| &run.history);
    epochs.all(|metrics| metrics.validation_loss.is_some())
}

/// Loss and accuracy of all runs.
fn panels(runs: &[Run]) -> [Panel; 2] {
    let panel = |title: &str, highest, value: fn(&EpochMetrics) -> Option<f64>| {
        let lines = runs.iter().enumerate();
        let line = |(series, run): (usize, &Run)| {
            let values = run.history.iter().map(value);
            Line::new(&run.name, series, values, run.best_epoch)
        };
        Panel {
            title: title.to_owned(),
            lines: lines.map(line).collect(),
            best_epoch: None,
            legend: false,
            bounds: (0.0, highest),
        }
    };
    match validated(runs) {
        true => [
            panel("Validation loss", f64::INFINITY, |m| m.validation_loss),
            panel("Validation accuracy, %", 100.0, |m| {
                m.validation_accuracy.map(|x| 100.0 * x)
            }),
        ],
        false => [
            panel("Training loss", f64::INFINITY, |m| Some(m.train_loss)),
            panel("Training accuracy, %", 100.0, |m| {
                m.train_accuracy.map(|x| 100.0 * x)
            }),
        ],
    }
}
