//! `kinglet import`: from an ONNX file, or from PyTorch's weights and a recipe, to a model file.

use std::path::{Path, PathBuf};

use clap::Args;

use super::export::write_model;
use super::{Failure, FineTuneLast};
use crate::export::{ExportSettings, export};
use crate::graph::Graph;
use crate::import::onnx;
use crate::import::weights::{self, Matching, Poured};
use crate::recipe::{Normalize, Recipe};

/// Write the network of an ONNX file, or PyTorch's weights with their recipe, as a model file
///
/// Of ONNX it takes plain CNNs: one input of [1, channels, height, width] or [1, features], one output, float32,
/// and nodes that read one value each. Anything else is refused by the name of the node.
///
/// With --recipe it takes a state dict that torch.save wrote (of any version since 0.4), or a safetensors file:
/// float32, float64, float16 or bfloat16. Tensors go to the recipe's layers by their names, or by their
/// shapes where the names are the model's own. Nothing in the file is run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet import lenet5.onnx                               writes lenet5.kgl
  kinglet import lenet5.onnx -o models/digits.kgl --fine-tune last=1
  kinglet import weights.pt --recipe net.toml -o net.kgl   pixels normalized as the recipe says")]
pub(super) struct Arguments {
    /// The ONNX file, or the weights
    file: PathBuf,
    /// The recipe of the network that the weights belong to
    #[arg(long, value_name = "FILE.toml")]
    recipe: Option<PathBuf>,
    /// The model file; the imported file's name with .kgl if absent
    #[arg(long, short, value_name = "FILE.kgl")]
    output: Option<PathBuf>,
    /// Names of the classes, one on each line; the recipe's if absent
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Let a device train the last K linear layers
    #[arg(long, value_name = "last=K", default_value_t)]
    fine_tune: FineTuneLast,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (graph, normalize, mut labels) = match &arguments.recipe {
        Some(recipe) => {
            let recipe = Recipe::load(recipe)?;
            let poured = weights::read(&arguments.file, recipe.architecture)?;
            if !arguments.json {
                print!("{}", matched(&poured));
            }
            let graph = Graph::from_network(&recipe.name, &poured.network);
            (graph, recipe.data.normalize, recipe.classes)
        }
        None if weights::is_named_as_weights(&arguments.file) => {
            let path = arguments.file.display();
            return Err(format!(
                "{path}: weights say nothing of their network; describe it in a recipe: --recipe net.toml"
            )
            .into());
        }
        None => {
            let graph = onnx::read(&arguments.file, &onnx::Options::default())?.graph;
            (graph, Normalize::identity(0), Vec::new())
        }
    };
    if let Some(path) = &arguments.labels {
        labels = read_labels(path)?;
    }
    let settings = ExportSettings {
        normalize,
        labels,
        fine_tune_last: arguments.fine_tune.0,
    };
    let (bytes, _) = export(graph, &settings)?;
    let path = arguments.output.clone();
    let path = path.unwrap_or_else(|| arguments.file.with_extension("kgl"));
    write_model(&path, &bytes, arguments.json)
}

/// One name on each line; an empty line would be a class without a name.
fn read_labels(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let labels = text.trim_end().lines().map(|line| line.trim().to_owned());
    Ok(labels.collect())
}

/// Which tensors went where.
fn matched(poured: &Poured) -> String {
    let mut text = String::new();
    if !poured.wrapper.is_empty() {
        text += &format!(
            "every name starts with {}, which was left out\n",
            poured.wrapper
        );
    }
    match &poured.matching {
        Matching::ByName => text += "each layer has the tensors of its name\n",
        Matching::ByShape(pairs) => {
            text +=
                "the names are not the recipe's; by their shapes the layers have these tensors:\n";
            let layers = &poured.network.architecture().layers;
            for (layer, module) in pairs {
                text += &format!("{layer:>4}  {}  <- {module}.*\n", layers[*layer].text);
            }
        }
    }
    text
}
