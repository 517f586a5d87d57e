//! Without channels that make no difference a network computes the same, on 8-bit numbers to the bit.

use kinglet::kernels::Quantization;
use kinglet::operator::{LayerI8, Owned};

use super::*;
use crate::graph::Int8Operation;

const INPUT: Quantization = Quantization::new(0.02, -7);

/// Whether an operation takes channels apart, or leads each to where it is.
fn is_layer(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Conv2d { .. }
            | Operation::Linear { .. }
            | Operation::Int8 {
                operation: Int8Operation::Conv2d { .. } | Int8Operation::Linear { .. },
                ..
            }
    )
}

/// Weights of so many rows: some rows are zeros, some have a bias that decides everything, some columns are zeros.
fn int8_layer(dice: &mut Dice, rows: usize, row: usize, columns: usize) -> LayerI8<Owned> {
    let dead = (0..columns).map(|_| dice.below(5) == 0);
    let dead: Vec<bool> = dead.collect();
    let largest = (row * 127 * 255) as i32;
    let mut layer = LayerI8::<Owned> {
        weights: Vec::new(),
        bias: Some(Vec::new()),
        scale: Vec::new(),
    };
    let mut bias = Vec::new();
    for _ in 0..rows {
        let kind = dice.below(6);
        let weight = |at: usize| match kind == 0 || dead[at % columns] {
            true => 0,
            false => (dice.below(255) as i32 - 127) as i8,
        };
        layer
            .weights
            .extend((0..row).map(weight).collect::<Vec<_>>());
        bias.push(match kind {
            1 => -largest,
            2 => largest,
            _ => dice.below(20_000) as i32 - 10_000,
        });
        layer.scale.push(0.002 + dice.below(100) as f32 * 1e-4);
    }
    layer.bias = (dice.below(4) > 0).then_some(bias);
    layer
}

/// A random network of 8-bit numbers.
struct RandomInt8 {
    dice: Dice,
    graph: Graph,
    /// Shape and meaning of every value.
    values: Vec<(Shape, Quantization)>,
}

impl RandomInt8 {
    fn build(seed: u64) -> Graph {
        let mut dice = Dice::new(seed);
        let shape = Shape::new(dice.between(3, 7), dice.between(3, 7), dice.between(1, 4));
        let mut input = Input::new("input", shape);
        input.quantization = Some(INPUT);
        let mut random = Self {
            graph: Graph::new("random", vec![input]),
            values: vec![(shape, INPUT)],
            dice,
        };
        for step in 0..random.dice.between(3, 10) {
            random.step(step);
        }
        random.finish()
    }

    fn meaning(&mut self) -> Quantization {
        Quantization::new(
            0.01 + self.dice.below(30) as f32 * 1e-3,
            self.dice.between(0, 60) as i8 - 30,
        )
    }

    fn push(&mut self, operation: Operation, inputs: &[usize]) {
        let shapes: Vec<Shape> = inputs.iter().map(|value| self.values[*value].0).collect();
        let Ok(shape) = operation.output(&shapes) else {
            return;
        };
        let meaning = operation.meaning(Some(self.values[inputs[0]].1)).unwrap();
        self.values.push((shape, meaning));
        self.graph.push("node", operation, inputs);
    }

    fn convolution(&mut self, value: usize) {
        let (shape, _) = self.values[value];
        let dice = &mut self.dice;
        let (kernel_h, kernel_w) = (dice.between(1, 3), dice.between(1, 3));
        let padding = Padding {
            top: dice.below(kernel_h),
            bottom: dice.below(kernel_h),
            left: dice.below(kernel_w),
            right: dice.below(kernel_w),
        };
        let window = Window::new(kernel_h, kernel_w)
            .with_padding(padding)
            .with_stride(dice.between(1, 2), 1)
            .with_dilation(dice.between(1, 2), 1);
        let (groups, channels) = match dice.below(4) {
            0 | 1 => (1, dice.between(2, 9)),
            2 => (shape.channels, shape.channels),
            _ if shape.channels.is_multiple_of(2) => (2, 2 * dice.between(1, 3)),
            _ => (shape.channels, 2 * shape.channels),
        };
        let Ok(params) = Conv2d::new(shape, channels, window, groups, Activation::Identity) else {
            return;
        };
        let columns = params.group_in_channels();
        let layer = int8_layer(dice, channels, params.taps(), columns);
        let output = self.meaning();
        let bounds = match self.dice.below(3) {
            0 => (i8::MIN, i8::MAX),
            1 => (output.zero_point, i8::MAX),
            _ => (output.zero_point, output.zero_point.saturating_add(90)),
        };
        let operation = Int8Operation::Conv2d {
            params,
            layer,
            bounds,
        };
        self.push(Operation::Int8 { operation, output }, &[value]);
    }

