//! From a model file back to a graph, to be changed and written again.

use kinglet::Model;
use kinglet::kernels::{
    Activation, Conv2d, CountPadding, Linear, ParamsError, PerAxis, Pool2d, Quantization, Shape,
};
use kinglet::model::{EncodeError, GraphSpec, LoadError, TensorSpec};
use kinglet::operator::{self, Operator, Owned};

use super::{Graph, Input, Int8Operation, Operation, Output, extents};

impl Graph {
    /// The graph of a model: a node for each of the file's, and one more for a max pool that was joined with its
    /// convolution. Files have no names for nodes: they are called by the file's number for what they write, which is
    /// that of `kinglet inspect`, and their operator: `3 Conv2d`.
    ///
    /// # Errors
    /// None that a loaded model could cause.
    pub fn of_model(model: &Model<'_>) -> Result<Self, EncodeError> {
        let spec = GraphSpec::of(model)?;
        let mut tensors: Vec<TensorSpec> = spec.inputs.iter().map(|input| input.tensor).collect();
        let inputs = spec.inputs.into_iter().map(|input| Input {
            name: input.name,
            shape: input.tensor.shape,
            quantization: input.tensor.dtype.quantization(),
            source: input.source,
        });
        let mut graph = Self::new(&spec.name, inputs.collect());
        // The value that each of the file's tensors is.
        let mut values: Vec<usize> = (0..tensors.len()).collect();
        for (number, node) in spec.nodes.into_iter().enumerate() {
            let refused = |_| LoadError::Shape { node: number };
            let written = tensors.len();
            let name = format!("{written} {}", node.operator.name());
            let inputs: Vec<usize> = node.inputs.iter().map(|input| values[*input]).collect();
            let site = Site {
                input: tensors[node.inputs[0]],
                output: node.output,
            };
            let value = match node.operator {
                Operator::Conv2dMaxPool2d(operator) => {
                    let conv = site.conv2d(operator.conv).map_err(refused)?;
                    let output = conv.output(&[site.input.shape]).map_err(refused)?;
                    let pool = Pool2d::new(
                        output,
                        operator.pool,
                        operator.rounding,
                        CountPadding::default(),
                    );
                    let conv = graph.push(&name, conv, &inputs);
                    let pool = Operation::MaxPool2d(pool.map_err(refused)?);
                    graph.push(&format!("{written} MaxPool2d"), pool, &[conv])
                }
                operator => graph.push(&name, site.operation(operator).map_err(refused)?, &inputs),
            };
            tensors.push(node.output);
            values.push(value);
        }
        let outputs = spec.outputs.into_iter().map(|output| Output {
            name: output.name,
            value: values[output.tensor],
            source: output.source,
        });
        graph.outputs = outputs.collect();
        Ok(graph)
    }
}

/// What a node reads first, and what it writes.
struct Site {
    input: TensorSpec,
    output: TensorSpec,
}

