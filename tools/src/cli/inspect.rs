//! `kinglet inspect`: a recipe or a model file as a table.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, FineTuneLast, document};
use crate::export::{ExportSettings, export};
use crate::graph::Graph;
use crate::inspect::Report;
use crate::model_file::ModelFile;
use crate::network::Network;
use crate::recipe::Recipe;

/// Show the layers, parameters, MACs and memory of a recipe or a model
///
/// For a recipe the memory is that of the model it would export to; nothing is trained.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet inspect tools/recipes/lesson.toml
  kinglet inspect tools/recipes/fashion.toml --fine-tune last=2
  kinglet inspect model.kgl --json")]
pub(super) struct Arguments {
    /// A recipe (.toml) or a model file (.kgl)
    file: PathBuf,
    /// For a recipe: count the memory to train the last K linear layers on a device
    #[arg(long, value_name = "last=K", default_value_t)]
    fine_tune: FineTuneLast,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let is_recipe = arguments
        .file
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("toml"));
    let report = if is_recipe {
        let recipe = Recipe::load(&arguments.file)?;
        let settings = ExportSettings {
            normalize: recipe.data.normalize.clone(),
            labels: Vec::new(),
            fine_tune_last: arguments.fine_tune.0,
        };
        let network = Network::zeroed(recipe.architecture.clone());
        let graph = Graph::from_network(&recipe.name, &network);
        let (bytes, _) = export(graph, &settings)?;
        let file = ModelFile::from_bytes(&bytes)?;
        let mut report = Report::of_recipe(
            &recipe.name,
            &recipe.architecture,
            &file.model(),
            bytes.len(),
        );
        report.labels = recipe.classes;
        report
    } else {
        let file = ModelFile::read(&arguments.file)?;
        Report::of_model(&file.model(), file.bytes().len())
    };
    if arguments.json {
        document::print("inspect", &report)?;
    } else {
        print!("{report}");
    }
    Ok(())
}
