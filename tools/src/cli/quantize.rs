//! `kinglet quantize`: from a trained network to one on 8-bit numbers.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use comfy_table::Table;
use kinglet::Model;
use serde::Serialize;

use super::export::write_model;
use super::inputs::note_samples;
use super::numbers::at_least_one;
use super::replace::ReplaceArguments;
use super::target::TargetArguments;
use super::{DATA_HELP, Failure, FineTuneLast, data, document, fit, forgotten_data};
use crate::array_layout::Layout;
use crate::dataset::ReadOptions;
use crate::digits::grouped;
use crate::evaluate::check_fit;
use crate::export::{ExportSettings, export};
use crate::file::{check_writable, write_atomic};
use crate::inspect;
use crate::kernel_set;
use crate::model_file::{ModelFile, is_named_as_model};
use crate::quantize::{Method, Report, Settings, Side, Trial, quantize};
use crate::table;
use crate::train::Checkpoint;

/// Write a trained network on 8-bit numbers (int8): a quarter of the bytes, and faster
///
/// Samples show which numbers each tensor has; nothing is trained. Activations get a scale and a zero point for each
/// tensor, weights a scale for each output channel. How ranges follow from what occurs is tried out, and so are
/// corrected biases and channels brought into balance: what is best on samples that were held out is written.
///
/// Layers that have no counterpart on 8-bit numbers stay on real ones, which the table says. The same samples give the
/// same file on every machine.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet quantize runs/fashion -o fashion.int8.kgl        the best network of a run, by its built-in data
  kinglet quantize cifar.kgl --calibrate ./cifar-10        writes cifar.int8.kgl
  kinglet quantize cifar.kgl --calibrate ./cifar-10 --per-layer --keep-float 1 --force
  kinglet quantize net.kgl --calibrate ./data --fine-tune last=1   a device may go on training the last layer")]
