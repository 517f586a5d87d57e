//! One error over all stages, for programs that hand any of them on.

use crate::{FineTuneError, HeadError, InputError, LoadError, SessionError};

/// What was refused, at whichever stage.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The model file.
    Load(LoadError),
    /// A session.
    Session(SessionError),
    /// An input.
    Input(InputError),
    /// Fine-tuning, or a step of it.
    FineTune(FineTuneError),
    /// A saved head.
    Head(HeadError),
    /// A static arena that was taken before.
    Taken,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Load(e) => e.fmt(f),
            Self::Session(e) => e.fmt(f),
            Self::Input(e) => e.fmt(f),
            Self::FineTune(e) => e.fmt(f),
            Self::Head(e) => e.fmt(f),
            Self::Taken => write!(f, "the model's static arena is in use already"),
        }
    }
}

impl core::error::Error for Error {}

macro_rules! from {
    ($($Stage:ident => $Variant:ident),* $(,)?) => {$(
        impl From<$Stage> for Error {
            fn from(e: $Stage) -> Self {
                Self::$Variant(e)
            }
        }
    )*};
}

from! {
    LoadError => Load,
    SessionError => Session,
    InputError => Input,
    FineTuneError => FineTune,
    HeadError => Head,
}
