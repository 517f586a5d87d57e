//! Operators on 8-bit numbers, from description to file.

use kinglet_kernels::{Activation, Conv2d, Linear, Pool2d, Shape};

use super::{DType, EncodeError, LoadError, Operator, Weights};
use crate::model::spec::{Int8Spec, LayerI8};

/// Where the parameters of a layer have been put.
struct Places {
    weights: u32,
    bias: Option<u32>,
    scale: u32,
}

impl Weights {
    fn put_layer(
        &mut self,
        node: usize,
        layer: &LayerI8,
        (weights, channels): (usize, usize),
    ) -> Result<Places, EncodeError> {
        let LayerI8 {
            weights: numbers,
            bias,
            scale,
            ..
        } = layer;
        let weights = self.put(node, numbers, weights)?;
        let bias = bias.as_ref().map(|bias| self.put(node, bias, channels));
        Ok(Places {
            weights,
            bias: bias.transpose()?,
            scale: self.put(node, scale, channels)?,
        })
    }

    /// As [`write`](Self::write), for an operator whose output is quantized as it says.
    pub(super) fn write_int8(
        &mut self,
        node: usize,
        spec: &Int8Spec,
        input: Shape,
    ) -> Result<(Operator, Shape, DType), EncodeError> {
        let params = |reason| EncodeError::Refused(LoadError::Params { node, reason });
        Ok(match spec {
            Int8Spec::Quantize { output } => (Operator::QuantizeI8, input, (*output).into()),
            Int8Spec::Dequantize => (Operator::DequantizeI8, input, DType::F32),
            Int8Spec::Conv2d {
                window,
                groups,
                out_channels,
                layer,
                output,
            } => {
                let none = Activation::Identity;
                let conv =
                    Conv2d::new(input, *out_channels, *window, *groups, none).map_err(params)?;
                let lengths = (conv.weights_len(), *out_channels);
                let Places {
                    weights,
                    bias,
                    scale,
                } = self.put_layer(node, layer, lengths)?;
                let (low, high) = layer.bounds;
                let operator = Operator::Conv2dI8 {
                    window: *window,
                    groups: *groups as u32,
                    low,
                    high,
                    weights,
                    bias,
                    scale,
                };
                (operator, conv.output(), (*output).into())
            }
            Int8Spec::Linear {
                out_features,
                layer,
                output,
            } => {
                let linear = Linear::new(input.len(), *out_features, Activation::Identity)
                    .map_err(params)?;
                let lengths = (linear.weights_len(), *out_features);
                let Places {
                    weights,
                    bias,
                    scale,
                } = self.put_layer(node, layer, lengths)?;
                let (low, high) = layer.bounds;
                let operator = Operator::LinearI8 {
                    low,
                    high,
                    weights,
                    bias,
                    scale,
                };
                (operator, Shape::vector(*out_features), (*output).into())
            }
            Int8Spec::AvgPool2d {
                window,
                rounding,
                count_padding,
                output,
            } => {
                let pool =
                    Pool2d::new(input, *window, *rounding, *count_padding).map_err(params)?;
                let operator = Operator::AvgPool2dI8 {
                    window: *window,
                    rounding: *rounding,
                    count_padding: *count_padding,
                };
                (operator, pool.output(), (*output).into())
            }
            Int8Spec::Add {
                bounds: (low, high),
                output,
            } => {
                let (low, high) = (*low, *high);
                (Operator::AddI8 { low, high }, input, (*output).into())
            }
            Int8Spec::Softmax { output } => (Operator::SoftmaxI8, input, (*output).into()),
            Int8Spec::Requantize {
                bounds: (low, high),
                output,
            } => {
                let (low, high) = (*low, *high);
                (
                    Operator::RequantizeI8 { low, high },
                    input,
                    (*output).into(),
                )
            }
        })
    }
}
