//! What a node of a graph computes.

use kinglet::operator::{LayerI8, Owned};
use kinglet_kernels::params::transposed;
use kinglet_kernels::{
    Activation, Axis, Binary, BinaryFunction, Concat, Conv2d, Linear, ParamsError, PerAxis, Pool2d,
    PooledConv2d, Quantization, Shape, StridedCopy, TableI8, Unary, Upsample,
};

use super::Role;
use crate::quantize::Range;

/// What a node computes, with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Convolution; weights OHWI.
    Conv2d {
        /// Geometry and activation.
        params: Conv2d,
        /// `[out_channels, kernel_h, kernel_w, in_channels / groups]`.
        weights: Vec<f32>,
        /// Where the weights were 8-bit numbers, the scale of those of each output channel.
        weight_scale: Option<Vec<f32>>,
        /// `[out_channels]`.
        bias: Option<Vec<f32>>,
        /// The max pool that follows, joined with it.
        pool: Option<Pool2d>,
    },
    /// Linear layer over the input as one vector in NHWC order.
    Linear {
        /// Sizes and activation.
        params: Linear,
        /// `[out_features, in_features]`.
        weights: Vec<f32>,
        /// Where the weights were 8-bit numbers, the scale of those of each output.
        weight_scale: Option<Vec<f32>>,
        /// `[out_features]`.
        bias: Option<Vec<f32>>,
    },
    /// Largest value of each window.
    MaxPool2d(Pool2d),
    /// Mean of each window.
    AvgPool2d(Pool2d),
    /// A function of each element.
    Unary(Unary),
    /// Softmax over the channels.
    Softmax,
    /// Logarithm of softmax over the channels.
    LogSoftmax,
    /// `scale * x + shift`, channel by channel: what batch normalization is once trained.
    ChannelAffine {
        /// Applied to each output.
        activation: Activation,
        /// Factor of each channel.
        scale: Vec<f32>,
        /// Added to each channel.
        shift: Vec<f32>,
    },
    /// A function of each element of the first input and the element of the second at its place.
    Binary {
        /// Of an element and its operand.
        function: BinaryFunction,
        /// Applied to each output.
        activation: Activation,
    },
    /// The same with an operand that is the network's.
    BinaryConstant {
        /// Of an element and its operand.
        function: BinaryFunction,
        /// Applied to each output.
        activation: Activation,
        /// The input's shape, or 1 along any axis.
        shape: Shape,
        /// The operand, in that shape.
        operand: Vec<f32>,
    },
    /// The inputs one after the other.
    Concat {
        /// Along which axis.
        axis: Axis,
    },
    /// Every `step`-th row, column and channel from `start` on.
    Slice {
        /// The first.
        start: PerAxis,
        /// From one to the next.
        step: PerAxis,
        /// How many.
        output: Shape,
    },
    /// The input within a larger tensor.
    Pad {
        /// Rows above, columns to the left, channels before.
        before: PerAxis,
        /// Rows below, columns to the right, channels behind.
        after: PerAxis,
        /// What surrounds the input.
        value: f32,
    },
    /// Each row and column repeated.
    Upsample {
        /// How often each row.
        factor_h: usize,
        /// How often each column.
        factor_w: usize,
    },
    /// The axes in another order.
    Transpose {
        /// Which axis of the input becomes height, width and channels of the output.
        order: [Axis; 3],
    },
    /// The same elements, in the same order, in another shape.
    Reshape {
        /// The output's shape.
        output: Shape,
    },
    /// The 8-bit numbers nearest to real ones. What follows up to a [`Dequantize`](Self::Dequantize) reads
    /// them as numbers: those operations that copy, or take a maximum, and those of [`Int8`](Self::Int8).
    Quantize(Quantization),
    /// What 8-bit numbers mean.
    Dequantize(Quantization),
    /// An operation on 8-bit numbers.
    Int8 {
        /// What it computes.
        operation: Int8Operation,
        /// What the numbers of its output mean.
        output: Quantization,
    },
    /// Batch normalization in training.
    BatchNorm2d(BatchNorm2d),
    /// Sets values to 0 in training, and passes them on otherwise.
    Dropout {
        /// Of a value to be set to 0.
        probability: f32,
        /// What falls as a whole.
        granularity: Granularity,
    },
    /// Rounds values as 8-bit numbers do, for training.
    FakeQuantize(FakeQuantize),
    /// Passes its input on.
    Identity,
}

