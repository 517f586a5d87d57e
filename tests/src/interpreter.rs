//! Runs a [`GraphSpec`] tensor by tensor with the oracle, without file, plan and arena: what a session is
//! compared with.

mod int8;

use kinglet::model::{GraphSpec, NodeSpec, TensorSpec};
use kinglet::operator::{self, BinaryConstant, Conv2dMaxPool2d, Layer, Operator, Owned};
use kinglet_kernels::{
    Activation, Axis, BinaryFunction, Conv2d, CountPadding, Linear, Pool2d, Quantization, Shape,
    reference,
};

use crate::builder::{extents, shaped};

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

/// All tensors of a graph of one input: the input, then the output of each node.
pub fn run(spec: &GraphSpec, input: &[f32]) -> Vec<Value> {
    run_all(spec, &[input])
}

/// All tensors: the inputs, then the output of each node.
///
/// # Panics
/// If there are more or fewer inputs, or one of another length.
pub fn run_all(spec: &GraphSpec, inputs: &[&[f32]]) -> Vec<Value> {
    assert_eq!(spec.inputs.len(), inputs.len());
    let inputs = spec.inputs.iter().zip(inputs);
    let inputs = inputs.map(|(input, elements)| Value::of(input.tensor, elements.to_vec()));
    let mut tensors: Vec<Value> = inputs.collect();
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
/// If its parameters are not possible, or it says that it writes something else: sample graphs are valid.
pub fn output(node: &NodeSpec, inputs: &[&Value]) -> Value {
    let output = int8::output(node, inputs).unwrap_or_else(|| Value {
        // What works on either element type moves numbers about or compares them.
        quantization: inputs[0].quantization,
        ..real_output(node, inputs)
    });
    assert_eq!(output.shape, node.output.shape, "{node:?}");
    let quantization = node.output.dtype.quantization();
    assert_eq!(output.quantization, quantization, "{node:?}");
    output
}

fn real_output(node: &NodeSpec, inputs: &[&Value]) -> Value {
    let input = inputs[0];
    let x = input.elements.as_slice();
    let valid = "sample graphs are valid";
    let to = node.output.shape;
    match &node.operator {
        Operator::Conv2d(conv) => convolve(conv, input, to.channels),
        Operator::Conv2dMaxPool2d(Conv2dMaxPool2d {
            conv,
            pool,
            rounding,
        }) => {
            // One after the other: that it is the same is the operator's meaning.
            let convolved = convolve(conv, input, to.channels);
            let pool = operator::MaxPool2d {
                window: *pool,
                rounding: *rounding,
            };
            max_pool(&pool, &convolved)
        }
        Operator::Linear(operator::Linear { activation, layer }) => {
            let params = Linear::new(input.shape.len(), to.len(), *activation).expect(valid);
            let Layer { weights, bias } = layer;
            Value::filled(Shape::vector(to.len()), |elements| {
                reference::linear_f32(&params, x, weights, bias.as_deref(), elements);
            })
        }
        Operator::MaxPool2d(pool) => max_pool(pool, input),
        Operator::AvgPool2d(pool) => {
            let params = Pool2d::new(input.shape, pool.window, pool.rounding, pool.count_padding);
            let params = params.expect(valid);
            Value::filled(params.output(), |elements| {
                reference::avg_pool2d_f32(&params, x, elements);
            })
        }
        Operator::Unary(function) => {
            let mut output = input.clone();
            reference::unary_f32(*function, &mut output.elements);
            output
        }
        Operator::Softmax(operator::Softmax) => {
            let mut output = input.clone();
            reference::softmax_f32(input.shape.channels, &mut output.elements);
            output
        }
        Operator::LogSoftmax(operator::LogSoftmax) => {
            let mut output = input.clone();
            reference::log_softmax_f32(input.shape.channels, &mut output.elements);
            output
        }
        Operator::Binary(binary) => combine(binary.function, binary.activation, input, inputs[1]),
        Operator::BinaryConstant(BinaryConstant {
            function,
            activation,
            shape,
            operand,
        }) => {
            let operand = Value::real(*shape, operand.clone());
            combine(*function, *activation, input, &operand)
        }
        Operator::ChannelAffine(affine) => Value::by_place(input.shape, |[y, x, c]| {
            let scaled = input.at([y, x, c]) * affine.scale[c];
            affine.activation.apply(scaled + affine.shift[c])
        }),
        Operator::Concat(concat) => joined(concat.axis, inputs),
        Operator::Slice(operator::Slice { start, step }) => Value::by_place(to, |place| {
            input.at(each_axis(|axis| start[axis] + place[axis] * step[axis]))
        }),
        Operator::Pad(operator::Pad { before, value }) => {
            let extents = extents(input.shape);
            let outside = match input.quantization {
                None => *value,
                Some(quantization) => int8::quantized(quantization, *value),
            };
            Value::by_place(to, |place| {
                let inside = |axis: usize| {
                    (before[axis]..before[axis] + extents[axis]).contains(&place[axis])
                };
                match inside(0) && inside(1) && inside(2) {
                    true => input.at(each_axis(|axis| place[axis] - before[axis])),
                    false => outside,
                }
            })
        }
        Operator::Upsample(upsample) => {
            let (factor_h, factor_w) = (upsample.factor_h as usize, upsample.factor_w as usize);
            let [height, width, channels] = extents(input.shape);
            let shape = Shape::new(height * factor_h, width * factor_w, channels);
            Value::by_place(shape, |[y, x, c]| input.at([y / factor_h, x / factor_w, c]))
        }
        Operator::Transpose(operator::Transpose { order }) => {
            let extents = extents(input.shape);
            let shape = shaped(order.map(|axis| extents[axis as usize]));
            Value::by_place(shape, |place| {
                let mut from = [0; 3];
                for (axis, position) in order.iter().zip(place) {
                    from[*axis as usize] = position;
                }
                input.at(from)
            })
        }
        Operator::Reshape(operator::Reshape) => {
            assert_eq!(to.len(), input.shape.len());
            Value::real(to, input.elements.clone())
        }
        other => unreachable!("{other:?} is written down elsewhere"),
    }
}

fn convolve(conv: &operator::Conv2d<Owned>, input: &Value, out_channels: usize) -> Value {
    let (groups, activation) = (conv.groups as usize, conv.activation);
    let params = Conv2d::new(input.shape, out_channels, conv.window, groups, activation);
    let params = params.expect("sample graphs are valid");
    let Layer { weights, bias } = &conv.layer;
    Value::filled(params.output(), |elements| {
        reference::conv2d_f32(&params, &input.elements, weights, bias.as_deref(), elements);
    })
}

fn max_pool(pool: &operator::MaxPool2d, input: &Value) -> Value {
    let any = CountPadding::default();
    let params = Pool2d::new(input.shape, pool.window, pool.rounding, any);
    let params = params.expect("sample graphs are valid");
    Value::filled(params.output(), |elements| {
        reference::max_pool2d_f32(&params, &input.elements, elements);
    })
}

pub(crate) fn each_axis(f: impl Fn(usize) -> usize) -> [usize; 3] {
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

    /// The tensor that `tensor` says, of these elements.
    ///
    /// # Panics
    /// If it has another number of them.
    pub fn of(tensor: TensorSpec, elements: Vec<f32>) -> Self {
        assert_eq!(tensor.shape.len(), elements.len());
        Self {
            shape: tensor.shape,
            elements,
            quantization: tensor.dtype.quantization(),
        }
    }

    /// A tensor of `f32` that `f` writes.
    fn filled(shape: Shape, f: impl FnOnce(&mut [f32])) -> Self {
        let mut elements = vec![0.0; shape.len()];
        f(&mut elements);
        Self::real(shape, elements)
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
    let extents = extents(operand.shape);
    Value::by_place(input.shape, |place| {
        let there = each_axis(|axis| if extents[axis] == 1 { 0 } else { place[axis] });
        activation.apply(function.apply(input.at(place), operand.at(there)))
    })
}

fn joined(axis: Axis, inputs: &[&Value]) -> Value {
    let axis = axis as usize;
    let own = |input: &Value| extents(input.shape)[axis];
    let mut all = extents(inputs[0].shape);
    all[axis] = inputs.iter().map(|input| own(input)).sum();
    Value::by_place(shaped(all), |mut place| {
        for input in inputs {
            if place[axis] < own(input) {
                return input.at(place);
            }
            place[axis] -= own(input);
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
    let (activation, layer) = match &mut sums.operator {
        Operator::Conv2d(conv) => (&mut conv.activation, &mut conv.layer),
        Operator::Conv2dMaxPool2d(joined) => (&mut joined.conv.activation, &mut joined.conv.layer),
        Operator::Linear(linear) => (&mut linear.activation, &mut linear.layer),
        _ => {
            let outputs = output(node, inputs).elements;
            let bound = |y: &f32| 4.0 * f32::EPSILON * y.abs().max(1.0);
            return outputs.iter().map(bound).collect();
        }
    };
    let k = layer.weights.len() / node.output.shape.channels;
    *activation = Activation::Identity;
    layer.weights = absolute(&layer.weights);
    layer.bias = layer.bias.as_deref().map(absolute);
    let input = Value::real(input.shape, absolute(&input.elements));
    let sums = output(&sums, &[&input]).elements;
    sums.iter()
        .map(|sum| 2.0 * k as f32 * f32::EPSILON * sum)
        .collect()
}
