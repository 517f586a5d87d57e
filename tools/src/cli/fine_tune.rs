//! `kinglet fine-tune`: the last layers learn from a data set, by the code a device runs.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use kinglet::model::with_head;
use kinglet::{FineTuner, HeapArena, SessionMemory, Sgd};
use serde::Serialize;

use super::device::{DeviceArguments, note};
use super::inputs::{note_one_class, note_samples};
use super::model::ModelArguments;
use super::numbers::{at_least_one, at_least_zero, fraction};
use super::replace::ReplaceArguments;
use super::{DATA_HELP, Failure, Part, data, document, fit, forgotten_data};
use crate::dataset::ReadOptions;
use crate::digits::grouped;
use crate::evaluate::{Evaluation, check_fit, evaluate_tuned};
use crate::file::{crc32, create_folder, write_all_atomic};
use crate::fine_tune::{Epoch, Order, fine_tune};
use crate::kernel_set;
use crate::model_file::{ModelFile, load_head};
use crate::random::{Purpose, for_purpose, shuffle};
use crate::samples::{self, Learning};

/// Train a model's last layers further, sample by sample, as a device does
///
/// Writes DIR/head.kgh (what `load_head` takes on a device) and DIR/tuned.kgl (the model with that head).
/// The frozen layers run on the kernel set; the trained ones are computed in canonical arithmetic, so that
/// with `--kernels portable` the learned bits are those of any device.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet fine-tune model.kgl --out tuned --invert --samples 500
  kinglet fine-tune model.kgl --data ./my-camera --out tuned --epochs 5 --lr 0.001
  kinglet fine-tune model.kgl --out tuned --samples 100 --evaluate 50 --in-order --epochs 1 \\
      --kernels portable --firmware-samples tuned/samples")]
pub(super) struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// The data set; the built-in one if absent
    #[arg(long, value_name = "DIR|FILE", long_help = DATA_HELP)]
    data: Option<PathBuf>,
    /// Which part of it
    #[arg(long, value_enum, default_value_t = Part::Train)]
    part: Part,
    /// Scale pictures of another size to the model's
    #[arg(long)]
    resize: bool,
    /// Folder for the results; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Learn from this many samples, chosen by the seed; all but those to evaluate with, if absent
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// Evaluate on this many other samples; an eighth of the part, at most 2,000, if absent
    #[arg(long, value_name = "N")]
    evaluate: Option<usize>,
    /// Passes over the samples
    #[arg(long, default_value = "10", value_parser = at_least_one)]
    epochs: NonZeroUsize,
    /// Learning rate
    #[arg(long, default_value_t = 0.002, value_parser = at_least_zero)]
    lr: f32,
    /// Momentum
    #[arg(long, default_value_t = 0.9, value_parser = fraction)]
    momentum: f32,
    /// L2 penalty
    #[arg(long, default_value_t = 0.0, value_parser = at_least_zero)]
    weight_decay: f32,
    /// Decides which samples, and their order in each epoch
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Take the samples in the same order each epoch, as a device would
    #[arg(long)]
    in_order: bool,
    /// Invert the pictures first: a simple shift of domain to try
    #[arg(long)]
    invert: bool,
    /// Kernel set of the frozen layers: auto, or a name from `kinglet devices`
    #[arg(long, default_value = "auto", value_name = "SET")]
    kernels: String,
    #[command(flatten)]
    device: DeviceArguments,
    /// Also write the pictures and settings as the firmware programs take them (implies --in-order)
    #[arg(long, value_name = "FILE")]
    firmware_samples: Option<PathBuf>,
    #[command(flatten)]
    replace: ReplaceArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What fine-tuning did.
#[derive(Debug, Serialize)]
struct Outcome {
    samples: usize,
    epochs: Vec<Epoch>,
    accuracy_before: f64,
    accuracy_after: f64,
    training_bytes: usize,
    learned_crc32: String,
    head_crc32: String,
    model: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = ModelFile::read(&arguments.model.model)?;
    let model = file.model();
    let kernels = kernel_set::select(&arguments.kernels)?;
    let options = ReadOptions::of_model(&model, fit(arguments.resize), None);
    let collection = data(arguments.data.as_deref(), &options)?;
    let mut pictures = arguments.part.of(&collection)?.clone();
    check_fit(&model, &pictures).map_err(|error| forgotten_data(error, &collection, "--data"))?;
    note_samples(&model, &pictures);
    let noun = pictures.noun();
    if arguments.invert {
        pictures.invert()?;
    }
    if arguments.firmware_samples.is_some() {
        if arguments.weight_decay != 0.0 {
            return Err("--firmware-samples cannot carry --weight-decay".into());
        }
        if !pictures.is_images() {
            return Err(
                "--firmware-samples carries pictures (uint8), not features (float32)".into(),
            );
        }
    }
    let (training, evaluation) = choose(arguments, pictures.len(), noun)?;
    note_one_class(&pictures, &training, |class| {
        model.label(class).map(str::to_owned)
    });
    let files = Files::of(arguments);
    arguments.replace.check_free(files.all())?;
    create_folder(&arguments.out)?;

    let optimizer = Sgd {
        weight_decay: arguments.weight_decay,
        ..Sgd::new(arguments.lr, arguments.momentum)
    };
    let training_bytes = model.sizes().training::<Sgd>();
    let mut memory = SessionMemory::new(&model, &kernels, 1);
    let mut arena = HeapArena::new(training_bytes);
    let mut tuner = FineTuner::new(memory.session(&model, kernels)?, &mut arena, optimizer)?;
    if let Some(head) = &arguments.model.head {
        load_head(&mut tuner, head)?;
    }

