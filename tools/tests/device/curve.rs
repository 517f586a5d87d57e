//! Whole networks in training: the device's course beside the CPU's.

use kinglet_kernels::testing::Random;
use kinglet_kernels::{Activation, BinaryFunction, Portable, Shape, Unary};
use kinglet_tools::device::Device;
use kinglet_tools::graph::{Graph, Operation};
use kinglet_tools::recipe::Recipe;
use kinglet_tools::train::{CrossEntropy, Loss, Source, Trainer, TrainerOptions};

use crate::executor;

/// Convolutions with padding, stride, dilation, groups and depthwise, normalized, pooled and dropped in every way,
/// with functions that work in place and functions that cannot. Before batch normalization there is no bias: its
/// gradient is nothing but rounding, which Adam would make steps of.
const LAYERS: &str = r#"
    "Conv2d(3, 8, 3, padding=1, bias=False)", "BatchNorm2d(8)", "ReLU()", "MaxPool2d(3, stride=2, padding=1)",
    "Conv2d(8, 8, 3, padding=1, groups=8, bias=False)", "BatchNorm2d(8)", "LeakyReLU(0.1)", "Dropout2d(0.1)",
    "Conv2d(8, 12, 3, stride=2, padding=1, groups=2)", "ReLU6()", "Conv2d(12, 9, 2, dilation=2, padding=1)", "Tanh()",
    "LeakyReLU(0.2)", "AvgPool2d(2, stride=1, padding=1)", "Conv2d(9, 10, 1)", "ReLU()", "Dropout(0.2)", "Flatten()",
    "Linear(250, 24)", "Sigmoid()", "Dropout(0.25)", "Linear(24, 4)", "Softmax(dim=1)"
"#;

const SMALL: &str = r#"
    "Conv2d(3, 4, 3, padding=1, bias=False)", "BatchNorm2d(4)", "ReLU()", "MaxPool2d(4)", "Conv2d(4, 4, 3, padding=1, groups=4)",
    "ReLU()", "AvgPool2d(2)", "Flatten()", "Dropout(0.2)", "Linear(4, 4)"
"#;

/// Branches within branches, values that are read more than once, and everything that joins them.
const BRANCHES: &str = r#"
    "Conv2d(3, 6, 3, padding=1, bias=False)", "BatchNorm2d(6)", "x = ReLU()", "y = Conv2d(6, 6, 3, padding=1)",
    "AdaptiveAvgPool2d(1)", "Conv2d(6, 3, 1)", "LeakyReLU(0.2)", "Conv2d(3, 6, 1)", "Sigmoid()", "s = _ * y",
    "z = relu(s + x)", "Conv2d(3, 3, 1)(input)", "Tanh()", "v = torch.cat([_, z, x], dim=1)", "w = MaxPool2d(2)(v)",
    "Conv2d(15, 15, 3, padding=1, groups=15)", "_ - w", "torch.maximum(_, w)", "u = Conv2d(15, 2, 1)", "u + u * u",
    "a = Flatten()", "Linear(32, 6)(a)", "Sigmoid()", "torch.cat([_, a], dim=1)", "Linear(38, 4)"
"#;

/// Steps of SGD with all it has, only weights decay.
const SGD: &str = "type = \"SGD\"\nlr = 0.3\nmomentum = 0.9\nnesterov = true\nweight_decay = 5e-4\ndecay_bias = false";
const ADAM: &str = "type = \"Adam\"\nlr = 0.01\nweight_decay = 1e-4";

/// Pictures of four classes, each with a brighter quarter, in noise.
struct Pictures {
    shape: Shape,
    values: Vec<f32>,
}

impl Pictures {
    fn new(count: usize, extent: usize) -> Self {
        let shape = Shape::new(extent, extent, 3);
        let mut values = Random::new(7).values(count * shape.len());
        for (i, value) in values.iter_mut().enumerate() {
            let (sample, place) = (i / shape.len(), i % shape.len());
            let row = place / (extent * 3);
            *value += f32::from(row * 4 / extent == sample % 4);
        }
        Self { shape, values }
    }
}

