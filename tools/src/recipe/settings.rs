//! The sections `[data]`, `[train]` and `[optimizer]`. Defaults are PyTorch's where it has one.

use kinglet_kernels::Shape;
use kinglet_kernels::params::MAX_EXTENT;
use serde::{Deserialize, Serialize};

use super::error::Problem;
use super::keys;
use super::section::{Entry, Keys, Located, Section};
use super::transform::read_transforms;
use crate::transform::Transforms;

/// `[data]`: what becomes of the pictures before the network sees them.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSettings {
    /// Mean and spread of each channel.
    pub normalize: Normalize,
    /// Fraction of the training pictures that validate instead; 0 for none. Default 0.2.
    pub validation: f64,
    /// Rows and columns that all pictures are scaled to: torchvision's `Resize`. Default: none are.
    pub resize: Option<[usize; 2]>,
    /// Random changes to the training pictures, before `normalize`. Default none.
    pub transforms: Transforms,
}

/// `(pixel / 255 - mean) / std` for each channel: `ToTensor` and `Normalize` of torchvision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalize {
    /// Subtracted from pixels that go from 0 to 1; one for each channel.
    pub mean: Vec<f32>,
    /// What is left is divided by this; one for each channel.
    pub std: Vec<f32>,
}

impl Normalize {
    /// Pixels from 0 to 1 as they are.
    pub fn identity(channels: usize) -> Self {
        Self {
            mean: vec![0.0; channels],
            std: vec![1.0; channels],
        }
    }

    /// Reads `mean = [0.5], std = [0.5]`, what a recipe has between the braces of `normalize`.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str, channels: usize) -> Result<Self, String> {
        let text = format!("normalize = {{ {text} }}");
        let read = || {
            let mut section = Section::parse(&text, &[keys::DATA])?;
            let entry =
                section.required("normalize", "normalize = { mean = [0.5], std = [0.5] }")?;
            read_normalize(entry, channels)
        };
        read().map_err(|(_, problem)| problem.to_string())
    }
}

/// `[train]`: how long to train, on how many pictures at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// Passes over the training pictures. Default 10.
    pub epochs: usize,
    /// Pictures of one step. Default 32.
    pub batch_size: usize,
    /// Decides first weights, split, order, transforms and dropout. Default 1.
    pub seed: u64,
    /// `label_smoothing` of `torch.nn.CrossEntropyLoss`: this part of the target is shared by all classes. Default 0.
    pub label_smoothing: f32,
    /// What makes an epoch the best one. Default the validation loss.
    pub best: BestBy,
    /// Stop after this many epochs in a row without a better one. Default: never.
    pub early_stop: Option<usize>,
    /// Decay of an exponential moving average of the weights, which then validates and is kept instead of the
    /// weights. Default: none.
    pub ema: Option<f32>,
}

/// What makes an epoch the best one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BestBy {
    /// The lowest validation loss.
    #[default]
    Loss,
    /// The highest validation accuracy; of equals the one with the lower loss.
    Accuracy,
}

impl std::fmt::Display for BestBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
        })
    }
}

/// `[optimizer]`: how weights move, as `torch.optim` has it. Without the section: the SGD that the type
/// has as its default.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OptimizerSettings {
    /// `torch.optim.SGD`.
    Sgd {
        /// `lr`, default 0.001.
        learning_rate: f64,
        /// `momentum`, default 0.
        momentum: f32,
        /// `weight_decay`, default 0.
        weight_decay: f32,
        /// `nesterov`, default false.
        nesterov: bool,
        /// Whether weight decay acts on biases and batch normalization too, as in PyTorch. `decay_bias`, default
        /// true.
        decay_bias: bool,
    },
    /// `torch.optim.Adam`, or `torch.optim.AdamW`.
    Adam {
        /// `lr`, default 0.001.
        learning_rate: f64,
        /// `betas`, default [0.9, 0.999].
        betas: [f32; 2],
        /// `eps`, default 1e-8.
        epsilon: f32,
        /// `weight_decay`, default 0, of AdamW 0.01.
        weight_decay: f32,
        /// As for SGD.
        decay_bias: bool,
        /// Whether it is AdamW, whose decay moves the weights themselves.
        decoupled: bool,
    },
}

impl OptimizerSettings {
    /// `lr`.
    pub fn learning_rate(&self) -> f64 {
        match *self {
            Self::Sgd { learning_rate, .. } | Self::Adam { learning_rate, .. } => learning_rate,
        }
    }
}

/// Largest batch: more would only need memory.
const MAX_BATCH: u64 = 1 << 16;

