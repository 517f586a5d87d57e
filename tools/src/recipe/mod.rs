//! A recipe: the network, its data and how to train it, in a TOML file and in PyTorch's words.
//!
//! ```toml
//! name = "lesson"
//! input = [3, 32, 32]                     # channels, height, width
//! classes = ["airplane", "automobile"]    # optional; the data set's own otherwise
//! layers = ["Conv2d(3, 16, 3, padding=1)", "ReLU()", "MaxPool2d(2, 2)", "Flatten()", "Linear(4096, 2)"]
//! [data]
//! normalize = { mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }    # of pixels from 0 to 1
//! validation = 0.2                                                 # fraction of the training pictures
//! resize = [32, 32]                                                # optional; height, width
//! transforms = ["RandomHorizontalFlip()", "RandomRotation(10)"]    # of training pictures, in torchvision's words
//! [train]
//! epochs = 30
//! batch_size = 20
//! seed = 1                                # label_smoothing, best, early_stop, ema
//! [optimizer]
//! type = "SGD"                            # lr, momentum, weight_decay, nesterov
//! lr = 0.01                               # "Adam": lr, betas, eps, weight_decay
//! momentum = 0.9
//! [schedule]                              # without it lr stays as it is
//! type = "CosineAnnealingLR"              # "StepLR", "MultiStepLR", "OneCycleLR"; warmup_epochs
//! ```
//!
//! Everything is checked on reading: a [`Recipe`] is a network whose layers fit each other. The first
//! thing wrong is reported with its line and with what would be right.

mod arguments;
mod call;
mod error;
mod layer;
mod schedule;
mod section;
mod settings;
mod shapes;
mod transform;

use std::path::Path;

use kinglet_kernels::Shape;
use kinglet_kernels::params::MAX_EXTENT;

pub use error::{CallProblem, ChannelsFirst, Problem, RecipeError};
pub use schedule::{Anneal, Curve, OneCycle, ScheduleSettings};
pub use settings::{BestBy, DataSettings, Normalize, OptimizerSettings, TrainSettings};

use crate::network::Architecture;
use section::{Entry, Located, Section};
use shapes::Flow;

/// A recipe that makes sense.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The network's name; the file's own where the recipe gives none.
    pub name: String,
    /// The network.
    pub architecture: Architecture,
    /// Names of the classes; empty where the recipe leaves them to the data set.
    pub classes: Vec<String>,
    /// What becomes of the pictures.
    pub data: DataSettings,
    /// How long to train, on how many at once.
    pub train: TrainSettings,
    /// How weights move.
    pub optimizer: OptimizerSettings,
    /// How the learning rate changes on the way.
    pub schedule: ScheduleSettings,
    /// The file's text, kept in checkpoints.
    pub text: String,
    /// The line of each layer.
    layer_lines: Vec<usize>,
}

