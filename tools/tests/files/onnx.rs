//! ONNX files with random layers compute what ONNX Runtime computes, and damaged ones do no harm.
//! `tests/golden/make_onnx.py` made the files.

use std::path::{Path, PathBuf};

use kinglet_tools::export::{ExportSettings, export};
use kinglet_tools::import::onnx::{self, Options};
use kinglet_tools::recipe::Normalize;

use crate::case::{Case, Outcome, Tolerance};

/// The folders with a case each.
fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/onnx");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders
}

#[test]
fn random_graphs_compute_what_onnx_runtime_computes() {
    let folders = folders();
    assert_eq!(folders.len(), 60);
    // Sums in another order.
    let tolerance = Tolerance {
        of_largest: 1e-4,
        ..Tolerance::default()
    };
    for folder in folders {
        let case = Case::read(&folder).unwrap();
        match case.run(tolerance) {
            Outcome::Passed => {}
            Outcome::Refused(reason) | Outcome::Failed(reason) => {
                panic!(
                    "{} ({}): {reason}",
                    folder.display(),
                    case.operators().join(", ")
                )
            }
        }
    }
}

/// Imports the bytes, and exports what comes of it; either may be refused.
fn import(bytes: &[u8]) {
    let Ok(imported) = onnx::parse(bytes, Path::new("damaged.onnx"), &Options::default()) else {
        return;
    };
    let settings = ExportSettings {
        normalize: Normalize::identity(0),
        labels: vec![],
        fine_tune_last: 0,
    };
    drop(export(imported.graph, &settings));
}

#[test]
fn truncated_files_are_refused_or_read_without_a_panic() {
    for folder in folders() {
        let bytes = std::fs::read(folder.join("model.onnx")).unwrap();
        for len in (0..bytes.len()).step_by(7) {
            import(&bytes[..len]);
        }
    }
}

#[test]
fn files_with_a_flipped_bit_are_refused_or_read_without_a_panic() {
    for folder in folders() {
        let mut bytes = std::fs::read(folder.join("model.onnx")).unwrap();
        for at in (0..bytes.len()).step_by(5) {
            let bit = 1 << (at / 5 % 8);
            bytes[at] ^= bit;
            import(&bytes);
            bytes[at] ^= bit;
        }
    }
}
