//! `kinglet import`: from an ONNX or TensorFlow Lite file, or from PyTorch's weights and a recipe, to a model file.

use std::path::{Path, PathBuf};

use clap::Args;

use super::export::write_model;
use super::replace::ReplaceArguments;
use super::target::TargetArguments;
use super::{Failure, FineTuneLast};
use crate::export::{ExportSettings, export, export_without_constant};
use crate::graph::Graph;
use crate::import::onnx::{self, Door, Imported, InputShape, Layout};
use crate::import::tflite;
use crate::import::weights::{self, Matching, Poured};
use crate::recipe::{Normalize, Recipe};

/// Write the network of an ONNX or TensorFlow Lite file, or PyTorch's weights with their recipe, as a model file
///
/// Of ONNX (operator sets 1 to 28) it takes small CNNs of any form: fixed sizes, float32 or 8-bit numbers, several inputs
/// and outputs. Pictures may be NCHW or NHWC in the file; the model is NHWC, and arrays that it is given stay as they lie
/// in the file. What cannot be computed is refused by the name of the node.
///
/// Of TensorFlow Lite it takes the operators of small CNNs, float32 or quantized to 8 bits. Whether a file is one is told
/// by its content, not by its name.
///
/// With --recipe it takes a state dict that torch.save wrote (of any version since 0.4), or a safetensors file:
/// float32, float64, float16 or bfloat16. Tensors go to the recipe's layers by their names, or by their
/// shapes where the names are the model's own. Nothing in the file is run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet import lenet5.onnx                               writes lenet5.kgl
  kinglet import lenet5.onnx -o models/digits.kgl --fine-tune last=1
  kinglet import net.onnx --input-shape 1,3,32,32 --normalize \"mean = [0.5], std = [0.25]\"
  kinglet import person.tflite                             writes person.kgl
  kinglet import weights.pt --recipe net.toml -o net.kgl   pixels normalized as the recipe says")]
