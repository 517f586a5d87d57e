//! Changes to a model file, chosen at random: to its bytes, or to its graph in ways that the schema can
//! express. Most make no sense, some do.

use kinglet::model::schema::{
    DType, Graph, Input, MAX_RANK, Node, Operator, Output, PREFIX_LEN, Source, Tensor,
};
use kinglet::operator::{
    AvgPool2d, Binary, BinaryConstant, ChannelAffine, Concat, Conv2d, Conv2dMaxPool2d, Dequantize,
    Layer, LayerI8, Linear, LogSoftmax, MaxPool2d, Offset, Pad, Quantize, QuantizedAdd,
    QuantizedBinary, QuantizedConv2d, QuantizedLinear, Requantize, Reshape, Slice, Softmax, Table,
    Transpose, Upsample, WeightsInFile, WeightsOrder,
};
use kinglet_kernels::{Activation, Axis, BinaryFunction, Padding, PerAxis, Shape, Unary, Window};

/// A change to one byte of a file, or the insertion or removal of one.
///
/// # Panics
/// If the file is shorter than its prefix.
pub fn bytes(rng: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    // Most of the file is weights, which may be anything: look at the rest.
    let end = bytes.len().min(PREFIX_LEN + 500);
    let position = match rng.u8(0..8) {
        0 => rng.usize(12..PREFIX_LEN),
        1 => rng.usize(PREFIX_LEN..bytes.len()),
        _ => rng.usize(PREFIX_LEN..end),
    };
    match rng.u8(0..16) {
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
        0 => u32::MAX as usize,
        1 => 1 << 31,
        _ => rng.usize(0..4),
    };
    [number(), number(), number()]
}

fn any_order(rng: &mut fastrand::Rng) -> [Axis; 3] {
    let axes = [Axis::Height, Axis::Width, Axis::Channels];
    let mut axis = || *rng.choice(&axes).expect("some");
    [axis(), axis(), axis()]
}

/// Any 32 bits as a number: NaN and infinities among them.
fn any_number(rng: &mut fastrand::Rng) -> f32 {
    f32::from_bits(rng.u32(..))
}

fn any_function(rng: &mut fastrand::Rng) -> Unary {
    match rng.u8(0..10) {
        0 => Unary::LeakyRelu {
            slope: any_number(rng),
        },
        1 => Unary::Sigmoid,
        2 => Unary::Tanh,
        3 => Unary::Clip {
            low: any_number(rng),
            high: 6.0,
        },
        4 => Unary::Elu {
            alpha: any_number(rng),
        },
        5 => Unary::HardSigmoid {
            alpha: 0.2,
            beta: any_number(rng),
        },
        6 => Unary::HardSwish,
        7 => Unary::Relu6,
        8 => Unary::Selu {
            alpha: any_number(rng),
            gamma: any_number(rng),
        },
        9 => Unary::Swish {
            alpha: any_number(rng),
        },
        10 => Unary::Power {
            exponent: any_number(rng),
        },
        11 => *rng
            .choice(&[Unary::Softplus, Unary::Softsign, Unary::Mish, Unary::Gelu])
            .expect("some"),
        12 => *rng
            .choice(&[Unary::GeluTanh, Unary::Erf, Unary::Exp, Unary::Log])
            .expect("some"),
        13 => *rng.choice(&[Unary::Abs, Unary::Sqrt]).expect("some"),
        _ => Unary::Relu,
    }
}

fn any_activation(rng: &mut fastrand::Rng) -> Activation {
    *rng.choice(&[Activation::Identity, Activation::Relu, Activation::Relu6])
        .expect("some")
}

/// Weights anywhere, now and then in an order that few or none know.
fn any_weights<T>(rng: &mut fastrand::Rng) -> WeightsInFile<T> {
    let order = match rng.usize(0..50) {
        0 => rng.u32(..),
        1 => 1,
        _ => 0,
    };
    WeightsInFile {
        order: WeightsOrder(order),
        offset: any_offset(rng),
    }
}

/// Where parameters lie: often within the weights of the samples.
fn any_offset<T>(rng: &mut fastrand::Rng) -> Offset<T> {
    let far = if rng.u8(0..8) == 0 { rng.u32(..) } else { 0 };
    Offset::new((16 * rng.u32(0..40)).wrapping_add(far))
}

