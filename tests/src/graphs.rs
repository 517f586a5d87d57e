//! Sample graphs, small enough to be read, and the parts to build more of them.

use kinglet::AlignedBytes;
use kinglet::model::{GraphSpec, TensorSpec, encode};
use kinglet::operator::{self, AvgPool2d, Conv2dMaxPool2d, Layer, MaxPool2d, Operator, Owned};
use kinglet_kernels::{
    Activation, Conv2d, CountPadding, Linear, Padding, Rounding, Shape, Unary, Window,
};

use crate::builder::Builder;

/// Writes `spec` as a model file, aligned to be loaded.
///
/// # Panics
/// If it is refused: samples are valid.
pub fn file(spec: &GraphSpec) -> AlignedBytes {
    let (bytes, _plan) = encode(spec).expect("a sample graph is valid");
    AlignedBytes::from(bytes.as_slice())
}

/// A graph whose nodes read each other in order, without normalization, labels and trainable nodes. What each writes
/// must follow from what it reads.
pub fn chain(
    name: &str,
    input: impl Into<TensorSpec>,
    operators: Vec<Operator<Owned>>,
) -> GraphSpec {
    let mut graph = Builder::new(name, input);
    for operator in operators {
        let before = graph.last();
        graph.add(operator, &[before]);
    }
    graph.finish()
}

/// A graph of one node that reads the input and writes `output`.
pub fn one(
    operator: impl Into<Operator<Owned>>,
    input: impl Into<TensorSpec>,
    output: impl Into<TensorSpec>,
) -> GraphSpec {
    let mut graph = Builder::new("one", input);
    graph.add_as(operator, &[0], output);
    graph.finish()
}

/// Elements of one sample of the first input.
pub fn input_len(spec: &GraphSpec) -> usize {
    spec.inputs[0].tensor.shape.len()
}

/// `len` numbers between -1 and 1.
pub fn numbers(rng: &mut fastrand::Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.f32() * 2.0 - 1.0).collect()
}

/// `len` pixels.
pub fn pixels(rng: &mut fastrand::Rng, len: usize) -> Vec<u8> {
    (0..len).map(|_| rng.u8(..)).collect()
}

/// Whether a layer has a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// One value for each output.
    Yes,
    /// None.
    No,
}

/// A linear layer with random parameters, scaled so that values stay near 1.
pub fn linear(
    rng: &mut fastrand::Rng,
    in_features: usize,
    out_features: usize,
    activation: Activation,
    bias: Bias,
) -> Operator<Owned> {
    let params = Linear::new(in_features, out_features, activation).expect("a sample layer");
    let scale = 1.7 / (in_features as f32).sqrt();
    let linear = operator::Linear {
        activation,
        layer: layer(rng, params.weights_len(), scale, out_features, bias),
    };
    linear.into()
}

/// Random weights between `-scale` and `scale`, and a bias for each of `channels`.
fn layer(
    rng: &mut fastrand::Rng,
    weights: usize,
    scale: f32,
    channels: usize,
    bias: Bias,
) -> Layer<Owned> {
    let weights = numbers(rng, weights);
    Layer {
        weights: weights.iter().map(|w| w * scale).collect(),
        bias: (bias == Bias::Yes).then(|| numbers(rng, channels)),
    }
}

/// A convolution with random parameters, scaled so that values stay near 1.
pub fn conv2d(
    rng: &mut fastrand::Rng,
    params: &Conv2d,
    activation: Activation,
    bias: Bias,
) -> Operator<Owned> {
    let scale = 1.7 / (params.taps() as f32).sqrt();
    let convolution = operator::Conv2d {
        window: params.window(),
        groups: params.groups() as u32,
        activation,
        layer: layer(
            rng,
            params.weights_len(),
            scale,
            params.output().channels,
            bias,
        ),
    };
    convolution.into()
}

/// A convolution joined with a max pool of its output.
///
/// # Panics
/// If `convolution` is none.
pub fn pooled(convolution: Operator<Owned>, pool: Window) -> Operator<Owned> {
    let Operator::Conv2d(conv) = convolution else {
        panic!("{convolution:?} is no convolution");
    };
    let joined = Conv2dMaxPool2d {
        conv,
        pool,
        rounding: Rounding::Floor,
    };
    joined.into()
}

