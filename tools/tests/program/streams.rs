//! What becomes of output that cannot be written.

use std::fs::File;
use std::process::{Command, Stdio};

const KINGLET: &str = env!("CARGO_BIN_EXE_kinglet");
const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/golden/mlperf-tiny/kws.onnx"
);

#[test]
fn a_full_disk_behind_the_standard_output_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("kws.kgl");
    let imported = Command::new(KINGLET)
        .args(["import", MODEL, "-o"])
        .arg(&model)
        .status();
    assert!(imported.expect("it starts").success());
    let model = model.to_str().expect("a name");
    for arguments in [
        &["recipes"][..],
        &["devices"],
        &["inspect", model],
        &["inspect", model, "--json"],
        &["inspect", "missing.kgl", "--json"],
    ] {
        let full = File::options().write(true).open("/dev/full");
        let output = Command::new(KINGLET)
            .args(arguments)
            .stdout(Stdio::from(full.expect("Linux has it")))
            .output()
            .expect("it starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(
            error.contains("cannot write to the standard output: No space left on device"),
            "{arguments:?}: {error}"
        );
    }
}
