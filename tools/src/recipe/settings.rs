//! The sections `[data]`, `[train]` and `[optimizer]`. Defaults are PyTorch's where it has one.

use kinglet::Model;
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

    /// How pictures become numbers for a model; pixels from 0 to 1 where it does not say.
    pub fn of_model(model: &Model<'_>) -> Self {
        let found = model.normalization();
        match found.is_empty() {
            true => Self::identity(model.input().channels),
            false => Self {
                mean: found.mean().collect(),
                std: found.std().collect(),
            },
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
    /// What makes an epoch the best one. Default the validation loss.
    pub best: BestBy,
    /// Stop after this many epochs in a row without a better one. Default: never.
    pub early_stop: Option<usize>,
    /// Decay of an exponential moving average of the weights, which then validates and is kept instead of the
    /// weights. Default: none.
    pub ema: Option<f32>,
}

/// What training lowers, in `[train]` as well: `loss`, and what goes with it.
#[derive(Debug, Clone, PartialEq)]
pub enum LossSettings {
    /// `torch.nn.CrossEntropyLoss`, the default.
    CrossEntropy {
        /// `label_smoothing`: this part of the target is shared by all classes. Default 0.
        label_smoothing: f32,
        /// `class_weights`, default: all 1.
        class_weights: ClassWeights,
    },
    /// `torch.nn.MSELoss`.
    SquaredError {
        /// `target`: what the outputs ought to be. Default: what the data set says.
        target: Target,
    },
}

/// How much a sample of each class counts.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassWeights {
    /// 1.
    Equal,
    /// The less, the more of its class there are to train on: `samples / (classes * samples of the class)`.
    Balanced,
    /// One for each class.
    Given(Vec<f32>),
}

/// What the outputs of a network ought to be that is trained on values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The numbers that the data set has for each sample.
    Values,
    /// The sample itself, as the network sees it.
    Input,
}

impl LossSettings {
    /// Whether samples are told apart by classes.
    pub fn is_of_classes(&self) -> bool {
        matches!(self, Self::CrossEntropy { .. })
    }
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

/// `[quantize]`: a trained network is trained further with what 8-bit numbers make of its values and weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantizeSettings {
    /// How far the range of each tensor moves towards that of a batch. Default 0.01.
    pub momentum: f32,
    /// Where the section stands.
    pub(super) line: usize,
}

/// Reads `[quantize]`.
pub(super) fn read_quantize(entry: Entry) -> Located<QuantizeSettings> {
    let line = entry.line;
    let mut section = entry.table("[quantize]", &[keys::QUANTIZE])?;
    let momentum = section.optional("momentum").map_or(Ok(0.01), |entry| {
        entry.number("above 0 and at most 1", |x| x > 0.0 && x <= 1.0)
    })?;
    section.end()?;
    Ok(QuantizeSettings {
        momentum: momentum as f32,
        line,
    })
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

/// The keys of `[train]`, some of which go with one loss alone.
pub(super) const TRAIN_KEYS: Keys = &[keys::TRAIN, keys::CROSS_ENTROPY, keys::SQUARED_ERROR];

/// Reads `[train]`; `validation` is the fraction of the pictures that validate, `outputs` what the network ends in.
pub(super) fn read_train(
    mut section: Section,
    validation: f64,
    outputs: usize,
) -> Located<(TrainSettings, LossSettings)> {
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
    let loss = read_loss(&mut section, outputs)?;
    let best = match section.optional("best") {
        None => BestBy::default(),
        Some(entry) => {
            let line = entry.line;
            let best = read_best(entry)?;
            if best == BestBy::Accuracy && !loss.is_of_classes() {
                return Err((line, only_of_classes("best", "\"accuracy\"", "\"loss\"")));
            }
            best
        }
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
    let train = TrainSettings {
        epochs: usize::try_from(epochs).unwrap_or(usize::MAX),
        batch_size: batch_size as usize,
        seed,
        best,
        early_stop,
        ema,
    };
    Ok((train, loss))
}

fn read_loss(section: &mut Section, outputs: usize) -> Located<LossSettings> {
    let of_classes = match section.optional("loss") {
        None => true,
        Some(entry) => {
            let line = entry.line;
            match entry.string()?.as_str() {
                "CrossEntropyLoss" => true,
                "MSELoss" => false,
                other => {
                    return Err((
                        line,
                        Problem::Value {
                            key: "loss".to_owned(),
                            found: format!("{other:?}"),
                            right: "\"CrossEntropyLoss\" or \"MSELoss\"".to_owned(),
                        },
                    ));
                }
            }
        }
    };
    let smoothing = section.optional("label_smoothing");
    let weights = section.optional("class_weights");
    let target = section.optional("target");
    if of_classes {
        if let Some(entry) = target {
            return entry.wrong(
                "absent with CrossEntropyLoss, whose targets are classes: write loss = \"MSELoss\"",
            );
        }
        return Ok(LossSettings::CrossEntropy {
            label_smoothing: smoothing.map_or(Ok(0.0), fraction)?,
            class_weights: weights.map_or(Ok(ClassWeights::Equal), |entry| {
                read_weights(entry, outputs)
            })?,
        });
    }
    if let Some(entry) = smoothing.or(weights) {
        return entry.wrong("absent with MSELoss, which knows no classes");
    }
    Ok(LossSettings::SquaredError {
        target: target.map_or(Ok(Target::Values), read_target)?,
    })
}

fn read_target(entry: Entry) -> Located<Target> {
    let line = entry.line;
    let found = entry.string()?;
    match found.as_str() {
        "input" => Ok(Target::Input),
        "values" => Ok(Target::Values),
        _ => Err((
            line,
            Problem::Value {
                key: "target".to_owned(),
                found: format!("{found:?}"),
                right: "\"values\" (those of the data set) or \"input\" (the sample itself)"
                    .to_owned(),
            },
        )),
    }
}

/// One weight for each of `outputs` classes, or what makes them.
fn read_weights(entry: Entry, outputs: usize) -> Located<ClassWeights> {
    const RIGHT: &str = "\"balanced\", or a list of numbers above 0, one for each class";
    if entry.is_string() {
        let line = entry.line;
        let found = entry.string()?;
        return match found.as_str() {
            "balanced" => Ok(ClassWeights::Balanced),
            _ => Err((
                line,
                Problem::Value {
                    key: "class_weights".to_owned(),
                    found: format!("{found:?}"),
                    right: RIGHT.to_owned(),
                },
            )),
        };
    }
    let line = entry.line;
    let weights = entry.list(RIGHT)?.into_iter();
    let weights = weights.map(|weight| {
        let weight = weight.number("a number above 0", |x| {
            x as f32 > 0.0 && (x as f32).is_finite()
        });
        weight.map(|x| x as f32)
    });
    let weights = weights.collect::<Located<Vec<f32>>>()?;
    match weights.len() == outputs {
        true => Ok(ClassWeights::Given(weights)),
        false => Err((
            line,
            Problem::Length {
                key: "class_weights".to_owned(),
                found: weights.len(),
                right: format!("the network ends in {outputs} outputs: give one for each class"),
            },
        )),
    }
}

/// A value that means nothing where the loss is of values.
fn only_of_classes(key: &str, found: &str, right: &str) -> Problem {
    Problem::Value {
        key: key.to_owned(),
        found: found.to_owned(),
        right: format!("{right} with MSELoss, which knows no classes"),
    }
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
