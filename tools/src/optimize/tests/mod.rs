//! Every pass keeps what a graph computes: random graphs, run by the runtime before and after it.

mod constant_channels;
mod quantized;

use kinglet::kernels::{
    Activation, Axis, BinaryFunction, Conv2d, CountPadding, Linear, Padding, Pool2d, Portable,
    Rounding, Shape, Unary, Window,
};
use kinglet::{AlignedBytes, AnySession, HeapArena, Model};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::export::{ExportSettings, export, write};
use crate::graph::{BatchNorm2d, Granularity, Input, Operation, Output};
use crate::import::{Builder, Value};
use crate::random::{Purpose, below, for_purpose, uniform_between};
use crate::recipe::Normalize;

/// What a graph computes, written as it is.
fn evaluate(graph: &Graph, input: &[f32]) -> Vec<f32> {
    evaluate_all(graph, &[input]).remove(0)
}

/// Each output of what a graph computes, written as it is.
fn evaluate_all(graph: &Graph, inputs: &[&[f32]]) -> Vec<Vec<f32>> {
    let settings = ExportSettings {
        normalize: Normalize {
            mean: vec![],
            std: vec![],
        },
        labels: vec![],
        fine_tune_last: 0,
    };
    let (bytes, _) = write(graph.clone(), &settings).unwrap();
    let bytes = AlignedBytes::from(bytes.as_slice());
    let model = Model::load(&bytes).unwrap();
    let mut arena = HeapArena::new(model.sizes().arena);
    let mut session = AnySession::new(&model, &mut arena, Portable).unwrap();
    for (index, values) in inputs.iter().enumerate() {
        session.input_mut(index).unwrap().set_f32(values).unwrap();
    }
    session.run();
    let outputs = (0..model.outputs().len()).filter_map(|index| session.output(index));
    outputs.map(|output| output.to_f32().into_owned()).collect()
}

/// Random numbers of one graph.
struct Dice(ChaCha8Rng);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(for_purpose(seed, Purpose::Initialize, 0, 0))
    }

    fn below(&mut self, bound: usize) -> usize {
        below(&mut self.0, bound as u64) as usize
    }

    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    fn numbers(&mut self, len: usize, scale: f32) -> Vec<f32> {
        let number = |_| uniform_between(&mut self.0, [-scale, scale]);
        (0..len).map(number).collect()
    }
}

/// A graph as an importer builds it, of NCHW tensors with detours to NHWC.
struct RandomGraph {
    dice: Dice,
    builder: Builder,
    /// Tensors so far, all `[1, channels, height, width]`.
    values: Vec<Value>,
}

impl RandomGraph {
    fn build(seed: u64) -> Graph {
        let mut dice = Dice::new(seed);
        let input = Shape::new(dice.between(2, 6), dice.between(2, 6), dice.between(1, 4));
        let mut builder = Builder::new("random", vec![Input::new("input", input)]);
        let first = builder.channels_first("input", 0, 4).unwrap();
        let mut graph = Self {
            dice,
            builder,
            values: vec![first],
        };
        for step in 0..graph.dice.between(3, 12) {
            graph.step(&format!("n{step}"));
        }
        graph.finish()
    }

    /// A tensor so far, the latest ones more often.
    fn pick(&mut self) -> Value {
        let back = self.dice.below(3).min(self.values.len() - 1);
        self.values[self.values.len() - 1 - back].clone()
    }

    /// A tensor of the same axes as `value` but for the channels.
    fn partner(&mut self, value: &Value, same_channels: bool) -> Value {
        let fits = |other: &&Value| {
            other.dims[2..] == value.dims[2..] && (!same_channels || other.dims == value.dims)
        };
        let partners: Vec<Value> = self.values.iter().filter(fits).cloned().collect();
        partners[self.dice.below(partners.len())].clone()
    }

    /// An operation of NHWC in the middle of NCHW.
    fn channels_last(
        &mut self,
        name: &str,
        value: &Value,
        make: impl FnOnce(&mut Dice, Shape) -> Operation,
    ) -> Value {
        let input = self.builder.channels_last(name, value).unwrap();
        let operation = make(&mut self.dice, self.builder.shape(input));
        let output = self.builder.push(name, operation, &[input]).unwrap();
        self.builder.channels_first(name, output, 4).unwrap()
    }

