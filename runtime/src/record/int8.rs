//! Operators on 8-bit numbers.

use kinglet_kernels::{
    Activation, AddI8, AvgPool2dI8, Concat, Conv2d, Conv2dI8, Linear, LinearI8, ParamsError,
    Pool2d, Quantization, Requantize, RequantizeI8, Shape, SoftmaxI8, StridedCopy, Upsample,
    WeightsI8,
};

use super::{MAX_INPUTS, Region, Span, concat, span};
use crate::model::LoadError;
use crate::model::schema::{Operator, Tensor, bits};

/// What a record of 8-bit numbers computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Int8 {
    Quantize(Quantization),
    Dequantize(Quantization),
    Conv2d {
        params: Conv2dI8,
        layer: Layer,
    },
    Linear {
        params: LinearI8,
        layer: Layer,
    },
    MaxPool2d(Pool2d),
    AvgPool2d(AvgPool2dI8),
    Add {
        params: AddI8,
        operand: Region,
    },
    Softmax(SoftmaxI8),
    Requantize(RequantizeI8),
    Reshape,
    Pad {
        copy: StridedCopy,
        value: i8,
    },
    Concat {
        params: Concat,
        /// The inputs after the first.
        others: [Region; MAX_INPUTS - 1],
    },
    Slice(StridedCopy),
    Transpose(StridedCopy),
    Upsample(Upsample),
}

/// Where the parameters of a layer lie in the file's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layer {
    weights: Span,
    bias: Option<Span>,
    scale: Span,
}

impl Layer {
    /// The parameters, as parts of the file's weights.
    pub(crate) fn of<'w>(&self, words: &'w [f32]) -> WeightsI8<'w> {
        // Words are bytes, and words of another kind: no cast fails.
        let bytes = bytemuck::try_cast_slice(words).unwrap_or_default();
        let integers = bytemuck::try_cast_slice(words).unwrap_or_default();
        WeightsI8 {
            weights: self.weights.of(bytes),
            bias: self.bias.map(|bias| bias.of(integers)),
            scale: self.scale.of(words),
        }
    }
}

impl Int8 {
    /// Whether the values of the operation's parameters are possible.
    pub(super) fn check(&self, words: &[f32]) -> Result<(), ParamsError> {
        match self {
            Self::Conv2d { params, layer } => layer.of(words).check(params.geometry().taps()),
            Self::Linear { params, layer } => {
                layer.of(words).check(params.geometry().in_features())
            }
            _ => Ok(()),
        }
    }
}