/// Rounding to the nearest of 256 real numbers, which training puts where the values are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FakeQuantize {
    /// The smallest and the largest number; both 0 before any was seen.
    pub range: [f32; 2],
    /// Weight of the newest batch in the range.
    pub momentum: f32,
}

impl FakeQuantize {
    /// What the numbers mean.
    pub(crate) fn quantization(&self) -> Quantization {
        let [low, high] = self.range;
        Range::new(low, high).quantization()
    }
}

/// Batch normalization: `(x - mean) / sqrt(variance + epsilon) * weight + bias` channel by channel, in training with the
/// batch's own mean and variance.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNorm2d {
    /// Factor of each channel.
    pub weights: Vec<f32>,
    /// Added to each channel.
    pub bias: Vec<f32>,
    /// Running mean of each channel.
    pub mean: Vec<f32>,
    /// Running variance of each channel.
    pub variance: Vec<f32>,
    /// Added to the variance.
    pub epsilon: f32,
    /// Weight of the newest batch in the running statistics.
    pub momentum: f32,
}

impl BatchNorm2d {
    /// Of so many channels, to be given values.
    pub fn zeroed(channels: usize, epsilon: f32, momentum: f32) -> Self {
        let zeros = || vec![0.0; channels];
        Self {
            weights: zeros(),
            bias: zeros(),
            mean: zeros(),
            variance: zeros(),
            epsilon,
            momentum,
        }
    }

    /// What it computes with its running statistics.
    pub fn to_affine(&self) -> Operation {
        let pairs = self.weights.iter().zip(&self.variance);
        let scale: Vec<f32> = pairs.map(|(w, v)| w / (v + self.epsilon).sqrt()).collect();
        let pairs = self.bias.iter().zip(&self.mean).zip(&scale);
        Operation::ChannelAffine {
            activation: Activation::Identity,
            shift: pairs.map(|((b, m), s)| b - m * s).collect(),
            scale,
        }
    }
}

/// What dropout drops as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// Each value by itself.
    Value,
    /// A channel at every position.
    Channel,
}

/// An operation on 8-bit numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Int8Operation {
    /// Convolution; the bounds of the output stand for an activation.
    Conv2d {
        /// Geometry.
        params: Conv2d,
        /// Weights OHWI and what goes with them.
        layer: LayerI8<Owned>,
        /// Smallest and largest number of the output.
        bounds: (i8, i8),
    },
    /// Linear layer over the input as one vector.
    Linear {
        /// Sizes.
        params: Linear,
        /// Weights `[out_features, in_features]` and what goes with them.
        layer: LayerI8<Owned>,
        /// Smallest and largest number of the output.
        bounds: (i8, i8),
    },
    /// Mean of each window.
    AvgPool2d(Pool2d),
    /// Sum of two tensors of one shape.
    Add {
        /// Smallest and largest number of the output.
        bounds: (i8, i8),
    },
    /// A function of each number of the first tensor and that of the second at its place.
    Binary {
        /// Of a number and its operand.
        function: BinaryFunction,
        /// Smallest and largest number of the output.
        bounds: (i8, i8),
    },
    /// Softmax over the channels.
    Softmax,
    /// The same values as numbers of another scale or zero point.
    Requantize {
        /// Smallest and largest number of the output.
        bounds: (i8, i8),
    },
    /// Any function of each number.
    Table {
        /// What each number becomes.
        entries: TableI8,
        /// The function of real numbers that it is, where that is known and is one alone.
        function: Option<Unary>,
    },
}

