//! All that a training run is at one moment, as a file: it can be continued to the same bits, and exported.
//!
//! The file is a postcard message followed by its CRC-32 (little-endian). It is written to a neighbour and
//! renamed, so a run that dies while writing leaves the checkpoint before.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::engine::Snapshot;
use super::{EpochMetrics, Tally, Values};
use crate::base::Base;
use crate::dataset::Collection;
use crate::file::{WriteError, crc32, write_atomic};
use crate::graph::Graph;
use crate::recipe::{Recipe, RecipeError, TrainSettings};

const MAGIC: [u8; 8] = *b"kngltckp";

/// Changes with every change of [`Checkpoint`] or of what its numbers mean.
const VERSION: u32 = 4;

/// The file's name in the folder of a run.
pub(super) const FILE_NAME: &str = "checkpoint.postcard";

/// A checkpoint could not be read or does not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// There is nothing to continue.
    #[error("{}: no training run is in this folder (a run has a checkpoint after its first minute or epoch)", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// The system could not read it.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not a checkpoint, or a damaged one.
    #[error("{}: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// The checkpoint of another version of the program.
    #[error("{}: its format is version {found}, this program reads version {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The recipe in it cannot be read.
    #[error("the recipe of the checkpoint: {0}")]
    Recipe(#[from] RecipeError),
    /// The run was of another recipe.
    #[error(
        "{}: cannot resume: {what} changed since this checkpoint was written; \
         restore it or train anew without --resume", path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// What changed.
        what: &'static str,
    },
    /// The run was computed by something else.
    #[error(
        "{}: cannot resume: this run was computed by {then}, now it would be by {now}, whose results differ in \
         rounding; go back to {then} (--kernels, --device), or take {now} from here on with --resume-elsewhere",
        path.display()
    )]
    Kernels {
        /// The file.
        path: PathBuf,
        /// The kernel set, or the device.
        then: String,
        /// What it would be now.
        now: String,
    },
}

/// The best epoch so far, by the recipe's measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Its validation loss; without validation that of training.
    pub loss: f64,
    /// Its validation accuracy; without validation that of training, and none where there are no classes.
    pub accuracy: Option<f64>,
    /// The network after it, or the average of networks where the recipe asks for one.
    pub values: Values,
}

/// What tells the samples of a run from others: with one more or less, another split would let the network learn from what
/// it was validated with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DataDigest {
    samples: u64,
    validation: Option<u64>,
    crc32: u32,
}

impl DataDigest {
    pub(super) fn of(collection: &Collection) -> Self {
        Self {
            samples: collection.train.len() as u64,
            validation: collection.validation.map(|count| count as u64),
            crc32: collection.train.digest(),
        }
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Epochs that are complete.
    pub(super) epochs: usize,
    /// Batches of the next that are done.
    pub(super) batches: usize,
    /// Their sums.
    pub(super) tally: Tally,
    /// The time they took.
    pub(super) seconds: f64,
    /// The part of it spent waiting for batches.
    pub(super) loader_wait: f64,
}

/// A training run at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    magic: [u8; 8],
    version: u32,
    /// The recipe's text.
    pub recipe: String,
    /// The trained network that it goes on from, if it does.
    pub base: Option<Base>,
    /// Its settings, where the command line may have changed them.
    pub train: TrainSettings,
    /// Where the data set was found.
    pub source: String,
    pub(super) data: DataDigest,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The kernel set, or the device.
    pub kernels: String,
    pub(super) progress: Progress,
    /// The network now.
    pub values: Values,
    /// The average of the networks so far, where the recipe asks for one.
    pub(super) average: Option<Values>,
    pub(super) optimizer_steps: u32,
    pub(super) optimizer_state: Vec<f32>,
    /// The best epoch's network.
    pub best: Option<Best>,
    /// The epochs so far.
    pub history: Vec<EpochMetrics>,
}

/// What a run is about, apart from its numbers.
pub(super) struct Subject<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) source: &'a str,
    pub(super) data: DataDigest,
    pub(super) classes: &'a [String],
    pub(super) kernels: &'a str,
}

impl Checkpoint {
    /// The beginning of a run.
    pub(super) fn new(subject: &Subject, values: Values) -> Self {
        Self {
            magic: MAGIC,
            version: VERSION,
            recipe: subject.recipe.text.clone(),
            base: subject.recipe.base.clone(),
            train: subject.recipe.train,
            source: subject.source.to_owned(),
            data: subject.data,
            classes: subject.classes.to_vec(),
            kernels: subject.kernels.to_owned(),
            progress: Progress::default(),
            values,
            average: None,
            optimizer_steps: 0,
            optimizer_state: Vec::new(),
            best: None,
            history: Vec::new(),
        }
    }

