//! Safetensors files: a table of names, shapes and places, then the elements, little-endian and contiguous.
//! The crate of that name checks the table.

use ::safetensors::{Dtype as StoredDtype, SafeTensors};

use super::dtype::Dtype;
use super::error::FileProblem;
use super::state_dict::{Entry, StateDict, Storages};

pub(super) fn read(bytes: &[u8]) -> Result<StateDict<'_>, FileProblem> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut entries = Vec::new();
    let mut slices = Vec::new();
    for (name, view) in file.iter() {
        entries.push(Entry {
            name: name.to_owned(),
            shape: view.shape().to_vec(),
            dtype: dtype(view.dtype()),
            storage: slices.len(),
            offset: 0,
            strides: contiguous(view.shape()),
        });
        slices.push(view.data());
    }
    Ok(StateDict {
        entries,
        wrapper: String::new(),
        storages: Storages::Slices(slices),
    })
}

fn dtype(stored: StoredDtype) -> Dtype {
    match stored {
        StoredDtype::F64 => Dtype::Float64,
        StoredDtype::F32 => Dtype::Float32,
        StoredDtype::F16 => Dtype::Float16,
        StoredDtype::BF16 => Dtype::BFloat16,
        // Integers, and the numbers of less than 2 bytes, which nobody reads as weights either.
        other => Dtype::Integer(other.bitsize().div_ceil(8)),
    }
}

/// The strides of a tensor without gaps, in elements.
fn contiguous(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for extent in (1..shape.len()).rev() {
        strides[extent - 1] = strides[extent].saturating_mul(shape[extent]);
    }
    strides
}