impl Source for Pictures {
    fn len(&self) -> usize {
        self.values.len() / self.shape.len()
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn write(&self, index: usize, output: &mut [f32]) {
        let len = self.shape.len();
        output.copy_from_slice(&self.values[index * len..][..len]);
    }

    fn label(&self, index: usize) -> usize {
        index % 4
    }

    fn write_target(&self, index: usize, input: &[f32], target: &mut [f32]) {
        for (place, target) in target.iter_mut().enumerate() {
            *target = input[place] + (index % 4) as f32 / 4.0;
        }
    }
}

/// The CPU's trainer and the device's, of the same network.
fn trainers(layers: &str, extent: usize, optimizer: &str, batch_size: usize) -> [Trainer; 2] {
    trainers_of(layers, extent, optimizer, batch_size, 0, |_| ())
}

/// The loss of most tests.
fn smoothed() -> Loss {
    Loss::CrossEntropy(CrossEntropy {
        label_smoothing: 0.1,
        class_weights: vec![],
    })
}

/// The same of a network that `change` has changed, with so many frozen nodes.
fn trainers_of(
    layers: &str,
    extent: usize,
    optimizer: &str,
    batch_size: usize,
    frozen: usize,
    change: impl FnOnce(&mut Graph),
) -> [Trainer; 2] {
    trainers_with(
        layers,
        extent,
        optimizer,
        batch_size,
        (frozen, smoothed()),
        change,
    )
}

fn trainers_with(
    layers: &str,
    extent: usize,
    optimizer: &str,
    batch_size: usize,
    (frozen, loss): (usize, Loss),
    change: impl FnOnce(&mut Graph),
) -> [Trainer; 2] {
    let text =
        format!("input = [3, {extent}, {extent}]\nlayers = [{layers}]\n[optimizer]\n{optimizer}\n");
    let recipe = Recipe::parse(&text, std::path::Path::new("test.toml")).unwrap();
    let mut network = recipe.graph.clone().initialized(5);
    change(&mut network);
    let options = TrainerOptions {
        kernels: &Portable,
        threads: 2,
        batch_size,
        seed: 4,
        frozen,
        loss,
    };
    let cpu = Trainer::new(network.clone(), &recipe.optimizer, options.clone()).unwrap();
    let device = Trainer::on_device(network, &recipe.optimizer, options, &device()).unwrap();
    [cpu, device].map(|trainer| trainer.with_average(0.9))
}

pub(crate) fn device() -> Device {
    Device {
        executor: executor(),
        storage: kinglet::opencl::Element::F32,
        measured: false,
    }
}

/// Takes steps on both. Returns the largest difference of their losses, and the last loss.
fn follow(
    trainers: &mut [Trainer; 2],
    pictures: &Pictures,
    batch_size: usize,
    steps: usize,
) -> (f64, f64) {
    let all: Vec<usize> = (0..pictures.len()).collect();
    let batches: Vec<&[usize]> = all.chunks(batch_size).collect();
    let (mut largest, mut last) = (0.0_f64, 0.0);
    for step in 0..steps {
        let batch = batches[step % batches.len()];
        let epoch = (step / batches.len()) as u64;
        let [cpu, device] = trainers.each_mut();
        let right = cpu.step(pictures, batch, epoch).unwrap().mean_loss();
        let found = device.step(pictures, batch, epoch).unwrap().mean_loss();
        let difference = (found - right).abs();
        assert!(
            difference < 1e-3,
            "step {step}: loss {found} on the device, {right} on the CPU"
        );
        largest = largest.max(difference);
        last = found;
    }
    (largest, last)
}

/// The largest distance of gradients, relative to the longest of their tensor.
fn compare_gradients(trainers: &mut [Trainer; 2], pictures: &Pictures, indices: &[usize]) {
    let [cpu, device] = trainers.each_mut();
    cpu.gradient(pictures, indices, 0).unwrap();
    device.gradient(pictures, indices, 0).unwrap();
    let tensors = cpu.network().tensors();
    let (right, found) = (cpu.gradients().unwrap(), device.gradients().unwrap());
    for tensor in tensors.iter().filter(|tensor| !tensor.role.is_statistic()) {
        let (right, found) = (&right[tensor.range.clone()], &found[tensor.range.clone()]);
        let largest = right.iter().fold(0.0_f32, |a, x| a.max(x.abs()));
        for (i, (x, y)) in found.iter().zip(right).enumerate() {
            let close = (x - y).abs() <= 1e-4 * largest + 1e-7;
            assert!(close, "{}, {i}: {x}, not {y}", tensor.name);
        }
    }
}

#[test]
fn gradients_are_the_cpus() {
    let pictures = Pictures::new(21, 16);
    let indices: Vec<usize> = (0..21).collect();
    let mut trainers = trainers(LAYERS, 16, SGD, 24);
    compare_gradients(&mut trainers, &pictures, &indices);
}

#[test]
fn steps_small() {
    let pictures = Pictures::new(5, 8);
    let mut trainers = trainers(SMALL, 8, SGD, 3);
    compare_gradients(&mut trainers, &pictures, &[0, 1, 2]);
    follow(&mut trainers, &pictures, 3, 2);
}

#[test]
fn branches_small() {
    let pictures = Pictures::new(5, 8);
    let mut trainers = trainers(BRANCHES, 8, SGD, 3);
    compare_gradients(&mut trainers, &pictures, &[0, 1, 2]);
    follow(&mut trainers, &pictures, 3, 2);
}

#[test]
fn losses_small() {
    let weighted = Loss::CrossEntropy(CrossEntropy {
        label_smoothing: 0.2,
        class_weights: vec![0.5, 2.0, 1.0, 0.25],
    });
    let pictures = Pictures::new(5, 8);
    for loss in [weighted, Loss::SquaredError] {
        let mut trainers = trainers_with(SMALL, 8, SGD, 3, (0, loss), |_| ());
        compare_gradients(&mut trainers, &pictures, &[0, 1, 2]);
        follow(&mut trainers, &pictures, 3, 2);
        let [right, found] = trainers.each_mut().map(|trainer| {
            let tally = trainer.evaluate(&pictures, &[0, 1, 2, 3, 4], &|| true);
            tally.unwrap().unwrap().total().mean_loss()
        });
        assert!((right - found).abs() < 1e-4, "{found}, not {right}");
    }
}

/// What imported networks have: constants, affine functions of channels, functions whose gradient needs their input.
#[test]
fn imported_operations_small() {
    let layers = r#"
        "Conv2d(3, 6, 3, padding=1)", "Sigmoid()", "Conv2d(6, 6, 3, padding=1)", "Sigmoid()", "Sigmoid()",
        "Conv2d(6, 4, 1)", "Sigmoid()", "Softmax(1)", "AvgPool2d(4)", "Flatten()", "Linear(16, 4)"
    "#;
    let pictures = Pictures::new(5, 8);
    let mut trainers = trainers_of(layers, 8, SGD, 3, 0, |graph| {
        let numbers = |len: usize| {
            (0..len)
                .map(|i| (i as f32 - 2.5) / 4.0)
                .collect::<Vec<f32>>()
        };
        let changed = [
            (1, affine(Activation::Relu6, numbers(6))),
            (3, Operation::Unary(Unary::Gelu)),
            (
                4,
                constant(BinaryFunction::Multiply, Shape::vector(6), numbers(6)),
            ),
            (
                6,
                constant(BinaryFunction::PRelu, Shape::vector(4), numbers(4)),
            ),
            (7, Operation::LogSoftmax),
        ];
        for (node, operation) in changed {
            graph.nodes[node].operation = operation;
        }
    });
    compare_gradients(&mut trainers, &pictures, &[0, 1, 2]);
    follow(&mut trainers, &pictures, 3, 2);
}

fn affine(activation: Activation, scale: Vec<f32>) -> Operation {
    Operation::ChannelAffine {
        activation,
        shift: scale.iter().rev().copied().collect(),
        scale,
    }
}

fn constant(function: BinaryFunction, shape: Shape, operand: Vec<f32>) -> Operation {
    Operation::BinaryConstant {
        function,
        activation: Activation::Relu,
        shape,
        operand,
    }
}

#[test]
fn frozen_layers_keep_their_bits_small() {
    let layers = r#"
        "Conv2d(3, 4, 3, padding=1, bias=False)", "BatchNorm2d(4)", "ReLU()", "Dropout(0.5)", "MaxPool2d(4)",
        "Conv2d(4, 4, 1, bias=False)", "BatchNorm2d(4)", "Flatten()", "Linear(16, 4)"
    "#;
    let pictures = Pictures::new(5, 8);
    for optimizer in [SGD, ADAM] {
        let mut trainers = trainers_of(layers, 8, optimizer, 3, 4, |_| ());
        let before = trainers[1].fetch().unwrap().clone();
        compare_gradients(&mut trainers, &pictures, &[0, 1, 2]);
        follow(&mut trainers, &pictures, 3, 3);
        let device = &mut trainers[1];
        let tensors = device.network().tensors();
        let after = device.fetch().unwrap();
        for tensor in tensors {
            let same = before.get(&tensor) == after.get(&tensor);
            assert_eq!(same, tensor.node < 4, "{}", tensor.name);
        }
        let all: Vec<usize> = (0..pictures.len()).collect();
        let [right, found] = trainers.each_mut().map(|trainer| {
            let tally = trainer.evaluate(&pictures, &all, &|| true);
            tally.unwrap().unwrap().total().mean_loss()
        });
        assert!((right - found).abs() < 1e-3, "{found}, not {right}");
    }
}

/// Fifty steps, which lower the loss by a good part, and then an evaluation.
fn follow_fifty_steps(optimizer: &str) {
    let pictures = Pictures::new(100, 16);
    let mut trainers = trainers(LAYERS, 16, optimizer, 24);
    let (largest, last) = follow(&mut trainers, &pictures, 24, 50);
    println!("losses come to {last:.4} and differ by {largest:.2e} at most");
    assert!(last < 1.2, "four classes, and a loss of {last}");
    let all: Vec<usize> = (0..pictures.len()).collect();
    let [right, found] = trainers.each_mut().map(|trainer| {
        let tally = trainer.evaluate(&pictures, &all, &|| true);
        tally.unwrap().unwrap().total()
    });
    let difference = (found.mean_loss() - right.mean_loss()).abs();
    println!("evaluated, they differ by {difference:.2e}");
    assert!(difference < 1e-3, "{difference}");
}

#[test]
fn fifty_steps_of_sgd_follow_the_cpu() {
    follow_fifty_steps(SGD);
}

#[test]
fn fifty_steps_of_adam_follow_the_cpu() {
    follow_fifty_steps(ADAM);
}

#[test]
fn fifty_steps_of_adam_w_follow_the_cpu() {
    follow_fifty_steps("type = \"AdamW\"\nlr = 0.01\nweight_decay = 0.1\ndecay_bias = false");
}

#[test]
fn a_loss_that_is_none_takes_no_step_small() {
    let mut pictures = Pictures::new(3, 8);
    let mut trainers = trainers(SMALL, 8, ADAM, 3);
    let device = &mut trainers[1];
    device.step(&pictures, &[0, 1, 2], 0).unwrap();
    let before = device.fetch().unwrap().parameters.clone();
    pictures.values[0] = f32::NAN;
    let tally = device.step(&pictures, &[0, 1, 2], 0).unwrap();
    assert!(tally.mean_loss().is_nan());
    assert_eq!(device.fetch().unwrap().parameters, before);
}
