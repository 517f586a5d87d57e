//! Runs that were interrupted or died, and what is left of them.

use super::*;

/// All that a run can carry from step to step.
fn full_recipe() -> Recipe {
    let text = recipe(SMALL).text;
    let text = text.replace(
        "[train]",
        "transforms = [\"RandomHorizontalFlip()\", \"RandomRotation(20)\", \"RandomCrop((8, 6), padding=1)\", \
         \"RandomErasing()\"]\n[train]\nlabel_smoothing = 0.1\nema = 0.9\nbest = \"accuracy\"\nearly_stop = 3",
    ) + "weight_decay = 0.01\ndecay_bias = false\n[schedule]\ntype = \"OneCycleLR\"\nmax_lr = 0.2\n";
    Recipe::parse(&text, Path::new("test.toml")).unwrap()
}

/// A checkpoint without the times that runs took.
fn without_times(folder: &Path) -> Checkpoint {
    let mut checkpoint = Checkpoint::load(folder).unwrap();
    for metrics in &mut checkpoint.history {
        metrics.seconds = 0.0;
        metrics.loader_wait = 0.0;
        metrics.images_per_second = 0.0;
    }
    checkpoint
}

#[test]
fn an_interrupted_run_continues_to_the_same_bits() {
    for recipe in [recipe(SMALL), full_recipe()] {
        let whole = tempfile::tempdir().unwrap();
        let expected = complete(run(&recipe, whole.path(), Start::New, 0));
        // Within an epoch, at the end of one, and twice.
        for stops in [[7, 0], [5, 0], [2, 6]] {
            let folder = tempfile::tempdir().unwrap();
            let (mut start, mut done) = (Start::New, 0);
            for stop_after in stops.into_iter().filter(|&stop_after| stop_after > 0) {
                let Ended::Interrupted {
                    epoch,
                    batch,
                    checkpoint,
                } = run(&recipe, folder.path(), start, stop_after).unwrap()
                else {
                    panic!("complete")
                };
                done += stop_after;
                assert_eq!((epoch - 1) * 5 + batch, done);
                // It can be exported as it is.
                let checkpoint = Checkpoint::load(&checkpoint).unwrap();
                checkpoint.best_network().unwrap();
                start = Start::Resume;
            }
            let report = complete(run(&recipe, folder.path(), start, 0));
            assert_eq!(report.network, expected.network);
            assert_eq!(report.test, expected.test);
            assert!(without_times(folder.path()) == without_times(whole.path()));
        }
    }
}

#[test]
fn a_run_of_everything_does_not_depend_on_the_number_of_threads() {
    let recipe = full_recipe();
    let run_on = |threads| {
        let folder = tempfile::tempdir().unwrap();
        let options = FitOptions {
            threads,
            ..options(folder.path(), Start::New)
        };
        complete(run_with(&recipe, &options, 0));
        without_times(folder.path())
    };
    let one = run_on(1);
    // Above 8 threads more than one loads.
    for threads in [2, 3, 8, 9] {
        assert!(one == run_on(threads), "{threads} threads");
    }
}

#[test]
fn a_run_that_died_continues_from_its_last_checkpoint() {
    /// Keeps a copy of the checkpoint that is there after some batches.
    struct Copy<'a> {
        batches: usize,
        from: &'a Path,
        to: &'a Path,
    }
    impl Observer for Copy<'_> {
        fn start(&mut self, _: &Trainer, _: usize) {}
        fn batch(&mut self, _: &BatchProgress) {
            self.batches += 1;
            if self.batches == 8 {
                let file = "checkpoint.postcard";
                std::fs::copy(self.from.join(file), self.to.join(file)).unwrap();
            }
        }
        fn epoch(&mut self, _: &EpochMetrics, _: bool) {}
    }
    let recipe = full_recipe();
    let (whole, died) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let options = FitOptions {
        checkpoint_every: std::time::Duration::ZERO,
        ..options(whole.path(), Start::New)
    };
    let mut observer = Copy {
        batches: 0,
        from: whole.path(),
        to: died.path(),
    };
    let stop = AtomicBool::new(false);
    fit(&recipe, &collection(), &options, &stop, &mut observer).unwrap();
    // Metrics of epochs that the checkpoint knows nothing of, and a file that was being written.
    std::fs::copy(
        whole.path().join("metrics.csv"),
        died.path().join("metrics.csv"),
    )
    .unwrap();
    std::fs::write(died.path().join(".checkpoint.postcard.1.partial"), b"kng").unwrap();
    let Ended::Interrupted { epoch, batch, .. } =
        run(&recipe, died.path(), Start::Resume, 1).unwrap()
    else {
        panic!("complete")
    };
    assert_eq!(
        (epoch, batch),
        (2, 3),
        "seven batches were saved, one was done anew"
    );
    let lines = |folder: &Path| {
        let csv = std::fs::read_to_string(folder.join("metrics.csv")).unwrap();
        csv.lines().count()
    };
    assert_eq!(lines(died.path()), 2);
    complete(run(&recipe, died.path(), Start::Resume, 0));
    assert!(without_times(died.path()) == without_times(whole.path()));
    assert_eq!(lines(died.path()), lines(whole.path()));
    assert_eq!(std::fs::read_dir(died.path()).unwrap().count(), 3);
}

