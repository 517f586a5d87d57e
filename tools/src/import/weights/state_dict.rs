//! The tensors of a file by their names: known at once, read when asked for.
//!
//! A file decides neither how much is allocated nor how long it takes: its tensors are only described here,
//! and whoever reads one has compared its shape with the one wanted.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::archive::Archive;
use super::dtype::{ByteOrder, Dtype};
use super::error::FileProblem;
use super::pickle::{Id, Pickle, Value};
use super::{legacy, safetensors};

/// Under these keys checkpoints keep the state dict beside epochs and optimizers.
const STATE_DICT_KEYS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// What `DataParallel` and `torch.compile` put before every name.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// The tensors of a file.
#[derive(Debug)]
pub struct StateDict<'a> {
    /// In the order of the file: in those of `torch.save` the order in which the model defines its layers.
    pub entries: Vec<Entry>,
    /// What stood before every name and was taken off: `module.` of `DataParallel`; empty in most files.
    pub wrapper: String,
    pub(super) storages: Storages<'a>,
}

/// One tensor, before its values are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name: `conv1.weight`.
    pub name: String,
    /// Its extents, in PyTorch's order.
    pub shape: Vec<usize>,
    /// What its elements are.
    pub dtype: Dtype,
    /// Its storage's place among the [`Storages`].
    pub(super) storage: usize,
    /// Its first element, in elements from the start of the storage.
    pub(super) offset: usize,
    /// Distance of neighbors along each extent, in elements.
    pub(super) strides: Vec<usize>,
}

/// Where the elements are.
#[derive(Debug)]
pub(super) enum Storages<'a> {
    /// In an archive, each storage in a file of its own.
    Archive(Archive<'a>, Vec<String>),
    /// Side by side in the file.
    Slices(Vec<&'a [u8]>),
}

impl<'a> StateDict<'a> {
    /// Reads what a file of `torch.save` (since PyTorch 0.4) or safetensors says about its tensors. No code of
    /// a pickle is run.
    ///
    /// # Errors
    /// [`FileProblem`] if it is another kind of file, damaged, not a state dict, or names anything to call.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FileProblem> {
        let mut found = match bytes {
            // First: the length in front of its table may begin as the others do, whose ninth byte is another.
            [_, _, _, _, _, _, _, _, b'{', ..] => safetensors::read(bytes)?,
            [b'P', b'K', 3, 4, ..] => Archive::open(bytes)?.state_dict()?,
            [0x80, ..] => legacy::read(bytes)?,
            _ => return Err(FileProblem::Format),
        };
        // Either may be around the other, but nothing is wrapped more often.
        for _ in WRAPPERS {
            let Some(wrapper) = common_wrapper(&found.entries) else {
                break;
            };
            for entry in &mut found.entries {
                entry.name.drain(..wrapper.len());
            }
            found.wrapper += wrapper;
        }
        Ok(found)
    }

    /// The values of a tensor in row-major order, as float32. Allocates no more values than its storage has.
    ///
    /// # Errors
    /// [`FileProblem`] if they are not in the file, are integers, or are fewer than the shape says.
    pub fn values(&self, entry: &Entry) -> Result<Vec<f32>, FileProblem> {
        let (bytes, order) = match &self.storages {
            Storages::Slices(slices) => (Cow::Borrowed(slices[entry.storage]), ByteOrder::Little),
            Storages::Archive(archive, keys) => {
                (archive.storage(&keys[entry.storage])?, archive.order)
            }
        };
        let size = entry.dtype.size();
        let places = entry.places(bytes.len() / size);
        let places = places.ok_or_else(|| FileProblem::Storage {
            tensor: entry.name.clone(),
            found: bytes.len(),
        })?;
        let values = places.map(|place| entry.dtype.read(&bytes[place * size..][..size], order));
        let values = values.collect::<Option<_>>();
        values.ok_or_else(|| FileProblem::Integers {
            tensor: entry.name.clone(),
            dtype: entry.dtype,
        })
    }
}

