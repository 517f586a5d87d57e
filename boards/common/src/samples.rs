//! The samples file: pictures with their classes, and how to learn from them. Everything that decides
//! about the learned bits is in it, so that a host and a board given the same two files do the same.
//!
//! All numbers are little-endian. A header of 28 bytes:
//!
//! | bytes | meaning |
//! |---|---|
//! | 4 | `kgs1` |
//! | 4 | u32: pixels of one sample (height * width * channels) |
//! | 4 | u32: samples to learn from |
//! | 4 | u32: samples to measure with |
//! | 4 | u32: epochs, each over all samples in the order of the file |
//! | 4 | f32: learning rate |
//! | 4 | f32: momentum |
//!
//! Then the samples, first those to learn from: one byte for the class, then the pixels, NHWC.

use kinglet::Sgd;

const MAGIC: [u8; 4] = *b"kgs1";
const HEADER_LEN: usize = 28;

/// One picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample<'a> {
    /// What it shows.
    pub class: usize,
    /// NHWC, 0 to 255.
    pub pixels: &'a [u8],
}

/// A checked samples file.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    training: &'a [u8],
    evaluation: &'a [u8],
    /// Bytes of one sample: the class and at least one pixel.
    stride: usize,
    epochs: usize,
    optimizer: Sgd,
}

/// Why a samples file was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SamplesError {
    /// It does not begin with `kgs1`, or is shorter than its header.
    NotSamples,
    /// Samples without pixels.
    NoPixels,
    /// It is longer or shorter than its header says.
    Length {
        /// Bytes it should have.
        expected: usize,
        /// Bytes it has.
        found: usize,
    },
}

impl core::fmt::Display for SamplesError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotSamples => write!(f, "not a samples file (it must begin with `kgs1`)"),
            Self::NoPixels => write!(f, "a samples file must have at least one pixel in a sample"),
            Self::Length { expected, found } => write!(
                f,
                "the samples file has {found} bytes, by its header it should have {expected}"
            ),
        }
    }
}

impl core::error::Error for SamplesError {}

impl<'a> Samples<'a> {
    /// Checks `file` and borrows it.
    ///
    /// # Errors
    /// [`SamplesError`] says what is wrong with it.
    pub fn read(file: &'a [u8]) -> Result<Self, SamplesError> {
        let (header, samples) = file
            .split_at_checked(HEADER_LEN)
            .filter(|(header, _)| header.starts_with(&MAGIC))
            .ok_or(SamplesError::NotSamples)?;
        let mut words = header.as_chunks().0.iter().skip(1).copied();
        let mut word = || words.next().unwrap_or_default();
        let [pixels, training, evaluation, epochs] =
            [word(), word(), word(), word()].map(|bytes| u32::from_le_bytes(bytes) as usize);
        let [learning_rate, momentum] = [word(), word()].map(f32::from_le_bytes);
        if pixels == 0 {
            return Err(SamplesError::NoPixels);
        }
        let stride = pixels.saturating_add(1);
        let bytes = |count: usize| count.saturating_mul(stride);
        let expected = bytes(training).saturating_add(bytes(evaluation));
        let length = SamplesError::Length {
            expected: expected.saturating_add(HEADER_LEN),
            found: file.len(),
        };
        if samples.len() != expected {
            return Err(length);
        }
        let (training, evaluation) = samples.split_at_checked(bytes(training)).ok_or(length)?;
        Ok(Self {
            training,
            evaluation,
            stride,
            epochs,
            optimizer: Sgd::new(learning_rate, momentum),
        })
    }

    /// What to learn from, in order.
    pub fn training(&self) -> impl Iterator<Item = Sample<'a>> + use<'a> {
        split(self.training, self.stride)
    }

    /// What to measure with, in order.
    pub fn evaluation(&self) -> impl Iterator<Item = Sample<'a>> + use<'a> {
        split(self.evaluation, self.stride)
    }

    /// How often to go over the training samples.
    pub fn epochs(&self) -> usize {
        self.epochs
    }

    /// How to learn.
    pub fn optimizer(&self) -> Sgd {
        self.optimizer
    }
}

fn split(bytes: &[u8], stride: usize) -> impl Iterator<Item = Sample<'_>> {
    // At least 2 by the check in `read`; `max` lets the compiler know.
    bytes.chunks_exact(stride.max(1)).filter_map(|bytes| {
        let (class, pixels) = bytes.split_first()?;
        Some(Sample {
            class: usize::from(*class),
            pixels,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three samples of two pixels: two to learn from, one to measure with.
    fn file() -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        for number in [2_u32, 2, 1, 5] {
            file.extend(number.to_le_bytes());
        }
        for number in [0.5_f32, 0.25] {
            file.extend(number.to_le_bytes());
        }
        file.extend([1, 10, 20, 0, 30, 40, 1, 50, 60]);
        file
    }

    #[test]
    fn samples_come_in_the_order_of_the_file() {
        let file = file();
        let samples = Samples::read(&file).unwrap();
        let training: Vec<_> = samples.training().collect();
        assert_eq!(training.len(), 2);
        assert_eq!((training[0].class, training[0].pixels), (1, &[10, 20][..]));
        assert_eq!((training[1].class, training[1].pixels), (0, &[30, 40][..]));
        let evaluation: Vec<_> = samples.evaluation().collect();
        assert_eq!(
            (evaluation[0].class, evaluation[0].pixels),
            (1, &[50, 60][..])
        );
        assert_eq!(samples.epochs(), 5);
        assert_eq!(samples.optimizer(), Sgd::new(0.5, 0.25));
    }

    #[test]
    fn damaged_files_are_refused() {
        let file = file();
        assert_eq!(
            Samples::read(&file[..27]).unwrap_err(),
            SamplesError::NotSamples
        );
        let cut = Samples::read(&file[..file.len() - 1]).unwrap_err();
        let (expected, found) = (file.len(), file.len() - 1);
        assert_eq!(cut, SamplesError::Length { expected, found });
        let mut other = file.clone();
        other[0] = b'x';
        assert_eq!(Samples::read(&other).unwrap_err(), SamplesError::NotSamples);
        let mut empty = file.clone();
        empty[4] = 0;
        assert_eq!(Samples::read(&empty).unwrap_err(), SamplesError::NoPixels);
        // Counts whose product overflows.
        let mut huge = file;
        huge[4..16].fill(0xFF);
        assert!(matches!(
            Samples::read(&huge),
            Err(SamplesError::Length { .. })
        ));
    }
}
