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
        validation: None,
        test: Some(noise(shape, classes, 2 * classes.max(10), 2)),
        classes: Vec::new(),
    }
}

/// Trains a network for `epochs` and returns its checkpoint.
fn run(collection: &Collection, layers: &str, epochs: usize, stopped: bool) -> Checkpoint {
    run_with(collection, layers, &format!("epochs = {epochs}"), stopped)
}

/// The same with these lines in `[train]`.
fn run_with(collection: &Collection, layers: &str, train: &str, stopped: bool) -> Checkpoint {
    let shape = collection.train.shape();
    let text = format!(
        "name = \"noise\"\ninput = [{}, {}, {}]\nlayers = [{layers}]\n[train]\n{train}\n",
        shape.channels, shape.height, shape.width
    );
    let recipe = Recipe::parse(&text, Path::new("noise.toml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = FitOptions {
        device: None,
        recipe_path: Path::new("noise.toml"),
        folder: folder.path(),
        kernels: kernel_set::select_training("portable").unwrap(),
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
    Report::of_run(checkpoint, None, collection, kernels)
}

/// The page and the drawings of a report.
fn written(report: &Report) -> [String; 3] {
    let folder = tempfile::tempdir().unwrap();
    report.write(folder.path()).unwrap();
    ["report.html", "curves.svg", "confusion.svg"]
        .map(|name| std::fs::read_to_string(folder.path().join(name)).unwrap())
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

/// What is found of classes.
fn findings(report: &Report) -> &Findings {
    report.findings.as_ref().expect("there are classes")
}

#[test]
fn of_values_a_report_shows_errors_and_no_classes() {
    let collection = collection(Shape::new(6, 5, 1), 2);
    let layers = r#""Flatten()", "Linear(30, 8)", "Linear(8, 30)""#;
    let train = "epochs = 2\nloss = \"MSELoss\"\ntarget = \"input\"";
    let report = report(&run_with(&collection, layers, train, false), &collection).unwrap();
    assert!(report.findings.is_none());
    let errors = report.errors.as_ref().expect("there are errors");
    assert_eq!(errors.samples, 20);
    assert!((errors.rmse * errors.rmse - errors.loss).abs() < 1e-12);
    assert!(
        errors
            .largest
            .windows(2)
            .all(|pair| pair[0].loss >= pair[1].loss)
    );

    let folder = tempfile::tempdir().unwrap();
    // What a run of classes has left there.
    std::fs::write(folder.path().join("confusion.svg"), "old").unwrap();
    let files = report.write(folder.path()).unwrap();
    assert_eq!(files.pictures, [folder.path().join("curves.svg")]);
    assert!(!folder.path().join("confusion.svg").exists());
    let page = std::fs::read_to_string(&files.page).unwrap();
    assert!(page.contains("Test MSE") && page.contains("Largest errors"));
    for word in ["accuracy", "Confusion", "Classes", "undefined"] {
        assert!(!page.contains(word), "{word}");
    }
    let curves = std::fs::read_to_string(&files.pictures[0]).unwrap();
    assert!(curves.contains("Root of the mean square"));
}

#[test]
fn a_report_is_a_page_and_pictures_that_show_something() {
    let mut collection = collection(Shape::new(6, 5, 1), 2);
    let long = "Ende ".repeat(80);
    collection.classes = vec!["<b>\"Öl\" & 日本".to_owned(), long.clone()];
    let checkpoint = run(&collection, TWO, 3, false);
    let report = report(&checkpoint, &collection).unwrap();
    assert_eq!((report.part, report.history.len()), (Part::Test, 3));
    assert_eq!(
        findings(&report).confusion.concat().iter().sum::<usize>(),
        20
    );
    assert!(findings(&report).correct < 20, "noise cannot be learned");

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new");
    let files = report.write(&out).unwrap();
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 4);
    assert_eq!(files.pictures.len(), 3);
    let (width, height, colours) = look_at(&out.join("weights.png"));
    assert!(width >= 150 && height >= 150 && colours >= 20);
    for name in ["curves.svg", "confusion.svg"] {
        let text = std::fs::read_to_string(out.join(name)).unwrap();
        let addresses = external_references(&text);
        assert_eq!(addresses.len(), 1, "{addresses:?}");
        assert!(addresses[0].starts_with("www.w3.org/2000/svg\""));
        assert!(text.contains("prefers-color-scheme: dark") && !text.contains("var("));
    }

    let page = std::fs::read_to_string(&files.page).unwrap();
    assert_eq!(external_references(&page), Vec::<&str>::new());
    assert!(page.contains("&lt;b&gt;&quot;Öl&quot; &amp; 日本"));
    assert!(!page.contains("<b>\"Öl"));
    assert!(page.contains(long.trim_end()));
    // Drawings are the same in the page and by themselves, but for where they stand.
    let confusion = std::fs::read_to_string(out.join("confusion.svg")).unwrap();
    let title = "<title>true: &lt;b&gt;&quot;Öl&quot; &amp; 日本\npredicted: ";
    assert!(page.contains(title) && confusion.contains(title));
    assert!(page.contains("<title>epoch 2"));
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
    let graph = checkpoint.best_network().unwrap();
    let file = ModelFile::from_bytes(&export(graph, &settings).unwrap().0).unwrap();
    let test = collection.test.as_ref().unwrap();
    let indices: Vec<usize> = (0..test.len()).collect();
    let kernels = kernel_set::select("portable").unwrap();
    let right = crate::evaluate::evaluate(&file.model(), kernels, test, &indices).unwrap();
    assert_eq!(findings(&report).correct, right.all().correct);
    assert!((findings(&report).loss - right.loss()).abs() < 1e-9);
}

#[test]
fn a_hundred_classes_in_colour_fit_on_a_sheet() {
    let collection = collection(Shape::new(4, 4, 3), 100);
    let layers = r#""Conv2d(3, 4, 3)", "Flatten()", "Linear(16, 100)""#;
    let checkpoint = run(&collection, layers, 1, false);
    let report = report(&checkpoint, &collection).unwrap();
    assert!(report.weights.as_ref().unwrap().colours);
    assert_eq!(findings(&report).mistakes.len(), SHOWN_MISTAKES);
    let losses: Vec<f64> = findings(&report).mistakes.iter().map(|m| m.loss).collect();
    assert!(losses.is_sorted_by(|a, b| a >= b), "{losses:?}");
    let [page, _, confusion] = written(&report);
    // No numbers in the cells, and no cell without a picture.
    let cells = findings(&report).confusion.concat();
    let cells = cells.iter().filter(|count| **count > 0).count();
    assert_eq!(confusion.matches("<g class=\"cell").count(), cells);
    assert_eq!(confusion.matches("small middle").count(), 0);
    assert!(page.contains("true: 99\n"));
}

#[test]
fn a_page_says_when_and_where_the_run_was_trained_and_a_dash_if_that_is_not_known() {
    let collection = collection(Shape::new(6, 5, 1), 2);
    let checkpoint = run(&collection, TWO, 1, false);
    let unknown = report(&checkpoint, &collection).unwrap();
    let known = Report {
        origin: Some(Origin {
            date: "2026-11-27 14:03 UTC".to_owned(),
            kinglet: "7.8.9".to_owned(),
            cpu: "A <fast> CPU".to_owned(),
            threads: 5,
            system: "An OS".to_owned(),
        }),
        training_seconds: 725.0,
        ..unknown.clone()
    };
    let [page, ..] = written(&known);
    for text in [
        "<dd>2026-11-27 14:03 UTC</dd>",
        "<dd>12 min 05 s</dd>",
        "<dd>A &lt;fast&gt; CPU, 5 threads, An OS</dd>",
        "<dd>7.8.9</dd>",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let [page, ..] = written(&unknown);
    assert_eq!(page.matches("<dd>–</dd>").count(), 3);
}

#[test]
fn mistakes_are_named_by_their_files_where_they_have_any() {
    let root = tempfile::tempdir().unwrap();
    let classes = ["衬衫", "<i>"];
    for (class, name) in classes.iter().enumerate() {
        let folder = root.path().join("train").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let pictures = noise(Shape::new(6, 5, 1), 2, 10, 7 + class as u64);
        for index in 0..pictures.len() {
            let png = crate::picture::encode(pictures.shape(), pictures.image(index)).unwrap();
            std::fs::write(folder.join(format!("{index}.png")), png).unwrap();
        }
    }
    let text = format!("input = [1, 6, 5]\nlayers = [{TWO}]\n");
    let recipe = Recipe::parse(&text, Path::new("x.toml")).unwrap();
    let options = crate::dataset::ReadOptions::of_recipe(&recipe);
    let mut collection = Collection::open(root.path(), &options).unwrap();
    // Half of the pictures are told apart by nothing.
    collection.test = Some(
        collection
            .train
            .select(&[3, 12, 4, 15, 5, 16, 1, 18, 2, 19]),
    );
    let checkpoint = run(&collection, TWO, 1, false);
    let report = report(&checkpoint, &collection).unwrap();
    let [page, _, confusion] = written(&report);
    assert!(!findings(&report).mistakes.is_empty());
    for mistake in &findings(&report).mistakes {
        let file = mistake.file.as_deref().unwrap();
        assert!(file.starts_with("train/"), "{file}");
        let file = crate::svg::escape(file).replace('/', "&#x2f;");
        assert!(page.contains(&format!("<bdi>{file}</bdi>")), "{file}");
    }
    assert!(page.contains("衬衫") && confusion.contains(">衬衫</text>"));
    assert!(!page.contains("<i>") && !confusion.contains("<i>"));
}

#[test]
fn a_page_fits_a_phone_and_runs_nothing() {
    let collection = collection(Shape::new(6, 5, 1), 2);
    let checkpoint = run(&collection, TWO, 2, false);
    let [page, ..] = written(&report(&checkpoint, &collection).unwrap());
    let policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
    assert!(page.contains(policy) && page.contains("width=device-width"));
    for forbidden in ["<script", "javascript:", "onload=", "onclick=", "font-src"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    // What may be wider than a phone scrolls in a box of its own.
    let tables = page.matches("<table>").count();
    let boxed = page
        .matches("<div class=\"scroll\" tabindex=\"0\"><table>")
        .count();
    assert_eq!((tables, boxed), (4, 4));
    assert!(page.contains("<div class=\"scroll matrix\""));
    // The box of a diagram on a phone of 360 pixels is about as wide as the diagram, so its text is not made smaller.
    let widths = page.split("<svg class=\"drawing\" viewBox=\"0 0 ").skip(1);
    let widths = widths.map(|rest| rest.split(' ').next().unwrap().parse::<f64>().unwrap());
    assert_eq!(widths.filter(|width| *width <= 320.0).count(), 4);
    let sizes = crate::svg::STYLE.split("font-size: ").skip(1);
    let mut sizes = sizes.map(|rest| rest.split("px").next().unwrap().parse::<f64>());
    assert!(sizes.all(|size| size.unwrap() >= 11.0));
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
    assert_eq!(findings(&report).pictures, 8);
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("weights.png");
    std::fs::write(&old, "of another network").unwrap();
    let files = report.write(folder.path()).unwrap();
    assert!(!old.exists() && files.pictures.len() == 2);
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
