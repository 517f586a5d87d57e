//! Files that spare the next start its work: compiled programs, and what tuning found.
//!
//! A file is its header and its body. The header is checked before anyone else sees the body: some drivers
//! abort the process when they are given a damaged program. What does not fit is as good as absent, and a
//! file that cannot be written costs the next start some time and nothing else.

use std::format;
use std::fs;
use std::path::{Path, PathBuf};
use std::vec::Vec;

use sha2::{Digest, Sha256};

/// What a file is about: a hash of everything that must be the same for its body to be of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// The key of some texts, whose boundaries count.
    pub(super) fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut hash = Sha256::new();
        for text in texts {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        Self(hash.finalize().into())
    }
}

/// Before every body: magic and version of this layout, the key, a hash of the body.
const MAGIC: [u8; 8] = *b"kgl-ocl1";
const HEADER_LEN: usize = MAGIC.len() + 2 * 32;

/// A folder of such files; or none, and nothing is kept.
#[derive(Debug)]
pub(super) struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// The body of the file about `key`, if there is a whole one.
    pub(super) fn read(&self, key: Key) -> Option<Vec<u8>> {
        let bytes = fs::read(self.path(key)?).ok()?;
        let (header, body) = bytes.split_at_checked(HEADER_LEN)?;
        (header == self::header(key, body)).then(|| body.to_vec())
    }

    /// Lets `try_out` use the body of the file about `key`, if there is a whole one. If the process does not survive
    /// that, the next one finds no such file.
    pub(super) fn try_out<T>(
        &self,
        key: Key,
        try_out: impl FnOnce(Vec<u8>) -> Option<T>,
    ) -> Option<T> {
        let body = self.read(key)?;
        let path = self.path(key)?;
        let aside = path.with_extension("trying");
        let is_aside = fs::rename(&path, &aside).is_ok();
        let result = try_out(body);
        if is_aside && result.is_some() {
            let _ = fs::rename(&aside, &path);
        }
        result
    }

    /// Keeps `body`. Another process may do the same at any time: whichever renames last wins.
    pub(super) fn write(&self, key: Key, body: &[u8]) {
        let Some(path) = self.path(key) else {
            return;
        };
        let neighbor = path.with_extension(format!("{}.partial", std::process::id()));
        let mut bytes = header(key, body);
        bytes.extend_from_slice(body);
        let folder = path.parent().map_or(Ok(()), create_private);
        let written = folder
            .and_then(|()| fs::write(&neighbor, &bytes))
            .and_then(|()| fs::rename(&neighbor, &path));
        if written.is_err() {
            let _ = fs::remove_file(&neighbor);
        }
    }

    fn path(&self, key: Key) -> Option<PathBuf> {
        // Half of the hash tells any number of devices apart.
        let name: std::string::String = key.0[..16].iter().map(|b| format!("{b:02x}")).collect();
        Some(self.folder.as_ref()?.join(format!("{name}.bin")))
    }
}

/// Makes a folder that nobody else can put programs into.
fn create_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn header(key: Key, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LEN + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&key.0);
    bytes.extend_from_slice(&Sha256::digest(body));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for each test, gone at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("kinglet-cache-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_kept_is_found_under_its_key_only() {
        let folder = Folder::new("kept");
        let cache = Cache::new(Some(folder.0.clone()));
        let key = Key::of(["device", "source"]);
        assert_eq!(cache.read(key), None);
        cache.write(key, b"program");
        assert_eq!(cache.read(key).as_deref(), Some(&b"program"[..]));
        cache.write(key, b"");
        assert_eq!(cache.read(key).as_deref(), Some(&b""[..]));
        assert_eq!(cache.read(Key::of(["devices", "ource"])), None);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[test]
    fn no_damaged_byte_gets_through() {
        let folder = Folder::new("damaged");
        let cache = Cache::new(Some(folder.0.clone()));
        let key = Key::of(["x"]);
        cache.write(key, b"a program of some bytes");
        let path = cache.path(key).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(cache.read(key), None, "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(cache.read(key), None, "cut at {at}");
        }
        fs::write(&path, &whole).unwrap();
        assert!(cache.read(key).is_some());
    }

    #[test]
    fn a_body_that_does_not_work_is_not_tried_again() {
        let folder = Folder::new("tried");
        let cache = Cache::new(Some(folder.0.clone()));
        let key = Key::of(["x"]);
        cache.write(key, b"program");
        assert_eq!(cache.try_out(key, |body| Some(body.len())), Some(7));
        assert_eq!(cache.try_out(key, |_| None::<()>), None);
        assert_eq!(cache.read(key), None);
    }

    #[test]
    fn without_a_folder_or_with_an_impossible_one_nothing_is_kept() {
        let key = Key::of(["x"]);
        for folder in [None, Some(PathBuf::from("/dev/null/nowhere"))] {
            let cache = Cache::new(folder);
            cache.write(key, b"x");
            assert_eq!(cache.read(key), None);
        }
    }
}
