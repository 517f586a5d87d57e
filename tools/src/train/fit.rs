//! The epochs of a run: train, validate, keep the best, write down how it went.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kinglet_kernels::BackwardKernels;

use super::checkpoint::{self, Best, Checkpoint, Subject, Values};
use super::loader::{Course, Loader, TrainingPictures};
use super::metrics::to_csv;
use super::{
    CheckpointError, ClassTally, EpochMetrics, Pictures, Schedule, Tally, TrainError, Trainer,
    TrainerOptions,
};
use crate::dataset::{Collection, split};
use crate::file::{create_folder, remove_file, remove_partial, write_atomic};
use crate::network::Network;
use crate::recipe::{BestBy, Recipe};

/// How much of a long epoch is lost at most when a run dies.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// The name of the table of epochs in the folder of a run.
const METRICS: &str = "metrics.csv";

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
    /// What becomes of a run that is in the folder already.
    pub start: Start,
    /// Time between checkpoints within an epoch; there is one after each epoch anyway.
    pub checkpoint_every: Duration,
}

/// What becomes of a run that is in the folder already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It is left alone: training is refused.
    New,
    /// It is continued.
    Resume,
    /// It is removed.
    Replace,
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
    /// Whether the run ended before its last epoch, for want of a better one.
    pub stopped_early: bool,
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
    let path = options.folder.join(checkpoint::FILE_NAME);
    prepare_folder(options, &path)?;
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
    let mut trainer = Trainer::new(network, &recipe.optimizer, trainer_options)?
        .with_label_smoothing(settings.label_smoothing);
    if let Some(decay) = settings.ema {
        trainer = trainer.with_average(decay);
    }
    if options.start == Start::Resume {
        checkpoint = Checkpoint::load(options.folder)?;
        checkpoint.check_resumable(options.folder, &subject)?;
        checkpoint.train = settings;
        trainer.set_values(&checkpoint.values.parameters, &checkpoint.values.statistics);
        trainer.restore_average(checkpoint.average.clone());
        let (steps, state) = (checkpoint.optimizer_steps, &checkpoint.optimizer_state);
        if !trainer.restore_optimizer(steps, state) {
            let problem = "the optimizer's state in the checkpoint is of another size";
            return Err(CheckpointError::Damaged { path, problem }.into());
        }
    }
    let pictures = Pictures::new(&collection.train, &recipe.data.normalize);
    let batches = train.len().div_ceil(settings.batch_size);
    let mut run = Run {
        recipe,
        options,
        pictures: &pictures,
        batches,
        schedule: Schedule::new(
            &recipe.schedule,
            &recipe.optimizer,
            settings.epochs,
            batches,
        ),
        validation,
        checkpoint,
        stop,
        observer,
    };
    // A folder that cannot be written to shows before the first epoch, not after it.
    run.write_metrics()?;
    let training_pictures = TrainingPictures {
        pictures: &pictures,
        transforms: &recipe.data.transforms,
        seed: settings.seed,
    };
    let course = Course {
        samples: train,
        batch_size: settings.batch_size,
        seed: settings.seed,
        epochs: run.checkpoint.progress.epochs..settings.epochs,
        done: run.checkpoint.progress.batches,
    };
    let interrupted = std::thread::scope(|scope| {
        let mut loader = Loader::start(scope, training_pictures, course, trainer.threads())?;
        trainer.inside(|trainer| run.epochs(trainer, &mut loader))
    })?;
    let stopped_early = run.out_of_patience();
    let Run { mut checkpoint, .. } = run;
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
        stopped_early,
        history: checkpoint.history,
        classes,
        test,
        checkpoint: path,
    })))
}

/// Decides about a run that is in the folder, and makes the folder.
fn prepare_folder(options: &FitOptions, checkpoint: &Path) -> Result<(), TrainError> {
    let path = || options.folder.to_owned();
    match (options.start, checkpoint.exists()) {
        (Start::New, true) => return Err(TrainError::FolderTaken { path: path() }),
        (Start::Resume, false) => return Err(CheckpointError::Missing { path: path() }.into()),
        // Before anything of the new run is written: its metrics never stand beside the old checkpoint.
        (Start::Replace, true) => remove_file(checkpoint)?,
        _ => {}
    }
    create_folder(options.folder)?;
    // What a run that died while writing has left.
    for name in [checkpoint::FILE_NAME, METRICS] {
        remove_partial(&options.folder.join(name));
    }
    Ok(())
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
    options: &'a FitOptions<'a>,
    pictures: &'a Pictures<'a>,
    /// Batches of an epoch.
    batches: usize,
    schedule: Schedule,
    validation: Vec<usize>,
    checkpoint: Checkpoint,
    stop: &'a AtomicBool,
    observer: &'a mut dyn Observer,
}

