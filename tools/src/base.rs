//! A trained network that training goes on from, in the place of the layers of a recipe: transfer learning.
//!
//! Whatever file it was in, it is a model here, as `kinglet import` would write it: batch normalizations are what they
//! compute with their running statistics, activations are joined with the layer before them. Checkpoints hold it whole, so
//! that a run needs the file no more.

use std::path::{Path, PathBuf};

use kinglet::LoadError;
use kinglet::model::EncodeError;
use kinglet_kernels::{Conv2d, Linear, ParamsError, Pool2d, Shape};
use serde::{Deserialize, Serialize};

use crate::array_layout::ArrayLayout;
use crate::export::{ExportError, ExportSettings, export};
use crate::graph::{Graph, Operation};
use crate::import::{ImportError, onnx, tflite};
use crate::model_file::{ModelFile, ModelFileError, is_named_as_model};
use crate::recipe::{ChannelsFirst, Normalize};

/// A trained network, and what is to become of its layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The model file's bytes.
    pub model: Vec<u8>,
    /// Outputs of a new last layer, which takes the place of the model's own.
    pub classes: Option<usize>,
    /// Which layers keep their values.
    pub frozen: Frozen,
}

/// Which layers of a trained network keep their values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frozen {
    /// None.
    #[default]
    Nothing,
    /// All up to the one of this name or number, itself included.
    Until(String),
    /// All but the last so many layers that have parameters, and what stands between those.
    AllBut(usize),
}

/// A network could not be gone on from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaseError {
    /// The model file could not be read.
    #[error(transparent)]
    File(#[from] ModelFileError),
    /// The file of another format could not be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// What was imported could not become a model.
    #[error("{}: {source}", path.display())]
    Export {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ExportError,
    },
    /// The model's bytes are damaged.
    #[error("the trained network is damaged: {0}")]
    Damaged(#[from] LoadError),
    /// The model is not a graph.
    #[error(transparent)]
    Graph(#[from] EncodeError),
    /// A network of 8-bit numbers.
    #[error(
        "{node} computes with 8-bit numbers, which training cannot move in small steps: go on from the float32 network"
    )]
    Quantized {
        /// The first such node.
        node: String,
    },
    /// No layer has the name.
    #[error("--freeze-until {name}: there is no such layer; there are {known}")]
    UnknownLayer {
        /// The name.
        name: String,
        /// Those there are.
        known: String,
    },
    /// Fewer layers than are to be trained.
    #[error("--last {wanted}: only {found} layers of this network have parameters to train")]
    TooFewLayers {
        /// Layers asked for.
        wanted: usize,
        /// Layers there are.
        found: usize,
    },
    /// Nothing is left to train.
    #[error("{0}")]
    NothingToTrain(&'static str),
    /// There is no layer that a new one could replace.
    #[error("--classes {classes}: {reason}")]
    NoHead {
        /// Outputs asked for.
        classes: usize,
        /// What is in the way.
        reason: String,
    },
    /// A network that does not end in one number for each class.
    #[error(
        "the network ends in {0} (channels, height, width), but training needs one number for each class"
    )]
    NoLogits(ChannelsFirst),
}

/// What a base comes to, ready to be trained.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Network {
    pub(crate) graph: Graph,
    /// How many of the first nodes are frozen.
    pub(crate) frozen: usize,
    /// The node that is new, and has no values yet.
    pub(crate) head: Option<usize>,
    /// How the model's pictures become numbers.
    pub(crate) normalize: Normalize,
    /// Names of its classes, unless its last layer is new.
    pub(crate) classes: Vec<String>,
}

impl Base {
    /// The network of a model, ONNX or TensorFlow Lite file as it is.
    ///
    /// # Errors
    /// [`BaseError`] if it cannot be read or imported.
    pub fn open(path: &Path) -> Result<Self, BaseError> {
        let model = match is_named_as_model(path) {
            true => ModelFile::read(path)?.bytes().to_vec(),
            false => import(path)?,
        };
        Ok(Self {
            model,
            classes: None,
            frozen: Frozen::Nothing,
        })
    }

    /// The network with its new last layer, if there is to be one, and what is frozen of it.
    ///
    /// # Errors
    /// [`BaseError`] if it has no such layers, or nothing would be trained.
    pub(crate) fn network(&self) -> Result<Network, BaseError> {
        let file = ModelFile::from_bytes(&self.model)?;
        let model = file.model();
        let mut graph = Graph::of_model(&model)?;
        let quantized = graph.nodes.iter().find(|node| {
            matches!(
                node.operation,
                Operation::Quantize(_) | Operation::Dequantize(_) | Operation::Int8 { .. }
            )
        });
        if let Some(node) = quantized {
            let node = node.name.clone();
            return Err(BaseError::Quantized { node });
        }
        let frozen = self.frozen.nodes(&graph)?;
        let head = match self.classes {
            Some(classes) => Some(replace_head(&mut graph, classes)?),
            None => None,
        };
        let trained = graph.nodes.iter().skip(frozen);
        let trained: usize = trained.map(|node| node.operation.parameters()).sum();
        if graph.parameters() == 0 {
            let reason = "no layer of this network has parameters to train";
            return Err(BaseError::NothingToTrain(reason));
        }
        if trained == 0 {
            let reason = "all layers with parameters are frozen: nothing is left to train";
            return Err(BaseError::NothingToTrain(reason));
        }
        if head.is_some_and(|head| head < frozen) {
            let reason = "the new last layer would be frozen with the values it begins with";
            return Err(BaseError::NothingToTrain(reason));
        }
        Ok(Network {
            normalize: Normalize::of_model(&model),
            classes: match head {
                Some(_) => Vec::new(),
                None => model.labels().iter().map(str::to_owned).collect(),
            },
            graph,
            frozen,
            head,
        })
    }
}

