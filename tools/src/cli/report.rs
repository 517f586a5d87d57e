//! `kinglet report`: how a training run went, as a page and pictures.

use std::path::{Path, PathBuf};

use clap::Args;

use super::progress::measures;
use super::{DATA_HELP, Failure, data, document};
use crate::dataset::{Collection, ReadOptions};
use crate::kernel_set;
use crate::report::{Files, Report};
use crate::train::{Checkpoint, Origin};

/// Show how a training run went and what its network gets wrong
///
/// Runs the best network over the test pictures (over the validation pictures where the data set has none) and
/// writes report.html, which needs nothing beside itself. For papers and slides there are curves.svg and confusion.svg
/// beside it, and weights.png if the network begins with a convolution. `kinglet train` does the same at the end of a
/// run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet report runs/fashion
  kinglet report runs/lesson --data ./cifar-10 --out lesson-report
  kinglet report runs/fashion --json")]
pub(super) struct Arguments {
    /// Folder that `kinglet train` wrote, or its checkpoint file
    run: PathBuf,
    /// The run's data set, if it is not where it was; the run knows its place
    #[arg(long, value_name = "DIR|FILE", long_help = DATA_HELP)]
    data: Option<PathBuf>,
    /// Folder for the report; made if it is not there. The run's folder if absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Kernel set: auto, or a name from `kinglet devices`
    #[arg(long, default_value = "auto", value_name = "SET")]
    kernels: String,
    /// Print what the report says as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let checkpoint = Checkpoint::load(&arguments.run)?;
    let collection = collection(&checkpoint, arguments.data.as_deref())?;
    let kernels = kernel_set::select(&arguments.kernels)?;
    let origin = Origin::of_run(&arguments.run);
    let report = Report::of_run(&checkpoint, origin, &collection, kernels)?;
    let folder = match (&arguments.out, arguments.run.is_dir()) {
        (Some(out), _) => out.as_path(),
        (None, true) => &arguments.run,
        (None, false) => arguments.run.parent().unwrap_or("".as_ref()),
    };
    let files = report.write(folder)?;
    if arguments.json {
        return document::print("report", &report);
    }
    let epochs = format!(
        "best epoch {} of {}",
        report.best_epoch,
        report.history.len()
    );
    let (part, noun) = (report.part, collection.train.noun());
    if let Some(errors) = &report.errors {
        let measures = measures(errors.loss, None);
        println!("{epochs}: {measures} ({} {part} {noun})", errors.samples);
    }
    if let Some(findings) = &report.findings {
        println!(
            "{epochs}: accuracy {:.2} % ({} of {} {part} {noun}), loss {:.4}",
            100.0 * findings.accuracy,
            findings.correct,
            findings.pictures,
            findings.loss
        );
        for pair in findings.confused.iter().take(3) {
            println!(
                "  {} taken for {}: {} ({:.1} % of the class)",
                pair.label,
                pair.predicted,
                pair.count,
                100.0 * pair.share
            );
        }
    }
    print_files(&files);
    Ok(())
}

/// Where the report is.
pub(super) fn print_files(files: &Files) {
    println!("report: {}", files.page.display());
    for picture in &files.pictures {
        println!("        {}", picture.display());
    }
}

/// The data set of a run: where the command line says, built in, or where it was when the run began.
pub(super) fn collection(
    checkpoint: &Checkpoint,
    folder: Option<&Path>,
) -> Result<Collection, Failure> {
    let options = ReadOptions::of_recipe(&checkpoint.recipe()?);
    if folder.is_some() {
        return Ok(data(folder, &options)?);
    }
    let built_in = data(None, &options)?;
    if checkpoint.source == built_in.source {
        return Ok(built_in);
    }
    let place = Path::new(&checkpoint.source);
    if !place.exists() {
        return Err(format!(
            "the run's data set {} is not here; say with --data where it is now",
            checkpoint.source
        )
        .into());
    }
    Ok(data(Some(place), &options)?)
}
