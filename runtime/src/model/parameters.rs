//! From an operator as it is described to one as the file has it: its parameters go to the weights, and their
//! places into the operator.

mod int8;

use std::vec::Vec;

use kinglet_kernels::params::transposed;
use kinglet_kernels::{
    Concat, Conv2d, CountPadding, Linear, Pool2d, PooledConv2d, Shape, Unary, Upsample,
};

use super::LoadError;
use super::encode::EncodeError;
use super::schema::{DType, Operator, TENSOR_ALIGN, Tensor};
use super::spec::OperatorSpec;

/// The parameters of all nodes, each at a multiple of [`TENSOR_ALIGN`]. The last are never 8-bit weights, which scales
/// follow: they end with a whole word.
#[derive(Default)]
pub(super) struct Weights {
    pub(super) bytes: Vec<u8>,
}

/// A type of parameters.
trait Parameter: Copy {
    /// Its bytes in the file.
    fn bytes(self) -> impl Iterator<Item = u8>;
}

impl Parameter for f32 {
    fn bytes(self) -> impl Iterator<Item = u8> {
        self.to_le_bytes().into_iter()
    }
}

impl Parameter for i32 {
    fn bytes(self) -> impl Iterator<Item = u8> {
        self.to_le_bytes().into_iter()
    }
}

impl Parameter for i8 {
    fn bytes(self) -> impl Iterator<Item = u8> {
        self.to_le_bytes().into_iter()
    }
}

impl Weights {
    /// Stores `values`, of which there should be `expected`; returns where they begin.
    fn put<T: Parameter>(
        &mut self,
        node: usize,
        values: &[T],
        expected: usize,
    ) -> Result<u32, EncodeError> {
        if values.len() != expected {
            return Err(EncodeError::Parameters {
                node,
                expected,
                found: values.len(),
            });
        }
        let start = self.bytes.len().next_multiple_of(TENSOR_ALIGN);
        self.bytes.resize(start, 0);
        self.bytes
            .extend(values.iter().flat_map(|value| value.bytes()));
        EncodeError::word(start)
    }

    fn put_bias(
        &mut self,
        node: usize,
        bias: &Option<Vec<f32>>,
        expected: usize,
    ) -> Result<Option<u32>, EncodeError> {
        bias.as_ref()
            .map(|bias| self.put(node, bias, expected))
            .transpose()
    }

