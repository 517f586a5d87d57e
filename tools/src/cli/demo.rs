//! `kinglet demo`: the whole path on the data that is built in, in about a minute.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use clap::Args;
use kinglet::{FineTuner, HeapArena, Model, SessionMemory, Sgd};
use kinglet_kernels::BackwardKernels;
use serde::Serialize;

use super::eval::print_classes;
use super::numbers::at_least_one;
use super::replace::ReplaceArguments;
use super::{Failure, document, program};
use crate::array_layout::ArrayLayout;
use crate::dataset::{Collection, Dataset, embedded};
use crate::digits::grouped;
use crate::evaluate::{evaluate, evaluate_tuned};
use crate::export::{ExportSettings, export};
use crate::file::{create_folder, write_atomic};
use crate::fine_tune::{Order, fine_tune};
use crate::inspect::Report;
use crate::kernel_set;
use crate::model_file::ModelFile;
use crate::recipe::Recipe;
use crate::report;
use crate::train::{
    BatchProgress, CHECKPOINT_EVERY, Checkpoint, Ended, EpochMetrics, FitOptions, Observer, Origin,
    Start, Trainer, fit,
};
use crate::{npy, picture};

/// Train, export, run and fine-tune on the built-in photographs, and say what to try next
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet demo
  kinglet demo --out /tmp/demo --epochs 3
  kinglet demo --json                          what came of it, as one document")]
pub(super) struct Arguments {
    /// Folder for the results; made if it is not there
    #[arg(long, default_value = "runs/demo", value_name = "DIR")]
    out: PathBuf,
    /// Passes over the training pictures; the recipe's number if absent
    #[arg(long, value_parser = at_least_one)]
    epochs: Option<NonZeroUsize>,
    /// Kernel set: auto, or a name from `kinglet devices`
    #[arg(long, default_value = "auto", value_name = "SET")]
    kernels: String,
    #[command(flatten)]
    replace: ReplaceArguments,
    /// Print what came of it as JSON
    #[arg(long)]
    json: bool,
}

/// What is told, unless a document is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Story {
    Told,
    Silent,
}

/// `println!`, if the story is told.
macro_rules! tell {
    ($story:expr, $($text:tt)*) => {
        if $story == Story::Told {
            println!($($text)*);
        }
    };
}

/// What came of it, for `--json`.
#[derive(Debug, Serialize)]
struct Outcome {
    out: String,
    recipe: String,
    kernels: String,
    best_epoch: usize,
    /// On the test photographs.
    accuracy: f64,
    /// On the same ones inverted.
    shifted_accuracy: f64,
    tuned: Vec<Tuned>,
    /// Layers of the head that was kept.
    kept: usize,
    seconds: f64,
}