    fn step(&mut self, name: &str) {
        let value = self.pick();
        let [_, channels, height, width] = value.dims[..] else {
            unreachable!("all tensors have four axes");
        };
        let made = match self.dice.below(14) {
            0 | 1 => self.channels_last(name, &value, convolution),
            2 => {
                let functions = [
                    Unary::Relu,
                    Unary::Relu6,
                    Unary::LeakyRelu { slope: 0.1 },
                    Unary::HardSwish,
                ];
                let operation = Operation::Unary(functions[self.dice.below(4)]);
                self.push_as(name, operation, &[value.number], value.dims)
            }
            3 => self.channels_last(name, &value, |dice, shape| {
                let mut numbers = |scale| dice.numbers(shape.channels, scale);
                let [scale, shift, mean, variance] = [1.5, 0.5, 0.5, 2.0].map(&mut numbers);
                match dice.below(3) {
                    0 => Operation::Dropout {
                        probability: 0.5,
                        granularity: Granularity::Channel,
                    },
                    1 => Operation::ChannelAffine {
                        activation: Activation::Identity,
                        scale,
                        shift,
                    },
                    _ => Operation::BatchNorm2d(BatchNorm2d {
                        weights: scale,
                        bias: shift,
                        mean,
                        variance: variance.iter().map(|x| x.abs() + 0.5).collect(),
                        epsilon: 1e-5,
                        momentum: 0.1,
                    }),
                }
            }),
            4 => {
                let other = self.partner(&value, true);
                let functions = [
                    BinaryFunction::Add,
                    BinaryFunction::Subtract,
                    BinaryFunction::Multiply,
                    BinaryFunction::Maximum,
                ];
                let function = functions[self.dice.below(4)];
                self.builder.binary(name, function, &value, &other).unwrap()
            }
            5 => {
                let shapes = [
                    vec![channels, 1, 1],
                    vec![1],
                    vec![channels, height, width],
                    vec![width],
                    vec![height, 1],
                ];
                let dims = shapes[self.dice.below(5)].clone();
                let operand = self.dice.numbers(dims.iter().product(), 1.0);
                let functions = [
                    BinaryFunction::Add,
                    BinaryFunction::Multiply,
                    BinaryFunction::ReverseSubtract,
                    BinaryFunction::PRelu,
                ];
                let function = functions[self.dice.below(4)];
                let made = self
                    .builder
                    .binary_constant(name, function, &value, &dims, operand);
                made.unwrap()
            }
            6 => {
                let other = self.partner(&value, false);
                let inputs = [self.maps(&value), self.maps(&other)];
                let axis = Axis::Height;
                let dims = vec![1, channels + other.dims[1], height, width];
                self.push_as(name, Operation::Concat { axis }, &inputs, dims)
            }
            7 if height > 1 && width > 1 => self.channels_last(name, &value, |dice, shape| {
                let window = Window::new(2, 2).with_stride(dice.between(1, 2), 2);
                let pool = Pool2d::new(shape, window, Rounding::Ceil, CountPadding::default());
                match dice.below(2) {
                    0 => Operation::MaxPool2d(pool.unwrap()),
                    _ => Operation::AvgPool2d(pool.unwrap()),
                }
            }),
            8 => {
                let last = self.builder.transpose(name, &value, &[0, 2, 3, 1]).unwrap();
                let operation = Operation::Unary(Unary::Relu6);
                let rectified = self.push_as(name, operation, &[last.number], last.dims);
                let order = [[0, 3, 1, 2], [0, 2, 3, 1]][self.dice.below(2)];
                self.builder.transpose(name, &rectified, &order).unwrap()
            }
            9 if channels > 1 => {
                let start = self.dice.below(channels - 1);
                let kept = channels - start - self.dice.below(channels - start);
                let operation = Operation::Slice {
                    start: [start, 0, 0],
                    step: [1; 3],
                    output: Shape::new(kept, height, width),
                };
                let maps = self.maps(&value);
                self.push_as(name, operation, &[maps], vec![1, kept, height, width])
            }
            10 => {
                let operation = Operation::Pad {
                    before: [0, 1, self.dice.below(2)],
                    after: [0, 0, 1],
                    value: [0.0, 0.0, -1.0][self.dice.below(3)],
                };
                let maps = self.maps(&value);
                let number = self.builder.push(name, operation, &[maps]).unwrap();
                let shape = self.builder.shape(number);
                let dims = vec![1, shape.height, shape.width, shape.channels];
                Value { number, dims }
            }
            11 => self.channels_last(name, &value, |_, _| Operation::Softmax),
            12 if height > 1 && width > 1 => {
                // A block as in the textbook, its ReLU behind the pool.
                let convolved = self.channels_last(name, &value, convolution);
                if convolved.dims[2..].contains(&1) {
                    convolved
                } else {
                    let pooled = self.channels_last(name, &convolved, |_, shape| {
                        let window = Window::new(2, 2).with_stride(2, 2);
                        let pool =
                            Pool2d::new(shape, window, Rounding::Floor, CountPadding::default());
                        Operation::MaxPool2d(pool.unwrap())
                    });
                    let operation = Operation::Unary(Unary::Relu);
                    self.push_as(name, operation, &[pooled.number], pooled.dims)
                }
            }
            _ => {
                // Squeeze and excite: the means of all channels scale them.
                let means = self.channels_last(name, &value, |_, shape| {
                    let window = Window::new(shape.height, shape.width);
                    let pool = Pool2d::new(shape, window, Rounding::Floor, CountPadding::default());
                    Operation::AvgPool2d(pool.unwrap())
                });
                let multiply = BinaryFunction::Multiply;
                self.builder.binary(name, multiply, &value, &means).unwrap()
            }
        };
        self.values.push(made);
    }

