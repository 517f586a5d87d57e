//! A run from its recipe to its report: what it starts from, and what it came to. Its epochs are in `run`.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use kinglet_kernels::BackwardKernels;

use super::checkpoint::{self, Checkpoint, DataDigest, Subject};
use super::loader::{Course, Loader, TrainingPictures};
use super::lock::FolderLock;
use super::origin::{self, Origin};
use super::run::{METRICS, Run};
use super::{
    CheckpointError, ClassTally, CrossEntropy, EpochMetrics, Loss, Pictures, Schedule, Tally,
    TrainError, Trainer, TrainerOptions, Values,
};
use crate::dataset::{Collection, Dataset};
use crate::device::Device;
use crate::file::{create_folder, remove_file, remove_partial};
use crate::graph::Graph;
use crate::recipe::{ClassWeights, LossSettings, Normalize, Recipe, Target};

/// How much of a long epoch is lost at most when a run dies.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// What a run needs beside recipe and data.
pub struct FitOptions<'a> {
    /// The recipe's file, for messages.
    pub recipe_path: &'a Path,
    /// The folder of `checkpoint.postcard`, `metrics.csv` and `run.toml`; made if it is not there.
    pub folder: &'a Path,
    /// The kernel set.
    pub kernels: &'static dyn BackwardKernels,
    /// The device that trains, if it is not the CPU. If it cannot even start, the CPU takes its place.
    pub device: Option<&'a Device>,
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
    /// It is continued by what has computed it so far.
    Resume,
    /// It is continued by whatever kernel set or device there is now.
    ResumeElsewhere,
    /// It is removed.
    Replace,
}

/// Is told how a run goes.
pub trait Observer: Send {
    /// Something that is no error and still should be known.
    fn note(&mut self, _text: &str) {}
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
    pub network: Graph,
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
    let classes = class_names(recipe, collection, observer)?;
    check_pictures(recipe, collection)?;
    let settings = recipe.train;
    let (train, validation) = collection.parts(recipe.data.validation, settings.seed)?;
    if collection.validation.is_some() && recipe.data.validation > 0.0 {
        observer.note("the data set has pictures to validate with: [data] validation is not used");
    }
    let path = options.folder.join(checkpoint::FILE_NAME);
    let _held = prepare_folder(options, &path)?;
    let network = recipe.network();
    let loss = loss(recipe, &collection.train, &train);
    let (mut trainer, kernels) = trainer(&network, recipe, loss, options, observer)?;
    let subject = Subject {
        recipe,
        source: &collection.source,
        data: DataDigest::of(collection),
        classes: &classes,
        kernels: &kernels,
    };
    let mut checkpoint = Checkpoint::new(&subject, Values::of(&network));
    if let Start::Resume | Start::ResumeElsewhere = options.start {
        checkpoint = Checkpoint::load(options.folder)?;
        checkpoint.check_resumable(options.folder, &subject)?;
        if options.start == Start::Resume {
            checkpoint.check_kernels(options.folder, &kernels)?;
        } else if checkpoint.kernels != kernels {
            let then = &checkpoint.kernels;
            observer.note(&format!(
                "{kernels} goes on with what {then} has begun: rounding differs from here on"
            ));
            checkpoint.kernels.clone_from(&kernels);
        }
        checkpoint.train = settings;
        // It may have moved.
        checkpoint.source.clone_from(&collection.source);
        if !trainer.restore(checkpoint.snapshot())? {
            let problem = "the optimizer's state in the checkpoint is of another size";
            return Err(CheckpointError::Damaged { path, problem }.into());
        }
    }
    let pictures = samples_of(recipe, &collection.train);
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
    if run.is_under_way() {
        Origin::now(trainer.threads()).save(options.folder)?;
    }
    let training_pictures = TrainingPictures {
        pictures: &pictures,
        transforms: &recipe.data.transforms,
        seed: settings.seed,
        target_len: trainer.target_len(),
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
    trainer.set_values(&best)?;
    let mut network = network;
    best.give_to(&mut network);
    let test = match &collection.test {
        Some(test) => {
            let all: Vec<usize> = (0..test.len()).collect();
            let pictures = samples_of(recipe, test);
            trainer.evaluate(&pictures, &all, &|| true)?
        }
        None => None,
    };
    Ok(Ended::Complete(Box::new(Report {
        network,
        best_epoch,
        stopped_early,
        history: checkpoint.history,
        classes,
        test,
        checkpoint: path,
    })))
}

/// Samples as the network sees them, with what its outputs ought to be.
fn samples_of<'a>(recipe: &Recipe, data: &'a Dataset) -> Pictures<'a> {
    let pictures = Pictures::new(data, &recipe.data.normalize);
    match recipe.loss {
        LossSettings::CrossEntropy { .. } => pictures,
        LossSettings::SquaredError { target } => {
            pictures.with_target(target, recipe.graph.output())
        }
    }
}

