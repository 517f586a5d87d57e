//! The whole of a small network: gradients against finite differences, independence of threads and shards. Operations that
//! recipes do not have, and layers that are frozen, are in `operations`, whole runs in `runs`, interruption and damage in
//! `resume`.

mod operations;
mod quantize;
mod resume;
mod runs;
mod transfer;
mod values;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use kinglet_kernels::{BackwardKernels, Portable, Shape};

use super::*;
use crate::dataset::{Collection, Dataset};
use crate::random::{for_sample, uniform};
use crate::recipe::Recipe;

/// Every kind of layer that has a gradient.
const EVERYTHING: &str = r#"
    "Conv2d(2, 4, 3, padding=1, bias=False)",
    "BatchNorm2d(4)",
    "LeakyReLU(0.1)",
    "MaxPool2d(2)",
    "Dropout2d(0.3)",
    "Conv2d(4, 6, 3, padding=1, groups=2)",
    "ReLU()",
    "Dropout(0.2)",
    "AvgPool2d(3, stride=1, padding=1)",
    "Conv2d(6, 4, 1)",
    "Tanh()",
    "Flatten()",
    "Linear(48, 8)",
    "Sigmoid()",
    "Dropout(0.25)",
    "Linear(8, 5, bias=False)",
    "ReLU6()",
    "Linear(5, 3)",
    "Softmax(dim=1)"
"#;

fn recipe(layers: &str) -> Recipe {
    let text = format!(
        "input = [2, 8, 6]\nlayers = [{layers}]\n[data]\nvalidation = 0.25\n\
         [train]\nepochs = 3\nbatch_size = 20\nseed = 4\n\
         [optimizer]\ntype = \"SGD\"\nlr = 0.1\nmomentum = 0.9\n"
    );
    Recipe::parse(&text, Path::new("test.toml")).unwrap()
}

/// Pictures of three classes: each brightens a third of its rows, in noise.
fn pictures(count: usize) -> Dataset {
    let shape = Shape::new(8, 6, 2);
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for sample in 0..count {
        let label = sample % 3;
        let mut rng = for_sample(99, 0, sample as u64, 0);
        labels.push(label as u8);
        for place in 0..shape.len() {
            let row = place / 12;
            let bright = if row * 3 / 8 == label { 60.0 } else { 0.0 };
            images.push((uniform(&mut rng) * 160.0 + bright) as u8);
        }
    }
    Dataset::new(Path::new("test"), shape, images, labels).unwrap()
}

fn trainer(layers: &str, kernels: &'static dyn BackwardKernels, threads: usize) -> Trainer {
    let recipe = recipe(layers);
    let network = recipe.graph.initialized(7);
    Trainer::new(
        network,
        &recipe.optimizer,
        trainer_options(kernels, threads),
    )
    .unwrap()
}

fn trainer_options(kernels: &'static dyn BackwardKernels, threads: usize) -> TrainerOptions {
    TrainerOptions {
        kernels,
        threads,
        batch_size: 20,
        seed: 4,
        frozen: 0,
        loss: Loss::default(),
    }
}

/// Values that are read twice and three times, branches within branches, an input read twice, and what joins them.
const BRANCHES: &str = r#"
    "Conv2d(2, 4, 3, padding=1, bias=False)",
    "BatchNorm2d(4)",
    "x = ReLU()",
    "y = Conv2d(4, 4, 3, padding=1)",
    "AdaptiveAvgPool2d(1)",
    "Conv2d(4, 2, 1)",
    "LeakyReLU(0.2)",
    "Conv2d(2, 4, 1)",
    "Sigmoid()",
    "s = _ * y",
    "z = relu(s + x)",
    "Conv2d(2, 3, 1)(input)",
    "Tanh()",
    "v = torch.cat([_, z, x], dim=1)",
    "w = MaxPool2d(2)(v)",
    "Conv2d(11, 11, 3, padding=1, groups=11, bias=False)",
    "BatchNorm2d(11)",
    "_ - w",
    "Dropout(0.2)",
    "torch.maximum(_, w)",
    "u = Conv2d(11, 3, 1)",
    "u + u * u",
    "a = Flatten()",
    "Linear(36, 6)(a)",
    "Sigmoid()",
    "torch.cat([_, a], dim=1)",
    "Linear(42, 3)",
    "Softmax(dim=1)"
"#;

#[test]
fn gradients_of_branches_are_those_of_finite_differences() {
    // Short steps: largest values change places on longer ones.
    check_gradients(trainer(BRANCHES, &Portable, 2), [3e-4, 3e-4]);
}

