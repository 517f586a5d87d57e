//! Graphs of 8-bit numbers: one with every operator on them, a body in front of a layer that can be trained, and
//! random ones.

use kinglet::model::{GraphSpec, Int8Spec, LayerI8, NodeSpec, OperatorSpec};
use kinglet_kernels::{
    Activation, Axis, CountPadding, Padding, Quantization, Rounding, Shape, Window,
};

use crate::branching::{Builder, MAX_LEN, concat, pad, recent, slice, upsample};
use crate::graphs::{Bias, chain, linear};

/// Any quantization whose numbers are worth something for values about 1.
fn quantization(rng: &mut fastrand::Rng) -> Quantization {
    let scale = match rng.bool() {
        // A power of two makes ties.
        true => *rng.choice(&[0.0625, 0.03125, 0.015625]).expect("some"),
        false => 0.005 + 0.03 * rng.f32(),
    };
    Quantization::new(scale, rng.i8(..))
}

fn bounds(rng: &mut fastrand::Rng) -> (i8, i8) {
    match rng.bool() {
        true => (i8::MIN, i8::MAX),
        false => (rng.i8(..-40), rng.i8(40..)),
    }
}

/// A layer of `channels` sums of `terms` products, scaled so that values stay near 1.
pub fn layer(
    rng: &mut fastrand::Rng,
    (terms, channels): (usize, usize),
    from: Quantization,
    to: Quantization,
    bias: Bias,
) -> LayerI8 {
    let weights = (0..terms * channels).map(|_| rng.i8(..)).collect();
    // A weight of 127 is 1.7 over the root of the terms.
    let mut scale_of_weights = || (0.5 + rng.f32()) * 1.7 / (terms as f32).sqrt() / 127.0;
    let scales: Vec<f32> = (0..channels).map(|_| scale_of_weights()).collect();
    let numbers = scales.iter();
    let numbers = numbers.map(|scale| ((rng.f32() - 0.5) / (from.scale * scale)) as i32);
    LayerI8 {
        bias: (bias == Bias::Yes).then(|| numbers.collect()),
        scale: scales.iter().map(|w| (from.scale * w) / to.scale).collect(),
        weights,
        bounds: bounds(rng),
    }
}

impl Builder {
    fn int8(&mut self, spec: Int8Spec, inputs: &[usize]) -> usize {
        self.add(OperatorSpec::Int8(spec), inputs)
    }

    fn meaning(&self, tensor: usize) -> Quantization {
        let quantization = self.tensors[tensor].quantization;
        quantization.expect("a tensor of 8-bit numbers")
    }

    fn conv2d_i8(
        &mut self,
        rng: &mut fastrand::Rng,
        input: usize,
        (window, groups, out_channels): (Window, usize, usize),
    ) -> usize {
        let terms = window.kernel_h * window.kernel_w * self.shape(input).channels / groups;
        let output = quantization(rng);
        let bias = any_bias(rng);
        let layer = layer(
            rng,
            (terms, out_channels),
            self.meaning(input),
            output,
            bias,
        );
        let spec = Int8Spec::Conv2d {
            window,
            groups,
            out_channels,
            layer,
            output,
        };
        self.int8(spec, &[input])
    }

    fn linear_i8(&mut self, rng: &mut fastrand::Rng, input: usize, out_features: usize) -> usize {
        let output = quantization(rng);
        let sizes = (self.shape(input).len(), out_features);
        let bias = any_bias(rng);
        let layer = layer(rng, sizes, self.meaning(input), output, bias);
        let spec = Int8Spec::Linear {
            out_features,
            layer,
            output,
        };
        self.int8(spec, &[input])
    }
}

fn any_bias(rng: &mut fastrand::Rng) -> Bias {
    match rng.u8(0..3) {
        0 => Bias::No,
        _ => Bias::Yes,
    }
}

fn same_3x3() -> Window {
    Window::new(3, 3).with_padding(Padding::symmetric(1, 1))
}

