//! Where the samples of a batch come from.

use kinglet_kernels::Shape;

use crate::dataset::{Dataset, Sample};
use crate::recipe::{Normalize, Target};

/// Samples with their classes, by their place in a data set.
pub trait Source: Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// True when there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shape of one sample.
    fn shape(&self) -> Shape;

    /// Writes sample `index` as the network sees it, NHWC.
    fn write(&self, index: usize, output: &mut [f32]);

    /// The class of sample `index`.
    fn label(&self, index: usize) -> usize;

    /// Writes what the network's outputs ought to be for sample `index`, which it sees as `input`. Where that is a class it is
    /// not asked.
    fn write_target(&self, index: usize, input: &[f32], target: &mut [f32]) {
        let _ = (index, input, target);
    }
}

/// A data set's samples as the network sees them: `(pixel / 255 - mean) / std` of pictures, features as they are.
pub struct Pictures<'a> {
    dataset: &'a Dataset,
    /// The result for each byte, channel by channel.
    table: Vec<[f32; 256]>,
    target: Target,
    /// Whether the outputs are a vector of a picture's values, which has them channel by channel, as PyTorch's `flatten`.
    by_channel: bool,
}

impl<'a> Pictures<'a> {
    /// The pictures of `dataset`, each channel normalized.
    pub fn new(dataset: &'a Dataset, normalize: &Normalize) -> Self {
        let channel = |(&mean, &std): (&f32, &f32)| {
            std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std)
        };
        Self {
            dataset,
            table: normalize
                .mean
                .iter()
                .zip(&normalize.std)
                .map(channel)
                .collect(),
            target: Target::Values,
            by_channel: false,
        }
    }

    /// The same for a network that is trained on values, with outputs of the shape `outputs`.
    #[must_use]
    pub fn with_target(mut self, target: Target, outputs: Shape) -> Self {
        let (shape, vector) = (self.shape(), Shape::vector(outputs.len()));
        self.by_channel = outputs == vector && shape != vector && shape.channels > 1;
        self.target = target;
        self
    }

    /// The bytes of picture `index`.
    pub(super) fn image(&self, index: usize) -> &[u8] {
        self.dataset.image(index)
    }

    /// Writes the normalized values of a picture's bytes.
    pub(super) fn normalize(&self, image: &[u8], output: &mut [f32]) {
        match self.table.as_slice() {
            [red, green, blue] => {
                let (output, _) = output.as_chunks_mut::<3>();
                let (image, _) = image.as_chunks::<3>();
                for (output, &[r, g, b]) in output.iter_mut().zip(image) {
                    *output = [
                        red[usize::from(r)],
                        green[usize::from(g)],
                        blue[usize::from(b)],
                    ];
                }
            }
            tables => {
                let channels = tables.len().max(1);
                for (output, pixel) in output.chunks_mut(channels).zip(image.chunks(channels)) {
                    for ((output, &byte), table) in output.iter_mut().zip(pixel).zip(tables) {
                        *output = table[usize::from(byte)];
                    }
                }
            }
        }
    }
}

impl Source for Pictures<'_> {
    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn shape(&self) -> Shape {
        self.dataset.shape()
    }

    fn write(&self, index: usize, output: &mut [f32]) {
        match self.dataset.sample(index) {
            Sample::Image(image) => self.normalize(image, output),
            Sample::Features(features) => output.copy_from_slice(features),
        }
    }

    fn label(&self, index: usize) -> usize {
        usize::from(self.dataset.label(index))
    }

    fn write_target(&self, index: usize, input: &[f32], target: &mut [f32]) {
        let (channels, len) = (self.shape().channels, target.len());
        let pixels = len / channels.max(1);
        match self.target {
            Target::Values => {
                let values = self.dataset.target(index).unwrap_or_default();
                target.iter_mut().zip(values).for_each(|(to, x)| *to = *x);
            }
            Target::Input if self.by_channel => {
                for (place, to) in target.iter_mut().enumerate() {
                    *to = input[place % pixels * channels + place / pixels];
                }
            }
            Target::Input => target.copy_from_slice(&input[..len]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn features_are_taken_as_they_are() {
        let shape = Shape::new(1, 2, 2);
        let values = vec![0.5, -3.0, 1.0, 2.25];
        let dataset = Dataset::from_features(Path::new("x"), shape, values, vec![0]).unwrap();
        let normalize = Normalize {
            mean: vec![0.5, 0.25],
            std: vec![0.5, 2.0],
        };
        let mut output = [9.0; 4];
        Pictures::new(&dataset, &normalize).write(0, &mut output);
        assert_eq!(output, [0.5, -3.0, 1.0, 2.25]);
    }

    #[test]
    fn a_picture_that_is_its_own_target_is_flattened_as_pytorch_does() {
        let shape = Shape::new(1, 2, 2);
        let values = vec![1.0, 2.0, 3.0, 4.0];
        let dataset = Dataset::from_features(Path::new("x"), shape, values.clone(), vec![0]);
        let dataset = dataset.unwrap().with_targets(1, vec![7.0]);
        let pictures = || Pictures::new(&dataset, &Normalize::identity(2));
        let mut target = [0.0; 4];
        let of_vector = pictures().with_target(Target::Input, Shape::vector(4));
        of_vector.write_target(0, &values, &mut target);
        assert_eq!(target, [1.0, 3.0, 2.0, 4.0]);
        let of_picture = pictures().with_target(Target::Input, shape);
        of_picture.write_target(0, &values, &mut target);
        assert_eq!(target, [1.0, 2.0, 3.0, 4.0]);
        let of_values = pictures().with_target(Target::Values, Shape::vector(1));
        of_values.write_target(0, &values, &mut target[..1]);
        assert_eq!(target[0], 7.0);
    }

    #[test]
    fn pixels_are_normalized_channel_by_channel() {
        let shape = Shape::new(1, 2, 2);
        let dataset = Dataset::new(Path::new("x"), shape, vec![0, 255, 51, 102], vec![3]).unwrap();
        let normalize = Normalize {
            mean: vec![0.5, 0.25],
            std: vec![0.5, 2.0],
        };
        let pictures = Pictures::new(&dataset, &normalize);
        let mut output = [9.0; 4];
        pictures.write(0, &mut output);
        assert_eq!(
            output,
            [
                -1.0,
                0.375,
                (0.2_f32 - 0.5) / 0.5,
                (102.0_f32 / 255.0 - 0.25) / 2.0
            ]
        );
        assert_eq!(pictures.label(0), 3);
    }
}