/// Resolves `operator` of node number `index`, which reads `inputs`, at least one, and writes `output`; returns the
/// shape that it gives. Element types have been found to fit. Each arm is behind its bit of `OPS`.
pub(super) fn resolve<const OPS: u64>(
    index: usize,
    operator: &Operator,
    inputs: &[Tensor],
    output: &Tensor,
    weights: usize,
) -> Result<(Int8, Shape), LoadError> {
    let mismatch = LoadError::Shape { node: index };
    let params = |reason| LoadError::Params {
        node: index,
        reason,
    };
    let (input, others) = inputs.split_first().ok_or(mismatch)?;
    let quantization = |tensor: &Tensor| {
        let quantization = tensor.dtype.quantization();
        quantization.ok_or(LoadError::DType { node: index })
    };
    let requantize = |low, high| {
        let zero_point = quantization(output)?.zero_point;
        Requantize::new(zero_point, low, high).map_err(params)
    };
    let layer = |weights_len, weights_at, bias: Option<u32>, scale| {
        let channels = output.shape.channels;
        let bias = bias.map(|bias| span::<i32>(index, bias, channels, weights));
        Ok(Layer {
            weights: span::<i8>(index, weights_at, weights_len, weights)?,
            bias: bias.transpose()?,
            scale: span::<f32>(index, scale, channels, weights)?,
        })
    };
    Ok(match *operator {
        Operator::QuantizeI8 if OPS & bits::QUANTIZE_I8 != 0 => {
            (Int8::Quantize(quantization(output)?), input.shape)
        }
        Operator::DequantizeI8 if OPS & bits::DEQUANTIZE_I8 != 0 => {
            (Int8::Dequantize(quantization(input)?), input.shape)
        }
        Operator::Conv2dI8 {
            window,
            groups,
            low,
            high,
            weights,
            bias,
            scale,
        } if OPS & bits::CONV2D_I8 != 0 => {
            let channels = output.shape.channels;
            let (groups, none) = (groups as usize, Activation::Identity);
            let geometry =
                Conv2d::new(input.shape, channels, window, groups, none).map_err(params)?;
            let zero_point = quantization(input)?.zero_point;
            let params =
                Conv2dI8::new(geometry, zero_point, requantize(low, high)?).map_err(params)?;
            let layer = layer(geometry.weights_len(), weights, bias, scale)?;
            (Int8::Conv2d { params, layer }, geometry.output())
        }
        Operator::LinearI8 {
            low,
            high,
            weights,
            bias,
            scale,
        } if OPS & bits::LINEAR_I8 != 0 => {
            let features = output.shape.len();
            if output.shape != Shape::vector(features) {
                return Err(mismatch);
            }
            let geometry =
                Linear::new(input.shape.len(), features, Activation::Identity).map_err(params)?;
            let zero_point = quantization(input)?.zero_point;
            let params =
                LinearI8::new(geometry, zero_point, requantize(low, high)?).map_err(params)?;
            let layer = layer(geometry.weights_len(), weights, bias, scale)?;
            (Int8::Linear { params, layer }, output.shape)
        }
        Operator::MaxPool2dI8 { window, rounding } if OPS & bits::MAX_POOL2D_I8 != 0 => {
            let pool =
                Pool2d::new(input.shape, window, rounding, Default::default()).map_err(params)?;
            (Int8::MaxPool2d(pool), pool.output())
        }
        Operator::AvgPool2dI8 {
            window,
            rounding,
            count_padding,
        } if OPS & bits::AVG_POOL2D_I8 != 0 => {
            let geometry =
                Pool2d::new(input.shape, window, rounding, count_padding).map_err(params)?;
            let pool = AvgPool2dI8::new(geometry, quantization(input)?, quantization(output)?);
            (Int8::AvgPool2d(pool.map_err(params)?), geometry.output())
        }
        Operator::AddI8 { low, high } if OPS & bits::ADD_I8 != 0 => {
            let operand = others.first().ok_or(mismatch)?;
            if operand.shape != input.shape {
                return Err(mismatch);
            }
            let params = AddI8::new(
                quantization(input)?,
                quantization(operand)?,
                quantization(output)?,
                (low, high),
            )
            .map_err(params)?;
            let operand = Region::of(operand);
            (Int8::Add { params, operand }, input.shape)
        }
        Operator::SoftmaxI8 if OPS & bits::SOFTMAX_I8 != 0 => {
            let (from, to) = (quantization(input)?, quantization(output)?);
            let params = SoftmaxI8::new(input.shape, from, to).map_err(params)?;
            (Int8::Softmax(params), input.shape)
        }
        Operator::RequantizeI8 { low, high } if OPS & bits::REQUANTIZE_I8 != 0 => {
            let (from, to) = (quantization(input)?, quantization(output)?);
            let params = RequantizeI8::new(from, to, (low, high)).map_err(params)?;
            (Int8::Requantize(params), input.shape)
        }
        Operator::ReshapeI8 if OPS & bits::RESHAPE_I8 != 0 => {
            if input.shape.len() != output.shape.len() {
                return Err(mismatch);
            }
            (Int8::Reshape, output.shape)
        }
        Operator::PadI8 { before, value } if OPS & bits::PAD_I8 != 0 => {
            let copy = StridedCopy::place(input.shape, before, output.shape).map_err(params)?;
            (Int8::Pad { copy, value }, output.shape)
        }
        Operator::ConcatI8 { axis } if OPS & bits::CONCAT_I8 != 0 => {
            let (params, others) = concat(axis, inputs).map_err(params)?;
            (Int8::Concat { params, others }, params.output())
        }
        Operator::SliceI8 { start, step } if OPS & bits::SLICE_I8 != 0 => {
            let copy =
                StridedCopy::slice(input.shape, start, step, output.shape).map_err(params)?;
            (Int8::Slice(copy), output.shape)
        }
        Operator::TransposeI8 { order } if OPS & bits::TRANSPOSE_I8 != 0 => {
            let copy = StridedCopy::transpose(input.shape, order).map_err(params)?;
            let shape = kinglet_kernels::params::transposed(input.shape, order);
            (Int8::Transpose(copy), shape)
        }
        Operator::UpsampleI8 { factor_h, factor_w } if OPS & bits::UPSAMPLE_I8 != 0 => {
            let (factor_h, factor_w) = (factor_h as usize, factor_w as usize);
            let params = Upsample::new(input.shape, factor_h, factor_w).map_err(params)?;
            (Int8::Upsample(params), params.output())
        }
        _ => {
            return Err(LoadError::Operator {
                node: index,
                name: operator.name(),
            });
        }
    })
}
