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
        self.line(&format!(
            "{}: {} parameters, {} epochs, {} threads",
            self.title,
            network.parameters(),
            self.epochs,
            trainer.threads()
        ));
        if !network.is_output(network.logits()) {
            self.line("the loss is taken on the logits before the last softmax, which stays in the exported model");
        }
        self.bar.set_length(steps_left as u64);
        self.bar.reset();
    }

    fn batch(&mut self, progress: &BatchProgress) {
        self.bar.set_message(format!(
            "epoch {}  loss {:.4}  accuracy {:.2} %  {:.0} {}/s",
            progress.epoch,
            progress.tally.mean_loss(),
            100.0 * progress.tally.accuracy(),
            progress.images_per_second,
            self.noun
        ));
        self.bar.inc(1);
    }

    fn epoch(&mut self, metrics: &EpochMetrics, best: bool) {
        let validation = metrics.validation_loss.zip(metrics.validation_accuracy);
        let validation = validation.map_or(String::new(), |(loss, accuracy)| {
            format!(
                "  validation loss {loss:.4} accuracy {:.2} %",
                100.0 * accuracy
            )
        });
        let waited = match metrics.loader_wait {
            seconds if seconds < WORTH_TELLING * metrics.seconds => String::new(),
            seconds => format!("  waited {seconds:.1} s for {}", self.noun),
        };
        self.line(&format!(
            "epoch {:>3}  train loss {:.4} accuracy {:.2} %{validation}  lr {}  {:.0} {}/s{waited}{}",
            metrics.epoch,
            metrics.train_loss,
            100.0 * metrics.train_accuracy,
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
