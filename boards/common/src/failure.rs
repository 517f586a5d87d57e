//! Why a program ended early: one error of any stage.

use kinglet::train::HeadError;
use kinglet::{FineTuneError, InputError, LoadError, SessionError};

use crate::SamplesError;

/// An error of any stage.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Failure {
    /// The samples file was refused.
    Samples(SamplesError),
    /// The model file was refused.
    Load(LoadError),
    /// The session could not be made.
    Session(SessionError),
    /// A sample does not fit the model.
    Input(InputError),
    /// Fine-tuning could not start, or a step was refused.
    FineTune(FineTuneError),
    /// The head could not be saved or loaded.
    Head(HeadError),
    /// The memory is in use already: the program was started twice.
    Memory,
    /// A head that was saved and loaded again is not the one that was trained.
    HeadChanged,
    /// The stack was used to its end: it may have overwritten other memory.
    StackExhausted,
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Samples(error) => error.fmt(f),
            Self::Load(error) => error.fmt(f),
            Self::Session(error) => error.fmt(f),
            Self::Input(error) => error.fmt(f),
            Self::FineTune(error) => error.fmt(f),
            Self::Head(error) => error.fmt(f),
            Self::Memory => write!(f, "the arena is in use already"),
            Self::HeadChanged => {
                write!(f, "the head that was loaded is not the one that was saved")
            }
            Self::StackExhausted => write!(f, "the stack was used to its end"),
        }
    }
}

impl core::error::Error for Failure {}

macro_rules! from {
    ($($error:ty => $variant:ident,)*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

from! {
    SamplesError => Samples,
    LoadError => Load,
    SessionError => Session,
    InputError => Input,
    FineTuneError => FineTune,
    HeadError => Head,
}
