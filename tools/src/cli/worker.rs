//! `kinglet worker`: one peer in a round of runtimes that are measured against each other.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum, value_parser};
use kinglet::{AnySession, HeapArena, SessionMemory, Sgd};
use kinglet_kernels::{Kernels, Shape};

use super::Failure;
use crate::bench::protocol::{Work, serve};
use crate::bench::raw;
use crate::bench::training::{Last, Learn, Samples, Whole};
use crate::export::{ExportSettings, export};
use crate::file::write_atomic;
use crate::import::onnx;
use crate::kernel_set;
use crate::model_file::ModelFile;
use crate::optimize::simplify;
use crate::recipe::{Normalize, OptimizerSettings};
use crate::train::{Loss, Trainer, TrainerOptions};

/// Take part in a round of benchmarks with other runtimes, over a line protocol
///
/// The worker prepares everything, writes its result to OUT so that it can be compared, and prints READY. To
/// each line `RUN <warm> <n>` it makes <warm> calls that do not count and then <n> that do, and answers with
/// one line: `<processor ns> <wall ns> <n call times in ns>`. It ends at `QUIT` or at the end of its input.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet worker infer model.kgl input.bin output.bin
  kinglet worker infer lenet5.onnx input.bin output.bin --kernels portable
  kinglet worker train --model cnn.onnx --samples x.bin --classes y.bin full 20 2 losses.bin")]
pub(super) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Infer(Infer),
    Train(Train),
}

/// Run a model, one sample at a time, on one thread
///
/// A call is one run, from an input that is in place to an output that can be read.
#[derive(Debug, Args)]
struct Infer {
    /// The model: a model file (.kgl) or an ONNX file (.onnx)
    model: PathBuf,
    /// One sample: bare little-endian float32, NCHW
    input: PathBuf,
    /// Where the output goes, in the same form
    out: PathBuf,
    /// Kernel set: auto, or a name from `kinglet devices`
    #[arg(long, default_value = "auto", value_name = "SET")]
    kernels: String,
}

/// Train an ONNX file's network with SGD, always on the same batch
///
/// A call is one step: forward, mean cross-entropy, backward, update.
#[derive(Debug, Args)]
struct Train {
    /// The network (.onnx)
    #[arg(long, value_name = "FILE.onnx")]
    model: PathBuf,
    /// The samples: bare little-endian float32, NCHW
    #[arg(long, value_name = "FILE")]
    samples: PathBuf,
    /// The class of each sample: one byte
    #[arg(long, value_name = "FILE")]
    classes: PathBuf,
    /// What learns
    #[arg(value_enum)]
    mode: Mode,
    /// How many of the samples make the batch
    #[arg(value_parser = value_parser!(u32).range(1..))]
    batch: u32,
    /// Threads
    #[arg(value_parser = value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Where the losses of the first five steps go: bare little-endian float32
    out: PathBuf,
    /// Learning rate
    #[arg(long, default_value_t = 0.01)]
    lr: f32,
    /// Momentum
    #[arg(long, default_value_t = 0.9)]
    momentum: f32,
    /// Kernel set: auto, or a name from `kinglet devices`
    #[arg(long, default_value = "auto", value_name = "SET")]
    kernels: String,
}

/// What learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Every layer, as `kinglet train` does it
    Full,
    /// The last linear layer, one sample at a time, as a device does it
    Last,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.task {
        Task::Infer(arguments) => infer(arguments),
        Task::Train(arguments) => train(arguments),
    }
}

/// A model file, or what an ONNX file becomes.
fn open(path: &Path, fine_tune_last: usize) -> Result<ModelFile, Failure> {
    if !path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("onnx"))
    {
        return Ok(ModelFile::read(path)?);
    }
    let settings = ExportSettings {
        normalize: Normalize::identity(0),
        labels: Vec::new(),
        fine_tune_last,
    };
    let (bytes, _) = export(
        onnx::read(path, &onnx::Options::default())?.graph,
        &settings,
    )?;
    Ok(ModelFile::from_bytes(&bytes)?)
}

struct Inference<'a> {
    session: AnySession<'a, &'static dyn Kernels>,
    input: Vec<f32>,
}

impl Work for Inference<'_> {
    type Error = Infallible;

    fn prepare(&mut self) {
        self.session
            .set_input_f32(&self.input)
            .expect("of its length");
    }

    fn call(&mut self) -> Result<(), Infallible> {
        std::hint::black_box(self.session.run());
        Ok(())
    }
}

