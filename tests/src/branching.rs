//! Graphs that branch: one with every operator that [`every_operator`](crate::graphs::every_operator) lacks, and
//! random ones.

use kinglet::model::schema::MAX_INPUTS;
use kinglet::model::{GraphSpec, TensorSpec};
use kinglet::operator::{
    self, AvgPool2d, BinaryConstant, ChannelAffine, Concat, LogSoftmax, Operator, Owned, Pad,
    Reshape, Slice, Transpose, Upsample,
};
use kinglet_kernels::{
    Activation, Axis, BinaryFunction, Conv2d, CountPadding, Padding, Rounding, Shape, Unary, Window,
};

use crate::builder::{Builder, extents, shaped};
use crate::graphs::{Bias, conv2d, linear, numbers};
use crate::interpreter::each_axis;

impl Builder {
    /// A convolution that keeps height and width.
    fn conv2d(
        &mut self,
        rng: &mut fastrand::Rng,
        input: usize,
        out_channels: usize,
        kernel: usize,
    ) -> usize {
        let half = kernel / 2;
        let window = Window::new(kernel, kernel).with_padding(Padding::symmetric(half, half));
        let params = Conv2d::new(
            self.shape(input),
            out_channels,
            window,
            1,
            Activation::Identity,
        );
        let params = params.expect("a sample layer");
        self.add(
            conv2d(rng, &params, Activation::Identity, Bias::Yes),
            &[input],
        )
    }

    /// The average of each channel.
    fn global_average(&mut self, input: usize) -> usize {
        let shape = self.shape(input);
        let operator = AvgPool2d {
            window: Window::new(shape.height, shape.width),
            rounding: Rounding::Floor,
            count_padding: CountPadding::Include,
        };
        self.add(operator, &[input])
    }

    /// A node that moves elements about, and writes a tensor of the same kind of another shape.
    pub(crate) fn moved(
        &mut self,
        operator: impl Into<Operator<Owned>>,
        input: usize,
        shape: Shape,
    ) -> usize {
        let output = TensorSpec {
            shape,
            ..self.tensor(input)
        };
        self.add_as(operator, &[input], output)
    }

    /// The same elements in another shape.
    pub(crate) fn reshape(&mut self, input: usize, shape: Shape) -> usize {
        self.moved(Reshape, input, shape)
    }

    /// The input within a larger tensor: so many rows, columns and channels before and after it.
    pub(crate) fn pad(
        &mut self,
        input: usize,
        before: [usize; 3],
        after: [usize; 3],
        value: f32,
    ) -> usize {
        let own = extents(self.shape(input));
        let shape = shaped(each_axis(|axis| before[axis] + own[axis] + after[axis]));
        self.moved(Pad { before, value }, input, shape)
    }
}

/// A function of two tensors.
pub fn binary(function: BinaryFunction, activation: Activation) -> Operator<Owned> {
    let binary = operator::Binary {
        function,
        activation,
    };
    binary.into()
}

