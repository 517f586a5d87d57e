//! `kinglet verify`: an imported model beside its ONNX file.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use comfy_table::CellAlignment;
use serde::Serialize;

use super::inputs::Inputs;
use super::numbers::at_least_zero;
use super::{Failure, document};
use crate::array_layout::Layout;
use crate::import::onnx::{InputShape, Options};
use crate::import::tflite;
use crate::kernel_set;
use crate::model_file::ModelFile;
use crate::picture::Fit;
use crate::table;
use crate::verify::{Comparison, F32_TOLERANCE, INT8_TOLERANCE, Sources, compare, random_inputs};

/// Compare an imported model with its ONNX file, layer by layer
///
/// tract computes the ONNX file and kinglet's runtime the model, on the same inputs. The first layer where they part by
/// more than --tolerance times its largest output is named, and the exit code is not 0. Where outputs are 8-bit
/// numbers, one step is always allowed: steps of earlier layers add up.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet verify net.onnx net.kgl
  kinglet verify net.onnx net.kgl --data batch.npy --tolerance 1e-5
  kinglet verify net.onnx net.kgl --input-shape 1,3,64,64    as it was imported")]
pub(super) struct Arguments {
    /// The ONNX file
    onnx: PathBuf,
    /// The model file that it was imported to
    model: PathBuf,
    /// Inputs as `kinglet run` takes them, as they lie in the ONNX file; of several inputs one for each, as NAME=FILE;
    /// random numbers if absent
    #[arg(long, value_name = "[NAME=]FILE.npy")]
    data: Vec<OsString>,
    /// The order of axes of the arrays, if not that of the ONNX file
    #[arg(long, value_enum, requires = "data")]
    layout: Option<Layout>,
    /// How many random inputs
    #[arg(long, default_value_t = 4, conflicts_with = "data", value_parser = clap::value_parser!(u16).range(1..))]
    samples: u16,
    /// The largest difference that is allowed, as a part of a layer's largest output; if absent 1e-4, and 0.05 where
    /// outputs are 8-bit numbers
    #[arg(long, value_parser = at_least_zero)]
    tolerance: Option<f32>,
    /// Dimensions of the inputs, where the import was given them
    #[arg(long, value_name = "[NAME=]N,N,...", allow_hyphen_values = true)]
    input_shape: Vec<InputShape>,
    /// The outputs, where the import was given them
    #[arg(long, value_name = "NAME")]
    output_name: Vec<String>,
    /// Kernel set: auto, or a name from `kinglet devices`
    #[arg(long, default_value = "auto", value_name = "SET")]
    kernels: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    comparison: Comparison,
    /// The first layer where both part, from 0.
    parted: Option<usize>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if tflite::is_tflite(&arguments.onnx) {
        let path = arguments.onnx.display();
        return Err(
            format!("{path}: a TensorFlow Lite file; verify compares with ONNX files").into(),
        );
    }
    let file = ModelFile::read(&arguments.model)?;
    let model = file.model();
    let kernels = kernel_set::select(&arguments.kernels)?;
    let inputs = match arguments.data.is_empty() {
        true => random_inputs(&model, usize::from(arguments.samples)),
        false => {
            let (data, layout) = (&arguments.data, arguments.layout);
            let mut inputs = Inputs::open("--data", data, &model, Fit::Exact, layout)?;
            inputs.part(0..inputs.batch)?
        }
    };
    let options = Options {
        input_shapes: arguments.input_shape.clone(),
        outputs: arguments.output_name.clone(),
    };
    let sources = Sources {
        onnx: &arguments.onnx,
        options: &options,
        model,
    };
    let comparison = compare(&sources, &kernels, &inputs)?;
    let parted = comparison
        .layers
        .iter()
        .position(|layer| layer.parts(arguments.tolerance));
    if arguments.json {
        document::print("verify", &Report { comparison, parted })?;
    } else {
        print!("{}", table(&comparison, arguments.tolerance));
        println!("{}", verdict(&comparison, parted, arguments.tolerance));
    }
    Ok(match parted {
        Some(_) => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    })
}

fn table(comparison: &Comparison, tolerance: Option<f32>) -> String {
    let mut table = table::new(["", "layer", "output", "largest", "difference", ""]);
    for (index, layer) in comparison.layers.iter().enumerate() {
        let difference = match (layer.difference, layer.step) {
            (None, _) => "not in the file".to_owned(),
            (Some(difference), Some(step)) => match (difference / step).round() {
                1.0 => "1 step".to_owned(),
                steps => format!("{steps} steps"),
            },
            (Some(difference), None) => format!("{difference:.1e}"),
        };
        table.add_row([
            (index + 1).to_string(),
            layer.operator.clone(),
            layer.output.to_string(),
            match layer.difference {
                Some(_) => format!("{:.3}", layer.largest),
                None => String::new(),
            },
            difference,
            if layer.parts(tolerance) { "parts" } else { "" }.to_owned(),
        ]);
    }
    for column in [0, 3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}\n")
}

fn verdict(comparison: &Comparison, parted: Option<usize>, tolerance: Option<f32>) -> String {
    let layers = &comparison.layers;
    let compared = layers
        .iter()
        .filter(|layer| layer.difference.is_some())
        .count();
    let samples = comparison.samples;
    match parted {
        None => {
            let int8 = match (layers.iter().any(|layer| layer.step.is_some()), tolerance) {
                (true, None) => format!(" (8-bit numbers within a step, or {INT8_TOLERANCE:e})"),
                (true, Some(_)) => " (8-bit numbers within that or a step)".to_owned(),
                (false, _) => String::new(),
            };
            let tolerance = tolerance.unwrap_or(F32_TOLERANCE);
            format!(
                "tract and the runtime agree within {tolerance:e} of each layer's largest output{int8}: {compared} of {} layers compared, {samples} samples",
                layers.len()
            )
        }
        Some(index) => format!(
            "tract and the runtime part at layer {}, {} ({}): a difference of {:e} where the largest output is {}",
            index + 1,
            layers[index].operator,
            layers[index].name,
            layers[index].difference.unwrap_or_default(),
            layers[index].largest
        ),
    }
}
