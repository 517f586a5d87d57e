//! `kinglet run`: one model, its inputs, its outputs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use kinglet::{Model, SessionMemory};
use serde::Serialize;

use super::device::{DeviceArguments, note, note_failure};
use super::inputs::Inputs;
use super::model::ModelArguments;
use super::outputs::{Kept, Outputs};
use super::{Failure, document, fit};
use crate::array_layout::{ArrayLayout, Layout};
use crate::device::HostSession;
use crate::kernel_set;
use crate::npy;

/// Run a model on a picture or an array
///
/// A picture (PNG or JPEG) must have the model's size, or be scaled to it by --resize; it is normalized as
/// the model file says. An array (.npy) lies as the file has it that the model was made from, with the batch in the first
/// place: NCHW for a recipe's model; `kinglet inspect` shows the shapes, and --layout says otherwise. Arrays of uint8 are
/// pixels and normalized as pictures are; those of float32 are what the network sees.
///
/// A model of several inputs takes --input NAME=FILE for each. All outputs are written by --output FILE.npz, each under
/// its name.
///
/// Of a classifier the most likely classes are printed: logits with the probabilities that softmax makes of them, or the
/// probabilities in which the model ends. Of any other model the outputs are summed up. Of a batch ten samples are
/// printed, and how many are of each class.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet run model.kgl --input boot.png
  kinglet run model.kgl --input photograph.jpg --resize
  kinglet run model.kgl --input batch.npy --output logits.npy
  kinglet run model.kgl --input batch.npy --layout nhwc --all
  kinglet run detector.kgl --input street.png --resize --output found.npz
  kinglet run stereo.kgl --input left=l.npy --input right=r.npy --output depth.npy
  kinglet run model.kgl --input batch.npy --output logits.npy --device gpu
  kinglet run model.kgl --input boot.png --kernels portable --json")]
pub(super) struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// A picture (PNG or JPEG) or an array (.npy); of several inputs one for each, as NAME=FILE
    #[arg(long, short, required = true, value_name = "[NAME=]FILE")]
    input: Vec<OsString>,
    /// Scale a picture of another size to the model's
    #[arg(long)]
    resize: bool,
    /// The order of axes of arrays that are read and written, if not that of the file that the model was made from
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// Write the output as float32 (.npy), or all outputs under their names (.npz)
    #[arg(long, short, value_name = "FILE.npy|FILE.npz")]
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
    /// The first output.
    #[serde(flatten)]
    outputs: Outputs<'a>,
    /// The others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Outputs<'a>>,
}

/// An output of the model: what was computed of the samples so far.
struct Computed<'a> {
    name: &'a str,
    layout: ArrayLayout,
    /// For people and JSON.
    outputs: Outputs<'a>,
    /// As arrays have them, if they are to be written.
    values: Option<Vec<f32>>,
}

/// Bytes of feature maps that samples which are run at once may take, and how many those are at most: a large array need
/// not fit into memory, nor its feature maps.
const PART_BYTES: usize = 64 << 20;
const PART: usize = 4096;

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = arguments.model.open()?;
    let model = file.model();
    let kernels = kernel_set::select(&arguments.kernels)?;
    if let Some(path) = &arguments.output {
        check_output(path, &model)?;
    }
    let fit = fit(arguments.resize);
    let mut inputs = Inputs::open("--input", &arguments.input, &model, fit, arguments.layout)?;
    let device = arguments.device.open()?;
    let part = PART_BYTES / model.sizes().activations().max(1);
    let part = inputs.batch.min(part.clamp(1, PART));
    let mut memory = SessionMemory::new(&model, &kernels, part);
    let (mut session, said) = HostSession::new(&mut memory, &model, kernels, device.as_ref(), 1)?;
    said.iter().for_each(|text| note(text));
    let mut computed = outputs(&model, arguments);
    for start in (0..inputs.batch).step_by(part) {
        let samples = start..(start + part).min(inputs.batch);
        for (index, mut values) in inputs.part(samples.clone())?.into_iter().enumerate() {
            // What is left of the last part is zeros.
            values.resize(values.len() / samples.len() * part, 0.0);
            session.set_input(index, &values)?;
        }
        session.run();
        note_failure(&mut session);
        for (index, output) in computed.iter_mut().enumerate() {
            output.add(&session, index, samples.len());
        }
    }
    if let Some(path) = &arguments.output {
        write(path, &computed)?;
    }
    let mut outputs: Vec<Outputs<'_>> = computed.into_iter().map(|output| output.outputs).collect();
    if arguments.json {
        let report = Report {
            model: model.name(),
            id: model.id().to_string(),
            kernels: kernels.name(),
            device: session.device_name(),
            batch: inputs.batch,
            outputs: outputs.remove(0),
            others: outputs,
        };
        return document::print("run", &report);
    }
    for output in &outputs {
        print!("{}", output.text());
    }
    Ok(())
}

/// The outputs of `model`, of no samples yet.
fn outputs<'a>(model: &Model<'a>, arguments: &Arguments) -> Vec<Computed<'a>> {
    let kept = match arguments.all || arguments.json {
        true => Kept::All,
        false => Kept::Shown,
    };
    let ends = model.outputs().iter().zip(model.output_tensors());
    let outputs = ends.enumerate().map(|(index, (output, tensor))| {
        let layout = ArrayLayout::new(tensor.shape, output.source.as_ref()).with(arguments.layout);
        Computed {
            name: output.name,
            outputs: Outputs::new(model, index, &layout, arguments.top, kept),
            values: arguments.output.is_some().then(Vec::new),
            layout,
        }
    });
    outputs.collect()
}

impl Computed<'_> {
    /// Takes what the last run has left in output number `index`, of the first `samples` of its batch.
    fn add(&mut self, session: &HostSession<'_>, index: usize, samples: usize) {
        let Some(values) = session.output(index) else {
            return;
        };
        let len = samples * self.layout.shape().len();
        let array = self.layout.to_array(values.to_f32()[..len].to_vec());
        self.outputs.add(&array);
        if let Some(values) = &mut self.values {
            values.extend(array);
        }
    }

    /// The whole batch, if it is to be written.
    fn array(&self) -> &[f32] {
        self.values.as_deref().unwrap_or_default()
    }
}

fn is_npz(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("npz"))
}

/// Refuses one array for several outputs, before anything is computed.
fn check_output(path: &Path, model: &Model<'_>) -> Result<(), Failure> {
    let outputs = model.outputs();
    if outputs.len() == 1 || is_npz(path) {
        return Ok(());
    }
    let names: Vec<&str> = outputs.iter().map(|output| output.name).collect();
    Err(format!(
        "--output {}: the model has {} outputs ({}); {} takes them all, each under its name",
        path.display(),
        names.len(),
        names.join(", "),
        path.with_extension("npz").display()
    )
    .into())
}

fn write(path: &Path, computed: &[Computed<'_>]) -> Result<(), Failure> {
    match computed {
        [only] if !is_npz(path) => npy::write(path, &only.layout, only.array())?,
        all => {
            let arrays = all
                .iter()
                .map(|output| (output.name, &output.layout, output.array()));
            npy::write_all(path, arrays)?;
        }
    }
    Ok(())
}
