//! What lies where in a network's flat vectors, and how it is called and ordered in PyTorch.

use std::ops::Range;

use kinglet_kernels::Shape;

use super::{Architecture, Bias, Operation, forgotten_shapes};

/// What a tensor is to its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Weights; of batch normalization the factor.
    Weights,
    /// Bias; of batch normalization the summand.
    Bias,
    /// Mean that batch normalization subtracts in evaluation.
    RunningMean,
    /// Variance that batch normalization divides by the root of in evaluation.
    RunningVariance,
}

impl Role {
    /// True for what is recorded rather than trained.
    pub const fn is_statistic(self) -> bool {
        matches!(self, Self::RunningMean | Self::RunningVariance)
    }

    /// PyTorch's word for it.
    const fn name(self) -> &'static str {
        match self {
            Self::Weights => "weight",
            Self::Bias => "bias",
            Self::RunningMean => "running_mean",
            Self::RunningVariance => "running_var",
        }
    }
}

/// A part of a network's parameters or statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name in PyTorch's `state_dict()`: `0.weight`, `1.running_mean`.
    pub name: String,
    /// The layer it belongs to.
    pub layer: usize,
    /// What it is to that layer.
    pub role: Role,
    /// Where it lies: in the statistics if [`Role::is_statistic`], in the parameters otherwise.
    pub range: Range<usize>,
    /// Its first extent: output channels, output features, channels.
    rows: usize,
    /// What each row spans, in the order `height, width, channels`; PyTorch's is `channels, height, width`.
    row: Shape,
    /// How many of its extents PyTorch counts.
    rank: Rank,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    Vector,
    Matrix,
    Image,
}

impl Tensor {
    /// Its shape in PyTorch.
    pub fn pytorch_shape(&self) -> Vec<usize> {
        match self.rank {
            Rank::Vector => vec![self.rows],
            Rank::Matrix => vec![self.rows, self.row.len()],
            Rank::Image => vec![
                self.rows,
                self.row.channels,
                self.row.height,
                self.row.width,
            ],
        }
    }

    /// Reorders values from PyTorch's order; both slices are of the tensor's length.
    pub fn from_pytorch(&self, values: &[f32], own: &mut [f32]) {
        for (own, place) in own.iter_mut().zip(self.pytorch_places()) {
            *own = values[place];
        }
    }

    /// Reorders values to PyTorch's order.
    pub fn to_pytorch(&self, own: &[f32]) -> Vec<f32> {
        let mut values = vec![0.0; own.len()];
        for (&own, place) in own.iter().zip(self.pytorch_places()) {
            values[place] = own;
        }
        values
    }

    /// For each value in our order, its place in PyTorch's.
    fn pytorch_places(&self) -> impl Iterator<Item = usize> + use<> {
        let Shape {
            height,
            width,
            channels,
        } = self.row;
        let rows = self.rows;
        (0..rows * height * width * channels).map(move |place| {
            let c = place % channels;
            let pixel = place / channels;
            let (row, pixel) = (pixel / (height * width), pixel % (height * width));
            (row * channels + c) * height * width + pixel
        })
    }
}

/// A tensor is missing or of another size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// No tensor has this name.
    #[error("there is no tensor {name}; known are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Another number of values.
    #[error("{name} has {found} values, but this network has {right}")]
    Length {
        /// The tensor.
        name: String,
        /// Values given.
        found: usize,
        /// Values it has.
        right: usize,
    },
}

/// The tensors of all layers, in the order of the flat vectors.
pub(super) fn of(architecture: &Architecture) -> Vec<Tensor> {
    let mut list = List::default();
    let layers = architecture
        .layers
        .iter()
        .zip(forgotten_shapes(architecture));
    for (index, (layer, forgotten)) in layers.enumerate() {
        let outputs = layer.output.channels;
        match layer.operation {
            Operation::Conv2d(params, bias) => {
                let window = params.window();
                let channels = params.input().channels / params.groups();
                let row = Shape::new(window.kernel_h, window.kernel_w, channels);
                list.push(index, Role::Weights, outputs, row, Rank::Image);
                list.push_bias(index, outputs, bias);
            }
            Operation::Linear(params, bias) => {
                let row = forgotten.unwrap_or(Shape::vector(params.in_features()));
                list.push(index, Role::Weights, outputs, row, Rank::Matrix);
                list.push_bias(index, outputs, bias);
            }
            Operation::BatchNorm2d { .. } => {
                for role in [
                    Role::Weights,
                    Role::Bias,
                    Role::RunningMean,
                    Role::RunningVariance,
                ] {
                    list.push(index, role, outputs, Shape::vector(1), Rank::Vector);
                }
            }
            _ => {}
        }
    }
    list.tensors
}

/// Tensors and the lengths of the two vectors so far.
#[derive(Default)]
struct List {
    tensors: Vec<Tensor>,
    parameters: usize,
    statistics: usize,
}

impl List {
    fn push(&mut self, layer: usize, role: Role, rows: usize, row: Shape, rank: Rank) {
        let end = if role.is_statistic() {
            &mut self.statistics
        } else {
            &mut self.parameters
        };
        let start = *end;
        *end += rows * row.len();
        self.tensors.push(Tensor {
            name: format!("{layer}.{}", role.name()),
            layer,
            role,
            range: start..*end,
            rows,
            row,
            rank,
        });
    }

    fn push_bias(&mut self, layer: usize, outputs: usize, bias: Bias) {
        if bias == Bias::Yes {
            self.push(layer, Role::Bias, outputs, Shape::vector(1), Rank::Vector);
        }
    }
}