impl Recipe {
    /// Reads a recipe's file.
    ///
    /// # Errors
    /// [`RecipeError`] with the line, what was found and what would be right.
    pub fn load(path: &Path) -> Result<Self, RecipeError> {
        let text = std::fs::read_to_string(path).map_err(|source| RecipeError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Reads a recipe's text. `path` names it in errors, and the network where it has no name.
    ///
    /// # Errors
    /// [`RecipeError::At`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, RecipeError> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        read(text, &stem).map_err(|(line, problem)| located(path, line, problem))
    }

    /// Refuses a network that cannot learn to tell classes apart: it must have parameters and end in one
    /// number for each class. (Without them a recipe can still be looked at.)
    ///
    /// # Errors
    /// [`RecipeError::At`] with the last layer's line.
    pub fn check_trainable(&self, path: &Path) -> Result<(), RecipeError> {
        let line = self.layer_lines.last().copied().unwrap_or(1);
        let output = self.architecture.output();
        let problem = if output != Shape::vector(output.len()) {
            Problem::NoLogits(ChannelsFirst(output), output.len())
        } else if self.architecture.parameters() == 0 {
            Problem::NothingToTrain
        } else {
            return Ok(());
        };
        Err(located(path, line, problem))
    }

    /// The line of the file on which a layer stands.
    pub fn layer_line(&self, layer: usize) -> Option<usize> {
        self.layer_lines.get(layer).copied()
    }
}

fn located(path: &Path, line: usize, problem: Problem) -> RecipeError {
    RecipeError::At {
        path: path.to_owned(),
        line,
        problem: Box::new(problem),
    }
}

fn read(text: &str, stem: &str) -> Located<Recipe> {
    let mut top = Section::parse(text)?;
    let name = top
        .optional("name")
        .map_or(Ok(stem.to_owned()), Entry::string)?;
    let input = read_input(top.required("input", "input = [3, 32, 32]")?)?;
    let classes = top
        .optional("classes")
        .map_or(Ok((0, Vec::new())), read_classes)?;
    let layers = top.required(
        "layers",
        "layers = [\"Conv2d(3, 16, 3)\", \"ReLU()\", \"Flatten()\", \"Linear(14400, 10)\"]",
    )?;
    let (layer_lines, architecture) = read_layers(layers, input)?;
    let data = settings::read_data(top.section("data", "[data]")?, input)?;
    let train = settings::read_train(top.section("train", "[train]")?, data.validation)?;
    let optimizer = settings::read_optimizer(top.section("optimizer", "[optimizer]")?)?;
    let schedule = schedule::read_schedule(top.section("schedule", "[schedule]")?)?;
    top.end()?;
    let (classes_line, classes) = classes;
    let output = architecture.output();
    if !classes.is_empty() && output == Shape::vector(output.len()) && output.len() != classes.len()
    {
        return Err((
            classes_line,
            Problem::Classes {
                outputs: output.len(),
                classes: classes.len(),
            },
        ));
    }
    Ok(Recipe {
        name,
        architecture,
        classes,
        data,
        train,
        optimizer,
        schedule,
        text: text.to_owned(),
        layer_lines,
    })
}

fn read_input(entry: Entry) -> Located<Shape> {
    let right = "[channels, height, width], for example [3, 32, 32]";
    let (line, key) = (entry.line, entry.key.clone());
    let values = entry.list(right)?;
    let found = values.len();
    let mut extents = [0; 3];
    if found != extents.len() {
        let right = format!("it must have 3: {right}");
        return Err((line, Problem::Length { key, found, right }));
    }
    for (extent, value) in extents.iter_mut().zip(values) {
        let limit = format!("a whole number from 1 to {MAX_EXTENT}");
        let in_range = |x: f64| (1.0..=MAX_EXTENT as f64).contains(&x) && x.fract() == 0.0;
        *extent = value.number(&limit, in_range)? as usize;
    }
    let [channels, height, width] = extents;
    Ok(Shape::new(height, width, channels))
}

fn read_classes(entry: Entry) -> Located<(usize, Vec<String>)> {
    let line = entry.line;
    let names = entry.list("a list of names")?;
    let names = names
        .into_iter()
        .map(Entry::string)
        .collect::<Located<_>>()?;
    Ok((line, names))
}

fn read_layers(entry: Entry, input: Shape) -> Located<(Vec<usize>, Architecture)> {
    let right = "a list of layers, for example [\"Flatten()\", \"Linear(784, 10)\"]";
    let (line, key) = (entry.line, entry.key.clone());
    let mut flow = Flow::new(input);
    let (mut lines, mut layers) = (Vec::new(), Vec::new());
    for entry in entry.list(right)? {
        let line = entry.line;
        let text = entry.string()?;
        let layer = flow.next(&text).map_err(|problem| {
            let call = text.trim().to_owned();
            (line, Problem::Call { call, problem })
        })?;
        lines.push(line);
        layers.push(layer);
    }
    if layers.is_empty() {
        let right = "a network has at least one layer".to_owned();
        let found = 0;
        return Err((line, Problem::Length { key, found, right }));
    }
    Ok((lines, Architecture { input, layers }))
}

#[cfg(test)]
mod tests;
