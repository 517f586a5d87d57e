//! What `--json` prints: one document on standard output, or for `train` one on each line. docs/json.md describes them.

use std::ffi::OsStr;
use std::process::ExitCode;

use serde::Serialize;

use super::Failure;

/// The version of all documents. It changes when a field is renamed, removed or given another meaning; a new field does not
/// change it.
const SCHEMA: u32 = 1;

/// A document of a command.
#[derive(Debug, Serialize)]
struct Document<'a, T> {
    schema: u32,
    command: &'static str,
    #[serde(flatten)]
    content: &'a T,
}

/// A document that says why there is no other.
#[derive(Debug, Serialize)]
struct Refusal<'a> {
    schema: u32,
    error: Reason<'a>,
}

#[derive(Debug, Serialize)]
struct Reason<'a> {
    message: &'a str,
    exit_code: u8,
}

fn document<'a, T: Serialize>(command: &'static str, content: &'a T) -> Document<'a, T> {
    Document {
        schema: SCHEMA,
        command,
        content,
    }
}

/// Prints what `command` found.
pub(super) fn print<T: Serialize>(command: &'static str, content: &T) -> Result<(), Failure> {
    println!(
        "{}",
        serde_json::to_string_pretty(&document(command, content))?
    );
    Ok(())
}

/// Prints one of several documents, on a line of its own.
pub(super) fn print_line<T: Serialize>(command: &'static str, content: &T) -> Result<(), Failure> {
    println!("{}", serde_json::to_string(&document(command, content))?);
    Ok(())
}

/// Whether `--json` stands among the arguments, whatever else is wrong with them.
pub(super) fn is_asked_for<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> bool {
    let mut arguments = arguments.into_iter();
    arguments.any(|argument| argument.as_ref() == "--json")
}

/// Tells that the program ends with `exit_code`, and why, on one line: it may follow others of `train`.
pub(super) fn print_error(message: &str, exit_code: u8) {
    let refusal = Refusal {
        schema: SCHEMA,
        error: Reason { message, exit_code },
    };
    // It holds a text and numbers: nothing of that can fail.
    if let Ok(text) = serde_json::to_string(&refusal) {
        println!("{text}");
    }
}

/// Tells what is wrong with the command line, on the error stream and, where `json` says so, as a document; or shows the
/// help that was asked for.
pub(super) fn refuse(error: &clap::Error, json: bool) -> ExitCode {
    const WRONG: u8 = 2;
    // Where nobody reads there is nobody to tell.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    if json {
        print_error(&first_paragraph(&error.to_string()), WRONG);
    }
    ExitCode::from(WRONG)
}

/// What is wrong, without how the command is used.
fn first_paragraph(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let lines = text.lines().take_while(|line| !line.trim().is_empty());
    let lines: Vec<&str> = lines.map(str::trim).collect();
    lines.join(" ")
}