/// A residual block, gates by channel and by position, and everything that moves elements about.
pub fn branching() -> GraphSpec {
    use Activation::{Identity, Relu, Relu6};
    use BinaryFunction::{Add, Maximum, Multiply, PRelu, ReverseSubtract};
    let rng = &mut fastrand::Rng::with_seed(31);
    let mut graph = Builder::new("branching", Shape::new(8, 8, 3));
    let first = graph.conv2d(rng, 0, 8, 3);
    let slopes = BinaryConstant {
        function: PRelu,
        activation: Identity,
        shape: Shape::vector(8),
        operand: numbers(rng, 8),
    };
    let rectified = graph.add(slopes, &[first]);
    let normalized = ChannelAffine {
        activation: Relu,
        scale: numbers(rng, 8),
        shift: numbers(rng, 8),
    };
    let normalized = graph.add(normalized, &[rectified]);
    let convolved = graph.conv2d(rng, normalized, 8, 3);
    let sum = graph.add(binary(Add, Relu), &[convolved, rectified]);
    // Squeeze and excite.
    let squeezed = graph.global_average(sum);
    let excited = graph.conv2d(rng, squeezed, 8, 1);
    let gate = Unary::HardSigmoid {
        alpha: 0.2,
        beta: 0.5,
    };
    let gate = graph.add(gate, &[excited]);
    let gated = graph.add(binary(Multiply, Identity), &[sum, gate]);
    // Attention to positions.
    let attention = graph.conv2d(rng, gated, 1, 1);
    let attention = graph.add(Unary::Sigmoid, &[attention]);
    let masked = graph.add(binary(Multiply, Relu6), &[gated, attention]);
    let padded = graph.pad(masked, [1, 1, 0], [0, 2, 1], -0.5);
    let sliced = Slice {
        start: [0, 1, 1],
        step: [2, 1, 2],
    };
    let sliced = graph.moved(sliced, padded, Shape::new(4, 10, 4));
    let order = [Axis::Width, Axis::Height, Axis::Channels];
    let turned = graph.add(Transpose { order }, &[sliced]);
    let elu = graph.add(Unary::Elu { alpha: 0.75 }, &[turned]);
    let swish = graph.add(Unary::HardSwish, &[turned]);
    let channels = Concat {
        axis: Axis::Channels,
    };
    let joined = graph.add(channels, &[elu, swish, turned]);
    let upsampled = Upsample {
        factor_h: 1,
        factor_w: 2,
    };
    let upsampled = graph.add(upsampled, &[joined]);
    let clip = Unary::Clip {
        low: -0.25,
        high: 0.75,
    };
    let clipped = graph.add(clip, &[upsampled]);
    let larger = graph.add(binary(Maximum, Identity), &[upsampled, clipped]);
    let rows = Concat { axis: Axis::Height };
    let stacked = graph.add(rows, &[clipped, larger]);
    let subtracted = BinaryConstant {
        function: ReverseSubtract,
        activation: Identity,
        shape: Shape::new(20, 1, 1),
        operand: numbers(rng, 20),
    };
    let subtracted = graph.add(subtracted, &[stacked]);
    let len = graph.shape(subtracted).len();
    let flat = graph.reshape(subtracted, Shape::vector(len));
    let logits = graph.add(linear(rng, len, 10, Identity, Bias::Yes), &[flat]);
    graph.add(LogSoftmax, &[logits]);
    graph.finish()
}

/// Most elements of a tensor of a random graph.
pub(crate) const MAX_LEN: usize = 3000;

/// A graph of up to 16 nodes that reads what came before in all ways there are: residual sums, operands spread over
/// any axes, the same tensor twice, concatenation along each axis, dead ends.
pub fn random_dag(rng: &mut fastrand::Rng) -> GraphSpec {
    let input = Shape::new(rng.usize(1..8), rng.usize(1..8), rng.usize(1..6));
    let mut graph = Builder::new("random", input);
    for _ in 0..rng.usize(1..=16) {
        let x = recent(rng, &graph);
        let shape = graph.shape(x);
        let _ = match rng.u8(0..20) {
            0..6 => combine(rng, &mut graph, x),
            6 => with_constant(rng, &mut graph, x),
            7..9 => concat(rng, &mut graph, x),
            // Reshapes make vectors of thousands of channels: convolutions of those are for other tests.
            9 if convolves(shape) => {
                let out_channels = rng.usize(1..10);
                graph.conv2d(rng, x, out_channels, 3)
            }
            // As many channels as before: a branch that can be added to the others.
            10 if convolves(shape) => graph.conv2d(rng, x, shape.channels, 1),
            11 => graph.global_average(x),
            12 => graph.add(
                linear(rng, shape.len(), 9, Activation::Relu, Bias::No),
                &[x],
            ),
            9..11 | 13..15 => function(rng, &mut graph, x),
            15 => slice(rng, &mut graph, x),
            16 => pad(rng, &mut graph, x),
            17 => upsample(rng, &mut graph, x),
            18 => {
                let mut order = [Axis::Height, Axis::Width, Axis::Channels];
                rng.shuffle(&mut order);
                graph.add(Transpose { order }, &[x])
            }
            _ => {
                let Shape {
                    height,
                    width,
                    channels,
                } = shape;
                let output = match rng.bool() {
                    true => Shape::vector(shape.len()),
                    false => Shape::new(channels, height, width),
                };
                graph.reshape(x, output)
            }
        };
    }
    graph.finish()
}

