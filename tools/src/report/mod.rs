//! How a training run went and what its network gets wrong, as a page and pictures.
//!
//! [`Report::of_run`] runs the network of the best epoch, exported as it would be shipped, over the test part of
//! the run's data set. [`Report::write`] puts `report.html` and its pictures into a folder. What a report says
//! depends on the run, the data and the kernel set alone, so writing it again changes nothing.

mod confusion;
mod curves;
mod error;
mod errors;
mod files;
mod findings;
mod html;
mod tiles;

use std::path::Path;

use kinglet_kernels::Kernels;
use serde::Serialize;

pub use error::ReportError;
pub use errors::{Errors, SquaredError};
pub use files::Files;
pub use findings::{ClassFindings, Confused, Findings, Mistake};

use crate::dataset::{Collection, Dataset};
use crate::evaluate::{predict, squared_errors};
use crate::export::{ExportSettings, export};
use crate::inspect;
use crate::model_file::ModelFile;
use crate::recipe::{LossSettings, Recipe};
use crate::train::{Checkpoint, EpochMetrics, Origin};
use tiles::{Tile, Weights};

/// Mistakes that are shown.
const SHOWN_MISTAKES: usize = 24;

/// The pictures that a network was judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The test part.
    Test,
    /// The validation part, where the data set has no test part. The best epoch was chosen by it.
    Validation,
    /// The training part, where there is no other.
    Training,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Test => "test",
            Self::Validation => "validation",
            Self::Training => "training",
        })
    }
}

/// All that a report says.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The network's name.
    pub name: String,
    /// The data set.
    pub data: String,
    /// The part of it that `findings` is about.
    pub part: Part,
    /// The epoch whose network is kept, from 1.
    pub best_epoch: usize,
    /// Epochs that were asked for, by the recipe or the command line.
    pub planned_epochs: usize,
    /// Pictures of one step.
    pub batch_size: usize,
    /// The run's seed.
    pub seed: u64,
    /// Training samples in a second, mean over the epochs.
    pub images_per_second: f64,
    /// The kernel set that trained.
    pub kernels: String,
    /// When and where it trained; none for runs of earlier versions.
    pub origin: Option<Origin>,
    /// The time that all epochs took.
    pub training_seconds: f64,
    /// How the network did; none where the samples have no classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub findings: Option<Findings>,
    /// How far its outputs are from what they ought to be; none where the samples have classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Errors>,
    /// All epochs.
    pub history: Vec<EpochMetrics>,
    /// The network layer by layer, and the memory it takes.
    pub network: inspect::Report,
    /// What `weights.png` shows; none if the network does not begin with a convolution.
    pub weights: Option<FirstLayer>,
    /// The recipe's text.
    pub recipe: String,
    /// What its samples are called.
    #[serde(skip)]
    noun: &'static str,
    #[serde(skip)]
    mistakes: Vec<Tile>,
    #[serde(skip)]
    first_layer: Option<Weights>,
}

/// The layer whose weights are drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirstLayer {
    /// The layer as the recipe has it.
    pub layer: String,
    /// A tile for each of its output channels.
    pub tiles: usize,
    /// Tiles that are drawn: the first ones.
    pub drawn: usize,
    /// Whether the weights belong to red, green and blue.
    pub colours: bool,
}

