//! `kinglet export`: from a training run to a model file.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::replace::ReplaceArguments;
use super::{Failure, FineTuneLast, document};
use crate::export::{ExportSettings, export};
use crate::file::write_atomic;
use crate::inspect::{Report, grouped};
use crate::model_file::ModelFile;
use crate::train::Checkpoint;

/// Write the best network of a training run as a model file
///
/// Batch normalization is folded into the convolutions, activations are fused, dropout is gone; the plan of
/// the arena is solved and written into the file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet export runs/fashion                              writes runs/fashion/model.kgl
  kinglet export runs/fashion -o fashion.kgl --fine-tune last=2")]
pub(super) struct Arguments {
    /// Folder that `kinglet train` wrote, or its checkpoint file
    run: PathBuf,
    /// The model file; model.kgl in the run's folder if absent
    #[arg(long, short, value_name = "FILE.kgl")]
    output: Option<PathBuf>,
    /// Let a device train the last K linear layers
    #[arg(long, value_name = "last=K", default_value_t)]
    fine_tune: FineTuneLast,
    #[command(flatten)]
    replace: ReplaceArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
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
    write_model(
        &path,
        &bytes,
        arguments.replace,
        arguments.json.then_some("export"),
        &[],
    )
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
