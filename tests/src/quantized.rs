//! Graphs of 8-bit numbers: one with every operator on them, a body in front of a layer that can be trained, and
//! random ones.

use kinglet::model::schema::DType;
use kinglet::model::{GraphSpec, TensorSpec};
use kinglet::operator::{
    AvgPool2d, Concat, Dequantize, LayerI8, MaxPool2d, Operator, Owned, Quantize, QuantizedAdd,
    QuantizedBinary, QuantizedConv2d, QuantizedLinear, Requantize, Slice, Softmax, Table,
    Transpose, Upsample,
};
use kinglet_kernels::{
    Activation, Axis, BinaryFunction, Conv2d, CountPadding, Padding, Pool2d, Quantization,
    Rounding, Shape, Window,
};

use crate::branching::{MAX_LEN, concat, pad, recent, slice, upsample};
use crate::builder::Builder;
use crate::graphs::{Bias, chain, linear, one};

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
) -> LayerI8<Owned> {
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
    }
}

/// A table of any numbers.
pub fn table(rng: &mut fastrand::Rng) -> Operator<Owned> {
    let entries = (0..256).map(|_| rng.i8(..)).collect();
    Operator::Table(Table { entries })
}

impl Builder {
    /// A node that writes numbers of `output` in the shape of its first input.
    fn requantized(
        &mut self,
        operator: impl Into<Operator<Owned>>,
        inputs: &[usize],
        output: Quantization,
    ) -> usize {
        let output = TensorSpec::quantized(self.shape(inputs[0]), output);
        self.add_as(operator, inputs, output)
    }

    fn meaning(&self, tensor: usize) -> Quantization {
        let quantization = self.tensor(tensor).dtype.quantization();
        quantization.expect("a tensor of 8-bit numbers")
    }

    fn conv2d_i8(
        &mut self,
        rng: &mut fastrand::Rng,
        input: usize,
        (window, groups, out_channels): (Window, usize, usize),
    ) -> usize {
        let shape = self.shape(input);
        let params = Conv2d::new(shape, out_channels, window, groups, Activation::Identity);
        let params = params.expect("a sample layer");
        let output = quantization(rng);
        let bias = any_bias(rng);
        let sizes = (params.taps(), out_channels);
        let layer = layer(rng, sizes, self.meaning(input), output, bias);
        let (low, high) = bounds(rng);
        let operator = QuantizedConv2d {
            window,
            groups: groups as u32,
            low,
            high,
            layer,
        };
        let output = TensorSpec::quantized(params.output(), output);
        self.add_as(operator, &[input], output)
    }

    /// Adds a linear layer of random parameters.
    pub fn linear_i8(
        &mut self,
        rng: &mut fastrand::Rng,
        input: usize,
        out_features: usize,
    ) -> usize {
        let output = quantization(rng);
        let sizes = (self.shape(input).len(), out_features);
        let bias = any_bias(rng);
        let layer = layer(rng, sizes, self.meaning(input), output, bias);
        let (low, high) = bounds(rng);
        let output = TensorSpec::quantized(Shape::vector(out_features), output);
        self.add_as(QuantizedLinear { low, high, layer }, &[input], output)
    }

