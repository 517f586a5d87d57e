//! Arrays at the doors of the program: they lie as in the file that a model was made from, whatever kind of network it is.
//! `tests/golden/make_ends.py` made the files, and the arrays that ONNX Runtime takes and gives.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kinglet_tools::evaluate::argmax;
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadNpyExt, WritableElement, write_npy};
use serde_json::{Value, json};

/// How far sums in another order may be from each other.
const BOUND: f32 = 1e-5;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/ends")
}

/// The arrays in an archive.
fn read_all(path: &Path) -> BTreeMap<String, ArrayD<f32>> {
    let mut npz = NpzReader::new(File::open(path).expect("written")).expect("an archive");
    let names = npz.names().expect("names");
    let arrays = names.into_iter().map(|name| {
        let array = npz.by_name::<OwnedRepr<f32>, IxDyn>(&name);
        (name, array.expect("an array"))
    });
    arrays.collect()
}

/// A folder with a model in it, and what that takes and gives.
struct Bench {
    folder: tempfile::TempDir,
    arrays: BTreeMap<String, ArrayD<f32>>,
}

impl Bench {
    /// The model of the runtime's tests, `tiny.kgl`: gray pictures of 4 by 4, mean 0.5, standard deviation 0.25.
    fn tiny() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/tiny.kgl");
        std::fs::copy(tiny, folder.path().join("tiny.kgl")).expect("copied");
        Self {
            folder,
            arrays: BTreeMap::new(),
        }
    }

    /// `net.onnx`, and `net.kgl` imported of it.
    fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let onnx = golden().join(format!("{name}.onnx"));
        std::fs::copy(onnx, folder.path().join("net.onnx")).expect("copied");
        let all = read_all(&golden().join("expected.npz")).into_iter();
        let prefix = format!("{name}/");
        let own = all.filter_map(|(name, array)| Some((name.strip_prefix(&prefix)?.into(), array)));
        let arrays = own.collect();
        let bench = Self { folder, arrays };
        bench.good(&["import", "net.onnx"]);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write<T: WritableElement>(&self, name: &str, array: &ArrayD<T>) {
        write_npy(self.path(name), array).expect("written");
    }

    fn write_values<T: WritableElement>(&self, name: &str, shape: &[usize], values: Vec<T>) {
        let array = ArrayD::from_shape_vec(IxDyn(shape), values).expect("of this shape");
        self.write(name, &array);
    }

    /// A data set of `samples` with their classes.
    fn write_data(&self, samples: &ArrayD<f32>, classes: &[u8]) {
        std::fs::create_dir_all(self.path("data")).expect("made");
        self.write("data/x.npy", samples);
        self.write_values("data/y.npy", &[classes.len()], classes.to_vec());
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_kinglet"))
            .args(arguments)
            .env("KINGLET_OPENCL_LIB", "none")
            .current_dir(self.folder.path())
            .output()
            .expect("it starts")
    }

    /// What a command says that succeeds, and its notes.
    fn good(&self, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments);
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let [said, notes] = [output.stdout, output.stderr].map(text);
        assert!(output.status.success(), "{arguments:?}: {notes}{said}");
        (said, notes)
    }

    /// What a command says that fails.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8(output.stderr).expect("text");
        said.trim_end().trim_start_matches("error: ").to_owned()
    }

    fn document(&self, arguments: &[&str]) -> Value {
        let (said, _) = self.good(&[arguments, &["--json"]].concat());
        serde_json::from_str(&said).expect("a document")
    }

    fn read(&self, name: &str) -> ArrayD<f32> {
        let file = File::open(self.path(name)).expect("written");
        ArrayD::read_npy(file).expect("an array")
    }

    /// Runs the model on the only input's array and compares the only output's.
    fn check(&self, input: &str, output: &str) {
        self.write("in.npy", &self.arrays[input]);
        self.good(&["run", "net.kgl", "--input", "in.npy", "-o", "out.npy"]);
        near(&self.read("out.npy"), &self.arrays[output]);
        self.agrees(&["--data", "in.npy"]);
        self.agrees(&[]);
    }

    fn agrees(&self, data: &[&str]) {
        // The program may be built without tract.
        if cfg!(feature = "verify") {
            let (said, _) = self.good(&[&["verify", "net.onnx", "net.kgl"], data].concat());
            assert!(said.contains("tract and the runtime agree"), "{said}");
        }
    }
}

#[track_caller]
fn near(found: &ArrayD<f32>, expected: &ArrayD<f32>) {
    assert_eq!(found.shape(), expected.shape());
    let pairs = found.iter().zip(expected);
    let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < BOUND, "{difference}");
}