impl Int8Operation {
    /// Shape of the output for inputs of the shapes `inputs`.
    fn output(&self, inputs: &[Shape]) -> Result<Shape, ParamsError> {
        let input = *inputs.first().ok_or(ParamsError::Zero)?;
        let (expected, output) = match self {
            Self::Conv2d { params, .. } => (params.input(), params.output()),
            Self::Linear { params, .. } if params.in_features() == input.len() => {
                (input, Shape::vector(params.out_features()))
            }
            Self::Linear { .. } => return Err(ParamsError::OutOfRange),
            Self::AvgPool2d(params) => (params.input(), params.output()),
            Self::Add { .. } => (*inputs.get(1).ok_or(ParamsError::Zero)?, input),
            Self::Binary { function, .. } => {
                let operand = *inputs.get(1).ok_or(ParamsError::Zero)?;
                Binary::new(*function, Activation::Identity, input, operand)?;
                (input, input)
            }
            Self::Softmax | Self::Requantize { .. } | Self::Table { .. } => (input, input),
        };
        match input == expected {
            true => Ok(output),
            false => Err(ParamsError::OutOfRange),
        }
    }
}

impl Operation {
    /// A convolution of zeros, to be given values.
    pub fn conv2d(params: Conv2d, has_bias: bool) -> Self {
        Self::Conv2d {
            weights: vec![0.0; params.weights_len()],
            weight_scale: None,
            bias: has_bias.then(|| vec![0.0; params.output().channels]),
            pool: None,
            params,
        }
    }

    /// A linear layer of zeros, to be given values.
    pub fn linear(params: Linear, has_bias: bool) -> Self {
        Self::Linear {
            weights: vec![0.0; params.weights_len()],
            weight_scale: None,
            bias: has_bias.then(|| vec![0.0; params.out_features()]),
            params,
        }
    }

    /// What training moves or records of it in this role.
    pub fn values(&self, role: Role) -> Option<&[f32]> {
        match (self, role) {
            (Self::Conv2d { weights, .. } | Self::Linear { weights, .. }, Role::Weights) => {
                Some(weights)
            }
            (Self::Conv2d { bias, .. } | Self::Linear { bias, .. }, Role::Bias) => bias.as_deref(),
            (Self::ChannelAffine { scale, .. }, Role::Weights) => Some(scale),
            (Self::ChannelAffine { shift, .. }, Role::Bias) => Some(shift),
            (Self::BatchNorm2d(of), Role::Weights) => Some(&of.weights),
            (Self::BatchNorm2d(of), Role::Bias) => Some(&of.bias),
            (Self::BatchNorm2d(of), Role::RunningMean) => Some(&of.mean),
            (Self::BatchNorm2d(of), Role::RunningVariance) => Some(&of.variance),
            (Self::FakeQuantize(of), Role::Range) => Some(&of.range),
            _ => None,
        }
    }

    /// [`Operation::values`], to be set.
    pub fn values_mut(&mut self, role: Role) -> Option<&mut [f32]> {
        match (self, role) {
            (Self::Conv2d { weights, .. } | Self::Linear { weights, .. }, Role::Weights) => {
                Some(weights)
            }
            (Self::Conv2d { bias, .. } | Self::Linear { bias, .. }, Role::Bias) => {
                bias.as_deref_mut()
            }
            (Self::ChannelAffine { scale, .. }, Role::Weights) => Some(scale),
            (Self::ChannelAffine { shift, .. }, Role::Bias) => Some(shift),
            (Self::BatchNorm2d(of), Role::Weights) => Some(&mut of.weights),
            (Self::BatchNorm2d(of), Role::Bias) => Some(&mut of.bias),
            (Self::BatchNorm2d(of), Role::RunningMean) => Some(&mut of.mean),
            (Self::BatchNorm2d(of), Role::RunningVariance) => Some(&mut of.variance),
            (Self::FakeQuantize(of), Role::Range) => Some(&mut of.range),
            _ => None,
        }
    }

    /// Number of values that training moves.
    pub fn parameters(&self) -> usize {
        let roles = [Role::Weights, Role::Bias].into_iter();
        roles
            .filter_map(|role| self.values(role))
            .map(<[f32]>::len)
            .sum()
    }

    /// What the numbers of its output mean, if they are of 8 bits; `input` is what those of its first input do.
    pub(crate) fn meaning(&self, input: Option<Quantization>) -> Option<Quantization> {
        match self {
            Self::Quantize(output) | Self::Int8 { output, .. } => Some(*output),
            Self::MaxPool2d(_)
            | Self::Concat { .. }
            | Self::Slice { .. }
            | Self::Pad { .. }
            | Self::Upsample { .. }
            | Self::Transpose { .. }
            | Self::Reshape { .. }
            | Self::Identity => input,
            _ => None,
        }
    }

