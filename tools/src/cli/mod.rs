//! The command line: one file for each command. What goes wrong is one line on the error stream and an exit
//! code that is not 0: 2 for a wrong command line, 1 for everything else, 130 after Ctrl-C.

// Before all others: its macros take the place of the standard library's.
#[macro_use]
mod say;

mod bench;
#[cfg(feature = "opencl")]
mod bench_device;
#[cfg(not(feature = "opencl"))]
#[path = "bench_without_device.rs"]
mod bench_device;
mod compare;
mod demo;
mod device;
mod devices;
mod document;
mod eval;
mod export;
mod fine_tune;
mod import;
mod inputs;
mod inspect;
mod model;
mod numbers;
mod outputs;
mod progress;
mod quantize;
mod recipes;
mod replace;
mod report;
mod run;
mod target;
mod train;
#[cfg(feature = "verify")]
mod verify;
#[cfg(not(feature = "verify"))]
#[path = "verify_without_tract.rs"]
mod verify;
mod worker;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::dataset::{BUILT_IN, Collection, Dataset, DatasetError, ReadOptions, embedded};
use crate::evaluate::EvaluateError;
use crate::picture::Fit;

/// What ends a command early: any error, whose text is all that is shown.
type Failure = Box<dyn std::error::Error>;

/// Train small convolutional networks, run them in buffers of known size, and fine-tune their last layers
#[derive(Debug, Parser)]
#[command(
    name = "kinglet",
    version,
    max_term_width = 100,
    after_help = "Start with `kinglet demo`."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Recipes(recipes::Arguments),
    Train(train::Arguments),
    Report(report::Arguments),
    Compare(compare::Arguments),
    Export(export::Arguments),
    Quantize(quantize::Arguments),
    Import(import::Arguments),
    Verify(verify::Arguments),
    Inspect(inspect::Arguments),
    Run(run::Arguments),
    Eval(eval::Arguments),
    FineTune(fine_tune::Arguments),
    Demo(demo::Arguments),
    Devices(devices::Arguments),
    Bench(bench::Arguments),
    Worker(worker::Arguments),
}

/// Runs the program.
pub fn main() -> ExitCode {
    // `kinglet eval ... | head` ends quietly once nobody reads.
    sigpipe::reset();
    let done = |()| ExitCode::SUCCESS;
    let json = document::is_asked_for(std::env::args_os());
    let command_line = match parse(std::env::args_os()) {
        Ok(command_line) => command_line,
        Err(error) => return document::refuse(&error, json),
    };
    let result = match command_line.command {
        Command::Recipes(arguments) => recipes::run(&arguments).map(done),
        Command::Train(arguments) => train::run(&arguments),
        Command::Report(arguments) => report::run(&arguments).map(done),
        Command::Compare(arguments) => compare::run(&arguments).map(done),
        Command::Export(arguments) => export::run(&arguments).map(done),
        Command::Quantize(arguments) => quantize::run(&arguments).map(done),
        Command::Import(arguments) => import::run(&arguments).map(done),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments).map(done),
        Command::Run(arguments) => run::run(&arguments).map(done),
        Command::Eval(arguments) => eval::run(&arguments).map(done),
        Command::FineTune(arguments) => fine_tune::run(&arguments).map(done),
        Command::Demo(arguments) => demo::run(&arguments).map(done),
        Command::Devices(arguments) => devices::run(&arguments).map(done),
        Command::Bench(arguments) => bench::run(&arguments).map(done),
        Command::Worker(arguments) => worker::run(&arguments).map(done),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            if json {
                document::print_error(&failure.to_string(), 1);
            }
            ExitCode::FAILURE
        }
    }
}

/// How this program is called from here: by its name where the shell finds it by that, else by its path.
fn program() -> String {
    let name = "kinglet";
    let Ok(own) = std::env::current_exe() else {
        return name.to_owned();
    };
    let found = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|place| place.is_file())
    });
    let is_own = |place: &Path| place.canonicalize().is_ok_and(|place| place == own);
    if found.is_some_and(|place| is_own(&place)) {
        return name.to_owned();
    }
    let here = std::env::current_dir().unwrap_or_default();
    own.strip_prefix(&here)
        .unwrap_or(&own)
        .display()
        .to_string()
}

/// Reads the command line.
fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<CommandLine, clap::Error> {
    let command = numbers::with_negative_numbers(CommandLine::command());
    let matches = command.try_get_matches_from(arguments)?;
    CommandLine::from_arg_matches(&matches)
}

/// What `--data` may be, at length.
const DATA_HELP: &str = "\
The data set; the built-in one if absent

A folder of IDX files (MNIST), of NumPy arrays (x_train.npy, y_train.npy, ...; uint8, or float32 features; with \
loss = \"MSELoss\" y_train has numbers), \
of CIFAR-10's binary batches, or of folders named after the classes with PNG or JPEG files in them \
(train/CLASS, val/CLASS and test/CLASS, or CLASS alone); or one .npz or CIFAR-10 .bin file.";

/// The data set at `path`, or the one that is built in, for a network that takes what `options` say.
fn data(path: Option<&Path>, options: &ReadOptions) -> Result<Collection, DatasetError> {
    match path {
        Some(path) => Collection::open(path, options),
        None => embedded()?.fitted(options),
    }
}

/// What does not fit the built-in data set was hardly meant for it; `option` is the one that names another.
fn forgotten_data(error: EvaluateError, collection: &Collection, option: &str) -> Failure {
    if collection.source != BUILT_IN {
        return error.into();
    }
    format!(
        "{error}. That is the built-in data set, which is taken without {option}: was {option} DIR forgotten?"
    )
    .into()
}

/// `--resize`, as the libraries say it.
fn fit(resize: bool) -> Fit {
    match resize {
        true => Fit::Resize,
        false => Fit::Exact,
    }
}

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What training and validation use
    Train,
    /// What no choice may depend on
    Test,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Test => "test",
        })
    }
}

impl Part {
    /// The samples of this part.
    fn of(self, collection: &Collection) -> Result<&Dataset, Failure> {
        match self {
            Self::Train => Ok(&collection.train),
            Self::Test => collection.test.as_ref().ok_or_else(|| {
                format!("{} has no test part; try --part train", collection.source).into()
            }),
        }
    }
}

/// `last=K`: how many linear layers at the end a device may train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct FineTuneLast(usize);

impl std::fmt::Display for FineTuneLast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "last={}", self.0)
    }
}

impl std::str::FromStr for FineTuneLast {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix("last=").and_then(|k| k.parse().ok());
        number.map(Self).ok_or_else(|| {
            format!("expected last=K with a number K, as in last=2; found \"{text}\"")
        })
    }
}

#[cfg(test)]
mod tests;