impl Entry {
    /// The places of the elements, in row-major order, in a storage of `len` elements; None if that storage
    /// does not have as many or ends before the last of them.
    fn places(&self, len: usize) -> Option<impl Iterator<Item = usize>> {
        let mut elements: usize = 1;
        let mut last = self.offset;
        for (extent, stride) in self.shape.iter().zip(&self.strides) {
            elements = elements.checked_mul(*extent)?;
            let steps = extent.saturating_sub(1);
            last = last.checked_add(steps.checked_mul(*stride)?)?;
        }
        let fits = elements == 0 || (elements <= len && last < len);
        fits.then(|| (0..elements).map(|element| self.place(element)))
    }

    /// The place of an element in the storage.
    fn place(&self, element: usize) -> usize {
        let mut rest = element;
        let extents = self.shape.iter().zip(&self.strides).rev();
        extents.fold(self.offset, |place, (extent, stride)| {
            let index = rest % extent;
            rest /= extent;
            place + index * stride
        })
    }
}

/// The wrapper's prefix that all names have.
fn common_wrapper(entries: &[Entry]) -> Option<&'static str> {
    let all = |wrapper: &&str| entries.iter().all(|entry| entry.name.starts_with(*wrapper));
    WRAPPERS
        .into_iter()
        .find(all)
        .filter(|_| !entries.is_empty())
}

/// The tensors of the state dict that a pickle is, or holds under one of the usual keys; and the keys of their
/// storages.
pub(super) fn of_pickle(pickle: &Pickle<'_>) -> Result<(Vec<Entry>, Vec<String>), FileProblem> {
    let mut storages = StorageKeys::default();
    let mut names = HashSet::new();
    let mut entries = Vec::new();
    let mut others = Vec::new();
    for (key, value) in state_dict(pickle)? {
        let name = pickle
            .text(*key)
            .ok_or_else(|| no_state_dict("a dict without names"))?;
        let Value::Tensor(tensor) = pickle.value(*value) else {
            others.push(name);
            continue;
        };
        if !names.insert(name) {
            return Err(FileProblem::Twice {
                name: name.to_owned(),
            });
        }
        entries.push(Entry {
            name: name.to_owned(),
            shape: tensor.shape.clone(),
            dtype: tensor.storage.dtype,
            storage: storages.place(tensor.storage.key),
            offset: tensor.offset,
            strides: tensor.strides.clone(),
        });
    }
    if let (false, [first, ..]) = (entries.is_empty(), others.as_slice()) {
        let found = format!(
            "a dict with tensors and {} other values (the first is {first:?})",
            others.len()
        );
        return Err(FileProblem::NoStateDict { found });
    }
    if entries.is_empty() {
        let keys = others.iter().take(10).map(|key| format!("{key:?}"));
        let keys = keys.collect::<Vec<_>>().join(", ");
        let found = format!("a dict without tensors (its keys: {keys})");
        return Err(FileProblem::NoStateDict { found });
    }
    Ok((entries, storages.keys))
}

fn no_state_dict(found: &str) -> FileProblem {
    FileProblem::NoStateDict {
        found: found.to_owned(),
    }
}

/// The items of the dict with the tensors.
fn state_dict<'p>(pickle: &'p Pickle<'_>) -> Result<&'p [(Id, Id)], FileProblem> {
    let root = match pickle.root() {
        Value::Dict(items) => items,
        Value::Tensor(_) => return Err(no_state_dict("a single tensor")),
        Value::List(_) | Value::Tuple(_) => return Err(no_state_dict("a list")),
        _ => return Err(no_state_dict("no tensors")),
    };
    let mut nested = root.iter().filter_map(|(key, value)| {
        let key = pickle.text(*key)?;
        match pickle.value(*value) {
            Value::Dict(items) if STATE_DICT_KEYS.contains(&key) => Some((key, items)),
            _ => None,
        }
    });
    match (nested.next(), nested.next()) {
        (None, _) => Ok(root),
        (Some((_, items)), None) => Ok(items),
        (Some((first, _)), Some((second, _))) => Err(FileProblem::Several {
            keys: format!("{first}, {second}"),
        }),
    }
}

/// The keys of storages, each once however many tensors share it.
#[derive(Default)]
struct StorageKeys<'a> {
    places: HashMap<&'a str, usize>,
    keys: Vec<String>,
}

impl<'a> StorageKeys<'a> {
    fn place(&mut self, key: &'a str) -> usize {
        *self.places.entry(key).or_insert_with(|| {
            self.keys.push(key.to_owned());
            self.keys.len() - 1
        })
    }
}
