//! Model files on a host: read whole into aligned memory, checked at once.

use std::path::{Path, PathBuf};

use kinglet::{AlignedBytes, LoadError, Model};

/// A model file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a model, or damaged.
    #[error("{}: {reason}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: LoadError,
    },
}

/// The bytes of a model file that has been found good.
#[derive(Debug)]
pub struct ModelFile {
    bytes: AlignedBytes,
}

impl ModelFile {
    /// Reads and checks the model at `path`.
    ///
    /// # Errors
    /// [`ModelFileError`] names the file and says what is wrong.
    pub fn read(path: &Path) -> Result<Self, ModelFileError> {
        let bytes = std::fs::read(path).map_err(|source| ModelFileError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_bytes(&bytes).map_err(|reason| ModelFileError::Refused {
            path: path.to_owned(),
            reason,
        })
    }

    /// Takes a copy of a model's bytes.
    ///
    /// # Errors
    /// [`LoadError`] if they are not a valid model.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        let file = Self {
            bytes: AlignedBytes::from(bytes),
        };
        Model::load(&file.bytes)?;
        Ok(file)
    }

    /// The model.
    ///
    /// # Panics
    /// Never: the bytes were checked when they were read, and do not change.
    pub fn model(&self) -> Model<'_> {
        Model::load(&self.bytes).expect("checked when read")
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