    fn step(&mut self, step: usize) {
        let back = self.dice.below(3).min(self.values.len() - 1);
        let value = self.values.len() - 1 - back;
        let (shape, meaning) = self.values[value];
        let output = self.meaning();
        let int8 = |operation| Operation::Int8 { operation, output };
        let twins = |same_meaning: bool| {
            let fits = |other: &usize| {
                let (other_shape, other_meaning) = self.values[*other];
                other_shape == shape && (!same_meaning || other_meaning == meaning)
            };
            let twins: Vec<usize> = (0..self.values.len()).filter(fits).collect();
            twins
        };
        let window = Window::new(2, 2).with_padding(Padding {
            top: self.dice.below(2),
            ..Padding::default()
        });
        let pool = Pool2d::new(shape, window, Rounding::Ceil, CountPadding::default());
        match self.dice.below(if step == 0 { 4 } else { 14 }) {
            5 if pool.is_ok() => {
                let pool = pool.unwrap();
                let average = int8(Int8Operation::AvgPool2d(pool));
                let operation = [Operation::MaxPool2d(pool), average][self.dice.below(2)].clone();
                self.push(operation, &[value]);
            }
            6 => {
                let others = twins(false);
                let other = others[self.dice.below(others.len())];
                let bounds = (output.zero_point, i8::MAX);
                self.push(int8(Int8Operation::Add { bounds }), &[value, other]);
            }
            7 => {
                let bounds = (output.zero_point, output.zero_point.saturating_add(50));
                self.push(int8(Int8Operation::Requantize { bounds }), &[value]);
            }
            8 => {
                let others = twins(true);
                let other = others[self.dice.below(others.len())];
                let axis = [Axis::Height, Axis::Channels][self.dice.below(2)];
                self.push(Operation::Concat { axis }, &[value, other]);
            }
            9 => {
                let operation = Operation::Pad {
                    before: [0, 1, self.dice.below(2)],
                    after: [1, 0, 0],
                    value: 0.0,
                };
                self.push(operation, &[value]);
            }
            10 => {
                let order = [Axis::Width, Axis::Height, Axis::Channels];
                self.push(Operation::Transpose { order }, &[value]);
            }
            11 => {
                let operation = Operation::Slice {
                    start: [1, 0, 0],
                    step: [1; 3],
                    output: Shape::new(shape.height - 1, shape.width, shape.channels),
                };
                self.push(operation, &[value]);
            }
            12 => {
                // A few numbers only: some channels are the same whatever they were.
                let (low, high) = (output.zero_point, self.dice.between(0, 90) as i8);
                let entries = std::array::from_fn(|byte| match (byte as u8).cast_signed() {
                    q if q < high => low,
                    q => q,
                });
                let function = None;
                let table = Int8Operation::Table { entries, function };
                self.push(int8(table), &[value]);
            }
            13 => {
                let spreads = |own: usize, extent: usize| own == extent || own == 1;
                let fits = |other: &usize| {
                    let (own, _) = self.values[*other];
                    spreads(own.height, shape.height)
                        && spreads(own.width, shape.width)
                        && spreads(own.channels, shape.channels)
                };
                let others: Vec<usize> = (0..self.values.len()).filter(fits).collect();
                let other = others[self.dice.below(others.len())];
                use BinaryFunction::{Add, Divide, Maximum, Multiply, PRelu, Subtract};
                let functions = [Add, Divide, Maximum, Multiply, PRelu, Subtract];
                let binary = Int8Operation::Binary {
                    function: functions[self.dice.below(6)],
                    bounds: (output.zero_point, i8::MAX),
                };
                self.push(int8(binary), &[value, other]);
            }
            _ => self.convolution(value),
        }
    }

    fn finish(mut self) -> Graph {
        let last = self.values.len() - 1;
        let (shape, _) = self.values[last];
        let len = shape.len();
        let mut value = last;
        if self.dice.below(2) == 0 {
            let output = Shape::vector(len);
            self.push(Operation::Reshape { output }, &[value]);
            value += 1;
        }
        let output = self.meaning();
        let operation = Int8Operation::Linear {
            params: Linear::new(len, 5, Activation::Identity).unwrap(),
            layer: int8_layer(&mut self.dice, 5, len, shape.channels),
            bounds: (i8::MIN, i8::MAX),
        };
        self.push(Operation::Int8 { operation, output }, &[value]);
        let end = self.values.len() - 1;
        self.graph.outputs.push(Output::new("output", end));
        let mut graph = self.graph;
        remove_dead::run(&mut graph);
        graph
    }
}

