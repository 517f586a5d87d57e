//! `kinglet eval`: how good a model is on labelled samples.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use kinglet::{Model, SessionMemory};
use serde::Serialize;

use super::device::{DeviceArguments, note, note_failure};
use super::inputs::note_samples;
use super::model::ModelArguments;
use super::progress::measures;
use super::{DATA_HELP, Failure, Part, data, document, fit, forgotten_data};
use crate::array_layout::Layout;
use crate::dataset::ReadOptions;
use crate::device::HostSession;
use crate::evaluate::{
    ClassCount, DEVICE_BATCH, Evaluation, check_fit, evaluate, evaluate_in_batches, squared_errors,
};
use crate::kernel_set;
use crate::meaning::Meaning;
use crate::recipe::Target;

/// Measure a model's accuracy on a data set, or the error of one that computes values
///
/// Where the data set has numbers for each sample (y_test.npy of float32) these are what the outputs ought to be, and where a
/// model without classes has as many outputs as inputs, as an autoencoder, the sample itself is: then the mean squared error
/// (MSE) and its root are measured.
///
/// Arrays of NumPy lie as the file has them that the model was made from, or else NHWC or NCHW, whichever has the model's
/// channels. uint8 is pixels, normalized as the model file says; float32 is what the network sees. Of a model of several
/// outputs the first is measured.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet eval model.kgl                          the 2,000 test pictures of the built-in data set
  kinglet eval model.kgl --data ./fashion-mnist
  kinglet eval model.kgl --data ./cifar-10 --part train --json")]
pub(super) struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// The data set; the built-in one if absent
    #[arg(long, value_name = "DIR|FILE", long_help = DATA_HELP)]
    data: Option<PathBuf>,
    /// Which part of it
    #[arg(long, value_enum, default_value_t = Part::Test)]
    part: Part,
    /// Scale pictures of another size to the model's
    #[arg(long)]
    resize: bool,
    /// The order of axes of NumPy arrays, if not that of the file that the model was made from
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// Invert the pictures first: a simple shift of domain to try
    #[arg(long)]
    invert: bool,
    /// Kernel set: auto, or a name from `kinglet devices`
    #[arg(long, default_value = "auto", value_name = "SET")]
    kernels: String,
    #[command(flatten)]
    device: DeviceArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    model: &'a str,
    id: String,
    data: &'a str,
    part: String,
    kernels: &'a str,
    device: Option<&'a str>,
    accuracy: f64,
    loss: f64,
    correct: usize,
    /// With NaN among their outputs.
    undecided: usize,
    total: usize,
    seconds: f64,
    classes: Vec<Class>,
}

/// What `--json` prints of a model that computes values.
#[derive(Debug, Serialize)]
struct Errors<'a> {
    model: &'a str,
    id: String,
    data: &'a str,
    part: String,
    kernels: &'a str,
    /// The mean squared error.
    loss: f64,
    /// Its root.
    rmse: f64,
    total: usize,
    seconds: f64,
}

