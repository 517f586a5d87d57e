//! `kinglet import`: from an ONNX file to a model file.

use std::path::PathBuf;

use clap::Args;

use super::export::write_model;
use super::{Failure, FineTuneLast};
use crate::export::{ExportSettings, export};
use crate::import::onnx;
use crate::recipe::Normalize;

/// Write the network of an ONNX file as a model file
///
/// Takes plain CNNs: one input of [1, channels, height, width] or [1, features], one output, float32, and
/// nodes that read one value each. Anything else is refused by the name of the node.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet import lenet5.onnx                               writes lenet5.kgl
  kinglet import lenet5.onnx -o models/digits.kgl --fine-tune last=1")]
pub(super) struct Arguments {
    /// The ONNX file
    file: PathBuf,
    /// The model file; the ONNX file's name with .kgl if absent
    #[arg(long, short, value_name = "FILE.kgl")]
    output: Option<PathBuf>,
    /// Let a device train the last K linear layers
    #[arg(long, value_name = "last=K", default_value_t)]
    fine_tune: FineTuneLast,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let graph = onnx::read(&arguments.file)?;
    let settings = ExportSettings {
        normalize: Normalize::identity(0),
        labels: Vec::new(),
        fine_tune_last: arguments.fine_tune.0,
    };
    let (bytes, _) = export(graph, &settings)?;
    let path = arguments.output.clone();
    let path = path.unwrap_or_else(|| arguments.file.with_extension("kgl"));
    write_model(&path, &bytes, arguments.json)
}