pub(super) struct Arguments {
    /// Folder that `kinglet train` wrote, its checkpoint file, or a model file (.kgl) of real numbers
    model: PathBuf,
    /// The data set to calibrate with, by its training part; the built-in one if absent
    #[arg(long, value_name = "DIR|FILE", long_help = DATA_HELP)]
    calibrate: Option<PathBuf>,
    /// The model file; the given one's name with .int8.kgl if absent
    #[arg(long, short, value_name = "FILE.kgl")]
    output: Option<PathBuf>,
    /// Samples to calibrate with, spread over the classes
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value = "256")]
    samples: NonZeroUsize,
    /// How ranges follow from what occurs: min-max, 99.99, 99.9 (percent), mse, kl; the best if absent
    #[arg(long, value_name = "METHOD")]
    method: Option<Method>,
    /// A layer that stays on real numbers, by its number or its text in the table; may be repeated
    #[arg(long, value_name = "LAYER")]
    keep_float: Vec<String>,
    /// Let a device train the last K linear layers, which stay on real numbers
    #[arg(long, value_name = "last=K", default_value_t)]
    fine_tune: FineTuneLast,
    /// Leave in what makes no difference: channels that are the same for every input, or that nothing reads
    #[arg(long)]
    keep_constant: bool,
    /// Measure what each layer costs if it alone is quantized
    #[arg(long)]
    per_layer: bool,
    /// Scale pictures of another size to the model's
    #[arg(long)]
    resize: bool,
    /// The order of axes of NumPy arrays, if not that of the file that the model was made from
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// Kernel set to measure with: auto, or a name from `kinglet devices`
    #[arg(long, default_value = "auto", value_name = "SET")]
    kernels: String,
    #[command(flatten)]
    target: TargetArguments,
    #[command(flatten)]
    replace: ReplaceArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Written<'a> {
    path: &'a Path,
    data: &'a str,
    seconds: f64,
    id: String,
    #[serde(flatten)]
    report: &'a Report,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let start = Instant::now();
    let path = output(arguments);
    arguments.replace.check_free([&path])?;
    check_writable(&path)?;
    let kernels = kernel_set::select(&arguments.kernels)?;
    let file = open(&arguments.model)?;
    let model = file.model();
    let texts = texts(&model, file.bytes().len());
    let settings = Settings {
        samples: arguments.samples.get(),
        method: arguments.method,
        keep_float: kept(&arguments.keep_float, &texts)?,
        fine_tune_last: arguments.fine_tune.0,
        keep_constant: arguments.keep_constant,
        per_layer: arguments.per_layer,
    };
    let options = ReadOptions::of_model(&model, fit(arguments.resize), arguments.layout);
    let collection = data(arguments.calibrate.as_deref(), &options)?;
    check_fit(&model, &collection.train)
        .map_err(|error| forgotten_data(error, &collection, "--calibrate"))?;
    note_samples(&model, &collection.train);
    let mut quantized = quantize(&file, &collection, &settings, kernels)?;
    quantized.bytes = arguments.target.aim(quantized.bytes)?;
    for layer in &mut quantized.report.layers {
        if let Some((_, text)) = texts.iter().find(|(tensor, _)| *tensor == layer.tensor) {
            layer.layer.clone_from(text);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    if !arguments.json {
        let report = &quantized.report;
        println!(
            "{} by {} of {}, {seconds:.1} s",
            model.name(),
            samples(report),
            collection.source
        );
        print_trials(report);
        print_layers(report);
        print_sides(report);
        if let Some(saving) = &report.saving {
            println!("{saving}");
        }
        return write_model(&path, &quantized.bytes, arguments.replace, None, &[]);
    }
    write_atomic(&path, &quantized.bytes)?;
    let written = ModelFile::from_bytes(&quantized.bytes)?;
    let written = Written {
        path: &path,
        data: &collection.source,
        seconds,
        id: written.model().id().to_string(),
        report: &quantized.report,
    };
    document::print("quantize", &written)
}

/// Where the model is written.
fn output(arguments: &Arguments) -> PathBuf {
    if let Some(path) = &arguments.output {
        return path.clone();
    }
    let given = &arguments.model;
    match given.is_dir() {
        true => given.join("model.int8.kgl"),
        false => given.with_extension("int8.kgl"),
    }
}

/// The network as a model file of real numbers.
fn open(path: &Path) -> Result<ModelFile, Failure> {
    if is_named_as_model(path) {
        return Ok(ModelFile::read(path)?);
    }
    let checkpoint = Checkpoint::load(path)?;
    let settings = ExportSettings {
        normalize: checkpoint.recipe()?.data.normalize,
        labels: checkpoint.classes.clone(),
        fine_tune_last: 0,
    };
    let (bytes, _) = export(checkpoint.best_network()?, &settings)?;
    Ok(ModelFile::from_bytes(&bytes)?)
}

/// The number and the text of every layer, as `kinglet inspect` has them.
fn texts(model: &Model<'_>, bytes: usize) -> Vec<(usize, String)> {
    let inputs = model.inputs().len();
    let rows = inspect::Report::of_model(model, bytes).layers;
    let rows = rows.into_iter().enumerate();
    rows.map(|(index, row)| (inputs + index, row.layer))
        .collect()
}

/// The layers that are asked for, by number or by text.
fn kept(names: &[String], layers: &[(usize, String)]) -> Result<BTreeSet<usize>, Failure> {
    let mut kept = BTreeSet::new();
    for name in names {
        let number = name.parse().ok();
        let is_one = |(tensor, text): &&(usize, String)| Some(*tensor) == number || text == name;
        let found: Vec<usize> = layers.iter().filter(is_one).map(|(t, _)| *t).collect();
        if found.is_empty() {
            let known = layers
                .iter()
                .map(|(tensor, text)| format!("{tensor:>5}  {text}"));
            return Err(format!(
                "--keep-float {name}: there is no such layer; by number or by text there are\n{}",
                known.collect::<Vec<_>>().join("\n")
            )
            .into());
        }
        kept.extend(found);
    }
    Ok(kept)
}

fn samples(report: &Report) -> String {
    format!(
        "{} samples, decided by {} others",
        grouped(report.samples as u64),
        grouped(report.held_out as u64)
    )
}

/// A table whose columns from number `numbers_from` on are numbers.
fn table<const N: usize>(header: [&str; N], numbers_from: usize) -> Table {
    let mut table = table::new(header);
    table::align_numbers(&mut table, numbers_from);
    table
}

fn decibels(decibels: f64) -> String {
    match decibels.is_finite() {
        true => format!("{decibels:.1}"),
        false => "exact".to_owned(),
    }
}

fn percent(part: Option<f64>) -> String {
    part.map_or(String::new(), |part| format!("{:.2} %", 100.0 * part))
}

/// How a network was quantized, in words.
fn way(trial: &Trial) -> String {
    let mut words = vec![trial.method.as_str()];
    if trial.corrected {
        words.push("biases corrected");
    }
    if trial.equalized {
        words.push("channels in balance");
    }
    words.join(", ")
}

fn print_trials(report: &Report) {
    let mut table = table(["tried", "accuracy", "SNR dB", ""], 1);
    for (place, trial) in report.trials.iter().enumerate() {
        let taken = if place == report.taken { "taken" } else { "" };
        table.add_row([
            way(trial),
            percent(trial.accuracy),
            decibels(trial.decibels),
            taken.to_owned(),
        ]);
    }
    println!("\n{}\n", table.trim_fmt());
}

fn print_layers(report: &Report) {
    let costs = report.layers.iter().any(|layer| layer.alone.is_some());
    let mut table = table(["layer", "output", "range", "SNR dB", "alone"], 2);
    for layer in &report.layers {
        let range = layer.low.zip(layer.high);
        let range = range.map(|(low, high)| format!("{low:.4} to {high:.4}"));
        let alone = layer.alone.map(|cost| match cost.accuracy {
            Some(lost) => format!("{:+.2} %, {} dB", -100.0 * lost, decibels(cost.decibels)),
            None => format!("{} dB", decibels(cost.decibels)),
        });
        table.add_row([
            format!("{:>3}  {}", layer.tensor, layer.layer),
            match layer.reason {
                Some(reason) => format!("{}: {reason}", layer.element),
                None => layer.element.to_owned(),
            },
            range.unwrap_or_default(),
            layer.decibels.map(decibels).unwrap_or_default(),
            alone.unwrap_or_default(),
        ]);
    }
    if !costs && let Some(column) = table.column_mut(4) {
        column.set_constraint(comfy_table::ColumnConstraint::Hidden);
    }
    println!("{}\n", table.trim_fmt());
}

fn print_sides(report: &Report) {
    let accuracy = format!("accuracy ({})", report.part);
    let mut table = table(["", &accuracy, "file bytes", "arena bytes", "MACs"], 1);
    for (name, side) in [("f32", &report.f32), ("int8", &report.int8)] {
        let Side {
            accuracy,
            file,
            arena,
            macs,
        } = *side;
        table.add_row([
            name.to_owned(),
            percent(accuracy),
            grouped(file as u64),
            grouped(arena as u64),
            grouped(macs),
        ]);
    }
    println!("{}\n", table.trim_fmt());
}
