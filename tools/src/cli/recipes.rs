//! `kinglet recipes`: what a recipe may say, and the recipes that come along.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::{Failure, document};
use crate::digits::grouped;
use crate::inspect::channels_first;
use crate::recipe::{Recipe, SHIPPED, Shipped, reference};

/// Print the reference of recipes, or a recipe that comes along
///
/// The reference is Markdown: every key, layer, transform, optimizer and schedule with its arguments, their defaults and an
/// example, and where data sets are had from.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet recipes | less
  kinglet recipes --list
  kinglet recipes fashion > mine.toml          a recipe to begin with")]
pub(super) struct Arguments {
    /// Print this recipe
    #[arg(conflicts_with = "list")]
    name: Option<String>,
    /// List the recipes that come along
    #[arg(long)]
    list: bool,
    /// Print JSON: the recipes, or the one that is named, with their texts
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Listing {
    recipes: Vec<Listed>,
}

/// A recipe that comes along.
#[derive(Debug, Serialize)]
struct Listed {
    name: &'static str,
    summary: String,
    /// Shape of the input without the batch, as `inspect` has it.
    input: Vec<usize>,
    outputs: usize,
    parameters: usize,
    text: &'static str,
}

impl Listed {
    fn new(shipped: &Shipped) -> Result<Self, Failure> {
        let recipe = Recipe::parse(shipped.text, Path::new(shipped.name))?;
        Ok(Self {
            name: shipped.name,
            summary: shipped.summary(),
            input: channels_first(recipe.graph.input()),
            outputs: recipe.graph.output().len(),
            parameters: recipe.graph.parameters(),
            text: shipped.text,
        })
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let chosen: Vec<&Shipped> = match &arguments.name {
        None => SHIPPED.iter().collect(),
        Some(name) => vec![find(name)?],
    };
    if arguments.json {
        let recipes = chosen.into_iter().map(Listed::new);
        let recipes = recipes.collect::<Result<_, _>>()?;
        return document::print("recipes", &Listing { recipes });
    }
    if arguments.list {
        for shipped in chosen {
            let listed = Listed::new(shipped)?;
            println!(
                "{:<14} input {:?}, {} outputs, {} parameters",
                listed.name,
                listed.input,
                listed.outputs,
                grouped(listed.parameters as u64)
            );
        }
        return Ok(());
    }
    match arguments.name {
        None => print!("{}", reference()),
        Some(_) => chosen.iter().for_each(|shipped| print!("{}", shipped.text)),
    }
    Ok(())
}

/// The recipe of this name, with or without the end of its file's name.
fn find(name: &str) -> Result<&'static Shipped, Failure> {
    let stem = name.strip_suffix(".toml").unwrap_or(name);
    let found = SHIPPED.iter().find(|shipped| shipped.name == stem);
    found.ok_or_else(|| {
        let names: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.name).collect();
        format!(
            "no recipe \"{name}\" comes along; there are {}",
            names.join(", ")
        )
        .into()
    })
}