fn any_layer(rng: &mut fastrand::Rng) -> Layer {
    Layer {
        weights: any_weights(rng),
        bias: rng.bool().then(|| any_offset(rng)),
    }
}

fn any_conv2d(rng: &mut fastrand::Rng) -> Conv2d {
    Conv2d {
        window: any_window(rng),
        groups: rng.u32(0..4),
        activation: any_activation(rng),
        layer: any_layer(rng),
    }
}

/// A layer, a pool or a function of one tensor.
fn any_layered(rng: &mut fastrand::Rng) -> Operator {
    let (rounding, count_padding) = Default::default();
    let window = any_window(rng);
    match rng.u8(0..12) {
        0 | 1 => {
            let (activation, layer) = (any_activation(rng), any_layer(rng));
            Linear { activation, layer }.into()
        }
        2 | 3 => any_conv2d(rng).into(),
        4 => MaxPool2d { window, rounding }.into(),
        5 => Operator::AvgPool2d(AvgPool2d {
            window,
            rounding,
            count_padding,
        }),
        6 => Softmax.into(),
        7 => LogSoftmax.into(),
        8 => Operator::Conv2dMaxPool2d(Conv2dMaxPool2d {
            conv: any_conv2d(rng),
            pool: window,
            rounding,
        }),
        _ => any_function(rng).into(),
    }
}

/// An operator that combines tensors or moves elements about.
fn any_branch(rng: &mut fastrand::Rng) -> Operator {
    use BinaryFunction::{Add, Divide, Maximum, PRelu};
    let function = *rng.choice(&[Add, Divide, Maximum, PRelu]).expect("some");
    let activation = any_activation(rng);
    let order = any_order(rng);
    match rng.u8(0..11) {
        0 | 1 => Operator::Binary(Binary {
            function,
            activation,
        }),
        2 => {
            let [height, width, channels] = any_position(rng);
            Operator::BinaryConstant(BinaryConstant {
                function,
                activation,
                shape: Shape::new(height, width, channels),
                operand: any_offset(rng),
            })
        }
        3 => Operator::ChannelAffine(ChannelAffine {
            activation,
            scale: any_offset(rng),
            shift: any_offset(rng),
        }),
        4 | 5 => Concat { axis: order[0] }.into(),
        6 => Operator::Slice(Slice {
            start: any_position(rng),
            step: any_position(rng),
        }),
        7 => Operator::Pad(Pad {
            before: any_position(rng),
            value: any_number(rng),
        }),
        8 => Operator::Upsample(Upsample {
            factor_h: rng.u32(0..3),
            factor_w: rng.u32(0..3),
        }),
        9 => Transpose { order }.into(),
        _ => Reshape.into(),
    }
}

/// An operator that computes with 8-bit numbers.
fn any_int8(rng: &mut fastrand::Rng) -> Operator {
    let (low, high) = match rng.bool() {
        true => (i8::MIN, i8::MAX),
        false => (rng.i8(..), rng.i8(..)),
    };
    let layer = LayerI8 {
        weights: any_weights(rng),
        bias: rng.bool().then(|| any_offset(rng)),
        scale: any_offset(rng),
    };
    use BinaryFunction::{Add, Multiply};
    match rng.u8(0..8) {
        0 => Quantize.into(),
        1 => Dequantize.into(),
        2 => Operator::QuantizedConv2d(QuantizedConv2d {
            window: any_window(rng),
            groups: rng.u32(0..4),
            low,
            high,
            layer,
        }),
        3 => Operator::QuantizedLinear(QuantizedLinear { low, high, layer }),
        4 => QuantizedAdd { low, high }.into(),
        5 => Operator::Table(Table {
            entries: any_offset(rng),
        }),
        6 => Operator::QuantizedBinary(QuantizedBinary {
            function: *rng.choice(&[Multiply, Add]).expect("some"),
            low,
            high,
        }),
        _ => Requantize { low, high }.into(),
    }
}

