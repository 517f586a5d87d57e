//! A data set in memory: samples of one shape, each with the number of its class, or with numbers of its own.

use std::path::Path;

use kinglet_kernels::Shape;

use super::DatasetError;
use crate::array_layout::ArrayLayout;
use crate::picture;

/// Samples of one shape, each with the number of its class.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    shape: Shape,
    values: Values,
    labels: Vec<u8>,
    targets: Option<Targets>,
    /// The file of each sample, where each has one of its own.
    files: Option<Vec<String>>,
}

/// What a network's outputs ought to be, where that is no class.
#[derive(Debug, Clone, PartialEq)]
struct Targets {
    /// Values of one sample.
    len: usize,
    values: Vec<f32>,
}

/// All samples one after the other, NHWC.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    Pixels(Vec<u8>),
    Features(Vec<f32>),
}

/// One sample, `[height, width, channels]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample<'a> {
    /// A picture: the network sees `(byte / 255 - mean) / std`.
    Image(&'a [u8]),
    /// Numbers of any range, as from a microphone: the network sees them as they are.
    Features(&'a [f32]),
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
        Self::checked(source, shape, Values::Pixels(images), labels)
    }

    /// A data set of `labels.len()` samples that are no pictures. `source` names the file in errors.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn from_features(
        source: &Path,
        shape: Shape,
        features: Vec<f32>,
        labels: Vec<u8>,
    ) -> Result<Self, DatasetError> {
        Self::checked(source, shape, Values::Features(features), labels)
    }

    fn checked(
        source: &Path,
        shape: Shape,
        values: Values,
        labels: Vec<u8>,
    ) -> Result<Self, DatasetError> {
        let found = match &values {
            Values::Pixels(pixels) => pixels.len(),
            Values::Features(features) => features.len(),
        };
        if found == 0 || shape.is_empty() {
            return Err(DatasetError::Empty {
                path: source.to_owned(),
            });
        }
        if labels.len().checked_mul(shape.len()) != Some(found) {
            return Err(DatasetError::Counts {
                path: source.to_owned(),
                labels: labels.len(),
                images: found / shape.len(),
            });
        }
        Ok(Self {
            shape,
            values,
            labels,
            targets: None,
            files: None,
        })
    }

    /// The same with `len` numbers for each sample, which a network's outputs ought to be; they count as of one class.
    ///
    /// # Panics
    /// If there are not as many for each.
    pub(crate) fn with_targets(self, len: usize, values: Vec<f32>) -> Self {
        assert_eq!(values.len(), len * self.len(), "as many for each sample");
        Self {
            targets: Some(Targets { len, values }),
            ..self
        }
    }

    /// How many numbers a network's outputs ought to be for each sample; none where it has a class.
    pub fn target_len(&self) -> Option<usize> {
        self.targets.as_ref().map(|targets| targets.len)
    }

    /// What a network's outputs ought to be for sample `index`; none where it has a class.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn target(&self, index: usize) -> Option<&[f32]> {
        let targets = self.targets.as_ref()?;
        Some(&targets.values[index * targets.len..][..targets.len])
    }

    /// The same with the file of each sample, as a person would look for it in the data set's folder.
    ///
    /// # Panics
    /// If there is not one for each sample.
    pub(super) fn with_files(self, files: Vec<String>) -> Self {
        assert_eq!(files.len(), self.len(), "a file for each sample");
        Self {
            files: Some(files),
            ..self
        }
    }

    /// Number of samples; never 0.
    #[expect(clippy::len_without_is_empty, reason = "a data set is never empty")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Shape of one sample.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// True for pictures of bytes, false for features.
    pub fn is_images(&self) -> bool {
        matches!(self.values, Values::Pixels(_))
    }

    /// What its samples are called, in the plural.
    pub fn noun(&self) -> &'static str {
        match self.is_images() {
            true => "pictures",
            false => "samples",
        }
    }

    /// Sample `index`.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn sample(&self, index: usize) -> Sample<'_> {
        let range = index * self.shape.len()..(index + 1) * self.shape.len();
        match &self.values {
            Values::Pixels(pixels) => Sample::Image(&pixels[range]),
            Values::Features(features) => Sample::Features(&features[range]),
        }
    }

    /// The bytes of picture `index`, `[height, width, channels]`.
    ///
    /// # Panics
    /// If there is no such picture, or if the samples are no pictures: see [`sample`](Self::sample).
    pub fn image(&self, index: usize) -> &[u8] {
        match self.sample(index) {
            Sample::Image(image) => image,
            Sample::Features(_) => panic!("these samples are no pictures"),
        }
    }

    /// The class of sample `index`.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn label(&self, index: usize) -> u8 {
        self.labels[index]
    }

    /// The file of sample `index`, relative to the data set's folder, where each sample has one of its own.
    pub fn file(&self, index: usize) -> Option<&str> {
        self.files.as_ref()?.get(index).map(String::as_str)
    }

    /// The classes of all samples.
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
    ///
    /// # Errors
    /// [`DatasetError::NotImages`] if the samples are no pictures.
    pub fn invert(&mut self) -> Result<(), DatasetError> {
        let Values::Pixels(pixels) = &mut self.values else {
            return Err(DatasetError::NotImages { what: "inverted" });
        };
        pixels.iter_mut().for_each(|pixel| *pixel = 255 - *pixel);
        Ok(())
    }

    /// Every picture in `size` rows and columns, see [`picture::resize`].
    ///
    /// # Errors
    /// [`DatasetError::NotImages`] if the samples are no pictures.
    pub(super) fn resized(self, size: [usize; 2]) -> Result<Self, DatasetError> {
        use rayon::prelude::*;

        if [self.shape.height, self.shape.width] == size {
            return Ok(self);
        }
        let Values::Pixels(pixels) = &self.values else {
            return Err(DatasetError::NotImages { what: "resized" });
        };
        let resized = pixels
            .par_chunks_exact(self.shape.len())
            .flat_map_iter(|image| picture::resize(self.shape, image, size))
            .collect();
        Ok(Self {
            shape: Shape::new(size[0], size[1], self.shape.channels),
            values: Values::Pixels(resized),
            ..self
        })
    }

    /// Pictures of such arrays in the order of the model's tensor; others as they are.
    pub(super) fn arranged(self, arrays: &ArrayLayout) -> Self {
        if self.shape != arrays.picture() || self.shape == arrays.shape() {
            return self;
        }
        Self {
            shape: arrays.shape(),
            values: match self.values {
                Values::Pixels(pixels) => Values::Pixels(arrays.picture_to_model(pixels)),
                Values::Features(features) => Values::Features(arrays.picture_to_model(features)),
            },
            ..self
        }
    }

    /// The samples at `indices`, in that order.
    ///
    /// # Panics
    /// If one does not exist.
    pub fn select(&self, indices: &[usize]) -> Self {
        let length = self.shape.len();
        Self {
            shape: self.shape,
            values: match &self.values {
                Values::Pixels(all) => Values::Pixels(gather(all, length, indices)),
                Values::Features(all) => Values::Features(gather(all, length, indices)),
            },
            labels: indices.iter().map(|&index| self.label(index)).collect(),
            targets: self.targets.as_ref().map(|targets| Targets {
                len: targets.len,
                values: gather(&targets.values, targets.len, indices),
            }),
            files: self.files.as_ref().map(|files| {
                let file = |&index: &usize| files[index].clone();
                indices.iter().map(file).collect()
            }),
        }
    }

    /// What tells these samples and labels, in their order, from others.
    pub(crate) fn digest(&self) -> u32 {
        let mut digest = flate2::Crc::new();
        match &self.values {
            Values::Pixels(pixels) => digest.update(pixels),
            Values::Features(features) => update(&mut digest, features),
        }
        digest.update(&self.labels);
        if let Some(targets) = &self.targets {
            update(&mut digest, &targets.values);
        }
        digest.sum()
    }

    /// The first `count` samples and the rest.
    pub(super) fn split_at(mut self, count: usize) -> (Self, Self) {
        let at = count * self.shape.len();
        let rest = Self {
            shape: self.shape,
            values: match &mut self.values {
                Values::Pixels(pixels) => Values::Pixels(pixels.split_off(at)),
                Values::Features(features) => Values::Features(features.split_off(at)),
            },
            labels: self.labels.split_off(count),
            targets: self.targets.as_mut().map(|targets| Targets {
                len: targets.len,
                values: targets.values.split_off(count * targets.len),
            }),
            files: self.files.as_mut().map(|files| files.split_off(count)),
        };
        (self, rest)
    }
}

