//! Labelled samples: what a data set is, and how one is found in a folder.
//!
//! Pictures stay bytes, NHWC (`[count, height, width, channels]`), until a batch is normalized; features stay
//! floats. Five sources are understood, told apart by what is in the folder: IDX (MNIST, Fashion-MNIST),
//! arrays of NumPy, the binary version of CIFAR-10, a folder of PNG or JPEG files for each class, and a part
//! of Fashion-MNIST that is embedded in the program.

mod cifar;
mod embedded;
mod error;
mod folder;
mod idx;
mod numpy;
mod options;
mod samples;
mod split;

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

pub use embedded::{BUILT_IN, embedded};
pub use error::DatasetError;
pub use numpy::ArrayProblem;
pub use options::{Answers, ReadOptions};
pub use samples::{Dataset, Sample};
pub use split::{epoch_order, split, spread};

/// A data set as it comes: samples to train on, often others to test on, perhaps names of the classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    /// Where it came from, for messages.
    pub source: String,
    /// What may be trained on and validated with.
    pub train: Dataset,
    /// How many of the last samples of `train` are to validate with, where the data set says so; otherwise the recipe
    /// decides.
    pub validation: Option<usize>,
    /// What no choice may depend on.
    pub test: Option<Dataset>,
    /// Names of the classes in the order of their numbers; empty if the folder has none.
    pub classes: Vec<String>,
}

impl Collection {
    /// Reads the data set in a folder, or in one `.npz` or CIFAR-10 `.bin` file, for a network that takes
    /// what `options` say.
    ///
    /// A folder holds one of these, looked for in this order:
    /// - IDX files under the names that MNIST and Fashion-MNIST use (`train-images-idx3-ubyte`,
    ///   `train-labels-idx1-ubyte`, `t10k-...`, each also with `.gz`);
    /// - NumPy arrays, `x_train.npy`, `y_train.npy`, `x_test.npy`, `y_test.npy`, or one `.npz` file of them;
    /// - CIFAR-10 batches (`data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin`);
    /// - a folder of PNG or JPEG files for each class, in `train`, `test` and `val` (or `valid`, `validation`), or all in
    ///   the folder itself.
    ///
    /// The first three take class names from `batches.meta.txt` (CIFAR-10) or `classes.txt`, one in a line.
    ///
    /// # Errors
    /// [`DatasetError`] names the file and what is wrong with it.
    pub fn open(path: &Path, options: &ReadOptions) -> Result<Self, DatasetError> {
        let collection = if path.is_file() {
            Self::open_file(path, options)?
        } else {
            Self::open_folder(path, options)?
        };
        collection.fitted(options)?.check()
    }

    fn open_file(path: &Path, options: &ReadOptions) -> Result<Self, DatasetError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".npz") {
            numpy::open_file(path, options)
        } else if cifar::is_cifar_name(&name) {
            cifar::open_file(path)
        } else {
            Err(DatasetError::OtherFile {
                path: path.to_owned(),
            })
        }
    }

    fn open_folder(path: &Path, options: &ReadOptions) -> Result<Self, DatasetError> {
        let names = file_names(path)?;
        let has = |is_one: fn(&str) -> bool| names.iter().any(|name| is_one(name));
        if has(idx::is_idx_name) {
            idx::open_folder(path, &names)
        } else if has(numpy::is_numpy_name) {
            numpy::open_folder(path, &names, options)
        } else if has(cifar::is_cifar_name) {
            cifar::open_folder(path, &names)
        } else if has(cifar::is_pickle_name) {
            Err(DatasetError::Pickled {
                path: path.to_owned(),
            })
        } else if let Some(inside) = data_set_inside(path) {
            // torchvision keeps what it downloads in folders of its own.
            Err(DatasetError::Inside {
                path: path.to_owned(),
                inside,
            })
        } else if folder::is_picture_folder(path)? {
            folder::open_folder(path, options)
        } else {
            Err(DatasetError::NoData {
                path: path.to_owned(),
                empty: names.is_empty(),
            })
        }
    }

    /// The samples as `options` say: pictures scaled to a size, if there is one ([`crate::picture::resize`]), and in the
    /// order of a model that takes gray pictures as arrays of two axes.
    ///
    /// # Errors
    /// [`DatasetError::NotImages`] if the samples are no pictures and are to be scaled.
    pub fn fitted(self, options: &ReadOptions) -> Result<Self, DatasetError> {
        let fitted = |part: Dataset| -> Result<Dataset, DatasetError> {
            let part = match options.resize {
                Some(size) => part.resized(size)?,
                None => part,
            };
            Ok(match &options.arrays {
                Some(arrays) => part.arranged(arrays),
                None => part,
            })
        };
        Ok(Self {
            train: fitted(self.train)?,
            test: self.test.map(fitted).transpose()?,
            ..self
        })
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

    /// The places in `train` to train on and those to validate with: as the data set has them, or else at random, the
    /// latter being `fraction` of all (see [`split`](split())).
    ///
    /// # Errors
    /// [`DatasetError::Split`] as of [`split`](split()).
    pub fn parts(
        &self,
        fraction: f64,
        seed: u64,
    ) -> Result<(Vec<usize>, Vec<usize>), DatasetError> {
        let count = self.train.len();
        match self.validation {
            Some(validation) => {
                let first = count.saturating_sub(validation);
                Ok(((0..first).collect(), (first..count).collect()))
            }
            None => split(count, fraction, seed),
        }
    }

    /// One more than the largest class number in either part.
    pub fn classes_in_use(&self) -> usize {
        let test = self.test.as_ref().map_or(0, Dataset::classes_in_use);
        self.train.classes_in_use().max(test)
    }
}

/// A folder inside `path`, at most two levels down, with the files of a data set.
fn data_set_inside(path: &Path) -> Option<PathBuf> {
    let inside = WalkDir::new(path)
        .min_depth(2)
        .max_depth(3)
        .sort_by_file_name();
    inside.into_iter().flatten().find_map(|entry| {
        let name = entry.file_name().to_str()?;
        let is_one =
            idx::is_idx_name(name) || cifar::is_standard_name(name) || cifar::is_pickle_name(name);
        is_one.then(|| entry.path().parent().map(Path::to_owned))?
    })
}

/// The names of the files in a folder, sorted. One that is not UTF-8 belongs to no data set.
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
mod tests;
