//! Runs ONNX test cases through import, export and the runtime, and says what came of each operator.
//!
//! usage: conformance DATA [--random FOLDER] [--verbose]
//!
//! DATA is `backend/test/data` of the Python package `onnx`: every case of its folders whose operators can all be
//! imported. FOLDER holds cases in the same layout, every one of which must pass.

mod case;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use case::{Case, Outcome, Tolerance};
use kinglet_tools::import::onnx;

type Failure = Box<dyn std::error::Error>;

/// The folders of `backend/test/data` whose cases come with inputs and outputs.
const FOLDERS: [&str; 4] = ["node", "simple", "pytorch-operator", "pytorch-converted"];

/// What ONNX's own runner allows.
const ONNX: Tolerance = Tolerance {
    absolute: 1e-7,
    of_element: 1e-3,
    of_largest: 0.0,
};

/// Sums in another order.
const RANDOM: Tolerance = Tolerance {
    absolute: 0.0,
    of_element: 0.0,
    of_largest: 1e-4,
};

/// Cases whose expected outputs are wrong in the package: numbers out of range were wrapped and not saturated
/// (onnx/onnx#7835, put right by #7868).
const WRONG: [&str; 2] = [
    "test_qlinearmatmul_2D_int8_float16",
    "test_qlinearmatmul_2D_int8_float32",
];

/// What came of the cases of one operator.
#[derive(Default)]
struct Tally {
    passed: usize,
    refused: usize,
    failed: usize,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, Failure> {
    let (mut data, mut random, mut verbose) = (None, None, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--random" => random = Some(arguments.next().ok_or("--random takes a folder")?),
            "--verbose" => verbose = true,
            _ => data = Some(argument),
        }
    }
    if data.is_none() && random.is_none() {
        return Err("which folder? usage: conformance DATA [--random FOLDER] [--verbose]".into());
    }
    let mut good = true;
    if let Some(data) = data {
        let data = PathBuf::from(data);
        let folders: Vec<PathBuf> = FOLDERS.iter().map(|name| data.join(name)).collect();
        good &= report(&folders, ONNX, verbose)?.failed == 0;
    }
    if let Some(random) = random {
        let total = report(&[random.into()], RANDOM, verbose)?;
        good &= total.failed + total.refused == 0;
    }
    Ok(good)
}

/// Runs the cases in `folders` and prints a table.
fn report(folders: &[PathBuf], tolerance: Tolerance, verbose: bool) -> Result<Tally, Failure> {
    let known: Vec<&str> = onnx::operators().collect();
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut total = Tally::default();
    let mut others = 0;
    for folder in cases(folders)? {
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Some(case) = Case::read(&folder)
            .ok()
            .filter(|_| !WRONG.contains(&name.as_str()))
        else {
            others += 1;
            continue;
        };
        let operators = case.operators();
        if !operators.iter().all(|operator| known.contains(operator)) {
            others += 1;
            continue;
        }
        let row = match operators.as_slice() {
            [operator] => (*operator).to_owned(),
            _ => "(several)".to_owned(),
        };
        let tally = tallies.entry(row).or_default();
        match case.run(tolerance) {
            Outcome::Passed => {
                tally.passed += 1;
                total.passed += 1;
            }
            Outcome::Refused(reason) => {
                tally.refused += 1;
                total.refused += 1;
                if verbose {
                    println!("refused  {name}: {}", reason.replace('\n', " "));
                }
            }
            Outcome::Failed(reason) => {
                tally.failed += 1;
                total.failed += 1;
                println!("FAILED   {name}: {reason}");
            }
        }
    }
    println!(
        "{:<22}{:>8}{:>8}{:>8}",
        "operator", "passed", "refused", "failed"
    );
    for (operator, tally) in &tallies {
        println!(
            "{operator:<22}{:>8}{:>8}{:>8}",
            tally.passed, tally.refused, tally.failed
        );
    }
    println!(
        "{:<22}{:>8}{:>8}{:>8}   ({others} cases left out: other operators, no tensors, or wrong)",
        "all", total.passed, total.refused, total.failed
    );
    Ok(total)
}

/// The folders of cases in `folders`, sorted.
fn cases(folders: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut cases = Vec::new();
    for folder in folders {
        let is_case = |path: &Path| path.join("model.onnx").is_file();
        let entries =
            std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| is_case(path))
            .collect();
        found.sort();
        cases.extend(found);
    }
    Ok(cases)
}