impl Run<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether too many epochs have gone by since the best one.
    fn out_of_patience(&self) -> bool {
        let best = self.checkpoint.best.as_ref();
        let since = best.map_or(0, |best| self.checkpoint.progress.epochs - best.epoch);
        let patience = self.recipe.train.early_stop;
        patience.is_some_and(|patience| since >= patience)
    }

    /// All epochs that are left; true if it was interrupted.
    fn epochs(&mut self, trainer: &mut Trainer, loader: &mut Loader) -> Result<bool, TrainError> {
        let progress = &self.checkpoint.progress;
        let done = progress.epochs * self.batches + progress.batches;
        let all = self.recipe.train.epochs.saturating_mul(self.batches);
        self.observer.start(trainer, all.saturating_sub(done));
        while self.checkpoint.progress.epochs < self.recipe.train.epochs && !self.out_of_patience()
        {
            let before = Instant::now();
            let seconds_before = self.checkpoint.progress.seconds;
            let complete = self.train_epoch(trainer, loader)?;
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
    fn train_epoch(
        &mut self,
        trainer: &mut Trainer,
        loader: &mut Loader,
    ) -> Result<bool, TrainError> {
        let epoch = self.checkpoint.progress.epochs;
        let (start, seconds_before) = (Instant::now(), self.checkpoint.progress.seconds);
        let mut saved = start;
        while self.checkpoint.progress.batches < self.batches {
            if self.stopped() {
                return Ok(false);
            }
            // There is none only after a panic of the loader, which ends the run.
            let Some(mut batch) = loader.next() else {
                return Ok(false);
            };
            let progress = &mut self.checkpoint.progress;
            let rates = self.schedule.at(epoch * self.batches + progress.batches);
            trainer.set_rates(rates);
            let tally = trainer.step_batch(&mut batch);
            loader.give_back(batch);
            if !tally.loss.is_finite() {
                return Err(TrainError::Diverged {
                    loss: tally.loss,
                    epoch: epoch + 1,
                    batch: progress.batches + 1,
                    learning_rate: rates.learning_rate,
                });
            }
            progress.tally.merge(&tally);
            progress.batches += 1;
            progress.seconds = seconds_before + start.elapsed().as_secs_f64();
            progress.loader_wait += loader.take_waited().as_secs_f64();
            let images_per_second = progress.tally.samples as f64 / progress.seconds;
            self.observer.batch(&BatchProgress {
                epoch: epoch + 1,
                batch: progress.batches,
                tally: progress.tally,
                images_per_second,
            });
            if saved.elapsed() >= self.options.checkpoint_every {
                self.save(trainer)?;
                saved = Instant::now();
            }
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
        let tally = trainer.evaluate_kept(self.pictures, &self.validation, &go_on)?;
        Some(Some(tally.total()))
    }

    fn finish_epoch(
        &mut self,
        trainer: &Trainer,
        validation: Option<Tally>,
        seconds: f64,
    ) -> Result<(), TrainError> {
        let progress = std::mem::take(&mut self.checkpoint.progress);
        let epochs = progress.epochs + 1;
        let last_step = (epochs * self.batches).saturating_sub(1);
        let metrics = EpochMetrics {
            epoch: epochs,
            train_loss: progress.tally.mean_loss(),
            train_accuracy: progress.tally.accuracy(),
            validation_loss: validation.map(|tally| tally.mean_loss()),
            validation_accuracy: validation.map(|tally| tally.accuracy()),
            learning_rate: self.schedule.at(last_step).learning_rate,
            images_per_second: progress.tally.samples as f64 / progress.seconds,
            loader_wait: progress.loader_wait,
            seconds,
        };
        self.checkpoint.progress.epochs = epochs;
        let best = self.is_best(&metrics);
        if best {
            self.checkpoint.best = Some(Best {
                epoch: metrics.epoch,
                loss: metrics.validation_loss.unwrap_or(metrics.train_loss),
                accuracy: metrics
                    .validation_accuracy
                    .unwrap_or(metrics.train_accuracy),
                values: trainer.kept(),
            });
        }
        self.checkpoint.history.push(metrics);
        self.observer.epoch(&metrics, best);
        self.write_metrics()?;
        self.save(trainer)
    }

    /// Whether an epoch is better than the best before it. Without validation there is nothing to choose by: the
    /// last epoch is taken.
    fn is_best(&self, metrics: &EpochMetrics) -> bool {
        let validation = metrics.validation_loss.zip(metrics.validation_accuracy);
        let (Some(best), Some((loss, accuracy))) = (&self.checkpoint.best, validation) else {
            return true;
        };
        match self.recipe.train.best {
            BestBy::Loss => loss < best.loss,
            BestBy::Accuracy => {
                accuracy > best.accuracy || (accuracy == best.accuracy && loss < best.loss)
            }
        }
    }

    fn write_metrics(&self) -> Result<(), TrainError> {
        let csv = to_csv(&self.checkpoint.history);
        Ok(write_atomic(&self.options.folder.join(METRICS), &csv)?)
    }

    fn save(&mut self, trainer: &Trainer) -> Result<(), TrainError> {
        let (steps, state) = trainer.optimizer_state();
        self.checkpoint.values = Values::of(trainer.network());
        self.checkpoint.average = trainer.average().cloned();
        self.checkpoint.optimizer_steps = steps;
        self.checkpoint.optimizer_state.clear();
        self.checkpoint.optimizer_state.extend_from_slice(state);
        self.checkpoint.save(self.options.folder)?;
        Ok(())
    }
}