fn convolves(shape: Shape) -> bool {
    shape.channels <= 32 && shape.height * shape.width <= MAX_LEN / 10
}

/// One of the last few tensors.
pub(crate) fn recent(rng: &mut fastrand::Rng, graph: &Builder) -> usize {
    graph.tensors() - 1 - rng.usize(0..5.min(graph.tensors()))
}

fn activation(rng: &mut fastrand::Rng) -> Activation {
    *rng.choice(&[Activation::Identity, Activation::Relu, Activation::Relu6])
        .expect("some")
}

/// A function of `x` and a tensor that can be spread over it; of `x` and its averages if there is none.
fn combine(rng: &mut fastrand::Rng, graph: &mut Builder, x: usize) -> usize {
    use BinaryFunction::*;
    let shape = graph.shape(x);
    let spreads = |own: usize, extent: usize| own == extent || own == 1;
    let operands: Vec<usize> = (0..graph.tensors())
        .filter(|o| {
            let operand = graph.shape(*o);
            spreads(operand.height, shape.height)
                && spreads(operand.width, shape.width)
                && spreads(operand.channels, shape.channels)
        })
        .collect();
    let others: Vec<usize> = operands.iter().copied().filter(|o| *o != x).collect();
    // The same tensor twice comes up now and then.
    let operand = match rng.u8(0..8) {
        0 => Some(x),
        _ => rng.choice(&others).copied(),
    };
    let operand = operand.unwrap_or_else(|| graph.global_average(x));
    let function = *rng
        .choice(&[
            Add,
            Add,
            Add,
            Subtract,
            ReverseSubtract,
            Minimum,
            Maximum,
            PRelu,
        ])
        .expect("some");
    // Products and quotients are limited, lest a few of them in a row leave the range of numbers.
    let operator = match rng.u8(0..6) {
        0 => binary(Multiply, Activation::Relu6),
        1 => binary(Divide, Activation::Relu6),
        2 => binary(ReverseDivide, Activation::Relu6),
        _ => binary(function, activation(rng)),
    };
    graph.add(operator, &[x, operand])
}

/// A function of `x` and an operand of the file, along any axes.
fn with_constant(rng: &mut fastrand::Rng, graph: &mut Builder, x: usize) -> usize {
    use BinaryFunction::*;
    let shape = graph.shape(x);
    if rng.bool() {
        let operator = ChannelAffine {
            activation: activation(rng),
            scale: numbers(rng, shape.channels),
            shift: numbers(rng, shape.channels),
        };
        return graph.add(operator, &[x]);
    }
    let mut extent = |extent: usize| if rng.bool() { extent } else { 1 };
    let spread = Shape::new(
        extent(shape.height),
        extent(shape.width),
        extent(shape.channels),
    );
    let function = *rng
        .choice(&[Add, Subtract, ReverseSubtract, Multiply, Maximum, PRelu])
        .expect("some");
    let operator = BinaryConstant {
        function,
        activation: activation(rng),
        shape: spread,
        operand: numbers(rng, spread.len()),
    };
    graph.add(operator, &[x])
}

