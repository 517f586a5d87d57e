//! The commands that measure, as programs of their own: what they print, and what they refuse.

use std::io::Write;
use std::process::{Command, Output, Stdio};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny.kgl");

fn kinglet(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kinglet"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that ends early does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn bench_reports_every_set_and_layer() {
    let options = ["--kernels", "all", "--layers", "--time", "0.05"];
    let more = ["--threads", "2", "--batch", "3", "--json"];
    let arguments = [&["bench", TINY], &options[..], &more].concat();
    let output = kinglet(&arguments, "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["model"], "tiny");
    assert_eq!(
        (&report["threads"], &report["batch"]),
        (&2.into(), &3.into())
    );
    assert!(report["peak"]["gmacs"].as_f64().unwrap() > 0.0);
    let sets = report["sets"].as_array().unwrap();
    let names: Vec<&str> = sets
        .iter()
        .filter_map(|set| set["kernels"].as_str())
        .collect();
    assert!(names.ends_with(&["portable", "reference"]), "{names:?}");
    for set in sets {
        assert!(set["samples_per_second"].as_f64().unwrap() > 0.0, "{set}");
        assert_eq!(set["layers"].as_array().unwrap().len(), 3);
        assert!(set["layers"][0]["gmacs"].as_f64().unwrap() > 0.0, "{set}");
    }
}

#[test]
fn a_worker_writes_its_output_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (folder.path().join("in.bin"), folder.path().join("out.bin"));
    std::fs::write(&input, vec![0; 4 * 16]).unwrap();
    let (input, out) = (input.to_str().unwrap(), out.to_str().unwrap());
    let arguments = ["worker", "infer", TINY, input, out, "--kernels", "portable"];
    let output = kinglet(&arguments, "RUN 2 3\nQUIT\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!((lines[0], lines.len()), ("READY", 2));
    assert_eq!(lines[1].split(' ').count(), 2 + 3);
    assert_eq!(std::fs::read(out).unwrap().len(), 4 * 3);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let many = "bench --kernels all --batch 65536 --threads 256";
    let many = [&many.split(' ').collect::<Vec<_>>()[..], &[TINY]].concat();
    for (arguments, code, expected) in [
        (&["bench", readme][..], 1, "not a kinglet model file"),
        (&["bench", "none.kgl"], 1, "cannot read none.kgl: "),
        (&["bench", TINY, "--batch", "0"], 2, "0 is not in 1..=65536"),
        (&["bench", TINY, "--threads", "0"], 2, "0 is not in 1..=256"),
        (&["bench", TINY, "--time", "0"], 2, "a number of seconds"),
        (
            &["bench", TINY, "--kernels", "avx3"],
            1,
            "there is no kernel set \"avx3\"",
        ),
        (&many, 1, "on 256 threads take "),
        (&["import", readme], 1, "not an ONNX model: "),
        (&["worker", "infer", TINY, readme, "out"], 1, "have 64 each"),
    ] {
        let output = kinglet(arguments, "");
        let error = text(&output.stderr);
        assert!(error.contains(expected), "{arguments:?}: {error}");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
}
