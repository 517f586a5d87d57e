//! Why fine-tuning was refused.

use crate::session::InputError;

/// Why fine-tuning cannot start, or a step was refused.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FineTuneError {
    /// The model was exported without a trainable suffix.
    NotTrainable,
    /// The session runs more than one sample at a time.
    Batch {
        /// Its batch.
        found: usize,
    },
    /// The training arena is too small.
    ArenaTooSmall {
        /// Bytes it takes: `SIZES.training::<O>()`, or with a shadow head `SIZES.training_with_shadow::<O>()`.
        needed: usize,
        /// Bytes given.
        found: usize,
    },
    /// A class that the model does not have.
    Class {
        /// The class given.
        found: usize,
        /// Number of classes.
        classes: usize,
    },
    /// The features are refused.
    Features(InputError),
    /// The loss is not a number, or infinite, or a parameter might be after the step: the step was not taken, the head
    /// is as before. A smaller learning rate may help.
    Diverged,
    /// The fine-tuner was made without a shadow head.
    NoShadow,
}

impl core::fmt::Display for FineTuneError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotTrainable => write!(
                f,
                "the model has no trainable layers (export it with --fine-tune last=K)"
            ),
            Self::Batch { found } => write!(
                f,
                "fine-tuning takes a session of one sample, this one runs {found}"
            ),
            Self::ArenaTooSmall { needed, found } => write!(
                f,
                "the training arena has {found} bytes, the model and optimizer need {needed}"
            ),
            Self::Class { found, classes } => {
                write!(f, "class {found} does not exist, the model has {classes}")
            }
            Self::Features(e) => write!(f, "the features: {e}"),
            Self::Diverged => write!(
                f,
                "the loss or the weights would not be finite, the step was not taken (try a smaller learning rate)"
            ),
            Self::NoShadow => write!(f, "there is no shadow head to go back to"),
        }
    }
}

impl core::error::Error for FineTuneError {}
