//! Whole reports of small runs: from a data set through training to the files.

use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use kinglet_kernels::Shape;

use super::*;
use crate::kernel_set;
use crate::random::{Purpose, for_purpose};
use crate::train::{BatchProgress, CHECKPOINT_EVERY, FitOptions, Observer, Start, Trainer, fit};
use rand_core::Rng;

struct Nobody;

impl Observer for Nobody {
    fn start(&mut self, _: &Trainer, _: usize) {}
    fn batch(&mut self, _: &BatchProgress) {}
    fn epoch(&mut self, _: &EpochMetrics, _: bool) {}
}

/// Noise with classes in turn: a network does not do well on it, so that there are mistakes.
fn noise(shape: Shape, classes: usize, count: usize, seed: u64) -> Dataset {
    let mut rng = for_purpose(seed, Purpose::Shuffle, 0, 0);
    let images = (0..count * shape.len()).map(|_| rng.next_u32() as u8);
    let labels = (0..count).map(|i| (i % classes) as u8);
    Dataset::new(
        Path::new("noise"),
        shape,
        images.collect(),
        labels.collect(),
    )
    .unwrap()
}

fn collection(shape: Shape, classes: usize) -> Collection {
    Collection {
        source: "data/noise".to_owned(),
        train: noise(shape, classes, 4 * classes.max(10), 1),
        test: Some(noise(shape, classes, 2 * classes.max(10), 2)),
        classes: Vec::new(),
    }
}

/// Trains a network for `epochs` and returns its checkpoint.
fn run(collection: &Collection, layers: &str, epochs: usize, stopped: bool) -> Checkpoint {
    let shape = collection.train.shape();
    let text = format!(
        "name = \"noise\"\ninput = [{}, {}, {}]\nlayers = [{layers}]\n[train]\nepochs = {epochs}\n",
        shape.channels, shape.height, shape.width
    );
    let recipe = Recipe::parse(&text, Path::new("noise.toml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = FitOptions {
        device: None,
        recipe_path: Path::new("noise.toml"),
        folder: folder.path(),
        kernels: kernel_set::select("portable").unwrap(),
        threads: 1,
        start: Start::New,
        checkpoint_every: CHECKPOINT_EVERY,
    };
    let stop = AtomicBool::new(stopped);
    fit(&recipe, collection, &options, &stop, &mut Nobody).unwrap();
    Checkpoint::load(folder.path()).unwrap()
}

fn report(checkpoint: &Checkpoint, collection: &Collection) -> Result<Report, ReportError> {
    let kernels = kernel_set::select("portable").unwrap();
    Report::of_run(checkpoint, collection, kernels)
}

/// Width, height and the number of different colours of a PNG file.
fn look_at(path: &Path) -> (u32, u32, usize) {
    let bytes = std::fs::read(path).unwrap();
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    let colours: std::collections::HashSet<&[u8]> = pixels.chunks(3).collect();
    (frame.width, frame.height, colours.len())
}

/// Every address in a page; a page that stands alone has only data in it.
fn external_references(page: &str) -> Vec<&str> {
    let attributes = ["src=\"", "href=\"", "srcset=\"", "url(", "@import"];
    let found = attributes.iter().flat_map(|attribute| {
        let values = page.split(attribute).skip(1);
        values.filter(|value| !value.starts_with("data:image/png;base64,"))
    });
    let protocols = ["http://", "https://", "<script", "<link", "<iframe"];
    let plain = protocols.iter().flat_map(|p| page.split(p).skip(1));
    found.chain(plain).collect()
}

const TWO: &str = r#""Conv2d(1, 4, 3)", "ReLU()", "Flatten()", "Linear(48, 2)""#;

#[test]
fn a_report_is_a_page_and_pictures_that_show_something() {
    let mut collection = collection(Shape::new(6, 5, 1), 2);
    let long = "Ende ".repeat(80);
    collection.classes = vec!["<b>\"Öl\" & 日本".to_owned(), long.clone()];
    let checkpoint = run(&collection, TWO, 3, false);
    let report = report(&checkpoint, &collection).unwrap();
    assert_eq!((report.part, report.history.len()), (Part::Test, 3));
    assert_eq!(report.findings.confusion.concat().iter().sum::<usize>(), 20);
    assert!(report.findings.correct < 20, "noise cannot be learned");

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new");
    let files = report.write(&out).unwrap();
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 5);
    for path in &files.pictures {
        let (width, height, colours) = look_at(path);
        assert!(width >= 600 && height >= 100 && colours >= 20, "{path:?}");
    }
    let (width, height, _) = look_at(&out.join("curves.png"));
    // Loss, accuracy and learning rate beside each other, at twice the size.
    let panels = 2.0 * 3.0;
    assert_eq!(
        (width, height),
        (
            (panels * curves::WIDTH) as u32,
            (2.0 * curves::HEIGHT) as u32
        )
    );

    let page = std::fs::read_to_string(&files.page).unwrap();
    assert_eq!(external_references(&page), Vec::<&str>::new());
    assert!(page.contains("&lt;b&gt;&quot;Öl&quot; &amp; 日本"));
    assert!(!page.contains("<b>\"Öl"));
    assert!(page.contains(long.trim_end()));
    // The page and the pictures are a function of the run.
    let again = folder.path().join("again");
    report.write(&again).unwrap();
    for file in std::fs::read_dir(&out).unwrap() {
        let name = file.unwrap().file_name();
        let read = |folder: &Path| std::fs::read(folder.join(&name)).unwrap();
        assert!(read(&out) == read(&again), "{name:?}");
    }
}

