//! `kinglet compare`: training runs beside each other.

use std::path::{Path, PathBuf};

use clap::Args;

use super::device::note;
use super::report::collection;
use super::{Failure, document};
use crate::compare::{Comparison, Run, Test};
use crate::dataset::{Collection, ReadOptions};
use crate::file::{create_folder, write_atomic};
use crate::kernel_set;
use crate::report::Report;
use crate::train::Checkpoint;

/// Show training runs beside each other: results, and the settings in which they differ
///
/// For each run its best epoch with its validation, the test accuracy of its network, its size and the time that it
/// took; below that the keys of the recipes whose values differ, and of the layers those that differ. The best network
/// of each run is run over the test pictures, as `kinglet report` does; where the data set is not there any more, the
/// test accuracy is a dash.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet compare runs/fashion runs/again
  kinglet compare runs/* -o compare.html       and a page with all curves
  kinglet compare runs/* --json")]
pub(super) struct Arguments {
    /// Folders that `kinglet train` wrote, or their checkpoint files; two at least
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    runs: Vec<PathBuf>,
    /// Write a page with the curves and the tables too
    #[arg(long, short, value_name = "FILE.html")]
    output: Option<PathBuf>,
    /// Kernel set: auto, or a name from `kinglet devices`
    #[arg(long, default_value = "auto", value_name = "SET")]
    kernels: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // All are read before any is judged: a folder that is no run shows at once.
    let checkpoints: Vec<Checkpoint> = arguments
        .runs
        .iter()
        .map(|path| Checkpoint::load(path))
        .collect::<Result<_, _>>()?;
    let mut tests = Tests {
        kernels: &arguments.kernels,
        last: None,
    };
    let mut runs = Vec::new();
    for (path, checkpoint) in arguments.runs.iter().zip(&checkpoints) {
        let test = tests.of(checkpoint).unwrap_or_else(|failure| {
            let path = path.display();
            note(&format!(
                "{path}: its test accuracy is not known: {failure}"
            ));
            None
        });
        runs.push(Run::new(path, checkpoint, test)?);
    }
    name_apart(&mut runs, &arguments.runs);
    let comparison = Comparison::new(runs);
    if let Some(path) = &arguments.output {
        let page = comparison.page()?;
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            create_folder(folder)?;
        }
        write_atomic(path, page.as_bytes())?;
    }
    if arguments.json {
        return document::print("compare", &comparison);
    }
    print!("{comparison}");
    if let Some(path) = &arguments.output {
        println!("\npage: {}", path.display());
    }
    Ok(())
}

/// Runs in folders of the same name are called by their paths.
fn name_apart(runs: &mut [Run], paths: &[PathBuf]) {
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    for (run, path) in runs.iter_mut().zip(paths) {
        if names.iter().filter(|name| **name == run.name).count() > 1 {
            run.name = path.display().to_string();
        }
    }
}

/// Runs networks over their test pictures.
struct Tests<'a> {
    kernels: &'a str,
    /// The data set of the run before, which is most often that of the next.
    last: Option<(String, ReadOptions, Collection)>,
}

impl Tests<'_> {
    /// How the best network of a run does; none if its data set has no test part.
    fn of(&mut self, checkpoint: &Checkpoint) -> Result<Option<Test>, Failure> {
        let options = ReadOptions::of_recipe(&checkpoint.recipe()?);
        let source = &checkpoint.source;
        let last = match self.last.take() {
            Some(last) if last.0 == *source && last.1 == options => last,
            _ => (
                source.clone(),
                options,
                collection(checkpoint, None::<&Path>)?,
            ),
        };
        let (.., data) = self.last.insert(last);
        if data.test.is_none() {
            return Ok(None);
        }
        let kernels = kernel_set::select(self.kernels)?;
        let report = Report::of_run(checkpoint, None, data, kernels)?;
        Ok(Test::of_report(&report))
    }
}