    /// Multiply-accumulates of one sample.
    pub fn macs(&self) -> u64 {
        match self {
            Self::Conv2d { params, .. } => params.macs(),
            Self::Linear { params, .. } => params.weights_len() as u64,
            Self::Int8 { operation, .. } => match operation {
                Int8Operation::Conv2d { params, .. } => params.macs(),
                Int8Operation::Linear { params, .. } => params.weights_len() as u64,
                _ => 0,
            },
            _ => 0,
        }
    }

    /// Shape of the output for inputs of the shapes `inputs`, of which there is at least one.
    ///
    /// # Errors
    /// [`ParamsError`] if the parameters do not fit the inputs.
    pub fn output(&self, inputs: &[Shape]) -> Result<Shape, ParamsError> {
        let input = *inputs.first().ok_or(ParamsError::Zero)?;
        let fits = |expected: Shape| match input == expected {
            true => Ok(()),
            false => Err(ParamsError::OutOfRange),
        };
        Ok(match self {
            Self::Conv2d { params, pool, .. } => {
                fits(params.input())?;
                match pool {
                    Some(pool) => {
                        PooledConv2d::new(*params, pool.window(), pool.rounding())?.output()
                    }
                    None => params.output(),
                }
            }
            Self::Linear { params, .. } => {
                if params.in_features() != input.len() {
                    return Err(ParamsError::OutOfRange);
                }
                Shape::vector(params.out_features())
            }
            Self::MaxPool2d(params) | Self::AvgPool2d(params) => {
                fits(params.input())?;
                params.output()
            }
            Self::Unary(_)
            | Self::Softmax
            | Self::LogSoftmax
            | Self::Quantize(_)
            | Self::Dequantize(_)
            | Self::Dropout { .. }
            | Self::FakeQuantize(_)
            | Self::Identity => input,
            Self::BatchNorm2d(of) => {
                let lists = [&of.weights, &of.bias, &of.mean, &of.variance];
                if lists.iter().any(|list| list.len() != input.channels) {
                    return Err(ParamsError::OutOfRange);
                }
                input
            }
            Self::Int8 { operation, .. } => operation.output(inputs)?,
            Self::ChannelAffine { scale, shift, .. } => {
                if scale.len() != input.channels || shift.len() != input.channels {
                    return Err(ParamsError::OutOfRange);
                }
                input
            }
            Self::Binary {
                function,
                activation,
            } => {
                let operand = *inputs.get(1).ok_or(ParamsError::Zero)?;
                Binary::new(*function, *activation, input, operand)?;
                input
            }
            Self::BinaryConstant {
                function,
                activation,
                shape,
                operand,
            } => {
                Binary::new(*function, *activation, input, *shape)?;
                if operand.len() != shape.len() {
                    return Err(ParamsError::OutOfRange);
                }
                input
            }
            Self::Concat { axis } => concatenated(*axis, inputs)?,
            Self::Slice {
                start,
                step,
                output,
            } => {
                StridedCopy::slice(input, *start, *step, *output)?;
                *output
            }
            Self::Pad { before, after, .. } => {
                let extent = |axis: usize, extent: usize| {
                    let sum = before[axis].saturating_add(extent);
                    sum.saturating_add(after[axis])
                };
                let output = Shape::new(
                    extent(0, input.height),
                    extent(1, input.width),
                    extent(2, input.channels),
                );
                StridedCopy::place(input, *before, output)?;
                output
            }
            Self::Upsample { factor_h, factor_w } => {
                Upsample::new(input, *factor_h, *factor_w)?.output()
            }
            Self::Transpose { order } => {
                StridedCopy::transpose(input, *order)?;
                transposed(input, *order)
            }
            Self::Reshape { output } => {
                if output.len() != input.len() {
                    return Err(ParamsError::OutOfRange);
                }
                *output
            }
        })
    }
}

/// Shape of any number of tensors one after the other; a pass splits what is too long for one node.
fn concatenated(axis: Axis, inputs: &[Shape]) -> Result<Shape, ParamsError> {
    let (first, others) = inputs.split_first().ok_or(ParamsError::Zero)?;
    others.iter().try_fold(*first, |sum, input| {
        Ok(Concat::new(axis, &[sum, *input])?.output())
    })
}