#[test]
fn a_detector_gives_all_of_its_outputs_under_their_names() {
    let bench = Bench::of("detector");
    let report = bench.document(&["inspect", "net.kgl"]);
    let ends = |what: &str| -> Vec<String> {
        let ends = report[what].as_array().expect("a list").iter();
        ends.map(|end| format!("{} {}", end["name"], end["shape"]))
            .collect()
    };
    assert_eq!(ends("inputs"), [r#""image" [3,8,6]"#]);
    let outputs = [
        r#""classes" [5]"#,
        r#""found/boxes:0" [12,4]"#,
        r#""found/scores:0" [12,3]"#,
    ];
    assert_eq!(ends("outputs"), outputs);
    let (table, _) = bench.good(&["inspect", "net.kgl", "--svg", "net.svg"]);
    assert!(
        table.contains("output found/boxes:0 [12, 4] f32"),
        "{table}"
    );
    let drawing = std::fs::read_to_string(bench.path("net.svg")).expect("drawn");
    assert!(drawing.contains("output found/boxes:0"));

    bench.write("x.npy", &bench.arrays["image"]);
    let run = ["run", "net.kgl", "--input", "x.npy"];
    let (said, _) = bench.good(&[&run[..], &["--output", "y.npz"]].concat());
    assert!(said.contains("output found/boxes:0: 12 x 4\n"), "{said}");
    let found = read_all(&bench.path("y.npz"));
    assert_eq!(found.len(), 3);
    for (name, array) in &found {
        near(array, &bench.arrays[name]);
    }
    let document = bench.document(&run);
    assert_eq!(document["output"]["name"], "classes");
    assert_eq!(document["others"][1]["output"]["shape"], json!([12, 3]));
    assert_eq!(
        bench.refused(&[&run[..], &["--output", "y.npy"]].concat()),
        "--output y.npy: the model has 3 outputs (classes, found/boxes:0, found/scores:0); y.npz takes them all, each under its name"
    );
    bench.agrees(&["--data", "x.npy"]);

    // The first output says the class.
    bench.write_data(&bench.arrays["image"], &[0, 3]);
    let eval = ["eval", "net.kgl", "--data", "data", "--part", "train"];
    let (_, notes) = bench.good(&eval);
    assert!(
        notes.contains("the first output is measured: classes"),
        "{notes}"
    );
    let rows = bench.arrays["classes"].rows().into_iter().zip([0, 3]);
    let right = rows.filter(|(row, class)| argmax(&row.to_vec()) == Some(*class));
    assert_eq!(bench.document(&eval)["correct"], right.count());
}

#[test]
fn one_of_several_outputs_may_be_chosen() {
    let bench = Bench::of("detector");
    let name = "found/boxes:0";
    bench.good(&["import", "net.onnx", "--output-name", name, "-o", "one.kgl"]);
    bench.write("x.npy", &bench.arrays["image"]);
    bench.good(&["run", "one.kgl", "--input", "x.npy", "--output", "y.npy"]);
    near(&bench.read("y.npy"), &bench.arrays[name]);
    if cfg!(feature = "verify") {
        bench.good(&["verify", "net.onnx", "one.kgl", "--output-name", name]);
        let refused = bench.refused(&["verify", "net.onnx", "one.kgl"]);
        assert!(
            refused.contains("it has 1 inputs and 1 outputs, an import 1 and 3"),
            "{refused}"
        );
    }
}

#[test]
fn each_of_two_inputs_has_a_file() {
    let bench = Bench::of("two_inputs");
    bench.write("p.npy", &bench.arrays["picture"]);
    bench.write("f.npy", &bench.arrays["facts"]);
    let inputs = ["--input", "facts=f.npy", "--input", "picture=p.npy"];
    bench.good(&[&["run", "net.kgl", "-o", "y.npy"], &inputs[..]].concat());
    near(&bench.read("y.npy"), &bench.arrays["sums"]);
    bench.agrees(&["--data", "picture=p.npy", "--data", "facts=f.npy"]);
    bench.agrees(&[]);

    // A picture of another size beside an array.
    let shape = kinglet_kernels::Shape::new(2, 2, 3);
    let picture = kinglet_tools::picture::encode(shape, &[40; 12]).expect("encoded");
    std::fs::write(bench.path("p.png"), picture).expect("written");
    bench.write_values("one.npy", &[1, 5], vec![0.5_f32; 5]);
    let inputs = ["--input", "picture=p.png", "--input", "facts=one.npy"];
    bench.good(&[&["run", "net.kgl", "--resize"], &inputs[..]].concat());
    let inputs = ["--input", "picture=p.npy", "--input", "facts=f.npy"];
    let refused = bench.refused(&[&["run", "net.kgl", "--resize"], &inputs[..]].concat());
    assert!(refused.starts_with("--resize is for pictures"), "{refused}");

    for (inputs, message) in [
        (
            &["p.npy"][..],
            "--input p.npy: the model has 2 inputs (picture, facts); --input NAME=FILE says which one a file is for",
        ),
        (
            &["picture=p.npy"],
            "the model's input facts is missing: --input facts=FILE",
        ),
        (
            &["facts=f.npy", "facts=f.npy"],
            "--input: the input facts is there twice",
        ),
        (
            &["picture=p.npy", "facts=one.npy"],
            "one.npy: a batch of 1, but that of the input picture is of 2; as many samples of each are right",
        ),
        (
            &["picture=f.npy", "facts=f.npy"],
            "f.npy: the array has shape [2, 5], the model takes (batch, 3, 4, 4)",
        ),
    ] {
        let inputs = inputs.iter().flat_map(|input| ["--input", input]);
        let arguments: Vec<&str> = ["run", "net.kgl"].into_iter().chain(inputs).collect();
        assert_eq!(bench.refused(&arguments), message);
    }
    bench.write_data(&bench.arrays["picture"], &[0, 1]);
    let refused = bench.refused(&["eval", "net.kgl", "--data", "data", "--part", "train"]);
    assert_eq!(
        refused,
        "the model has 2 inputs (picture, facts); a data set has samples for models of one"
    );
}

#[test]
fn a_series_has_two_axes() {
    let bench = Bench::of("series");
    bench.check("x", "y");
    let last = |name: &str| {
        let turned = bench.arrays[name].view().permuted_axes(IxDyn(&[0, 2, 1]));
        turned.as_standard_layout().into_owned()
    };
    bench.write("last.npy", &last("x"));
    let run = ["run", "net.kgl", "--input", "last.npy"];
    assert_eq!(
        bench.refused(&run),
        "last.npy: the array has shape [2, 10, 3], the model takes (batch, 3, 10); it fits --layout nhwc"
    );
    bench.good(&[&run[..], &["--layout", "nhwc", "-o", "z.npy"]].concat());
    near(&bench.read("z.npy"), &last("y"));

    // The same as samples of a data set, in either order.
    let eval = ["eval", "net.kgl", "--data", "data", "--part", "train"];
    bench.write_data(&bench.arrays["x"], &[4, 9]);
    let found = bench.document(&eval);
    bench.write_data(&last("x"), &[4, 9]);
    let turned = bench.document(&[&eval[..], &["--layout", "nhwc"]].concat());
    assert_eq!(found["loss"], turned["loss"]);
    let refused = bench.refused(&[&eval[..], &["--layout", "nchw"]].concat());
    assert!(
        refused.ends_with(
            "the shape is [2, 10, 3]; with --layout nchw the model takes (batch, 3, 10)"
        ),
        "{refused}"
    );
}

#[test]
fn a_mask_comes_out_as_in_its_source() {
    Bench::of("segmentation").check("x", "mask");
}

#[test]
fn a_gray_picture_may_have_two_axes() {
    let bench = Bench::of("gray");
    bench.check("x", "classes");
    let pixels: Vec<u8> = (0..30).map(|i| i * 8).collect();
    let shape = kinglet_kernels::Shape::new(6, 5, 1);
    let picture = kinglet_tools::picture::encode(shape, &pixels).expect("encoded");
    let samples = |input: &str| {
        let document = bench.document(&["run", "net.kgl", "--input", input]);
        document["samples"].clone()
    };
    std::fs::write(bench.path("x.png"), &picture).expect("written");
    bench.write_values("x.npy", &[6, 5], pixels.clone());
    assert_eq!(samples("x.png"), samples("x.npy"));
    let unit = pixels.iter().map(|pixel| f32::from(*pixel) / 255.0);
    bench.write_values("x.npy", &[1, 6, 5, 1], unit.collect::<Vec<f32>>());
    assert_eq!(samples("x.png"), samples("x.npy"));

    // The same in folders of classes, and as an array.
    for class in ["a", "b"] {
        let folder = bench.path("pictures").join(class);
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join("x.png"), &picture).expect("written");
    }
    std::fs::create_dir(bench.path("arrays")).expect("made");
    bench.write_values("arrays/x.npy", &[2, 6, 5], pixels.repeat(2));
    bench.write_values("arrays/y.npy", &[2], vec![0_u8, 1]);
    let loss = |data: &str| {
        let found = bench.document(&["eval", "net.kgl", "--data", data, "--part", "train"]);
        found["loss"].clone()
    };
    assert_eq!(loss("pictures"), loss("arrays"));
}

#[test]
fn bytes_are_pixels_wherever_they_come_from() {
    let bench = Bench::tiny();
    let pixels: Vec<u8> = (0..16).map(|i| i * 16).collect();
    let shape = kinglet_kernels::Shape::new(4, 4, 1);
    let picture = kinglet_tools::picture::encode(shape, &pixels).expect("encoded");
    std::fs::write(bench.path("x.png"), picture).expect("written");
    let samples = |input: &str| {
        let document = bench.document(&["run", "tiny.kgl", "--input", input]);
        document["samples"].clone()
    };
    let expected = samples("x.png");
    let shapes: [&[usize]; 5] = [
        &[4, 4],
        &[1, 4, 4],
        &[4, 4, 1],
        &[1, 1, 4, 4],
        &[1, 4, 4, 1],
    ];
    for shape in shapes {
        bench.write_values("x.npy", shape, pixels.clone());
        assert_eq!(samples("x.npy"), expected, "{shape:?}");
        // As the network sees them.
        let seen = pixels
            .iter()
            .map(|pixel| (f32::from(*pixel) / 255.0 - 0.5) / 0.25);
        bench.write_values("x.npy", shape, seen.collect::<Vec<f32>>());
        assert_eq!(samples("x.npy"), expected, "{shape:?}");
    }
    bench.write_values("x.npy", &[4, 4], vec![0_i32; 16]);
    let refused = bench.refused(&["run", "tiny.kgl", "--input", "x.npy"]);
    assert!(refused.contains("pixels are uint8"), "{refused}");
}

#[test]
fn run_and_eval_agree_on_the_same_floats() {
    let bench = Bench::tiny();
    let values = (0..48).map(|i| (i * 3 % 17) as f32 / 8.0 - 1.0).collect();
    let samples = ArrayD::from_shape_vec(IxDyn(&[3, 1, 4, 4]), values).expect("of this shape");
    bench.write_data(&samples, &[0, 1, 2]);
    bench.good(&["run", "tiny.kgl", "-i", "data/x.npy", "-o", "logits.npy"]);
    let logits = bench.read("logits.npy");
    let losses = logits
        .rows()
        .into_iter()
        .enumerate()
        .map(|(class, logits)| {
            let sum: f64 = logits.iter().map(|x| f64::from(*x).exp()).sum();
            sum.ln() - f64::from(logits[class])
        });
    let eval = ["eval", "tiny.kgl", "--data", "data", "--part", "train"];
    let found = bench.document(&eval)["loss"].as_f64().expect("a number");
    let expected = losses.sum::<f64>() / 3.0;
    assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
    let (_, notes) = bench.good(&eval);
    assert!(
        notes.contains("which the network sees as they are"),
        "{notes}"
    );
}

#[test]
fn pixels_without_a_normalization_are_told_once() {
    let bench = Bench::of("detector");
    bench.write_values("x.npy", &[4, 3, 8, 6], vec![7_u8; 576]);
    let (_, notes) = bench.good(&["run", "net.kgl", "--input", "x.npy"]);
    assert_eq!(
        notes.matches("they are divided by 255").count(),
        1,
        "{notes}"
    );
    let import = ["import", "net.onnx", "-o", "said.kgl", "--normalize"];
    bench.good(&[&import[..], &["mean = [0.5], std = [0.25]"]].concat());
    let (_, notes) = bench.good(&["run", "said.kgl", "--input", "x.npy"]);
    assert_eq!(notes, "");
}

#[test]
fn what_is_no_number_is_told_of_and_of_no_class() {
    let bench = Bench::tiny();
    let mut values = vec![0.5_f32; 3 * 16];
    values[20] = f32::NAN;
    bench.write_values("x.npy", &[3, 1, 4, 4], values);
    let (said, notes) = bench.good(&["run", "tiny.kgl", "--input", "x.npy"]);
    assert!(
        notes.contains(" has a value that is NaN in sample 1: "),
        "{notes}"
    );
    assert!(
        said.contains("     1  no class: there is NaN among the outputs"),
        "{said}"
    );
    assert_eq!(said.matches("no class").count(), 1, "{said}");
}

#[test]
fn an_array_of_many_samples_is_run_in_parts_with_the_same_numbers() {
    let bench = Bench::tiny();
    let values: Vec<f32> = (0..5000 * 16).map(|i| (i % 37) as f32 / 37.0).collect();
    bench.write_values("all.npy", &[5000, 1, 4, 4], values.clone());
    bench.write_values("last.npy", &[1, 1, 4, 4], values[4999 * 16..].to_vec());
    for (input, output) in [("all.npy", "all-out.npy"), ("last.npy", "last-out.npy")] {
        bench.good(&["run", "tiny.kgl", "--input", input, "--output", output]);
    }
    let read = |name| -> ArrayD<f32> {
        ArrayD::read_npy(File::open(bench.path(name)).expect("written")).expect("an array")
    };
    let (all, last) = (read("all-out.npy"), read("last-out.npy"));
    assert_eq!(all.shape()[0], 5000);
    assert_eq!(all.slice(ndarray::s![4999..5000, ..]).into_dyn(), last);
}
