//! Runs beside each other: what each came to, and the settings in which their recipes differ.

mod page;
mod settings;

use std::path::Path;

use serde::Serialize;

use crate::digits::grouped;
use crate::page::{duration, fixed, percent};
use crate::report::{self, Part};
use crate::train::{Checkpoint, CheckpointError, EpochMetrics, Origin};
pub use settings::Setting;

/// A run as it is compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Its folder's name.
    pub name: String,
    /// The data set that it was trained on.
    pub data: String,
    /// The kernel set or device that trained.
    pub kernels: String,
    /// Epochs so far.
    pub epochs: usize,
    /// The epoch whose network is kept, from 1.
    pub best_epoch: usize,
    /// The validation accuracy of that epoch; none without validation.
    pub validation_accuracy: Option<f64>,
    /// Its validation loss.
    pub validation_loss: Option<f64>,
    /// How the kept network does on the test pictures; none if the data set has none or is not here.
    pub test: Option<Test>,
    /// Values that training changes.
    pub parameters: usize,
    /// Multiply-accumulates of one sample.
    pub macs: u64,
    /// The time that all epochs took.
    pub training_seconds: f64,
    /// Training samples in a second, mean over the epochs.
    pub images_per_second: f64,
    /// When and where it was trained; none for runs of earlier versions.
    pub origin: Option<Origin>,
    /// All epochs.
    pub history: Vec<EpochMetrics>,
    /// The recipe's settings with those of the command line.
    #[serde(skip)]
    settings: Vec<(String, settings::Value)>,
}

/// How a network did on the test pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Test {
    /// Fraction of them that were right; none where they have no classes.
    pub accuracy: Option<f64>,
    /// Mean loss: cross-entropy, or squared error.
    pub loss: f64,
}

impl Test {
    /// What a report found; none if that was not on test pictures.
    pub fn of_report(report: &report::Report) -> Option<Self> {
        let of_classes = report.findings.as_ref().map(|found| Self {
            accuracy: Some(found.accuracy),
            loss: found.loss,
        });
        let of_values = report.errors.as_ref().map(|found| Self {
            accuracy: None,
            loss: found.loss,
        });
        of_classes
            .or(of_values)
            .filter(|_| report.part == Part::Test)
    }
}

impl Run {
    /// The run of `checkpoint`, which was read from `path`.
    ///
    /// # Errors
    /// [`CheckpointError::Recipe`], which a checkpoint that was loaded does not give.
    pub fn new(
        path: &Path,
        checkpoint: &Checkpoint,
        test: Option<Test>,
    ) -> Result<Self, CheckpointError> {
        let recipe = checkpoint.recipe()?;
        let history = checkpoint.history.clone();
        let best = checkpoint.best.as_ref();
        let best_epoch = best.map_or(history.len(), |best| best.epoch);
        let kept = best_epoch.checked_sub(1).and_then(|at| history.get(at));
        let speeds = history.iter().map(|metrics| metrics.images_per_second);
        Ok(Self {
            name: name_of(path),
            data: checkpoint.source.clone(),
            kernels: checkpoint.kernels.clone(),
            epochs: history.len(),
            best_epoch,
            validation_accuracy: kept.and_then(|metrics| metrics.validation_accuracy),
            validation_loss: kept.and_then(|metrics| metrics.validation_loss),
            test,
            parameters: recipe.graph.parameters(),
            macs: recipe.graph.macs(),
            training_seconds: history.iter().map(|metrics| metrics.seconds).sum(),
            images_per_second: speeds.sum::<f64>() / history.len().max(1) as f64,
            origin: Origin::of_run(path),
            settings: settings::of_run(checkpoint),
            history,
        })
    }
}

/// What a run is called: its folder.
fn name_of(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = match path.is_dir() {
        true => Some(path.as_path()),
        false => path.parent(),
    };
    let name = folder.and_then(Path::file_name);
    name.map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Some runs beside each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The runs.
    pub runs: Vec<Run>,
    /// The settings in which they differ.
    pub differences: Vec<Setting>,
}

/// One fact of each run, as text.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Fact {
    name: String,
    values: Vec<String>,
}

