//! The epochs of a run: train, validate, keep the best, write down how it went.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use kinglet_kernels::BackwardKernels;

use super::checkpoint::{Best, Checkpoint, Subject, Values};
use super::metrics::to_csv;
use super::{ClassTally, EpochMetrics, Pictures, Tally, TrainError, Trainer, TrainerOptions};
use crate::dataset::{Collection, epoch_order, split};
use crate::file::{create_folder, write_atomic};
use crate::network::Network;
use crate::recipe::Recipe;

/// What a run needs beside recipe and data.
pub struct FitOptions<'a> {
    /// The recipe's file, for messages.
    pub recipe_path: &'a Path,
    /// The folder of `checkpoint.postcard` and `metrics.csv`; made if it is not there.
    pub folder: &'a Path,
    /// The kernel set.
    pub kernels: &'static dyn BackwardKernels,
    /// Number of threads; 0 for one on each core.
    pub threads: usize,
    /// Continue from the folder's checkpoint.
    pub resume: bool,
}

/// Is told how a run goes.
pub trait Observer: Send {
    /// Before the first step.
    fn start(&mut self, trainer: &Trainer, steps_left: usize);
    /// After each batch.
    fn batch(&mut self, progress: &BatchProgress);
    /// After each epoch; `best` if its network is the best so far.
    fn epoch(&mut self, metrics: &EpochMetrics, best: bool);
}

/// Where a run is.
#[derive(Debug, Clone, Copy)]
pub struct BatchProgress {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Batches of it that are done.
    pub batch: usize,
    /// The epoch's training samples so far.
    pub tally: Tally,
    /// Training samples in a second, this epoch.
    pub images_per_second: f64,
}

/// How a run ended, where nothing went wrong.
pub enum Ended {
    /// All epochs are done.
    Complete(Box<Report>),
    /// Someone asked to stop. The checkpoint continues after this batch.
    Interrupted {
        /// The epoch, from 1.
        epoch: usize,
        /// Batches of it that are done.
        batch: usize,
        /// The checkpoint.
        checkpoint: PathBuf,
    },
}

/// What a run came to.
pub struct Report {
    /// The network of the best epoch.
    pub network: Network,
    /// That epoch, from 1.
    pub best_epoch: usize,
    /// All epochs.
    pub history: Vec<EpochMetrics>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The best network on the test pictures, where the data set has them.
    pub test: Option<ClassTally>,
    /// The checkpoint.
    pub checkpoint: PathBuf,
}

