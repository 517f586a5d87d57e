//! Operations between dequantizing and quantizing: joined, they give the same numbers but for ties.

use kinglet::kernels::Quantization;

use super::*;
use crate::graph::Int8Operation;

/// A graph that quantizes its input, computes what `build` makes of real numbers, and quantizes that.
fn between(
    seed: u64,
    output: Quantization,
    build: impl FnOnce(&mut Dice, &mut Builder, usize) -> usize,
) -> (Graph, Vec<f32>) {
    let mut dice = Dice::new(seed);
    let input = Shape::new(dice.between(2, 6), dice.between(2, 6), dice.between(1, 9));
    let mut builder = Builder::new("quantized", vec![Input::new("input", input)]);
    let quantization = Quantization::new(0.017, dice.between(0, 40) as i8 - 20);
    let push = |builder: &mut Builder, operation, input| {
        builder.push("edge", operation, &[input]).unwrap()
    };
    let numbers = push(&mut builder, Operation::Quantize(quantization), 0);
    let real = push(&mut builder, Operation::Dequantize(quantization), numbers);
    let computed = build(&mut dice, &mut builder, real);
    let numbers = push(&mut builder, Operation::Quantize(output), computed);
    let real = push(&mut builder, Operation::Dequantize(output), numbers);
    let values = dice.numbers(input.len(), 2.0);
    let graph = builder.finish(vec![Output::new("output", real)]);
    (graph, values)
}

/// Joins the graph; returns by how many steps of the output it differs at most, and at how many places.
fn join(graph: &Graph, input: &[f32], step: f32) -> (Graph, f32, f32) {
    let mut joined = graph.clone();
    optimize(&mut joined);
    // What was joined stays so.
    let mut again = joined.clone();
    optimize(&mut again);
    assert_eq!(names(&again), names(&joined));
    let expected = evaluate(graph, input);
    let found = evaluate(&joined, input);
    let steps: Vec<f32> = found
        .iter()
        .zip(&expected)
        .map(|(a, b)| ((a - b) / step).abs())
        .collect();
    let differing = steps.iter().filter(|steps| **steps > 0.1).count();
    let largest = steps.iter().copied().fold(0.0, f32::max);
    (joined, largest, differing as f32 / steps.len() as f32)
}

/// The operations on 8-bit numbers of a graph; the rest must be steps at its ends and copies.
fn operations(graph: &Graph) -> Vec<&Int8Operation> {
    let operations = graph.nodes.iter().filter_map(|node| match &node.operation {
        Operation::Int8 { operation, .. } => Some(operation),
        Operation::Quantize(_)
        | Operation::Dequantize(_)
        | Operation::MaxPool2d(_)
        | Operation::Concat { .. } => None,
        other => panic!("{other:?} computes with real numbers"),
    });
    operations.collect()
}

/// Values that are whole multiples of the scale of their row.
fn multiples(dice: &mut Dice, rows: usize, row: usize) -> (Vec<f32>, Vec<f32>) {
    let scale: Vec<f32> = (0..rows)
        .map(|_| 0.001 + dice.below(900) as f32 * 1e-5)
        .collect();
    let weights = scale.iter().flat_map(|scale| {
        let numbers: Vec<i32> = (0..row).map(|_| dice.below(255) as i32 - 127).collect();
        numbers.into_iter().map(move |number| number as f32 * scale)
    });
    (weights.collect(), scale.clone())
}

#[test]
fn layers_are_joined_with_their_activations() {
    let output = Quantization::new(0.05, -3);
    let mut differing = 0.0;
    for seed in 0..60 {
        let (graph, input) = between(seed, output, |dice, builder, real| {
            let convolved = convolution(dice, builder.shape(real));
            let Operation::Conv2d { params, .. } = convolved else {
                unreachable!("a convolution");
            };
            let channels = params.output().channels;
            let (weights, scale) = multiples(dice, channels, params.taps());
            let bias = scale
                .iter()
                .map(|scale| dice.below(500) as f32 * (0.017 * scale));
            let operation = Operation::Conv2d {
                params,
                weights,
                bias: (seed % 2 == 0).then(|| bias.collect()),
                weight_scale: Some(scale),
                pool: None,
            };
            let convolved = builder.push("conv", operation, &[real]).unwrap();
            let activation = [
                Unary::Relu,
                Unary::Relu6,
                Unary::Clip {
                    low: -1.0,
                    high: 1.5,
                },
            ][seed as usize % 3];
            builder
                .push("activation", Operation::Unary(activation), &[convolved])
                .unwrap()
        });
        let (joined, steps, part) = join(&graph, &input, output.scale);
        assert!(steps < 1.5, "seed {seed}: {steps} steps");
        differing += part;
        assert!(matches!(
            operations(&joined)[..],
            [Int8Operation::Conv2d { .. }]
        ));
    }
    assert!(differing / 60.0 < 0.01, "{differing}");
}

