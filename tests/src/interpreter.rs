//! Runs a [`GraphSpec`] tensor by tensor with the oracle, without file, plan and arena: what a session is
//! compared with.

use kinglet::model::{GraphSpec, NodeSpec, OperatorSpec};
use kinglet_kernels::{Activation, Conv2d, CountPadding, Linear, Pool2d, Shape, reference};

/// A tensor's shape and values, one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Its shape.
    pub shape: Shape,
    /// Its elements, NHWC.
    pub elements: Vec<f32>,
}

/// All tensors: the input, then the output of each node.
pub fn run(spec: &GraphSpec, input: &[f32]) -> Vec<Value> {
    let mut tensors = vec![Value {
        shape: spec.input,
        elements: input.to_vec(),
    }];
    for node in &spec.nodes {
        let output = output(node, &tensors[node.inputs[0]]);
        tensors.push(output);
    }
    tensors
}

/// What `node` makes of `input`.
///
/// # Panics
/// If its parameters are not possible: sample graphs are valid.
pub fn output(node: &NodeSpec, input: &Value) -> Value {
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
            Value {
                shape: params.output(),
                elements,
            }
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
            output(&pooled, &output(&convolved, input))
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
            Value { shape, elements }
        }
        OperatorSpec::MaxPool2d { window, rounding } => {
            let params = Pool2d::new(input.shape, *window, *rounding, CountPadding::default());
            let params = params.expect(valid);
            let mut elements = zeros(params.output());
            reference::max_pool2d_f32(&params, x, &mut elements);
            Value {
                shape: params.output(),
                elements,
            }
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
            Value {
                shape: params.output(),
                elements,
            }
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
    }
}

/// By how much a kernel set may differ from the oracle at each output of `node`: for sums of `k` products
/// `2 * k * epsilon * (sum of |x * w| + |bias|)`, for everything else four units in the last place of 1.
pub fn bounds(node: &NodeSpec, input: &Value) -> Vec<f32> {
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
            let outputs = output(node, input).elements.len();
            return vec![4.0 * f32::EPSILON; outputs];
        }
    };
    let input = Value {
        shape: input.shape,
        elements: absolute(&input.elements),
    };
    let sums = output(&sums, &input).elements;
    sums.iter()
        .map(|sum| 2.0 * k as f32 * f32::EPSILON * sum)
        .collect()
}
