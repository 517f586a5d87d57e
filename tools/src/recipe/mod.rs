//! A recipe: the network, its data and how to train it, in a TOML file and in PyTorch's words.
//!
//! ```toml
//! name = "lesson"
//! input = [3, 32, 32]                     # channels, height, width; [n] for vectors
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
//! seed = 1                                # loss, label_smoothing, class_weights, target, best, early_stop, ema
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
mod branches;
mod call;
mod error;
mod function;
mod keys;
mod layer;
mod layers;
mod reference;
mod schedule;
mod section;
mod settings;
mod shapes;
mod shipped;
mod statement;
mod transform;
mod transforms;

use std::path::Path;

use kinglet_kernels::Shape;
use kinglet_kernels::params::MAX_EXTENT;

pub use error::{CallProblem, ChannelsFirst, Problem, RecipeError};
pub use reference::reference;
pub use schedule::{Anneal, Curve, OneCycle, ScheduleSettings};
pub use settings::{
    BestBy, ClassWeights, DataSettings, LossSettings, Normalize, OptimizerSettings,
    QuantizeSettings, Target, TrainSettings,
};
pub use shipped::{SHIPPED, Shipped};

use crate::array_layout::ArrayLayout;
use crate::base::{Base, BaseError, Network};
use crate::graph::{Graph, Input as GraphInput, Output};
use crate::quantize::with_learned_ranges;
use branches::Builder;
use section::{Entry, Located, Section};
use shapes::Flow;