    let features = match arguments.device.open()? {
        None => None,
        Some(device) => {
            let indices = training.iter().chain(&evaluation).copied();
            let features = device.features(&model, &pictures, indices);
            features.map_err(|failure| note(&failure)).ok()
        }
    };
    let features = features.as_ref();
    let before = evaluate_tuned(&mut tuner, &pictures, features, &evaluation)?;
    let order = match arguments.in_order || arguments.firmware_samples.is_some() {
        true => Order::AsGiven,
        false => Order::Shuffled(arguments.seed),
    };
    let mut epochs = Vec::new();
    fine_tune(
        &mut tuner,
        &pictures,
        features,
        &training,
        arguments.epochs.get(),
        order,
        |epoch| {
            if !arguments.json {
                println!(
                    "epoch {:>3}  loss {:.4}  accuracy {:.2} %",
                    epoch.epoch,
                    epoch.loss,
                    100.0 * epoch.accuracy
                );
            }
            epochs.push(epoch);
        },
    )?;
    let after = evaluate_tuned(&mut tuner, &pictures, features, &evaluation)?;

    let mut head = vec![0; tuner.head_len()];
    tuner.save_head(&mut head)?;
    let tuned = with_head(&model, tuner.weights())?;
    let learning = Learning {
        epochs: arguments.epochs.get(),
        learning_rate: arguments.lr,
        momentum: arguments.momentum,
    };
    let firmware = files.firmware_samples.as_ref().map(|path| {
        (
            path,
            samples::write(&pictures, &training, &evaluation, learning),
        )
    });
    let mut written: Vec<(&Path, &[u8])> = vec![(&files.head, &head), (&files.tuned, &tuned)];
    if let Some((path, samples)) = &firmware {
        written.push((path, samples));
    }
    write_all_atomic(&written)?;
    let learned: Vec<u8> = tuner
        .weights()
        .iter()
        .flat_map(|w| w.to_le_bytes())
        .collect();
    let outcome = Outcome {
        samples: training.len(),
        epochs,
        accuracy_before: before.accuracy(),
        accuracy_after: after.accuracy(),
        training_bytes,
        learned_crc32: crc(&learned),
        // The CRC that the head carries: over all of it, with that CRC, it would be the same for every head.
        head_crc32: crc(head
            .split_last_chunk::<4>()
            .map_or(&head, |(covered, _)| covered)),
        model: ModelFile::from_bytes(&tuned)?.model().id().to_string(),
    };
    if arguments.json {
        document::print("fine-tune", &outcome)?;
    } else {
        print(&files, &outcome, noun, [&before, &after]);
    }
    if after.accuracy() < before.accuracy() - WORSE {
        note(&format!(
            "the model has become worse, {:.2} % instead of {:.2} %: a smaller --lr than {} or other samples may help",
            100.0 * after.accuracy(),
            100.0 * before.accuracy(),
            arguments.lr
        ));
    }
    Ok(())
}

/// Where the results go.
struct Files {
    head: PathBuf,
    tuned: PathBuf,
    firmware_samples: Option<PathBuf>,
}

impl Files {
    fn of(arguments: &Arguments) -> Self {
        Self {
            head: arguments.out.join("head.kgh"),
            tuned: arguments.out.join("tuned.kgl"),
            firmware_samples: arguments.firmware_samples.clone(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.head, &self.tuned]
            .into_iter()
            .chain(&self.firmware_samples)
    }
}

/// Accuracy that is lost before it is said: less may be chance.
const WORSE: f64 = 0.02;

fn print(files: &Files, outcome: &Outcome, noun: &str, [before, after]: [&Evaluation; 2]) {
    println!(
        "{} other {noun}: {:.2} % before, {:.2} % after learning from {}",
        before.all().total,
        100.0 * before.accuracy(),
        100.0 * after.accuracy(),
        outcome.samples
    );
    println!(
        "training took {} bytes",
        grouped(outcome.training_bytes as u64)
    );
    println!("learned: crc32 {}", outcome.learned_crc32);
    println!("saved head: crc32 {}", outcome.head_crc32);
    println!(
        "wrote {} and {}",
        files.head.display(),
        files.tuned.display()
    );
}

/// A CRC as the firmware programs print it.
fn crc(bytes: &[u8]) -> String {
    format!("{:08x}", crc32(bytes))
}

/// Most samples that are kept for evaluation where no number is given.
const EVALUATION: usize = 2000;

/// The samples to learn from and, apart from them, those to evaluate with.
fn choose(
    arguments: &Arguments,
    count: usize,
    noun: &str,
) -> Result<(Vec<usize>, Vec<usize>), Failure> {
    let evaluate = arguments.evaluate.unwrap_or((count / 8).min(EVALUATION));
    let samples = arguments.samples.unwrap_or(count.saturating_sub(evaluate));
    if samples == 0 || samples.saturating_add(evaluate) > count {
        return Err(format!(
            "{samples} {noun} to learn from and {evaluate} to evaluate with: the data set has {count}"
        )
        .into());
    }
    let mut indices: Vec<usize> = (0..count).collect();
    shuffle(
        &mut for_purpose(arguments.seed, Purpose::Split, 0, 0),
        &mut indices,
    );
    let evaluation = indices[samples..samples + evaluate].to_vec();
    indices.truncate(samples);
    Ok((indices, evaluation))
}
