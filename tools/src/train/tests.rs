//! The whole of a small network: gradients against finite differences, independence of threads and shards,
//! and a run with interruption, resume and damage.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use kinglet_kernels::{BackwardKernels, Portable, Shape};

use super::*;
use crate::dataset::{Collection, Dataset};
use crate::network::Network;
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
    let network = Network::initialize(recipe.architecture, 7);
    let options = TrainerOptions {
        kernels,
        threads,
        batch_size: 20,
        seed: 4,
    };
    Trainer::new(network, &recipe.optimizer, options).unwrap()
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let data = pictures(20);
    let normalize = crate::recipe::Normalize::identity(2);
    let source = Pictures::new(&data, &normalize);
    let indices: Vec<usize> = (0..17).collect();
    let mut trainer = trainer(EVERYTHING, &Portable, 2);
    let mean_loss = |trainer: &mut Trainer, parameters: &[f32]| {
        let statistics = trainer.network().statistics.clone();
        trainer.set_values(parameters, &statistics);
        trainer.gradient(&source, &indices, 3).mean_loss()
    };
    let parameters = trainer.network().parameters.clone();
    mean_loss(&mut trainer, &parameters);
    let gradients = trainer.gradients().to_vec();
    for tensor in trainer.network().tensors().to_vec() {
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
        let step = 1e-3;
        let at = |trainer: &mut Trainer, factor: f64| {
            let mut moved = parameters.clone();
            for (x, g) in moved[tensor.range.clone()].iter_mut().zip(own) {
                *x += (factor * step * f64::from(*g) / length) as f32;
            }
            mean_loss(trainer, &moved)
        };
        let slope = (at(&mut trainer, 1.0) - at(&mut trainer, -1.0)) / (2.0 * step);
        let error = (slope - length).abs() / length;
        assert!(
            error < 0.02,
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
        let step = 4e-3;
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

/// Parameters and statistics after a few steps, as bits.
fn bits_after_steps(kernels: &'static dyn BackwardKernels, threads: usize) -> Vec<u32> {
    let data = pictures(43);
    let normalize = crate::recipe::Normalize::identity(2);
    let source = Pictures::new(&data, &normalize);
    let mut trainer = trainer(EVERYTHING, kernels, threads);
    let indices: Vec<usize> = (0..43).rev().collect();
    for epoch in 0..2 {
        for batch in indices.chunks(20) {
            trainer.step(&source, batch, epoch);
        }
    }
    let network = trainer.network();
    let values = network.parameters.iter().chain(&network.statistics);
    values.map(|x| x.to_bits()).collect()
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    for set in kinglet_kernels::arch::sets() {
        let Some(kernels) = set.kernels() else {
            continue;
        };
        let one = bits_after_steps(kernels, 1);
        for threads in [2, 3, 8] {
            assert!(
                one == bits_after_steps(kernels, threads),
                "{}, {threads} threads",
                set.name()
            );
        }
    }
}

#[test]
fn portable_equals_the_oracle_and_fast_sets_are_near() {
    let reference = bits_after_steps(crate::kernel_set::select("reference").unwrap(), 2);
    assert!(reference == bits_after_steps(&Portable, 2));
    let fast = bits_after_steps(crate::kernel_set::select("auto").unwrap(), 2);
    for (a, b) in reference.iter().zip(&fast) {
        let (a, b) = (f32::from_bits(*a), f32::from_bits(*b));
        assert!((a - b).abs() <= 1e-3 * (1.0 + a.abs()), "{a} {b}");
    }
}

/// Remembers what it was told, and asks to stop after a number of batches.
struct Watch<'a> {
    batches: usize,
    stop_after: usize,
    stop: &'a AtomicBool,
    epochs: Mutex<Vec<EpochMetrics>>,
}

impl<'a> Watch<'a> {
    fn new(stop: &'a AtomicBool, stop_after: usize) -> Self {
        Self {
            batches: 0,
            stop_after,
            stop,
            epochs: Mutex::default(),
        }
    }
}

impl Observer for Watch<'_> {
    fn start(&mut self, _: &Trainer, _: usize) {}
    fn batch(&mut self, _: &BatchProgress) {
        self.batches += 1;
        if self.batches == self.stop_after {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
    fn epoch(&mut self, metrics: &EpochMetrics, _: bool) {
        self.epochs.lock().unwrap().push(*metrics);
    }
}

fn collection() -> Collection {
    Collection {
        source: "test".to_owned(),
        train: pictures(120),
        test: Some(pictures(30)),
        classes: Vec::new(),
    }
}

fn run(
    recipe: &Recipe,
    folder: &Path,
    resume: bool,
    stop_after: usize,
) -> Result<Ended, TrainError> {
    let stop = AtomicBool::new(false);
    let options = FitOptions {
        recipe_path: Path::new("test.toml"),
        folder,
        kernels: &Portable,
        threads: 2,
        start: if resume { Start::Resume } else { Start::New },
        checkpoint_every: CHECKPOINT_EVERY,
    };
    fit(
        recipe,
        &collection(),
        &options,
        &stop,
        &mut Watch::new(&stop, stop_after),
    )
}

fn complete(ended: Result<Ended, TrainError>) -> Report {
    match ended.unwrap() {
        Ended::Complete(report) => *report,
        Ended::Interrupted { .. } => panic!("interrupted"),
    }
}

const SMALL: &str = r#""Conv2d(2, 4, 3)", "BatchNorm2d(4)", "ReLU()", "Flatten()", "Dropout(0.2)", "Linear(96, 3)""#;

#[test]
fn a_run_learns_and_keeps_its_best_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(SMALL);
    recipe.train.epochs = 6;
    let report = complete(run(&recipe, folder.path(), false, 0));
    let losses: Vec<f64> = report
        .history
        .iter()
        .map(|m| m.validation_loss.unwrap())
        .collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses[report.best_epoch - 1], best);
    assert!(losses.iter().position(|&loss| loss == best) == Some(report.best_epoch - 1));
    let test = report.test.unwrap();
    assert_eq!(test.total().samples, 30);
    assert!(test.total().accuracy() > 0.9, "{}", test.total().accuracy());
    assert_eq!(report.classes, ["0", "1", "2"]);
    // What was kept is what the checkpoint says.
    let checkpoint = Checkpoint::load(folder.path()).unwrap();
    assert_eq!(checkpoint.best_network().unwrap(), report.network);
    assert_eq!(checkpoint.history, report.history);
    let csv = std::fs::read_to_string(folder.path().join("metrics.csv")).unwrap();
    assert_eq!(csv.lines().count(), 7);
    // 120 pictures, a quarter validates, batches of 20: the last of 10 counts for 10.
    let metrics = report.history[0];
    let hits = metrics.train_accuracy * 90.0;
    assert!((hits - hits.round()).abs() < 1e-9, "{hits}");
}

