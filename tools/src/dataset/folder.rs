//! A folder for each class, as torchvision's `ImageFolder` has it: `DIR/train/CLASS/*.png`, the test
//! pictures in `DIR/test/CLASS`, those to validate with in `DIR/val/CLASS` (or `valid`, `validation`); or `DIR/CLASS/*.png`
//! without other parts. The folders' names, sorted, are the classes, unless the network has names for them.
//!
//! What is read: PNG and JPEG files by their ending (`.png`, `.jpg`, `.jpeg`), also in folders inside a
//! class folder. What is passed over, as torchvision does: files of other endings; and whatever begins with
//! a dot (`.DS_Store`, `.ipynb_checkpoints`). What is refused rather than left out: pictures of the formats
//! that torchvision reads and this does not, and a class folder without a picture.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use kinglet_kernels::Shape;
use rayon::prelude::*;
use walkdir::{DirEntry, WalkDir};

use super::{Collection, Dataset, DatasetError, ReadOptions};
use crate::picture::{Picture, PictureError, resize};

const PICTURES: [&str; 3] = ["png", "jpg", "jpeg"];

/// What else torchvision's `IMG_EXTENSIONS` has, and GIF.
const FOREIGN: [&str; 7] = ["ppm", "bmp", "pgm", "tif", "tiff", "webp", "gif"];

const TRAIN: &str = "train";
const TEST: &str = "test";
/// Names of the part to validate with, in the order in which they are looked for.
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];

/// Classes that a label has room for.
const MAX_CLASSES: usize = u8::MAX as usize + 1;

/// True if the folder has a folder in it that a picture data set may have.
pub(super) fn is_picture_folder(folder: &Path) -> Result<bool, DatasetError> {
    Ok(!class_folders(folder)?.is_empty())
}

/// Reads the parts that a folder has. With one part alone, that is what may be trained on.
pub(super) fn open_folder(
    folder: &Path,
    options: &ReadOptions,
) -> Result<Collection, DatasetError> {
    let part = |name: &str| Some(folder.join(name)).filter(|path| path.is_dir());
    let validation = VALIDATION.iter().find_map(|name| part(name));
    let (train, validation, test) = match (part(TRAIN), validation, part(TEST)) {
        (Some(train), validation, test) => (train, validation, test),
        (None, Some(validation), test) => (validation, None, test),
        (None, None, Some(test)) => (test, None, None),
        (None, None, None) => (folder.to_owned(), None, None),
    };
    let mut files = Files::find(&train, &options.classes)?;
    let read = |files: Files, size: &Size| {
        let names = files.names(folder);
        let dataset = files.read(options.input.channels, size)?;
        Ok::<_, DatasetError>(dataset.with_files(names))
    };
    let classes = files.classes.clone();
    let find = |part: &PathBuf| Files::find(part, &classes);
    let test = test.as_ref().map(find).transpose()?;
    let validation = validation.as_ref().map(find).transpose()?;
    let validation = validation.map(|part| {
        files.labelled.extend_from_slice(&part.labelled);
        part.labelled.len()
    });
    let size = match options.resize {
        Some(size) => Size::Resize(size),
        None => Size::as_first(&files)?,
    };
    Ok(Collection {
        source: folder.display().to_string(),
        train: read(files, &size)?,
        validation,
        test: test.map(|test| read(test, &size)).transpose()?,
        classes,
    })
}

/// The size that all pictures have.
enum Size {
    /// They are scaled to it.
    Resize([usize; 2]),
    /// They have that of the first one.
    First(PathBuf, [usize; 2]),
}

impl Size {
    fn as_first(files: &Files) -> Result<Self, DatasetError> {
        // A class folder without a picture is an error, so there is a first one.
        let (path, _) = files.labelled.first().ok_or_else(|| DatasetError::Empty {
            path: files.folder.clone(),
        })?;
        Ok(Self::First(path.clone(), Picture::open(path)?.size()))
    }

    fn extents(&self) -> [usize; 2] {
        match *self {
            Self::Resize(size) | Self::First(_, size) => size,
        }
    }
}

/// The picture files of one part.
struct Files {
    folder: PathBuf,
    classes: Vec<String>,
    /// Each with its class, in the order of classes and names.
    labelled: Vec<(PathBuf, u8)>,
}

