//! Training steps against PyTorch's: the same weights and batches, 20 steps, every optimizer setting.
//!
//! `tests/golden/training` holds what PyTorch computed, with the script that made it. From the same first
//! weights the losses of all 20 steps have to agree, and each tensor's *update* (what it has moved by): the
//! weights themselves would agree even if nothing had been learned.

use std::path::{Path, PathBuf};

use kinglet_kernels::{BackwardKernels, Shape};
use kinglet_tools::kernel_set;
use kinglet_tools::recipe::Recipe;
use kinglet_tools::train::{Loss, Source, Trainer, TrainerOptions};
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadableElement};

/// Largest relative distance of a loss, and of a tensor's update or first gradient (in the Euclidean norm).
const LOSS_BOUND: f64 = 1e-4;
const UPDATE_BOUND: f64 = 1e-3;

/// A golden network: its manifest and its arrays.
struct Golden {
    manifest: toml::Table,
    arrays: NpzReader<std::fs::File>,
}

impl Golden {
    fn open(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/training");
        let path = |extension| -> PathBuf { folder.join(format!("{name}.{extension}")) };
        let manifest = std::fs::read_to_string(path("toml")).unwrap();
        Self {
            manifest: manifest.parse().unwrap(),
            arrays: NpzReader::new(std::fs::File::open(path("npz")).unwrap()).unwrap(),
        }
    }

    fn array<T: ReadableElement>(&mut self, name: &str) -> ArrayD<T> {
        let array = self.arrays.by_name::<OwnedRepr<T>, IxDyn>(name);
        array.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn values(&mut self, name: &str) -> Vec<f32> {
        self.array(name).into_iter().collect()
    }

    fn integers(&self, key: &str) -> Vec<usize> {
        let values = self.manifest[key].as_array().unwrap();
        values
            .iter()
            .map(|value| value.as_integer().unwrap() as usize)
            .collect()
    }

    /// The names of the optimizer settings.
    fn runs(&self) -> Vec<String> {
        self.manifest["optimizers"]
            .as_table()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    }

    /// The network with the optimizer of a run, as a recipe.
    fn recipe(&self, run: &str) -> Recipe {
        let mut recipe = toml::Table::new();
        for key in ["input", "layers"] {
            recipe.insert(key.to_owned(), self.manifest[key].clone());
        }
        recipe.insert(
            "optimizer".to_owned(),
            self.manifest["optimizers"][run].clone(),
        );
        let text = toml::to_string(&recipe).unwrap();
        Recipe::parse(&text, Path::new("golden.toml")).unwrap()
    }

    fn samples(&mut self, shape: Shape) -> Samples {
        Samples {
            shape,
            images: self.values("batch/x"),
            labels: self
                .array::<i64>("batch/y")
                .into_iter()
                .map(|y| y as usize)
                .collect(),
        }
    }
}

/// Samples in PyTorch's order: channels, height, width.
struct Samples {
    shape: Shape,
    images: Vec<f32>,
    labels: Vec<usize>,
}

impl Source for Samples {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn write(&self, index: usize, output: &mut [f32]) {
        let image = &self.images[index * self.shape.len()..][..self.shape.len()];
        let pixels = self.shape.height * self.shape.width;
        for (pixel, values) in output.chunks_mut(self.shape.channels).enumerate() {
            for (channel, value) in values.iter_mut().enumerate() {
                *value = image[channel * pixels + pixel];
            }
        }
    }

    fn label(&self, index: usize) -> usize {
        self.labels[index]
    }
}

/// The length of the difference, relative to the length of `right`.
fn distance(found: &[f64], right: &[f64]) -> f64 {
    assert_eq!(found.len(), right.len());
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let difference = length(&mut found.iter().zip(right).map(|(a, b)| a - b));
    difference / length(&mut right.iter().copied())
}

fn difference(after: &[f32], before: &[f32]) -> Vec<f64> {
    let pairs = after.iter().zip(before);
    pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)).collect()
}

