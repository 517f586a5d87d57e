//! The board images: built in release, looked at, run in QEMU, compared with what is committed.
//!
//! Each board is a folder of `boards` that says by itself how it is built and run; this module only
//! knows the names of its images. What an image prints goes to `expected/IMAGE.run`, what is measured
//! to `expected/IMAGE.size`.

mod emulator;
mod expected;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::arguments::{Arguments, Slot};
use crate::process::{root, run, target_dir};
use crate::setup::Purpose;
use crate::steps::{Counts, Steps};
use crate::toolchain::for_target;
use crate::{elf, setup};

use self::emulator::Output;

pub(crate) const HELP: &str = "\
Usage: cargo xtask firmware [--bless] [--image NAME] [--model PATH] [--samples PATH]

Builds the images of every board in release, runs them in QEMU, and checks that
  - an image that must not panic has no symbol of Rust's panic machinery
  - it ends with success and prints exactly the lines of boards/BOARD/expected/IMAGE.run
  - its size (text, data, bss), its stack and its instruction counts are those of
    boards/BOARD/expected/IMAGE.size, within the tolerance that stands there: compilers differ

Options:
  --bless         write the expected files instead of comparing with them
  --image NAME    this image alone; `bench` counts the instructions of any model and needs no samples
  --model PATH    build around another model (.kgl); what it prints is shown, not compared
  --samples PATH  the samples that go with it
";

/// One program of a board.
struct Image {
    name: &'static str,
    /// Whether the code that it links may contain panics.
    panics: Panics,
}

#[derive(PartialEq, Eq)]
enum Panics {
    /// Start-up and reporting may panic: what they call is not this project's.
    Allowed,
    /// Load, run, train and save alone: not one panic may be left in it.
    Refused,
}

struct Board {
    name: &'static str,
    images: &'static [Image],
}

const BOARDS: &[Board] = &[Board {
    name: "mps2-an386",
    images: &[
        Image {
            name: "probe",
            panics: Panics::Refused,
        },
        Image {
            name: "probe_int8",
            panics: Panics::Refused,
        },
        Image {
            name: "infer",
            panics: Panics::Allowed,
        },
        Image {
            name: "infer_int8",
            panics: Panics::Allowed,
        },
        Image {
            name: "bench",
            panics: Panics::Allowed,
        },
        Image {
            name: "fine_tune",
            panics: Panics::Allowed,
        },
    ],
}];

/// A model and samples to build the images around, instead of those in `boards/models`.
#[derive(Default)]
pub(crate) struct Payload {
    pub(crate) model: Option<PathBuf>,
    pub(crate) samples: Option<PathBuf>,
}

pub(crate) fn verb(arguments: Arguments) -> Result<ExitCode> {
    let mut bless = false;
    let mut payload = Payload::default();
    let mut only = None;
    arguments.options(&mut [
        ("bless", Slot::Flag(&mut bless)),
        ("image", Slot::Name(&mut only)),
        ("model", Slot::Path(&mut payload.model)),
        ("samples", Slot::Path(&mut payload.samples)),
    ])?;
    let own = payload.model.is_some() || payload.samples.is_some();
    if bless && own {
        bail!("--bless writes the results of the committed model: leave --model and --samples out");
    }
    let mut steps = Steps::default();
    steps.run("setup", |_| setup::ensure(&[Purpose::Firmware]));
    let only = chosen(only.as_deref())?;
    steps.run("firmware", |counts| match (bless, own) {
        (true, _) => each(only, write_expected),
        (false, false) => compare(only, counts),
        (false, true) => each(only, |board, image| show(board, image, &payload)),
    });
    Ok(steps.finish())
}

/// The image of a name, if there is one.
///
/// # Errors
/// No board has it.
fn chosen(name: Option<&str>) -> Result<Option<&'static str>> {
    let Some(name) = name else {
        return Ok(None);
    };
    let images = BOARDS.iter().flat_map(|board| board.images);
    let names: Vec<_> = images.map(|image| image.name).collect();
    match names.iter().find(|known| name == **known) {
        Some(known) => Ok(Some(known)),
        None => bail!(
            "there is no image `{name}`; choose one of {}",
            names.join(", ")
        ),
    }
}

/// Compares every image with what is committed; each comparison is one check.
pub(crate) fn check(counts: &mut Counts) -> Result<()> {
    compare(None, counts)
}