/// How one class came off.
#[derive(Debug, Serialize)]
struct Class {
    class: usize,
    label: Option<String>,
    #[serde(flatten)]
    count: ClassCount,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = arguments.model.open()?;
    let model = file.model();
    let kernels = kernel_set::select(&arguments.kernels)?;
    let options = ReadOptions::of_model(&model, fit(arguments.resize), arguments.layout);
    let collection = data(arguments.data.as_deref(), &options)?;
    let mut pictures = arguments.part.of(&collection)?.clone();
    check_fit(&model, &pictures).map_err(|error| forgotten_data(error, &collection, "--data"))?;
    note_samples(&model, &pictures);
    if let [first, _, ..] = &output_names(&model)[..] {
        note(&format!("the first output is measured: {first}"));
    }
    let noun = pictures.noun();
    if arguments.invert {
        pictures.invert()?;
    }
    let indices: Vec<usize> = (0..pictures.len()).collect();
    let rebuilds =
        !Meaning::of(&model, 0).is_classes() && model.output().len() == model.input().len();
    if pictures.target_len().is_some() || rebuilds {
        let start = Instant::now();
        let target = match rebuilds && pictures.target_len().is_none() {
            true => Target::Input,
            false => Target::Values,
        };
        let found = squared_errors(&model, kernels, &pictures, &indices, target)?;
        let loss = found.iter().sum::<f64>() / found.len() as f64;
        let errors = Errors {
            model: model.name(),
            id: model.id().to_string(),
            data: &collection.source,
            part: arguments.part.to_string(),
            kernels: kernels.name(),
            loss,
            rmse: loss.sqrt(),
            total: found.len(),
            seconds: start.elapsed().as_secs_f64(),
        };
        return print_errors(&errors, noun, arguments.json);
    }
    let device = arguments.device.open()?;
    let mut memory = None;
    let mut on_device = match &device {
        None => None,
        Some(device) => {
            let memory = memory.insert(SessionMemory::new(&model, &kernels, DEVICE_BATCH));
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            let (session, said) = HostSession::new(memory, &model, kernels, Some(device), threads)?;
            said.iter().for_each(|text| note(text));
            // On the CPU all of its threads evaluate, each in a session of its own.
            Some(session).filter(|session| session.device_name().is_some())
        }
    };
    let start = Instant::now();
    let found = match &mut on_device {
        None => evaluate(&model, kernels, &pictures, &indices)?,
        Some(session) => evaluate_in_batches(session, &model, &pictures, &indices)?,
    };
    let seconds = start.elapsed().as_secs_f64();
    on_device.iter_mut().for_each(note_failure);
    let device_name = on_device.as_ref().and_then(HostSession::device_name);

    if found.undecided > 0 {
        note(&format!(
            "of {} {noun} the outputs are not numbers (NaN): they count as wrong",
            found.undecided
        ));
    }
    let label = |class: usize| {
        let named = model.label(class).map(str::to_owned);
        named.or_else(|| collection.classes.get(class).cloned())
    };
    if arguments.json {
        let classes = found.classes.iter().enumerate();
        let report = Report {
            model: model.name(),
            id: model.id().to_string(),
            data: &collection.source,
            part: arguments.part.to_string(),
            kernels: kernels.name(),
            device: device_name,
            accuracy: found.accuracy(),
            loss: found.loss(),
            correct: found.all().correct,
            undecided: found.undecided,
            total: found.all().total,
            seconds,
            classes: classes
                .map(|(class, count)| Class {
                    class,
                    label: label(class),
                    count: *count,
                })
                .collect(),
        };
        return document::print("eval", &report);
    }
    println!(
        "{} on {} ({} {noun}): accuracy {:.2} %, loss {:.4}; {:.0} {noun}/s with {}",
        model.name(),
        collection.source,
        found.all().total,
        100.0 * found.accuracy(),
        found.loss(),
        found.all().total as f64 / seconds,
        device_name.unwrap_or(kernels.name())
    );
    print_classes("  ", &found, label);
    Ok(())
}

fn print_errors(errors: &Errors, noun: &str, json: bool) -> Result<(), Failure> {
    if json {
        return document::print("eval", errors);
    }
    println!(
        "{} on {} ({} {noun}): {}; {:.0} {noun}/s with {}",
        errors.model,
        errors.data,
        errors.total,
        measures(errors.loss, None),
        errors.total as f64 / errors.seconds,
        errors.kernels
    );
    Ok(())
}

fn output_names<'a>(model: &Model<'a>) -> Vec<&'a str> {
    model.outputs().iter().map(|output| output.name).collect()
}

/// One line for each class that occurs.
pub(super) fn print_classes(
    indent: &str,
    found: &Evaluation,
    label: impl Fn(usize) -> Option<String>,
) {
    for (class, count) in found.classes.iter().enumerate() {
        if count.total > 0 {
            println!(
                "{indent}{:<14} {:>6.2} %  {:>5} of {}",
                label(class).unwrap_or_else(|| format!("class {class}")),
                100.0 * count.accuracy(),
                count.correct,
                count.total
            );
        }
    }
}