    /// The tensor as channels, height and width.
    fn maps(&mut self, value: &Value) -> usize {
        let shape = Shape::new(value.dims[1], value.dims[2], value.dims[3]);
        self.builder.view("view", value.number, shape).unwrap()
    }

    fn push_as(
        &mut self,
        name: &str,
        operation: Operation,
        inputs: &[usize],
        dims: Vec<usize>,
    ) -> Value {
        let number = self.builder.push(name, operation, inputs).unwrap();
        Value { number, dims }
    }

    fn finish(mut self) -> Graph {
        let last = self.values[self.values.len() - 1].clone();
        let len = last.dims.iter().product();
        let output = match self.dice.below(3) {
            0 => self.builder.channels_last("output", &last).unwrap(),
            1 => last.number,
            _ => {
                let vector = Shape::vector(len);
                let flat = self.builder.view("flatten", last.number, vector).unwrap();
                let linear = Operation::Linear {
                    params: Linear::new(len, 5, Activation::Identity).unwrap(),
                    weights: self.dice.numbers(len * 5, 0.3),
                    weight_scale: None,
                    bias: Some(self.dice.numbers(5, 0.5)),
                };
                self.builder.push("linear", linear, &[flat]).unwrap()
            }
        };
        self.builder.finish(vec![Output::new("output", output)])
    }
}

fn convolution(dice: &mut Dice, shape: Shape) -> Operation {
    let (kernel_h, kernel_w) = (dice.between(1, 3), dice.between(1, 3));
    let window = Window::new(kernel_h, kernel_w)
        .with_padding(Padding::symmetric(kernel_h / 2, kernel_w / 2));
    let (groups, channels) = match dice.below(3) {
        0 => (shape.channels, shape.channels),
        _ => (1, dice.between(1, 6)),
    };
    let params = Conv2d::new(shape, channels, window, groups, Activation::Identity).unwrap();
    Operation::Conv2d {
        params,
        weights: dice.numbers(params.weights_len(), 0.5),
        weight_scale: None,
        bias: Some(dice.numbers(channels, 0.5)),
        pool: None,
    }
}

