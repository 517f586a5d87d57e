//! Random changes to training pictures, in torchvision's words: the network sees a picture in many forms, so it
//! learns what they have in common.
//!
//! A [`Transform`] acts on the bytes of one picture (NHWC without the N), as torchvision's act on a PIL image, and
//! comes to the same bytes once its random numbers are drawn; [`RandomErasing`] acts on what `Normalize` has made
//! of them. The draws are keyed by seed, epoch, sample and place in the list: the same sample of the same epoch
//! becomes the same picture, whichever thread makes it, in whichever batch, before or after an interruption.

mod affine;
mod canvas;
mod color;
mod color_jitter;
mod crop;
mod erasing;
mod flip;
mod rotation;

use kinglet_kernels::Shape;
use rand_chacha::ChaCha8Rng;

pub use canvas::Canvas;
pub use color_jitter::ColorJitter;
pub use crop::{Margins, RandomCrop};
pub use erasing::RandomErasing;
pub use flip::{FlipAxis, RandomFlip};
pub use rotation::RandomRotation;

use crate::random::for_transform;

/// One transform with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub enum Transform {
    /// `RandomHorizontalFlip`, `RandomVerticalFlip`.
    Flip(RandomFlip),
    /// `RandomRotation`.
    Rotation(RandomRotation),
    /// `RandomCrop`.
    Crop(RandomCrop),
    /// `ColorJitter`.
    ColorJitter(ColorJitter),
    /// `RandomErasing`.
    Erasing(RandomErasing),
}

/// Which picture of which epoch: what the random numbers of its transforms depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureKey {
    /// The run's seed.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// The picture's place in its data set.
    pub sample: usize,
}

impl PictureKey {
    fn stream(&self, transform: usize) -> ChaCha8Rng {
        for_transform(self.seed, self.epoch, self.sample as u64, transform)
    }
}

impl Transform {
    /// Shape of what it makes of a picture of shape `input`.
    pub fn output(&self, input: Shape) -> Shape {
        match self {
            Self::Crop(crop) => Shape::new(crop.size.0, crop.size.1, input.channels),
            _ => input,
        }
    }

    /// Whether it acts on normalized values rather than bytes.
    pub fn follows_normalize(&self) -> bool {
        matches!(self, Self::Erasing(_))
    }
}

/// The transforms of a recipe in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transforms(Vec<Transform>);

impl Transforms {
    /// These transforms, in this order. Those that follow `Normalize` come after the others wherever they stand.
    pub fn new(list: Vec<Transform>) -> Self {
        Self(list)
    }

    /// True when pictures stay as they are.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The list.
    pub fn as_slice(&self) -> &[Transform] {
        &self.0
    }

    /// Changes the bytes of a picture.
    pub fn apply(&self, key: PictureKey, canvas: &mut Canvas) {
        for (place, transform) in self.0.iter().enumerate() {
            match transform {
                Transform::Flip(flip) => flip.apply(&mut key.stream(place), canvas),
                Transform::Rotation(rotation) => rotation.apply(&mut key.stream(place), canvas),
                Transform::Crop(crop) => crop.apply(&mut key.stream(place), canvas),
                Transform::ColorJitter(jitter) => jitter.apply(&mut key.stream(place), canvas),
                Transform::Erasing(_) => {}
            }
        }
    }

    /// Changes the normalized values of a picture of that shape.
    pub fn apply_normalized(&self, key: PictureKey, shape: Shape, values: &mut [f32]) {
        for (place, transform) in self.0.iter().enumerate() {
            if let Transform::Erasing(erasing) = transform {
                erasing.apply(&mut key.stream(place), shape, values);
            }
        }
    }
}

#[cfg(test)]
mod tests;
