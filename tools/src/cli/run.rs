//! `kinglet run`: one model, one input, one output.

use std::path::{Path, PathBuf};

use clap::Args;
use kinglet::SessionMemory;
use serde::Serialize;

use super::device::{DeviceArguments, note, note_failure};
use super::outputs::Outputs;
use super::{Failure, document, fit};
use crate::device::HostSession;
use crate::evaluate::Input;
use crate::kernel_set;
use crate::model_file::ModelFile;
use crate::{npy, picture};

/// Run a model on a picture or an array
///
/// A picture (PNG or JPEG) must have the model's size, or be scaled to it by --resize; it is normalized as
/// the model file says. An array (.npy) is taken as it is: float32, shape (batch, channels, height, width), or (batch,
/// features) for a model that takes vectors.
///
/// Of a classifier the most likely classes are printed: logits with the probabilities that softmax makes of them, or the
/// probabilities in which the model ends. Of any other model the outputs are summed up. Of a batch ten samples are
/// printed, and how many are of each class.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet run model.kgl --input boot.png
  kinglet run model.kgl --input photograph.jpg --resize
  kinglet run model.kgl --input batch.npy --output logits.npy
  kinglet run model.kgl --input batch.npy --all
  kinglet run model.kgl --input batch.npy --output logits.npy --device gpu
  kinglet run model.kgl --input boot.png --kernels portable --json")]
pub(super) struct Arguments {
    /// The model file (.kgl)
    model: PathBuf,
    /// A picture (PNG or JPEG) or an array (.npy)
    #[arg(long, short)]
    input: PathBuf,
    /// Scale a picture of another size to the model's
    #[arg(long)]
    resize: bool,
    /// Write the output as float32: (batch, classes), or (batch, channels, height, width)
    #[arg(long, short, value_name = "FILE.npy")]
    output: Option<PathBuf>,
    /// How many of the most likely classes to print for each sample
    #[arg(long, default_value_t = 3)]
    top: usize,
    /// Print every sample of a batch
    #[arg(long)]
    all: bool,
    /// Kernel set: auto, or a name from `kinglet devices`
    #[arg(long, default_value = "auto", value_name = "SET")]
    kernels: String,
    #[command(flatten)]
    device: DeviceArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    model: &'a str,
    id: String,
    kernels: &'a str,
    device: Option<&'a str>,
    batch: usize,
    #[serde(flatten)]
    outputs: Outputs<'a>,
}

/// What is run.
enum Values {
    /// To be normalized as the model says.
    Pixels(Vec<u8>),
    /// As they are.
    Features(Vec<f32>),
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = ModelFile::read(&arguments.model)?;
    let model = file.model();
    let kernels = kernel_set::select(&arguments.kernels)?;
    let is_npy = has_extension(&arguments.input, "npy");
    if is_npy && arguments.resize {
        return Err("--resize is for pictures; an array is taken as it is".into());
    }
    let (batch, input) = if is_npy {
        let (batch, values) = npy::read(&arguments.input, model.input())?;
        (batch, Values::Features(values))
    } else {
        let pixels = picture::read(&arguments.input, model.input(), fit(arguments.resize))?;
        (1, Values::Pixels(pixels))
    };
    let device = arguments.device.open()?;
    let mut memory = SessionMemory::new(&model, &kernels, batch);
    let (mut session, said) = HostSession::new(&mut memory, &model, kernels, device.as_ref(), 1)?;
    said.iter().for_each(|text| note(text));
    match &input {
        Values::Pixels(pixels) => session.image(pixels)?,
        Values::Features(values) => session.input(values)?,
    }
    let outputs = session.run().to_f32().into_owned();
    note_failure(&mut session);
    if let Some(path) = &arguments.output {
        npy::write(path, model.output(), &outputs)?;
    }
    let outputs = Outputs::new(&model, &outputs, arguments.top);
    if arguments.json {
        let report = Report {
            model: model.name(),
            id: model.id().to_string(),
            kernels: kernels.name(),
            device: session.device_name(),
            batch,
            outputs,
        };
        return document::print("run", &report);
    }
    print!("{}", outputs.text(arguments.all));
    Ok(())
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case(extension))
}