/// Reads `[data]`; without a key of its own pictures are normalized by `normalize`.
pub(super) fn read_data(
    mut section: Section,
    input: Shape,
    normalize: Normalize,
) -> Located<DataSettings> {
    let normalize = match section.optional("normalize") {
        None => normalize,
        Some(entry) => read_normalize(entry, input.channels)?,
    };
    let validation = section.optional("validation").map_or(Ok(0.2), |entry| {
        entry.number("a fraction: at least 0 and below 1", |x| {
            (0.0..1.0).contains(&x)
        })
    })?;
    let resize = section.optional("resize").map(read_resize).transpose()?;
    let transforms = section
        .optional("transforms")
        .map_or(Ok(Transforms::default()), |entry| {
            read_transforms(entry, input)
        })?;
    section.end()?;
    Ok(DataSettings {
        normalize,
        validation,
        resize,
        transforms,
    })
}

fn read_resize(entry: Entry) -> Located<[usize; 2]> {
    let (line, key) = (entry.line, entry.key.clone());
    let right = "[height, width], for example [32, 32]";
    let extent = |value: Entry| {
        let right = format!("a whole number from 1 to {MAX_EXTENT}");
        let valid = |x: f64| (1.0..=MAX_EXTENT as f64).contains(&x) && x.fract() == 0.0;
        value.number(&right, valid).map(|x| x as usize)
    };
    let values = entry.list(right)?.into_iter().map(extent);
    let values = values.collect::<Located<Vec<_>>>()?;
    let found = values.len();
    values.try_into().map_err(|_| {
        let right = format!("it must have 2: {right}");
        (line, Problem::Length { key, found, right })
    })
}

fn read_normalize(entry: Entry, channels: usize) -> Located<Normalize> {
    let mut section = entry.table("normalize", &[keys::NORMALIZE])?;
    let mut axis = |key, example, right, valid: fn(f64) -> bool| {
        let entry = section.required(key, example)?;
        let line = entry.line;
        let values = entry.list("a list with one number for each channel")?;
        let values = values
            .into_iter()
            .map(|value| value.number(right, valid).map(|x| x as f32))
            .collect::<Located<Vec<f32>>>()?;
        match values.as_slice() {
            // One for all channels, as in PyTorch.
            &[single] => Ok(vec![single; channels]),
            _ if values.len() == channels => Ok(values),
            _ => Err((
                line,
                Problem::Length {
                    key: key.to_owned(),
                    found: values.len(),
                    right: format!("`input` has {channels} channels: give {channels} or 1"),
                },
            )),
        }
    };
    let mean = axis(
        "mean",
        "normalize = { mean = [0.5], std = [0.5] }",
        "a number",
        |_| true,
    )?;
    let std = axis(
        "std",
        "normalize = { mean = [0.5], std = [0.5] }",
        "a number above 0",
        |x| x as f32 > 0.0,
    )?;
    section.end()?;
    Ok(Normalize { mean, std })
}

/// Reads `[train]`; `validation` is the fraction of the pictures that validate.
pub(super) fn read_train(mut section: Section, validation: f64) -> Located<TrainSettings> {
    let mut count = |key, default| {
        section
            .optional(key)
            .map_or(Ok(default), |entry| entry.count(1))
    };
    let epochs = count("epochs", 10)?;
    let seed_entry = section.optional("seed");
    let seed = seed_entry.map_or(Ok(1), |entry| entry.count(0))?;
    let batch_size = section.optional("batch_size").map_or(Ok(32.0), |entry| {
        entry.number(&format!("a whole number from 1 to {MAX_BATCH}"), |x| {
            (1.0..=MAX_BATCH as f64).contains(&x) && x.fract() == 0.0
        })
    })?;
    let label_smoothing = section
        .optional("label_smoothing")
        .map_or(Ok(0.0), fraction)?;
    let best = match section.optional("best") {
        None => BestBy::default(),
        Some(entry) => read_best(entry)?,
    };
    let early_stop = match section.optional("early_stop") {
        None => None,
        Some(entry) if validation == 0.0 => {
            return entry.wrong("absent without validation pictures ([data] validation = 0)");
        }
        Some(entry) => Some(usize::try_from(entry.count(1)?).unwrap_or(usize::MAX)),
    };
    let ema = section.optional("ema").map(fraction).transpose()?;
    section.end()?;
    Ok(TrainSettings {
        epochs: usize::try_from(epochs).unwrap_or(usize::MAX),
        batch_size: batch_size as usize,
        seed,
        label_smoothing,
        best,
        early_stop,
        ema,
    })
}

