//! Arrays of NumPy: `x_train.npy`, `y_train.npy`, `x_test.npy`, `y_test.npy` in a folder, or the same names
//! in one `.npz` file; `x` and `y`, or `images` and `labels`, where there is no test part.
//!
//! uint8 arrays are pictures, float arrays are features: the network sees them as they are. For a model they lie as in
//! the file that it was made from. Of others `[n, h, w]` has one channel and `[n, features]` no place, and
//! `[n, a, b, c]` is NHWC or NCHW, whichever has the channels of the network's input; where both have, whichever has
//! its height and width too; and what is still open then is refused. Labels are one integer for each sample; for a network that
//! is trained on values there are numbers instead, `[n]`, `[n, values]` or, of pictures, NCHW.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use kinglet_kernels::Shape;
use zip::ZipArchive;

use super::{Answers, Collection, Dataset, DatasetError, ReadOptions, class_names};
use crate::array_layout::{ArrayLayout, Layout};
use crate::npy::{Array, ArrayError, Elements};

/// Names of samples and their labels, in the order in which they are looked for.
const TRAIN: [[&str; 2]; 4] = [
    ["x_train", "y_train"],
    ["train_images", "train_labels"],
    ["x", "y"],
    ["images", "labels"],
];
const TEST: [[&str; 2]; 2] = [["x_test", "y_test"], ["test_images", "test_labels"]];

/// Why an array is not what a data set has.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum ArrayProblem {
    /// It could not be read.
    #[error(transparent)]
    Array(#[from] ArrayError),
    /// It could not be taken out of its archive.
    #[error("cannot be read: {0}")]
    Archive(String),
    /// Samples that are neither bytes nor floats.
    #[error(
        "pictures are uint8 and features float32, these are other integers: x.astype(\"uint8\")"
    )]
    IntegerSamples,
    /// A feature that is not a number.
    #[error("sample {sample} has a feature that is {value}")]
    NotFinite {
        /// From 0.
        sample: usize,
        /// NaN or infinite.
        value: f32,
    },
    /// Samples of one or of many axes.
    #[error(
        "the shape is {0:?}; samples are [n, height, width, channels], [n, channels, height, width], \
         [n, height, width] or [n, features]"
    )]
    Axes(Vec<usize>),
    /// No axis has the network's channels.
    #[error(
        "the shape is {shape:?}, but the network's input has {channels} channels: neither the last axis \
         nor the second has"
    )]
    Channels {
        /// Of the array.
        shape: Vec<usize>,
        /// Of the network's input.
        channels: usize,
    },
    /// The order that was asked for does not fit.
    #[error("the shape is {shape:?}; with --layout {layout} the model takes {right}")]
    Layout {
        /// Of the array.
        shape: Vec<usize>,
        /// What was asked for.
        layout: Layout,
        /// What would be right.
        right: String,
    },
    /// Both orders are possible.
    #[error(
        "the shape {0:?} may be NHWC or NCHW; save it as [n, height, width] if there is one channel, \
         or with the height and width of the network's input"
    )]
    Ambiguous(Vec<usize>),
    /// Labels of more than one axis.
    #[error(
        "the shape is {0:?}, but labels are one number for each sample, [n]; of one-hot rows take y.argmax(1)"
    )]
    LabelAxes(Vec<usize>),
    /// Labels that are no integers.
    #[error(
        "labels are integers, these are floats: y.astype(\"int64\"), or loss = \"MSELoss\" under [train] if they are what the \
         outputs ought to be"
    )]
    FloatLabels,
    /// A target that is not a number.
    #[error("sample {sample} has a target that is {value}")]
    TargetNotFinite {
        /// From 0.
        sample: usize,
        /// NaN or infinite.
        value: f32,
    },
    /// Targets of no samples, or of other axes than targets have.
    #[error(
        "the shape is {shape:?}, but there are {samples} samples; targets are [n], [n, values] or [n, channels, height, width]"
    )]
    Targets {
        /// Of the array.
        shape: Vec<usize>,
        /// Samples there are.
        samples: usize,
    },
    /// A label that is no class number.
    #[error("label {label} of sample {sample} is not a class number: those go from 0 to 255")]
    Label {
        /// From 0.
        sample: usize,
        /// What is there.
        label: i64,
    },
}

/// True for a file that only such a data set has.
pub(super) fn is_numpy_name(name: &str) -> bool {
    let known = |stem| {
        TRAIN
            .iter()
            .chain(&TEST)
            .flatten()
            .any(|name| *name == stem)
    };
    name.ends_with(".npz") || name.strip_suffix(".npy").is_some_and(known)
}

