//! A node made ready to run: its operator's checked parameters, and where its tensors and weights lie.
//!
//! The check at load resolves every node once to see that it can be; a session resolves them again into
//! the arena, so that running decodes nothing.

use kinglet_kernels::{Conv2d, Linear, Pool2d, PooledConv2d, Shape, Unary};

use crate::model::LoadError;
use crate::model::schema::{Node, Operator, TENSOR_ALIGN, Tensor};

/// A tensor's place in the arena, in bytes, for one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

impl Region {
    pub(crate) fn of(tensor: &Tensor) -> Self {
        Self {
            offset: tensor.offset as usize,
            len: tensor.bytes(),
        }
    }

    pub(crate) fn end(&self) -> usize {
        self.offset.saturating_add(self.len)
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.offset < other.end() && other.offset < self.end()
    }
}

/// A parameter's place, in elements: within the file's weights, or within the workspace once packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

impl Span {
    /// The part of `values` it names. Empty if out of range, which the check at load rules out.
    pub(crate) fn of<'v>(&self, values: &'v [f32]) -> &'v [f32] {
        values
            .get(self.offset..self.offset.saturating_add(self.len))
            .unwrap_or_default()
    }
}

/// What a record computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Operation {
    Conv2d {
        params: Conv2d,
        weights: Span,
        /// True when `weights` are in the workspace, in the kernel set's own order.
        packed: bool,
        bias: Option<Span>,
    },
    PooledConv2d {
        params: PooledConv2d,
        weights: Span,
        /// As for a convolution alone.
        packed: bool,
        bias: Option<Span>,
    },
    Linear {
        params: Linear,
        weights: Span,
        bias: Option<Span>,
    },
    MaxPool2d(Pool2d),
    AvgPool2d(Pool2d),
    Unary(Unary),
    Softmax {
        channels: usize,
    },
}

impl Operation {
    /// Bytes of scratch this operation may use on a microcontroller, as `FORMAT.md` promises: none yet.
    pub(crate) fn scratch_bytes(&self) -> usize {
        match self {
            Self::Conv2d { .. }
            | Self::PooledConv2d { .. }
            | Self::Linear { .. }
            | Self::MaxPool2d(_)
            | Self::AvgPool2d(_)
            | Self::Unary(_)
            | Self::Softmax { .. } => 0,
        }
    }

    /// The convolution, alone or with a pool.
    #[cfg(feature = "opencl")]
    pub(crate) fn conv2d(&self) -> Option<&Conv2d> {
        match self {
            Self::Conv2d { params, .. } => Some(params),
            Self::PooledConv2d { params, .. } => Some(params.conv()),
            _ => None,
        }
    }

    /// The convolution, with its weights and whether they are packed.
    pub(crate) fn convolution(&mut self) -> Option<(&Conv2d, &mut Span, &mut bool)> {
        match self {
            Self::Conv2d {
                params,
                weights,
                packed,
                ..
            } => Some((params, weights, packed)),
            Self::PooledConv2d {
                params,
                weights,
                packed,
                ..
            } => Some((params.conv(), weights, packed)),
            _ => None,
        }
    }

    /// Where weights and bias lie, if the operation has any.
    pub(crate) fn spans(&self) -> Option<(Span, Option<Span>)> {
        match self {
            Self::Conv2d { weights, bias, .. }
            | Self::PooledConv2d { weights, bias, .. }
            | Self::Linear { weights, bias, .. } => Some((*weights, *bias)),
            _ => None,
        }
    }

    /// Trainable parameters: weights and bias.
    pub(crate) fn parameters(&self) -> usize {
        self.spans().map_or(0, |(weights, bias)| {
            weights.len.saturating_add(bias.map_or(0, |b| b.len))
        })
    }

    /// True for what may stand in a trainable suffix: linear layers and element-wise functions anywhere,
    /// softmax at its end.
    pub(crate) fn trainable(&self, last: bool) -> bool {
        match self {
            Self::Linear { .. } | Self::Unary(_) => true,
            Self::Softmax { .. } => last,
            _ => false,
        }
    }
}