/// The smallest graph with a convolution, a pool and a trainable layer. All of its numbers are exact: its
/// file is the same on every machine. `data/tiny.kgl` is this file.
pub fn tiny() -> GraphSpec {
    let eighths = |len: usize, step: usize| -> Vec<f32> {
        (0..len)
            .map(|i| ((i * step) % 17) as f32 / 8.0 - 1.0)
            .collect()
    };
    let window = Window::new(3, 3).with_padding(Padding::symmetric(1, 1));
    let convolution = operator::Conv2d {
        window,
        groups: 1,
        activation: Activation::Relu,
        layer: Layer {
            weights: eighths(2 * 3 * 3, 5),
            bias: Some(vec![0.25, -0.5]),
        },
    };
    let pool = MaxPool2d {
        window: Window::new(2, 2).with_stride(2, 2),
        rounding: Rounding::Floor,
    };
    let linear = operator::Linear {
        activation: Activation::Identity,
        layer: Layer {
            weights: eighths(3 * 8, 7),
            bias: Some(vec![0.0, 0.125, -0.125]),
        },
    };
    let operators = vec![convolution.into(), pool.into(), linear.into()];
    let mut spec = chain("tiny", Shape::new(4, 4, 1), operators);
    spec.inputs[0].mean = vec![0.5];
    spec.inputs[0].std = vec![0.25];
    spec.outputs[0].labels = vec!["circle".into(), "square".into(), "cross".into()];
    spec.trainable_nodes = 1;
    spec
}

/// A graph with every operator, with groups, dilation, padding of all kinds, and a branch, so that one
/// element-wise function (node 5) must not work in place: node 6 still reads its input.
pub fn every_operator() -> GraphSpec {
    let rng = &mut fastrand::Rng::with_seed(1);
    let input = Shape::new(9, 8, 3);
    let first = Conv2d::new(
        input,
        8,
        Window::new(3, 3).with_padding(Padding::symmetric(1, 1)),
        1,
        Activation::Relu,
    );
    let first = first.expect("a sample layer");
    let depthwise = Conv2d::new(
        first.output(),
        8,
        Window::new(3, 2).with_dilation(2, 1).with_padding(Padding {
            top: 2,
            bottom: 1,
            left: 0,
            right: 1,
        }),
        8,
        Activation::Relu6,
    );
    let depthwise = depthwise.expect("a sample layer");
    let grouped_input = Shape::new(4, 4, 8);
    let grouped = Conv2d::new(
        grouped_input,
        6,
        Window::new(2, 3).with_padding(Padding::symmetric(0, 1)),
        2,
        Activation::Identity,
    );
    let grouped = grouped.expect("a sample layer");
    let wide = Conv2d::new(
        Shape::new(2, 2, 6),
        6,
        Window::new(3, 3).with_padding(Padding::symmetric(2, 2)),
        1,
        Activation::Relu,
    );
    let wide = wide.expect("a sample layer");
    let max_pool = MaxPool2d {
        window: Window::new(2, 3)
            .with_stride(2, 2)
            .with_padding(Padding::symmetric(0, 1)),
        rounding: Rounding::Floor,
    };
    let average_pool = AvgPool2d {
        window: Window::new(2, 2)
            .with_stride(2, 2)
            .with_padding(Padding::symmetric(1, 0)),
        rounding: Rounding::Ceil,
        count_padding: CountPadding::Exclude,
    };
    let operators = vec![
        conv2d(rng, &first, Activation::Relu, Bias::Yes),
        Operator::Unary(Unary::LeakyRelu { slope: 0.125 }),
        conv2d(rng, &depthwise, Activation::Relu6, Bias::No),
        max_pool.into(),
        conv2d(rng, &grouped, Activation::Identity, Bias::Yes),
        Operator::Unary(Unary::Sigmoid),
        Operator::Unary(Unary::Tanh),
        average_pool.into(),
        pooled(
            conv2d(rng, &wide, Activation::Relu, Bias::Yes),
            Window::new(2, 2).with_stride(2, 2),
        ),
        Operator::Unary(Unary::Relu),
        linear(rng, 2 * 2 * 6, 10, Activation::Relu, Bias::Yes),
        Operator::Unary(Unary::Relu6),
        linear(rng, 10, 5, Activation::Identity, Bias::No),
        operator::Softmax.into(),
    ];
    let mut spec = chain("every operator", input, operators);
    spec.inputs[0].mean = vec![0.5, 0.25, 0.125];
    spec.inputs[0].std = vec![0.25, 0.5, 1.0];
    spec.trainable_nodes = 4;
    spec.nodes[6].inputs = vec![5];
    spec
}