/// An ONNX or TensorFlow Lite file as a model.
fn import(path: &Path) -> Result<Vec<u8>, BaseError> {
    let graph = match tflite::is_tflite(path) {
        true => tflite::read(path, &[])?.graph,
        false => onnx::read(path, &onnx::Options::default())?.graph,
    };
    let settings = ExportSettings {
        normalize: Normalize::identity(0),
        labels: Vec::new(),
        fine_tune_last: 0,
    };
    let exported = export(graph, &settings).map_err(|source| BaseError::Export {
        path: path.to_owned(),
        source,
    })?;
    Ok(exported.0)
}

impl Frozen {
    /// How many of a graph's first nodes are frozen.
    fn nodes(&self, graph: &Graph) -> Result<usize, BaseError> {
        match self {
            Self::Nothing => Ok(0),
            Self::Until(name) => {
                let is_called = |found: &str| {
                    found == name
                        || found
                            .split_once(' ')
                            .is_some_and(|(number, _)| number == name)
                };
                // A convolution and the max pool that was joined with it have one number.
                let last = graph.nodes.iter().rposition(|node| is_called(&node.name));
                let names = || graph.nodes.iter().map(|node| node.name.as_str());
                last.map(|last| last + 1)
                    .ok_or_else(|| BaseError::UnknownLayer {
                        name: name.clone(),
                        known: names().collect::<Vec<_>>().join(", "),
                    })
            }
            Self::AllBut(wanted) => {
                let nodes = graph.nodes.iter().enumerate();
                let layers = nodes.filter(|(_, node)| node.operation.parameters() > 0);
                let layers: Vec<usize> = layers.map(|(index, _)| index).collect();
                let first = layers.len().checked_sub(*wanted);
                match first.and_then(|first| layers.get(first)) {
                    Some(first) => Ok(*first),
                    None => Err(BaseError::TooFewLayers {
                        wanted: *wanted,
                        found: layers.len(),
                    }),
                }
            }
        }
    }
}

/// Puts a new layer of `classes` outputs, without values yet, in the place of the one that makes the logits: a linear
/// layer, or a convolution with nothing but pools and functions behind it. Returns its node.
fn replace_head(graph: &mut Graph, classes: usize) -> Result<usize, BaseError> {
    let refused = |reason: String| BaseError::NoHead { classes, reason };
    let (mut value, mut behind) = (graph.logits(), Vec::new());
    let head = loop {
        let node = graph.producer(value).ok_or_else(|| {
            refused("no linear layer or convolution makes the outputs of this network".to_owned())
        })?;
        match &graph.nodes[node].operation {
            Operation::Linear { .. } | Operation::Conv2d { .. } => break node,
            Operation::Reshape { .. }
            | Operation::Identity
            | Operation::MaxPool2d(_)
            | Operation::AvgPool2d(_)
            | Operation::Unary(_) => behind.push(node),
            _ => {
                let name = &graph.nodes[node].name;
                return Err(refused(format!(
                    "{name} stands behind the last layer with weights, which then cannot have another number of outputs"
                )));
            }
        }
        value = graph.nodes[node].inputs[0];
    };
    let impossible = |error: ParamsError| refused(error.to_string());
    graph.nodes[head].operation = match &graph.nodes[head].operation {
        Operation::Conv2d { params, .. } => {
            let (input, window) = (params.input(), params.window());
            let conv = Conv2d::new(input, classes, window, params.groups(), params.activation());
            Operation::conv2d(conv.map_err(impossible)?, true)
        }
        Operation::Linear { params, .. } => {
            let linear = Linear::new(params.in_features(), classes, params.activation());
            Operation::linear(linear.map_err(impossible)?, true)
        }
        other => other.clone(),
    };
    for node in behind.into_iter().rev() {
        let shapes = graph.shapes();
        let input = shapes[graph.nodes[node].inputs[0]];
        let pool = |params: &Pool2d| {
            let (window, rounding) = (params.window(), params.rounding());
            Pool2d::new(input, window, rounding, params.count_padding()).map_err(impossible)
        };
        graph.nodes[node].operation = match &graph.nodes[node].operation {
            Operation::MaxPool2d(params) => Operation::MaxPool2d(pool(params)?),
            Operation::AvgPool2d(params) => Operation::AvgPool2d(pool(params)?),
            Operation::Reshape { .. } => Operation::Reshape {
                output: Shape::vector(input.len()),
            },
            other => other.clone(),
        };
    }
    // What else read the old outputs shows here.
    let shapes = graph.shapes();
    let fits = |node: &&crate::graph::Node| {
        let inputs: Vec<Shape> = node.inputs.iter().map(|input| shapes[*input]).collect();
        node.operation.output(&inputs).is_ok()
    };
    if let Some(node) = graph.nodes.iter().find(|node| !fits(node)) {
        let name = &node.name;
        return Err(refused(format!(
            "{name} reads the outputs of the last layer, and takes no other number of them"
        )));
    }
    let output = graph.output();
    if let Some(first) = graph.outputs.first_mut() {
        first.source = ArrayLayout::channels_first(output).source();
    }
    Ok(head)
}
