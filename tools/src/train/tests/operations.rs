//! Operations of imported networks, each in a network of its own: gradients against finite differences. And layers that are
//! frozen.

use kinglet_kernels::{
    Activation, Axis, BinaryFunction, Conv2d, Linear, Padding, Portable, Shape, Unary, Window,
};

use super::*;
use crate::graph::{Graph, Input, Operation, Output};

/// The shape that the operations read: the first convolution's output.
const INSIDE: Shape = Shape::new(8, 6, 4);

/// A 3x3 convolution, then what `middle` adds behind its value, then a linear layer of three classes.
fn network(middle: impl FnOnce(&mut Graph, usize) -> usize) -> Graph {
    let shape = Shape::new(8, 6, 2);
    let mut graph = Graph::new("net", vec![Input::new("input", shape)]);
    let window = Window::new(3, 3).with_padding(Padding::symmetric(1, 1));
    let conv = Conv2d::new(shape, 4, window, 1, Activation::Identity).unwrap();
    let value = graph.push("conv", Operation::conv2d(conv, true), &[0]);
    let value = middle(&mut graph, value);
    let features = graph.shapes()[value].len();
    let linear = Linear::new(features, 3, Activation::Identity).unwrap();
    let value = graph.push("head", Operation::linear(linear, true), &[value]);
    graph.outputs.push(Output::new("output", value));
    graph.initialized(7)
}

fn trainer(network: Graph, frozen: usize) -> Trainer {
    let options = TrainerOptions {
        frozen,
        ..trainer_options(&Portable, 2)
    };
    let optimizer = recipe("\"Flatten()\"").optimizer;
    Trainer::new(network, &optimizer, options).unwrap()
}

/// Numbers from 0.5 to 1.5 of either sign.
fn numbers(len: usize) -> Vec<f32> {
    let mut rng = for_sample(3, 0, 0, 0);
    let number =
        |i: usize| (uniform(&mut rng) + 0.5) * if i.is_multiple_of(3) { -1.0 } else { 1.0 };
    (0..len).map(number).collect()
}

/// Short steps: kinks are crossed on longer ones.
const STEPS: [f64; 2] = [1e-4, 3e-4];

#[test]
fn copies_have_the_gradients_of_finite_differences() {
    for operation in [
        Operation::Slice {
            start: [1, 0, 1],
            step: [2, 3, 2],
            output: Shape::new(3, 2, 2),
        },
        Operation::Pad {
            before: [1, 0, 2],
            after: [0, 2, 1],
            value: 0.75,
        },
        Operation::Transpose {
            order: [Axis::Channels, Axis::Height, Axis::Width],
        },
        Operation::Upsample {
            factor_h: 2,
            factor_w: 3,
        },
        Operation::Concat { axis: Axis::Width },
    ] {
        println!("{operation:?}");
        let twice = matches!(operation, Operation::Concat { .. });
        let graph = network(|graph, value| {
            let inputs = if twice { vec![value; 2] } else { vec![value] };
            graph.push("copies", operation, &inputs)
        });
        check_gradients(trainer(graph, 0), STEPS);
    }
}

#[test]
fn functions_have_the_gradients_of_finite_differences() {
    for function in [
        Unary::LeakyRelu { slope: -0.3 },
        Unary::Clip {
            low: -0.4,
            high: 0.5,
        },
        Unary::HardSigmoid {
            alpha: 0.2,
            beta: 0.5,
        },
        Unary::HardSwish,
        Unary::Swish { alpha: 1.0 },
        Unary::Mish,
        Unary::Gelu,
        Unary::GeluTanh,
        Unary::Erf,
        Unary::Abs,
        Unary::Exp,
        Unary::Power { exponent: 2.0 },
    ] {
        println!("{function:?}");
        let graph =
            network(|graph, value| graph.push("function", Operation::Unary(function), &[value]));
        check_gradients(trainer(graph, 0), STEPS);
    }
    let graph = network(|graph, value| graph.push("function", Operation::LogSoftmax, &[value]));
    check_gradients(trainer(graph, 0), STEPS);
}

#[test]
fn affine_functions_of_channels_have_the_gradients_of_finite_differences() {
    for activation in [Activation::Identity, Activation::Relu] {
        let graph = network(|graph, value| {
            let affine = Operation::ChannelAffine {
                activation,
                scale: numbers(4),
                shift: vec![0.3, -0.2, 0.0, 0.1],
            };
            graph.push("affine", affine, &[value])
        });
        let tensors = graph.tensors();
        let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"
            ]
        );
        check_gradients(trainer(graph, 0), STEPS);
    }
}

