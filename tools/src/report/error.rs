//! What can go wrong on the way to a report.

use crate::dataset::DatasetError;
use crate::evaluate::EvaluateError;
use crate::export::ExportError;
use crate::file::WriteError;
use crate::train::CheckpointError;

/// A report could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The run was stopped before there was anything to report.
    #[error("the run has not completed an epoch yet; continue it with `kinglet train --resume`")]
    NoEpoch,
    /// The data set is not the run's.
    #[error(
        "the run was trained on {run}, and {found} is another data set; without --data the run's own is \
         used, and one that has moved must keep its name"
    )]
    OtherData {
        /// The run's data set.
        run: String,
        /// The one at hand.
        found: String,
    },
    /// The checkpoint's recipe cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The data set cannot be split as the recipe says.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The network cannot be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The exported network cannot be loaded.
    #[error("the exported network: {0}")]
    Load(#[from] kinglet::LoadError),
    /// The data do not fit the network.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// A picture could not be drawn.
    #[error("cannot draw a picture of the report: {0}")]
    Draw(image::ImageError),
    /// The page could not be made.
    #[error("cannot make the report's page: {0}")]
    Page(minijinja::Error),
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}
