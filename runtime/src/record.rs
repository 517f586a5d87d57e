//! A node made ready to run: its operator's checked parameters, and where its tensors and weights lie.
//!
//! The check at load resolves every node once to see that it can be; a session resolves them again into
//! the arena, so that running decodes nothing.

mod int8;

pub(crate) use int8::Int8;

use kinglet_kernels::{
    Activation, Axis, Binary, Concat, Conv2d, Linear, ParamsError, Pool2d, PooledConv2d, Shape,
    StridedCopy, Unary, Upsample,
};

use crate::model::LoadError;
use crate::model::schema::{MAX_INPUTS, Node, Operator, TENSOR_ALIGN, Tensor, bits};

/// The tensors that a node reads.
pub(crate) type Inputs = heapless::Vec<Tensor, MAX_INPUTS>;

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

/// A parameter's place, in its own elements: within the file's weights, or within the workspace once packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

impl Span {
    /// The part of `values` it names. Empty if out of range, which the check at load rules out.
    pub(crate) fn of<'v, T>(&self, values: &'v [T]) -> &'v [T] {
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
    LogSoftmax {
        channels: usize,
    },
    Binary {
        params: Binary,
        operand: Region,
    },
    BinaryConstant {
        params: Binary,
        operand: Span,
    },
    ChannelAffine {
        activation: Activation,
        scale: Span,
        shift: Span,
    },
    Concat {
        params: Concat,
        /// The inputs after the first.
        others: [Region; MAX_INPUTS - 1],
    },
    Slice(StridedCopy),
    Transpose(StridedCopy),
    Pad {
        copy: StridedCopy,
        value: f32,
    },
    Upsample(Upsample),
    Reshape,
    Int8(Int8),
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
            | Self::Softmax { .. }
            | Self::LogSoftmax { .. }
            | Self::Binary { .. }
            | Self::BinaryConstant { .. }
            | Self::ChannelAffine { .. }
            | Self::Concat { .. }
            | Self::Slice(_)
            | Self::Transpose(_)
            | Self::Pad { .. }
            | Self::Upsample(_)
            | Self::Reshape
            | Self::Int8(_) => 0,
        }
    }

    /// True if the output is of 8-bit numbers.
    pub(crate) fn writes_i8(&self) -> bool {
        matches!(self, Self::Int8(operation) if !matches!(operation, Int8::Dequantize(_)))
    }

    /// Whether the values that the operation computes with are possible: those of a function, and parameters in the
    /// file's weights, `words`.
    pub(crate) fn check(&self, words: &[f32]) -> Result<(), ParamsError> {
        match self {
            Self::Unary(function) => function.check(),
            Self::Int8(operation) => operation.check(words),
            _ => Ok(()),
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

    /// True for what may stand in a trainable suffix: linear layers and functions with a way back anywhere,
    /// softmax at its end.
    pub(crate) fn trainable(&self, last: bool) -> bool {
        match self {
            Self::Linear { .. } => true,
            Self::Unary(function) => function.has_backward(),
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

/// Where the `len` parameters of type `T` of node `node` lie that begin `offset` bytes into `weights` words.
fn span<T>(node: usize, offset: u32, len: usize, weights: usize) -> Result<Span, LoadError> {
    let offset = offset as usize;
    let end = offset.saturating_add(len.saturating_mul(size_of::<T>()));
    if offset.is_multiple_of(TENSOR_ALIGN) && end <= weights.saturating_mul(4) {
        Ok(Span {
            offset: offset / size_of::<T>(),
            len,
        })
    } else {
        Err(LoadError::Weights { node })
    }
}

/// The concatenation of `inputs`, and where those after the first lie.
fn concat(
    axis: Axis,
    inputs: &[Tensor],
) -> Result<(Concat, [Region; MAX_INPUTS - 1]), ParamsError> {
    let mut shapes = [Shape::default(); MAX_INPUTS];
    for (shape, input) in shapes.iter_mut().zip(inputs) {
        *shape = input.shape;
    }
    let params = Concat::new(axis, shapes.get(..inputs.len()).unwrap_or_default())?;
    let mut others = [Region { offset: 0, len: 0 }; MAX_INPUTS - 1];
    for (region, other) in others.iter_mut().zip(inputs.iter().skip(1)) {
        *region = Region::of(other);
    }
    Ok((params, others))
}

/// True if the element types of `inputs` and `output`, and what their numbers mean, are those `operator` takes.
fn types_fit(operator: &Operator, inputs: &[Tensor], output: &Tensor) -> bool {
    let is_i8 = |tensor: &Tensor| tensor.dtype.quantization().is_some();
    inputs
        .iter()
        .all(|input| is_i8(input) == operator.reads_i8())
        && is_i8(output) == operator.writes_i8()
        && (!operator.keeps_quantization() || inputs.iter().all(|i| i.dtype == output.dtype))
}

/// Resolves node number `index`, which reads `inputs` and writes `output`, in a file with `weights` elements
/// of parameters. Each arm is behind its bit of `OPS`, so that no operator outside of it is linked: its nodes are
/// refused.
pub(crate) fn resolve<const OPS: u64>(
    index: usize,
    node: &Node,
    inputs: &[Tensor],
    output: &Tensor,
    weights: usize,
) -> Result<Record, LoadError> {
    let unknown = LoadError::Operator {
        node: index,
        name: node.operator.name(),
    };
    if node.operator.bit() & OPS == 0 {
        return Err(unknown);
    }
    let mismatch = LoadError::Shape { node: index };
    let (input, others) = inputs.split_first().ok_or(mismatch)?;
    let as_many_as_it_takes = match node.operator {
        Operator::ConcatF32 { .. } | Operator::ConcatI8 { .. } => true,
        Operator::BinaryF32 { .. } | Operator::AddI8 { .. } => others.len() == 1,
        _ => others.is_empty(),
    };
    if !as_many_as_it_takes {
        return Err(mismatch);
    }
    let params = |reason| LoadError::Params {
        node: index,
        reason,
    };
    if !types_fit(&node.operator, inputs, output) {
        return Err(LoadError::DType { node: index });
    }
    let span = |offset, len| span::<f32>(index, offset, len, weights);
    let bias_span = |offset: Option<u32>, len| offset.map(|o| span(o, len)).transpose();

    let (operation, shape) = match node.operator {
        Operator::Conv2dF32 {
            window,
            groups,
            activation,
            weights,
            bias,
        } if OPS & bits::CONV2D_F32 != 0 => {
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
        } if OPS & bits::CONV2D_MAX_POOL2D_F32 != 0 => {
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
        } if OPS & bits::LINEAR_F32 != 0 => {
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
        Operator::MaxPool2dF32 { window, rounding } if OPS & bits::MAX_POOL2D_F32 != 0 => {
            let params =
                Pool2d::new(input.shape, window, rounding, Default::default()).map_err(params)?;
            (Operation::MaxPool2d(params), params.output())
        }
        Operator::AvgPool2dF32 {
            window,
            rounding,
            count_padding,
        } if OPS & bits::AVG_POOL2D_F32 != 0 => {
            let params =
                Pool2d::new(input.shape, window, rounding, count_padding).map_err(params)?;
            (Operation::AvgPool2d(params), params.output())
        }
        Operator::SoftmaxF32 if OPS & bits::SOFTMAX_F32 != 0 => (
            Operation::Softmax {
                channels: input.shape.channels,
            },
            input.shape,
        ),
        Operator::LogSoftmaxF32 if OPS & bits::LOG_SOFTMAX_F32 != 0 => (
            Operation::LogSoftmax {
                channels: input.shape.channels,
            },
            input.shape,
        ),
        Operator::BinaryF32 {
            function,
            activation,
        } if OPS & bits::BINARY_F32 != 0 => {
            let operand = others.first().ok_or(mismatch)?;
            let params =
                Binary::new(function, activation, input.shape, operand.shape).map_err(params)?;
            let operand = Region::of(operand);
            (Operation::Binary { params, operand }, input.shape)
        }
        Operator::BinaryConstantF32 {
            function,
            activation,
            shape,
            operand,
        } if OPS & bits::BINARY_CONSTANT_F32 != 0 => {
            let params = Binary::new(function, activation, input.shape, shape).map_err(params)?;
            let operand = span(operand, params.operand_len())?;
            (Operation::BinaryConstant { params, operand }, input.shape)
        }
        Operator::ChannelAffineF32 {
            activation,
            scale,
            shift,
        } if OPS & bits::CHANNEL_AFFINE_F32 != 0 => {
            let operation = Operation::ChannelAffine {
                activation,
                scale: span(scale, input.shape.channels)?,
                shift: span(shift, input.shape.channels)?,
            };
            (operation, input.shape)
        }
        Operator::ConcatF32 { axis } if OPS & bits::CONCAT_F32 != 0 => {
            let (params, others) = concat(axis, inputs).map_err(params)?;
            (Operation::Concat { params, others }, params.output())
        }
        Operator::SliceF32 { start, step } if OPS & bits::SLICE_F32 != 0 => {
            let copy =
                StridedCopy::slice(input.shape, start, step, output.shape).map_err(params)?;
            (Operation::Slice(copy), output.shape)
        }
        Operator::TransposeF32 { order } if OPS & bits::TRANSPOSE_F32 != 0 => {
            let copy = StridedCopy::transpose(input.shape, order).map_err(params)?;
            let shape = kinglet_kernels::params::transposed(input.shape, order);
            (Operation::Transpose(copy), shape)
        }
        Operator::PadF32 { before, value } if OPS & bits::PAD_F32 != 0 => {
            let copy = StridedCopy::place(input.shape, before, output.shape).map_err(params)?;
            (Operation::Pad { copy, value }, output.shape)
        }
        Operator::UpsampleF32 { factor_h, factor_w } if OPS & bits::UPSAMPLE_F32 != 0 => {
            let (factor_h, factor_w) = (factor_h as usize, factor_w as usize);
            let params = Upsample::new(input.shape, factor_h, factor_w).map_err(params)?;
            (Operation::Upsample(params), params.output())
        }
        Operator::ReshapeF32 if OPS & bits::RESHAPE_F32 != 0 => {
            if input.shape.len() != output.shape.len() {
                return Err(mismatch);
            }
            (Operation::Reshape, output.shape)
        }
        ref operator => match operator.unary() {
            Some(function) => (Operation::Unary(function), input.shape),
            None if OPS & bits::INT8 != 0 => {
                let (operation, shape) =
                    int8::resolve::<OPS>(index, operator, inputs, output, weights)?;
                (Operation::Int8(operation), shape)
            }
            None => return Err(unknown),
        },
    };
    if shape != output.shape {
        return Err(mismatch);
    }
    Ok(Record {
        operation,
        input: Region::of(input),
        output: Region::of(output),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record for each node lies in the arena of a microcontroller: no operation is larger than the joined
    /// convolution and pool, which came first.
    #[test]
    fn the_joined_convolution_is_the_largest_operation() {
        let joined = size_of::<(PooledConv2d, Span, Option<Span>)>();
        let word = size_of::<usize>();
        assert!(size_of::<Operation>() <= joined + 2 * word);
        assert_eq!(
            size_of::<Record>(),
            size_of::<Operation>() + 2 * size_of::<Region>()
        );
    }
}
