//! Weights that were trained in PyTorch, for a network that a recipe describes: state dicts as `torch.save`
//! writes and wrote them, and safetensors files.
//!
//! A file is read in two steps, so that a hostile one can do no more than be refused. [`StateDict::parse`] reads
//! names, shapes and places; nothing in a pickle is called. [`pour`] finds the tensor of each layer, and only
//! those, whose shapes are the network's, have their values read.
//!
//! No crate was found that reads pickles this way: the general ones know no storages outside the pickle, and
//! those for checkpoints leave names they do not know where they stand, and bring tensors without their order.

mod archive;
mod dtype;
mod error;
mod legacy;
mod matching;
mod pickle;
mod safetensors;
mod state_dict;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use dtype::Dtype;
pub use error::{FileProblem, PickleProblem, WeightsError};
pub use matching::{MatchProblem, Matching, Mismatch};
pub use state_dict::{Entry, StateDict};

use crate::graph::Graph;

/// A network with the weights of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Poured {
    /// The network.
    pub network: Graph,
    /// How the tensors were found.
    pub matching: Matching,
    /// What stood before every name in the file and was not looked at; empty in most files.
    pub wrapper: String,
}

/// `network` with the weights in the file at `path`.
///
/// # Errors
/// [`WeightsError`] says what is wrong with the file, or lists every tensor that does not fit.
pub fn read(path: &Path, network: Graph) -> Result<Poured, WeightsError> {
    let bytes = std::fs::read(path).map_err(|source| WeightsError::Read {
        path: path.to_owned(),
        source,
    })?;
    pour(&bytes, network, path)
}

/// `network` with the weights in a file's bytes; `path` is for messages.
///
/// # Errors
/// [`WeightsError`] says what is wrong with the file, or lists every tensor that does not fit.
pub fn pour(bytes: &[u8], mut network: Graph, path: &Path) -> Result<Poured, WeightsError> {
    let of_file = |problem| WeightsError::File {
        path: path.to_owned(),
        problem,
    };
    let file = StateDict::parse(bytes).map_err(of_file)?;
    let (entries, matching) =
        matching::match_tensors(&file.entries, &network).map_err(|mismatch| {
            WeightsError::Mismatch {
                path: path.to_owned(),
                mismatch,
            }
        })?;
    for (tensor, entry) in network.tensors().iter().zip(entries) {
        let values = file.values(entry).map_err(of_file)?;
        tensor.from_pytorch(&values, network.values_mut(tensor));
    }
    Ok(Poured {
        network,
        matching,
        wrapper: file.wrapper,
    })
}

/// True if a file's name is one that weights go by, rather than whole networks.
pub fn is_named_as_weights(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["pt", "pth", "bin", "ckpt", "safetensors"]
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}
