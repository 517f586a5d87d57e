//! Changes to a model file, chosen at random: to its bytes, or to its graph in ways that the schema can
//! express. Most make no sense, some do.

use kinglet::model::schema::{DType, Graph, Node, Operator, PREFIX_LEN};
use kinglet_kernels::{Activation, Axis, BinaryFunction, Padding, PerAxis, Shape, Window};

/// A change to one byte of a file, or the insertion or removal of one.
///
/// # Panics
/// If the file is shorter than its prefix.
pub fn bytes(rng: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    // Most of the file is weights, which may be anything: look at the rest.
    let end = bytes.len().min(PREFIX_LEN + 400);
    let position = match rng.u8(0..8) {
        0 => rng.usize(12..PREFIX_LEN),
        1 => rng.usize(PREFIX_LEN..bytes.len()),
        _ => rng.usize(PREFIX_LEN..end),
    };
    match rng.u8(0..10) {
        0 => bytes.insert(position, rng.u8(..)),
        1 => drop(bytes.remove(position)),
        2..5 => bytes[position] ^= 1 << rng.u8(0..8),
        5..7 => bytes[position] = *rng.choice(&[0, 1, 0x7f, 0x80, 0xff]).expect("some"),
        7..9 => bytes[position] = bytes[position].wrapping_add(rng.u8(..4)).wrapping_sub(2),
        _ => bytes[position] = rng.u8(..),
    }
}

/// One element of a list.
fn some<'t, T>(rng: &mut fastrand::Rng, list: &'t mut [T]) -> Option<&'t mut T> {
    let len = list.len();
    (len > 0).then(|| &mut list[rng.usize(0..len)])
}

fn any_window(rng: &mut fastrand::Rng) -> Window {
    let mut number = || match rng.u8(0..12) {
        0 => 0,
        1 => 1 << 15,
        2 => (1 << 24) - 1,
        _ => rng.usize(1..4),
    };
    Window {
        kernel_h: number(),
        kernel_w: number(),
        stride_h: number(),
        stride_w: number(),
        dilation_h: number(),
        dilation_w: number(),
        padding: Padding {
            top: number() / 2,
            bottom: number() / 2,
            left: number() / 2,
            right: number() / 2,
        },
    }
}

fn any_position(rng: &mut fastrand::Rng) -> PerAxis {
    let mut number = || match rng.u8(0..12) {
        0 => usize::MAX,
        1 => 1 << 31,
        _ => rng.usize(0..4),
    };
    [number(), number(), number()]
}

/// An operator that combines tensors or moves elements about.
fn any_branch(rng: &mut fastrand::Rng, activation: Activation, offset: u32) -> Operator {
    use BinaryFunction::{Add, Divide, Maximum, PRelu};
    let function = *rng.choice(&[Add, Divide, Maximum, PRelu]).expect("some");
    let axes = [Axis::Height, Axis::Width, Axis::Channels];
    let mut axis = || *rng.choice(&axes).expect("some");
    let order = [axis(), axis(), axis()];
    let number = f32::from_bits(rng.u32(..));
    match rng.u8(0..14) {
        0 | 1 => Operator::BinaryF32 {
            function,
            activation,
        },
        2 => {
            let [height, width, channels] = any_position(rng);
            Operator::BinaryConstantF32 {
                function,
                activation,
                shape: Shape::new(height, width, channels),
                operand: offset,
            }
        }
        3 => Operator::ChannelAffineF32 {
            activation,
            scale: offset,
            shift: 16,
        },
        4 => Operator::ClipF32 {
            low: number,
            high: 6.0,
        },
        5 => Operator::EluF32 { alpha: number },
        6 => Operator::HardSigmoidF32 {
            alpha: 0.2,
            beta: number,
        },
        7 => Operator::HardSwishF32,
        8 => Operator::LogSoftmaxF32,
        9 => Operator::ConcatF32 { axis: order[0] },
        10 => Operator::SliceF32 {
            start: any_position(rng),
            step: any_position(rng),
        },
        11 => Operator::PadF32 {
            before: any_position(rng),
            value: number,
        },
        12 => Operator::UpsampleF32 {
            factor_h: rng.u32(0..3),
            factor_w: rng.u32(0..3),
        },
        _ if rng.bool() => Operator::TransposeF32 { order },
        _ => Operator::ReshapeF32,
    }
}

/// An operator that reads or writes 8-bit numbers.
fn any_int8(rng: &mut fastrand::Rng, offset: u32) -> Operator {
    let (low, high) = match rng.bool() {
        true => (i8::MIN, i8::MAX),
        false => (rng.i8(..), rng.i8(..)),
    };
    let (rounding, count_padding) = Default::default();
    let window = any_window(rng);
    let bias = rng.bool().then_some(offset);
    let scale = 16 * rng.u32(0..40);
    let order = [Axis::Height, Axis::Width, Axis::Channels];
    match rng.u8(0..15) {
        0 => Operator::QuantizeI8,
        1 => Operator::DequantizeI8,
        2 => Operator::Conv2dI8 {
            window,
            groups: rng.u32(0..4),
            low,
            high,
            weights: offset,
            bias,
            scale,
        },
        3 => Operator::LinearI8 {
            low,
            high,
            weights: offset,
            bias,
            scale,
        },
        4 => Operator::MaxPool2dI8 { window, rounding },
        5 => Operator::AvgPool2dI8 {
            window,
            rounding,
            count_padding,
        },
        6 => Operator::AddI8 { low, high },
        7 => Operator::SoftmaxI8,
        8 => Operator::RequantizeI8 { low, high },
        9 => Operator::ReshapeI8,
        10 => Operator::PadI8 {
            before: any_position(rng),
            value: low,
        },
        11 => Operator::ConcatI8 { axis: order[0] },
        12 => Operator::SliceI8 {
            start: any_position(rng),
            step: any_position(rng),
        },
        13 => Operator::TransposeI8 { order },
        _ => Operator::UpsampleI8 {
            factor_h: rng.u32(0..3),
            factor_w: rng.u32(0..3),
        },
    }
}