impl Files {
    /// Finds the pictures. `known` are the classes in the order of their numbers; where there is none, the
    /// folders are.
    fn find(folder: &Path, known: &[String]) -> Result<Self, DatasetError> {
        let folders = class_folders(folder)?;
        if folders.is_empty() {
            return Err(DatasetError::NoClasses {
                path: folder.to_owned(),
            });
        }
        let pictures: Vec<Vec<PathBuf>> = folders
            .iter()
            .map(|path| pictures(path))
            .collect::<Result<_, _>>()?;
        if pictures.iter().all(Vec::is_empty) {
            return Err(DatasetError::NoData {
                path: folder.to_owned(),
                empty: false,
            });
        }
        let names: Vec<String> = folders
            .iter()
            .map(|path| class_name(path))
            .collect::<Result<_, _>>()?;
        let classes = if known.is_empty() { &names } else { known };
        if classes.len() > MAX_CLASSES {
            return Err(DatasetError::TooManyClasses {
                source_name: folder.display().to_string(),
                found: classes.len(),
            });
        }
        let mut labelled = Vec::new();
        for ((path, name), pictures) in folders.iter().zip(&names).zip(pictures) {
            let label = classes.iter().position(|class| class == name);
            // The number of classes was checked.
            let label = label.ok_or_else(|| DatasetError::UnknownClass {
                path: path.clone(),
                known: classes.to_vec(),
            })? as u8;
            if pictures.is_empty() {
                return Err(DatasetError::EmptyClass { path: path.clone() });
            }
            labelled.extend(pictures.into_iter().map(|picture| (picture, label)));
        }
        Ok(Self {
            folder: folder.to_owned(),
            classes: classes.to_vec(),
            labelled,
        })
    }

    /// The paths of all pictures from `root`.
    fn names(&self, root: &Path) -> Vec<String> {
        let name = |(path, _): &(PathBuf, u8)| {
            let path = path.strip_prefix(root).unwrap_or(path);
            path.display().to_string()
        };
        self.labelled.iter().map(name).collect()
    }

    /// Decodes all pictures, on all cores.
    fn read(&self, channels: usize, size: &Size) -> Result<Dataset, DatasetError> {
        let [height, width] = size.extents();
        let shape = Shape::new(height, width, channels);
        let count = self.labelled.len();
        let too_large = || DatasetError::Memory {
            source_name: self.folder.display().to_string(),
            count,
            shape,
        };
        let length = count.checked_mul(shape.len()).ok_or_else(too_large)?;
        let mut pixels = Vec::new();
        pixels.try_reserve_exact(length).map_err(|_| too_large())?;
        pixels.resize(length, 0);
        // Of several wrong files the first is reported, whichever thread finds one first.
        let wrong = pixels
            .par_chunks_exact_mut(shape.len())
            .zip(&self.labelled)
            .filter_map(|(target, (path, _))| read_one(path, size, channels, target).err())
            .find_first(|_| true);
        match wrong {
            Some(error) => Err(error),
            None => {
                let labels = self.labelled.iter().map(|&(_, label)| label).collect();
                Dataset::new(&self.folder, shape, pixels, labels)
            }
        }
    }
}

/// The name of a class folder.
fn class_name(path: &Path) -> Result<String, DatasetError> {
    let name = path.file_name().and_then(OsStr::to_str);
    name.map(str::to_owned)
        .ok_or_else(|| DatasetError::ClassName {
            path: path.to_owned(),
        })
}

fn read_one(
    path: &Path,
    size: &Size,
    channels: usize,
    target: &mut [u8],
) -> Result<(), DatasetError> {
    let picture = Picture::open(path)?;
    let found = picture.size();
    if let Size::First(first, first_size) = size
        && found != *first_size
    {
        return Err(DatasetError::Sizes {
            first: first.clone(),
            first_size: *first_size,
            other: path.to_owned(),
            other_size: found,
        });
    }
    let pixels = picture
        .into_channels(channels)
        .ok_or_else(|| PictureError::Channels {
            path: path.to_owned(),
            channels,
        })?;
    match size {
        Size::First(..) => target.copy_from_slice(&pixels),
        Size::Resize(size) => {
            let shape = Shape::new(found[0], found[1], channels);
            target.copy_from_slice(&resize(shape, &pixels, *size));
        }
    }
    Ok(())
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

/// The folders in `folder`, sorted by name, without hidden ones.
fn class_folders(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let mut folders = Vec::new();
    let entries = WalkDir::new(folder)
        .min_depth(1)
        .max_depth(1)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !is_hidden(entry));
    for entry in entries {
        let entry = entry.map_err(|error| DatasetError::walk(folder, error))?;
        if entry.file_type().is_dir() {
            folders.push(entry.into_path());
        }
    }
    Ok(folders)
}

/// The picture files in `folder` and the folders in it, sorted by name. Links are followed, but not in
/// circles.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let mut pictures = Vec::new();
    let entries = WalkDir::new(folder)
        .min_depth(1)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !is_hidden(entry));
    for entry in entries {
        let entry = entry.map_err(|error| DatasetError::walk(folder, error))?;
        if entry.file_type().is_dir() {
            continue;
        }
        let extension = entry.path().extension().unwrap_or_default();
        let is = |endings: &[&str]| endings.iter().any(|e| extension.eq_ignore_ascii_case(e));
        if is(&FOREIGN) {
            return Err(DatasetError::ForeignPicture {
                path: entry.into_path(),
            });
        }
        if is(&PICTURES) {
            pictures.push(entry.into_path());
        }
    }
    Ok(pictures)
}

#[cfg(test)]
mod tests;
