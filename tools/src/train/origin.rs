//! When and where a run was trained, as a file of its own: the checkpoint depends on the recipe and the data alone.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::file::{WriteError, write_atomic};

/// The file's name in the folder of a run.
pub(super) const FILE_NAME: &str = "run.toml";

/// When and where a run was trained; of a run that was resumed, its last part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// When it began, as in `2026-11-27 14:03 UTC`.
    pub date: String,
    /// The version of kinglet.
    pub kinglet: String,
    /// The processor's name, or its architecture where it has none.
    pub cpu: String,
    /// Threads that trained.
    pub threads: usize,
    /// The operating system.
    pub system: String,
}

impl Origin {
    /// Here and now.
    pub(super) fn now(threads: usize) -> Self {
        let file = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpu = field(&file("/proc/cpuinfo"), "model name", ':');
        let system = field(&file("/etc/os-release"), "PRETTY_NAME", '=');
        Self {
            date: jiff::Timestamp::now()
                .strftime("%Y-%m-%d %H:%M UTC")
                .to_string(),
            kinglet: env!("CARGO_PKG_VERSION").to_owned(),
            cpu: cpu.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            threads,
            system: system.unwrap_or_else(|| std::env::consts::OS.to_owned()),
        }
    }

    /// That of the run in a folder or beside a checkpoint file. Runs of earlier versions have none, and nothing but
    /// a line of a report depends on it: what cannot be read is none.
    pub fn of_run(path: &Path) -> Option<Self> {
        let path = match path.is_dir() {
            true => path.join(FILE_NAME),
            false => path.with_file_name(FILE_NAME),
        };
        toml::from_str(&std::fs::read_to_string(path).ok()?).ok()
    }

    /// What trained, in a few words.
    pub fn machine(&self) -> String {
        let threads = match self.threads {
            1 => "1 thread".to_owned(),
            threads => format!("{threads} threads"),
        };
        format!("{}, {threads}, {}", self.cpu, self.system)
    }

    /// Writes it into the folder of a run.
    pub(super) fn save(&self, folder: &Path) -> Result<(), WriteError> {
        let path = folder.join(FILE_NAME);
        let text = toml::to_string(self).map_err(|error| WriteError {
            path: path.clone(),
            source: std::io::Error::other(error),
        })?;
        write_atomic(&path, text.as_bytes())
    }
}

/// What stands behind `key` in the first line that begins with it.
fn field(text: &str, key: &str, separator: char) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once(separator));
    let (_, value) = lines.find(|(name, _)| name.trim() == key)?;
    let value = value.trim().trim_matches('"').trim();
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Origin::of_run(folder.path()), None);
        let origin = Origin::now(3);
        origin.save(folder.path()).unwrap();
        assert_eq!(Origin::of_run(folder.path()), Some(origin.clone()));
        let checkpoint = folder.path().join("checkpoint.postcard");
        assert_eq!(Origin::of_run(&checkpoint), Some(origin));
        std::fs::write(folder.path().join(FILE_NAME), "date = 1").unwrap();
        assert_eq!(Origin::of_run(folder.path()), None);
    }

    #[test]
    fn dates_are_in_universal_time_to_the_minute() {
        let date = Origin::now(1).date;
        let shape: String = date
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(shape, "0000-00-00 00:00 UTC");
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "model\t\t: 17\nmodel name\t: Some  CPU @ 2 GHz\nmodel name : again\n";
        assert_eq!(field(text, "model name", ':').unwrap(), "Some  CPU @ 2 GHz");
        assert_eq!(
            field("NAME=x\nPRETTY_NAME=\"An OS 1\"", "PRETTY_NAME", '=').unwrap(),
            "An OS 1"
        );
        assert_eq!(field("PRETTY_NAME=\"\"", "PRETTY_NAME", '='), None);
    }
}
