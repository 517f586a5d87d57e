//! Runs a [`GraphSpec`] tensor by tensor with the oracle, without file, plan and arena: what a session is
//! compared with.

mod int8;

use kinglet::model::{GraphSpec, NodeSpec, OperatorSpec};
use kinglet_kernels::{
    Activation, Axis, BinaryFunction, Conv2d, CountPadding, Linear, Pool2d, Quantization, Shape,
    reference,
};

/// A tensor's shape and values, one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Its shape.
    pub shape: Shape,
    /// Its elements, NHWC; of 8-bit numbers the numbers themselves, not what they mean.
    pub elements: Vec<f32>,
    /// What 8-bit numbers mean; none for `f32`.
    pub quantization: Option<Quantization>,
}

/// All tensors: the input, then the output of each node.
pub fn run(spec: &GraphSpec, input: &[f32]) -> Vec<Value> {
    let mut tensors = vec![Value {
        shape: spec.input,
        elements: input.to_vec(),
        quantization: None,
    }];
    for node in &spec.nodes {
        tensors.push(output(node, &read(node, &tensors)));
    }
    tensors
}

/// The tensors that `node` reads.
pub fn read<'t>(node: &NodeSpec, tensors: &'t [Value]) -> Vec<&'t Value> {
    node.inputs.iter().map(|input| &tensors[*input]).collect()
}

/// What `node` makes of `inputs`.
///
/// # Panics
/// If its parameters are not possible: sample graphs are valid.
pub fn output(node: &NodeSpec, inputs: &[&Value]) -> Value {
    if let OperatorSpec::Int8(spec) = &node.operator {
        return int8::output(spec, inputs);
    }
    // What works on either element type moves numbers about or compares them.
    Value {
        quantization: inputs[0].quantization,
        ..real_output(node, inputs)
    }
}

fn real_output(node: &NodeSpec, inputs: &[&Value]) -> Value {
    let input = inputs[0];
    let zeros = |shape: Shape| vec![0.0; shape.len()];
    let x = input.elements.as_slice();
    let valid = "sample graphs are valid";
    match &node.operator {
        OperatorSpec::Conv2d {
            window,
            groups,
            out_channels,
            activation,
            weights,
            bias,
        } => {
            let params = Conv2d::new(input.shape, *out_channels, *window, *groups, *activation);
            let params = params.expect(valid);
            let mut elements = zeros(params.output());
            reference::conv2d_f32(&params, x, weights, bias.as_deref(), &mut elements);
            Value::real(params.output(), elements)
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
            // One after the other: that it is the same is the operator's meaning.
            let convolved = NodeSpec {
                operator: OperatorSpec::Conv2d {
                    window: *window,
                    groups: *groups,
                    out_channels: *out_channels,
                    activation: *activation,
                    weights: weights.clone(),
                    bias: bias.clone(),
                },
                inputs: vec![0],
            };
            let pooled = NodeSpec {
                operator: OperatorSpec::MaxPool2d {
                    window: *pool,
                    rounding: *rounding,
                },
                inputs: vec![1],
            };
            output(&pooled, &[&output(&convolved, inputs)])
        }
        OperatorSpec::Linear {
            out_features,
            activation,
            weights,
            bias,
        } => {
            let params = Linear::new(input.shape.len(), *out_features, *activation).expect(valid);
            let shape = Shape::vector(*out_features);
            let mut elements = zeros(shape);
            reference::linear_f32(&params, x, weights, bias.as_deref(), &mut elements);
            Value::real(shape, elements)
        }
        OperatorSpec::MaxPool2d { window, rounding } => {
            let params = Pool2d::new(input.shape, *window, *rounding, CountPadding::default());
            let params = params.expect(valid);
            let mut elements = zeros(params.output());
            reference::max_pool2d_f32(&params, x, &mut elements);
            Value::real(params.output(), elements)
        }
        OperatorSpec::AvgPool2d {
            window,
            rounding,
            count_padding,
        } => {
            let params = Pool2d::new(input.shape, *window, *rounding, *count_padding);
            let params = params.expect(valid);
            let mut elements = zeros(params.output());
            reference::avg_pool2d_f32(&params, x, &mut elements);
            Value::real(params.output(), elements)
        }
        OperatorSpec::Unary(function) => {
            let mut output = input.clone();
            reference::unary_f32(*function, &mut output.elements);
            output
        }
        OperatorSpec::Softmax => {
            let mut output = input.clone();
            reference::softmax_f32(input.shape.channels, &mut output.elements);
            output
        }
        OperatorSpec::LogSoftmax => {
            let mut output = input.clone();
            reference::log_softmax_f32(input.shape.channels, &mut output.elements);
            output
        }
        OperatorSpec::Binary {
            function,
            activation,
        } => combine(*function, *activation, input, inputs[1]),
        OperatorSpec::BinaryConstant {
            function,
            activation,
            shape,
            operand,
        } => {
            let operand = Value::real(*shape, operand.clone());
            combine(*function, *activation, input, &operand)
        }
        OperatorSpec::ChannelAffine {
            activation,
            scale,
            shift,
        } => Value::by_place(input.shape, |[y, x, c]| {
            activation.apply(input.at([y, x, c]) * scale[c] + shift[c])
        }),
        OperatorSpec::Concat { axis } => concat(*axis, inputs),
        OperatorSpec::Slice {
            start,
            step,
            output,
        } => Value::by_place(*output, |place| {
            input.at(each_axis(|axis| start[axis] + place[axis] * step[axis]))
        }),
        OperatorSpec::Pad {
            before,
            after,
            value,
        } => {
            let extents = input.extents();
            let [height, width, channels] =
                each_axis(|axis| before[axis] + extents[axis] + after[axis]);
            Value::by_place(Shape::new(height, width, channels), |place| {
                let inside = |axis: usize| {
                    (before[axis]..before[axis] + extents[axis]).contains(&place[axis])
                };
                match inside(0) && inside(1) && inside(2) {
                    true => input.at(each_axis(|axis| place[axis] - before[axis])),
                    false => match input.quantization {
                        None => *value,
                        Some(quantization) => int8::quantized(quantization, *value),
                    },
                }
            })
        }
        OperatorSpec::Upsample { factor_h, factor_w } => {
            let [height, width, channels] = input.extents();
            let shape = Shape::new(height * factor_h, width * factor_w, channels);
            Value::by_place(shape, |[y, x, c]| input.at([y / factor_h, x / factor_w, c]))
        }
        OperatorSpec::Transpose { order } => {
            let extents = input.extents();
            let [height, width, channels] = order.map(|axis| extents[axis as usize]);
            Value::by_place(Shape::new(height, width, channels), |place| {
                let mut from = [0; 3];
                for (axis, position) in order.iter().zip(place) {
                    from[*axis as usize] = position;
                }
                input.at(from)
            })
        }
        OperatorSpec::Reshape { output } => Value::real(*output, input.elements.clone()),
        OperatorSpec::Int8(_) => unreachable!("those are written down elsewhere"),
    }
}