#[test]
fn a_linear_layer_is_joined_behind_a_transposition() {
    let output = Quantization::new(0.2, 5);
    for seed in 0..20 {
        let (graph, input) = between(seed, output, |dice, builder, real| {
            let order = [Axis::Channels, Axis::Height, Axis::Width];
            let turned = builder
                .push("turn", Operation::Transpose { order }, &[real])
                .unwrap();
            let len = builder.shape(turned).len();
            let (weights, scale) = multiples(dice, 4, len);
            let operation = Operation::Linear {
                params: Linear::new(len, 4, Activation::Identity).unwrap(),
                weights,
                weight_scale: Some(scale.clone()),
                bias: None,
            };
            let linear = builder.push("linear", operation, &[turned]).unwrap();
            // A bias that stands by itself, as exporters write it.
            let sums = scale
                .iter()
                .map(|scale| dice.below(500) as f32 * (0.017 * scale));
            let operation = Operation::BinaryConstant {
                function: BinaryFunction::Add,
                activation: Activation::Identity,
                shape: Shape::vector(4),
                operand: sums.collect(),
            };
            builder.push("bias", operation, &[linear]).unwrap()
        });
        let (joined, steps, _) = join(&graph, &input, output.scale);
        assert!(steps < 1.5, "seed {seed}: {steps} steps");
        assert!(matches!(
            operations(&joined)[..],
            [Int8Operation::Linear { .. }]
        ));
    }
}

#[test]
fn sums_means_and_softmax_are_joined() {
    let output = Quantization::new(0.031, 7);
    for seed in 0..60 {
        let (graph, input) = between(seed, output, |dice, builder, real| match dice.below(4) {
            0 => {
                let operation = Operation::Binary {
                    function: BinaryFunction::Add,
                    activation: Activation::Relu,
                };
                builder.push("add", operation, &[real, real]).unwrap()
            }
            1 => {
                let shape = builder.shape(real);
                let window = Window::new(2, 2);
                let pool = Pool2d::new(shape, window, Rounding::Floor, CountPadding::default());
                let operation = Operation::AvgPool2d(pool.unwrap());
                builder.push("pool", operation, &[real]).unwrap()
            }
            2 => builder
                .push("softmax", Operation::Softmax, &[real])
                .unwrap(),
            _ => {
                let shape = builder.shape(real);
                let pool = Pool2d::new(
                    shape,
                    Window::new(2, 2),
                    Rounding::Floor,
                    CountPadding::default(),
                );
                let operation = Operation::MaxPool2d(pool.unwrap());
                let pooled = builder.push("pool", operation, &[real]).unwrap();
                let axis = Axis::Channels;
                let operation = Operation::Concat { axis };
                builder
                    .push("concat", operation, &[pooled, pooled])
                    .unwrap()
            }
        });
        let (joined, steps, _) = join(&graph, &input, output.scale);
        assert!(steps < 1.5, "seed {seed}: {steps} steps");
        assert_eq!(operations(&joined).len(), 1, "{joined:#?}");
    }
}

#[test]
fn what_is_not_of_8_bits_stays_with_real_numbers() {
    let output = Quantization::new(0.05, 0);
    let (graph, input) = between(1, output, |dice, builder, real| {
        let operation = convolution(dice, builder.shape(real));
        builder.push("conv", operation, &[real]).unwrap()
    });
    let (joined, steps, _) = join(&graph, &input, output.scale);
    assert!(steps < 0.5);
    let is_real = |node: &crate::graph::Node| matches!(node.operation, Operation::Conv2d { .. });
    assert!(joined.nodes.iter().any(is_real));
}

#[test]
fn a_quantized_network_begins_and_ends_with_its_numbers() {
    let output = Quantization::new(0.03, 4);
    let (graph, input) = between(71, output, |_, builder, real| {
        let relu = Operation::Unary(Unary::Relu);
        builder.push("relu", relu, &[real]).unwrap()
    });
    let mut joined = graph.clone();
    optimize(&mut joined);
    assert_eq!(joined.nodes.len(), 1, "{joined:#?}");
    assert_eq!(joined.inputs[0].quantization.unwrap().scale, 0.017);
    let difference = difference(&evaluate(&joined, &input), &evaluate(&graph, &input));
    assert!(difference < 0.03, "{difference}");

    // What reads the input as it is keeps it real.
    let (mut graph, _) = between(72, output, |_, builder, real| {
        let add = BinaryFunction::Add;
        let binary = Operation::Binary {
            function: add,
            activation: Activation::Identity,
        };
        builder.push("add", binary, &[real, 0]).unwrap()
    });
    optimize(&mut graph);
    assert_eq!(graph.inputs[0].quantization, None);
}