/// Every operator on 8-bit numbers, in front of a linear layer that can be trained.
pub fn quantized() -> GraphSpec {
    let rng = &mut fastrand::Rng::with_seed(61);
    let mut graph = Builder::new("quantized", Shape::new(8, 8, 3));
    let q = Quantization::new(0.015625, -3);
    let input = graph.int8(Int8Spec::Quantize { output: q }, &[0]);
    let first = graph.conv2d_i8(rng, input, (same_3x3(), 1, 8));
    let pooled = OperatorSpec::MaxPool2d {
        window: Window::new(2, 2).with_stride(2, 2),
        rounding: Rounding::Floor,
    };
    let pooled = graph.add(pooled, &[first]);
    let depthwise = graph.conv2d_i8(rng, pooled, (same_3x3(), 8, 8));
    let sum = Int8Spec::Add {
        bounds: (-100, 127),
        output: Quantization::new(0.03, 7),
    };
    let sum = graph.int8(sum, &[depthwise, pooled]);
    let rescaled = Int8Spec::Requantize {
        bounds: (7, 120),
        output: q,
    };
    let rescaled = graph.int8(rescaled, &[sum]);
    let padded = OperatorSpec::Pad {
        before: [1, 0, 0],
        after: [0, 1, 2],
        value: 0.4,
    };
    let padded = graph.add(padded, &[rescaled]);
    let turned = OperatorSpec::Transpose {
        order: [Axis::Width, Axis::Height, Axis::Channels],
    };
    let turned = graph.add(turned, &[padded]);
    let sliced = OperatorSpec::Slice {
        start: [0, 1, 1],
        step: [1, 2, 3],
        output: Shape::new(5, 2, 3),
    };
    let sliced = graph.add(sliced, &[turned]);
    let upsampled = OperatorSpec::Upsample {
        factor_h: 1,
        factor_w: 2,
    };
    let upsampled = graph.add(upsampled, &[sliced]);
    let joined = OperatorSpec::Concat { axis: Axis::Width };
    let joined = graph.add(joined, &[upsampled, sliced]);
    let averaged = Int8Spec::AvgPool2d {
        window: Window::new(2, 2)
            .with_stride(2, 1)
            .with_padding(Padding::symmetric(1, 0)),
        rounding: Rounding::Ceil,
        count_padding: CountPadding::Include,
        output: Quantization::new(0.0125, 11),
    };
    let averaged = graph.int8(averaged, &[joined]);
    let output = Shape::vector(graph.shape(averaged).len());
    let flat = graph.add(OperatorSpec::Reshape { output }, &[averaged]);
    let features = graph.linear_i8(rng, flat, 12);
    let probabilities = Int8Spec::Softmax {
        output: Quantization::new(1.0 / 256.0, -128),
    };
    let probabilities = graph.int8(probabilities, &[features]);
    let real = graph.int8(Int8Spec::Dequantize, &[probabilities]);
    graph.add(linear(rng, 12, 4, Activation::Identity, Bias::Yes), &[real]);
    GraphSpec {
        trainable_nodes: 1,
        ..graph.spec
    }
}

/// Quantize, a convolution of two channels, dequantize: small enough to be read byte by byte.
pub fn tiny_i8() -> GraphSpec {
    let output = Quantization::new(0.5, 3);
    let layer = LayerI8 {
        weights: vec![1, -2, 127, -128],
        bias: Some(vec![-300, 70000]),
        scale: vec![0.25, 0.125],
        bounds: (3, 127),
    };
    let conv2d = Int8Spec::Conv2d {
        window: Window::new(1, 2),
        groups: 1,
        out_channels: 2,
        layer,
        output,
    };
    let input = Quantization::new(0.25, -1);
    let operators = vec![
        OperatorSpec::Int8(Int8Spec::Quantize { output: input }),
        OperatorSpec::Int8(conv2d),
        OperatorSpec::Int8(Int8Spec::Dequantize),
    ];
    chain("i8", Shape::new(1, 2, 1), operators)
}

/// A graph of up to 16 nodes on 8-bit numbers of a handful of quantizations, that reads what came before in all ways
/// there are.
pub fn random_quantized(rng: &mut fastrand::Rng) -> GraphSpec {
    let input = Shape::new(rng.usize(1..8), rng.usize(1..8), rng.usize(1..6));
    let mut graph = Builder::new("random", input);
    let output = quantization(rng);
    graph.int8(Int8Spec::Quantize { output }, &[0]);
    for _ in 0..rng.usize(1..=16) {
        // The one before is quantized where this one is not.
        let x = recent(rng, &graph).max(1);
        let x = x - usize::from(graph.tensors[x].quantization.is_none());
        grow(rng, &mut graph, x);
    }
    let last = graph.tensors.len() - 1;
    graph.int8(Int8Spec::Dequantize, &[last]);
    graph.spec
}