/// A recipe that makes sense.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The network's name; the file's own where the recipe gives none.
    pub name: String,
    /// The network, a node for each layer, of zeros, or with the values it was trained to: [`Recipe::network`] has first
    /// values.
    pub graph: Graph,
    /// The trained network that it goes on from, where no layers describe it.
    pub base: Option<Base>,
    /// How many of the first nodes are frozen.
    pub frozen: usize,
    /// The node of a trained network that is new.
    head: Option<usize>,
    /// Names of the classes; empty where the recipe leaves them to the data set.
    pub classes: Vec<String>,
    /// What becomes of the pictures.
    pub data: DataSettings,
    /// How long to train, on how many at once.
    pub train: TrainSettings,
    /// What is lowered.
    pub loss: LossSettings,
    /// How weights move.
    pub optimizer: OptimizerSettings,
    /// How the learning rate changes on the way.
    pub schedule: ScheduleSettings,
    /// How a trained network gets used to 8-bit numbers, if it is to.
    pub quantize: Option<QuantizeSettings>,
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
        Self::parse(&read_text(path)?, path)
    }

    /// Reads a recipe's file that has settings alone: the network is that of `base`.
    ///
    /// # Errors
    /// Those of [`Recipe::load`] and [`Recipe::parse_onto`].
    pub fn load_onto(path: &Path, base: Base) -> Result<Self, RecipeError> {
        Self::parse_onto(&read_text(path)?, path, base)
    }

    /// Reads a recipe's text. `path` names it in errors, and the network where it has no name.
    ///
    /// # Errors
    /// [`RecipeError::At`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, RecipeError> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        read(text, &stem).map_err(|(line, problem)| located(path, line, problem))
    }

    /// Reads a recipe's text that has settings alone: the network is that of `base`. `path` names it in errors.
    ///
    /// # Errors
    /// [`RecipeError::At`], also if the recipe describes a network of its own, or [`RecipeError::Base`].
    pub fn parse_onto(text: &str, path: &Path, base: Base) -> Result<Self, RecipeError> {
        let network = base.network().map_err(Box::new)?;
        read_onto(text, base, network).map_err(|(line, problem)| located(path, line, problem))
    }

    /// The network as training begins with it: first values from the seed, but where it was trained before.
    pub fn network(&self) -> Graph {
        let (graph, seed) = (self.graph.clone(), self.train.seed);
        match (&self.base, self.head) {
            (None, _) => graph.initialized(seed),
            (Some(_), None) => graph,
            (Some(_), Some(head)) => graph.initialized_at(head, seed),
        }
    }

    /// Refuses a network that cannot learn to tell classes apart: it must have parameters and end in one
    /// number for each class. (Without them a recipe can still be looked at.)
    ///
    /// # Errors
    /// [`RecipeError::At`] with the last layer's line, or [`RecipeError::Base`].
    pub fn check_trainable(&self, path: &Path) -> Result<(), RecipeError> {
        let line = self.layer_lines.last().copied().unwrap_or(1);
        let output = self.graph.output();
        let ends_in_vector = !self.loss.is_of_classes() || output == Shape::vector(output.len());
        if self.base.is_some() {
            let problem = || Box::new(BaseError::NoLogits(ChannelsFirst(output)));
            return ends_in_vector.then_some(()).ok_or_else(|| problem().into());
        }
        if let Some(quantize) = &self.quantize {
            return Err(located(path, quantize.line, Problem::QuantizeUntrained));
        }
        let problem = if !ends_in_vector {
            Problem::NoLogits(ChannelsFirst(output), output.len())
        } else if self.graph.parameters() == 0 {
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

fn read_text(path: &Path) -> Result<String, RecipeError> {
    std::fs::read_to_string(path).map_err(|source| RecipeError::Read {
        path: path.to_owned(),
        source,
    })
}

fn located(path: &Path, line: usize, problem: Problem) -> RecipeError {
    RecipeError::At {
        path: path.to_owned(),
        line,
        problem: Box::new(problem),
    }
}

/// Reads a recipe. Where it fails and would not with an input whose last number came first, that is what is wrong:
/// pictures are written with their channels last in many places, but not in PyTorch.
fn read(text: &str, stem: &str) -> Located<Recipe> {
    let mut layers = 0;
    let (line, problem) = match read_with(text, stem, |_| (), &mut layers) {
        Err(failure) => failure,
        recipe => return recipe,
    };
    let (mut input, mut layers_then) = (None, 0);
    let change = |found: &mut Input| {
        if let [height, width, channels @ (1 | 3 | 4)] = found.extents
            && height > channels
            && width > channels
        {
            input = Some((found.line, found.extents));
            found.extents = [channels, height, width];
        }
    };
    let further = match read_with(text, stem, change, &mut layers_then) {
        Ok(_) => true,
        Err((line_then, _)) => (layers_then, line_then) > (layers, line),
    };
    match input {
        Some((input_line, [height, width, channels])) if further => Err((
            input_line,
            Problem::ChannelsLast {
                found: [height, width, channels],
                right: [channels, height, width],
                line,
                problem: Box::new(problem),
            },
        )),
        _ => Err((line, problem)),
    }
}

/// Reads a recipe whose input is changed first, and counts the layers that fit.
fn read_with(
    text: &str,
    stem: &str,
    change: impl FnOnce(&mut Input),
    fit: &mut usize,
) -> Located<Recipe> {
    let mut top = Section::parse(text, &[keys::TOP])?;
    let name = top
        .optional("name")
        .map_or(Ok(stem.to_owned()), Entry::string)?;
    let mut found = read_input(top.required("input", "input = [3, 32, 32]")?)?;
    change(&mut found);
    let [channels, height, width] = found.extents;
    let input = Shape::new(height, width, channels);
    let classes = top.optional("classes").map(read_classes).transpose()?;
    let layers = top.required(
        "layers",
        "layers = [\"Conv2d(3, 16, 3)\", \"ReLU()\", \"Flatten()\", \"Linear(14400, 10)\"]",
    )?;
    let flow = match found.is_vector {
        true => Flow::of_vector(channels),
        false => Flow::new(input),
    };
    let mut graph = Graph::new(
        &name,
        vec![GraphInput {
            source: ArrayLayout::channels_first(input).source(),
            ..GraphInput::new("input", input)
        }],
    );
    let layer_lines = read_layers(layers, &mut graph, (flow, found.line), fit)?;
    let classes = classes.unwrap_or_default();
    let mut recipe = read_settings(top, text, graph, classes, Normalize::identity(channels))?;
    recipe.name = name;
    recipe.layer_lines = layer_lines;
    Ok(recipe)
}

/// Reads a recipe that has settings alone.
fn read_onto(text: &str, base: Base, network: Network) -> Located<Recipe> {
    let mut top = Section::parse(text, &[keys::TOP])?;
    let name = top.optional("name").map(Entry::string).transpose()?;
    for key in ["input", "layers"] {
        if let Some(entry) = top.optional(key) {
            return Err((entry.line, Problem::NetworkTwice { key }));
        }
    }
    let classes = top.optional("classes").map(read_classes).transpose()?;
    let classes = classes.unwrap_or((0, network.classes));
    let mut recipe = read_settings(top, text, network.graph, classes, network.normalize)?;
    if let Some(name) = name {
        recipe.graph.name.clone_from(&name);
        recipe.name = name;
    }
    if let Some(quantize) = &recipe.quantize {
        if network.frozen > 0 || network.head.is_some() {
            return Err((quantize.line, Problem::QuantizePart));
        }
        recipe.graph = with_learned_ranges(recipe.graph, quantize.momentum);
    }
    recipe.frozen = network.frozen;
    recipe.head = network.head;
    recipe.base = Some(base);
    Ok(recipe)
}

/// Reads the sections of a recipe whose network and classes are known. Where it does not say how pictures are normalized it
/// is by `normalize`.
fn read_settings(
    mut top: Section,
    text: &str,
    graph: Graph,
    (classes_line, classes): (usize, Vec<String>),
    normalize: Normalize,
) -> Located<Recipe> {
    let data = top.section("data", "[data]", &[keys::DATA])?;
    let data = settings::read_data(data, graph.input(), normalize)?;
    let (train, loss) = settings::read_train(
        top.section("train", "[train]", settings::TRAIN_KEYS)?,
        data.validation,
        graph.output().len(),
    )?;
    let optimizer = settings::read_optimizer(top.section(
        "optimizer",
        "[optimizer]",
        settings::OPTIMIZER_KEYS,
    )?)?;
    let schedule =
        schedule::read_schedule(top.section("schedule", "[schedule]", schedule::KEYS)?)?;
    let quantize = top.optional("quantize").map(settings::read_quantize);
    let quantize = quantize.transpose()?;
    top.end()?;
    let output = graph.output();
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
        name: graph.name.clone(),
        graph,
        base: None,
        frozen: 0,
        head: None,
        classes,
        data,
        train,
        loss,
        optimizer,
        schedule,
        quantize,
        text: text.to_owned(),
        layer_lines: Vec::new(),
    })
}

