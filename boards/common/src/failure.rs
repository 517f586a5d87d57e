//! Why a program ended early: one error of any stage.

use kinglet::{Error, FineTuneError, HeadError, InputError, LoadError, SessionError};

use crate::SamplesError;

/// An error of any stage.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Failure {
    /// The samples file was refused.
    Samples(SamplesError),
    /// The runtime refused something, at whichever stage.
    Kinglet(Error),
    /// A head that was saved and loaded again is not the one that was trained.
    HeadChanged,
    /// The stack was used to its end: it may have overwritten other memory.
    StackExhausted,
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Samples(error) => error.fmt(f),
            Self::Kinglet(error) => error.fmt(f),
            Self::HeadChanged => {
                write!(f, "the head that was loaded is not the one that was saved")
            }
            Self::StackExhausted => write!(f, "the stack was used to its end"),
        }
    }
}

impl core::error::Error for Failure {}

impl From<SamplesError> for Failure {
    fn from(error: SamplesError) -> Self {
        Self::Samples(error)
    }
}

macro_rules! from {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Kinglet(error.into())
            }
        }
    )*};
}

from!(
    Error,
    LoadError,
    SessionError,
    InputError,
    FineTuneError,
    HeadError
);