/// `x` and up to three tensors that agree with it along all other axes, maybe `x` again.
pub(crate) fn concat(rng: &mut fastrand::Rng, graph: &mut Builder, x: usize) -> usize {
    let axis = *rng
        .choice(&[Axis::Height, Axis::Width, Axis::Channels])
        .expect("some");
    let without = |tensor: usize| {
        let mut shape = graph.shape(tensor);
        let dtype = graph.tensor(tensor).dtype;
        match axis {
            Axis::Height => shape.height = 1,
            Axis::Width => shape.width = 1,
            Axis::Channels => shape.channels = 1,
        }
        (shape, dtype)
    };
    let candidates: Vec<usize> = (0..graph.tensors())
        .filter(|other| without(*other) == without(x))
        .collect();
    let mut inputs = vec![x];
    let mut len = graph.shape(x).len();
    for _ in 0..rng.usize(0..MAX_INPUTS) {
        let other = *rng.choice(&candidates).expect("x at least");
        len += graph.shape(other).len();
        if len <= MAX_LEN {
            inputs.push(other);
        }
    }
    rng.shuffle(&mut inputs);
    graph.add(Concat { axis }, &inputs)
}

fn function(rng: &mut fastrand::Rng, graph: &mut Builder, x: usize) -> usize {
    let functions: [Operator<Owned>; 21] = [
        Operator::Unary(Unary::Relu),
        Operator::Unary(Unary::Sigmoid),
        Operator::Unary(Unary::Tanh),
        Operator::Unary(Unary::Elu { alpha: 0.5 }),
        Operator::Unary(Unary::HardSwish),
        Operator::Unary(Unary::Selu {
            alpha: 1.5,
            gamma: 1.25,
        }),
        Operator::Unary(Unary::Swish { alpha: 1.0 }),
        Operator::Unary(Unary::Softplus),
        Operator::Unary(Unary::Softsign),
        Operator::Unary(Unary::Mish),
        Operator::Unary(Unary::Gelu),
        Operator::Unary(Unary::GeluTanh),
        Operator::Unary(Unary::Erf),
        Operator::Unary(Unary::Abs),
        Operator::Unary(Unary::Exp),
        Operator::Unary(Unary::Sqrt),
        Operator::Unary(Unary::Power { exponent: 3.0 }),
        Operator::Unary(Unary::HardSigmoid {
            alpha: 0.25,
            beta: 0.5,
        }),
        Operator::Unary(Unary::Clip {
            low: -0.5,
            high: 2.0,
        }),
        operator::Softmax.into(),
        LogSoftmax.into(),
    ];
    let operator = rng.choice(&functions).expect("some").clone();
    graph.add(operator, &[x])
}

pub(crate) fn slice(rng: &mut fastrand::Rng, graph: &mut Builder, x: usize) -> usize {
    let shape = graph.shape(x);
    let mut axis = |extent: usize| {
        let (start, step) = (rng.usize(0..extent), rng.usize(1..4));
        let most = (extent - start).div_ceil(step);
        (start, step, rng.usize(1..=most))
    };
    let (height, width, channels) = (axis(shape.height), axis(shape.width), axis(shape.channels));
    let operator = Slice {
        start: [height.0, width.0, channels.0],
        step: [height.1, width.1, channels.1],
    };
    graph.moved(operator, x, Shape::new(height.2, width.2, channels.2))
}

pub(crate) fn pad(rng: &mut fastrand::Rng, graph: &mut Builder, x: usize) -> usize {
    let mut some = |shape: Shape| match shape.len() * 27 <= MAX_LEN {
        true => [rng.usize(0..2), rng.usize(0..2), rng.usize(0..2)],
        false => [0; 3],
    };
    let shape = graph.shape(x);
    let (before, after) = (some(shape), some(shape));
    graph.pad(x, before, after, -0.25)
}

pub(crate) fn upsample(rng: &mut fastrand::Rng, graph: &mut Builder, x: usize) -> usize {
    let (factor_h, factor_w) = match graph.shape(x).len() * 6 <= MAX_LEN {
        true => (rng.u32(1..3), rng.u32(1..4)),
        false => (1, 1),
    };
    graph.add(Upsample { factor_h, factor_w }, &[x])
}
