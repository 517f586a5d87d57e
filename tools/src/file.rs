//! Files that are never half-written: the new content goes to a neighbour, which then takes the name.
//!
//! Whatever goes wrong before that last rename (a full disk, no permission, a lost process), the old file
//! is still there as it was. Links are followed. A device or a pipe is no file to be replaced: it is written to.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
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

/// Writes `content` to `path`, replacing a file that was there in one step.
///
/// # Errors
/// [`WriteError`]; the old file survives and nothing half-written is left.
pub fn write_atomic(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    write_atomic_by(path, |file| file.write_all(content))
}

/// Writes what `content` writes to `path`, as [`write_atomic`].
///
/// # Errors
/// [`WriteError`] as for [`write_atomic`], also where `content` fails.
pub fn write_atomic_by(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    let target = followed(path);
    let written = match is_stream(&target) {
        true => write_through(&target, content),
        false => Neighbour::write(&target, content).and_then(Neighbour::take_name),
    };
    written.map_err(|source| WriteError {
        path: path.to_owned(),
        source,
    })
}

/// Whether `path` can be written, before the work that it is for.
///
/// # Errors
/// The [`WriteError`] that [`write_atomic`] would end with.
pub fn check_writable(path: &Path) -> Result<(), WriteError> {
    let target = followed(path);
    if is_stream(&target) {
        return Ok(());
    }
    match Neighbour::write(&target, |_| Ok(())) {
        Ok(_) => Ok(()),
        Err(source) => Err(WriteError {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Writes files that belong together: none takes its name before all are written.
///
/// # Errors
/// [`WriteError`] as for [`write_atomic`]; where a disk is full, all old files survive.
pub fn write_all_atomic(files: &[(&Path, &[u8])]) -> Result<(), WriteError> {
    let failed = |path: &Path, source| WriteError {
        path: path.to_owned(),
        source,
    };
    let mut neighbours = Vec::new();
    for (path, content) in files {
        let target = followed(path);
        if is_stream(&target) {
            write_atomic(path, content)?;
            continue;
        }
        let neighbour = Neighbour::write(&target, |file| file.write_all(content));
        neighbours.push((path, neighbour.map_err(|source| failed(path, source))?));
    }
    for (path, neighbour) in neighbours {
        neighbour
            .take_name()
            .map_err(|source| failed(path, source))?;
    }
    Ok(())
}

/// Whether there is a device or a pipe, which is written to and not replaced.
fn is_stream(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir())
}

/// Where a link leads, whether there is something or not; a path that is no link as it is.
fn followed(path: &Path) -> PathBuf {
    /// As many as Linux follows.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match std::fs::read_link(&path) {
            Ok(link) => path = path.with_file_name("").join(link),
            Err(_) => break,
        }
    }
    path
}

fn write_through(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut stream = BufWriter::new(File::options().write(true).open(path)?);
    content(&mut stream)?;
    stream.flush()
}

/// The new content of a file, beside it. It is removed unless it takes the name.
struct Neighbour {
    path: PathBuf,
    target: PathBuf,
}

impl Neighbour {
    fn write(
        target: &Path,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(".{}{PARTIAL}", std::process::id()));
        let neighbour = Self {
            path: target.with_file_name(name),
            target: target.to_owned(),
        };
        let mut file = BufWriter::new(File::create(&neighbour.path)?);
        content(&mut file)?;
        file.into_inner()?.sync_all()?;
        Ok(neighbour)
    }

    fn take_name(self) -> io::Result<()> {
        std::fs::rename(&self.path, &self.target)
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // Best effort: what could not be created cannot be removed either, and what has taken the name is gone.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes the neighbours that processes left which died while writing `path`, as far as possible.
pub fn remove_partial(path: &Path) {
    let path = followed(path);
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

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sub/a.bin");
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("sub/a.bin", &link).unwrap();
        // At first there is nothing where it leads.
        for content in [b"new", b"two"] {
            write_atomic(&link, content).unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), content);
            assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        let ring = folder.path().join("ring");
        std::os::unix::fs::symlink("ring", &ring).unwrap();
        assert!(write_atomic(&ring, b"x").is_err() || std::fs::read(&ring).is_ok());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_is_written_to_and_stays() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || std::fs::read(pipe).unwrap())
        };
        write_atomic(&pipe, b"content").unwrap();
        assert_eq!(reader.join().unwrap(), b"content");
        assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
        let error = write_atomic(Path::new("/dev/full"), b"x").unwrap_err();
        assert!(
            error.to_string().starts_with("cannot write /dev/full: "),
            "{error}"
        );
    }

    #[test]
    fn files_that_belong_together_are_all_written_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        write_all_atomic(&[(&path("a"), b"1"), (&path("b"), b"2")]).unwrap();
        let lost = path("no/such");
        write_all_atomic(&[(&path("a"), b"3"), (&lost, b"4")]).unwrap_err();
        assert_eq!(std::fs::read(path("a")).unwrap(), b"1");
        assert_eq!(std::fs::read(path("b")).unwrap(), b"2");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
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
