//! Loss, accuracy (of values the root of the loss) and learning rate by epoch.

use crate::svg::Drawing;
use crate::svg::chart::{HEIGHT, Line, Panel, WIDTH};
use crate::train::EpochMetrics;

/// The diagrams of a run.
pub(super) fn panels(history: &[EpochMetrics], best_epoch: usize) -> Vec<Panel> {
    let line = |name, series, value: fn(&EpochMetrics) -> Option<f64>| {
        Line::new(name, series, history.iter().map(value), best_epoch)
    };
    let panel = |title: &str, lines: Vec<Line>, highest| Panel {
        title: title.to_owned(),
        lines,
        best_epoch: Some(best_epoch),
        legend: true,
        bounds: (0.0, highest),
    };
    let loss = vec![
        line("training", 0, |m| Some(m.train_loss)),
        line("validation", 1, |m| m.validation_loss),
    ];
    let accuracy = vec![
        line("training", 0, |m| m.train_accuracy.map(|x| 100.0 * x)),
        line("validation", 1, |m| {
            m.validation_accuracy.map(|x| 100.0 * x)
        }),
    ];
    let rate = vec![line("", 0, |m| Some(m.learning_rate))];
    let root = vec![
        line("training", 0, |m| Some(m.train_loss.sqrt())),
        line("validation", 1, |m| m.validation_loss.map(f64::sqrt)),
    ];
    // Without classes the loss is a mean square.
    let of_classes = history.iter().any(|m| m.train_accuracy.is_some());
    vec![
        panel("Loss", loss, f64::INFINITY),
        match of_classes {
            true => panel("Accuracy, %", accuracy, 100.0),
            false => panel("Root of the mean square", root, f64::INFINITY),
        },
        panel("Learning rate", rate, f64::INFINITY),
    ]
}

/// Panels side by side.
pub(super) fn drawing(panels: &[Panel]) -> Drawing {
    let mut drawing = Drawing::new(WIDTH * panels.len() as f64, HEIGHT);
    for (place, panel) in panels.iter().enumerate() {
        panel.draw(&mut drawing, WIDTH * place as f64);
    }
    drawing
}
