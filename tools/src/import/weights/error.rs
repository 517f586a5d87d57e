//! Why weights could not be imported: which file, what is wrong in it, and what would be right.

use std::path::PathBuf;

use super::dtype::Dtype;
use super::matching::Mismatch;

/// Weights could not be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is of another kind, damaged, or wants more than tensors to be read.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: FileProblem,
    },
    /// The tensors are not those of the network.
    #[error("{}: {mismatch}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Every tensor that does not fit.
        mismatch: Mismatch,
    },
}

/// What is wrong with a file of weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// None of the formats.
    #[error("it is neither what torch.save writes nor a safetensors file")]
    Format,
    /// The ZIP archive is damaged.
    #[error("the ZIP archive is damaged: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// A ZIP archive of another program.
    #[error(
        "it is a ZIP archive, but not one of torch.save: it has {found} files called data.pkl; one is right"
    )]
    NotTorch {
        /// How many there are.
        found: usize,
    },
    /// A file that the archive should have.
    #[error("the archive has no file {name}")]
    NoEntry {
        /// The file's name in the archive.
        name: String,
    },
    /// A file of the archive that is not what the archive says.
    #[error("{name} in the archive is damaged: {what}")]
    Entry {
        /// The file's name in the archive.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A compressed file that would become too large.
    #[error(
        "{name} in the archive would take {size} bytes uncompressed; at most {most} are unpacked. torch.save does not compress: save the file again"
    )]
    Inflated {
        /// The file's name in the archive.
        name: String,
        /// Bytes it would take.
        size: u64,
        /// Bytes it may take.
        most: u64,
    },
    /// The pickle holds something else than a state dict, or is damaged.
    #[error(transparent)]
    Pickle(#[from] PickleProblem),
    /// The numbers behind the pickles of a legacy file are not there.
    #[error("it is damaged: {0}")]
    Legacy(&'static str),
    /// The safetensors file is damaged.
    #[error("it is no sound safetensors file: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// There is no state dict.
    #[error(
        "it holds {found}, not a state dict; write it with torch.save(model.state_dict(), PATH)"
    )]
    NoStateDict {
        /// What it holds.
        found: String,
    },
    /// Several state dicts.
    #[error("it holds several dicts of tensors ({keys}); save the right one alone")]
    Several {
        /// Under which keys.
        keys: String,
    },
    /// A name that two tensors have.
    #[error("two tensors are called {name}")]
    Twice {
        /// The name.
        name: String,
    },
    /// A tensor of integers.
    #[error("{tensor} holds {dtype}; weights are float32, float64, float16 or bfloat16")]
    Integers {
        /// The tensor.
        tensor: String,
        /// What its elements are.
        dtype: Dtype,
    },
    /// A tensor with more elements than its storage, or beyond its end.
    #[error(
        "{tensor} does not lie in its storage of {found} bytes; if it was expanded, save its contiguous() form"
    )]
    Storage {
        /// The tensor.
        tensor: String,
        /// Bytes of the storage.
        found: usize,
    },
}

/// What is wrong with a pickle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleProblem {
    /// It names something that a state dict has no use for: a class, or a function to call.
    #[error(
        "refuses to call {name}, which no state dict needs; a whole model is not read, nor any other object: write the weights alone with torch.save(model.state_dict(), PATH)"
    )]
    Refused {
        /// The full name.
        name: String,
    },
    /// An opcode that a state dict has no use for.
    #[error(
        "opcode {opcode:#04x} at byte {position} of the pickle is none that a state dict needs; write it with torch.save(model.state_dict(), PATH)"
    )]
    Opcode {
        /// The opcode.
        opcode: u8,
        /// Where it stands.
        position: usize,
    },
    /// The pickle has no end.
    #[error("the pickle is damaged: it ends too early")]
    Truncated,
    /// What no pickler writes.
    #[error("the pickle is damaged: {what} (before byte {position})")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where the reader stood.
        position: usize,
    },
    /// More values than any state dict has.
    #[error("the pickle has more than {most} values")]
    TooManyValues {
        /// As many as it may have.
        most: usize,
    },
}

impl PickleProblem {
    /// The refusal of `module.name`, of which a hostile file may make as much as it likes.
    pub(super) fn refused(module: &str, name: &str) -> Self {
        let shown = format!("{module}.{name}");
        let name = shown
            .chars()
            .take(120)
            .flat_map(char::escape_debug)
            .collect();
        Self::Refused { name }
    }
}