#[test]
fn random_networks_of_8_bit_numbers_keep_every_bit() {
    let (mut left_out, mut through, mut taken_over) = (0, 0, 0);
    for seed in 0..1200 {
        let mut graph = RandomInt8::build(seed);
        let mut outputs: Vec<usize> = graph.outputs.iter().map(|output| output.value).collect();
        if seed % 4 == 0 {
            let middle = graph.value_of(Dice::new(seed ^ 0xf0).below(graph.nodes.len()));
            graph.outputs.push(Output::new("middle", middle));
            outputs.push(middle);
        }
        let whole = graph.clone();
        let Some(removed) = leave_out_constant(&mut graph, 0) else {
            assert_eq!(graph, whole);
            continue;
        };
        left_out += 1;
        assert_eq!(graph.nodes.len(), whole.nodes.len());
        let shapes = (whole.shapes(), graph.shapes());
        for value in outputs.into_iter().chain([0]) {
            assert_eq!(shapes.0[value], shapes.1[value], "seed {seed}");
        }
        assert!(
            shapes.1.iter().all(|shape| !shape.is_empty()),
            "seed {seed}"
        );
        for (index, node) in graph.nodes.iter().enumerate() {
            let own = &removed.channels[graph.value_of(index)];
            let is_constant = |channel: &Channel| matches!(channel, Channel::Constant(_));
            through += usize::from(!is_layer(&node.operation) && own.iter().any(is_constant));
            let zero_point =
                |v: usize| whole.meanings()[v].map_or(0.0, |m| m.dequantize(m.zero_point));
            let read = &removed.channels[node.inputs[0]];
            taken_over += usize::from(is_layer(&node.operation) && read.iter().any(|channel| {
                matches!(channel, Channel::Constant(x) if *x != zero_point(node.inputs[0]))
            }));
        }
        let len = whole.inputs[0].shape.len();
        let ends = [i8::MIN, i8::MAX].map(|end| vec![INPUT.dequantize(end); len]);
        let mut dice = Dice::new(seed ^ 0xff);
        let random = (0..6).map(|_| dice.numbers(len, 2.6));
        for input in random.chain(ends) {
            let [expected, found] = [&whole, &graph].map(|graph| evaluate_all(graph, &[&input]));
            assert_eq!(found, expected, "seed {seed}\n{whole:#?}");
        }
    }
    // What was not there was not tested.
    assert!(left_out > 400, "{left_out}");
    assert!(through > 100, "{through}");
    assert!(taken_over > 100, "{taken_over}");
}

#[test]
fn random_networks_of_real_numbers_keep_what_they_compute() {
    let mut left_out = 0;
    for seed in 0..1000 {
        let mut graph = RandomGraph::build(seed);
        let mut dice = Dice::new(seed ^ 0xaa);
        // Channels as training leaves them: without weights, and below what a ReLU lets through.
        for node in &mut graph.nodes {
            if let Operation::Conv2d {
                params,
                weights,
                bias: Some(bias),
                ..
            } = &mut node.operation
            {
                let rows = weights.chunks_exact_mut(params.taps()).zip(bias);
                for (row, bias) in rows {
                    match dice.below(3) {
                        0 => row.fill(0.0),
                        1 => {
                            row.iter_mut().for_each(|weight| *weight = -weight.abs());
                            *bias = -bias.abs();
                        }
                        _ => {}
                    }
                }
            }
        }
        optimize(&mut graph);
        let whole = graph.clone();
        left_out += usize::from(leave_out_constant(&mut graph, 0).is_some());
        for _ in 0..3 {
            let input = dice.numbers(whole.inputs[0].shape.len(), 1.0);
            let [expected, found] = [&whole, &graph].map(|graph| evaluate(graph, &input));
            let difference = difference(&found, &expected);
            assert!(difference < 1e-5, "seed {seed}: {difference}\n{whole:#?}");
        }
    }
    assert!(left_out > 60, "{left_out}");
}

/// A convolution with weights of 1 where `groups` is 1, of 8-bit numbers; `bias` of each output.
fn int8_convolution(
    shape: Shape,
    window: Window,
    groups: usize,
    bias: &[i32],
    output: Quantization,
) -> Operation {
    let activation = Activation::Identity;
    let params = Conv2d::new(shape, bias.len(), window, groups, activation).unwrap();
    let operation = Int8Operation::Conv2d {
        params,
        layer: LayerI8 {
            weights: vec![1; params.weights_len()],
            bias: Some(bias.to_vec()),
            scale: vec![0.5; bias.len()],
        },
        bounds: (output.zero_point, i8::MAX),
    };
    Operation::Int8 { operation, output }
}