    /// Reads the checkpoint of a run's folder, or a checkpoint file.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is not one, or is damaged, or was written by another version.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let in_folder = path.is_dir();
        let mut path = path.to_owned();
        if in_folder {
            path.push(FILE_NAME);
        }
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) if source.kind() == io::ErrorKind::NotFound && in_folder => {
                path.pop();
                return Err(CheckpointError::Missing { path });
            }
            Err(source) => return Err(CheckpointError::Read { path, source }),
        };
        if bytes.get(..MAGIC.len()) != Some(&MAGIC) {
            let problem = "not a checkpoint of kinglet";
            return Err(CheckpointError::Damaged { path, problem });
        }
        let damaged = |path| CheckpointError::Damaged {
            path,
            problem: "the checkpoint is damaged or truncated",
        };
        // The version comes first, so that it can be told from damage.
        match postcard::take_from_bytes::<u32>(&bytes[MAGIC.len()..]) {
            Ok((VERSION, _)) => {}
            Ok((found, _)) => return Err(CheckpointError::Version { path, found }),
            Err(_) => return Err(damaged(path)),
        }
        let Some((message, crc)) = bytes.split_last_chunk::<4>() else {
            return Err(damaged(path));
        };
        if u32::from_le_bytes(*crc) != crc32(message) {
            return Err(damaged(path));
        }
        let checkpoint: Self = postcard::from_bytes(message).map_err(|_| damaged(path.clone()))?;
        if checkpoint.fits(&checkpoint.recipe()?.graph) {
            Ok(checkpoint)
        } else {
            Err(damaged(path))
        }
    }

    /// Whether all values are as many as the network has.
    fn fits(&self, network: &Graph) -> bool {
        self.values.fit(network)
            && self
                .average
                .as_ref()
                .is_none_or(|values| values.fit(network))
            && self
                .best
                .as_ref()
                .is_none_or(|best| best.values.fit(network))
    }

    /// The recipe as it was trained, with the settings of the command line.
    ///
    /// # Errors
    /// [`CheckpointError::Recipe`], which a checkpoint that was loaded does not give.
    pub fn recipe(&self) -> Result<Recipe, CheckpointError> {
        let path = Path::new("recipe.toml");
        let mut recipe = match &self.base {
            None => Recipe::parse(&self.recipe, path)?,
            Some(base) => Recipe::parse_onto(&self.recipe, path, base.clone())?,
        };
        recipe.train = self.train;
        Ok(recipe)
    }

    /// The best network so far: that of the best epoch, or the present one before the first epoch has ended.
    ///
    /// # Errors
    /// [`CheckpointError::Recipe`], which a checkpoint that was loaded does not give.
    pub fn best_network(&self) -> Result<Graph, CheckpointError> {
        let mut network = self.recipe()?.graph;
        let best = self.best.as_ref().map(|best| &best.values);
        best.unwrap_or(self.kept()).give_to(&mut network);
        Ok(network)
    }

    /// What the next steps depend on.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            values: self.values.clone(),
            average: self.average.clone(),
            optimizer_steps: self.optimizer_steps,
            optimizer_state: self.optimizer_state.clone(),
        }
    }

    /// The values that training keeps: the average, where there is one, or the values themselves.
    pub(super) fn kept(&self) -> &Values {
        self.average.as_ref().unwrap_or(&self.values)
    }

    /// Refuses to continue what was begun with another recipe or data set. More epochs are welcome where no learning
    /// rate so far depends on their number, and so is another patience.
    pub(super) fn check_resumable(
        &self,
        path: &Path,
        now: &Subject,
    ) -> Result<(), CheckpointError> {
        let then = self.recipe()?;
        let recipe = now.recipe;
        let checks = [
            (
                self.base == recipe.base,
                "the trained network (--from), or what is to become of it (--classes, --freeze-until, --last),",
            ),
            (
                then.graph.inputs == recipe.graph.inputs && then.graph.nodes == recipe.graph.nodes,
                "the network (input, layers)",
            ),
            (then.data == recipe.data, "[data]"),
            (then.optimizer == recipe.optimizer, "[optimizer]"),
            (then.schedule == recipe.schedule, "[schedule]"),
            (
                then.quantize.map(|of| of.momentum) == recipe.quantize.map(|of| of.momentum),
                "[quantize]",
            ),
            (
                then.train.epochs == recipe.train.epochs || !recipe.schedule.depends_on_epochs(),
                "epochs, on which the learning rates of [schedule] depend,",
            ),
            (
                then.train.batch_size == recipe.train.batch_size,
                "batch_size",
            ),
            (then.train.seed == recipe.train.seed, "seed"),
            (
                then.loss == recipe.loss,
                "the loss (loss, target, class_weights, label_smoothing)",
            ),
            (then.train.best == recipe.train.best, "best"),
            (then.train.ema == recipe.train.ema, "ema"),
            (self.classes == now.classes, "the classes"),
            (
                self.data == now.data,
                "the data set (its samples, labels, or what is to validate with)",
            ),
        ];
        match checks.iter().find(|(same, _)| !same) {
            None => Ok(()),
            Some((_, what)) => Err(CheckpointError::Changed {
                path: path.join(FILE_NAME),
                what,
            }),
        }
    }

    /// Refuses to continue what something else has computed so far.
    pub(super) fn check_kernels(&self, path: &Path, now: &str) -> Result<(), CheckpointError> {
        if self.kernels == now {
            return Ok(());
        }
        Err(CheckpointError::Kernels {
            path: path.join(FILE_NAME),
            then: self.kernels.clone(),
            now: now.to_owned(),
        })
    }

    /// Writes it into the folder of a run; the one before survives any failure. Returns the file.
    pub(super) fn save(&self, folder: &Path) -> Result<PathBuf, WriteError> {
        let path = folder.join(FILE_NAME);
        let mut bytes = postcard::to_stdvec(self).map_err(|error| WriteError {
            path: path.clone(),
            source: io::Error::other(error),
        })?;
        bytes.extend(crc32(&bytes).to_le_bytes());
        write_atomic(&path, &bytes)?;
        Ok(path)
    }
}