/// Trains `recipe`'s network on `collection`. Stops after the current batch once `stop` is set.
///
/// # Errors
/// [`TrainError`]; what was written before stays as it was.
pub fn fit(
    recipe: &Recipe,
    collection: &Collection,
    options: &FitOptions,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Ended, TrainError> {
    recipe.check_trainable(options.recipe_path)?;
    let classes = class_names(recipe, collection)?;
    check_pictures(recipe, collection)?;
    let settings = recipe.train;
    let (train, validation) = split(
        collection.train.len(),
        recipe.data.validation,
        settings.seed,
    )?;
    create_folder(options.folder)?;
    let subject = Subject {
        recipe,
        source: &collection.source,
        classes: &classes,
        kernels: options.kernels.name(),
    };
    let network = Network::initialize(recipe.architecture.clone(), settings.seed);
    let mut checkpoint = Checkpoint::new(&subject, &network);
    let trainer_options = TrainerOptions {
        kernels: options.kernels,
        threads: options.threads,
        batch_size: settings.batch_size,
        seed: settings.seed,
    };
    let mut trainer = Trainer::new(network, &recipe.optimizer, trainer_options)?;
    if options.resume {
        checkpoint = Checkpoint::load(options.folder)?;
        checkpoint.check_resumable(options.folder, &subject)?;
        checkpoint.train = settings;
        trainer.set_values(&checkpoint.values.parameters, &checkpoint.values.statistics);
        let (steps, state) = (checkpoint.optimizer_steps, &checkpoint.optimizer_state);
        if !trainer.restore_optimizer(steps, state) {
            return Err(TrainError::Checkpoint(super::CheckpointError::Damaged {
                path: options.folder.to_owned(),
                problem: "the optimizer's state in the checkpoint is of another size",
            }));
        }
    }
    let mut run = Run {
        recipe,
        folder: options.folder,
        pictures: Pictures::new(&collection.train, &recipe.data.normalize),
        train,
        validation,
        checkpoint,
        stop,
        observer,
    };
    // A folder that cannot be written to shows before the first epoch, not after it.
    run.write_metrics()?;
    let interrupted = trainer.inside(|trainer| run.epochs(trainer))?;
    let Run { mut checkpoint, .. } = run;
    let path = options.folder.join(super::checkpoint::FILE_NAME);
    if interrupted {
        return Ok(Ended::Interrupted {
            epoch: checkpoint.progress.epochs + 1,
            batch: checkpoint.progress.batches,
            checkpoint: path,
        });
    }
    let best_epoch = checkpoint.best.as_ref().map_or(0, |best| best.epoch);
    let best = checkpoint
        .best
        .take()
        .map_or(checkpoint.values, |best| best.values);
    trainer.set_values(&best.parameters, &best.statistics);
    let test = collection.test.as_ref().and_then(|test| {
        let all: Vec<usize> = (0..test.len()).collect();
        let pictures = Pictures::new(test, &recipe.data.normalize);
        trainer.evaluate(&pictures, &all, &|| true)
    });
    Ok(Ended::Complete(Box::new(Report {
        network: trainer.network().clone(),
        best_epoch,
        history: checkpoint.history,
        classes,
        test,
        checkpoint: path,
    })))
}

/// The names of the classes: the recipe's, the data set's, or their numbers.
fn class_names(recipe: &Recipe, collection: &Collection) -> Result<Vec<String>, TrainError> {
    let outputs = recipe.architecture.output().len();
    let names = if recipe.classes.is_empty() {
        &collection.classes
    } else {
        &recipe.classes
    };
    let numbers = || (0..outputs).map(|class| class.to_string()).collect();
    let in_use = collection.classes_in_use();
    if in_use > outputs || (!names.is_empty() && names.len() != outputs) {
        return Err(TrainError::Classes {
            outputs,
            classes: in_use.max(names.len()),
            source_name: collection.source.clone(),
        });
    }
    Ok(if names.is_empty() {
        numbers()
    } else {
        names.clone()
    })
}

fn check_pictures(recipe: &Recipe, collection: &Collection) -> Result<(), TrainError> {
    let (network, pictures) = (recipe.architecture.input, collection.train.shape());
    if network == pictures {
        return Ok(());
    }
    Err(TrainError::PictureShape {
        network,
        pictures,
        source_name: collection.source.clone(),
    })
}

/// A run under way.
struct Run<'a> {
    recipe: &'a Recipe,
    folder: &'a Path,
    pictures: Pictures<'a>,
    train: Vec<usize>,
    validation: Vec<usize>,
    checkpoint: Checkpoint,
    stop: &'a AtomicBool,
    observer: &'a mut dyn Observer,
}

