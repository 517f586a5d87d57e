//! What the program does about a device that fails: it says so in one line, and the CPU gives the answer.
//!
//! `KINGLET_FAULTY_OPENCL` is the path of the library with faults (an example of `kinglet-opencl-stub`), in front of the
//! real one. `cargo xtask opencl` builds it and runs these tests.

use std::path::Path;
use std::process::{Command, Output};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny.kgl");

/// The program with these faults and a cache of its own. Only a compiler that hangs is not given much time: on a busy
/// machine others need some.
fn kinglet(faults: &str, cache: &Path, arguments: &[&str]) -> Output {
    let library = std::env::var("KINGLET_FAULTY_OPENCL")
        .expect("KINGLET_FAULTY_OPENCL is the path of the library with faults");
    let seconds = if faults.contains("hang") { "5" } else { "60" };
    Command::new(env!("CARGO_BIN_EXE_kinglet"))
        .args(arguments)
        .env("KINGLET_OPENCL_LIB", library)
        .env("KINGLET_FAULT", faults)
        .env("KINGLET_CACHE_DIR", cache)
        .env("KINGLET_OPENCL_BUILD_SECONDS", seconds)
        .output()
        .expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// Samples of the tiny model, as an array.
fn write_input(folder: &Path, samples: usize) -> String {
    let path = folder.join("input.npy");
    let values: Vec<f32> = (0..samples * 16).map(|i| (i % 13) as f32 / 13.0).collect();
    let header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({samples}, 1, 4, 4), }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let padded = format!("{header:<117}\n");
    bytes.extend_from_slice(&(padded.len() as u16).to_le_bytes());
    bytes.extend_from_slice(padded.as_bytes());
    bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
    std::fs::write(&path, bytes).expect("written");
    path.to_str().expect("a plain path").to_owned()
}

/// Runs the tiny model on "the GPU" with these faults: the answer must be the CPU's, with one note that holds `why`.
fn falls_back(faults: &str, why: &str) {
    falls_back_with(4, faults, why);
}

fn falls_back_with(samples: usize, faults: &str, why: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let input = write_input(folder.path(), samples);
    let run = |faults: &str, device: &str| {
        let arguments = ["run", TINY, "--input", &input, "--device", device];
        kinglet(faults, folder.path(), &arguments)
    };
    let expected = run("", "cpu");
    assert!(expected.status.success(), "{}", text(&expected.stderr));
    let found = run(&format!("gpu,{faults}"), "gpu");
    let notes = text(&found.stderr);
    assert!(found.status.success(), "{notes}");
    assert_eq!(text(&found.stdout), text(&expected.stdout));
    assert_eq!(notes.lines().count(), 1, "{notes}");
    assert!(
        notes.starts_with("note: ") && notes.contains(why),
        "{notes}"
    );
}

#[test]
fn a_healthy_gpu_is_used_without_a_word() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = write_input(folder.path(), 4);
    let arguments = ["run", TINY, "--input", &input, "--device", "gpu", "--json"];
    let output = kinglet("gpu", folder.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(report["device"].is_string(), "{report}");
}

#[test]
fn auto_measures_and_says_what_it_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = write_input(folder.path(), 4);
    // The second time from the cache: the same words.
    let run = || kinglet("gpu", folder.path(), &["run", TINY, "--input", &input]);
    let (first, second) = (run(), run());
    let notes = text(&first.stderr);
    assert!(first.status.success(), "{notes}");
    // A model as small as this is always faster on the CPU.
    assert!(
        notes.starts_with("note: the CPU is taken: a batch of 4 takes "),
        "{notes}"
    );
    assert_eq!(notes, text(&second.stderr));
    assert_eq!(text(&first.stdout), text(&second.stdout));
}