impl Comparison {
    /// Compares `runs`.
    pub fn new(runs: Vec<Run>) -> Self {
        let mut differences = Vec::new();
        let data: Vec<String> = runs.iter().map(|run| run.data.clone()).collect();
        let kernels: Vec<String> = runs.iter().map(|run| run.kernels.clone()).collect();
        for (key, values) in [("data set", data), ("kernels", kernels)] {
            if values.iter().any(|value| *value != values[0]) {
                differences.push(Setting {
                    key: key.to_owned(),
                    values: values.into_iter().map(Some).collect(),
                });
            }
        }
        let settings: Vec<_> = runs.iter().map(|run| run.settings.as_slice()).collect();
        differences.extend(settings::differences(&settings));
        Self { runs, differences }
    }

    /// Whether all runs were trained on one data set: only then can their accuracies be compared.
    fn same_data(&self) -> bool {
        self.runs.iter().all(|run| run.data == self.runs[0].data)
    }

    /// What each run came to.
    fn facts(&self) -> Vec<Fact> {
        let dash = || "–".to_owned();
        let fact = |name: &str, value: &dyn Fn(&Run) -> Option<String>| Fact {
            name: name.to_owned(),
            values: self
                .runs
                .iter()
                .map(|run| value(run).unwrap_or_else(dash))
                .collect(),
        };
        vec![
            fact("best epoch", &|run| {
                Some(format!("{} of {}", run.best_epoch, run.epochs))
            }),
            fact("validation accuracy", &|run| {
                run.validation_accuracy.map(percent)
            }),
            fact("validation loss", &|run| run.validation_loss.map(fixed)),
            fact("test accuracy", &|run| {
                run.test.and_then(|t| t.accuracy).map(percent)
            }),
            fact("test loss", &|run| run.test.map(|t| fixed(t.loss))),
            fact("parameters", &|run| Some(grouped(run.parameters as u64))),
            fact("MACs", &|run| Some(grouped(run.macs))),
            fact("training time", &|run| Some(duration(run.training_seconds))),
            fact("pictures/s", &|run| {
                Some(grouped(run.images_per_second.round() as u64))
            }),
            fact("date", &|run| run.origin.as_ref().map(|o| o.date.clone())),
            fact("machine", &|run| run.origin.as_ref().map(Origin::machine)),
        ]
    }

    /// The settings that differ, with a dash where a run has none: the default holds.
    fn settings(&self) -> Vec<Fact> {
        let fact = |setting: &Setting| Fact {
            name: setting.key.clone(),
            values: setting
                .values
                .iter()
                .map(|value| value.clone().unwrap_or_else(|| "–".to_owned()))
                .collect(),
        };
        self.differences.iter().map(fact).collect()
    }

    /// The runs' curves and both tables as a page that needs nothing beside itself.
    ///
    /// # Errors
    /// What the template engine says.
    pub fn page(&self) -> Result<String, minijinja::Error> {
        page::page(self)
    }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use comfy_table::{Cell, CellAlignment, ContentArrangement};

        use crate::table;

        let table = |heading: &str, facts: &[Fact], alignment: CellAlignment| {
            let names = self.runs.iter().map(|run| run.name.as_str());
            let mut table = table::new(std::iter::once(heading).chain(names));
            table.set_content_arrangement(ContentArrangement::Dynamic);
            // As wide as the help; more runs need more.
            let width = 100.max(24 + 14 * self.runs.len());
            table.set_width(width.try_into().unwrap_or(u16::MAX));
            for fact in facts {
                let values = fact.values.iter().map(Cell::new);
                table.add_row(std::iter::once(Cell::new(&fact.name)).chain(values));
            }
            for column in table.column_iter_mut().skip(1) {
                column.set_cell_alignment(alignment);
            }
            table.trim_fmt()
        };
        writeln!(f, "{}", table("run", &self.facts(), CellAlignment::Right))?;
        if !self.same_data() {
            writeln!(
                f,
                "\nThe runs were trained on different data: their accuracies say little about each other."
            )?;
        }
        match self.settings().as_slice() {
            [] => writeln!(f, "\nThe runs have the same settings."),
            settings => writeln!(f, "\n{}", table("setting", settings, CellAlignment::Left)),
        }
    }
}

#[cfg(test)]
mod tests;