impl Run<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn batches(&self) -> usize {
        self.train.len().div_ceil(self.recipe.train.batch_size)
    }

    /// All epochs that are left; true if it was interrupted.
    fn epochs(&mut self, trainer: &mut Trainer) -> Result<bool, TrainError> {
        let progress = &self.checkpoint.progress;
        let done = progress.epochs * self.batches() + progress.batches;
        let all = self.recipe.train.epochs.saturating_mul(self.batches());
        self.observer.start(trainer, all.saturating_sub(done));
        while self.checkpoint.progress.epochs < self.recipe.train.epochs {
            let before = Instant::now();
            let seconds_before = self.checkpoint.progress.seconds;
            let complete = self.train_epoch(trainer)?;
            let validated = if complete {
                self.validate(trainer)
            } else {
                None
            };
            let Some(validation) = validated else {
                self.save(trainer)?;
                return Ok(true);
            };
            let seconds = seconds_before + before.elapsed().as_secs_f64();
            self.finish_epoch(trainer, validation, seconds)?;
        }
        Ok(false)
    }

    /// The batches of an epoch that are left; false if it was interrupted.
    fn train_epoch(&mut self, trainer: &mut Trainer) -> Result<bool, TrainError> {
        let settings = self.recipe.train;
        let epoch = self.checkpoint.progress.epochs;
        epoch_order(&mut self.train, settings.seed, epoch as u64);
        let first = self.checkpoint.progress.batches;
        let (start, seconds_before) = (Instant::now(), self.checkpoint.progress.seconds);
        for batch in self.train.chunks(settings.batch_size).skip(first) {
            if self.stopped() {
                return Ok(false);
            }
            let tally = trainer.step(&self.pictures, batch, epoch as u64);
            let progress = &mut self.checkpoint.progress;
            if !tally.loss.is_finite() {
                return Err(TrainError::Diverged {
                    loss: tally.loss,
                    epoch: epoch + 1,
                    batch: progress.batches + 1,
                    learning_rate: self.recipe.optimizer.learning_rate(),
                });
            }
            progress.tally.merge(&tally);
            progress.batches += 1;
            progress.seconds = seconds_before + start.elapsed().as_secs_f64();
            self.observer.batch(&BatchProgress {
                epoch: epoch + 1,
                batch: progress.batches,
                tally: progress.tally,
                images_per_second: progress.tally.samples as f64 / progress.seconds,
            });
        }
        Ok(true)
    }

    /// The validation samples' tally, `Some(None)` if there are none; `None` if it was interrupted.
    fn validate(&mut self, trainer: &mut Trainer) -> Option<Option<Tally>> {
        if self.validation.is_empty() {
            return Some(None);
        }
        let stop = self.stop;
        let go_on = || !stop.load(Ordering::Relaxed);
        let tally = trainer.evaluate(&self.pictures, &self.validation, &go_on)?;
        Some(Some(tally.total()))
    }

    fn finish_epoch(
        &mut self,
        trainer: &Trainer,
        validation: Option<Tally>,
        seconds: f64,
    ) -> Result<(), TrainError> {
        let progress = std::mem::take(&mut self.checkpoint.progress);
        let metrics = EpochMetrics {
            epoch: progress.epochs + 1,
            train_loss: progress.tally.mean_loss(),
            train_accuracy: progress.tally.accuracy(),
            validation_loss: validation.map(|tally| tally.mean_loss()),
            validation_accuracy: validation.map(|tally| tally.accuracy()),
            images_per_second: progress.tally.samples as f64 / progress.seconds,
            seconds,
        };
        self.checkpoint.progress.epochs = metrics.epoch;
        // Without validation there is nothing to choose by: the last epoch is taken.
        let loss = metrics.validation_loss.unwrap_or(metrics.train_loss);
        let best = match &self.checkpoint.best {
            Some(best) if metrics.validation_loss.is_some() => loss < best.loss,
            _ => true,
        };
        if best {
            self.checkpoint.best = Some(Best {
                epoch: metrics.epoch,
                loss,
                values: Values::of(trainer.network()),
            });
        }
        self.checkpoint.history.push(metrics);
        self.observer.epoch(&metrics, best);
        self.write_metrics()?;
        self.save(trainer)
    }

    fn write_metrics(&self) -> Result<(), TrainError> {
        let csv = to_csv(&self.checkpoint.history);
        Ok(write_atomic(&self.folder.join("metrics.csv"), &csv)?)
    }

    fn save(&mut self, trainer: &Trainer) -> Result<(), TrainError> {
        let (steps, state) = trainer.optimizer_state();
        self.checkpoint.values = Values::of(trainer.network());
        self.checkpoint.optimizer_steps = steps;
        self.checkpoint.optimizer_state.clear();
        self.checkpoint.optimizer_state.extend_from_slice(state);
        self.checkpoint.save(self.folder)?;
        Ok(())
    }
}