#[test]
fn an_interrupted_run_continues_to_the_same_bits() {
    let recipe = recipe(SMALL);
    let whole = tempfile::tempdir().unwrap();
    let expected = complete(run(&recipe, whole.path(), false, 0));
    // Within an epoch, and at the end of one.
    for stop_after in [7, 5] {
        let folder = tempfile::tempdir().unwrap();
        let Ended::Interrupted {
            epoch,
            batch,
            checkpoint,
        } = run(&recipe, folder.path(), false, stop_after).unwrap()
        else {
            panic!("complete")
        };
        assert_eq!((epoch - 1) * 5 + batch, stop_after);
        assert!(checkpoint.is_file());
        Checkpoint::load(folder.path())
            .unwrap()
            .best_network()
            .unwrap();
        let report = complete(run(&recipe, folder.path(), true, 0));
        assert_eq!(report.network, expected.network);
        let losses = |report: &Report| {
            let losses = report
                .history
                .iter()
                .map(|m| (m.train_loss, m.validation_loss));
            losses.collect::<Vec<_>>()
        };
        assert_eq!(losses(&report), losses(&expected));
    }
}

#[test]
fn another_recipe_cannot_resume() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(SMALL);
    assert!(matches!(
        run(&recipe, folder.path(), false, 2),
        Ok(Ended::Interrupted { .. })
    ));
    recipe.train.seed = 5;
    let error = run(&recipe, folder.path(), true, 0)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("cannot resume: seed changed"), "{error}");
    // More epochs are no obstacle.
    recipe.train.seed = 4;
    recipe.train.epochs = 4;
    assert_eq!(
        complete(run(&recipe, folder.path(), true, 0)).history.len(),
        4
    );
}

#[test]
fn damaged_checkpoints_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(SMALL);
    assert!(matches!(
        run(&recipe, folder.path(), false, 2),
        Ok(Ended::Interrupted { .. })
    ));
    let path = folder.path().join("checkpoint.postcard");
    let good = std::fs::read(&path).unwrap();
    let error = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let error = Checkpoint::load(folder.path()).unwrap_err().to_string();
        error
            .strip_prefix(&format!("{}: ", path.display()))
            .unwrap()
            .to_owned()
    };
    let damaged = "the checkpoint is damaged or truncated";
    for place in [good.len() / 2, 40, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[place] ^= 4;
        assert_eq!(error(&bytes), damaged);
    }
    for len in [8, 9, 100, good.len() - 1] {
        assert_eq!(error(&good[..len]), damaged);
    }
    assert_eq!(error(b""), "not a checkpoint of kinglet");
    assert_eq!(
        error(b"PK\x03\x04 something else"),
        "not a checkpoint of kinglet"
    );
    let mut other = good;
    other[8] = 9;
    assert_eq!(
        error(&other),
        "its format is version 9, this program reads version 2"
    );
}

#[test]
fn a_loss_that_is_not_a_number_stops_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let text = recipe("\"Flatten()\", \"Linear(96, 3)\"")
        .text
        .replace("lr = 0.1", "lr = 1e38");
    let recipe = Recipe::parse(&text, Path::new("test.toml")).unwrap();
    let error = run(&recipe, folder.path(), false, 0)
        .err()
        .unwrap()
        .to_string();
    assert!(error.starts_with("the loss became "), "{error}");
    assert!(
        error.contains(" in epoch 1, batch ") && error.contains("try a smaller learning rate"),
        "{error}"
    );
}

#[test]
fn data_that_does_not_fit_the_recipe_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = "input = [2, 8, 7]\nlayers = [\"Flatten()\", \"Linear(112, 3)\"]";
    let other = Recipe::parse(text, Path::new("test.toml")).unwrap();
    assert_eq!(
        run(&other, folder.path(), false, 0)
            .err()
            .unwrap()
            .to_string(),
        "the recipe's input is 2x8x7, but the pictures of test are 2x8x6 (channels, height, width): \
         write input = [2, 8, 6] or choose another data set"
    );
    let two = recipe("\"Flatten()\", \"Linear(96, 2)\"");
    assert_eq!(
        run(&two, folder.path(), false, 0)
            .err()
            .unwrap()
            .to_string(),
        "the network has 2 outputs, but test has 3 classes: end with 3 outputs"
    );
}

#[test]
fn a_folder_that_cannot_be_written_shows_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "a file").unwrap();
    let error = run(&recipe(SMALL), &taken.join("out"), false, 0)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.starts_with("cannot write ") && error.contains("taken/out: "),
        "{error}"
    );
}
