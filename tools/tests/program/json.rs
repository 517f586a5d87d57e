//! What every command prints with `--json`: the keys and types of its documents are those of a golden file and of
//! docs/json.md, so that neither changes unnoticed. KINGLET_BLESS=1 writes the golden file anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const GOLDEN: &str = "tests/program/json.golden.txt";
const ONNX: &str = "../tests/golden/onnx/r0008/model.onnx";

/// A place in a document, as `classes[].label`, and the types found there.
type Schema = BTreeMap<String, BTreeSet<&'static str>>;

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the program, without OpenCL: what devices there are is this machine's.
fn kinglet(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kinglet"))
        .args(arguments)
        .env("KINGLET_OPENCL_LIB", "none")
        .current_dir(folder())
        .output()
        .expect("the program starts")
}

/// The documents that a command prints, one in all or one on each line.
fn documents(arguments: &[&str]) -> Vec<Value> {
    let output = kinglet(arguments);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let read = serde_json::Deserializer::from_str(&stdout).into_iter();
    let documents: Result<Vec<Value>, _> = read.collect();
    documents.unwrap_or_else(|error| {
        panic!(
            "{arguments:?}: {error}: {stdout}{}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// Adds the places of `value`, which is at `place`.
fn add(schema: &mut Schema, place: &str, value: &Value) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    if !place.is_empty() {
        schema.entry(place.to_owned()).or_default().insert(kind);
    }
    match value {
        Value::Array(values) => {
            for value in values {
                add(schema, &format!("{place}[]"), value);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if place.is_empty() { "" } else { "." };
                add(schema, &format!("{place}{dot}{name}"), value);
            }
        }
        _ => {}
    }
}

/// The lines of a document's part of the golden file.
fn lines(title: &str, documents: &[Value]) -> String {
    let mut schema = Schema::new();
    for document in documents {
        assert_eq!(document["schema"], 1, "{title}: {document}");
        add(&mut schema, "", document);
    }
    let mut text = format!("# {title}\n");
    for (place, kinds) in &schema {
        let kinds: Vec<&str> = kinds.iter().copied().collect();
        text += &format!("{place}: {}\n", kinds.join(" or "));
    }
    text
}

/// A batch of `count` samples of 28x28 as an NPY file.
fn write_batch(path: &Path, count: usize) {
    let array = ndarray::Array4::<f32>::from_shape_fn((count, 1, 28, 28), |(n, _, y, x)| {
        ((n + x * y) % 7) as f32 / 7.0
    });
    ndarray_npy::write_npy(path, &array).expect("a folder that can be written to");
}

/// A recipe for the built-in data set that is trained in a moment.
const RECIPE: &str = r#"input = [1, 28, 28]
layers = ["Conv2d(1, 2, 5, stride=4)", "ReLU()", "Flatten()", "Linear(72, 10)"]
[train]
epochs = 2
batch_size = 256
"#;

#[test]
fn every_document_has_the_keys_of_the_golden_file_and_of_the_page() {
    let temporary = tempfile::tempdir().expect("a folder");
    let file = |name: &str| -> (PathBuf, String) {
        let path = temporary.path().join(name);
        let text = path.display().to_string();
        (path, text)
    };
    let (recipe, recipe_text) = file("small.toml");
    std::fs::write(recipe, RECIPE).expect("a folder that can be written to");
    let (batch, batch_text) = file("batch.npy");
    write_batch(&batch, 12);
    let (_, run) = file("run");
    let (_, model) = file("model.kgl");
    let (_, imported) = file("imported.kgl");
    let (_, tuned) = file("tuned");

    let mut golden = String::new();
    let mut document = |title: &str, arguments: &[&str]| {
        let found = documents(&[arguments, &["--json"]].concat());
        let is_event = |event: &str| {
            let of_event = |document: &&Value| document["event"] == event;
            found.iter().filter(of_event).cloned().collect::<Vec<_>>()
        };
        if title == "train" {
            golden += &lines("train: each epoch", &is_event("epoch"));
            golden += &lines("train: the end", &is_event("complete"));
            return;
        }
        assert_eq!(found.len(), 1, "{title}: {found:?}");
        let (command, _) = title.split_once(':').unwrap_or((title, ""));
        assert_eq!(found[0]["command"], *command);
        golden += &lines(title, &found);
    };
    document("recipes", &["recipes"]);
    document("train", &["train", &recipe_text, "--out", &run]);
    document("report", &["report", &run]);
    document("compare", &["compare", &run, &run]);
    let export = ["export", &run, "-o", &model, "--fine-tune", "last=1"];
    document("export", &export);
    let (_, quantized) = file("quantized.kgl");
    let quantize = ["quantize", &run, "-o", &quantized, "--samples", "50"];
    document("quantize", &[&quantize[..], &["--per-layer"]].concat());
    document("import", &["import", ONNX, "-o", &imported]);
    if cfg!(feature = "verify") {
        document("verify", &["verify", ONNX, &imported]);
    }
    document("inspect", &["inspect", &model]);
    document("run", &["run", &model, "--input", &batch_text]);
    document("eval", &["eval", &model]);
    let fine_tune = ["fine-tune", &model, "--out", &tuned, "--samples", "20"];
    document(
        "fine-tune",
        &[&fine_tune[..], &["--evaluate", "20", "--epochs", "1"]].concat(),
    );
    document(
        "inspect: a saved head",
        &["inspect", &format!("{tuned}/head.kgh")],
    );
    let (_, demo) = file("demo");
    document("demo", &["demo", "--out", &demo, "--epochs", "1"]);
    document("devices", &["devices"]);
    document("bench", &["bench", &model, "--time", "0.02", "--layers"]);
    golden += &lines("error", &documents(&["inspect", "missing.kgl", "--json"]));

    let path = folder().join(GOLDEN);
    if std::env::var_os("KINGLET_BLESS").is_some() {
        if cfg!(not(feature = "verify")) {
            panic!("all documents are wanted");
        }
        std::fs::write(&path, &golden).expect("a folder that can be written to");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    // A program without tract has no document of this command.
    let elsewhere = match cfg!(feature = "verify") {
        true => "",
        false => part("verify", &committed),
    };
    let found = committed.replace(elsewhere, "") == golden;
    assert!(
        found,
        "the documents of --json have changed; run this test with KINGLET_BLESS=1 and look at the difference:\n{golden}"
    );
    check_page(&committed);
}

/// One document's part of the golden file.
fn part<'g>(title: &str, golden: &'g str) -> &'g str {
    let (_, after) = golden
        .split_once(&format!("# {title}\n"))
        .expect("a part of the file");
    let end = after
        .find("# ")
        .map_or(golden.len(), |at| golden.len() - after.len() + at);
    let start = golden.len() - after.len() - title.len() - 3;
    &golden[start..end]
}

/// Compares the tables of docs/json.md with the golden file: every place has its row with at least the types found, and
/// every row its place, unless it says that it is not always there.
fn check_page(golden: &str) {
    let mut rows = BTreeMap::new();
    let mut title = "";
    let page = std::fs::read_to_string(folder().join("../docs/json.md")).expect("the page");
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            title = heading;
        }
        if let Some((place, rest)) = line.strip_prefix("| `").and_then(|l| l.split_once("` | ")) {
            let kinds = rest.split(" | ").next().unwrap_or_default();
            rows.insert((title, place), kinds);
        }
    }
    let mut title = "";
    for line in golden.lines() {
        if let Some(heading) = line.strip_prefix("# ") {
            title = heading;
        } else if let Some((place, kinds)) = line.split_once(": ") {
            let row = rows.remove(&(title, place));
            let documented =
                row.unwrap_or_else(|| panic!("{title}: {place} is not in docs/json.md"));
            let (documented, _) = documented.split_once(',').unwrap_or((documented, ""));
            let documented: BTreeSet<&str> = documented.split(" or ").collect();
            for kind in kinds.split(" or ") {
                assert!(documented.contains(kind), "{title}: {place} can be {kind}");
            }
        }
    }
    rows.retain(|_, kinds| !kinds.ends_with(", not always"));
    assert!(rows.is_empty(), "not in any document: {rows:?}");
}

#[test]
fn errors_are_documents_too() {
    for (arguments, exit_code, message) in [
        (&["inspect", "missing.kgl", "--json"][..], 1, "missing.kgl"),
        (&["run", "--json"], 2, "required arguments"),
        (
            &["train", "r.toml", "--out", "x", "--json", "--seed", "-1"],
            2,
            "a whole number from 0 is right",
        ),
        (&["no-such-command", "--json"], 2, "no-such-command"),
    ] {
        let output = kinglet(arguments);
        assert_eq!(output.status.code(), Some(exit_code), "{arguments:?}");
        let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
        assert_eq!(document["schema"], 1);
        assert_eq!(document["error"]["exit_code"], exit_code);
        let found = document["error"]["message"].as_str().expect("a text");
        assert!(found.contains(message), "{arguments:?}: {found}");
        assert!(!found.contains("Usage"), "{found}");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.starts_with("error: "), "{stderr}");
    }
    let without = kinglet(&["inspect", "missing.kgl"]);
    assert!(without.stdout.is_empty());
}