/// What a run lowers; weights of classes may depend on the samples that are trained on, which are those at `indices`.
pub(super) fn loss(recipe: &Recipe, data: &Dataset, indices: &[usize]) -> Loss {
    let (label_smoothing, weights) = match &recipe.loss {
        LossSettings::SquaredError { .. } => return Loss::SquaredError,
        LossSettings::CrossEntropy {
            label_smoothing,
            class_weights,
        } => (*label_smoothing, class_weights),
    };
    let class_weights = match weights {
        ClassWeights::Equal => Vec::new(),
        ClassWeights::Given(weights) => weights.clone(),
        ClassWeights::Balanced => {
            let mut counts = vec![0_usize; recipe.graph.output().len()];
            for &index in indices {
                counts[usize::from(data.label(index))] += 1;
            }
            let all = indices.len() as f64 / counts.len() as f64;
            // A class that does not occur counts as any.
            let weight = |&count: &usize| {
                if count == 0 {
                    1.0
                } else {
                    (all / count as f64) as f32
                }
            };
            counts.iter().map(weight).collect()
        }
    };
    Loss::CrossEntropy(CrossEntropy {
        label_smoothing,
        class_weights,
    })
}

/// The trainer of a run, and the name of what computes in it.
fn trainer(
    network: &Graph,
    recipe: &Recipe,
    loss: Loss,
    options: &FitOptions,
    observer: &mut dyn Observer,
) -> Result<(Trainer, String), TrainError> {
    let settings = recipe.train;
    let trainer_options = TrainerOptions {
        kernels: options.kernels,
        threads: options.threads,
        batch_size: settings.batch_size,
        seed: settings.seed,
        frozen: recipe.frozen,
        loss,
    };
    let configure = |trainer: Trainer| match settings.ema {
        Some(decay) => trainer.with_average(decay),
        None => trainer,
    };
    let on_cpu =
        || Trainer::new(network.clone(), &recipe.optimizer, trainer_options.clone()).map(configure);
    #[cfg(feature = "opencl")]
    let device = options.device.filter(|device| {
        let rounds = recipe.quantize.is_some();
        if rounds {
            let name = device.name();
            observer.note(&format!(
                "the CPU trains, since {name} cannot round to 8-bit numbers ([quantize])"
            ));
        }
        !rounds
    });
    #[cfg(feature = "opencl")]
    if let Some(device) = device {
        let name = device.name();
        let started = || {
            let network = network.clone();
            let trainer =
                Trainer::on_device(network, &recipe.optimizer, trainer_options.clone(), device);
            let mut trainer = trainer.map(configure)?;
            let times = match device.measured {
                true => Some([trainer.step_time()?, on_cpu()?.step_time()?]),
                false => None,
            };
            Ok((trainer, times))
        };
        match started() {
            Ok((_, Some([there, here]))) if here <= there => observer.note(&format!(
                "the CPU trains: a step takes {there:.1?} on {name}, {here:.1?} on the CPU"
            )),
            Ok((trainer, _)) => return Ok((trainer, format!("opencl: {name}"))),
            Err(TrainError::Device(error)) => {
                observer.note(&format!("the CPU trains, since {name} cannot: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    // Without devices there is nothing to tell.
    #[cfg(not(feature = "opencl"))]
    let _ = observer;
    Ok((on_cpu()?, options.kernels.name().to_owned()))
}

/// Decides about a run that is in the folder, makes the folder, and takes it for this run.
fn prepare_folder(options: &FitOptions, checkpoint: &Path) -> Result<FolderLock, TrainError> {
    let path = || options.folder.to_owned();
    let resumes = matches!(options.start, Start::Resume | Start::ResumeElsewhere);
    if resumes && !checkpoint.exists() {
        return Err(CheckpointError::Missing { path: path() }.into());
    }
    create_folder(options.folder)?;
    let lock = FolderLock::take(options.folder)?;
    match (options.start, checkpoint.exists()) {
        (Start::New, true) => return Err(TrainError::FolderTaken { path: path() }),
        // Before anything of the new run is written: its metrics never stand beside the old checkpoint.
        (Start::Replace, true) => remove_file(checkpoint)?,
        _ => {}
    }
    // What a run that died while writing has left.
    for name in [checkpoint::FILE_NAME, METRICS, origin::FILE_NAME] {
        remove_partial(&options.folder.join(name));
    }
    Ok(lock)
}

/// The names of the classes: the recipe's, or those of the trained network that it goes on from, the data set's, or their
/// numbers.
fn class_names(
    recipe: &Recipe,
    collection: &Collection,
    observer: &mut dyn Observer,
) -> Result<Vec<String>, TrainError> {
    let outputs = recipe.graph.output().len();
    if let LossSettings::SquaredError { target } = recipe.loss {
        check_targets(target, recipe, collection)?;
        return Ok(Vec::new());
    }
    let (own, found) = (&recipe.classes, &collection.classes);
    let names = if own.is_empty() { found } else { own };
    let numbers = || (0..outputs).map(|class| class.to_string()).collect();
    let in_use = collection.classes_in_use();
    let source_name = collection.source.clone();
    let others = !found.is_empty() && found.len() != outputs;
    if recipe.base.is_some() && (in_use > outputs || others) {
        return Err(TrainError::BaseClasses {
            outputs,
            classes: in_use.max(found.len()),
            source_name,
        });
    }
    if in_use > outputs || (!names.is_empty() && names.len() != outputs) {
        return Err(TrainError::Classes {
            outputs,
            classes: in_use.max(names.len()),
            source_name,
        });
    }
    if recipe.base.is_some() && !own.is_empty() && !found.is_empty() && own != found {
        observer.note(&format!(
            "the network calls its classes {}, the data set {}: they are taken for the same, in this order, under the network's names",
            own.join(", "),
            found.join(", ")
        ));
    }
    Ok(if names.is_empty() {
        numbers()
    } else {
        names.clone()
    })
}

/// Refuses targets that are not as many as the outputs.
fn check_targets(
    target: Target,
    recipe: &Recipe,
    collection: &Collection,
) -> Result<(), TrainError> {
    let outputs = recipe.graph.output().len();
    let parts = std::iter::once(&collection.train).chain(&collection.test);
    for part in parts {
        let found = match target {
            Target::Values => part.target_len(),
            Target::Input => Some(recipe.graph.input().len()),
        };
        if found != Some(outputs) {
            return Err(TrainError::Targets {
                outputs,
                found,
                is_input: target == Target::Input,
                source_name: collection.source.clone(),
            });
        }
    }
    Ok(())
}

fn check_pictures(recipe: &Recipe, collection: &Collection) -> Result<(), TrainError> {
    let (network, pictures) = (recipe.graph.input(), collection.train.shape());
    let source_name = collection.source.clone();
    if network != pictures {
        return Err(TrainError::PictureShape {
            network,
            pictures,
            noun: collection.train.noun(),
            source_name,
        });
    }
    if !recipe.data.transforms.is_empty() && !collection.train.is_images() {
        return Err(TrainError::TransformedFeatures { source_name });
    }
    // A trained network's own is for pictures, which these are not.
    let identity = Normalize::identity(network.channels);
    if recipe.base.is_none() && recipe.data.normalize != identity && !collection.train.is_images() {
        return Err(TrainError::NormalizedFeatures { source_name });
    }
    Ok(())
}
