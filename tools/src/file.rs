//! Files that are never half-written: the new content goes to a neighbour, which then takes the name.
//!
//! Whatever goes wrong before that last rename (a full disk, no permission, a lost process), the old file
//! is still there as it was.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How the name of a neighbour ends.
const PARTIAL: &str = ".partial";

/// A file could not be written. The old file of that name, if there was one, is unchanged.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}{}", path.display(), if path.exists() { " (the old file is unchanged)" } else { "" })]
pub struct WriteError {
    /// The file meant.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Writes `content` to `path`, replacing what was there in one step.
///
/// # Errors
/// [`WriteError`]; the old file survives and nothing half-written is left.
pub fn write_atomic(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}{PARTIAL}", std::process::id()));
    let neighbour = path.with_file_name(name);
    write_and_rename(&neighbour, path, content).map_err(|source| {
        // Best effort: what could not be created cannot be removed either.
        let _ = std::fs::remove_file(&neighbour);
        WriteError {
            path: path.to_owned(),
            source,
        }
    })
}

fn write_and_rename(neighbour: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(neighbour)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(neighbour, path)
}

/// Removes the neighbours that processes left which died while writing `path`, as far as possible.
pub fn remove_partial(path: &Path) {
    let mut start = OsString::from(".");
    start.push(path.file_name().unwrap_or_default());
    start.push(".");
    let folder = path.parent().unwrap_or(Path::new("."));
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(start.as_encoded_bytes()) && name.ends_with(PARTIAL.as_bytes()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Removes a file.
///
/// # Errors
/// [`WriteError`] naming the file.
pub fn remove_file(path: &Path) -> Result<(), WriteError> {
    std::fs::remove_file(path).map_err(|source| WriteError {
        path: path.to_owned(),
        source,
    })
}

/// CRC-32/ISO-HDLC: what checkpoints carry and firmware programs print.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Makes a folder and those above it, if they are not there.
///
/// # Errors
/// [`WriteError`] naming the folder.
pub fn create_folder(path: &Path) -> Result<(), WriteError> {
    std::fs::create_dir_all(path).map_err(|source| WriteError {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_old_file_and_leaves_no_neighbour() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_atomic(&path, b"old").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_died_while_writing_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "a.bin",
            ".a.bin.17.partial",
            ".b.bin.17.partial",
            ".a.bin.17",
        ] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        remove_partial(&folder.path().join("a.bin"));
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [".a.bin.17", ".b.bin.17.partial", "a.bin"]);
    }

    #[test]
    fn a_failure_keeps_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub").join("a.bin");
        let error = write_atomic(&path, b"x").unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("cannot write {}: ", path.display())),
            "{error}"
        );
        // A folder of that name cannot be replaced by a file.
        let taken = folder.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        std::fs::write(taken.join("inside"), b"old").unwrap();
        let error = write_atomic(&taken, b"x").unwrap_err().to_string();
        assert!(error.ends_with("(the old file is unchanged)"), "{error}");
        assert_eq!(std::fs::read(taken.join("inside")).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