fn read_best(entry: Entry) -> Located<BestBy> {
    let line = entry.line;
    match entry.string()?.as_str() {
        "loss" => Ok(BestBy::Loss),
        "accuracy" => Ok(BestBy::Accuracy),
        other => {
            let problem = Problem::Value {
                key: "best".to_owned(),
                found: format!("{other:?}"),
                right: "\"loss\" or \"accuracy\"".to_owned(),
            };
            Err((line, problem))
        }
    }
}

/// The keys of `[optimizer]`.
pub(super) const OPTIMIZER_KEYS: Keys = &[keys::OPTIMIZER, keys::SGD, keys::ADAM];

pub(super) fn read_optimizer(mut section: Section) -> Located<OptimizerSettings> {
    if section.is_empty() {
        return Ok(OptimizerSettings::Sgd {
            learning_rate: 1e-3,
            momentum: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            decay_bias: true,
        });
    }
    let kind = section.required("type", "type = \"SGD\"")?;
    let kind_line = kind.line;
    let kind = kind.string()?;
    let settings = match kind.as_str() {
        "SGD" => read_sgd(&mut section)?,
        "Adam" => read_adam(&mut section, false)?,
        "AdamW" => read_adam(&mut section, true)?,
        _ => {
            return Err((
                kind_line,
                Problem::Value {
                    key: "type".to_owned(),
                    found: format!("{kind:?}"),
                    right: "\"SGD\", \"Adam\" or \"AdamW\"".to_owned(),
                },
            ));
        }
    };
    section.end()?;
    Ok(settings)
}

fn learning_rate(section: &mut Section) -> Located<f64> {
    section.optional("lr").map_or(Ok(1e-3), |entry| {
        entry.number("a number of at least 0", |x| {
            x >= 0.0 && (x as f32).is_finite()
        })
    })
}

/// A number of at least 0 that stays one as f32.
fn at_least_zero(section: &mut Section, key: &'static str, default: f32) -> Located<f32> {
    section.optional(key).map_or(Ok(default), |entry| {
        entry
            .number("a number of at least 0", |x| {
                x >= 0.0 && (x as f32).is_finite()
            })
            .map(|x| x as f32)
    })
}

fn fraction(entry: Entry) -> Located<f32> {
    entry
        .number("at least 0 and below 1", |x| (0.0..1.0).contains(&x))
        .map(|x| x as f32)
}

fn decay_bias(section: &mut Section) -> Located<bool> {
    section.optional("decay_bias").map_or(Ok(true), Entry::flag)
}

fn read_sgd(section: &mut Section) -> Located<OptimizerSettings> {
    let learning_rate = learning_rate(section)?;
    let momentum = section.optional("momentum").map_or(Ok(0.0), fraction)?;
    let weight_decay = at_least_zero(section, "weight_decay", 0.0)?;
    let nesterov = section.optional("nesterov");
    let nesterov_line = nesterov.as_ref().map_or(section.line(), |entry| entry.line);
    let nesterov = nesterov.map_or(Ok(false), Entry::flag)?;
    if nesterov && momentum == 0.0 {
        return Err((
            nesterov_line,
            Problem::Value {
                key: "nesterov".to_owned(),
                found: "true".to_owned(),
                right: "false without momentum; write for example: momentum = 0.9".to_owned(),
            },
        ));
    }
    Ok(OptimizerSettings::Sgd {
        learning_rate,
        momentum,
        weight_decay,
        nesterov,
        decay_bias: decay_bias(section)?,
    })
}

fn read_adam(section: &mut Section, decoupled: bool) -> Located<OptimizerSettings> {
    let learning_rate = learning_rate(section)?;
    let betas = match section.optional("betas") {
        None => [0.9, 0.999],
        Some(entry) => {
            let line = entry.line;
            let values = entry.list("a list of two numbers")?;
            let found = values.len();
            let values = values
                .into_iter()
                .map(fraction)
                .collect::<Located<Vec<_>>>()?;
            values.try_into().map_err(|_| {
                let key = "betas".to_owned();
                let right = "Adam has two: betas = [0.9, 0.999]".to_owned();
                (line, Problem::Length { key, found, right })
            })?
        }
    };
    Ok(OptimizerSettings::Adam {
        learning_rate,
        betas,
        epsilon: at_least_zero(section, "eps", 1e-8)?,
        weight_decay: at_least_zero(section, "weight_decay", if decoupled { 0.01 } else { 0.0 })?,
        decay_bias: decay_bias(section)?,
        decoupled,
    })
}