fn infer(arguments: &Infer) -> Result<(), Failure> {
    let kernels = kernel_set::select(&arguments.kernels)?;
    let file = open(&arguments.model, 0)?;
    let model = file.model();
    let input = raw::read(&arguments.input, model.input())?;
    if input.len() != model.input().len() {
        let samples = input.len() / model.input().len();
        return Err(format!(
            "{}: {samples} samples; one is right",
            arguments.input.display()
        )
        .into());
    }
    let mut memory = SessionMemory::new(&model, &kernels, 1);
    let session = memory.session(&model, kernels)?;
    let mut work = Inference { session, input };
    work.prepare();
    let output = work.session.run().to_f32();
    write_atomic(&arguments.out, &raw::to_bytes(model.output(), &output))?;
    eprintln!("{}: {} kernels", model.name(), kernels.name());
    serve(&mut work, std::io::stdin().lock(), std::io::stdout().lock())?;
    Ok(())
}

/// Steps whose losses are written, to be compared.
const COMPARED: usize = 5;

fn train(arguments: &Train) -> Result<(), Failure> {
    let kernels = kernel_set::select(&arguments.kernels)?;
    match arguments.mode {
        Mode::Full => {
            let mut graph = onnx::read(&arguments.model, &onnx::Options::default())?.graph;
            simplify(&mut graph);
            let samples = samples(arguments, graph.input(), graph.output().len())?;
            let settings = OptimizerSettings::Sgd {
                learning_rate: arguments.lr.into(),
                momentum: arguments.momentum,
                weight_decay: 0.0,
                nesterov: false,
                decay_bias: true,
            };
            let options = TrainerOptions {
                kernels: kernel_set::select_training(&arguments.kernels)?,
                threads: usize::from(arguments.threads),
                batch_size: arguments.batch as usize,
                seed: 1,
                frozen: 0,
                loss: Loss::default(),
            };
            let trainer = Trainer::new(graph, &settings, options)?;
            learn(
                arguments,
                Whole::new(trainer, samples, arguments.batch as usize),
            )
        }
        Mode::Last => {
            if arguments.batch != 1 {
                return Err(format!(
                    "mode last with a batch of {}: a device learns sample by sample, so 1 is right",
                    arguments.batch
                )
                .into());
            }
            let file = open(&arguments.model, 1)?;
            let model = file.model();
            let samples = samples(arguments, model.input(), model.output().len())?;
            let mut memory = SessionMemory::new(&model, &kernels, 1);
            let mut arena = HeapArena::new(model.sizes().training::<Sgd>());
            let last = Last::new(
                memory.session(&model, kernels)?,
                &mut arena,
                Sgd::new(arguments.lr, arguments.momentum),
                samples.sample(0).to_vec(),
                usize::from(samples.classes[0]),
            )?;
            learn(arguments, last)
        }
    }
}

/// Writes the first losses and answers from there on.
fn learn<W: Learn>(arguments: &Train, mut work: W) -> Result<(), Failure>
where
    W::Error: std::error::Error + 'static,
{
    let mut losses = Vec::new();
    for _ in 0..COMPARED {
        losses.extend(work.step()?.to_le_bytes());
    }
    write_atomic(&arguments.out, &losses)?;
    serve(&mut work, std::io::stdin().lock(), std::io::stdout().lock())?;
    Ok(())
}

/// The samples with their classes.
fn samples(arguments: &Train, shape: Shape, classes: usize) -> Result<Samples, Failure> {
    let values = raw::read(&arguments.samples, shape)?;
    let path = arguments.classes.display();
    let labels = std::fs::read(&arguments.classes)
        .map_err(|reason| format!("cannot read {path}: {reason}"))?;
    let count = values.len() / shape.len();
    if labels.len() != count {
        return Err(format!("{path}: {} classes for {count} samples", labels.len()).into());
    }
    if let Some(class) = labels.iter().find(|class| usize::from(**class) >= classes) {
        return Err(format!("{path}: class {class}, but the network has {classes} outputs").into());
    }
    if arguments.batch as usize > count {
        let batch = arguments.batch;
        return Err(format!(
            "a batch of {batch}, but {} has {count} samples",
            arguments.samples.display()
        )
        .into());
    }
    Ok(Samples {
        shape,
        values,
        classes: labels,
    })
}