#[test]
fn each_quantized_end_is_of_8_bit_numbers() {
    let quantization = Quantization::new(0.02, 3);
    let sum = Quantization::new(0.05, -1);
    let shape = Shape::new(2, 3, 4);
    let inputs = ["a", "b"].map(|name| Input::new(name, shape));
    let mut builder = Builder::new("two", inputs.into());
    let push = |builder: &mut Builder, operation, inputs: &[usize]| {
        builder.push("step", operation, inputs).unwrap()
    };
    let real = [0, 1].map(|input| {
        let numbers = push(&mut builder, Operation::Quantize(quantization), &[input]);
        push(
            &mut builder,
            Operation::Dequantize(quantization),
            &[numbers],
        )
    });
    let add = Operation::Binary {
        function: BinaryFunction::Add,
        activation: Activation::Identity,
    };
    let added = push(&mut builder, add, &real);
    let numbers = push(&mut builder, Operation::Quantize(sum), &[added]);
    let real = push(&mut builder, Operation::Dequantize(sum), &[numbers]);
    // The second output is read by what makes the first.
    let tanh = push(&mut builder, Operation::Unary(Unary::Tanh), &[real]);
    let graph = builder.finish(vec![Output::new("tanh", tanh), Output::new("sum", real)]);
    let mut joined = graph.clone();
    optimize(&mut joined);
    assert!(
        joined
            .inputs
            .iter()
            .all(|input| input.quantization.is_some()),
        "{joined:#?}"
    );
    let mut dice = Dice::new(5);
    let values = [0; 2].map(|_| dice.numbers(shape.len(), 1.0));
    let values = values.each_ref().map(Vec::as_slice);
    let [expected, found] = [&graph, &joined].map(|graph| evaluate_all(graph, &values));
    for (found, expected) in found.iter().zip(&expected) {
        let pairs = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
        assert!(pairs.fold(0.0, f32::max) <= 1.01 * sum.scale, "{joined:#?}");
    }
}

/// Quantizes an input, bounds it once and, with the meaning `second`, once more.
fn bounded_twice(
    [first_bounds, second_bounds]: [(i8, i8); 2],
    second: Quantization,
    both_are_read: bool,
) -> Graph {
    let first = Quantization::new(0.02, -5);
    let requantize = |bounds, output| Operation::Int8 {
        operation: Int8Operation::Requantize { bounds },
        output,
    };
    let mut builder = Builder::new("bounds", vec![Input::new("input", Shape::vector(200))]);
    let mut push = |operation, input| builder.push("node", operation, &[input]).unwrap();
    let numbers = push(Operation::Quantize(Quantization::new(0.021, 3)), 0);
    let once = push(requantize(first_bounds, first), numbers);
    let twice = push(requantize(second_bounds, second), once);
    let real = push(Operation::Dequantize(second), twice);
    let mut outputs = vec![Output::new("twice", real)];
    if both_are_read {
        let real = push(Operation::Dequantize(first), once);
        outputs.push(Output::new("once", real));
    }
    builder.finish(outputs)
}

#[test]
fn a_relu_by_itself_is_bounds_of_what_comes_before_it() {
    let same = Quantization::new(0.02, -5);
    let mut dice = Dice::new(12);
    let input = dice.numbers(200, 3.0);
    let whole = (i8::MIN, i8::MAX);
    // The last two have no number in common.
    for bounds in [
        [whole, (-5, 127)],
        [(-100, 90), (-5, 100)],
        [(-5, 40), whole],
        [(-100, -50), (20, 30)],
        [(20, 30), (-100, -50)],
    ] {
        let graph = bounded_twice(bounds, same, false);
        let mut joined = graph.clone();
        fuse_bounds::run(&mut joined);
        assert_eq!(joined.nodes.len(), graph.nodes.len() - 1);
        assert_eq!(
            evaluate(&joined, &input),
            evaluate(&graph, &input),
            "{bounds:?}"
        );
    }
    // Other numbers are rounded anew, and what others read stays as it is.
    for (second, both_are_read) in [
        (Quantization::new(0.025, -5), false),
        (Quantization::new(0.02, -4), false),
        (same, true),
    ] {
        let graph = bounded_twice([whole, (-5, 127)], second, both_are_read);
        let mut joined = graph.clone();
        fuse_bounds::run(&mut joined);
        assert_eq!(joined.nodes.len(), graph.nodes.len());
    }
}