/// The largest difference, relative to the largest magnitude of `expected`.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1e-3f32, |m, x| m.max(x.abs()));
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max) / largest
}

#[test]
fn each_pass_keeps_what_random_graphs_compute() {
    let mut changed = [0; PASSES.len()];
    for seed in 0..300 {
        let mut graph = RandomGraph::build(seed);
        // Every third has another output, from the middle.
        if seed % 3 == 0 {
            let middle = graph.value_of(Dice::new(seed ^ 0xf0).below(graph.nodes.len()));
            graph.outputs.push(Output::new("middle", middle));
        }
        let input = Dice::new(seed ^ 0xff).numbers(graph.inputs[0].shape.len(), 1.0);
        let expected = evaluate_all(&graph, &[&input]);
        for ((name, run), changed) in PASSES.iter().zip(&mut changed) {
            let before = graph.clone();
            run(&mut graph);
            *changed += usize::from(graph != before);
            let found = evaluate_all(&graph, &[&input]);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                let difference = difference(found, expected);
                assert!(
                    difference < 1e-4,
                    "seed {seed}, {name}: {difference}\n{before:#?}"
                );
            }
        }
    }
    // A pass that found nothing to do was not tested.
    for ((name, _), changed) in PASSES.iter().zip(changed) {
        assert!(
            changed > 5
                || [
                    "split_concat",
                    "join_quantized",
                    "fuse_bounds",
                    "quantized_ends"
                ]
                .contains(name),
            "{name}: {changed} graphs"
        );
    }
}

/// Transpositions left in a graph.
fn transpositions(graph: &Graph) -> usize {
    let is_transpose =
        |node: &&crate::graph::Node| matches!(node.operation, Operation::Transpose { .. });
    graph.nodes.iter().filter(is_transpose).count()
}

/// A small residual network, from NCHW or from NHWC tensors.
fn residual(channels_first: bool) -> Graph {
    let mut dice = Dice::new(7);
    let input = Shape::new(6, 6, 3);
    let mut builder = Builder::new("residual", vec![Input::new("input", input)]);
    let mut value = match channels_first {
        true => builder.channels_first("input", 0, 4).unwrap(),
        false => Value {
            number: 0,
            dims: vec![1, 6, 6, 3],
        },
    };
    let convolve =
        |builder: &mut Builder, dice: &mut Dice, name: &str, value: &Value, out: usize| {
            let input = match channels_first {
                true => builder.channels_last(name, value).unwrap(),
                false => value.number,
            };
            let window = Window::new(3, 3).with_padding(Padding::symmetric(1, 1));
            let shape = builder.shape(input);
            let params = Conv2d::new(shape, out, window, 1, Activation::Identity).unwrap();
            let operation = Operation::Conv2d {
                params,
                weights: dice.numbers(params.weights_len(), 0.4),
                weight_scale: None,
                bias: None,
                pool: None,
            };
            let number = builder.push(name, operation, &[input]).unwrap();
            match channels_first {
                true => builder.channels_first(name, number, 4).unwrap(),
                false => Value {
                    number,
                    dims: vec![1, 6, 6, out],
                },
            }
        };
    value = convolve(&mut builder, &mut dice, "stem", &value, 4);
    let branch = convolve(&mut builder, &mut dice, "branch", &value, 4);
    let scale = dice.numbers(4, 1.0);
    let dims = if channels_first {
        vec![4, 1, 1]
    } else {
        vec![4]
    };
    let branch = builder
        .binary_constant("scale", BinaryFunction::Multiply, &branch, &dims, scale)
        .unwrap();
    let sum = builder
        .binary("add", BinaryFunction::Add, &branch, &value)
        .unwrap();
    let relu = builder
        .push("relu", Operation::Unary(Unary::Relu), &[sum.number])
        .unwrap();
    let output = match channels_first {
        true => {
            let value = Value {
                number: relu,
                dims: sum.dims,
            };
            builder.channels_last("output", &value).unwrap()
        }
        false => relu,
    };
    builder.finish(vec![Output::new("output", output)])
}

