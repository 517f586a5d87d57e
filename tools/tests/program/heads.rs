//! Saved heads on the command line, and what a command does not replace.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ndarray::ArrayD;
use ndarray_npy::write_npy;

/// Its last layers may be trained on a device.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../boards/models/micro.kgl");

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::copy(MODEL, folder.path().join("micro.kgl")).expect("copied");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn output(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_kinglet"))
            .args(arguments.split(' '))
            .current_dir(self.0.path())
            .output()
            .expect("it starts")
    }

    /// What it says on the standard output, and on the error stream.
    fn good(&self, arguments: &str) -> (String, String) {
        let output = self.output(arguments);
        let error = text(&output.stderr);
        assert!(output.status.success(), "{arguments}: {error}");
        (text(&output.stdout), error)
    }

    /// The error.
    fn wrong(&self, arguments: &str) -> String {
        let output = self.output(arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments}: {error}");
        error
    }

    fn tune(&self, more: &str) -> String {
        let lesson = "fine-tune micro.kgl --resize --samples 40 --evaluate 40 --epochs 1";
        format!("{lesson} {more}").trim_end().to_owned()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A line of text without its ends.
fn line<'t>(text: &'t str, start: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.strip_prefix(start));
    line.unwrap_or_else(|| panic!("{start} in {text}")).trim()
}

#[test]
fn a_saved_head_is_as_good_as_the_model_written_with_it() {
    let folder = Folder::new();
    folder.good(&folder.tune("--out tuned"));
    assert_eq!(names(&folder.path("tuned")), ["head.kgh", "tuned.kgl"]);
    let accuracy = |model: &str| -> String {
        let (found, _) = folder.good(&format!("eval {model} --resize --json"));
        let lines = found.lines().filter(|line| !line.contains("\"seconds\""));
        lines.collect::<Vec<_>>().join("\n")
    };
    let tuned = accuracy("tuned/tuned.kgl");
    assert_eq!(accuracy("micro.kgl --head tuned/head.kgh"), tuned);
    assert_ne!(accuracy("micro.kgl"), tuned);
    // It says whose it is.
    let (head, _) = folder.good("inspect tuned/head.kgh");
    let (model, _) = folder.good("inspect micro.kgl --json");
    assert!(model.contains(line(&head, "model ")), "{head}{model}");
    assert_eq!(line(&head, "trained for "), "40 steps");
    // Learning goes on from it.
    folder.good(&folder.tune("--out more --head tuned/head.kgh"));
    let (more, _) = folder.good("inspect more/head.kgh");
    assert_eq!(line(&more, "trained for "), "80 steps");
    assert_eq!(line(&more, "model "), line(&head, "model "));
}

#[test]
fn a_head_where_it_does_not_belong_is_refused_in_words() {
    let folder = Folder::new();
    folder.good(&folder.tune("--out tuned"));
    let error = folder.wrong("eval tuned/head.kgh --resize");
    assert!(
        error.contains("a saved head, not a model: give the model that it was trained from"),
        "{error}"
    );
    let error = folder.wrong("eval tuned/tuned.kgl --head tuned/head.kgh --resize");
    assert!(
        error.contains("the head belongs to another model, "),
        "{error}"
    );
    assert!(error.contains("; this one is "), "{error}");
    let mut head = std::fs::read(folder.path("tuned/head.kgh")).expect("written");
    *head.last_mut().expect("a CRC") ^= 1;
    std::fs::write(folder.path("damaged.kgh"), &head).expect("written");
    for arguments in ["inspect damaged.kgh", "eval micro.kgl --head damaged.kgh"] {
        let error = folder.wrong(arguments);
        assert!(
            error.contains("the head is damaged (CRC mismatch)"),
            "{error}"
        );
    }
    std::fs::write(folder.path("short.kgh"), &head[..30]).expect("written");
    let error = folder.wrong("inspect short.kgh");
    assert!(error.contains("not a saved head, or cut short"), "{error}");
}

#[test]
fn models_heads_and_runs_are_replaced_by_force_alone() {
    let folder = Folder::new();
    folder.good(&folder.tune("--out ."));
    let bytes = |name: &str| std::fs::read(folder.path(name)).expect("it is there");
    assert_eq!(
        bytes("micro.kgl"),
        std::fs::read(MODEL).expect("it is there")
    );
    let head = bytes("head.kgh");
    let error = folder.wrong(&folder.tune("--out . --lr 0.1"));
    assert!(
        error.contains(
            "head.kgh is there already: choose another place, or replace it with --force"
        ),
        "{error}"
    );
    assert_eq!(bytes("head.kgh"), head);
    folder.good(&folder.tune("--out . --lr 0.1 --force"));
    assert_ne!(bytes("head.kgh"), head);

    let onnx = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/golden/mlperf-tiny/kws.onnx"
    );
    let import = format!("import {onnx} -o kws.kgl");
    folder.good(&import);
    // The same content may be written again.
    folder.good(&import);
    std::fs::write(folder.path("labels.txt"), "yes\n".repeat(12)).expect("written");
    let other = format!("{import} --labels labels.txt");
    let error = folder.wrong(&other);
    assert!(error.contains("kws.kgl is there already"), "{error}");
    folder.good(&format!("{other} --force"));

    // A demonstration has no right to a folder that is not its own.
    let error = folder.wrong("demo --out . --epochs 1");
    assert!(error.contains("is there already"), "{error}");
}

#[test]
fn a_lesson_that_cannot_go_well_is_told_of() {
    let folder = Folder::new();
    let (_, notes) = folder.good(&folder.tune("--out worse --lr 30"));
    assert!(notes.contains("the model has become worse, "), "{notes}");
    std::fs::create_dir_all(folder.path("data")).expect("made");
    let write = |name: &str, array: ArrayD<u8>| {
        write_npy(folder.path("data").join(name), &array).expect("written");
    };
    write("x_train.npy", ArrayD::zeros(vec![4, 28, 28, 1]));
    write("y_train.npy", ArrayD::ones(vec![4]));
    let lesson = "fine-tune micro.kgl --resize --data data --samples 3 --evaluate 1 --out one";
    let (_, notes) = folder.good(lesson);
    assert!(
        notes.contains("all 3 pictures are of the class Trouser: "),
        "{notes}"
    );
}