fn each_axis(f: impl Fn(usize) -> usize) -> [usize; 3] {
    [f(0), f(1), f(2)]
}

impl Value {
    /// A tensor of `f32`.
    pub fn real(shape: Shape, elements: Vec<f32>) -> Self {
        Self {
            shape,
            elements,
            quantization: None,
        }
    }

    /// Height, width and channels.
    fn extents(&self) -> [usize; 3] {
        [self.shape.height, self.shape.width, self.shape.channels]
    }

    /// The element at a row, column and channel.
    fn at(&self, [y, x, channel]: [usize; 3]) -> f32 {
        self.elements[(y * self.shape.width + x) * self.shape.channels + channel]
    }

    /// A tensor of the elements that `f` gives for each row, column and channel.
    fn by_place(shape: Shape, f: impl Fn([usize; 3]) -> f32) -> Self {
        let mut elements = Vec::with_capacity(shape.len());
        for y in 0..shape.height {
            for x in 0..shape.width {
                elements.extend((0..shape.channels).map(|channel| f([y, x, channel])));
            }
        }
        Self::real(shape, elements)
    }
}

fn combine(
    function: BinaryFunction,
    activation: Activation,
    input: &Value,
    operand: &Value,
) -> Value {
    let extents = operand.extents();
    Value::by_place(input.shape, |place| {
        let there = each_axis(|axis| if extents[axis] == 1 { 0 } else { place[axis] });
        activation.apply(function.apply(input.at(place), operand.at(there)))
    })
}

fn concat(axis: Axis, inputs: &[&Value]) -> Value {
    let axis = axis as usize;
    let mut extents = inputs[0].extents();
    extents[axis] = inputs.iter().map(|input| input.extents()[axis]).sum();
    let [height, width, channels] = extents;
    Value::by_place(Shape::new(height, width, channels), |mut place| {
        for input in inputs {
            let own = input.extents()[axis];
            if place[axis] < own {
                return input.at(place);
            }
            place[axis] -= own;
        }
        unreachable!("the extents add up");
    })
}

/// By how much a kernel set may differ from the oracle at each output of `node`: for sums of `k` products
/// `2 * k * epsilon * (sum of |x * w| + |bias|)`, for everything else four units in the last place of 1, or of
/// the result where that is larger.
pub fn bounds(node: &NodeSpec, inputs: &[&Value]) -> Vec<f32> {
    let input = inputs[0];
    let absolute = |values: &[f32]| -> Vec<f32> { values.iter().map(|x| x.abs()).collect() };
    let mut sums = node.clone();
    let k = match &mut sums.operator {
        OperatorSpec::Conv2d {
            activation,
            weights,
            bias,
            out_channels,
            ..
        }
        | OperatorSpec::Conv2dMaxPool2d {
            activation,
            weights,
            bias,
            out_channels,
            ..
        } => {
            *activation = Activation::Identity;
            *weights = absolute(weights);
            *bias = bias.as_deref().map(absolute);
            weights.len() / *out_channels
        }
        OperatorSpec::Linear {
            activation,
            weights,
            bias,
            ..
        } => {
            *activation = Activation::Identity;
            *weights = absolute(weights);
            *bias = bias.as_deref().map(absolute);
            input.elements.len()
        }
        _ => {
            let outputs = output(node, inputs).elements;
            let bound = |y: &f32| 4.0 * f32::EPSILON * y.abs().max(1.0);
            return outputs.iter().map(bound).collect();
        }
    };
    let input = Value::real(input.shape, absolute(&input.elements));
    let sums = output(&sums, &[&input]).elements;
    sums.iter()
        .map(|sum| 2.0 * k as f32 * f32::EPSILON * sum)
        .collect()
}
