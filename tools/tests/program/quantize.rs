//! `kinglet quantize` as people start it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A trained model of real numbers.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../boards/models/micro.kgl");

/// A network of 8-bit numbers by TensorFlow.
const INT8: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/golden/mlperf-tiny/kws.tflite"
);

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

    fn output(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_kinglet"))
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .expect("it starts")
    }

    fn good(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let error = text(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        text(&output.stdout)
    }

    fn wrong(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        error
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path())
            .expect("a folder")
            .flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The accuracy on the test part, in percent.
fn accuracy(folder: &Folder, model: &str) -> f64 {
    let found = folder.good(&["eval", model, "--resize"]);
    let (_, after) = found.split_once("accuracy ").expect("an accuracy");
    let number = after.split(' ').next().expect("a number");
    number.parse().expect("a number")
}

#[test]
fn a_quantized_model_is_a_model_as_others_are() {
    let folder = Folder::new();
    let said = folder.good(&["quantize", "micro.kgl", "--resize", "--samples", "100"]);
    for expected in [
        "tried",
        "min-max",
        "taken",
        "SNR dB",
        "accuracy (test)",
        "int8",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(folder.names(), ["micro.int8.kgl", "micro.kgl"]);
    let (before, after) = (
        accuracy(&folder, "micro.kgl"),
        accuracy(&folder, "micro.int8.kgl"),
    );
    assert!(before > 75.0 && after > before - 1.0, "{before} {after}");
    let bytes = |name: &str| std::fs::metadata(folder.path(name)).expect("written").len();
    assert!(bytes("micro.int8.kgl") < bytes("micro.kgl") / 2);
    folder.good(&["bench", "micro.int8.kgl", "--time", "0.02"]);
}

#[test]
fn what_is_there_is_kept_and_what_fails_leaves_nothing() {
    let folder = Folder::new();
    std::fs::write(folder.path("micro.int8.kgl"), "mine").expect("written");
    let quantize = ["quantize", "micro.kgl", "--resize", "--samples", "20"];
    let error = folder.wrong(&quantize);
    assert!(error.contains("micro.int8.kgl is there already"), "{error}");
    let mine = std::fs::read(folder.path("micro.int8.kgl")).expect("it is there");
    assert_eq!(mine, b"mine");
    folder.good(&[&quantize[..], &["--force"]].concat());
    // Samples of another shape, with the data set that was not asked for, and with one that was.
    folder.good(&["import", INT8, "-o", "words.kgl"]);
    let error = folder.wrong(&["quantize", "words.kgl", "-o", "x.kgl"]);
    assert!(error.contains("was --calibrate DIR forgotten?"), "{error}");
    std::fs::create_dir(folder.path("small")).expect("made");
    let write = |name: &str, array: ndarray::ArrayD<u8>| {
        let path = folder.path("small").join(name);
        ndarray_npy::write_npy(path, &array).expect("written");
    };
    write("x_train.npy", ndarray::ArrayD::zeros(vec![6, 9, 9, 1]));
    write("y_train.npy", ndarray::ArrayD::zeros(vec![6]));
    let small = [
        "quantize",
        "micro.kgl",
        "--calibrate",
        "small",
        "-o",
        "x.kgl",
    ];
    let error = folder.wrong(&small);
    assert!(error.contains("the samples are 9x9x1"), "{error}");
    let error = folder.wrong(&[&small[..], &["--resize"]].concat());
    assert!(
        error.contains("samples for calibration are the same"),
        "{error}"
    );
    let error = folder.wrong(&["quantize", "micro.int8.kgl", "--resize"]);
    assert!(error.contains("the model is quantized already"), "{error}");
    let error = folder.wrong(&[
        "quantize",
        "micro.kgl",
        "--resize",
        "-o",
        "x.kgl",
        "--keep-float",
        "conv9",
    ]);
    assert!(
        error.contains("--keep-float conv9: there is no such layer; by number or by text there are\n    1  Conv2d"),
        "{error}"
    );
    std::fs::create_dir(folder.path("empty")).expect("made");
    let error = folder.wrong(&[
        "quantize",
        "micro.kgl",
        "--calibrate",
        "empty",
        "-o",
        "x.kgl",
    ]);
    assert!(error.contains("empty"), "{error}");
    // Before anything is computed: not even the data set is read.
    let error = folder.wrong(&[
        "quantize",
        "micro.kgl",
        "-o",
        "nowhere/x.kgl",
        "--calibrate",
        "no",
    ]);
    assert!(error.contains("cannot write nowhere/x.kgl"), "{error}");
    let output = folder.output(&["quantize", "micro.kgl", "--method", "best"]);
    assert!(text(&output.stderr).contains("there are min-max, 99.99, 99.9, mse, kl"));
    assert_eq!(
        folder.names(),
        ["empty", "micro.int8.kgl", "micro.kgl", "small", "words.kgl"]
    );
}

#[test]
fn a_model_is_written_for_the_machine_that_runs_it() {
    let folder = Folder::new();
    let read = |name: &str| std::fs::read(folder.path(name)).expect("written");
    let aim = |from: &str, target: &str, to: &str| {
        let output = folder.output(&["export", from, "--target", target, "-o", to]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    folder.good(&["import", INT8, "-o", "words.kgl"]);
    folder.good(&["import", INT8, "-o", "words.m4.kgl", "--target", "cortex-m"]);
    aim("words.kgl", "cortex-m", "again.kgl");
    assert_eq!(read("again.kgl"), read("words.m4.kgl"));
    assert_ne!(read("again.kgl"), read("words.kgl"));
    assert_eq!(aim("again.kgl", "generic", "back.kgl"), "");
    assert_eq!(read("back.kgl"), read("words.kgl"));
    let about = folder.good(&["inspect", "again.kgl"]);
    assert!(about.contains("as --target cortex-m reads them"), "{about}");
    // Real numbers lie in one order only.
    let note = aim("micro.kgl", "cortex-m", "same.kgl");
    assert!(note.contains("the same for every machine"), "{note}");
    assert_eq!(read("same.kgl"), read("micro.kgl"));
    let error = folder.wrong(&["export", "words.kgl", "--target", "cortex-m"]);
    assert!(error.contains("name another file"), "{error}");
    let wrong = [
        "export",
        "words.kgl",
        "-o",
        "x.kgl",
        "--fine-tune",
        "last=1",
    ];
    let error = folder.wrong(&wrong);
    assert!(error.contains("words.kgl is a model"), "{error}");
    let output = folder.output(&["export", "words.kgl", "--target", "m4", "-o", "x.kgl"]);
    assert!(text(&output.stderr).contains("generic, cortex-m"));
    assert!(!folder.path("x.kgl").exists());
}

/// A device trains the last layer, behind a body on 8-bit numbers.
fn tune(folder: &Folder, model: &str) {
    let lesson = [
        "fine-tune",
        model,
        "--resize",
        "--samples",
        "60",
        "--evaluate",
        "60",
        "--epochs",
        "2",
    ];
    folder.good(&[&lesson[..], &["--out", "tuned"]].concat());
    assert!(folder.path("tuned").join("head.kgh").is_file());
}

#[test]
fn the_last_layers_can_be_trained_behind_8_bit_numbers() {
    let folder = Folder::new();
    let quantize = ["quantize", "micro.kgl", "--resize", "--samples", "50"];
    folder.good(&[&quantize[..], &["--fine-tune", "last=1", "-o", "body.kgl"]].concat());
    let layers = folder.good(&["inspect", "body.kgl"]);
    assert!(layers.contains("Linear, trainable"), "{layers}");
    assert!(layers.contains("i8, scale"), "{layers}");
    tune(&folder, "body.kgl");
    assert!(Path::new(MODEL).is_file());
}

#[test]
fn the_last_layer_of_an_imported_8_bit_network_can_be_trained() {
    let folder = Folder::new();
    folder.good(&["import", INT8, "-o", "fixed.kgl"]);
    folder.good(&["import", INT8, "-o", "head.kgl", "--fine-tune", "last=1"]);
    let layers = folder.good(&["inspect", "head.kgl"]);
    assert!(layers.contains("Linear, trainable"), "{layers}");
    let shape = [3, 49, 10, 1];
    let samples = ndarray::Array4::<f32>::from_shape_fn(shape, |(n, y, x, _)| {
        ((n * 31 + y * 7 + x * 13) % 23) as f32 * 5.0 - 60.0
    });
    ndarray_npy::write_npy(folder.path("in.npy"), &samples).expect("written");
    let run = |model: &str| -> ndarray::Array2<f32> {
        folder.good(&["run", model, "--input", "in.npy", "--output", "out.npy"]);
        ndarray_npy::read_npy(folder.path("out.npy")).expect("written")
    };
    // Probabilities, which were rounded to 1/256, and before that the scores.
    let (fixed, head) = (run("fixed.kgl"), run("head.kgl"));
    let differences = fixed.iter().zip(&head).map(|(a, b)| (a - b).abs());
    let largest = differences.fold(0.0, f32::max);
    assert!(largest < 0.06, "{fixed} {head}");
}

#[test]
fn what_makes_no_difference_is_left_out_of_imports_unless_it_is_to_stay() {
    let folder = Folder::new();
    let onnx = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/golden/constant/int8.onnx"
    );
    let said = folder.good(&["import", onnx, "-o", "left.kgl"]);
    assert!(said.contains("left out "), "{said}");
    assert!(said.contains(" of 54 channels"), "{said}");
    assert!(
        said.contains("multiply-accumulates instead of 38,208"),
        "{said}"
    );
    let said = folder.good(&["import", onnx, "-o", "whole.kgl", "--keep-constant"]);
    assert!(!said.contains("left out"), "{said}");
    let bytes = |name: &str| std::fs::metadata(folder.path(name)).expect("a file").len();
    assert!(bytes("left.kgl") < bytes("whole.kgl"));
}