/// Takes numbers into a sum, many at once: it is taken over long pieces far sooner.
fn update(digest: &mut flate2::Crc, numbers: &[f32]) {
    for numbers in numbers.chunks(4096) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        digest.update(&bytes);
    }
}

/// The pieces of `length` values at `indices`.
fn gather<T: Copy>(all: &[T], length: usize, indices: &[usize]) -> Vec<T> {
    let piece = |&index: &usize| &all[index * length..][..length];
    indices.iter().flat_map(piece).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_selected_and_split_as_pictures_are() {
        let path = Path::new("x");
        let shape = Shape::new(1, 2, 1);
        let values: Vec<f32> = (0..6).map(|i| i as f32 - 2.5).collect();
        let all = Dataset::from_features(path, shape, values, vec![0, 1, 2]).unwrap();
        let some = all.select(&[2, 0]);
        assert_eq!(some.sample(0), Sample::Features(&[1.5, 2.5]));
        assert_eq!(some.labels(), [2, 0]);
        let (first, rest) = all.split_at(1);
        assert_eq!(first.sample(0), Sample::Features(&[-2.5, -1.5]));
        assert_eq!(rest.sample(1), Sample::Features(&[1.5, 2.5]));
        assert_eq!((first.len(), rest.labels()), (1, &[1, 2][..]));
    }

    #[test]
    fn samples_keep_their_targets() {
        let shape = Shape::new(1, 1, 1);
        let all = Dataset::new(Path::new("x"), shape, vec![1, 2, 3], vec![0; 3]).unwrap();
        let plain = all.digest();
        assert_eq!((all.target(1), all.target_len()), (None, None));
        let all = all.with_targets(2, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_ne!(all.digest(), plain);
        assert_eq!(all.select(&[2, 0]).target(0), Some(&[5.0, 6.0][..]));
        let (first, rest) = all.split_at(1);
        assert_eq!(first.target(0), Some(&[1.0, 2.0][..]));
        assert_eq!(
            (rest.target(1), rest.target_len()),
            (Some(&[5.0, 6.0][..]), Some(2))
        );
    }

    #[test]
    fn samples_keep_their_files() {
        let new = || {
            Dataset::new(
                Path::new("x"),
                Shape::new(1, 1, 1),
                vec![1, 2, 3],
                vec![0; 3],
            )
            .unwrap()
        };
        assert_eq!(new().file(0), None);
        let all = new().with_files(["a", "b", "c"].map(str::to_owned).to_vec());
        let some = all.select(&[2, 0]).resized([2, 2]).unwrap();
        assert_eq!(
            [some.file(0), some.file(1), some.file(2)],
            [Some("c"), Some("a"), None]
        );
        let (first, rest) = all.split_at(1);
        assert_eq!([first.file(0), rest.file(1)], [Some("a"), Some("c")]);
    }

    #[test]
    fn only_pictures_are_inverted_or_resized() {
        let path = Path::new("x");
        let shape = Shape::new(1, 2, 1);
        let mut images = Dataset::new(path, shape, vec![10, 20], vec![0]).unwrap();
        images.invert().unwrap();
        assert_eq!(images.image(0), [245, 235]);
        assert_eq!(images.resized([2, 1]).unwrap().image(0), [240, 240]);
        let mut features = Dataset::from_features(path, shape, vec![0.0; 2], vec![0]).unwrap();
        assert!(features.invert().is_err());
        assert_eq!(
            features.resized([2, 1]).unwrap_err().to_string(),
            "the samples are no pictures (uint8) but features (float32); only pictures can be resized"
        );
    }

    #[test]
    fn one_label_for_each_sample() {
        let shape = Shape::new(1, 2, 1);
        let new = |pixels: usize, labels: usize| {
            Dataset::new(Path::new("x"), shape, vec![0; pixels], vec![0; labels])
        };
        assert!(new(4, 2).is_ok());
        assert!(matches!(
            new(4, 3),
            Err(DatasetError::Counts {
                labels: 3,
                images: 2,
                ..
            })
        ));
        assert!(matches!(new(5, 2), Err(DatasetError::Counts { .. })));
        assert!(matches!(new(0, 0), Err(DatasetError::Empty { .. })));
        assert!(matches!(new(4, 0), Err(DatasetError::Counts { .. })));
    }
}
