//! Model files on a host: mapped, and checked at once. Weights are used where they lie in the file.

use std::path::{Path, PathBuf};

use kinglet::model::with_head;
use kinglet::{
    FineTuner, HeadError, HeadInfo, HeapArena, LoadError, Model, ModelId, Optimizer, SessionMemory,
    Sgd,
};
use kinglet_kernels::{Kernels, Portable};

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
    /// A saved head where a model is wanted.
    #[error(
        "{}: a saved head, not a model: give the model that it was trained from, and --head {}",
        path.display(), path.display()
    )]
    IsHead {
        /// The file.
        path: PathBuf,
    },
}

/// A saved head could not be used.
#[derive(Debug, thiserror::Error)]
pub enum HeadFileError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a head of this model, or damaged.
    #[error("{}: {reason}{}", path.display(), owner(reason, model))]
    Refused {
        /// The file.
        path: PathBuf,
        /// The model that it was to belong to, if any.
        model: Option<ModelId>,
        /// What is wrong with it.
        reason: HeadError,
    },
    /// The model has nothing that a head could replace.
    #[error("this model has no head: export or import it with --fine-tune last=K")]
    NotTrainable,
}

/// Which model is at hand, where the head is another's.
fn owner(reason: &HeadError, model: &Option<ModelId>) -> String {
    match (reason, model) {
        (HeadError::OtherModel { .. }, Some(model)) => format!("; this one is {model}"),
        _ => String::new(),
    }
}

/// How the name of a model file ends.
const MODEL: &str = "kgl";

/// How the name of a file with a saved head ends.
const HEAD: &str = "kgh";

/// Whether a file is named as a model.
pub fn is_named_as_model(path: &Path) -> bool {
    ends_with(path, MODEL)
}

/// Whether a file is named as a saved head.
pub fn is_named_as_head(path: &Path) -> bool {
    ends_with(path, HEAD)
}

fn ends_with(path: &Path, ending: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case(ending))
}

/// What the saved head at `path` says of itself.
///
/// # Errors
/// [`HeadFileError`] if it is none, or damaged.
pub fn head_info(path: &Path) -> Result<HeadInfo, HeadFileError> {
    HeadInfo::of(&read_head(path)?).map_err(|reason| HeadFileError::Refused {
        path: path.to_owned(),
        model: None,
        reason,
    })
}

/// Gives a tuner the head that is saved at `path`.
///
/// # Errors
/// [`HeadFileError`] if it is none that belongs to the tuner's model.
pub fn load_head<const OPS: u128, K: Kernels, O: Optimizer>(
    tuner: &mut FineTuner<'_, OPS, K, O>,
    path: &Path,
) -> Result<(), HeadFileError> {
    let head = read_head(path)?;
    let model = tuner.model().id();
    tuner
        .load_head(&head)
        .map_err(|reason| HeadFileError::Refused {
            path: path.to_owned(),
            model: Some(model),
            reason,
        })
}

fn read_head(path: &Path) -> Result<Vec<u8>, HeadFileError> {
    std::fs::read(path).map_err(|source| HeadFileError::Read {
        path: path.to_owned(),
        source,
    })
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
        let is_head = HeadInfo::of(&bytes).is_ok();
        Self::check(bytes).map_err(|reason| match is_head {
            true => ModelFileError::IsHead {
                path: path.to_owned(),
            },
            false => ModelFileError::Refused {
                path: path.to_owned(),
                reason,
            },
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

    /// The model with the head that a device, or `kinglet fine-tune`, has saved at `path`.
    ///
    /// # Errors
    /// [`HeadFileError`] if there is none that belongs to this model.
    pub fn with_head(&self, path: &Path) -> Result<Self, HeadFileError> {
        let model = self.model();
        let mut memory = SessionMemory::new(&model, &Portable, 1);
        let mut arena = HeapArena::new(model.sizes().training::<Sgd>());
        let session = memory
            .session(&model, Portable)
            .expect("the memory was made for this model");
        let mut tuner = FineTuner::new(session, &mut arena, Sgd::new(0.0, 0.0))
            .map_err(|_| HeadFileError::NotTrainable)?;
        load_head(&mut tuner, path)?;
        let tuned = with_head(&model, tuner.weights()).expect("the head is this model's");
        Ok(Self::from_bytes(&tuned).expect("it was written just now"))
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
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
