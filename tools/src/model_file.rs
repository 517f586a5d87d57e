//! Model files on a host: mapped, and checked at once. Weights are used where they lie in the file.

use std::path::{Path, PathBuf};

use kinglet::{LoadError, Model};

use crate::mapped::MappedFile;

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

/// The bytes of a model file that has been found good. Any number of sessions, on any threads, can run over
/// the one [`model`](Self::model).
#[derive(Debug)]
pub struct ModelFile {
    bytes: MappedFile,
}

impl ModelFile {
    /// Maps and checks the model at `path`; see [`MappedFile`] for what becomes of files that change.
    ///
    /// # Errors
    /// [`ModelFileError`] names the file and says what is wrong.
    pub fn read(path: &Path) -> Result<Self, ModelFileError> {
        let bytes = MappedFile::open(path).map_err(|source| ModelFileError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::check(bytes).map_err(|reason| ModelFileError::Refused {
            path: path.to_owned(),
            reason,
        })
    }

    /// Takes a copy of a model's bytes.
    ///
    /// # Errors
    /// [`LoadError`] if they are not a valid model.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        Self::check(MappedFile::copy_of(bytes))
    }

    fn check(bytes: MappedFile) -> Result<Self, LoadError> {
        Model::load(&bytes)?;
        Ok(Self { bytes })
    }

    /// The model.
    ///
    /// # Panics
    /// If another program has written into the mapped file since it was checked.
    pub fn model(&self) -> Model<'_> {
        Model::load(&self.bytes).expect("the file was checked, and has changed since")
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use kinglet::SessionMemory;
    use kinglet_kernels::arch::detect;

    use super::*;

    /// The sample model of the whole-path tests.
    const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny.kgl");

    #[test]
    fn threads_share_one_mapped_model() {
        let file = ModelFile::read(TINY.as_ref()).unwrap();
        assert!(file.bytes.is_mapped());
        let model = file.model();
        let run = |pixels: &[u8]| {
            let mut memory = SessionMemory::new(&model, &detect(), 1);
            let mut session = memory.session(&model, detect()).unwrap();
            session.set_image_u8(pixels).unwrap();
            session.run().to_f32().into_owned()
        };
        let pixels: Vec<u8> = (0..16).map(|i| i * 15).collect();
        let expected = run(&pixels);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| run(&pixels))).collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), expected);
            }
        });
        let copy = ModelFile::from_bytes(file.bytes()).unwrap();
        assert_eq!(copy.model().id(), model.id());
    }

    #[test]
    fn what_is_no_model_is_refused_with_its_name() {
        let error = ModelFile::read("/no/such.kgl".as_ref()).unwrap_err();
        assert!(error.to_string().starts_with("cannot read /no/such.kgl: "));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.kgl");
        for content in [&b""[..], b"layers = []"] {
            std::fs::write(&path, content).unwrap();
            let error = ModelFile::read(&path).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{}: ", path.display())),
                "{error}"
            );
        }
    }
}
