//! Labelled pictures: what a data set is, and how one is found in a folder.
//!
//! Pictures stay bytes, NHWC (`[count, height, width, channels]`), until a batch is normalized. Three
//! sources are understood, told apart by the files in the folder: IDX (MNIST, Fashion-MNIST), the binary
//! version of CIFAR-10, and a part of Fashion-MNIST that is embedded in the program.

mod cifar;
mod embedded;
mod error;
mod idx;
mod split;

use std::path::{Path, PathBuf};

use kinglet_kernels::Shape;

pub use embedded::embedded;
pub use error::DatasetError;
pub use split::{epoch_order, split};

/// Pictures of one shape, each with the number of its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    shape: Shape,
    images: Vec<u8>,
    labels: Vec<u8>,
}

impl Dataset {
    /// A data set of `labels.len()` pictures. `source` names the file in errors.
    ///
    /// # Errors
    /// [`DatasetError::Empty`] without a single picture, [`DatasetError::Counts`] if `images` is not one
    /// picture for each label.
    pub fn new(
        source: &Path,
        shape: Shape,
        images: Vec<u8>,
        labels: Vec<u8>,
    ) -> Result<Self, DatasetError> {
        if labels.is_empty() || shape.is_empty() {
            return Err(DatasetError::Empty {
                path: source.to_owned(),
            });
        }
        if images.len() != labels.len() * shape.len() {
            return Err(DatasetError::Counts {
                path: source.to_owned(),
                labels: labels.len(),
                images: images.len() / shape.len(),
            });
        }
        Ok(Self {
            shape,
            images,
            labels,
        })
    }

    /// Number of pictures; never 0.
    #[expect(clippy::len_without_is_empty, reason = "a data set is never empty")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Shape of one picture.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The bytes of picture `index`, `[height, width, channels]`.
    ///
    /// # Panics
    /// If there is no such picture.
    pub fn image(&self, index: usize) -> &[u8] {
        &self.images[index * self.shape.len()..][..self.shape.len()]
    }

    /// The class of picture `index`.
    ///
    /// # Panics
    /// If there is no such picture.
    pub fn label(&self, index: usize) -> u8 {
        self.labels[index]
    }

    /// The classes of all pictures.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// One more than the largest class number in use.
    pub fn classes_in_use(&self) -> usize {
        self.labels
            .iter()
            .max()
            .map_or(0, |&label| usize::from(label) + 1)
    }

    /// Makes bright dark and dark bright: the simplest shift of domain.
    pub fn invert(&mut self) {
        self.images
            .iter_mut()
            .for_each(|pixel| *pixel = 255 - *pixel);
    }

    /// The pictures at `indices`, in that order.
    ///
    /// # Panics
    /// If one does not exist.
    pub fn select(&self, indices: &[usize]) -> Self {
        Self {
            shape: self.shape,
            images: indices
                .iter()
                .flat_map(|&index| self.image(index))
                .copied()
                .collect(),
            labels: indices.iter().map(|&index| self.label(index)).collect(),
        }
    }

    /// The first `count` pictures and the rest.
    fn split_at(mut self, count: usize) -> (Self, Self) {
        let rest = Self {
            shape: self.shape,
            images: self.images.split_off(count * self.shape.len()),
            labels: self.labels.split_off(count),
        };
        (self, rest)
    }
}

/// A data set as it comes: pictures to train on, often others to test on, perhaps names of the classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// Where it came from, for messages.
    pub source: String,
    /// What may be trained on and validated with.
    pub train: Dataset,
    /// What no choice may depend on.
    pub test: Option<Dataset>,
    /// Names of the classes in the order of their numbers; empty if the folder has none.
    pub classes: Vec<String>,
}

impl Collection {
    /// Reads the data set in a folder, or in one CIFAR-10 batch file such as `sign32.bin`.
    ///
    /// A folder holds either IDX files under the names that MNIST and Fashion-MNIST use
    /// (`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-...`, each also with `.gz`) or
    /// CIFAR-10 batches (`data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin`, `batches.meta.txt`).
    /// Class names are read from `batches.meta.txt` or `classes.txt`, one in a line.
    ///
    /// # Errors
    /// [`DatasetError`] names the file and what is wrong with it.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        let collection = if path.is_file() {
            cifar::open_file(path)?
        } else {
            let names = file_names(path)?;
            if names.iter().any(|name| idx::is_idx_name(name)) {
                idx::open_folder(path, &names)?
            } else if names.iter().any(|name| cifar::is_cifar_name(name)) {
                cifar::open_folder(path, &names)?
            } else {
                return Err(DatasetError::NoData {
                    path: path.to_owned(),
                    empty: names.is_empty(),
                });
            }
        };
        collection.check()
    }

    /// Refuses parts of different shape and labels beyond the class names.
    fn check(self) -> Result<Self, DatasetError> {
        if let Some(test) = &self.test
            && test.shape() != self.train.shape()
        {
            return Err(DatasetError::TestShape {
                source_name: self.source,
                train: self.train.shape(),
                test: test.shape(),
            });
        }
        let in_use = self.classes_in_use();
        if !self.classes.is_empty() && in_use > self.classes.len() {
            return Err(DatasetError::LabelWithoutName {
                source_name: self.source,
                label: in_use - 1,
                names: self.classes.len(),
            });
        }
        Ok(self)
    }

    /// One more than the largest class number in either part.
    pub fn classes_in_use(&self) -> usize {
        let test = self.test.as_ref().map_or(0, Dataset::classes_in_use);
        self.train.classes_in_use().max(test)
    }
}

/// The names of the files in a folder, sorted.
fn file_names(path: &Path) -> Result<Vec<String>, DatasetError> {
    let read_error = |source| DatasetError::Read {
        path: path.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(read_error)? {
        let entry = entry.map_err(read_error)?;
        if !entry.path().is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The lines of the first of `candidates` that is there, without empty ones.
fn class_names(
    folder: &Path,
    names: &[String],
    candidates: &[&str],
) -> Result<Vec<String>, DatasetError> {
    let Some(name) = candidates.iter().find(|c| names.iter().any(|n| n == *c)) else {
        return Ok(Vec::new());
    };
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).map_err(|source| DatasetError::Read {
        path: path.clone(),
        source,
    })?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

/// A folder's file under the first of `stems` that is there, as it is or compressed.
fn find_file(folder: &Path, names: &[String], stems: &[&str]) -> Option<PathBuf> {
    stems
        .iter()
        .flat_map(|stem| [stem.to_string(), format!("{stem}.gz")])
        .find(|candidate| names.contains(candidate))
        .map(|name| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_folder_says_what_belongs_there() {
        let folder = tempfile::tempdir().unwrap();
        let error = Collection::open(folder.path()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "{}: the folder is empty; a data set is IDX files (train-images-idx3-ubyte[.gz], \
                 train-labels-idx1-ubyte[.gz]) or CIFAR-10 batches (data_batch_1.bin, ...)",
                folder.path().display()
            )
        );
    }

    #[test]
    fn a_folder_of_other_things_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes.txt"), "x").unwrap();
        let error = Collection::open(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("no data set is in this folder; a data set is IDX files"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = Collection::open(Path::new("/does/not/exist"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("cannot read /does/not/exist: "),
            "{error}"
        );
    }
}
