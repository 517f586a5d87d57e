//! `kinglet train`: from a recipe and a data set to a checkpoint.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde::Serialize;

use super::device::note;
use super::inputs::note_one_class;
use super::numbers::at_least_one;
use super::progress::{JsonLines, Progress, measures};
use super::replace::ReplaceArguments;
use super::report::print_files;
use super::{DATA_HELP, Failure, data, document};
use crate::base::{Base, Frozen};
use crate::dataset::{Collection, ReadOptions};
use crate::device::{self, DeviceChoice, Storage};
use crate::kernel_set;
use crate::recipe::{Normalize, Recipe};
use crate::report::{self, Files};
use crate::train::{
    CHECKPOINT_EVERY, Checkpoint, Ended, EpochMetrics, FitOptions, Observer, Origin, Report, Start,
    fit,
};

/// Train a recipe's network, or one that was trained before, and keep its best epoch
///
/// Writes DIR/checkpoint.postcard after each epoch and each minute, DIR/metrics.csv, DIR/run.toml with the date and the
/// machine, and at the end DIR/report.html with the figures that `kinglet report --help` tells of. The best epoch is the one with the lowest validation loss (or, as the recipe says, the highest
/// accuracy); `kinglet export DIR` writes it as a model file. Ctrl-C stops after the current batch and leaves a
/// checkpoint that --resume continues, on the same kernel set or device bit for bit, and that can be exported too.
///
/// With --from, training goes on from a trained network: a model, ONNX or TensorFlow Lite file, whose normalization holds where
/// the recipe has none. A recipe then is optional, and has settings but no network. --classes N puts a new last layer in the
/// place of the network's own, --last K trains the last K layers alone, --freeze-until all behind the one named. The
/// checkpoint holds the network: what comes later needs neither the file nor these options.
///
/// Pictures are transformed and normalized on other threads, ahead of the training. The line of an epoch shows its
/// last learning rate, samples trained in a second and, where it was not next to nothing, the time spent waiting for
/// pictures.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet train tools/recipes/fashion.toml --out runs/fashion
  kinglet train tools/recipes/lesson.toml --data ./cifar-10 --out runs/lesson --epochs 5
  kinglet train tools/recipes/lesson.toml --data ./cifar-10 --out runs/lesson --resume
  kinglet train my.toml --data ./photographs --out runs/my       photographs/train/CLASS/*.jpg
  kinglet train --from net.onnx my.toml --data ./photographs --out runs/my --classes 5 --last 1
  kinglet train --out runs/my --data ./photographs --resume      recipe and network of the checkpoint")]
pub(super) struct Arguments {
    /// The recipe (.toml); with --from one of settings alone, or none, and with --resume the run's own if absent
    recipe: Option<PathBuf>,
    /// A trained network to go on from: a model (.kgl), ONNX or TensorFlow Lite file
    #[arg(long, value_name = "MODEL")]
    from: Option<PathBuf>,
    /// Outputs of a new last layer, which takes the place of the trained network's own
    #[arg(long, value_name = "N", requires = "from", value_parser = at_least_one)]
    classes: Option<NonZeroUsize>,
    /// Keep the values of all layers up to this one: its number in `kinglet inspect`
    #[arg(long, value_name = "LAYER", requires = "from", conflicts_with = "last")]
    freeze_until: Option<String>,
    /// Train the last K layers that have parameters, and keep the values of those before them
    #[arg(long, value_name = "K", requires = "from", value_parser = at_least_one)]
    last: Option<NonZeroUsize>,
    /// Folder for the results; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The data set; the built-in one if absent
    #[arg(long, value_name = "DIR|FILE", long_help = DATA_HELP)]
    data: Option<PathBuf>,
    /// Passes over the training samples, instead of the recipe's
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    epochs: Option<NonZeroUsize>,
    /// Seed, instead of the recipe's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Continue from DIR's checkpoint
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// Continue from DIR's checkpoint on another kernel set or device than it was begun on: from here on, results
    /// differ in rounding
    #[arg(long, conflicts_with_all = ["force", "resume"])]
    resume_elsewhere: bool,
    #[command(flatten)]
    replace: ReplaceArguments,
    /// Threads; one for each core if absent. The result is the same
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
    /// Kernel set: auto, or a name from `kinglet devices`
    #[arg(long, default_value = "auto", value_name = "SET")]
    kernels: String,
    /// auto, cpu, gpu, or a part of a name from `kinglet devices`
    ///
    /// auto measures a step on the first OpenCL GPU and on the CPU and takes the faster; without a GPU it is the CPU.
    /// OpenCL devices that are CPUs (PoCL, llvmpipe) must be named. A device that cannot begin leaves the run to the
    /// CPU; one that fails later ends the run, which --device cpu --resume-elsewhere continues.
    #[arg(long, default_value_t, value_name = "DEVICE")]
    device: DeviceChoice,
    /// Write no report at the end
    #[arg(long)]
    no_report: bool,
    /// Print JSON: a line for each epoch, and a last one
    #[arg(long)]
    json: bool,
}

/// Trains; the exit code tells a complete run from an interrupted one (130, as after any Ctrl-C).
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut recipe = recipe(arguments)?;
    recipe.train.epochs = arguments.epochs.map_or(recipe.train.epochs, usize::from);
    recipe.train.seed = arguments.seed.unwrap_or(recipe.train.seed);
    let collection = data(arguments.data.as_deref(), &ReadOptions::of_recipe(&recipe))?;
    let all: Vec<usize> = (0..collection.train.len()).collect();
    if recipe.loss.is_of_classes() {
        note_one_class(&collection.train, &all, |class| {
            let named = recipe.classes.get(class).or(collection.classes.get(class));
            named.cloned()
        });
    }
    let plain = Normalize::identity(recipe.graph.input().channels);
    if recipe.base.is_some() && collection.train.is_images() && recipe.data.normalize == plain {
        note(
            "pixels are divided by 255 and no more, for neither the trained network's file nor the recipe says how they are \
             normalized: if it was trained otherwise, say so with normalize under [data]",
        );
    }
    let (device, notes) = device::open(&arguments.device, Storage::F32)?;
    notes.iter().for_each(|text| note(text));
    let options = FitOptions {
        recipe_path: arguments
            .recipe
            .as_deref()
            .unwrap_or("recipe.toml".as_ref()),
        folder: &arguments.out,
        kernels: kernel_set::select_training(&arguments.kernels)?,
        device: device.as_ref(),
        threads: arguments.threads,
        start: match arguments {
            Arguments { resume: true, .. } => Start::Resume,
            Arguments {
                resume_elsewhere: true,
                ..
            } => Start::ResumeElsewhere,
            Arguments {
                replace: ReplaceArguments { force: true },
                ..
            } => Start::Replace,
            _ => Start::New,
        },
        checkpoint_every: CHECKPOINT_EVERY,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    ctrlc::set_handler(move || asked.store(true, Ordering::Relaxed))?;
    let mut observer: Box<dyn Observer> = match arguments.json {
        true => Box::new(JsonLines),
        false => Box::new(Progress::new(&recipe, &collection)),
    };
    match fit(&recipe, &collection, &options, &stop, observer.as_mut())? {
        Ended::Complete(report) => {
            // The run is complete whatever becomes of its report, so its results are told in any case.
            let files = match arguments.no_report {
                true => Ok(None),
                false => write_report(&collection, &options).map(Some),
            };
            let written = files.as_ref().ok().and_then(Option::as_ref);
            if arguments.json {
                document::print_line("train", &Event::complete(&report, written))?;
            } else {
                print(&report, written, &recipe, arguments);
            }
            files?;
            Ok(ExitCode::SUCCESS)
        }
        Ended::Interrupted {
            epoch,
            batch,
            checkpoint,
        } => {
            if arguments.json {
                let event = Event::Interrupted {
                    epoch,
                    batch,
                    checkpoint: &checkpoint,
                };
                document::print_line("train", &event)?;
            }
            eprintln!(
                "stopped in epoch {epoch} after batch {batch}; {} is complete: continue with --resume, or export it",
                checkpoint.display()
            );
            Ok(ExitCode::from(130))
        }
    }
}

/// The recipe that is given, with the network that it goes on from; what is not given is that of the run that is resumed.
fn recipe(arguments: &Arguments) -> Result<Recipe, Failure> {
    let resumed = match arguments.resume || arguments.resume_elsewhere {
        true => Some(Checkpoint::load(&arguments.out)?),
        false => None,
    };
    let base = match &arguments.from {
        Some(path) => Some(Base {
            classes: arguments.classes.map(usize::from),
            frozen: match (&arguments.freeze_until, arguments.last) {
                (Some(name), _) => Frozen::Until(name.clone()),
                (None, Some(count)) => Frozen::AllBut(count.into()),
                (None, None) => Frozen::Nothing,
            },
            ..Base::open(path)?
        }),
        None => resumed.as_ref().and_then(|run| run.base.clone()),
    };
    Ok(match (&arguments.recipe, base, resumed) {
        (Some(path), Some(base), _) => Recipe::load_onto(path, base)?,
        (Some(path), None, _) => Recipe::load(path)?,
        (None, _, Some(run)) if arguments.from.is_none() => run.recipe()?,
        (None, Some(base), _) => Recipe::parse_onto("", "recipe.toml".as_ref(), base)?,
        (None, None, _) => {
            return Err(
                "what is to be trained? A recipe (`kinglet recipes --list` has some), or a trained network with --from"
                    .into(),
            );
        }
    })
}

/// Writes the report of the run that has just ended.
fn write_report(collection: &Collection, options: &FitOptions) -> Result<Files, Failure> {
    let checkpoint = Checkpoint::load(options.folder)?;
    let origin = Origin::of_run(options.folder);
    let report = report::Report::of_run(&checkpoint, origin, collection, options.kernels)?;
    Ok(report.write(options.folder)?)
}

fn print(report: &Report, files: Option<&Files>, recipe: &Recipe, arguments: &Arguments) {
    if report.stopped_early {
        println!(
            "stopped early, after epoch {}: none was better since epoch {}",
            report.history.len(),
            report.best_epoch
        );
    }
    let validated = report.history.iter().any(|m| m.validation_loss.is_some());
    match validated {
        true => println!(
            "best epoch by validation {}: {}",
            recipe.train.best, report.best_epoch
        ),
        false => println!(
            "without validation the last epoch is kept: {}",
            report.best_epoch
        ),
    }
    if let Some(test) = &report.test
        && !recipe.loss.is_of_classes()
    {
        let total = test.total();
        let measures = measures(total.mean_loss(), None);
        println!("test: {measures} ({} samples)", total.samples);
    } else if let Some(test) = &report.test {
        let total = test.total();
        println!(
            "test: accuracy {:.2} % ({} of {}), loss {:.4}",
            100.0 * total.accuracy(),
            total.correct,
            total.samples,
            total.mean_loss()
        );
        for (class, tally) in report.classes.iter().zip(&test.classes) {
            println!(
                "  {class:<14} {:>6.2} %  {:>5} of {}",
                100.0 * tally.accuracy(),
                tally.correct,
                tally.samples
            );
        }
    }
    if let Some(files) = files {
        print_files(files);
    }
    println!("next: kinglet export {}", arguments.out.display());
}

/// A document of `--json`: one for each epoch, and a last one.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
    /// The run is complete.
    Complete {
        best_epoch: usize,
        stopped_early: bool,
        history: &'a [EpochMetrics],
        classes: &'a [String],
        test: Option<Test<'a>>,
        checkpoint: &'a Path,
        report: Option<&'a Path>,
    },
    /// Someone asked to stop.
    Interrupted {
        epoch: usize,
        batch: usize,
        checkpoint: &'a Path,
    },
}

/// The best network on the test part.
#[derive(Debug, Serialize)]
struct Test<'a> {
    /// None where there are no classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    loss: f64,
    /// The root of a mean square; none where there are classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    rmse: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correct: Option<u64>,
    total: u64,
    classes: Vec<Class<'a>>,
}

/// How one class came off.
#[derive(Debug, Serialize)]
struct Class<'a> {
    label: &'a str,
    correct: u64,
    total: u64,
}

impl<'a> Event<'a> {
    fn complete(report: &'a Report, files: Option<&'a Files>) -> Self {
        let test = report.test.as_ref().map(|test| {
            let total = test.total();
            let classes = report.classes.iter().zip(&test.classes);
            let of_classes = !report.classes.is_empty();
            Test {
                accuracy: of_classes.then(|| total.accuracy()),
                loss: total.mean_loss(),
                rmse: (!of_classes).then(|| total.mean_loss().sqrt()),
                correct: of_classes.then_some(total.correct),
                total: total.samples,
                classes: classes
                    .map(|(label, tally)| Class {
                        label,
                        correct: tally.correct,
                        total: tally.samples,
                    })
                    .collect(),
            }
        });
        Self::Complete {
            best_epoch: report.best_epoch,
            stopped_early: report.stopped_early,
            history: &report.history,
            classes: &report.classes,
            test,
            checkpoint: &report.checkpoint,
            report: files.map(|files| files.page.as_path()),
        }
    }
}