impl Report {
    /// Runs the best network of `checkpoint`, which was trained at `origin`, over the test part of `collection`, the data set that the run was
    /// trained on; without a test part over the validation part, and without that over the training part.
    ///
    /// # Errors
    /// [`ReportError`] if no epoch is complete, or the data set is not the run's.
    pub fn of_run(
        checkpoint: &Checkpoint,
        origin: Option<Origin>,
        collection: &Collection,
        kernels: &'static dyn Kernels,
    ) -> Result<Self, ReportError> {
        if checkpoint.history.is_empty() {
            return Err(ReportError::NoEpoch);
        }
        if !same_name(&checkpoint.source, &collection.source) {
            return Err(ReportError::OtherData {
                run: checkpoint.source.clone(),
                found: collection.source.clone(),
            });
        }
        let recipe = checkpoint.recipe()?;
        let network = checkpoint.best_network()?;
        let settings = ExportSettings {
            normalize: recipe.data.normalize.clone(),
            labels: Vec::new(),
            fine_tune_last: 0,
        };
        let (bytes, _) = export(network.clone(), &settings)?;
        let file = ModelFile::from_bytes(&bytes)?;
        let model = file.model();

        let (part, samples, indices) = part_of(&recipe, collection)?;
        let (mut findings, mut errors) = (None, None);
        let shown: Vec<usize> = match recipe.loss {
            LossSettings::CrossEntropy { .. } => {
                let predictions = predict(&model, kernels, samples, &indices)?;
                let label = |class: usize| {
                    let name = checkpoint.classes.get(class);
                    name.cloned().unwrap_or_else(|| class.to_string())
                };
                let labels: Vec<String> = (0..model.output().len()).map(label).collect();
                let found = findings.insert(Findings::new(&labels, &predictions, SHOWN_MISTAKES));
                for mistake in &mut found.mistakes {
                    mistake.file = samples.file(mistake.index).map(str::to_owned);
                }
                found.mistakes.iter().map(|mistake| mistake.index).collect()
            }
            LossSettings::SquaredError { target } => {
                let squares = squared_errors(&model, kernels, samples, &indices, target)?;
                let found = errors.insert(Errors::new(&indices, &squares, SHOWN_MISTAKES));
                for error in &mut found.largest {
                    error.file = samples.file(error.index).map(str::to_owned);
                }
                found.largest.iter().map(|error| error.index).collect()
            }
        };
        let mistakes = shown.into_iter();
        let mistakes = mistakes.map(|index| Tile::of(samples, index)).collect();
        let first_layer = Weights::of(&network);
        let history = checkpoint.history.clone();
        let speeds = history.iter().map(|metrics| metrics.images_per_second);
        Ok(Self {
            data: checkpoint.source.clone(),
            part,
            best_epoch: checkpoint
                .best
                .as_ref()
                .map_or(history.len(), |best| best.epoch),
            planned_epochs: recipe.train.epochs,
            batch_size: recipe.train.batch_size,
            seed: recipe.train.seed,
            images_per_second: speeds.sum::<f64>() / history.len() as f64,
            kernels: checkpoint.kernels.clone(),
            origin,
            training_seconds: history.iter().map(|metrics| metrics.seconds).sum(),
            findings,
            errors,
            history,
            network: inspect::Report::of_recipe(&recipe.name, &recipe.graph, &model, bytes.len()),
            weights: first_layer.as_ref().map(|weights| weights.layer.clone()),
            name: recipe.name,
            recipe: checkpoint.recipe.clone(),
            noun: samples.noun(),
            mistakes,
            first_layer,
        })
    }

    /// Draws the pictures and writes them and `report.html` into `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// [`ReportError`]; each file is the old one or the new one.
    pub fn write(&self, folder: &Path) -> Result<Files, ReportError> {
        files::write(self, folder)
    }
}

/// The pictures to judge by: those that training has seen least of.
fn part_of<'a>(
    recipe: &Recipe,
    collection: &'a Collection,
) -> Result<(Part, &'a Dataset, Vec<usize>), ReportError> {
    if let Some(test) = &collection.test {
        return Ok((Part::Test, test, (0..test.len()).collect()));
    }
    let (train, validation) = collection.parts(recipe.data.validation, recipe.train.seed)?;
    Ok(match validation.is_empty() {
        true => (Part::Training, &collection.train, train),
        false => (Part::Validation, &collection.train, validation),
    })
}

/// Whether two data sets go by one name: a folder may have moved since, and is written in more than one way.
fn same_name(a: &str, b: &str) -> bool {
    a == b || Path::new(a).file_name() == Path::new(b).file_name()
}

#[cfg(test)]
mod tests;