/// The recipe that is trained.
const RECIPE: &str = include_str!("../../recipes/fashion.toml");
/// The name that it is left under.
const OWN_RECIPE: &str = "fashion.toml";
/// Test photographs in the array that is left to be run.
const BATCH: usize = 12;
/// Pictures of the new domain that the last layers learn from.
const SAMPLES: usize = 500;
/// Passes over them.
const TUNING_EPOCHS: usize = 20;
/// Step size and momentum of fine-tuning, for a batch of one.
const TUNING: Sgd = Sgd::new(0.001, 0.9);

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let start = Instant::now();
    let story = match arguments.json {
        true => Story::Silent,
        false => Story::Told,
    };
    let out = &arguments.out;
    check_folder(arguments)?;
    create_folder(out)?;
    let kernels = kernel_set::select_training(&arguments.kernels)?;
    let collection = embedded()?;
    let test = collection
        .test
        .as_ref()
        .ok_or("the built-in data set has a test part")?;

    let recipe_path = out.join(OWN_RECIPE);
    write_atomic(&recipe_path, RECIPE.as_bytes())?;
    let mut recipe = Recipe::load(&recipe_path)?;
    recipe.train.epochs = arguments.epochs.map_or(recipe.train.epochs, usize::from);
    tell!(
        story,
        "1. Train {} on {} photographs of clothes, {} classes ({})",
        recipe.name,
        grouped(collection.train.len() as u64),
        collection.classes.len(),
        kernels.name()
    );
    let options = FitOptions {
        recipe_path: &recipe_path,
        folder: out,
        kernels,
        device: None,
        threads: 0,
        start: Start::Replace,
        checkpoint_every: CHECKPOINT_EVERY,
    };
    let ended = fit(
        &recipe,
        &collection,
        &options,
        &AtomicBool::new(false),
        &mut EpochLines(story),
    )?;
    let Ended::Complete(trained) = ended else {
        return Err("training was interrupted".into());
    };
    tell!(
        story,
        "   the best epoch by validation loss is {}; its weights are kept",
        trained.best_epoch
    );

    tell!(story, "\n2. Export: fold, fuse, plan, one postcard file");
    let export_last = |fine_tune_last| -> Result<ModelFile, Failure> {
        let settings = ExportSettings {
            normalize: recipe.data.normalize.clone(),
            labels: trained.classes.clone(),
            fine_tune_last,
        };
        let (bytes, _) = export(trained.network.clone(), &settings)?;
        Ok(ModelFile::from_bytes(&bytes)?)
    };
    let candidates = [export_last(1)?, export_last(2)?];
    let report = Report::of_model(&candidates[1].model(), candidates[1].bytes().len());
    for line in report.to_string().lines() {
        tell!(story, "   {line}");
    }

    tell!(
        story,
        "\n3. Run it with the no_std runtime on the {} test photographs",
        test.len()
    );
    let all: Vec<usize> = (0..test.len()).collect();
    let model = candidates[0].model();
    let before = evaluate(&model, kernels, test, &all)?;
    tell!(story, "   accuracy {:.2} %", 100.0 * before.accuracy());
    if story == Story::Told {
        print_classes("     ", &before, |class| {
            model.label(class).map(str::to_owned)
        });
    }
    write_examples(out, test, &recipe)?;

    tell!(
        story,
        "\n4. Shift the domain: the same photographs inverted"
    );
    let mut inverted = test.clone();
    inverted.invert()?;
    let shifted = evaluate(&model, kernels, &inverted, &all)?;
    tell!(
        story,
        "   accuracy {:.2} %, {:.1} points lower",
        100.0 * shifted.accuracy(),
        100.0 * (before.accuracy() - shifted.accuracy())
    );

    tell!(
        story,
        "\n5. Fine-tune on {SAMPLES} other inverted photographs, one at a time, as a device does: SGD, learning rate {}, momentum {}, {TUNING_EPOCHS} passes",
        TUNING.learning_rate,
        TUNING.momentum
    );
    let lesson = Lesson {
        story,
        kernels,
        samples: validation_samples(&recipe, &collection)?,
        inverted_test: &inverted,
        test,
    };
    let mut lessons = Vec::new();
    for (index, file) in candidates.iter().enumerate() {
        lessons.push(lesson.learn(&file.model(), index + 1)?);
    }
    // Of equals the one with fewer layers.
    let of_inverted = |lesson: &&Learned| lesson.tuned.inverted_accuracy;
    let best = lessons
        .iter()
        .rev()
        .max_by(|a, b| of_inverted(a).total_cmp(&of_inverted(b)));
    let best = best.ok_or("there are two candidates")?;
    let drop = before.accuracy() - shifted.accuracy();
    let back = best.tuned.inverted_accuracy - shifted.accuracy();
    tell!(
        story,
        "   the last {} won back {:.0} % of what the shift had cost",
        layers(best.tuned.layers),
        100.0 * back / drop.max(f64::EPSILON)
    );

    let chosen = &candidates[best.tuned.layers - 1];
    write_atomic(&out.join("model.kgl"), chosen.bytes())?;
    write_atomic(&out.join("head.kgh"), &best.head)?;
    let tuned = kinglet::model::with_head(&chosen.model(), &best.weights)?;
    write_atomic(&out.join("tuned.kgl"), &tuned)?;

    let checkpoint = Checkpoint::load(out)?;
    let origin = Origin::of_run(out);
    let report = report::Report::of_run(&checkpoint, origin, &collection, kernels)?;
    report.write(out)?;
    if story == Story::Told {
        finish(out, start);
        return Ok(());
    }
    let outcome = Outcome {
        out: out.display().to_string(),
        recipe: recipe.name,
        kernels: kernels.name().to_owned(),
        best_epoch: trained.best_epoch,
        accuracy: before.accuracy(),
        shifted_accuracy: shifted.accuracy(),
        kept: best.tuned.layers,
        tuned: lessons.iter().map(|lesson| lesson.tuned).collect(),
        seconds: start.elapsed().as_secs_f64(),
    };
    document::print("demo", &outcome)
}

/// Refuses a folder with a run or a model that is not of an earlier demonstration.
fn check_folder(arguments: &Arguments) -> Result<(), Failure> {
    let file = |name| arguments.out.join(name);
    let own = std::fs::read(file(OWN_RECIPE)).is_ok_and(|text| text == RECIPE.as_bytes());
    match own {
        true => Ok(()),
        false => arguments.replace.check_free(
            &[
                OWN_RECIPE,
                "checkpoint.postcard",
                "model.kgl",
                "tuned.kgl",
                "head.kgh",
            ]
            .map(file),
        ),
    }
}

/// Leaves the first test photograph and an array of the first few, normalized as the recipe says, to be run.
fn write_examples(out: &Path, test: &Dataset, recipe: &Recipe) -> Result<(), Failure> {
    let picture = picture::encode(test.shape(), test.image(0))?;
    write_atomic(&out.join("photograph.png"), &picture)?;
    let normalize = &recipe.data.normalize;
    let channels = normalize.mean.len();
    let mut values = Vec::new();
    for index in 0..BATCH.min(test.len()) {
        for (place, pixel) in test.image(index).iter().enumerate() {
            let channel = place % channels;
            let value = f32::from(*pixel) / 255.0;
            values.push((value - normalize.mean[channel]) / normalize.std[channel]);
        }
    }
    let layout = ArrayLayout::channels_first(test.shape());
    npy::write(&out.join("batch.npy"), &layout, &layout.to_array(values))?;
    Ok(())
}

