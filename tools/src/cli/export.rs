//! `kinglet export`: from a training run to a model file.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::replace::ReplaceArguments;
use super::target::TargetArguments;
use super::{Failure, FineTuneLast, document};
use crate::digits::grouped;
use crate::export::{ExportSettings, export};
use crate::file::write_atomic;
use crate::inspect::Report;
use crate::model_file::{ModelFile, is_named_as_model};
use crate::train::Checkpoint;

/// Write the best network of a training run as a model file, or a model file again
///
/// Batch normalization is folded into the convolutions, activations are fused, dropout is gone; the plan of
/// the arena is solved and written into the file. A model file is written again for another machine.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet export runs/fashion                              writes runs/fashion/model.kgl
  kinglet export runs/fashion -o fashion.kgl --fine-tune last=2
  kinglet export fashion.int8.kgl --target cortex-m -o fashion.m4.kgl")]
pub(super) struct Arguments {
    /// Folder that `kinglet train` wrote, its checkpoint file, or a model file (.kgl)
    run: PathBuf,
    /// The model file; model.kgl in the run's folder if absent
    #[arg(long, short, value_name = "FILE.kgl")]
    output: Option<PathBuf>,
    /// Let a device train the last K linear layers
    #[arg(long, value_name = "last=K", default_value_t)]
    fine_tune: FineTuneLast,
    #[command(flatten)]
    target: TargetArguments,
    #[command(flatten)]
    replace: ReplaceArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (bytes, path) = match is_named_as_model(&arguments.run) {
        true => again(arguments)?,
        false => best_network(arguments)?,
    };
    write_model(
        &path,
        &arguments.target.aim(bytes)?,
        arguments.replace,
        arguments.json.then_some("export"),
        &[],
    )
}

/// The best network of a run, and where it goes.
fn best_network(arguments: &Arguments) -> Result<(Vec<u8>, PathBuf), Failure> {
    let checkpoint = Checkpoint::load(&arguments.run)?;
    let recipe = checkpoint.recipe()?;
    let graph = checkpoint.best_network()?;
    let settings = ExportSettings {
        normalize: recipe.data.normalize,
        labels: checkpoint.classes,
        fine_tune_last: arguments.fine_tune.0,
    };
    let (bytes, _) = export(graph, &settings)?;
    let path = arguments.output.clone().unwrap_or_else(|| {
        let folder = match arguments.run.is_dir() {
            true => Some(arguments.run.as_path()),
            false => arguments.run.parent(),
        };
        folder.unwrap_or("".as_ref()).join("model.kgl")
    });
    Ok((bytes, path))
}

/// A model file, and where it goes.
fn again(arguments: &Arguments) -> Result<(Vec<u8>, PathBuf), Failure> {
    let name = arguments.run.display();
    if arguments.fine_tune != FineTuneLast::default() {
        let text = "which layers a device trains is settled when a run is exported";
        return Err(format!(
            "--fine-tune {}: {name} is a model: {text}",
            arguments.fine_tune
        )
        .into());
    }
    let path = arguments.output.clone();
    let path =
        path.ok_or_else(|| format!("{name} is a model already: name another file, -o FILE.kgl"))?;
    Ok((ModelFile::read(&arguments.run)?.bytes().to_vec(), path))
}

/// A model file that was written, and what it is.
#[derive(Debug, Serialize)]
struct Written<'a> {
    path: &'a Path,
    /// What the user should know of how it was made.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
    #[serde(flatten)]
    report: Report,
}

/// Writes an exported model and says what it is: as the document of a command, if one is named, which then has `notes` as
/// well.
pub(super) fn write_model(
    path: &Path,
    bytes: &[u8],
    replace: ReplaceArguments,
    json: Option<&'static str>,
    notes: &[String],
) -> Result<(), Failure> {
    replace.check_same(path, bytes)?;
    write_atomic(path, bytes)?;
    let file = ModelFile::from_bytes(bytes)?;
    let report = Report::of_model(&file.model(), bytes.len());
    if let Some(command) = json {
        document::print(
            command,
            &Written {
                path,
                notes,
                report,
            },
        )?;
    } else {
        println!(
            "wrote {} ({} bytes), id {}",
            path.display(),
            grouped(bytes.len() as u64),
            report.id.as_deref().unwrap_or_default()
        );
        println!(
            "a session takes {} bytes of activations (lower bound {}); see `kinglet inspect {}`",
            grouped(report.memory.activations as u64),
            grouped(report.memory.activations_lower_bound as u64),
            path.display()
        );
    }
    Ok(())
}