#[test]
fn without_a_gpu_auto_is_the_cpu_and_gpu_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = write_input(folder.path(), 4);
    let run = |device: &str| {
        let arguments = ["run", TINY, "--input", &input, "--device", device];
        kinglet("", folder.path(), &arguments)
    };
    let auto = run("auto");
    assert!(auto.status.success());
    assert_eq!(text(&auto.stderr), "");
    for (device, words) in [
        ("gpu", "there is no OpenCL GPU here"),
        ("Voodoo", "\"Voodoo\""),
    ] {
        let output = run(device);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(
            error.starts_with("error: ") && error.contains(words),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_compiler_that_fails() {
    falls_back("build-fails", "cannot compile");
}

#[test]
fn a_compiler_that_hangs_is_waited_for_once() {
    // The library has it abort when it is called again.
    falls_back("build-hang", "within 5 s");
}

#[test]
fn launches_that_fail() {
    falls_back("launch-fails", "CL_OUT_OF_RESOURCES");
}

#[test]
fn kernels_that_compute_nothing_do_not_pass_the_self_test() {
    falls_back("wrong", "self-test");
}

#[test]
fn a_device_that_is_lost() {
    falls_back("lost", "CL_INVALID_COMMAND_QUEUE");
}

#[test]
fn a_device_without_memory() {
    // The arena of so many samples is more than 64 KiB.
    falls_back_with(2000, "no-memory", "CL_MEM_OBJECT_ALLOCATION_FAILURE");
}

/// An epoch of one step: on a device that makes one read of its outcomes, and two for the checkpoint.
const RECIPE: &str = r#"
    input = [1, 28, 28]
    layers = ["MaxPool2d(4)", "Flatten()", "Linear(49, 10)"]
    [data]
    validation = 0.0
    [train]
    epochs = 3
    batch_size = 10000
    [optimizer]
    type = "SGD"
    lr = 0.01
"#;

/// `kinglet train` of [`RECIPE`] in `folder`.
fn train(faults: &str, folder: &Path, arguments: &[&str]) -> Output {
    let recipe = folder.join("recipe.toml");
    std::fs::write(&recipe, RECIPE).expect("written");
    let run = folder.join("run");
    let paths = [&recipe, &run].map(|path| path.to_str().expect("a plain path"));
    let all = [
        &["train", paths[0], "--out", paths[1], "--no-report"],
        arguments,
    ]
    .concat();
    kinglet(faults, folder, &all)
}

#[test]
fn training_on_a_device_without_memory_is_the_cpus() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = train("gpu,no-memory", folder.path(), &["--device", "gpu"]);
    let notes = text(&output.stderr);
    assert!(output.status.success(), "{notes}");
    assert!(
        notes.starts_with("note: the CPU trains, since ")
            && notes.contains("CL_MEM_OBJECT_ALLOCATION_FAILURE"),
        "{notes}"
    );
    assert_eq!(notes.lines().count(), 1, "{notes}");
}

#[test]
fn training_on_a_device_that_is_lost_goes_on_where_it_is_asked_to() {
    let folder = tempfile::tempdir().expect("a folder");
    // A first run passes the self-test, whose reads would be too many.
    let healthy = train("gpu", folder.path(), &["--device", "gpu"]);
    assert!(healthy.status.success(), "{}", text(&healthy.stderr));
    let lost = train("gpu,lost", folder.path(), &["--device", "gpu", "--force"]);
    let error = text(&lost.stderr);
    assert_eq!(lost.status.code(), Some(1), "{error}");
    let said = error.lines().last().unwrap_or_default();
    assert!(
        said.contains("CL_INVALID_COMMAND_QUEUE")
            && said.contains("--device cpu --resume-elsewhere"),
        "{error}"
    );
    let arguments = ["--device", "cpu", "--resume-elsewhere"];
    let resumed = train("", folder.path(), &arguments);
    let notes = text(&resumed.stderr);
    assert!(resumed.status.success(), "{notes}");
    assert!(notes.contains("goes on with what opencl: "), "{notes}");
    // The epoch that was complete is not done again.
    let table = std::fs::read_to_string(folder.path().join("run/metrics.csv")).expect("a table");
    assert_eq!(table.lines().count(), 1 + 3, "{table}");
    assert!(
        !text(&resumed.stdout).contains("epoch   1"),
        "{}",
        text(&resumed.stdout)
    );
}