/// The largest distances that a run came to, for the message.
#[derive(Debug, Default)]
struct Worst {
    loss: f64,
    update: f64,
    gradient: f64,
}

fn compare(name: &str, run: &str, kernels: &'static dyn BackwardKernels) -> Worst {
    let mut golden = Golden::open(name);
    let recipe = golden.recipe(run);
    let samples = golden.samples(recipe.graph.input());
    let (starts, sizes) = (golden.integers("starts"), golden.integers("sizes"));
    let mut network = recipe.graph.clone();
    let tensors = network.tensors();
    for tensor in &tensors {
        let values = golden.values(&format!("initial/{}", tensor.name));
        network.import_pytorch(&tensor.name, &values).unwrap();
    }
    let options = TrainerOptions {
        kernels,
        threads: 2,
        batch_size: *sizes.iter().max().unwrap(),
        seed: 1,
        frozen: 0,
        loss: Loss::default(),
    };
    let mut trainer = Trainer::new(network, &recipe.optimizer, options).unwrap();
    let losses = golden.values(&format!("loss/{run}"));
    assert_eq!((losses.len(), starts.len()), (20, 20));
    let mut worst = Worst::default();
    let what = format!("{name}, {run}, {}", kernels.name());
    for (step, ((&start, &size), &right)) in starts.iter().zip(&sizes).zip(&losses).enumerate() {
        let indices: Vec<usize> = (start..start + size).collect();
        let found = trainer.step(&samples, &indices, 0).unwrap().mean_loss();
        let error = (found - f64::from(right)).abs() / f64::from(right);
        assert!(
            error < LOSS_BOUND,
            "{what}, step {step}: loss {found}, PyTorch's is {right}"
        );
        worst.loss = worst.loss.max(error);
        if step == 0 {
            for tensor in tensors.iter().filter(|tensor| !tensor.role.is_statistic()) {
                let found = tensor.to_pytorch(&trainer.gradients().unwrap()[tensor.range.clone()]);
                let right = golden.values(&format!("gradient/{}", tensor.name));
                let zeros = vec![0.0; right.len()];
                let error = distance(&difference(&found, &zeros), &difference(&right, &zeros));
                assert!(
                    error < UPDATE_BOUND,
                    "{what}, gradient of {}: off by {error:.2e}",
                    tensor.name
                );
                worst.gradient = worst.gradient.max(error);
            }
        }
    }
    for tensor in &tensors {
        let name = &tensor.name;
        let initial = golden.values(&format!("initial/{name}"));
        let right = golden.values(&format!("final/{run}/{name}"));
        let found = tensor.to_pytorch(trainer.values().get(tensor));
        let error = distance(&difference(&found, &initial), &difference(&right, &initial));
        assert!(
            error < UPDATE_BOUND,
            "{what}, update of {name}: off by {error:.2e}"
        );
        worst.update = worst.update.max(error);
    }
    worst
}

/// All runs of a network on every kernel set that this machine can run.
fn compare_all(name: &str) {
    let runs = Golden::open(name).runs();
    assert_eq!(runs.len(), 6);
    for set in ["portable", "auto"] {
        for run in &runs {
            let worst = compare(name, run, kernel_set::select_training(set).unwrap());
            println!(
                "{name}, {run}, {set}: loss off by {:.1e}, first gradient {:.1e}, update {:.1e}",
                worst.loss, worst.gradient, worst.update
            );
        }
    }
}

#[test]
fn the_quiz_net_trains_as_in_pytorch() {
    compare_all("quiz");
}

#[test]
fn convolutions_of_every_kind_and_batch_normalization_train_as_in_pytorch() {
    compare_all("depthwise");
}

#[test]
fn linear_layers_and_saturating_activations_train_as_in_pytorch() {
    compare_all("mlp");
}