fn compare(only: Option<&str>, counts: &mut Counts) -> Result<()> {
    each(only, |board, image| {
        build(board, image, &Payload::default())?;
        let mut check = |what: &str, outcome: Result<()>| {
            counts.add(outcome.is_ok());
            match outcome {
                Ok(()) => println!("{}/{}: {what}: ok", board.name, image.name),
                Err(error) => println!("{}/{}: {what}: FAILED\n{error:#}", board.name, image.name),
            }
        };
        if image.panics == Panics::Refused {
            check("no panic", elf::refuse_panics(&elf_path(board, image)));
        }
        match start(board, image) {
            Ok(output) => {
                let sizes = elf::sizes(&elf_path(board, image))?;
                check(
                    "output",
                    expected::compare_run(&expected(board, image, "run"), &output),
                );
                check(
                    "sizes",
                    expected::compare_size(&expected(board, image, "size"), &sizes, &output),
                );
            }
            Err(error) => check("output", Err(error)),
        }
        Ok(())
    })?;
    match counts.failed {
        0 => Ok(()),
        failed => bail!("{failed} firmware checks failed"),
    }
}

/// Builds an image of the emulated microcontroller around `payload`, runs it and returns the lines that it
/// printed.
pub(crate) fn run_image(name: &str, payload: &Payload) -> Result<Vec<String>> {
    for board in BOARDS {
        if let Some(image) = board.images.iter().find(|image| image.name == name) {
            build(board, image, payload)?;
            return Ok(start(board, image)?.lines);
        }
    }
    bail!("no board has an image `{name}`")
}

/// The folder of every board.
pub(crate) fn folders() -> impl Iterator<Item = PathBuf> {
    BOARDS.iter().map(folder)
}

/// Does something with every image, or with that of one name.
fn each(only: Option<&str>, mut action: impl FnMut(&Board, &Image) -> Result<()>) -> Result<()> {
    for board in BOARDS {
        let images = board.images.iter();
        for image in images.filter(|image| only.is_none_or(|name| name == image.name)) {
            action(board, image).with_context(|| format!("{}/{}", board.name, image.name))?;
        }
    }
    Ok(())
}

fn write_expected(board: &Board, image: &Image) -> Result<()> {
    build(board, image, &Payload::default())?;
    if image.panics == Panics::Refused {
        elf::refuse_panics(&elf_path(board, image))?;
    }
    let output = start(board, image)?;
    let sizes = elf::sizes(&elf_path(board, image))?;
    fs::create_dir_all(folder(board).join("expected"))?;
    for (kind, text) in [
        ("run", expected::run_text(&output)),
        ("size", expected::size_text(&sizes, &output)),
    ] {
        let path = expected(board, image, kind);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Builds an image. Cheap when nothing changed, so every user of one calls it.
fn build(board: &Board, image: &Image, payload: &Payload) -> Result<()> {
    let mut cargo = for_target(setup::TARGET)?.cargo();
    cargo
        .current_dir(folder(board))
        // The flags of the board stand in its own configuration, which these variables would override.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .env("CARGO_TARGET_DIR", build_dir(board))
        .args(["build", "--quiet", "--release", "--bin", image.name]);
    for (variable, path) in [
        ("KINGLET_MODEL", &payload.model),
        ("KINGLET_SAMPLES", &payload.samples),
    ] {
        match path {
            Some(path) => cargo.env(variable, std::path::absolute(path)?),
            None => cargo.env_remove(variable),
        };
    }
    run(&mut cargo)
}

fn start(board: &Board, image: &Image) -> Result<Output> {
    emulator::run(&folder(board), &elf_path(board, image))
}

/// Runs an image around `payload` and prints what [`check`] would compare.
fn show(board: &Board, image: &Image, payload: &Payload) -> Result<()> {
    build(board, image, payload)?;
    let elf = elf_path(board, image);
    if image.panics == Panics::Refused {
        elf::refuse_panics(&elf)?;
        println!("{}/{}: no panic", board.name, image.name);
    }
    let output = start(board, image)?;
    print!("{}", expected::run_text(&output));
    print!("{}", expected::size_text(&elf::sizes(&elf)?, &output));
    Ok(())
}

fn folder(board: &Board) -> PathBuf {
    root().join("boards").join(board.name)
}

fn build_dir(board: &Board) -> PathBuf {
    target_dir().join("boards").join(board.name)
}

fn elf_path(board: &Board, image: &Image) -> PathBuf {
    let profile = Path::new(setup::TARGET).join("release");
    build_dir(board).join(profile).join(image.name)
}

fn expected(board: &Board, image: &Image, kind: &str) -> PathBuf {
    let file = format!("{}.{kind}", image.name);
    folder(board).join("expected").join(file)
}
