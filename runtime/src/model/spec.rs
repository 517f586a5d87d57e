//! A graph as a writer of model files describes it: operators with the values of their parameters, and the tensors
//! they write.

use std::string::String;
use std::vec::Vec;

use kinglet_kernels::{Quantization, Shape};

use super::schema::{DType, Source};
use crate::operator::{Operator, Owned};

/// A graph to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphSpec {
    /// The model's name.
    pub name: String,
    /// Its inputs: tensors 0, 1, ...
    pub inputs: Vec<InputSpec>,
    /// Nodes in the order they run; node `n` writes tensor `inputs + n`.
    pub nodes: Vec<NodeSpec>,
    /// Its outputs.
    pub outputs: Vec<OutputSpec>,
    /// How many nodes at the end may be trained on the device.
    pub trainable_nodes: usize,
}

/// What a tensor is, wherever it lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TensorSpec {
    /// Shape of one sample.
    pub shape: Shape,
    /// What its elements are.
    pub dtype: DType,
}

impl TensorSpec {
    /// A tensor of quantized numbers.
    pub const fn quantized(shape: Shape, quantization: Quantization) -> Self {
        let Quantization { scale, zero_point } = quantization;
        let dtype = DType::I8 { scale, zero_point };
        Self { shape, dtype }
    }
}

/// A tensor of real numbers.
impl From<Shape> for TensorSpec {
    fn from(shape: Shape) -> Self {
        let dtype = DType::F32;
        Self { shape, dtype }
    }
}

/// An input to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub tensor: TensorSpec,
    /// How it lies in the source; None if as it does here.
    pub source: Option<Source>,
    /// Mean of each channel of a picture scaled to 0..1; empty for none.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel.
    pub std: Vec<f32>,
}

impl InputSpec {
    /// An input with no more to it than a name.
    pub fn new(name: &str, tensor: impl Into<TensorSpec>) -> Self {
        Self {
            name: name.into(),
            tensor: tensor.into(),
            source: None,
            mean: Vec::new(),
            std: Vec::new(),
        }
    }
}

/// An output to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputSpec {
    /// What it is called.
    pub name: String,
    /// The number of the tensor.
    pub tensor: usize,
    /// How it lies in the source; None if as it does here.
    pub source: Option<Source>,
    /// Class names; empty for none.
    pub labels: Vec<String>,
}

impl OutputSpec {
    /// An output with no more to it than a name.
    pub fn new(name: &str, tensor: usize) -> Self {
        Self {
            name: name.into(),
            tensor,
            source: None,
            labels: Vec::new(),
        }
    }
}

/// A node to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeSpec {
    /// What it computes, with its parameters.
    pub operator: Operator<Owned>,
    /// The tensors it reads.
    pub inputs: Vec<usize>,
    /// What it writes.
    pub output: TensorSpec,
}