/// Two channels, the second of which is always the last number, and a convolution of 3x3 with `padding` that reads both.
fn constant_before(padding: Padding, window: Window) -> Graph {
    let mut input = Input::new("input", Shape::new(4, 4, 1));
    input.quantization = Some(INPUT);
    let mut graph = Graph::new("constant", vec![input]);
    let meaning = Quantization::new(0.1, 3);
    let point = Window::new(1, 1);
    let first = int8_convolution(graph.inputs[0].shape, point, 1, &[0, 1 << 20], meaning);
    let first = graph.push("first", first, &[0]);
    let second = int8_convolution(
        Shape::new(4, 4, 2),
        window.with_padding(padding),
        1,
        &[5, -9],
        meaning,
    );
    let second = graph.push("second", second, &[first]);
    graph.outputs.push(Output::new("output", second));
    graph
}

#[test]
fn a_constant_goes_into_the_bias_unless_padding_differs_from_it() {
    let mut inside = constant_before(Padding::default(), Window::new(3, 3));
    let removed = leave_out_constant(&mut inside, 0).unwrap();
    let always = Quantization::new(0.1, 3).dequantize(127);
    assert_eq!(
        removed.channels[1],
        [Channel::Kept(0), Channel::Constant(always)]
    );
    let Operation::Int8 {
        operation: Int8Operation::Conv2d { layer, .. },
        ..
    } = &inside.nodes[1].operation
    else {
        panic!("{inside:#?}");
    };
    // Nine places of 127 less the zero point.
    assert_eq!(layer.bias, Some(vec![5 + 9 * 124, -9 + 9 * 124]));
    let Saving { before, after } = removed.saving;
    assert_eq!((before.channels, after.channels), (4, 3));
    assert_eq!((before.weight_bytes, after.weight_bytes), (2 + 36, 1 + 18));
    assert_eq!((before.macs, after.macs), (32 + 4 * 36, 16 + 4 * 18));

    let mut padded = constant_before(Padding::symmetric(1, 1), Window::new(3, 3));
    assert_eq!(leave_out_constant(&mut padded, 0), None);
}

#[test]
fn what_is_the_zero_point_needs_no_bias_and_no_padding_tells_it_apart() {
    let mut graph = constant_before(Padding::symmetric(1, 1), Window::new(3, 3));
    let Operation::Int8 {
        operation: Int8Operation::Conv2d { layer, .. },
        ..
    } = &mut graph.nodes[0].operation
    else {
        panic!("{graph:#?}");
    };
    layer.bias = Some(vec![0, -1 << 20]);
    let removed = leave_out_constant(&mut graph, 0).unwrap();
    assert_eq!(
        removed.channels[1],
        [Channel::Kept(0), Channel::Constant(0.0)]
    );
    let Operation::Int8 {
        operation: Int8Operation::Conv2d { layer, .. },
        ..
    } = &graph.nodes[1].operation
    else {
        panic!("{graph:#?}");
    };
    assert_eq!(layer.bias, Some(vec![5, -9]));
}

#[test]
fn words_of_four_numbers_are_filled() {
    let mut input = Input::new("input", Shape::new(4, 4, 1));
    input.quantization = Some(INPUT);
    let meaning = Quantization::new(0.1, 3);
    let point = Window::new(1, 1);
    let graph = |bias: &[i32]| {
        let mut graph = Graph::new("words", vec![input.clone()]);
        let first = int8_convolution(graph.inputs[0].shape, point, 1, bias, meaning);
        let first = graph.push("first", first, &[0]);
        let read = Shape::new(4, 4, bias.len());
        let second = int8_convolution(read, point, bias.len(), bias, meaning);
        let second = graph.push("second", second, &[first]);
        let third = int8_convolution(read, point, 1, &[7], meaning);
        let third = graph.push("third", third, &[second]);
        graph.outputs.push(Output::new("output", third));
        graph
    };
    let never = -1 << 20;
    let channels = |bias: &[i32]| {
        let mut graph = graph(bias);
        leave_out_constant(&mut graph, 0);
        [1, 2].map(|value| graph.shapes()[value].channels)
    };
    let nine = [never, 1, 2, never, never, 3, 4, never, 5];
    assert_eq!(channels(&nine), [8, 8]);
    assert_eq!(channels(&nine[..8]), [4, 4]);
    // Six channels have no second word.
    assert_eq!(channels(&[1, 2, 3, 4, 5, never]), [5, 5]);
}