#[test]
fn gradients_are_those_of_finite_differences() {
    check_gradients(trainer(EVERYTHING, &Portable, 2), [1e-3, 4e-3]);
}

#[test]
fn gradients_with_label_smoothing_are_those_of_finite_differences() {
    for class_weights in [vec![], vec![0.5, 2.0, 0.75]] {
        let options = TrainerOptions {
            loss: Loss::CrossEntropy(CrossEntropy {
                label_smoothing: 0.3,
                class_weights,
            }),
            ..trainer_options(&Portable, 2)
        };
        let recipe = recipe(EVERYTHING);
        let network = recipe.graph.initialized(7);
        let trainer = Trainer::new(network, &recipe.optimizer, options).unwrap();
        check_gradients(trainer, [1e-3, 4e-3]);
    }
}

/// With steps of these lengths along each tensor's gradient, and along its largest element.
fn check_gradients(trainer: Trainer, steps: [f64; 2]) {
    check_gradients_on(trainer, &pictures(20), steps);
}

fn check_gradients_on(mut trainer: Trainer, data: &Dataset, [step, single_step]: [f64; 2]) {
    let normalize = crate::recipe::Normalize::identity(2);
    let source = Pictures::new(data, &normalize);
    let indices: Vec<usize> = (0..17).collect();
    let mean_loss = |trainer: &mut Trainer, parameters: &[f32]| {
        let values = Values {
            parameters: parameters.to_vec(),
            statistics: trainer.values().statistics.clone(),
        };
        trainer.set_values(&values).unwrap();
        trainer.gradient(&source, &indices, 3).unwrap().mean_loss()
    };
    let parameters = trainer.values().parameters.clone();
    mean_loss(&mut trainer, &parameters);
    let gradients = trainer.gradients().unwrap().to_vec();
    for tensor in trainer.network().tensors() {
        if tensor.role.is_statistic() {
            continue;
        }
        // Along the tensor's own gradient the slope is the gradient's length.
        let own = &gradients[tensor.range.clone()];
        let length = own
            .iter()
            .map(|g| f64::from(*g).powi(2))
            .sum::<f64>()
            .sqrt();
        assert!(
            length > 1e-4,
            "{}: gradient of length {length}",
            tensor.name
        );
        let at = |trainer: &mut Trainer, factor: f64| {
            let mut moved = parameters.clone();
            for (x, g) in moved[tensor.range.clone()].iter_mut().zip(own) {
                *x += (factor * step * f64::from(*g) / length) as f32;
            }
            mean_loss(trainer, &moved)
        };
        let slope = (at(&mut trainer, 1.0) - at(&mut trainer, -1.0)) / (2.0 * step);
        let error = (slope - length).abs();
        assert!(
            // Losses are single numbers of single precision.
            error < 0.02 * length + 1e-8 / step,
            "{}: slope {slope}, gradient {length}",
            tensor.name
        );
        // And one element by itself: the largest.
        let place = (0..own.len())
            .max_by(|&a, &b| own[a].abs().total_cmp(&own[b].abs()))
            .unwrap();
        let one = |trainer: &mut Trainer, by: f64| {
            let mut moved = parameters.clone();
            moved[tensor.range.start + place] += by as f32;
            mean_loss(trainer, &moved)
        };
        let step = single_step;
        let slope = (one(&mut trainer, step) - one(&mut trainer, -step)) / (2.0 * step);
        let error = (slope - f64::from(own[place])).abs();
        assert!(
            error < 0.03 * length + 1e-4,
            "{}: slope {slope}, gradient {}",
            tensor.name,
            own[place]
        );
    }
}

#[test]
fn a_batch_that_is_ready_takes_the_same_step() {
    let data = pictures(20);
    let source = Pictures::new(&data, &crate::recipe::Normalize::identity(2));
    let indices = [3, 9, 4, 17];
    let (mut one, mut other) = (
        trainer(EVERYTHING, &Portable, 2),
        trainer(EVERYTHING, &Portable, 2),
    );
    let mut batch = Batch {
        input: vec![0.0; indices.len() * source.shape().len()],
        labels: indices.map(|index| source.label(index)).to_vec(),
        targets: Vec::new(),
        samples: indices.to_vec(),
        epoch: 6,
    };
    let inputs = batch.input.chunks_mut(source.shape().len());
    inputs
        .zip(indices)
        .for_each(|(input, index)| source.write(index, input));
    let before = batch.clone();
    for _ in 0..2 {
        let tally = one.step(&source, &indices, 6).unwrap();
        assert_eq!(tally, other.step_batch(&mut batch).unwrap());
        assert_eq!(one.network(), other.network());
    }
    assert_eq!(batch.input, before.input);
    assert_eq!(batch.labels, before.labels);
}

