//! What a model is given on the command line: a picture or an array for each of its inputs.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use kinglet::Model;
use kinglet::model::schema::Input;

use super::Failure;
use super::device::note;
use crate::array_layout::{ArrayLayout, Layout};
use crate::dataset::Dataset;
use crate::model_input::normalized;
use crate::npy::{self, Values};
use crate::picture::{self, Fit};

/// A batch of each input of a model, as the network sees it.
pub(super) struct Inputs {
    /// Samples of the batch.
    pub(super) batch: usize,
    /// The values of each input, NHWC.
    pub(super) values: Vec<Vec<f32>>,
}

impl Inputs {
    /// Reads what is `given` for `model` with the option `option`: `FILE`, or `NAME=FILE` for one of several inputs.
    pub(super) fn read(
        option: &str,
        given: &[OsString],
        model: &Model<'_>,
        fit: Fit,
        layout: Option<Layout>,
    ) -> Result<Self, Failure> {
        let inputs: Vec<Input<'_>> = model.inputs().iter().collect();
        let names: Vec<&str> = inputs.iter().map(|input| input.name).collect();
        let mut files = vec![None; inputs.len()];
        for text in given {
            let (index, file) = assign(text, &names).ok_or_else(|| {
                format!(
                    "{option} {}: the model has {} inputs ({}); {option} NAME=FILE says which one a file is for",
                    text.display(),
                    names.len(),
                    names.join(", ")
                )
            })?;
            if files[index].replace(file).is_some() {
                return Err(format!("{option}: the input {} is there twice", names[index]).into());
            }
        }
        if fit == Fit::Resize && files.iter().flatten().all(|file| is_npy(file)) {
            return Err("--resize is for pictures; an array is taken as it is".into());
        }
        let mut read = Self {
            batch: 0,
            values: Vec::with_capacity(inputs.len()),
        };
        let mut plain = false;
        for ((input, tensor), file) in inputs.iter().zip(model.tensors().iter()).zip(files) {
            let name = input.name;
            let file = file.ok_or_else(|| {
                format!("the model's input {name} is missing: {option} {name}=FILE")
            })?;
            let array = ArrayLayout::new(tensor.shape, input.source.as_ref()).with(layout);
            let (batch, values) = match is_npy(file) {
                true => npy::read(file, &array)?,
                false => {
                    let pixels = picture::read(file, array.picture(), fit)?;
                    (1, Values::Pixels(array.picture_to_model(pixels)))
                }
            };
            if !read.values.is_empty() && batch != read.batch {
                return Err(format!(
                    "{}: a batch of {batch}, but that of the input {} is of {}; as many samples of each are right",
                    file.display(),
                    names[0],
                    read.batch
                )
                .into());
            }
            read.batch = batch;
            read.values.push(match values {
                Values::Numbers(numbers) => numbers,
                Values::Pixels(pixels) => {
                    plain |= input.normalization.is_empty();
                    normalized(input, &pixels)
                }
            });
        }
        if plain {
            note_plain_pixels();
        }
        Ok(read)
    }
}

/// Says what may surprise of how a data set's samples reach the network.
pub(super) fn note_samples(model: &Model<'_>, data: &Dataset) {
    let normalization = model.normalization();
    let changes =
        normalization.mean().any(|mean| mean != 0.0) || normalization.std().any(|std| std != 1.0);
    match data.is_images() {
        true if normalization.is_empty() => note_plain_pixels(),
        false if changes => note(
            "the samples are float32, which the network sees as they are: the model's mean and standard deviation are for pixels (uint8)",
        ),
        _ => {}
    }
}

/// Says that pixels are only divided by 255, which a network was hardly trained with that says nothing of it.
fn note_plain_pixels() {
    note(
        "the model file does not say how pixels are normalized: they are divided by 255; `kinglet import --normalize` writes it down",
    );
}

fn is_npy(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("npy"))
}

/// The input that a file is for, and the file: `NAME=FILE` where that begins with the name of an input, the longest
/// that does, or the file alone where there is one input.
fn assign<'t>(text: &'t OsStr, names: &[&str]) -> Option<(usize, &'t Path)> {
    let named = names.iter().enumerate().filter_map(|(index, name)| {
        let file = text.to_str()?.strip_prefix(name)?.strip_prefix('=')?;
        Some((index, file))
    });
    match named.min_by_key(|(_, file)| file.len()) {
        Some((index, file)) => Some((index, Path::new(file))),
        None => (names.len() == 1).then(|| (0, Path::new(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_for_the_input_of_its_name() {
        let of = |text: &'static str, names: &[&str]| assign(OsStr::new(text), names);
        assert_eq!(of("a.npy", &["x"]), Some((0, Path::new("a.npy"))));
        assert_eq!(of("x=a.npy", &["x"]), Some((0, Path::new("a.npy"))));
        // A file of such a name.
        assert_eq!(of("b=a.npy", &["x"]), Some((0, Path::new("b=a.npy"))));
        assert_eq!(of("b=a.npy", &["x", "b"]), Some((1, Path::new("a.npy"))));
        assert_eq!(of("a.npy", &["x", "b"]), None);
        assert_eq!(of("x:0=a", &["x", "x:0"]), Some((1, Path::new("a"))));
        assert_eq!(of("x=1=a", &["x", "x=1"]), Some((1, Path::new("a"))));
    }
}
