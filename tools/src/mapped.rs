//! Files in memory without a copy: the one place of the host tools with unsafe code.
//!
//! A mapped file costs no memory of its own, is shared by every process that maps it, and starts at a page,
//! which is more than any alignment a model asks for. In return it must not change while it is mapped: a
//! program that shortens it ends its readers (SIGBUS), and one that writes into it changes what was checked.
//! Everything in this project replaces files by a rename, which leaves a mapped one as it was.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;

use kinglet::AlignedBytes;
use memmap2::Mmap;

/// The bytes of a file, at a multiple of 64.
#[derive(Debug)]
pub struct MappedFile {
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Copied(AlignedBytes),
}

impl MappedFile {
    /// Maps the file at `path` to be read. What cannot be mapped (a pipe, a device, an empty file, a file
    /// system without maps) is read into memory instead.
    ///
    /// # Errors
    /// What the system says if the file cannot be read either.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_file() && metadata.len() > 0 {
            // SAFETY: nothing here writes to the map or to the file. That no other program does either is
            // the condition at the head of this file, which no program can enforce.
            if let Ok(map) = unsafe { Mmap::map(&file) } {
                let bytes = Bytes::Mapped(map);
                return Ok(Self { bytes });
            }
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        Ok(Self::copy_of(&content))
    }

    /// A copy of bytes that are already in memory.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let bytes = Bytes::Copied(AlignedBytes::from(bytes));
        Self { bytes }
    }

    /// Whether the bytes are those of the file itself.
    pub fn is_mapped(&self) -> bool {
        matches!(self.bytes, Bytes::Mapped(_))
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(map) => map,
            Bytes::Copied(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_is_aligned_and_survives_its_replacement() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        crate::file::write_atomic(&path, &[7; 5000]).unwrap();
        let file = MappedFile::open(&path).unwrap();
        assert!(file.is_mapped());
        assert_eq!(file.as_ptr().align_offset(kinglet::ARENA_ALIGN), 0);
        crate::file::write_atomic(&path, b"new").unwrap();
        assert_eq!(*file, [7; 5000]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(*file, [7; 5000]);
    }

    #[test]
    fn an_empty_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        std::fs::write(&path, b"").unwrap();
        let file = MappedFile::open(&path).unwrap();
        assert!(!file.is_mapped() && file.is_empty());
        assert!(MappedFile::open(folder.path()).is_err(), "a folder");
        assert!(MappedFile::open(&folder.path().join("none")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_read() {
        use std::io::Write;
        use std::os::fd::AsRawFd;

        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(&[9; 100]).unwrap();
        drop(writer);
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        let file = MappedFile::open(path.as_ref()).unwrap();
        assert!(!file.is_mapped());
        assert_eq!(*file, [9; 100]);
        assert_eq!(file.as_ptr().align_offset(kinglet::ARENA_ALIGN), 0);
    }
}