#[test]
fn a_folder_without_a_checkpoint_cannot_be_continued() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(SMALL);
    // A run that died while it wrote its first checkpoint.
    std::fs::write(
        folder.path().join(".checkpoint.postcard.7.partial"),
        b"kngl",
    )
    .unwrap();
    std::fs::write(folder.path().join("metrics.csv"), b"epoch\n").unwrap();
    assert_eq!(
        error(run(&recipe, folder.path(), Start::Resume, 0)),
        format!(
            "{}: no training run is in this folder (a run has a checkpoint after its first minute or epoch)",
            folder.path().display()
        )
    );
    let nowhere = folder.path().join("nowhere");
    error(run(&recipe, &nowhere, Start::Resume, 0));
    assert!(!nowhere.exists());
    // It can be begun anew without more ado.
    complete(run(&recipe, folder.path(), Start::New, 0));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn a_run_says_when_its_last_part_was_trained() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(SMALL);
    assert!(run(&recipe, folder.path(), Start::New, 2).is_ok());
    assert_eq!(Origin::of_run(folder.path()).unwrap().threads, 2);
    let file = folder.path().join("run.toml");
    let long_ago = "date = \"1999-12-31 23:59 UTC\"\nkinglet = \"0\"\ncpu = \"x\"\nthreads = 1\nsystem = \"y\"\n";
    std::fs::write(&file, long_ago).unwrap();
    complete(run(&recipe, folder.path(), Start::Resume, 0));
    assert_ne!(Origin::of_run(folder.path()).unwrap().cpu, "x");
    // A run that is complete already is not trained again.
    std::fs::write(&file, long_ago).unwrap();
    complete(run(&recipe, folder.path(), Start::Resume, 0));
    assert_eq!(Origin::of_run(folder.path()).unwrap().cpu, "x");
}

#[test]
fn more_epochs_cannot_change_the_rates_of_those_that_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = full_recipe();
    assert!(matches!(
        run(&recipe, folder.path(), Start::New, 2),
        Ok(Ended::Interrupted { .. })
    ));
    recipe.train.epochs += 1;
    let error = error(run(&recipe, folder.path(), Start::Resume, 0));
    assert!(
        error.contains(
            "cannot resume: epochs, on which the learning rates of [schedule] depend, changed"
        ),
        "{error}"
    );
}

#[test]
fn another_recipe_cannot_resume() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(SMALL);
    assert!(matches!(
        run(&recipe, folder.path(), Start::New, 2),
        Ok(Ended::Interrupted { .. })
    ));
    recipe.train.seed = 5;
    let error = error(run(&recipe, folder.path(), Start::Resume, 0));
    assert!(error.contains("cannot resume: seed changed"), "{error}");
    // More epochs are no obstacle.
    recipe.train.seed = 4;
    recipe.train.epochs = 4;
    assert_eq!(
        complete(run(&recipe, folder.path(), Start::Resume, 0))
            .history
            .len(),
        4
    );
}

#[test]
fn a_run_goes_on_with_the_same_samples_wherever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(SMALL);
    let stopped = run(&recipe, folder.path(), Start::New, 2);
    assert!(matches!(stopped, Ok(Ended::Interrupted { .. })));
    let options = options(folder.path(), Start::Resume);
    let resume = |collection: &Collection| run_on(&recipe, collection, &options, 2);
    let mut other = collection();
    let one_less: Vec<usize> = (1..other.train.len()).collect();
    other.train = other.train.select(&one_less);
    let error = error(resume(&other));
    assert!(
        error.contains("the data set (its samples, labels, "),
        "{error}"
    );
    let mut validated = collection();
    validated.validation = Some(20);
    assert!(resume(&validated).is_err());
    let mut moved = collection();
    moved.source = "elsewhere".to_owned();
    assert!(resume(&moved).is_ok());
    assert_eq!(Checkpoint::load(folder.path()).unwrap().source, "elsewhere");
}

#[test]
fn another_kernel_set_resumes_only_when_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(SMALL);
    assert!(run(&recipe, folder.path(), Start::New, 2).is_ok());
    let on_reference = |start| {
        let options = FitOptions {
            kernels: &kinglet_kernels::Reference,
            ..options(folder.path(), start)
        };
        run_with(&recipe, &options, 0)
    };
    let error = error(on_reference(Start::Resume));
    assert!(
        error.contains("computed by portable, now it would be by reference"),
        "{error}"
    );
    complete(on_reference(Start::ResumeElsewhere));
    assert_eq!(
        Checkpoint::load(folder.path()).unwrap().kernels,
        "reference"
    );
}

#[test]
fn damaged_checkpoints_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(SMALL);
    assert!(matches!(
        run(&recipe, folder.path(), Start::New, 2),
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
        "its format is version 9, this program reads version 4"
    );
}