/// Reads the arrays of a folder, or its only archive.
pub(super) fn open_folder(
    folder: &Path,
    names: &[String],
    options: &ReadOptions,
) -> Result<Collection, DatasetError> {
    let archives: Vec<&String> = names.iter().filter(|name| name.ends_with(".npz")).collect();
    let collection = match archives.as_slice() {
        [] => {
            let stems = names.iter().filter_map(|name| name.strip_suffix(".npy"));
            let stems: Vec<String> = stems.map(str::to_owned).collect();
            read(folder, &stems, options, |name| {
                let path = folder.join(format!("{name}.npy"));
                std::fs::read(&path).map_err(|source| DatasetError::Read { path, source })
            })?
        }
        [archive] => open_file(&folder.join(archive), options)?,
        [first, second, ..] => {
            return Err(DatasetError::Archives {
                path: folder.to_owned(),
                first: (*first).clone(),
                second: (*second).clone(),
            });
        }
    };
    Ok(Collection {
        classes: class_names(folder, names, &["classes.txt"])?,
        ..collection
    })
}

/// Reads one `.npz` file.
pub(super) fn open_file(path: &Path, options: &ReadOptions) -> Result<Collection, DatasetError> {
    let file = File::open(path).map_err(|source| DatasetError::Read {
        path: path.to_owned(),
        source,
    })?;
    let wrong = |name: &str, problem: ArrayProblem| DatasetError::Array {
        array: format!("{}{name}", path.display()),
        problem,
    };
    let archive = |error: zip::result::ZipError| ArrayProblem::Archive(error.to_string());
    let mut zip =
        ZipArchive::new(BufReader::new(file)).map_err(|error| wrong("", archive(error)))?;
    let names: Vec<String> = zip
        .file_names()
        .filter_map(|name| name.strip_suffix(".npy"))
        .map(str::to_owned)
        .collect();
    read(path, &names, options, |name| {
        let wrong = |problem| wrong(&format!(": {name}"), problem);
        let mut entry = zip
            .by_name(&format!("{name}.npy"))
            .map_err(|error| wrong(archive(error)))?;
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|error| wrong(ArrayProblem::Archive(error.to_string())))?;
        Ok(bytes)
    })
}