/// The first pictures of the validation part: training has not learned from them.
fn validation_samples(recipe: &Recipe, collection: &Collection) -> Result<Dataset, Failure> {
    let (_, mut validation) = collection.parts(recipe.data.validation, recipe.train.seed)?;
    validation.truncate(SAMPLES);
    let mut samples = collection.train.select(&validation);
    samples.invert()?;
    Ok(samples)
}

/// What both candidates learn from and are measured with.
struct Lesson<'a> {
    story: Story,
    kernels: &'static dyn BackwardKernels,
    samples: Dataset,
    inverted_test: &'a Dataset,
    test: &'a Dataset,
}

/// What a candidate has come to in its lesson.
#[derive(Debug, Clone, Copy, Serialize)]
struct Tuned {
    /// Linear layers that learned.
    layers: usize,
    training_bytes: usize,
    inverted_accuracy: f64,
    accuracy: f64,
}

/// A candidate after its lesson.
struct Learned {
    tuned: Tuned,
    weights: Vec<f32>,
    head: Vec<u8>,
}

impl Lesson<'_> {
    /// Fine-tunes the last `last` linear layers of `model`.
    fn learn(&self, model: &Model<'_>, last: usize) -> Result<Learned, Failure> {
        let bytes = model.sizes().training::<Sgd>();
        let mut memory = SessionMemory::new(model, &self.kernels, 1);
        let mut arena = HeapArena::new(bytes);
        let session = memory.session(model, self.kernels)?;
        let mut tuner = FineTuner::new(session, &mut arena, TUNING)?;
        let indices: Vec<usize> = (0..self.samples.len()).collect();
        fine_tune(
            &mut tuner,
            &self.samples,
            None,
            &indices,
            TUNING_EPOCHS,
            Order::Shuffled(1),
            |_| {},
        )?;
        let all: Vec<usize> = (0..self.test.len()).collect();
        let new = evaluate_tuned(&mut tuner, self.inverted_test, None, &all)?;
        let old = evaluate_tuned(&mut tuner, self.test, None, &all)?;
        tell!(
            self.story,
            "   last {:<8} {:>7} bytes of training arena: {:.2} % on inverted photographs, {:.2} % on the old ones",
            layers(last),
            grouped(bytes as u64),
            100.0 * new.accuracy(),
            100.0 * old.accuracy()
        );
        let mut head = vec![0; tuner.head_len()];
        tuner.save_head(&mut head)?;
        Ok(Learned {
            tuned: Tuned {
                layers: last,
                training_bytes: bytes,
                inverted_accuracy: new.accuracy(),
                accuracy: old.accuracy(),
            },
            weights: tuner.weights().to_vec(),
            head,
        })
    }
}

fn layers(count: usize) -> String {
    match count {
        1 => "1 layer".to_owned(),
        count => format!("{count} layers"),
    }
}

/// One line for each epoch.
struct EpochLines(Story);

impl Observer for EpochLines {
    fn start(&mut self, trainer: &Trainer, _steps_left: usize) {
        tell!(self.0, "   {} threads", trainer.threads());
    }

    fn batch(&mut self, _progress: &BatchProgress) {}

    fn epoch(&mut self, metrics: &EpochMetrics, best: bool) {
        tell!(
            self.0,
            "   epoch {:>2}  train loss {:.4}  validation loss {:.4}  accuracy {:.2} %  {:.0} images/s{}",
            metrics.epoch,
            metrics.train_loss,
            metrics.validation_loss.unwrap_or(f64::NAN),
            100.0 * metrics.validation_accuracy.unwrap_or(f64::NAN),
            metrics.images_per_second,
            if best { "  best" } else { "" }
        );
    }
}

fn finish(out: &Path, start: Instant) {
    let here = std::env::current_dir().unwrap_or_default();
    let out = out.strip_prefix(&here).unwrap_or(out).display();
    let kinglet = program();
    println!(
        "\nDone in {:.0} s. In {out}:
   report.html      how the training went: curves, confusion, the worst mistakes; open it in a browser
   model.kgl        the model, with the layers that may be trained on a device
   head.kgh         the fine-tuned head, as a device saves it
   tuned.kgl        the model with that head
   photograph.png, batch.npy    a photograph and {BATCH} of them, to be run
   checkpoint.postcard, metrics.csv, run.toml, fashion.toml    the training run

Try next:
   {kinglet} run {out}/model.kgl --input {out}/photograph.png
   {kinglet} eval {out}/tuned.kgl --invert
   {kinglet} inspect {out}/tuned.kgl
   {kinglet} train {out}/fashion.toml --epochs 5 --out {out}/again",
        start.elapsed().as_secs_f64()
    );
}