impl Site {
    /// The operation of a node that is one operation.
    fn operation(&self, operator: Operator<Owned>) -> Result<Operation, ParamsError> {
        let (input, output) = (self.input.shape, self.output.shape);
        Ok(match operator {
            Operator::Conv2d(conv) => self.conv2d(conv)?,
            // The caller makes two nodes of it.
            Operator::Conv2dMaxPool2d(of) => self.conv2d(of.conv)?,
            Operator::Linear(operator::Linear { activation, layer }) => Operation::Linear {
                params: Linear::new(input.len(), output.len(), activation)?,
                weights: layer.weights,
                weight_scale: None,
                bias: layer.bias,
            },
            Operator::MaxPool2d(of) => {
                let any = CountPadding::default();
                Operation::MaxPool2d(Pool2d::new(input, of.window, of.rounding, any)?)
            }
            Operator::AvgPool2d(of) => {
                let params = Pool2d::new(input, of.window, of.rounding, of.count_padding)?;
                self.int8(Int8Operation::AvgPool2d(params))
                    .unwrap_or(Operation::AvgPool2d(params))
            }
            Operator::Unary(function) => Operation::Unary(function),
            Operator::Softmax(_) => self
                .int8(Int8Operation::Softmax)
                .unwrap_or(Operation::Softmax),
            Operator::LogSoftmax(_) => Operation::LogSoftmax,
            Operator::Binary(of) => Operation::Binary {
                function: of.function,
                activation: of.activation,
            },
            Operator::BinaryConstant(of) => Operation::BinaryConstant {
                function: of.function,
                activation: of.activation,
                shape: of.shape,
                operand: of.operand,
            },
            Operator::ChannelAffine(of) => Operation::ChannelAffine {
                activation: of.activation,
                scale: of.scale,
                shift: of.shift,
            },
            Operator::Concat(of) => Operation::Concat { axis: of.axis },
            Operator::Slice(of) => Operation::Slice {
                start: of.start,
                step: of.step,
                output,
            },
            Operator::Pad(of) => Operation::Pad {
                before: of.before,
                after: behind(input, of.before, output)?,
                value: of.value,
            },
            Operator::Upsample(of) => Operation::Upsample {
                factor_h: of.factor_h as usize,
                factor_w: of.factor_w as usize,
            },
            Operator::Transpose(of) => Operation::Transpose { order: of.order },
            Operator::Reshape(_) => Operation::Reshape { output },
            Operator::Quantize(_) => Operation::Quantize(quantization(self.output)?),
            Operator::Dequantize(_) => Operation::Dequantize(quantization(self.input)?),
            Operator::Requantize(of) => self.quantized(Int8Operation::Requantize {
                bounds: (of.low, of.high),
            })?,
            Operator::QuantizedConv2d(of) => {
                let (channels, groups) = (output.channels, of.groups as usize);
                let none = Activation::Identity;
                self.quantized(Int8Operation::Conv2d {
                    params: Conv2d::new(input, channels, of.window, groups, none)?,
                    layer: of.layer,
                    bounds: (of.low, of.high),
                })?
            }
            Operator::QuantizedLinear(of) => self.quantized(Int8Operation::Linear {
                params: Linear::new(input.len(), output.len(), Activation::Identity)?,
                layer: of.layer,
                bounds: (of.low, of.high),
            })?,
            Operator::Table(of) => self.quantized(Int8Operation::Table {
                entries: *of.entries.as_array().ok_or(ParamsError::OutOfRange)?,
                function: None,
            })?,
            Operator::QuantizedBinary(of) => self.quantized(Int8Operation::Binary {
                function: of.function,
                bounds: (of.low, of.high),
            })?,
            Operator::QuantizedAdd(of) => self.quantized(Int8Operation::Add {
                bounds: (of.low, of.high),
            })?,
        })
    }

    fn conv2d(&self, conv: operator::Conv2d<Owned>) -> Result<Operation, ParamsError> {
        let (channels, groups) = (self.output.shape.channels, conv.groups as usize);
        let input = self.input.shape;
        Ok(Operation::Conv2d {
            params: Conv2d::new(input, channels, conv.window, groups, conv.activation)?,
            weights: conv.layer.weights,
            weight_scale: None,
            bias: conv.layer.bias,
            pool: None,
        })
    }

    /// An operation on 8-bit numbers, if the output is of such.
    fn int8(&self, operation: Int8Operation) -> Option<Operation> {
        let output = self.output.dtype.quantization()?;
        Some(Operation::Int8 { operation, output })
    }

    /// An operation whose output is of 8-bit numbers.
    fn quantized(&self, operation: Int8Operation) -> Result<Operation, ParamsError> {
        self.int8(operation).ok_or(ParamsError::OutOfRange)
    }
}

fn quantization(tensor: TensorSpec) -> Result<Quantization, ParamsError> {
    tensor.dtype.quantization().ok_or(ParamsError::OutOfRange)
}

/// What lies behind the input along each axis where `before` lies before it.
fn behind(input: Shape, before: PerAxis, output: Shape) -> Result<PerAxis, ParamsError> {
    let (input, output) = (extents(input), extents(output));
    let mut after = [0; 3];
    for axis in 0..3 {
        let room = output[axis].checked_sub(before[axis]);
        let room = room.and_then(|room| room.checked_sub(input[axis]));
        after[axis] = room.ok_or(ParamsError::OutOfRange)?;
    }
    Ok(after)
}
