//! The table of docs/import.md beside the program's own.

use std::collections::BTreeSet;

use super::error::similar;
use super::{onnx, tflite};

/// What stands between backticks in one column of the table and is the name of an operator: other words there, as
/// `auto_pad`, begin with a small letter.
fn documented(column: usize) -> BTreeSet<String> {
    let text = include_str!("../../../docs/import.md");
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.split('|').nth(column + 1));
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_documented_operators_are_those_of_the_program() {
    let owned = |names: &mut dyn Iterator<Item = &'static str>| {
        names.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(documented(1), owned(&mut onnx::operators()));
    assert_eq!(documented(2), owned(&mut tflite::operators()));
}

#[test]
fn operators_of_a_similar_name_are_named_and_no_others() {
    let of = |name: &str| similar(name, onnx::operators());
    assert_eq!(of("conv"), ["Conv"]);
    assert_eq!(of("Softmx"), ["Softmax"]);
    assert_eq!(of("Einsum"), [""; 0]);
    assert_eq!(of("GRU"), [""; 0]);
}