/// Adds any operator that reads `x`.
fn grow(rng: &mut fastrand::Rng, graph: &mut Builder, x: usize) -> usize {
    let shape = graph.shape(x);
    let channels = shape.channels;
    let convolves = channels <= 32 && shape.height * shape.width <= MAX_LEN / 10;
    match rng.u8(0..20) {
        0..3 if convolves => {
            let out_channels = rng.usize(1..10);
            let window = any_window(rng, shape);
            graph.conv2d_i8(rng, x, (window, 1, out_channels))
        }
        // As many channels as before: a branch that can be added to the others.
        3 if convolves => graph.conv2d_i8(rng, x, (Window::new(1, 1), 1, channels)),
        4 if convolves => graph.conv2d_i8(rng, x, (same_3x3(), channels, channels)),
        5 if convolves && channels.is_multiple_of(2) => {
            let out_channels = 2 * rng.usize(1..5);
            graph.conv2d_i8(rng, x, (same_3x3(), 2, out_channels))
        }
        6 => graph.linear_i8(rng, x, 9),
        7..10 => {
            let alike = |tensor: &usize| {
                let tensor = &graph.tensors[*tensor];
                tensor.shape == shape && tensor.quantization.is_some()
            };
            let others: Vec<usize> = (1..graph.tensors.len()).filter(alike).collect();
            let other = *rng.choice(&others).expect("x at least");
            let spec = Int8Spec::Add {
                bounds: bounds(rng),
                output: quantization(rng),
            };
            graph.int8(spec, &[x, other])
        }
        10 => concat(rng, graph, x),
        11 => slice(rng, graph, x),
        12 => pad(rng, graph, x),
        13 => upsample(rng, graph, x),
        14 => {
            let mut order = [Axis::Height, Axis::Width, Axis::Channels];
            rng.shuffle(&mut order);
            graph.add(OperatorSpec::Transpose { order }, &[x])
        }
        15 => {
            let output = match rng.bool() {
                true => Shape::vector(shape.len()),
                false => Shape::new(channels, shape.height, shape.width),
            };
            graph.add(OperatorSpec::Reshape { output }, &[x])
        }
        16 => pool(rng, graph, x),
        17 => {
            let output = quantization(rng);
            graph.int8(Int8Spec::Softmax { output }, &[x])
        }
        18 => {
            // Back and forth.
            let real = graph.int8(Int8Spec::Dequantize, &[x]);
            let output = quantization(rng);
            graph.int8(Int8Spec::Quantize { output }, &[real])
        }
        _ => {
            let spec = Int8Spec::Requantize {
                bounds: bounds(rng),
                output: quantization(rng),
            };
            graph.int8(spec, &[x])
        }
    }
}

/// A window that fits `shape`, with padding of at most half of it.
fn any_window(rng: &mut fastrand::Rng, shape: Shape) -> Window {
    let mut axis = |extent: usize| {
        let kernel = rng.usize(1..=extent.min(3));
        let before = rng.usize(0..=kernel / 2);
        let after = rng.usize(0..=kernel / 2);
        (kernel, rng.usize(1..3), before, after)
    };
    let (rows, columns) = (axis(shape.height), axis(shape.width));
    Window::new(rows.0, columns.0)
        .with_stride(rows.1, columns.1)
        .with_padding(Padding {
            top: rows.2,
            bottom: rows.3,
            left: columns.2,
            right: columns.3,
        })
}

fn pool(rng: &mut fastrand::Rng, graph: &mut Builder, x: usize) -> usize {
    let window = any_window(rng, graph.shape(x));
    let rounding = *rng
        .choice(&[Rounding::Floor, Rounding::Ceil])
        .expect("some");
    if rng.bool() {
        return graph.add(OperatorSpec::MaxPool2d { window, rounding }, &[x]);
    }
    let count_padding = *rng
        .choice(&[CountPadding::Include, CountPadding::Exclude])
        .expect("some");
    let spec = Int8Spec::AvgPool2d {
        window,
        rounding,
        count_padding,
        output: quantization(rng),
    };
    graph.int8(spec, &[x])
}

/// The spec of the trainable layer alone: what the features of [`quantized`] go through.
pub fn head_of(spec: &GraphSpec) -> GraphSpec {
    let node = spec.nodes.last().expect("a node").clone();
    let OperatorSpec::Linear {
        ref weights,
        ref bias,
        ..
    } = node.operator
    else {
        panic!("the last node is not a linear layer");
    };
    let outputs = bias.as_ref().map_or(1, Vec::len);
    let input = Shape::vector(weights.len() / outputs);
    let nodes = vec![NodeSpec {
        inputs: vec![0],
        operator: node.operator,
    }];
    GraphSpec {
        nodes,
        trainable_nodes: 1,
        ..chain("head", input, vec![])
    }
}