fn any_dtype(rng: &mut fastrand::Rng) -> DType {
    match rng.u8(0..4) {
        0 => DType::F32,
        1 => DType::I8 {
            scale: f32::from_bits(rng.u32(..)),
            zero_point: 0,
        },
        _ => DType::I8 {
            scale: 0.5,
            zero_point: rng.i8(..),
        },
    }
}

/// A change to the graph that the schema can express, often one that makes no sense.
pub fn graph(rng: &mut fastrand::Rng, graph: &mut Graph<'_>) {
    let offset = 16 * rng.u32(0..40) + if rng.u8(0..8) == 0 { rng.u32(..) } else { 0 };
    let (rounding, count_padding) = Default::default();
    let activation = *rng
        .choice(&[Activation::Identity, Activation::Relu, Activation::Relu6])
        .expect("some");
    let kind = rng.u8(0..15);
    let operator = match rng.u8(0..32) {
        0 | 1 => Operator::LinearF32 {
            activation,
            weights: offset,
            bias: rng.bool().then_some(16),
        },
        2 | 3 => Operator::Conv2dF32 {
            window: any_window(rng),
            groups: rng.u32(0..4),
            activation,
            weights: offset,
            bias: rng.bool().then_some(offset),
        },
        4 => Operator::MaxPool2dF32 {
            window: any_window(rng),
            rounding,
        },
        5 => Operator::AvgPool2dF32 {
            window: any_window(rng),
            rounding,
            count_padding,
        },
        6 => Operator::LeakyReluF32 {
            slope: f32::from_bits(rng.u32(..)),
        },
        7 => Operator::SigmoidF32,
        8 => Operator::TanhF32,
        9 => Operator::SoftmaxF32,
        10 => Operator::Conv2dMaxPool2dF32 {
            window: any_window(rng),
            groups: rng.u32(0..4),
            activation,
            weights: offset,
            bias: rng.bool().then_some(offset),
            pool: any_window(rng),
            rounding,
        },
        11 | 12 => Operator::ReluF32,
        26.. => any_int8(rng, offset),
        _ => any_branch(rng, activation, offset),
    };
    let nodes = graph.nodes.len();
    match kind {
        0 | 1 => {
            if let Some(tensor) = some(rng, &mut graph.tensors) {
                tensor.offset = offset;
            }
        }
        2 => {
            let last_use = rng.usize(0..nodes + 2) as u16;
            if let Some(tensor) = some(rng, &mut graph.tensors) {
                tensor.last_use = last_use;
            }
        }
        3 | 4 => {
            let shape = Shape::new(rng.usize(0..10), rng.usize(0..10), rng.usize(0..10));
            if let Some(tensor) = some(rng, &mut graph.tensors) {
                tensor.shape = shape;
            }
        }
        5 => {
            let extent = 1 << rng.u8(0..40);
            if let Some(tensor) = some(rng, &mut graph.tensors) {
                tensor.shape.channels = extent;
            }
        }
        6 | 7 => {
            if let Some(node) = some(rng, &mut graph.nodes) {
                node.operator = operator;
            }
        }
        8 => {
            let inputs: Vec<u16> = (0..rng.usize(0..5)).map(|_| rng.u16(0..14)).collect();
            if let Some(node) = some(rng, &mut graph.nodes) {
                node.inputs = inputs.into_iter().collect();
            }
        }
        9 => {
            // One more node that works in place on the output.
            if let Some(last) = graph.tensors.last_mut() {
                last.last_use = nodes as u16;
                let last = *last;
                graph.nodes.push(Node {
                    operator,
                    inputs: [nodes as u16].into_iter().collect(),
                });
                graph.tensors.push(last);
            }
        }
        10 => {
            // The last node goes.
            graph.nodes.pop();
            graph.tensors.pop();
            let last = graph.nodes.len().saturating_sub(1) as u16;
            for tensor in &mut graph.tensors {
                tensor.last_use = tensor.last_use.min(last);
            }
            if let Some(output) = graph.tensors.last_mut() {
                output.last_use = last;
            }
            graph.labels.clear();
        }
        13 => {
            let dtype = any_dtype(rng);
            if let Some(tensor) = some(rng, &mut graph.tensors) {
                tensor.dtype = dtype;
            }
        }
        11 => graph.trainable_nodes = rng.u16(0..8),
        12 => {
            graph.mean = (0..rng.u8(0..4))
                .map(|_| f32::from_bits(rng.u32(..)))
                .collect()
        }
        _ => graph.labels.truncate(rng.usize(0..4)),
    }
}
