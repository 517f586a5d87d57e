//! Weights that PyTorch saved, in each of its ways, poured into a recipe: the logits are PyTorch's.
//! `tests/golden/make_weights.py` made the files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use kinglet::{AnySession, HeapArena};
use kinglet_kernels::Portable;
use kinglet_tools::export::{ExportSettings, export};
use kinglet_tools::graph::Graph;
use kinglet_tools::import::weights::{self, Matching};
use kinglet_tools::model_file::ModelFile;
use kinglet_tools::recipe::{Normalize, Recipe};
use ndarray::{Array2, Array4};
use ndarray_npy::NpzReader;

/// Largest distance from PyTorch's float64 logits, which are about 1.
const BOUND: f32 = 1e-5;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/weights")
}

fn network() -> Graph {
    let recipe = Recipe::load(&folder().join("weights.toml")).unwrap();
    recipe.graph
}

/// Names of the files with weights that must be read, or that must be refused.
fn files(refused: bool) -> Vec<String> {
    let names = std::fs::read_dir(folder()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_weights = |name: &String| name.ends_with(".pt") || name.ends_with(".safetensors");
    let mut names: Vec<String> = names
        .filter(|name| is_weights(name) && name.starts_with("refused_") == refused)
        .collect();
    names.sort();
    names
}

fn logits(network: &Graph, input: &[f32]) -> Vec<f32> {
    let settings = ExportSettings {
        normalize: Normalize::identity(network.input().channels),
        labels: Vec::new(),
        fine_tune_last: 0,
    };
    let (bytes, _) = export(network.clone(), &settings).unwrap();
    let file = ModelFile::from_bytes(&bytes).unwrap();
    let model = file.model();
    let mut arena = HeapArena::new(model.sizes().arena);
    let mut session = AnySession::new(&model, &mut arena, Portable).unwrap();
    let samples = input.chunks(network.input().len());
    samples
        .flat_map(|sample| {
            session.set_input_f32(sample).unwrap();
            session.run().to_f32().into_owned()
        })
        .collect()
}

#[test]
fn logits_are_those_of_pytorch() {
    let mut golden = NpzReader::new(File::open(folder().join("logits.npz")).unwrap()).unwrap();
    let input: Array4<f32> = golden.by_name("input").unwrap();
    let input: Vec<f32> = input.permuted_axes([0, 2, 3, 1]).iter().copied().collect();
    let files = files(false);
    assert_eq!(files.len(), 19);
    for name in files {
        let poured = weights::read(&folder().join(&name), network());
        let poured = poured.unwrap_or_else(|error| panic!("{name}: {error}"));
        let right: Array2<f32> = golden.by_name(&name).unwrap();
        let found = logits(&poured.network, &input);
        let distances = found.iter().zip(&right).map(|(a, b)| (a - b).abs());
        let distance = distances.fold(0.0, f32::max);
        assert!(distance <= BOUND, "{name}: off by {distance}");
        let own_names = ["checkpoint.pt", "named.pt", "named.safetensors"];
        let by_name = poured.matching == Matching::ByName;
        assert_eq!(by_name, !own_names.contains(&name.as_str()), "{name}");
        let wrapper = if name == "parallel.pt" { "module." } else { "" };
        assert_eq!(poured.wrapper, wrapper, "{name}");
    }
}

#[test]
fn what_is_no_state_dict_is_refused_with_advice() {
    let advice = "torch.save(model.state_dict(), PATH)";
    let right = [
        ("refused_calls.pt", "refuses to call posix.system"),
        (
            "refused_expanded.pt",
            "0.bias does not lie in its storage of 4 bytes",
        ),
        ("refused_legacy_calls.pt", "refuses to call posix.system"),
        (
            "refused_legacy_whole_model.pt",
            "refuses to call torch.nn.modules.container.Sequential",
        ),
        (
            "refused_no_tensors.pt",
            "a dict without tensors (its keys: \"epoch\", \"lr\")",
        ),
        ("refused_single_tensor.pt", "it holds a single tensor"),
        (
            "refused_whole_model.pt",
            "refuses to call torch.nn.modules.container.Sequential",
        ),
    ];
    assert_eq!(files(true), right.map(|(name, _)| name));
    for (name, right) in right {
        let error = weights::read(&folder().join(name), network());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(right), "{name}: {error}");
        assert!(
            error.contains(advice) || name == "refused_expanded.pt",
            "{error}"
        );
    }
}

/// Prefixes of every file, and every file with one bit changed: an error, or a network. What PyTorch
/// gave a checksum comes through as it was or not at all.
#[test]
fn damaged_files_are_refused_or_unharmed() {
    let network = network();
    for name in files(false).into_iter().chain(files(true)) {
        let bytes = std::fs::read(folder().join(&name)).unwrap();
        let pour = |bytes: &[u8]| weights::pour(bytes, network.clone(), Path::new(&name));
        let whole = pour(&bytes).ok();
        for len in (0..bytes.len()).step_by(7) {
            assert!(pour(&bytes[..len]).is_err(), "{name}: {len} bytes");
        }
        // In `big_endian.pt` the name of the file that says so has no checksum.
        let checked = bytes.starts_with(b"PK") && name != "big_endian.pt";
        for place in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1 << (place % 8);
            if let Ok(found) = pour(&bytes)
                && checked
            {
                assert_eq!(Some(found), whole, "{name}: byte {place}");
            }
        }
    }
}

#[test]
fn the_command_writes_a_model_and_says_what_went_where() {
    let out = tempfile::tempdir().unwrap();
    let import = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_kinglet"))
            .arg("import")
            .args(arguments)
            .current_dir(folder())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.success(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let path = |name: &str| out.path().join(name).to_str().unwrap().to_owned();
    let model = path("net.kgl");
    std::fs::write(path("labels.txt"), "cat\ndog\nbird\n").unwrap();
    let (done, shown, error) = import(&[
        "named.pt",
        "--recipe",
        "weights.toml",
        "-o",
        &model,
        "--fine-tune",
        "last=1",
        "--labels",
        &path("labels.txt"),
    ]);
    assert!(done, "{error}");
    assert!(
        shown.contains("   3  Conv2d(4, 4, 3, padding=1, bias=False)  <- conv2.*\n"),
        "{shown}"
    );
    let file = ModelFile::read(model.as_ref()).unwrap();
    let labels: Vec<&str> = file.model().labels().iter().collect();
    assert_eq!(labels, ["cat", "dog", "bird"]);

    let (done, _, error) = import(&["named.pt"]);
    assert!(!done && error.contains("--recipe net.toml"), "{error}");
}