/// Parameters and statistics after a few steps, as bits.
fn bits_after_steps(
    layers: &str,
    kernels: &'static dyn BackwardKernels,
    threads: usize,
) -> Vec<u32> {
    let data = pictures(43);
    let normalize = crate::recipe::Normalize::identity(2);
    let source = Pictures::new(&data, &normalize);
    let mut trainer = trainer(layers, kernels, threads);
    let indices: Vec<usize> = (0..43).rev().collect();
    for epoch in 0..2 {
        for batch in indices.chunks(20) {
            trainer.step(&source, batch, epoch).unwrap();
        }
    }
    let values = trainer.values();
    let values = values.parameters.iter().chain(&values.statistics);
    values.map(|x| x.to_bits()).collect()
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    for set in kinglet_kernels::arch::sets() {
        let Some(kernels) = set.training_kernels() else {
            continue;
        };
        for layers in [EVERYTHING, BRANCHES] {
            let one = bits_after_steps(layers, kernels, 1);
            for threads in [2, 3, 8] {
                assert!(
                    one == bits_after_steps(layers, kernels, threads),
                    "{}, {threads} threads",
                    set.name()
                );
            }
        }
    }
}

#[test]
fn portable_equals_the_oracle_and_fast_sets_are_near() {
    let reference = bits_after_steps(
        EVERYTHING,
        crate::kernel_set::select_training("reference").unwrap(),
        2,
    );
    assert!(reference == bits_after_steps(EVERYTHING, &Portable, 2));
    let fast = bits_after_steps(
        EVERYTHING,
        crate::kernel_set::select_training("auto").unwrap(),
        2,
    );
    for (a, b) in reference.iter().zip(&fast) {
        let (a, b) = (f32::from_bits(*a), f32::from_bits(*b));
        assert!((a - b).abs() <= 1e-3 * (1.0 + a.abs()), "{a} {b}");
    }
}

/// Asks to stop after a number of batches.
struct StopAfter<'a> {
    batches: usize,
    stop_after: usize,
    stop: &'a AtomicBool,
}

impl Observer for StopAfter<'_> {
    fn start(&mut self, _: &Trainer, _: usize) {}
    fn batch(&mut self, _: &BatchProgress) {
        self.batches += 1;
        if self.batches == self.stop_after {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
    fn epoch(&mut self, _: &EpochMetrics, _: bool) {}
}

fn collection() -> Collection {
    Collection {
        source: "test".to_owned(),
        train: pictures(120),
        validation: None,
        test: Some(pictures(30)),
        classes: Vec::new(),
    }
}

fn options(folder: &Path, start: Start) -> FitOptions<'_> {
    FitOptions {
        recipe_path: Path::new("test.toml"),
        folder,
        kernels: &Portable,
        device: None,
        threads: 2,
        start,
        checkpoint_every: CHECKPOINT_EVERY,
    }
}

/// Runs a recipe, to its end or until `stop_after` batches are done; 0 for no such stop.
fn run(
    recipe: &Recipe,
    folder: &Path,
    start: Start,
    stop_after: usize,
) -> Result<Ended, TrainError> {
    run_with(recipe, &options(folder, start), stop_after)
}

fn run_with(recipe: &Recipe, options: &FitOptions, stop_after: usize) -> Result<Ended, TrainError> {
    run_on(recipe, &collection(), options, stop_after)
}

fn run_on(
    recipe: &Recipe,
    collection: &Collection,
    options: &FitOptions,
    stop_after: usize,
) -> Result<Ended, TrainError> {
    let stop = AtomicBool::new(false);
    let mut observer = StopAfter {
        batches: 0,
        stop_after,
        stop: &stop,
    };
    fit(recipe, collection, options, &stop, &mut observer)
}

fn error(ended: Result<Ended, TrainError>) -> String {
    ended.err().unwrap().to_string()
}

fn complete(ended: Result<Ended, TrainError>) -> Report {
    match ended.unwrap() {
        Ended::Complete(report) => *report,
        Ended::Interrupted { .. } => panic!("interrupted"),
    }
}

const SMALL: &str = r#""Conv2d(2, 4, 3)", "BatchNorm2d(4)", "ReLU()", "Flatten()", "Dropout(0.2)", "Linear(96, 3)""#;
