//! Runs on a device that are interrupted, and continued there or on the CPU.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use kinglet_kernels::testing::Random;
use kinglet_kernels::{Portable, Shape};
use kinglet_tools::dataset::{Collection, Dataset};
use kinglet_tools::device::Device;
use kinglet_tools::recipe::Recipe;
use kinglet_tools::train::{
    BatchProgress, CHECKPOINT_EVERY, Checkpoint, Ended, EpochMetrics, FitOptions, Observer, Report,
    Start, TrainError, Trainer, fit,
};

use crate::curve::device;

/// Everything that a run carries from step to step.
const RECIPE: &str = r#"
    input = [1, 8, 6]
    layers = ["Conv2d(1, 4, 3, bias=False)", "BatchNorm2d(4)", "ReLU()", "Flatten()", "Dropout(0.2)", "Linear(96, 3)"]
    [data]
    validation = 0.25
    transforms = ["RandomHorizontalFlip()"]
    [train]
    epochs = 3
    batch_size = 20
    seed = 4
    ema = 0.9
    label_smoothing = 0.1
    [optimizer]
    type = "Adam"
    lr = 0.01
    weight_decay = 0.01
    decay_bias = false
    [schedule]
    type = "OneCycleLR"
    max_lr = 0.02
"#;

fn pictures(count: usize) -> Dataset {
    let shape = Shape::new(8, 6, 1);
    let labels = (0..count).map(|sample| (sample % 3) as u8).collect();
    let mut random = Random::new(3);
    let images = (0..count * shape.len())
        .map(|i| {
            let (sample, row) = (i / shape.len(), i % shape.len() / 6);
            let bright = if row * 3 / 8 == sample % 3 { 60 } else { 0 };
            (random.below(160) + bright) as u8
        })
        .collect();
    Dataset::new(Path::new("test"), shape, images, labels).unwrap()
}

/// Stops after some batches, and keeps what it is told.
struct StopAfter<'a> {
    batches: usize,
    stop: &'a AtomicBool,
    notes: Vec<String>,
}

impl Observer for StopAfter<'_> {
    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }
    fn start(&mut self, _: &Trainer, _: usize) {}
    fn batch(&mut self, _: &BatchProgress) {
        self.batches = self.batches.saturating_sub(1);
        self.stop.store(self.batches == 0, Ordering::Relaxed);
    }
    fn epoch(&mut self, _: &EpochMetrics, _: bool) {}
}

/// Runs to the end, or until that many batches are done; returns also what there was to say.
fn run(
    folder: &Path,
    device: Option<&Device>,
    start: Start,
    batches: usize,
) -> (Result<Ended, TrainError>, Vec<String>) {
    let recipe = Recipe::parse(RECIPE, Path::new("test.toml")).unwrap();
    let collection = Collection {
        source: "test".to_owned(),
        train: pictures(120),
        validation: None,
        test: Some(pictures(30)),
        classes: Vec::new(),
    };
    let options = FitOptions {
        recipe_path: Path::new("test.toml"),
        folder,
        kernels: &Portable,
        device,
        threads: 2,
        start,
        checkpoint_every: CHECKPOINT_EVERY,
    };
    let stop = AtomicBool::new(false);
    let mut observer = StopAfter {
        batches,
        stop: &stop,
        notes: Vec::new(),
    };
    let ended = fit(&recipe, &collection, &options, &stop, &mut observer);
    (ended, observer.notes)
}

fn complete(ended: Result<Ended, TrainError>) -> Report {
    match ended.unwrap() {
        Ended::Complete(report) => *report,
        Ended::Interrupted { .. } => panic!("interrupted"),
    }
}

#[test]
fn an_interrupted_run_continues_to_the_same_bits() {
    let device = device();
    let whole = tempfile::tempdir().unwrap();
    let expected = complete(run(whole.path(), Some(&device), Start::New, usize::MAX).0);
    let folder = tempfile::tempdir().unwrap();
    let (interrupted, _) = run(folder.path(), Some(&device), Start::New, 7);
    assert!(matches!(
        interrupted,
        Ok(Ended::Interrupted { batch: 2, .. })
    ));
    let found = complete(run(folder.path(), Some(&device), Start::Resume, usize::MAX).0);
    assert_eq!(found.network, expected.network);
    assert_eq!(found.test, expected.test);
    // The CPU comes to the same, but for rounding.
    let folder = tempfile::tempdir().unwrap();
    let of_cpu = complete(run(folder.path(), None, Start::New, usize::MAX).0);
    for (found, right) in expected.history.iter().zip(&of_cpu.history) {
        let losses = |metrics: &EpochMetrics| [Some(metrics.train_loss), metrics.validation_loss];
        for (found, right) in losses(found).into_iter().zip(losses(right)) {
            let difference = found.unwrap() - right.unwrap();
            assert!(difference.abs() < 1e-3, "{found:?}, not {right:?}");
        }
    }
}

#[test]
fn a_run_goes_on_elsewhere_when_that_is_asked_for() {
    let device = device();
    let name = format!("opencl: {}", device.name());
    let folder = tempfile::tempdir().unwrap();
    let (interrupted, notes) = run(folder.path(), Some(&device), Start::New, 7);
    assert!(interrupted.is_ok() && notes.is_empty(), "{notes:?}");
    let kernels = || Checkpoint::load(folder.path()).unwrap().kernels;
    assert_eq!(kernels(), name);

    let refused = run(folder.path(), None, Start::Resume, usize::MAX).0;
    let refused = refused.err().unwrap().to_string();
    assert!(
        refused.contains(&format!("by {name}, now it would be by portable")),
        "{refused}"
    );

    let (ended, notes) = run(folder.path(), None, Start::ResumeElsewhere, usize::MAX);
    complete(ended);
    assert_eq!(
        notes,
        [format!(
            "portable goes on with what {name} has begun: rounding differs from here on"
        )]
    );
    assert_eq!(kernels(), "portable");
}
