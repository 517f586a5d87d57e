//! `kinglet inspect`: a recipe or a model file as a table, and as a picture.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{Failure, FineTuneLast, document};
use crate::digits::grouped;
use crate::export::{ExportSettings, export};
use crate::file::write_atomic;
use crate::inspect::{MemoryMap, Report, picture};
use crate::model_file::{ModelFile, head_info, is_named_as_head};
use crate::recipe::Recipe;

/// Show the layers, parameters, MACs and memory of a recipe or a model, or what a saved head says
///
/// For a recipe the memory is that of the model it would export to; nothing is trained. --svg draws the graph that is
/// run, from top to bottom: a box for each operator, with its output's shape, type and bytes, and lines from what it
/// reads. More is told when one points at them. --memory shows what each layer takes of the arena, which one makes the
/// peak, and what would be gained without it; --memory-svg draws where each tensor lies, and how long.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet inspect tools/recipes/lesson.toml
  kinglet inspect tools/recipes/fashion.toml --fine-tune last=2
  kinglet inspect model.kgl --svg model.svg
  kinglet inspect model.kgl --memory --memory-svg memory.svg
  kinglet inspect model.kgl --json
  kinglet inspect head.kgh                     whose it is, and how long it has learned")]
pub(super) struct Arguments {
    /// A recipe (.toml), a model file (.kgl), or a saved head (.kgh)
    file: PathBuf,
    /// For a recipe: count the memory to train the last K linear layers on a device
    #[arg(long, value_name = "last=K", default_value_t)]
    fine_tune: FineTuneLast,
    /// Draw the graph as an SVG file, for bright and dark screens
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Show what each layer takes of the arena
    #[arg(long, conflicts_with = "json")]
    memory: bool,
    /// Draw where each tensor lies in the arena, and how long, as an SVG file
    #[arg(long, value_name = "FILE.svg")]
    memory_svg: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What a saved head says of itself.
#[derive(Debug, Serialize)]
struct Head {
    /// Id of the model that it belongs to.
    model: String,
    parameters: usize,
    /// Steps that it was trained for.
    steps: u32,
    bytes: u64,
}

/// Shows a saved head.
fn head(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.svg.is_some() || arguments.memory || arguments.memory_svg.is_some() {
        return Err("--svg and --memory show a recipe or a model; this is a saved head".into());
    }
    let info = head_info(&arguments.file)?;
    let head = Head {
        model: info.model.to_string(),
        parameters: info.parameters,
        steps: info.steps,
        bytes: std::fs::metadata(&arguments.file)?.len(),
    };
    if arguments.json {
        return document::print("inspect", &head);
    }
    println!("a saved head, whole ({} bytes)", grouped(head.bytes));
    println!("model             {}", head.model);
    println!("parameters        {}", grouped(head.parameters as u64));
    println!("trained for       {} steps", grouped(u64::from(head.steps)));
    Ok(())
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if is_named_as_head(&arguments.file) {
        return head(arguments);
    }
    let is_recipe = arguments
        .file
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("toml"));
    let (file, report) = if is_recipe {
        let recipe = Recipe::load(&arguments.file)?;
        let settings = ExportSettings {
            normalize: recipe.data.normalize.clone(),
            labels: Vec::new(),
            fine_tune_last: arguments.fine_tune.0,
        };
        let (bytes, _) = export(recipe.graph.clone(), &settings)?;
        let file = ModelFile::from_bytes(&bytes)?;
        let mut report = Report::of_recipe(&recipe.name, &recipe.graph, &file.model(), bytes.len());
        report.labels = recipe.classes;
        (file, report)
    } else {
        let file = ModelFile::read(&arguments.file)?;
        let report = Report::of_model(&file.model(), file.bytes().len());
        (file, report)
    };
    if let Some(path) = &arguments.svg {
        let drawing = picture(&file.model(), file.bytes().len());
        write_atomic(path, drawing.as_bytes())?;
    }
    if let Some(path) = &arguments.memory_svg {
        write_atomic(path, MemoryMap::of(&file.model()).drawing().as_bytes())?;
    }
    if arguments.json {
        return document::print("inspect", &report);
    }
    print!("{report}");
    if arguments.memory {
        print!("\n{}", MemoryMap::of(&file.model()));
    }
    for path in [&arguments.svg, &arguments.memory_svg]
        .into_iter()
        .flatten()
    {
        println!("picture           {}", path.display());
    }
    Ok(())
}
