//! What a network is made of: its layers in order, each with the shapes it reads and writes.
//!
//! This is the form that a recipe becomes and that training, reports and export read. Shapes are NHWC
//! inside; a flat layer's shape is `1 x 1 x features`.

use kinglet_kernels::{Conv2d, Linear, Pool2d, Shape, Unary};

/// A network's layers in the order of the data. Adjacent layers agree in shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Shape of one picture.
    pub input: Shape,
    /// The layers; never empty.
    pub layers: Vec<Layer>,
}

/// One layer: what it computes, on what.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// The layer as the recipe has it: `Conv2d(3, 16, 3, padding=1)`.
    pub text: String,
    /// What it computes.
    pub operation: Operation,
    /// Shape of what it reads.
    pub input: Shape,
    /// Shape of what it writes.
    pub output: Shape,
}

/// Whether a layer adds a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// It has a bias for each output channel or feature.
    Yes,
    /// It has none.
    No,
}

/// What a layer computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operation {
    /// Convolution.
    Conv2d(Conv2d, Bias),
    /// Linear layer.
    Linear(Linear, Bias),
    /// Largest value of each window.
    MaxPool2d(Pool2d),
    /// Mean of each window.
    AvgPool2d(Pool2d),
    /// A function of each element.
    Unary(Unary),
    /// Softmax over the channels.
    Softmax,
    /// Batch normalization of each channel.
    BatchNorm2d {
        /// Added to the variance.
        epsilon: f32,
        /// Weight of the newest batch in the running statistics.
        momentum: f32,
    },
    /// Sets each value to 0 with this probability while training.
    Dropout(f32),
    /// Sets each channel to 0 with this probability while training.
    Dropout2d(f32),
    /// Forgets height and width; moves nothing, since channels are already innermost.
    Flatten,
}

impl Operation {
    /// The layer's name in PyTorch.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Conv2d(..) => "Conv2d",
            Self::Linear(..) => "Linear",
            Self::MaxPool2d(_) => "MaxPool2d",
            Self::AvgPool2d(_) => "AvgPool2d",
            Self::Unary(Unary::Relu) => "ReLU",
            Self::Unary(Unary::Relu6) => "ReLU6",
            Self::Unary(Unary::LeakyRelu { .. }) => "LeakyReLU",
            Self::Unary(Unary::Sigmoid) => "Sigmoid",
            Self::Unary(Unary::Tanh) => "Tanh",
            Self::Unary(Unary::Clip { .. }) => "Hardtanh",
            Self::Unary(Unary::Elu { .. }) => "ELU",
            Self::Unary(Unary::HardSigmoid { .. }) => "Hardsigmoid",
            Self::Unary(Unary::HardSwish) => "Hardswish",
            Self::Unary(Unary::Selu { .. }) => "SELU",
            Self::Unary(Unary::Swish { .. }) => "SiLU",
            Self::Unary(Unary::Softplus) => "Softplus",
            Self::Unary(Unary::Softsign) => "Softsign",
            Self::Unary(Unary::Mish) => "Mish",
            Self::Unary(Unary::Gelu) => "GELU",
            Self::Unary(Unary::GeluTanh) => "GELU(tanh)",
            Self::Unary(Unary::Erf) => "erf",
            Self::Unary(Unary::Abs) => "abs",
            Self::Unary(Unary::Exp) => "exp",
            Self::Unary(Unary::Log) => "log",
            Self::Unary(Unary::Sqrt) => "sqrt",
            Self::Unary(Unary::Power { .. }) => "pow",
            Self::Softmax => "Softmax",
            Self::BatchNorm2d { .. } => "BatchNorm2d",
            Self::Dropout(_) => "Dropout",
            Self::Dropout2d(_) => "Dropout2d",
            Self::Flatten => "Flatten",
        }
    }
}

impl Layer {
    /// Number of values that training changes.
    pub fn parameters(&self) -> usize {
        let with_bias = |weights: usize, outputs, bias| match bias {
            Bias::Yes => weights.saturating_add(outputs),
            Bias::No => weights,
        };
        match self.operation {
            Operation::Conv2d(params, bias) => {
                with_bias(params.weights_len(), self.output.channels, bias)
            }
            Operation::Linear(params, bias) => {
                with_bias(params.weights_len(), self.output.channels, bias)
            }
            Operation::BatchNorm2d { .. } => 2 * self.output.channels,
            _ => 0,
        }
    }

    /// Multiply-accumulates of one sample.
    pub fn macs(&self) -> u64 {
        match self.operation {
            Operation::Conv2d(params, _) => params.macs(),
            Operation::Linear(params, _) => params.weights_len() as u64,
            _ => 0,
        }
    }
}

impl Architecture {
    /// Shape of the last layer's output.
    pub fn output(&self) -> Shape {
        self.layers.last().map_or(self.input, |layer| layer.output)
    }

    /// Number of values that training changes.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(Layer::parameters).sum()
    }

    /// Number of leading layers that end in logits: all but a last Softmax, which the loss contains.
    pub fn logits_layers(&self) -> usize {
        let is_softmax = |layer: &&Layer| layer.operation == Operation::Softmax;
        self.layers.len() - self.layers.iter().rev().take_while(is_softmax).count()
    }
}
