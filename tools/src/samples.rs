//! The samples file of the firmware programs (`boards/common/src/samples.rs` describes and reads it):
//! pictures and how to learn from them, so that a board and a host do the same.

use crate::dataset::Dataset;

/// How the firmware is to learn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learning {
    /// Passes over the training samples, in the order of the file.
    pub epochs: usize,
    /// Learning rate of SGD.
    pub learning_rate: f32,
    /// Momentum of SGD.
    pub momentum: f32,
}

/// Bytes of the samples file with the pictures of `data` named in `training` and `evaluation`.
///
/// # Panics
/// If there is no such picture, or the samples are no pictures ([`Dataset::is_images`]).
pub fn write(
    data: &Dataset,
    training: &[usize],
    evaluation: &[usize],
    learning: Learning,
) -> Vec<u8> {
    let mut bytes = b"kgs1".to_vec();
    let counts = [
        data.shape().len(),
        training.len(),
        evaluation.len(),
        learning.epochs,
    ];
    for count in counts {
        bytes.extend((count as u32).to_le_bytes());
    }
    bytes.extend(learning.learning_rate.to_le_bytes());
    bytes.extend(learning.momentum.to_le_bytes());
    for &index in training.iter().chain(evaluation) {
        bytes.push(data.label(index));
        bytes.extend_from_slice(data.image(index));
    }
    bytes
}