    /// Stores an operator's parameters; returns it as the file has it, and the shape and element type of its output
    /// for `inputs`.
    pub(super) fn write(
        &mut self,
        node: usize,
        spec: &OperatorSpec,
        inputs: &[Tensor],
    ) -> Result<(Operator, Shape, DType), EncodeError> {
        let params = |reason| EncodeError::Refused(LoadError::Params { node, reason });
        let &Tensor {
            shape: input,
            dtype,
            ..
        } = inputs.first().ok_or(EncodeError::Input { node })?;
        let quantization = dtype.quantization();
        let (operator, output) = match spec {
            OperatorSpec::Int8(spec) => return self.write_int8(node, spec, input),
            OperatorSpec::Conv2d {
                window,
                groups,
                out_channels,
                activation,
                weights,
                bias,
            } => {
                let conv = Conv2d::new(input, *out_channels, *window, *groups, *activation)
                    .map_err(params)?;
                let operator = Operator::Conv2dF32 {
                    window: *window,
                    groups: *groups as u32,
                    activation: *activation,
                    weights: self.put(node, weights, conv.weights_len())?,
                    bias: self.put_bias(node, bias, *out_channels)?,
                };
                (operator, conv.output())
            }
            OperatorSpec::Conv2dMaxPool2d {
                window,
                groups,
                out_channels,
                activation,
                weights,
                bias,
                pool,
                rounding,
            } => {
                let conv = Conv2d::new(input, *out_channels, *window, *groups, *activation)
                    .map_err(params)?;
                let pooled = PooledConv2d::new(conv, *pool, *rounding);
                let operator = Operator::Conv2dMaxPool2dF32 {
                    window: *window,
                    groups: *groups as u32,
                    activation: *activation,
                    weights: self.put(node, weights, conv.weights_len())?,
                    bias: self.put_bias(node, bias, *out_channels)?,
                    pool: *pool,
                    rounding: *rounding,
                };
                (operator, pooled.map_err(params)?.output())
            }
            OperatorSpec::Linear {
                out_features,
                activation,
                weights,
                bias,
            } => {
                let linear =
                    Linear::new(input.len(), *out_features, *activation).map_err(params)?;
                let operator = Operator::LinearF32 {
                    activation: *activation,
                    weights: self.put(node, weights, linear.weights_len())?,
                    bias: self.put_bias(node, bias, *out_features)?,
                };
                (operator, Shape::vector(*out_features))
            }
            OperatorSpec::MaxPool2d { window, rounding } => {
                let pool = Pool2d::new(input, *window, *rounding, CountPadding::default())
                    .map_err(params)?;
                let (window, rounding) = (*window, *rounding);
                let operator = match quantization {
                    None => Operator::MaxPool2dF32 { window, rounding },
                    Some(_) => Operator::MaxPool2dI8 { window, rounding },
                };
                (operator, pool.output())
            }
            OperatorSpec::AvgPool2d {
                window,
                rounding,
                count_padding,
            } => {
                let pool =
                    Pool2d::new(input, *window, *rounding, *count_padding).map_err(params)?;
                let operator = Operator::AvgPool2dF32 {
                    window: *window,
                    rounding: *rounding,
                    count_padding: *count_padding,
                };
                (operator, pool.output())
            }
            OperatorSpec::Unary(function) => {
                let operator = match *function {
                    Unary::Relu => Operator::ReluF32,
                    Unary::Relu6 => Operator::Relu6F32,
                    Unary::LeakyRelu { slope } => Operator::LeakyReluF32 { slope },
                    Unary::Sigmoid => Operator::SigmoidF32,
                    Unary::Tanh => Operator::TanhF32,
                    Unary::Clip { low, high } => Operator::ClipF32 { low, high },
                    Unary::Elu { alpha } => Operator::EluF32 { alpha },
                    Unary::HardSigmoid { alpha, beta } => Operator::HardSigmoidF32 { alpha, beta },
                    Unary::HardSwish => Operator::HardSwishF32,
                };
                (operator, input)
            }
            OperatorSpec::Softmax => (Operator::SoftmaxF32, input),
            OperatorSpec::LogSoftmax => (Operator::LogSoftmaxF32, input),
            OperatorSpec::Binary {
                function,
                activation,
            } => {
                let operator = Operator::BinaryF32 {
                    function: *function,
                    activation: *activation,
                };
                (operator, input)
            }
            OperatorSpec::BinaryConstant {
                function,
                activation,
                shape,
                operand,
            } => {
                let operator = Operator::BinaryConstantF32 {
                    function: *function,
                    activation: *activation,
                    shape: *shape,
                    operand: self.put(node, operand, shape.len())?,
                };
                (operator, input)
            }
            OperatorSpec::ChannelAffine {
                activation,
                scale,
                shift,
            } => {
                let operator = Operator::ChannelAffineF32 {
                    activation: *activation,
                    scale: self.put(node, scale, input.channels)?,
                    shift: self.put(node, shift, input.channels)?,
                };
                (operator, input)
            }
            OperatorSpec::Concat { axis } => {
                let shapes: Vec<Shape> = inputs.iter().map(|input| input.shape).collect();
                let concat = Concat::new(*axis, &shapes).map_err(params)?;
                let axis = *axis;
                let operator = match quantization {
                    None => Operator::ConcatF32 { axis },
                    Some(_) => Operator::ConcatI8 { axis },
                };
                (operator, concat.output())
            }
            OperatorSpec::Slice {
                start,
                step,
                output,
            } => {
                let (start, step) = (*start, *step);
                let operator = match quantization {
                    None => Operator::SliceF32 { start, step },
                    Some(_) => Operator::SliceI8 { start, step },
                };
                (operator, *output)
            }
            OperatorSpec::Pad {
                before,
                after,
                value,
            } => {
                let extent = |axis: usize, extent: usize| {
                    before[axis]
                        .saturating_add(extent)
                        .saturating_add(after[axis])
                };
                let output = Shape::new(
                    extent(0, input.height),
                    extent(1, input.width),
                    extent(2, input.channels),
                );
                let (before, value) = (*before, *value);
                let operator = match quantization {
                    None => Operator::PadF32 { before, value },
                    Some(quantization) => Operator::PadI8 {
                        before,
                        value: quantization.quantize(value),
                    },
                };
                (operator, output)
            }
            OperatorSpec::Upsample { factor_h, factor_w } => {
                let upsample = Upsample::new(input, *factor_h, *factor_w).map_err(params)?;
                let (factor_h, factor_w) = (*factor_h as u32, *factor_w as u32);
                let operator = match quantization {
                    None => Operator::UpsampleF32 { factor_h, factor_w },
                    Some(_) => Operator::UpsampleI8 { factor_h, factor_w },
                };
                (operator, upsample.output())
            }
            OperatorSpec::Transpose { order } => {
                let order = *order;
                let operator = match quantization {
                    None => Operator::TransposeF32 { order },
                    Some(_) => Operator::TransposeI8 { order },
                };
                (operator, transposed(input, order))
            }
            OperatorSpec::Reshape { output } => match quantization {
                None => (Operator::ReshapeF32, *output),
                Some(_) => (Operator::ReshapeI8, *output),
            },
        };
        // What has no quantization of its own leaves that of its input as it is, if there is one to leave.
        let dtype = match operator.writes_i8() {
            true => dtype,
            false => DType::F32,
        };
        Ok((operator, output, dtype))
    }
}
