//! `kinglet run`: one model, one input, one output.

use std::path::{Path, PathBuf};

use clap::Args;
use kinglet::{Model, SessionMemory};
use serde::Serialize;

use super::device::{DeviceArguments, note, note_failure};
use super::{Failure, fit};
use crate::device::HostSession;
use crate::evaluate::{Input, argmax};
use crate::kernel_set;
use crate::model_file::ModelFile;
use crate::{npy, picture};

/// Run a model on a picture or an array
///
/// A picture (PNG or JPEG) must have the model's size, or be scaled to it by --resize; it is normalized as
/// the model file says, and its most likely classes are printed. An array (.npy) is taken as it is: float32, shape (batch, channels, height,
/// width), or (batch, features) for a model that takes vectors.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet run model.kgl --input boot.png
  kinglet run model.kgl --input photograph.jpg --resize
  kinglet run model.kgl --input batch.npy --output logits.npy
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
    /// Kernel set: auto, or a name from `kinglet devices`
    #[arg(long, default_value = "auto", value_name = "SET")]
    kernels: String,
    #[command(flatten)]
    device: DeviceArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One of the most likely classes.
#[derive(Debug, Serialize)]
struct Guess<'a> {
    class: usize,
    label: Option<&'a str>,
    /// The model's own output: a logit, or a probability if it ends in softmax.
    output: f32,
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
    let outputs = session.run().to_vec();
    note_failure(&mut session);
    if let Some(path) = &arguments.output {
        npy::write(path, model.output(), &outputs)?;
    }
    let guesses: Vec<Vec<Guess<'_>>> = outputs
        .chunks_exact(model.output().len())
        .map(|output| most_likely(&model, output, arguments.top))
        .collect();
    if arguments.json {
        let report = serde_json::json!({
            "model": model.name(),
            "id": model.id().to_string(),
            "kernels": kernels.name(),
            "device": session.device_name(),
            "batch": batch,
            "top": guesses,
        });
        println!("{report:#}");
        return Ok(());
    }
    for (sample, guesses) in guesses.iter().enumerate() {
        if batch > 1 {
            println!("sample {sample}:");
        }
        for guess in guesses {
            println!(
                "{:>10.4}  {}",
                guess.output,
                guess
                    .label
                    .map_or(format!("class {}", guess.class), str::to_owned)
            );
        }
    }
    Ok(())
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case(extension))
}

/// The `count` largest outputs, largest first.
fn most_likely<'a>(model: &Model<'a>, output: &[f32], count: usize) -> Vec<Guess<'a>> {
    let mut left = output.to_vec();
    (0..count.min(output.len()))
        .map(|_| {
            let class = argmax(&left);
            left[class] = f32::NEG_INFINITY;
            Guess {
                class,
                label: model.label(class),
                output: output[class],
            }
        })
        .collect()
}