pub(super) struct Arguments {
    /// The ONNX or TensorFlow Lite file, or the weights
    file: PathBuf,
    /// The recipe of the network that the weights belong to
    #[arg(long, value_name = "FILE.toml")]
    recipe: Option<PathBuf>,
    /// Dimensions of an ONNX file's input, the batch of 1 included, where the file leaves them open; of several inputs as
    /// NAME=N,N,...
    #[arg(
        long,
        value_name = "[NAME=]N,N,...",
        allow_hyphen_values = true,
        conflicts_with = "recipe"
    )]
    input_shape: Vec<InputShape>,
    /// A value of the file that is to be an output, where not all of its own are wanted; may be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "recipe")]
    output_name: Vec<String>,
    /// How pixels from 0 to 1 become the first input and others of as many channels, as a recipe says it:
    /// "mean = [0.5], std = [0.25]"
    #[arg(long, value_name = "MEAN, STD", conflicts_with = "recipe")]
    normalize: Option<String>,
    /// The model file; the imported file's name with .kgl if absent
    #[arg(long, short, value_name = "FILE.kgl")]
    output: Option<PathBuf>,
    /// Names of the classes, one on each line; the recipe's if absent
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Let a device train the last K linear layers
    #[arg(long, value_name = "last=K", default_value_t)]
    fine_tune: FineTuneLast,
    /// Leave in what makes no difference: channels that are the same for every input, or that nothing reads
    #[arg(long)]
    keep_constant: bool,
    #[command(flatten)]
    target: TargetArguments,
    #[command(flatten)]
    replace: ReplaceArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut notes;
    let (graph, normalize, mut labels) = match &arguments.recipe {
        Some(recipe) => {
            let recipe = Recipe::load(recipe)?;
            let poured = weights::read(&arguments.file, recipe.graph)?;
            notes = matched(&poured);
            (poured.network, recipe.data.normalize, recipe.classes)
        }
        None if weights::is_named_as_weights(&arguments.file) => {
            let path = arguments.file.display();
            return Err(format!(
                "{path}: weights say nothing of their network; describe it in a recipe: --recipe net.toml"
            )
            .into());
        }
        None => {
            let graph;
            (graph, notes) = network(arguments)?;
            let normalize = match &arguments.normalize {
                Some(text) => Normalize::parse(text, graph.inputs[0].shape.channels)
                    .map_err(|problem| format!("--normalize: {problem}"))?,
                None => Normalize::identity(0),
            };
            (graph, normalize, Vec::new())
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
    let bytes = match arguments.keep_constant {
        true => export(graph, &settings)?.0,
        false => {
            let (bytes, removed) = export_without_constant(graph, &settings)?;
            notes.extend(removed.map(|removed| removed.saving.to_string()));
            bytes
        }
    };
    if !arguments.json {
        for note in &notes {
            println!("{note}");
        }
    }
    let bytes = arguments.target.aim(bytes)?;
    let path = arguments.output.clone();
    let path = path.unwrap_or_else(|| arguments.file.with_extension("kgl"));
    write_model(
        &path,
        &bytes,
        arguments.replace,
        arguments.json.then_some("import"),
        &notes,
    )
}

/// One name on each line; an empty line would be a class without a name.
fn read_labels(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let labels = text.trim_end().lines().map(|line| line.trim().to_owned());
    Ok(labels.collect())
}

/// The network of an ONNX or TensorFlow Lite file, and what there is to say of how it was taken.
fn network(arguments: &Arguments) -> Result<(Graph, Vec<String>), Failure> {
    let options = onnx::Options {
        input_shapes: arguments.input_shape.clone(),
        outputs: arguments.output_name.clone(),
    };
    if tflite::is_tflite(&arguments.file) {
        return match options.input_shapes.is_empty() {
            true => {
                let imported = tflite::read(&arguments.file, &options.outputs)?;
                Ok((imported.graph, imported.notes))
            }
            false => Err("--input-shape is for ONNX files".into()),
        };
    }
    let imported = onnx::read(&arguments.file, &options)?;
    let notes = doors(&imported);
    Ok((imported.graph, notes))
}

/// How the file's inputs and outputs lie in the model, and what else there is to say.
fn doors(imported: &Imported) -> Vec<String> {
    let line = |what: &str, door: &Door| {
        let order = match door.layout {
            Layout::ChannelsFirst => "channels last",
            Layout::AsInFile | Layout::Gray => "in the same order",
        };
        let numbers = match door.numbers {
            Some(numbers) => format!(
                ", real numbers for {} x (n - {})",
                numbers.scale, numbers.zero_point
            ),
            None => String::new(),
        };
        format!(
            "{what} {} {:?} is {} (height x width x channels) here, {order}{numbers}",
            door.name,
            door.dims,
            door.shape()
        )
    };
    let labels = imported.labels.iter().map(|labels| {
        format!(
            "the file's output {} is the place of the largest of the scores {} (ArgMax), which the model leaves to its reader, as `kinglet run` does",
            labels.name, labels.scores
        )
    });
    let inputs = imported.inputs.iter().map(|door| line("input", door));
    let outputs = imported.outputs.iter().map(|door| line("output", door));
    let notes = imported.notes.iter().cloned();
    inputs.chain(outputs).chain(labels).chain(notes).collect()
}

/// Which tensors went where.
fn matched(poured: &Poured) -> Vec<String> {
    let mut lines = Vec::new();
    if !poured.wrapper.is_empty() {
        lines.push(format!(
            "every name starts with {}, which was left out",
            poured.wrapper
        ));
    }
    match &poured.matching {
        Matching::ByName => lines.push("each layer has the tensors of its name".to_owned()),
        Matching::ByShape(pairs) => {
            lines.push(
                "the names are not the recipe's; by their shapes the layers have these tensors:"
                    .to_owned(),
            );
            for (layer, module) in pairs {
                let text = &poured.network.nodes[*layer].name;
                lines.push(format!("{layer:>4}  {text}  <- {module}.*"));
            }
        }
    }
    lines
}