#[test]
fn both_sides_of_a_sum_lose_the_same_channel_or_none() {
    let meaning = Quantization::new(0.1, 3);
    let graph = |other: [i32; 2]| {
        let mut input = Input::new("input", Shape::new(4, 4, 1));
        input.quantization = Some(INPUT);
        let mut graph = Graph::new("sum", vec![input]);
        let point = Window::new(1, 1);
        let shape = graph.inputs[0].shape;
        let branches = [[0, 1 << 20], other].map(|bias| {
            graph.push(
                "branch",
                int8_convolution(shape, point, 1, &bias, meaning),
                &[0],
            )
        });
        let add = Operation::Int8 {
            operation: Int8Operation::Add {
                bounds: (i8::MIN, i8::MAX),
            },
            output: Quantization::new(0.3, 0),
        };
        let sum = graph.push("sum", add, &branches);
        let last = int8_convolution(Shape::new(4, 4, 2), Window::new(2, 2), 1, &[1, 2], meaning);
        let last = graph.push("last", last, &[sum]);
        graph.outputs.push(Output::new("output", last));
        graph
    };
    let mut both = graph([7, -1 << 20]);
    let removed = leave_out_constant(&mut both, 0).unwrap();
    assert!(
        removed.channels[1..4]
            .iter()
            .all(|channels| { matches!(channels[..], [Channel::Kept(0), Channel::Constant(_)]) })
    );
    assert_eq!(leave_out_constant(&mut graph([7, 8]), 0), None);
}

#[test]
fn what_a_device_trains_stays_as_it_is() {
    let mut graph = Graph::new("tuned", vec![Input::new("input", Shape::vector(3))]);
    // One output is never positive, the other meets no weight.
    let first = Operation::Linear {
        params: Linear::new(3, 3, Activation::Relu).unwrap(),
        weights: vec![1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0],
        weight_scale: None,
        bias: Some(vec![0.5, -1.0, 0.5]),
    };
    let first = graph.push("first", first, &[0]);
    let second = Operation::Linear {
        params: Linear::new(3, 2, Activation::Identity).unwrap(),
        weights: vec![1.0, 2.0, 0.0, 3.0, 4.0, 0.0],
        weight_scale: None,
        bias: None,
    };
    let second = graph.push("second", second, &[first]);
    graph.outputs.push(Output::new("output", second));
    assert_eq!(leave_out_constant(&mut graph.clone(), 1), None);
    let removed = leave_out_constant(&mut graph, 0).unwrap();
    let fates = [Channel::Kept(0), Channel::Constant(0.0), Channel::Unread];
    assert_eq!(removed.channels[first], fates);
}

#[test]
fn one_channel_is_left_where_all_are_the_same_for_every_input() {
    let mut graph = constant_before(Padding::default(), Window::new(2, 2));
    let Operation::Int8 {
        operation: Int8Operation::Conv2d { layer, .. },
        ..
    } = &mut graph.nodes[0].operation
    else {
        panic!("{graph:#?}");
    };
    layer.bias = Some(vec![1 << 20; 2]);
    let whole = graph.clone();
    leave_out_constant(&mut graph, 0).unwrap();
    assert_eq!(graph.shapes()[1].channels, 1);
    let input = Dice::new(3).numbers(16, 2.0);
    assert_eq!(evaluate(&graph, &input), evaluate(&whole, &input));
}

#[test]
fn sums_close_to_what_a_relu_cuts_off_are_kept() {
    // 1/10 + 2/10 - 3/10 is 0, or a little more in another order.
    let mut graph = Graph::new("close", vec![Input::new("input", Shape::vector(3))]);
    let bounded = graph.push(
        "bounded",
        Operation::Unary(Unary::Clip {
            low: 0.0,
            high: 1.0,
        }),
        &[0],
    );
    let sums = Operation::Linear {
        params: Linear::new(3, 2, Activation::Relu).unwrap(),
        weights: vec![0.1, 0.2, -1.0, 0.1, 0.2, -1.0],
        weight_scale: None,
        bias: Some(vec![-0.3, -0.300_01]),
    };
    let sums = graph.push("sums", sums, &[bounded]);
    let last = Operation::Linear {
        params: Linear::new(2, 1, Activation::Identity).unwrap(),
        weights: vec![1.0, 1.0],
        weight_scale: None,
        bias: None,
    };
    let last = graph.push("last", last, &[sums]);
    graph.outputs.push(Output::new("output", last));
    let removed = leave_out_constant(&mut graph, 0).unwrap();
    assert_eq!(
        removed.channels[sums],
        [Channel::Kept(0), Channel::Constant(0.0)]
    );
}
