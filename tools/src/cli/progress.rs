//! How a training run shows itself: a bar with loss, accuracy, speed and the time left, and a line that
//! stays for each epoch. Where the output is no terminal, only the lines.

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::device::note;
use super::document;
use crate::dataset::Collection;
use crate::recipe::Recipe;
use crate::train::{BatchProgress, EpochMetrics, Observer, Trainer};

/// The part of an epoch's time from which waiting for samples is shown.
const WORTH_TELLING: f64 = 0.01;

/// Shows a run on the terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    title: String,
    epochs: usize,
    /// What the samples are called.
    noun: &'static str,
    /// Whether they have classes.
    of_classes: bool,
    /// How many of the network's first nodes are frozen.
    frozen: usize,
}

impl Progress {
    pub(super) fn new(recipe: &Recipe, collection: &Collection) -> Self {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} batches, {eta} left  {msg}");
        let bar = ProgressBar::new(0);
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self {
            bar,
            title: format!("{} on {}", recipe.name, collection.source),
            epochs: recipe.train.epochs,
            noun: collection.train.noun(),
            of_classes: recipe.loss.is_of_classes(),
            frozen: recipe.frozen,
        }
    }

    /// A line that stays, above the bar if there is one.
    fn line(&self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }
}

impl Observer for Progress {
    fn note(&mut self, text: &str) {
        self.bar.suspend(|| note(text));
    }

    fn start(&mut self, trainer: &Trainer, steps_left: usize) {
        let network = trainer.network();
        let trained = match self.frozen {
            0 => String::new(),
            frozen => {
                let nodes = network.nodes.iter().skip(frozen);
                let trained: usize = nodes.map(|node| node.operation.parameters()).sum();
                format!(" ({trained} are trained)")
            }
        };
        self.line(&format!(
            "{}: {} parameters{trained}, {} epochs, {} threads",
            self.title,
            network.parameters(),
            self.epochs,
            trainer.threads()
        ));
        if self.of_classes && !network.is_output(network.logits()) {
            self.line("the loss is taken on the logits before the last softmax, which stays in the exported model");
        }
        self.bar.set_length(steps_left as u64);
        self.bar.reset();
    }

    fn batch(&mut self, progress: &BatchProgress) {
        let accuracy = self.of_classes.then(|| progress.tally.accuracy());
        self.bar.set_message(format!(
            "epoch {}  {}  {:.0} {}/s",
            progress.epoch,
            measures(progress.tally.mean_loss(), accuracy),
            progress.images_per_second,
            self.noun
        ));
        self.bar.inc(1);
    }

    fn epoch(&mut self, metrics: &EpochMetrics, best: bool) {
        let validation = metrics.validation_loss.map_or(String::new(), |loss| {
            let measures = measures(loss, metrics.validation_accuracy);
            format!("  validation {measures}")
        });
        let waited = match metrics.loader_wait {
            seconds if seconds < WORTH_TELLING * metrics.seconds => String::new(),
            seconds => format!("  waited {seconds:.1} s for {}", self.noun),
        };
        self.line(&format!(
            "epoch {:>3}  train {}{validation}  lr {}  {:.0} {}/s{waited}{}",
            metrics.epoch,
            measures(metrics.train_loss, metrics.train_accuracy),
            rate(metrics.learning_rate),
            metrics.images_per_second,
            self.noun,
            if best { "  best" } else { "" }
        ));
        if metrics.epoch == self.epochs {
            self.bar.finish_and_clear();
        }
    }
}

/// A loss beside the accuracy or, where there are no classes, beside its root.
pub(super) fn measures(loss: f64, accuracy: Option<f64>) -> String {
    match accuracy {
        Some(accuracy) => format!("loss {loss:.4} accuracy {:.2} %", 100.0 * accuracy),
        None => format!("MSE {loss:.6} root {:.6}", loss.sqrt()),
    }
}

/// A learning rate with three digits that count.
fn rate(learning_rate: f64) -> String {
    let rounded: f64 = format!("{learning_rate:.2e}")
        .parse()
        .unwrap_or(learning_rate);
    match rounded {
        small if small < 1e-4 => format!("{small:e}"),
        large => large.to_string(),
    }
}

/// Shows a JSON document for each epoch, on a line of its own.
pub(super) struct JsonLines;

/// An epoch that is over.
#[derive(Debug, Serialize)]
struct Epoch<'a> {
    event: &'static str,
    #[serde(flatten)]
    metrics: &'a EpochMetrics,
    /// Whether its network is the best so far.
    best: bool,
}

impl Observer for JsonLines {
    fn note(&mut self, text: &str) {
        note(text);
    }
    fn start(&mut self, _: &Trainer, _: usize) {}
    fn batch(&mut self, _: &BatchProgress) {}
    fn epoch(&mut self, metrics: &EpochMetrics, best: bool) {
        let event = "epoch";
        let epoch = Epoch {
            event,
            metrics,
            best,
        };
        // Numbers and names: nothing of that can fail.
        let _ = document::print_line("train", &epoch);
    }
}
