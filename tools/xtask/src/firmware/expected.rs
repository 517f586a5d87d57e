//! The committed results of an image. `IMAGE.run` holds its output and is compared exactly;
//! `IMAGE.size` holds what depends on the compiler a little, one `NAME VALUE` to a line, and is
//! compared within [`TOLERANCE_PERCENT`] in both directions: a gain is to be committed too.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::elf::Sizes;
use super::emulator::Output;

/// Two compilers that are one release apart differ by less; a lost optimization costs more.
const TOLERANCE_PERCENT: u64 = 5;

/// Differences of this many bytes or instructions never count: five percent of a small number is less
/// than one alignment gap.
const TOLERANCE_FLOOR: u64 = 64;

const AGAIN: &str = "if this is meant: cargo xtask firmware --bless";

/// The text of `IMAGE.run`.
pub(crate) fn run_text(output: &Output) -> String {
    output
        .lines
        .iter()
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The text of `IMAGE.size`.
pub(crate) fn size_text(sizes: &Sizes, output: &Output) -> String {
    let mut text = format!(
        "# Bytes and instructions; written by `cargo xtask firmware --bless`, compared within {TOLERANCE_PERCENT} %.\n"
    );
    for (name, value) in values(sizes, output) {
        text.push_str(&format!("{name} {value}\n"));
    }
    text
}

/// Compares the output line by line.
///
/// # Errors
/// The first line that differs.
pub(crate) fn compare_run(path: &Path, output: &Output) -> Result<()> {
    let committed = read(path)?;
    let mut wanted = committed.lines();
    let mut found = output.lines.iter().map(String::as_str);
    for number in 1_usize.. {
        match (wanted.next(), found.next()) {
            (None, None) => break,
            (wanted, found) if wanted == found => {}
            (wanted, found) => bail!(
                "{}, line {number}:\n  committed: {}\n  printed:   {}\n{AGAIN}",
                path.display(),
                wanted.unwrap_or("(nothing)"),
                found.unwrap_or("(nothing)"),
            ),
        }
    }
    Ok(())
}

/// Compares each value within the tolerance.
///
/// # Errors
/// Every value that is off, or that stands on one side only.
pub(crate) fn compare_size(path: &Path, sizes: &Sizes, output: &Output) -> Result<()> {
    let committed = parse(&read(path)?).with_context(|| format!("{}", path.display()))?;
    let mut wrong = Vec::new();
    let found = values(sizes, output);
    for (name, value) in &found {
        println!("  {name} {value}");
        match committed.get(name) {
            Some(wanted) if within(*wanted, *value) => {}
            Some(wanted) => wrong.push(format!("{name}: committed {wanted}, now {value}")),
            None => wrong.push(format!("{name}: {value} is not committed")),
        }
    }
    for name in committed.keys() {
        if !found.iter().any(|(found, _)| found == name) {
            wrong.push(format!("{name}: committed, but not measured"));
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => bail!(
            "{} (tolerance {TOLERANCE_PERCENT} %):\n  {}\n{AGAIN}",
            path.display(),
            wrong.join("\n  ")
        ),
    }
}

fn within(wanted: u64, found: u64) -> bool {
    let allowed = (wanted * TOLERANCE_PERCENT / 100).max(TOLERANCE_FLOOR);
    wanted.abs_diff(found) <= allowed
}

fn values(sizes: &Sizes, output: &Output) -> Vec<(String, u64)> {
    let mut values = vec![
        ("text".to_owned(), sizes.text),
        ("data".to_owned(), sizes.data),
        ("bss".to_owned(), sizes.bss),
    ];
    values.extend(output.measured.iter().cloned());
    values
}

fn parse(text: &str) -> Result<BTreeMap<String, u64>> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            line.split_once(' ')
                .and_then(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
                .with_context(|| format!("`{line}` is not `NAME VALUE`"))
        })
        .collect()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}: {AGAIN}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes {
        text: 10_000,
        data: 0,
        bss: 4_096,
    };

    fn output(lines: &[&str], stack: u64) -> Output {
        Output {
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            measured: vec![("stack".to_owned(), stack)],
        }
    }

    fn file(name: &str, text: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("xtask-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn what_was_written_compares_equal_and_any_other_line_does_not() {
        let path = file("a.run", &run_text(&output(&["one", "two"], 0)));
        assert!(compare_run(&path, &output(&["one", "two"], 1)).is_ok());
        for other in [&["one"][..], &["one", "2"], &["one", "two", "three"]] {
            assert!(compare_run(&path, &output(other, 0)).is_err(), "{other:?}");
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn sizes_may_move_within_the_tolerance_only() {
        let path = file("a.size", &size_text(&SIZES, &output(&[], 2_000)));
        assert!(compare_size(&path, &SIZES, &output(&[], 2_100)).is_ok());
        assert!(compare_size(&path, &SIZES, &output(&[], 2_101)).is_err());
        assert!(compare_size(&path, &SIZES, &output(&[], 1_899)).is_err());
        let missing = Output::default();
        assert!(compare_size(&path, &SIZES, &missing).is_err());
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn small_numbers_have_a_floor() {
        assert!(within(0, 64));
        assert!(!within(0, 65));
    }
}