fn any_operator(rng: &mut fastrand::Rng) -> Operator {
    match rng.u8(0..8) {
        0..4 => any_layered(rng),
        4..6 => any_branch(rng),
        _ => any_int8(rng),
    }
}

fn any_dtype(rng: &mut fastrand::Rng) -> DType {
    match rng.u8(0..4) {
        0 => DType::F32,
        1 => DType::I8 {
            scale: any_number(rng),
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
    match rng.u8(0..16) {
        0..6 => tensor(rng, graph),
        6..12 => node(rng, graph),
        12 => graph.trainable_nodes = rng.u16(0..8),
        13 => input(rng, graph),
        _ => output(rng, graph),
    }
}

/// A change to what a tensor is, or where it lies.
fn tensor(rng: &mut fastrand::Rng, graph: &mut Graph<'_>) {
    let nodes = graph.nodes.len();
    let Some(tensor) = some(rng, &mut graph.tensors) else {
        return;
    };
    match rng.u8(0..8) {
        0..2 => tensor.offset = any_offset::<f32>(rng).bytes(),
        2 | 3 => tensor.last_use = rng.usize(0..nodes + 2) as u16,
        4 | 5 => tensor.shape = Shape::new(rng.usize(0..10), rng.usize(0..10), rng.usize(0..10)),
        6 => tensor.shape.channels = 1 << rng.u8(0..32),
        _ => tensor.dtype = any_dtype(rng),
    }
}

/// A change to a node, or one more or less.
fn node(rng: &mut fastrand::Rng, graph: &mut Graph<'_>) {
    let operator = any_operator(rng);
    let inputs: Vec<u16> = (0..rng.usize(0..5)).map(|_| rng.u16(0..14)).collect();
    match rng.u8(0..6) {
        0..3 => {
            if let Some(node) = some(rng, &mut graph.nodes) {
                node.operator = operator;
            }
        }
        3 => {
            if let Some(node) = some(rng, &mut graph.nodes) {
                node.inputs = inputs.into_iter().collect();
            }
        }
        4 => append(graph, operator),
        _ => remove_last(graph),
    }
}

/// One more node that works in place on the last tensor, and writes what that one was an output of.
fn append(graph: &mut Graph<'_>, operator: Operator) {
    let nodes = graph.nodes.len() as u16;
    let written = graph.tensors.len() as u16;
    let Some(last) = graph.tensors.last_mut() else {
        return;
    };
    last.last_use = nodes;
    let last = *last;
    graph.tensors.push(last);
    graph.nodes.push(Node {
        operator,
        inputs: [written - 1].into_iter().collect(),
    });
    let outputs = graph.outputs.iter_mut();
    for output in outputs.filter(|output| output.tensor == written - 1) {
        output.tensor = written;
    }
    keep_outputs(graph);
}

/// The last node goes; what it wrote is what the node before it writes.
fn remove_last(graph: &mut Graph<'_>) {
    graph.nodes.pop();
    graph.tensors.pop();
    let last_tensor = graph.tensors.len().saturating_sub(1) as u16;
    for output in &mut graph.outputs {
        output.tensor = output.tensor.min(last_tensor);
        output.labels = "";
    }
    let last = graph.nodes.len().saturating_sub(1) as u16;
    for tensor in &mut graph.tensors {
        tensor.last_use = tensor.last_use.min(last);
    }
    keep_outputs(graph);
}

/// Outputs live to the end.
fn keep_outputs(graph: &mut Graph<'_>) {
    let last = graph.nodes.len().saturating_sub(1) as u16;
    for output in &graph.outputs {
        if let Some(tensor) = graph.tensors.get_mut(usize::from(output.tensor)) {
            tensor.last_use = last;
        }
    }
}

/// 8 numbers: a mean and a standard deviation for up to four channels.
static NORMALIZATION: [u8; 32] =
    *b"\0\0\x80\x3f\0\0\0\x3f\0\0\x80\x3f\0\0\0\x3f\0\0\x80\x3f\0\0\0\x3f\0\0\xc0\x7f\0\0\0\0";

/// A change to an input of the model, or one more or less.
fn input(rng: &mut fastrand::Rng, graph: &mut Graph<'_>) {
    match rng.u8(0..7) {
        0 | 1 => insert_input(rng, graph),
        2 if graph.inputs.len() > 1 || rng.u8(0..4) == 0 => drop(graph.inputs.pop()),
        2 | 3 => {
            let source = any_source(rng, graph.tensors.first());
            if let Some(input) = some(rng, &mut graph.inputs) {
                input.source = source;
            }
        }
        4 => {
            // Their numbers go on being those of the tensors.
            let (a, b) = (rng.usize(0..4), rng.usize(0..4));
            if a.max(b) < graph.inputs.len() {
                graph.inputs.swap(a, b);
            }
        }
        _ => {
            let len = match rng.bool() {
                true => 8 * rng.usize(0..4),
                false => rng.usize(0..NORMALIZATION.len()),
            };
            if let Some(input) = some(rng, &mut graph.inputs) {
                input.normalization = &NORMALIZATION[..len];
            }
        }
    }
}

/// One more input, in a place of its own, and now and then all tensors behind it under the numbers they had.
fn insert_input(rng: &mut fastrand::Rng, graph: &mut Graph<'_>) {
    let number = graph.inputs.len() as u16;
    let ends = graph.tensors.iter().map(|t| t.offset as usize + t.bytes());
    let end = ends.max().unwrap_or(0).next_multiple_of(16);
    let tensor = Tensor {
        shape: Shape::new(1, rng.usize(1..4), rng.usize(1..4)),
        dtype: any_dtype(rng),
        offset: u32::try_from(end).unwrap_or(0),
        last_use: rng.u16(0..2),
    };
    let at = usize::from(number).min(graph.tensors.len());
    graph.tensors.insert(at, tensor);
    graph.inputs.push(Input {
        name: "another",
        source: any_source(rng, Some(&tensor)),
        normalization: &[],
    });
    if rng.u8(0..8) == 0 {
        return;
    }
    let read = graph.nodes.iter_mut().flat_map(|node| &mut node.inputs);
    let named = graph.outputs.iter_mut().map(|output| &mut output.tensor);
    for tensor in read.chain(named).filter(|tensor| **tensor >= number) {
        *tensor += 1;
    }
}

/// Where `tensor` came from, with another shape or order now and then.
fn any_source(rng: &mut fastrand::Rng, tensor: Option<&Tensor>) -> Option<Source> {
    let shape = tensor?.shape;
    let mut extents = vec![
        shape.channels as u32,
        shape.height as u32,
        shape.width as u32,
    ];
    match rng.u8(0..6) {
        0 => return None,
        1 => extents = (0..rng.usize(0..=MAX_RANK)).map(|_| rng.u32(..)).collect(),
        2 => extents.push(rng.u32(0..3)),
        _ => {}
    }
    let order = match rng.bool() {
        true => [Axis::Channels, Axis::Height, Axis::Width],
        false => any_order(rng),
    };
    Some(Source {
        shape: extents.into_iter().collect(),
        order,
    })
}

/// A change to an output of the model, or one more or less.
fn output(rng: &mut fastrand::Rng, graph: &mut Graph<'_>) {
    let number = rng.usize(0..graph.tensors.len() + 2);
    match rng.u8(0..6) {
        0 => graph.outputs.push(Output {
            name: "another",
            tensor: number as u16,
            source: None,
            labels: "",
        }),
        1 if graph.outputs.len() > 1 || rng.u8(0..4) == 0 => drop(graph.outputs.pop()),
        1 | 2 => {
            let tensor = graph.tensors.get(number);
            let source = any_source(rng, tensor.or(graph.tensors.last()));
            if let Some(output) = some(rng, &mut graph.outputs) {
                output.source = source;
            }
        }
        3 => {
            if let Some(output) = some(rng, &mut graph.outputs) {
                output.tensor = number as u16;
            }
        }
        _ => {
            let labels = ["", "a\n", "a\nb\n", "a\nb\nc\n", "\n\n\n", "a\nb\nc", "a"];
            if let Some(output) = some(rng, &mut graph.outputs) {
                output.labels = *rng.choice(&labels).expect("some");
            }
        }
    }
    if rng.u8(0..4) > 0 {
        keep_outputs(graph);
    }
}