#[test]
fn constants_let_gradients_through() {
    for (function, shape) in [
        (BinaryFunction::Add, INSIDE),
        (BinaryFunction::ReverseSubtract, Shape::vector(4)),
        (BinaryFunction::Multiply, Shape::new(8, 6, 1)),
        (BinaryFunction::Divide, Shape::vector(1)),
        (BinaryFunction::Maximum, Shape::vector(4)),
        (BinaryFunction::PRelu, Shape::vector(4)),
    ] {
        for activation in [Activation::Identity, Activation::Relu6] {
            println!("{function:?} {activation:?}");
            let graph = network(|graph, value| {
                let constant = Operation::BinaryConstant {
                    function,
                    activation,
                    shape,
                    operand: numbers(shape.len()),
                };
                graph.push("constant", constant, &[value])
            });
            check_gradients(trainer(graph, 0), STEPS);
        }
    }
}

/// Three layers with batch normalization, dropout and a value that two read.
const FROZEN: &str = r#"
    "Conv2d(2, 4, 3, padding=1)", "BatchNorm2d(4)", "x = ReLU()", "Dropout(0.5)",
    "Conv2d(4, 4, 3, padding=1, bias=False)",
    "_ + x", "BatchNorm2d(4)", "Flatten()", "Linear(192, 3)"
"#;

#[test]
fn what_is_frozen_keeps_its_bits_and_the_rest_learns() {
    let data = pictures(43);
    let source = Pictures::new(&data, &crate::recipe::Normalize::identity(2));
    let text = "input = [2, 8, 6]\nlayers = []\n[optimizer]\ntype = \"Adam\"\nweight_decay = 0.1\n";
    for (optimizer, decay_bias) in [("SGD", true), ("SGD", false), ("Adam", true)] {
        let text = text.replace("Adam", optimizer) + &format!("decay_bias = {decay_bias}\n");
        let text = text.replace("[]", &format!("[{FROZEN}]"));
        let recipe = Recipe::parse(&text, Path::new("test.toml")).unwrap();
        let network = recipe.graph.initialized(7);
        // The first four nodes: up to the dropout.
        let options = TrainerOptions {
            frozen: 4,
            ..trainer_options(&Portable, 2)
        };
        let trainer = Trainer::new(network.clone(), &recipe.optimizer, options);
        let mut trainer = trainer.unwrap().with_average(0.5);
        let before = trainer.values().clone();
        for epoch in 0..3 {
            for batch in (0..43).collect::<Vec<_>>().chunks(20) {
                trainer.step(&source, batch, epoch).unwrap();
            }
        }
        let snapshot = trainer.snapshot().unwrap();
        for values in [Some(&snapshot.values), snapshot.average.as_ref()] {
            let values = values.unwrap();
            for tensor in network.tensors() {
                let same = values.get(&tensor) == before.get(&tensor);
                assert_eq!(same, tensor.node < 4, "{} of {optimizer}", tensor.name);
            }
        }
        // Nothing is kept for what does not move.
        let moving: usize = network
            .tensors()
            .iter()
            .filter(|t| t.node >= 4 && !t.role.is_statistic())
            .map(|tensor| tensor.range.len())
            .sum();
        let slots = if optimizer == "Adam" { 2 } else { 1 };
        assert_eq!(snapshot.optimizer_state.len(), slots * moving);
    }
}

#[test]
fn the_gradients_of_the_rest_are_those_without_freezing() {
    let data = pictures(20);
    let source = Pictures::new(&data, &crate::recipe::Normalize::identity(2));
    let layers = r#""Conv2d(2, 4, 3)", "ReLU()", "Conv2d(4, 4, 3)", "Flatten()", "Linear(32, 3)""#;
    let graph = recipe(layers).graph.initialized(7);
    let [mut whole, mut part] = [0, 2].map(|frozen| trainer(graph.clone(), frozen));
    let indices: Vec<usize> = (0..20).collect();
    for trainer in [&mut whole, &mut part] {
        trainer.gradient(&source, &indices, 0).unwrap();
    }
    let first = graph
        .tensors()
        .iter()
        .find(|t| t.node == 2)
        .unwrap()
        .range
        .start;
    assert_eq!(
        whole.gradients().unwrap()[first..],
        part.gradients().unwrap()[first..]
    );
    assert!(part.gradients().unwrap()[..first].iter().all(|d| *d == 0.0));
}