/// Puts the parts together from the arrays called `names`, which `load` gets.
fn read(
    source: &Path,
    names: &[String],
    options: &ReadOptions,
    mut load: impl FnMut(&str) -> Result<Vec<u8>, DatasetError>,
) -> Result<Collection, DatasetError> {
    let has = |name: &str| names.iter().any(|n| n == name);
    let mut part = |pairs: &[[&'static str; 2]]| {
        let Some(&[x, y]) = pairs.iter().find(|pair| pair.iter().any(|name| has(name))) else {
            return Ok(None);
        };
        for (found, missing) in [(x, y), (y, x)] {
            if !has(missing) {
                return Err(DatasetError::MissingArray {
                    path: source.to_owned(),
                    found,
                    missing,
                });
            }
        }
        let mut get = |name: &str| -> Result<(String, Array), DatasetError> {
            let array = format!("{}: {name}", source.display());
            match Array::parse(&load(name)?) {
                Ok(parsed) => Ok((array, parsed)),
                Err(error) => Err(DatasetError::Array {
                    array,
                    problem: error.into(),
                }),
            }
        };
        let (x, y) = (get(x)?, get(y)?);
        dataset(x, y, options).map(Some)
    };
    let (train, test) = match (part(&TRAIN)?, part(&TEST)?) {
        (Some(train), test) => (train, test),
        (None, Some(test)) => (test, None),
        (None, None) => {
            return Err(DatasetError::NoArrays {
                path: source.to_owned(),
                found: names.to_vec(),
            });
        }
    };
    Ok(Collection {
        source: source.display().to_string(),
        train,
        validation: None,
        test,
        classes: Vec::new(),
    })
}

/// One part from its two arrays, each with its name for messages.
fn dataset(
    (x_name, x): (String, Array),
    (y_name, y): (String, Array),
    options: &ReadOptions,
) -> Result<Dataset, DatasetError> {
    let x_wrong = |problem| DatasetError::Array {
        array: x_name.clone(),
        problem,
    };
    let y_wrong = |problem| DatasetError::Array {
        array: y_name.clone(),
        problem,
    };
    let is_of_values = match options.answers {
        Answers::Classes => false,
        Answers::Values => true,
        Answers::Either => matches!(y.elements, Elements::Floats(_)),
    };
    let samples = x.shape.first().copied().unwrap_or(0);
    let (labels, targets) = match is_of_values {
        true => (
            vec![0; samples],
            Some(targets(y, samples).map_err(y_wrong)?),
        ),
        false => (labels(y).map_err(y_wrong)?, None),
    };
    if x.shape.contains(&0) {
        return Err(DatasetError::Empty {
            path: x_name.into(),
        });
    }
    let layout = layout(&x.shape, options).map_err(x_wrong)?;
    let shape = layout.shape();
    let path = Path::new(&y_name);
    let dataset = match x.elements {
        Elements::Bytes(pixels) => Dataset::new(path, shape, layout.to_model(pixels), labels),
        Elements::Floats(features) => {
            if let Some(place) = features.iter().position(|x| !x.is_finite()) {
                return Err(x_wrong(ArrayProblem::NotFinite {
                    sample: place / shape.len(),
                    value: features[place],
                }));
            }
            Dataset::from_features(path, shape, layout.to_model(features), labels)
        }
        Elements::Integers(_) => Err(x_wrong(ArrayProblem::IntegerSamples)),
    }?;
    Ok(match targets {
        Some((len, values)) => dataset.with_targets(len, values),
        None => dataset,
    })
}

/// What the outputs ought to be for each of `samples`: how many numbers, and all of them, those of pictures NHWC.
fn targets(array: Array, samples: usize) -> Result<(usize, Vec<f32>), ArrayProblem> {
    let layout = match *array.shape {
        [n] if n == samples => ArrayLayout::channels_last(Shape::vector(1)),
        [n, len] if n == samples => ArrayLayout::channels_last(Shape::vector(len)),
        [n, channels, height, width] if n == samples => {
            ArrayLayout::channels_first(Shape::new(height, width, channels))
        }
        _ => {
            let shape = array.shape;
            return Err(ArrayProblem::Targets { shape, samples });
        }
    };
    let values: Vec<f32> = match array.elements {
        Elements::Bytes(values) => values.into_iter().map(f32::from).collect(),
        Elements::Integers(values) => values.into_iter().map(|x| x as f32).collect(),
        Elements::Floats(values) => values,
    };
    let len = layout.shape().len().max(1);
    match values.iter().position(|x| !x.is_finite()) {
        Some(place) => Err(ArrayProblem::TargetNotFinite {
            sample: place / len,
            value: values[place],
        }),
        None => Ok((len, layout.to_model(values))),
    }
}

fn labels(array: Array) -> Result<Vec<u8>, ArrayProblem> {
    if !matches!(*array.shape, [_] | [_, 1]) {
        return Err(ArrayProblem::LabelAxes(array.shape));
    }
    match array.elements {
        Elements::Bytes(labels) => Ok(labels),
        Elements::Integers(labels) => labels
            .into_iter()
            .enumerate()
            .map(|(sample, label)| {
                u8::try_from(label).map_err(|_| ArrayProblem::Label { sample, label })
            })
            .collect(),
        Elements::Floats(_) => Err(ArrayProblem::FloatLabels),
    }
}

/// How samples of these axes lie, for a network of that input.
fn layout(axes: &[usize], options: &ReadOptions) -> Result<ArrayLayout, ArrayProblem> {
    if let Some(own) = &options.arrays {
        let count = axes.first().copied();
        if count.is_some() && own.batch(axes) == count {
            return Ok(own.clone());
        }
        if let Some(layout) = options.layout {
            return Err(ArrayProblem::Layout {
                shape: axes.to_vec(),
                layout,
                right: own.describe(),
            });
        }
    }
    let input = options.input;
    let last = ArrayLayout::channels_last;
    match *axes {
        [_, features] => Ok(last(Shape::vector(features))),
        [_, height, width] => Ok(last(Shape::new(height, width, 1))),
        [_, a, b, c] => {
            let (nhwc, nchw) = (Shape::new(a, b, c), Shape::new(b, c, a));
            let first = ArrayLayout::channels_first;
            match (c == input.channels, a == input.channels) {
                (true, false) => Ok(last(nhwc)),
                (false, true) => Ok(first(nchw)),
                (false, false) => Err(ArrayProblem::Channels {
                    shape: axes.to_vec(),
                    channels: input.channels,
                }),
                (true, true) if nhwc == nchw && input.channels == 1 => Ok(last(nhwc)),
                (true, true) => match (nhwc == input, nchw == input) {
                    (true, false) => Ok(last(nhwc)),
                    (false, true) => Ok(first(nchw)),
                    _ => Err(ArrayProblem::Ambiguous(axes.to_vec())),
                },
            }
        }
        _ => Err(ArrayProblem::Axes(axes.to_vec())),
    }
}

#[cfg(test)]
mod tests;
