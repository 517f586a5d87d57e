//! Running an image by the board's own runner: the line `runner = "..."` of its `.cargo/config.toml`,
//! so that `cargo run` in the board's folder and this program do the same.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::command;

/// An image that has not ended by then hangs: the slowest takes a few seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Marks a line that reports a measurement: `measured NAME VALUE`.
const MEASURED: &str = "measured ";

/// What an image wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    /// What must be the same with every compiler.
    pub(crate) lines: Vec<String>,
    /// What may differ a little: stack, instructions.
    pub(crate) measured: Vec<(String, u64)>,
}

impl Output {
    fn parse(text: &str) -> Result<Self> {
        let mut output = Self::default();
        for line in text.lines() {
            let Some(rest) = line.strip_prefix(MEASURED) else {
                output.lines.push(line.to_owned());
                continue;
            };
            let (name, value) = rest
                .split_once(' ')
                .and_then(|(name, value)| Some((name, value.parse().ok()?)))
                .with_context(|| format!("`{line}` is no measurement"))?;
            output.measured.push((name.to_owned(), value));
        }
        Ok(output)
    }
}

/// Runs the image at `elf` for the board in `folder`.
///
/// # Errors
/// The image does not end, or ends with failure; its output is in the message.
pub(crate) fn run(folder: &Path, elf: &Path) -> Result<Output> {
    let config = folder.join(".cargo/config.toml");
    let text =
        fs::read_to_string(&config).with_context(|| format!("cannot read {}", config.display()))?;
    let runner = runner(&text).with_context(|| format!("{} names no runner", config.display()))?;
    let (program, arguments) = runner.split_first().context("the runner is empty")?;
    let mut child = command(program)
        .args(arguments)
        .arg(elf)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{program}`: run `cargo xtask setup`"))?;
    let mut stdout = child.stdout.take().context("no output")?;
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes)
    });
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() > deadline {
            // It may end by itself between the check and this; either way it is gone afterwards.
            let _ = child.kill();
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let bytes = match reader.join() {
        Ok(bytes) => bytes?,
        Err(_) => bail!("the reader of the output panicked"),
    };
    let text = String::from_utf8_lossy(&bytes);
    match status {
        Some(status) if status.success() => Output::parse(&text),
        Some(status) => bail!("the image ended with {status}; it printed:\n{text}"),
        None => bail!(
            "the image did not end within {} s; it printed:\n{text}",
            LIMIT.as_secs()
        ),
    }
}

/// The words of the runner in a board's configuration.
fn runner(config: &str) -> Option<Vec<&str>> {
    let line = config
        .lines()
        .find_map(|line| line.trim().strip_prefix("runner"))?;
    let text = line.trim_start().strip_prefix('=')?.trim();
    let text = text.strip_prefix('"')?.strip_suffix('"')?;
    Some(text.split_whitespace().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_is_read_from_the_configuration() {
        let config = "[target.x]\nrustflags = [\"-C\"]\nrunner = \"qemu -M board  -kernel\"\n";
        assert_eq!(runner(config), Some(vec!["qemu", "-M", "board", "-kernel"]));
        assert_eq!(runner("[target.x]\n"), None);
    }

    #[test]
    fn measurements_are_kept_apart_from_lines() {
        let output = Output::parse("class 3\nmeasured stack 512\nend\n").unwrap();
        assert_eq!(output.lines, ["class 3", "end"]);
        assert_eq!(output.measured, [("stack".to_owned(), 512)]);
        assert!(Output::parse("measured stack many\n").is_err());
    }
}