#[test]
fn the_report_agrees_with_evaluation() {
    let collection = collection(Shape::new(6, 5, 1), 2);
    let checkpoint = run(&collection, TWO, 1, false);
    let report = report(&checkpoint, &collection).unwrap();
    let settings = ExportSettings {
        normalize: checkpoint.recipe().unwrap().data.normalize,
        labels: Vec::new(),
        fine_tune_last: 0,
    };
    let graph = Graph::from_network("noise", &checkpoint.best_network().unwrap());
    let file = ModelFile::from_bytes(&export(graph, &settings).unwrap().0).unwrap();
    let test = collection.test.as_ref().unwrap();
    let indices: Vec<usize> = (0..test.len()).collect();
    let kernels = kernel_set::select("portable").unwrap();
    let right = crate::evaluate::evaluate(&file.model(), kernels, test, &indices).unwrap();
    assert_eq!(report.findings.correct, right.all().correct);
    assert!((report.findings.loss - right.loss()).abs() < 1e-9);
}

#[test]
fn a_hundred_classes_in_colour_fit_on_a_sheet() {
    let collection = collection(Shape::new(4, 4, 3), 100);
    let layers = r#""Conv2d(3, 4, 3)", "Flatten()", "Linear(16, 100)""#;
    let checkpoint = run(&collection, layers, 1, false);
    let report = report(&checkpoint, &collection).unwrap();
    assert!(report.weights.as_ref().unwrap().colours);
    assert_eq!(report.findings.mistakes.len(), SHOWN_MISTAKES);
    let losses: Vec<f64> = report.findings.mistakes.iter().map(|m| m.loss).collect();
    assert!(losses.is_sorted_by(|a, b| a >= b), "{losses:?}");
    let folder = tempfile::tempdir().unwrap();
    report.write(folder.path()).unwrap();
    let (width, height, colours) = look_at(&folder.path().join("confusion.png"));
    // Cells of 12 units at two pixels each, and room for names and the scale.
    assert!((2400..3000).contains(&width) && (2400..3000).contains(&height));
    assert!(colours > 20);
}

#[test]
fn without_a_convolution_in_front_there_is_no_picture_of_weights() {
    let mut collection = collection(Shape::new(49, 10, 1), 3);
    collection.test = None;
    collection.classes = ["", " ", "c"].map(str::to_owned).to_vec();
    let layers = r#""Flatten()", "Linear(490, 3)""#;
    let checkpoint = run(&collection, layers, 1, false);
    let report = report(&checkpoint, &collection).unwrap();
    assert_eq!(report.part, Part::Validation);
    assert_eq!(report.findings.pictures, 8);
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("weights.png");
    std::fs::write(&old, "of another network").unwrap();
    let files = report.write(folder.path()).unwrap();
    assert!(!old.exists() && files.pictures.len() == 3);
}

#[test]
fn what_cannot_be_reported_says_why() {
    let mut collection = collection(Shape::new(6, 5, 1), 2);
    let unfinished = run(&collection, TWO, 1, true);
    let error = report(&unfinished, &collection).unwrap_err().to_string();
    assert!(
        error.starts_with("the run has not completed an epoch"),
        "{error}"
    );

    let checkpoint = run(&collection, TWO, 1, false);
    collection.source = "elsewhere/noise".to_owned();
    let moved = report(&checkpoint, &collection).unwrap();
    collection.source = "data/music".to_owned();
    let error = report(&checkpoint, &collection).unwrap_err().to_string();
    assert!(
        error
            .starts_with("the run was trained on data/noise, and data/music is another data set; "),
        "{error}"
    );

    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "a file").unwrap();
    let error = moved.write(&taken).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot write {}", taken.display())),
        "{error}"
    );
    assert_eq!(std::fs::read(&taken).unwrap(), b"a file");
}