    fn average_i8(&mut self, pool: AvgPool2d, input: usize, output: Quantization) -> usize {
        let AvgPool2d {
            window,
            rounding,
            count_padding,
        } = pool;
        let params = Pool2d::new(self.shape(input), window, rounding, count_padding);
        let shape = params.expect("a sample pool").output();
        self.add_as(pool, &[input], TensorSpec::quantized(shape, output))
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
    let input = graph.requantized(Quantize, &[0], q);
    let first = graph.conv2d_i8(rng, input, (same_3x3(), 1, 8));
    let pooled = MaxPool2d {
        window: Window::new(2, 2).with_stride(2, 2),
        rounding: Rounding::Floor,
    };
    let pooled = graph.add(pooled, &[first]);
    let depthwise = graph.conv2d_i8(rng, pooled, (same_3x3(), 8, 8));
    let sum = QuantizedAdd {
        low: -100,
        high: 127,
    };
    let sum = graph.requantized(sum, &[depthwise, pooled], Quantization::new(0.03, 7));
    let mean = AvgPool2d {
        window: Window::new(4, 4),
        rounding: Rounding::Floor,
        count_padding: CountPadding::Include,
    };
    let mean = graph.average_i8(mean, sum, q);
    let gated = QuantizedBinary {
        function: BinaryFunction::Multiply,
        low: -128,
        high: 90,
    };
    let sum = graph.requantized(gated, &[sum, mean], Quantization::new(0.03, 7));
    let rescaled = graph.requantized(Requantize { low: 7, high: 120 }, &[sum], q);
    let padded = graph.pad(rescaled, [1, 0, 0], [0, 1, 2], 0.4);
    let mapped = graph.requantized(table(rng), &[padded], q);
    let turned = Transpose {
        order: [Axis::Width, Axis::Height, Axis::Channels],
    };
    let turned = graph.add(turned, &[mapped]);
    let sliced = Slice {
        start: [0, 1, 1],
        step: [1, 2, 3],
    };
    let sliced = graph.moved(sliced, turned, Shape::new(5, 2, 3));
    let upsampled = Upsample {
        factor_h: 1,
        factor_w: 2,
    };
    let upsampled = graph.add(upsampled, &[sliced]);
    let joined = graph.add(Concat { axis: Axis::Width }, &[upsampled, sliced]);
    let averaged = AvgPool2d {
        window: Window::new(2, 2)
            .with_stride(2, 1)
            .with_padding(Padding::symmetric(1, 0)),
        rounding: Rounding::Ceil,
        count_padding: CountPadding::Include,
    };
    let averaged = graph.average_i8(averaged, joined, Quantization::new(0.0125, 11));
    let flat = graph.reshape(averaged, Shape::vector(graph.shape(averaged).len()));
    let features = graph.linear_i8(rng, flat, 12);
    let of_256 = Quantization::new(1.0 / 256.0, -128);
    let probabilities = graph.requantized(Softmax, &[features], of_256);
    let real = graph.add(Dequantize, &[probabilities]);
    graph.add(linear(rng, 12, 4, Activation::Identity, Bias::Yes), &[real]);
    GraphSpec {
        trainable_nodes: 1,
        ..graph.finish()
    }
}

/// A convolution to two channels: small enough to be read byte by byte.
pub fn tiny_conv2d() -> QuantizedConv2d<Owned> {
    QuantizedConv2d {
        window: Window::new(1, 2),
        groups: 1,
        low: 3,
        high: 127,
        layer: LayerI8 {
            weights: vec![1, -2, 127, -128],
            bias: Some(vec![-300, 70000]),
            scale: vec![0.25, 0.125],
        },
    }
}

/// What [`tiny_conv2d`] reads and writes.
pub fn tiny_ends() -> (TensorSpec, TensorSpec) {
    let input = TensorSpec::quantized(Shape::new(1, 2, 1), Quantization::new(0.25, -1));
    let output = TensorSpec::quantized(Shape::vector(2), Quantization::new(0.5, 3));
    (input, output)
}

/// Quantize, the convolution, dequantize.
pub fn tiny_i8() -> GraphSpec {
    let (input, output) = tiny_ends();
    let mut graph = Builder::new("i8", input.shape);
    graph.add_as(Quantize, &[0], input);
    graph.add_as(tiny_conv2d(), &[1], output);
    graph.add(Dequantize, &[2]);
    graph.finish()
}

/// The convolution alone: 8-bit numbers in, 8-bit numbers out.
pub fn whole_i8() -> GraphSpec {
    let (input, output) = tiny_ends();
    one(tiny_conv2d(), input, output)
}

/// A layer on 8-bit numbers from the first node on, in front of one that can be trained.
pub fn begins_quantized() -> GraphSpec {
    let rng = &mut fastrand::Rng::with_seed(71);
    let input = TensorSpec::quantized(Shape::new(3, 2, 2), Quantization::new(0.0078125, -7));
    let mut graph = Builder::new("begins quantized", input);
    let features = graph.linear_i8(rng, 0, 6);
    let real = graph.add(Dequantize, &[features]);
    graph.add(linear(rng, 6, 4, Activation::Identity, Bias::Yes), &[real]);
    GraphSpec {
        trainable_nodes: 1,
        ..graph.finish()
    }
}

/// Real numbers in, the probabilities of classes in 8 bits out.
pub fn ends_quantized() -> GraphSpec {
    let rng = &mut fastrand::Rng::with_seed(72);
    let mut graph = Builder::new("ends quantized", Shape::new(3, 2, 2));
    let input = graph.requantized(Quantize, &[0], Quantization::new(0.0078125, 3));
    let classes = graph.linear_i8(rng, input, 5);
    graph.requantized(Softmax, &[classes], Quantization::new(1.0 / 256.0, -128));
    graph.finish()
}

/// A graph of up to 16 nodes on 8-bit numbers of a handful of quantizations, that reads what came before in all ways
/// there are.
pub fn random_quantized(rng: &mut fastrand::Rng) -> GraphSpec {
    let input = Shape::new(rng.usize(1..8), rng.usize(1..8), rng.usize(1..6));
    let mut graph = Builder::new("random", input);
    graph.requantized(Quantize, &[0], quantization(rng));
    for _ in 0..rng.usize(1..=16) {
        // The one before is quantized where this one is not.
        let x = recent(rng, &graph).max(1);
        let x = x - usize::from(graph.tensor(x).dtype == DType::F32);
        grow(rng, &mut graph, x);
    }
    graph.add(Dequantize, &[graph.last()]);
    graph.finish()
}

/// Adds any operator that reads `x`.
fn grow(rng: &mut fastrand::Rng, graph: &mut Builder, x: usize) -> usize {
    let shape = graph.shape(x);
    let channels = shape.channels;
    let convolves = channels <= 32 && shape.height * shape.width <= MAX_LEN / 10;
    match rng.u8(0..23) {
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
                let tensor = graph.tensor(*tensor);
                tensor.shape == shape && tensor.dtype != DType::F32
            };
            let others: Vec<usize> = (1..graph.tensors()).filter(alike).collect();
            let other = *rng.choice(&others).expect("x at least");
            let (low, high) = bounds(rng);
            let output = quantization(rng);
            graph.requantized(QuantizedAdd { low, high }, &[x, other], output)
        }
        10 => {
            // Any operand that is, or can be spread.
            let fits = |tensor: &usize| {
                let spread = |own: usize, extent: usize| own == extent || own == 1;
                let tensor = graph.tensor(*tensor);
                tensor.dtype != DType::F32
                    && spread(tensor.shape.height, shape.height)
                    && spread(tensor.shape.width, shape.width)
                    && spread(tensor.shape.channels, channels)
            };
            let others: Vec<usize> = (1..graph.tensors()).filter(fits).collect();
            let other = *rng.choice(&others).expect("x at least");
            let (low, high) = bounds(rng);
            let function = *rng.choice(&BinaryFunction::ALL).expect("some");
            let binary = QuantizedBinary {
                function,
                low,
                high,
            };
            let output = quantization(rng);
            graph.requantized(binary, &[x, other], output)
        }
        11 => {
            // What gates channels.
            let window = Window::new(shape.height, shape.width);
            let (rounding, count_padding) = (Rounding::Floor, CountPadding::Include);
            let mean = AvgPool2d {
                window,
                rounding,
                count_padding,
            };
            let output = quantization(rng);
            graph.average_i8(mean, x, output)
        }
        12 => concat(rng, graph, x),
        13 => slice(rng, graph, x),
        14 => pad(rng, graph, x),
        15 => upsample(rng, graph, x),
        16 => {
            let mut order = [Axis::Height, Axis::Width, Axis::Channels];
            rng.shuffle(&mut order);
            graph.add(Transpose { order }, &[x])
        }
        17 => {
            let output = match rng.bool() {
                true => Shape::vector(shape.len()),
                false => Shape::new(channels, shape.height, shape.width),
            };
            graph.reshape(x, output)
        }
        18 => pool(rng, graph, x),
        19 => {
            let output = quantization(rng);
            graph.requantized(Softmax, &[x], output)
        }
        20 => {
            // Back and forth.
            let real = graph.add(Dequantize, &[x]);
            graph.requantized(Quantize, &[real], quantization(rng))
        }
        21 => {
            let output = quantization(rng);
            graph.requantized(table(rng), &[x], output)
        }
        _ => {
            let (low, high) = bounds(rng);
            let output = quantization(rng);
            graph.requantized(Requantize { low, high }, &[x], output)
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
        return graph.add(MaxPool2d { window, rounding }, &[x]);
    }
    let count_padding = *rng
        .choice(&[CountPadding::Include, CountPadding::Exclude])
        .expect("some");
    let pool = AvgPool2d {
        window,
        rounding,
        count_padding,
    };
    graph.average_i8(pool, x, quantization(rng))
}

/// The spec of the trainable layer alone: what the features of [`quantized`] go through.
pub fn head_of(spec: &GraphSpec) -> GraphSpec {
    let node = spec.nodes.last().expect("a node").clone();
    let Operator::Linear(linear) = &node.operator else {
        panic!("the last node is not a linear layer");
    };
    let features = linear.layer.weights.len() / node.output.shape.len();
    let input = Shape::vector(features);
    GraphSpec {
        trainable_nodes: 1,
        ..chain("head", input, vec![node.operator])
    }
}
