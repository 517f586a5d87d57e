//! What `torch.save` wrote before PyTorch 1.6: pickles, then the storages.
//!
//! The pickles are a magic number, a version, some sizes of the machine, the state dict, and the keys of the
//! storages. For each key, in that order, follow the number of elements (8 bytes) and the elements, all
//! little-endian whatever the machine was.

use std::collections::HashMap;

use super::dtype::Dtype;
use super::error::{FileProblem, PickleProblem};
use super::pickle::{Pickle, Value};
use super::state_dict::{StateDict, Storages, of_pickle};

/// The first pickle, little-endian.
const MAGIC: &[u8] = &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The second one.
const VERSION: i64 = 1001;

pub(super) fn read(bytes: &[u8]) -> Result<StateDict<'_>, FileProblem> {
    let (magic, rest) = Pickle::read(bytes).map_err(|problem| match problem {
        // What is said about the whole file, if it is a pickle of another kind.
        PickleProblem::Refused { .. } => FileProblem::Pickle(problem),
        _ => FileProblem::Format,
    })?;
    if !matches!(*magic.root(), Value::Long(MAGIC)) {
        return Err(FileProblem::Format);
    }
    let (version, rest) = Pickle::read(rest)?;
    if !matches!(*version.root(), Value::Integer(VERSION)) {
        return Err(FileProblem::Legacy("its version is not 1001"));
    }
    let (_machine, rest) = Pickle::read(rest)?;
    let (object, rest) = Pickle::read(rest)?;
    let (keys, rest) = Pickle::read(rest)?;
    let (entries, wanted) = of_pickle(&object)?;
    let slices = slices(&object, &keys, rest)?;
    let slices = wanted.iter().map(|key| slices.get(key.as_str()).copied());
    let slices = slices.collect::<Option<_>>();
    Ok(StateDict {
        entries,
        wrapper: String::new(),
        storages: Storages::Slices(slices.ok_or(FileProblem::Legacy("a storage is missing"))?),
    })
}

/// The bytes of each storage, by its key.
fn slices<'a>(
    object: &Pickle<'a>,
    keys: &Pickle<'a>,
    mut rest: &'a [u8],
) -> Result<HashMap<&'a str, &'a [u8]>, FileProblem> {
    let mut known: HashMap<&str, (Dtype, usize)> = HashMap::new();
    for storage in object.storages() {
        let description = (storage.dtype, storage.len);
        if *known.entry(storage.key).or_insert(description) != description {
            return Err(FileProblem::Legacy(
                "two tensors disagree about their storage",
            ));
        }
    }
    let Value::List(keys_in_order) = keys.root() else {
        return Err(FileProblem::Legacy("the list of storages is missing"));
    };
    let mut slices = HashMap::new();
    for key in keys_in_order {
        let key = keys.text(*key).unwrap_or_default();
        let Some((dtype, len)) = known.get(key) else {
            return Err(FileProblem::Legacy("a storage belongs to no tensor"));
        };
        let Some((stored, behind)) = rest.split_first_chunk() else {
            return Err(FileProblem::Legacy("it ends too early"));
        };
        if u64::from_le_bytes(*stored) != *len as u64 {
            return Err(FileProblem::Legacy(
                "a storage is of another length than its tensors say",
            ));
        }
        let size = len.checked_mul(dtype.size());
        let Some((elements, behind)) = size.and_then(|size| behind.split_at_checked(size)) else {
            return Err(FileProblem::Legacy("it ends too early"));
        };
        slices.insert(key, elements);
        rest = behind;
    }
    Ok(slices)
}
