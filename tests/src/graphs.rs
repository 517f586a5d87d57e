//! Sample graphs, small enough to be read, and the parts to build more of them.

use kinglet::AlignedBytes;
use kinglet::model::{GraphSpec, NodeSpec, OperatorSpec, encode};
use kinglet_kernels::{
    Activation, Conv2d, CountPadding, Linear, Padding, Rounding, Shape, Unary, Window,
};

/// Writes `spec` as a model file, aligned to be loaded.
///
/// # Panics
/// If it is refused: samples are valid.
pub fn file(spec: &GraphSpec) -> AlignedBytes {
    let (bytes, _plan) = encode(spec).expect("a sample graph is valid");
    AlignedBytes::from(bytes.as_slice())
}

/// A graph whose nodes read each other in order, without normalization, labels and trainable nodes.
pub fn chain(name: &str, input: Shape, operators: Vec<OperatorSpec>) -> GraphSpec {
    let nodes = operators.into_iter().enumerate();
    GraphSpec {
        name: name.into(),
        input,
        nodes: nodes
            .map(|(index, operator)| NodeSpec {
                operator,
                inputs: vec![index],
            })
            .collect(),
        mean: vec![],
        std: vec![],
        labels: vec![],
        trainable_nodes: 0,
    }
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
) -> OperatorSpec {
    let params = Linear::new(in_features, out_features, activation).expect("a sample layer");
    let scale = 1.7 / (in_features as f32).sqrt();
    let weights = numbers(rng, params.weights_len());
    OperatorSpec::Linear {
        out_features,
        activation,
        weights: weights.iter().map(|w| w * scale).collect(),
        bias: (bias == Bias::Yes).then(|| numbers(rng, out_features)),
    }
}

/// A convolution with random parameters, scaled so that values stay near 1.
pub fn conv2d(
    rng: &mut fastrand::Rng,
    params: &Conv2d,
    activation: Activation,
    bias: Bias,
) -> OperatorSpec {
    let scale = 1.7 / (params.taps() as f32).sqrt();
    let weights = numbers(rng, params.weights_len());
    let out_channels = params.output().channels;
    OperatorSpec::Conv2d {
        window: *params.window(),
        groups: params.groups(),
        out_channels,
        activation,
        weights: weights.iter().map(|w| w * scale).collect(),
        bias: (bias == Bias::Yes).then(|| numbers(rng, out_channels)),
    }
}

/// A convolution joined with a max pool of its output.
///
/// # Panics
/// If `convolution` is none.
pub fn pooled(convolution: OperatorSpec, pool: Window) -> OperatorSpec {
    let OperatorSpec::Conv2d {
        window,
        groups,
        out_channels,
        activation,
        weights,
        bias,
    } = convolution
    else {
        panic!("{convolution:?} is no convolution");
    };
    OperatorSpec::Conv2dMaxPool2d {
        window,
        groups,
        out_channels,
        activation,
        weights,
        bias,
        pool,
        rounding: Rounding::Floor,
    }
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
    let operators = vec![
        OperatorSpec::Conv2d {
            window,
            groups: 1,
            out_channels: 2,
            activation: Activation::Relu,
            weights: eighths(2 * 3 * 3, 5),
            bias: Some(vec![0.25, -0.5]),
        },
        OperatorSpec::MaxPool2d {
            window: Window::new(2, 2).with_stride(2, 2),
            rounding: Rounding::Floor,
        },
        OperatorSpec::Linear {
            out_features: 3,
            activation: Activation::Identity,
            weights: eighths(3 * 8, 7),
            bias: Some(vec![0.0, 0.125, -0.125]),
        },
    ];
    GraphSpec {
        mean: vec![0.5],
        std: vec![0.25],
        labels: vec!["circle".into(), "square".into(), "cross".into()],
        trainable_nodes: 1,
        ..chain("tiny", Shape::new(4, 4, 1), operators)
    }
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
    let operators = vec![
        conv2d(rng, &first, Activation::Relu, Bias::Yes),
        OperatorSpec::Unary(Unary::LeakyRelu { slope: 0.125 }),
        conv2d(rng, &depthwise, Activation::Relu6, Bias::No),
        OperatorSpec::MaxPool2d {
            window: Window::new(2, 3)
                .with_stride(2, 2)
                .with_padding(Padding::symmetric(0, 1)),
            rounding: Rounding::Floor,
        },
        conv2d(rng, &grouped, Activation::Identity, Bias::Yes),
        OperatorSpec::Unary(Unary::Sigmoid),
        OperatorSpec::Unary(Unary::Tanh),
        OperatorSpec::AvgPool2d {
            window: Window::new(2, 2)
                .with_stride(2, 2)
                .with_padding(Padding::symmetric(1, 0)),
            rounding: Rounding::Ceil,
            count_padding: CountPadding::Exclude,
        },
        pooled(
            conv2d(rng, &wide, Activation::Relu, Bias::Yes),
            Window::new(2, 2).with_stride(2, 2),
        ),
        OperatorSpec::Unary(Unary::Relu),
        linear(rng, 2 * 2 * 6, 10, Activation::Relu, Bias::Yes),
        OperatorSpec::Unary(Unary::Relu6),
        linear(rng, 10, 5, Activation::Identity, Bias::No),
        OperatorSpec::Softmax,
    ];
    let mut spec = GraphSpec {
        mean: vec![0.5, 0.25, 0.125],
        std: vec![0.25, 0.5, 1.0],
        trainable_nodes: 4,
        ..chain("every operator", input, operators)
    };
    spec.nodes[6].inputs = vec![5];
    spec
}
