//! Elements of a tensor that stand in a file of their own beside the model.
//!
//! Only files in the model's folder or below it are read: a model must not reach for others.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

use super::messages::StringStringEntryProto;
use super::tensor::TensorProblem;

/// The `len` bytes that `entries` point at.
pub(super) fn read(
    entries: &[StringStringEntryProto],
    len: usize,
    folder: Option<&Path>,
) -> Result<Vec<u8>, TensorProblem> {
    let entry = |key: &str| {
        entries
            .iter()
            .find(|e| e.key == key)
            .map(|e| e.value.as_str())
    };
    let location = entry("location").unwrap_or_default();
    let refused = |right: String| TensorProblem {
        found: format!("in another file, \"{location}\""),
        right,
    };
    let number = |key: &str, default: u64| match entry(key) {
        None => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|_| refused(format!("a number as its {key}"))),
    };
    let (offset, stored) = (number("offset", 0)?, number("length", len as u64)?);
    if stored != len as u64 {
        return Err(refused(format!("a length of {len} bytes")));
    }
    let inside = "a file in the model's folder, or a model saved with its weights inside";
    let path = Path::new(location);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    let (Some(folder), true) = (folder, path.components().all(plain)) else {
        return Err(refused(inside.into()));
    };
    // A file without a folder is in the current one.
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let unreadable = |error: std::io::Error| refused(format!("a file that can be read ({error})"));
    let folder = folder.canonicalize().map_err(unreadable)?;
    // Links are followed before the question is asked.
    let path = folder.join(path).canonicalize().map_err(unreadable)?;
    if !path.starts_with(&folder) {
        return Err(refused(inside.into()));
    }
    let mut file = File::open(&path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    if offset.checked_add(stored).is_none_or(|end| end > size) {
        return Err(refused(format!(
            "at least {len} bytes from byte {offset} on"
        )));
    }
    let mut bytes = vec![0; len];
    file.seek(SeekFrom::Start(offset)).map_err(unreadable)?;
    file.read_exact(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