/// `input` as it is written.
struct Input {
    line: usize,
    /// Channels, height, width; of a vector its features, 1 and 1.
    extents: [usize; 3],
    is_vector: bool,
}

fn read_input(entry: Entry) -> Located<Input> {
    let right =
        "[channels, height, width], for example [3, 32, 32], or [features], for example [640]";
    let (line, key) = (entry.line, entry.key.clone());
    let limit = format!("a whole number from 1 to {MAX_EXTENT}");
    let in_range = |x: f64| (1.0..=MAX_EXTENT as f64).contains(&x) && x.fract() == 0.0;
    let values = entry.list(right)?.into_iter();
    let numbers = values.map(|value| Ok(value.number(&limit, in_range)? as usize));
    let numbers = numbers.collect::<Located<Vec<usize>>>()?;
    let (extents, is_vector) = match *numbers.as_slice() {
        [features] => ([features, 1, 1], true),
        [channels, height, width] => ([channels, height, width], false),
        _ => {
            let found = numbers.len();
            let right = format!("it must have 3 or 1: {right}");
            return Err((line, Problem::Length { key, found, right }));
        }
    };
    Ok(Input {
        line,
        extents,
        is_vector,
    })
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

/// Reads the layers into the graph, and returns their lines; `fit` counts those that fit what comes in.
fn read_layers(
    entry: Entry,
    graph: &mut Graph,
    (flow, input_line): (Flow, usize),
    fit: &mut usize,
) -> Located<Vec<usize>> {
    let right = "a list of layers, for example [\"Flatten()\", \"Linear(784, 10)\"]";
    let (line, key) = (entry.line, entry.key.clone());
    let mut builder = Builder::new(graph, flow, input_line);
    let located = |line, call, problem| (line, Problem::Call { call, problem });
    for entry in entry.list(right)? {
        let line = entry.line;
        let text = entry.string()?;
        let added = builder.add(line, &text);
        added.map_err(|problem| located(line, text.trim().to_owned(), problem))?;
        *fit += 1;
    }
    if builder.is_empty() {
        let right = "a network has at least one layer".to_owned();
        let found = 0;
        return Err((line, Problem::Length { key, found, right }));
    }
    let finished = builder.finish();
    let (last, lines) = finished.map_err(|(line, call, problem)| located(line, call, problem))?;
    let output = Output::new("output", last);
    graph.outputs.push(output);
    let source = ArrayLayout::channels_first(graph.output()).source();
    graph.outputs[0].source = source;
    Ok(lines)
}

#[cfg(test)]
mod tests;
