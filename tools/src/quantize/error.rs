//! Why a network is not quantized.

use kinglet::model::EncodeError;
use kinglet::{InputError, LoadError, SessionError};

use crate::evaluate::EvaluateError;
use crate::export::ExportError;

/// A network could not be quantized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// It is on 8-bit numbers, at least in part.
    #[error(
        "the model is quantized already; give the one of real numbers (f32) that it was made from"
    )]
    Quantized,
    /// There is nothing worth it.
    #[error("the model has neither a convolution nor a linear layer: there is nothing to quantize")]
    NoLayers,
    /// A weight is no number.
    #[error("layer {layer} has a weight of {value}: train or import the network anew")]
    Weights {
        /// The layer.
        layer: String,
        /// What is there.
        value: f32,
    },
    /// A value is no number.
    #[error(
        "the output of {layer} is not finite for some of the samples: the network itself overflows there, or its weights are damaged"
    )]
    NotFinite {
        /// The layer.
        layer: String,
    },
    /// A sample has a value that is no number.
    #[error(
        "sample {sample} of the calibration data has a value of {value}: only finite numbers have a range"
    )]
    Sample {
        /// Its place in the training part.
        sample: usize,
        /// What is there.
        value: f32,
    },
    /// There is nothing to learn from the samples.
    #[error(
        "all {count} samples for calibration are the same: ranges of one input say nothing of others; give the data that the network was trained with, or some like it"
    )]
    Constant {
        /// How many there are.
        count: usize,
    },
    /// The samples do not fit.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The network cannot be read from its file.
    #[error(transparent)]
    Read(#[from] EncodeError),
    /// The network cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// What was written is refused.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It cannot be run.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A value does not fit it.
    #[error(transparent)]
    Input(#[from] InputError),
}