/// One node, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Record {
    pub(crate) operation: Operation,
    pub(crate) input: Region,
    pub(crate) output: Region,
}

/// Resolves node number `index`, which reads `input` and writes `output`, in a file with `weights` elements
/// of parameters.
pub(crate) fn resolve(
    index: usize,
    node: &Node,
    input: &Tensor,
    output: &Tensor,
    weights: usize,
) -> Result<Record, LoadError> {
    let params = |reason| LoadError::Params {
        node: index,
        reason,
    };
    let span = |offset: u32, len: usize| {
        let offset = offset as usize;
        let span = Span {
            offset: offset / 4,
            len,
        };
        if offset.is_multiple_of(TENSOR_ALIGN) && span.offset.saturating_add(len) <= weights {
            Ok(span)
        } else {
            Err(LoadError::Weights { node: index })
        }
    };
    let bias_span = |offset: Option<u32>, len| offset.map(|o| span(o, len)).transpose();

    let (operation, shape) = match node.operator {
        Operator::Conv2dF32 {
            window,
            groups,
            activation,
            weights,
            bias,
        } => {
            let out_channels = output.shape.channels;
            let params = Conv2d::new(
                input.shape,
                out_channels,
                window,
                groups as usize,
                activation,
            )
            .map_err(params)?;
            let operation = Operation::Conv2d {
                params,
                weights: span(weights, params.weights_len())?,
                packed: false,
                bias: bias_span(bias, out_channels)?,
            };
            (operation, params.output())
        }
        Operator::Conv2dMaxPool2dF32 {
            window,
            groups,
            activation,
            weights,
            bias,
            pool,
            rounding,
        } => {
            let channels = output.shape.channels;
            let conv = Conv2d::new(input.shape, channels, window, groups as usize, activation)
                .map_err(params)?;
            let params = PooledConv2d::new(conv, pool, rounding).map_err(params)?;
            let operation = Operation::PooledConv2d {
                params,
                weights: span(weights, conv.weights_len())?,
                packed: false,
                bias: bias_span(bias, channels)?,
            };
            (operation, params.output())
        }
        Operator::LinearF32 {
            activation,
            weights,
            bias,
        } => {
            let out_features = output.shape.len();
            let params =
                Linear::new(input.shape.len(), out_features, activation).map_err(params)?;
            let operation = Operation::Linear {
                params,
                weights: span(weights, params.weights_len())?,
                bias: bias_span(bias, out_features)?,
            };
            (operation, Shape::vector(out_features))
        }
        Operator::MaxPool2dF32 { window, rounding } => {
            let params =
                Pool2d::new(input.shape, window, rounding, Default::default()).map_err(params)?;
            (Operation::MaxPool2d(params), params.output())
        }
        Operator::AvgPool2dF32 {
            window,
            rounding,
            count_padding,
        } => {
            let params =
                Pool2d::new(input.shape, window, rounding, count_padding).map_err(params)?;
            (Operation::AvgPool2d(params), params.output())
        }
        Operator::SoftmaxF32 => (
            Operation::Softmax {
                channels: input.shape.channels,
            },
            input.shape,
        ),
        Operator::ReluF32 => (Operation::Unary(Unary::Relu), input.shape),
        Operator::Relu6F32 => (Operation::Unary(Unary::Relu6), input.shape),
        Operator::LeakyReluF32 { slope } => {
            (Operation::Unary(Unary::LeakyRelu { slope }), input.shape)
        }
        Operator::SigmoidF32 => (Operation::Unary(Unary::Sigmoid), input.shape),
        Operator::TanhF32 => (Operation::Unary(Unary::Tanh), input.shape),
    };
    if shape != output.shape {
        return Err(LoadError::Shape { node: index });
    }
    Ok(Record {
        operation,
        input: Region::of(input),
        output: Region::of(output),
    })
}
