//! What a model is given on the command line: a picture or an array for each of its inputs.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::path::Path;

use kinglet::Model;
use kinglet::model::schema::Input;

use super::Failure;
use super::device::note;
use crate::array_layout::{ArrayLayout, Layout};
use crate::dataset::Dataset;
use crate::model_input::normalized;
use crate::npy::{Batch, Values};
use crate::picture::{self, Fit};

/// A batch of each input of a model, of which parts are read when they are needed.
pub(super) struct Inputs<'m> {
    /// Samples of the batch.
    pub(super) batch: usize,
    sources: Vec<Source<'m>>,
    /// What was told of what is in the files.
    told: Told,
}

/// An input of a model, and what it is given.
struct Source<'m> {
    input: Input<'m>,
    content: Content,
}

enum Content {
    /// Pixels of one picture, as the network has them.
    Picture(Vec<u8>),
    Array(Batch),
}

/// What is told once.
#[derive(Default)]
struct Told {
    plain_pixels: bool,
    not_finite: bool,
}

impl<'m> Inputs<'m> {
    /// Opens what is `given` for `model` with the option `option`: `FILE`, or `NAME=FILE` for one of several inputs.
    pub(super) fn open(
        option: &str,
        given: &[OsString],
        model: &Model<'m>,
        fit: Fit,
        layout: Option<Layout>,
    ) -> Result<Self, Failure> {
        let inputs: Vec<Input<'m>> = model.inputs().iter().collect();
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
        let mut opened = Self {
            batch: 0,
            sources: Vec::with_capacity(inputs.len()),
            told: Told::default(),
        };
        for ((input, tensor), file) in inputs.into_iter().zip(model.tensors().iter()).zip(files) {
            let name = input.name;
            let file = file.ok_or_else(|| {
                format!("the model's input {name} is missing: {option} {name}=FILE")
            })?;
            let array = ArrayLayout::new(tensor.shape, input.source.as_ref()).with(layout);
            let content = match is_npy(file) {
                true => Content::Array(Batch::open(file, &array)?),
                false => {
                    let pixels = picture::read(file, array.picture(), fit)?;
                    Content::Picture(array.picture_to_model(pixels))
                }
            };
            let batch = match &content {
                Content::Array(batch) => batch.len(),
                Content::Picture(_) => 1,
            };
            if !opened.sources.is_empty() && batch != opened.batch {
                return Err(format!(
                    "{}: a batch of {batch}, but that of the input {} is of {}; as many samples of each are right",
                    file.display(),
                    names[0],
                    opened.batch
                )
                .into());
            }
            opened.batch = batch;
            opened.sources.push(Source { input, content });
        }
        Ok(opened)
    }

    /// The samples in `range` of each input, as the network sees them, NHWC. Tells what may surprise of them.
    ///
    /// # Errors
    /// [`Failure`] if an array is of numbers that are no samples.
    pub(super) fn part(&mut self, range: Range<usize>) -> Result<Vec<Vec<f32>>, Failure> {
        let mut parts = Vec::with_capacity(self.sources.len());
        for Source { input, content } in &self.sources {
            let values = match content {
                Content::Picture(pixels) => Values::Pixels(pixels.clone()),
                Content::Array(batch) => batch.part(range.clone())?,
            };
            parts.push(match values {
                Values::Numbers(numbers) => {
                    self.told.note_not_finite(input.name, &numbers, &range);
                    numbers
                }
                Values::Pixels(pixels) => {
                    if input.normalization.is_empty() {
                        self.told.note_plain_pixels();
                    }
                    normalized(input, &pixels)
                }
            });
        }
        Ok(parts)
    }
}

impl Told {
    fn note_plain_pixels(&mut self) {
        if !std::mem::replace(&mut self.plain_pixels, true) {
            note_plain_pixels();
        }
    }

    /// Says where the first number is that is NaN or infinite.
    fn note_not_finite(&mut self, name: &str, numbers: &[f32], samples: &Range<usize>) {
        let place = numbers.iter().position(|x| !x.is_finite());
        let Some(place) = place.filter(|_| !self.not_finite) else {
            return;
        };
        self.not_finite = true;
        let each = numbers.len() / samples.len().max(1);
        note(&format!(
            "the input {name} has a value that is {} in sample {}: what a network makes of it means nothing",
            numbers[place],
            samples.start + place / each.max(1)
        ));
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

/// Says that there is nothing to tell apart in the samples at `indices`.
pub(super) fn note_one_class(
    data: &Dataset,
    indices: &[usize],
    name: impl Fn(usize) -> Option<String>,
) {
    let mut labels = indices.iter().map(|&index| data.label(index));
    let Some(first) = labels.next() else { return };
    if labels.all(|label| label == first) {
        let class = usize::from(first);
        let class = name(class).unwrap_or_else(|| format!("number {class}"));
        note(&format!(
            "all {} {} are of the class {class}: whoever learns from them alone calls everything so",
            indices.len(),
            data.noun()
        ));
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