#[test]
fn nchw_and_nhwc_sources_end_up_the_same() {
    let [mut first, mut last] = [residual(true), residual(false)];
    assert!(transpositions(&first) > 4);
    for graph in [&mut first, &mut last] {
        optimize(graph);
        // Where a tensor came from is all they differ in.
        graph.nodes.iter_mut().for_each(|node| node.view = None);
    }
    assert_eq!(first, last);
    assert_eq!(transpositions(&first), 0);
    let names: Vec<&str> = first.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["stem", "branch + scale", "add + relu"]);
}

#[test]
fn long_concatenations_are_split() {
    let input = Input::new("input", Shape::new(2, 1, 2));
    let mut builder = Builder::new("concat", vec![input]);
    let parts: Vec<usize> = (0..11)
        .map(|part| {
            let operation = Operation::BinaryConstant {
                function: BinaryFunction::Add,
                activation: Activation::Identity,
                shape: Shape::vector(1),
                operand: vec![part as f32 * 10.0],
            };
            builder.push("part", operation, &[0]).unwrap()
        })
        .collect();
    let axis = Axis::Width;
    let output = builder
        .push("concat", Operation::Concat { axis }, &parts)
        .unwrap();
    let mut graph = builder.finish(vec![Output::new("output", output)]);
    let settings = ExportSettings {
        normalize: Normalize {
            mean: vec![],
            std: vec![],
        },
        labels: vec![],
        fine_tune_last: 0,
    };
    assert!(write(graph.clone(), &settings).is_err());
    assert!(export(graph.clone(), &settings).is_ok());
    optimize(&mut graph);
    let rows = [0.0, 2.0]
        .map(|row| (0..11).flat_map(move |part| [row, row + 1.0].map(|x| x + part as f32 * 10.0)));
    let expected: Vec<f32> = rows.into_iter().flatten().collect();
    assert_eq!(evaluate(&graph, &[0.0, 1.0, 2.0, 3.0]), expected);
}

#[test]
fn what_nobody_needs_is_left_out() {
    let mut graph = Graph::new("dead", vec![Input::new("input", Shape::vector(3))]);
    let first = graph.push("first", Operation::Unary(Unary::Relu), &[0]);
    let dead = graph.push("dead", Operation::Unary(Unary::Tanh), &[first]);
    graph.push("deader", Operation::Softmax, &[dead]);
    let last = graph.push("last", Operation::Unary(Unary::Sigmoid), &[first]);
    graph.outputs.push(Output::new("output", last));
    optimize(&mut graph);
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["first", "last"]);
    assert_eq!(graph.nodes[1].inputs, [1]);
}

/// Two inputs that meet behind transpositions, and outputs from all over the graph, one of them an input's own.
#[test]
fn several_inputs_and_outputs_are_kept() {
    let shape = Shape::new(3, 4, 2);
    let inputs = vec![Input::new("left", shape), Input::new("right", shape)];
    let mut builder = Builder::new("ends", inputs);
    let [left, right] = [0, 1].map(|input| builder.channels_first("in", input, 4).unwrap());
    let difference = builder
        .binary("difference", BinaryFunction::Subtract, &left, &right)
        .unwrap();
    let relu = builder
        .push("relu", Operation::Unary(Unary::Relu), &[difference.number])
        .unwrap();
    let dims = difference.dims.clone();
    let relu = Value { number: relu, dims };
    let outputs = [&difference, &relu, &right].map(|value| {
        let number = builder.channels_last("out", value).unwrap();
        Output::new("out", number)
    });
    let mut graph = builder.finish(outputs.into());
    let mut dice = Dice::new(3);
    let [left, right] = [0; 2].map(|_| dice.numbers(shape.len(), 1.0));
    let expected = evaluate_all(&graph, &[&left, &right]);
    optimize(&mut graph);
    assert_eq!(names(&graph), ["difference", "relu"]);
    let outputs: Vec<usize> = graph.outputs.iter().map(|output| output.value).collect();
    assert_eq!(outputs, [2, 3, 1]);
    assert_eq!(evaluate_all(&graph, &[&left, &right]), expected);
    assert_eq!(expected[2], right);
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|node| node.name.as_str()).collect()
}
