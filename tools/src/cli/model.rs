//! The model that a command works with: a file, with the head that it was shipped with or another.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::model_file::ModelFile;

/// The model
#[derive(Debug, Args)]
pub(super) struct ModelArguments {
    /// The model file (.kgl)
    pub(super) model: PathBuf,
    /// With this head instead of the model's own: one that a device, or `kinglet fine-tune`, has saved
    #[arg(long, value_name = "FILE.kgh")]
    pub(super) head: Option<PathBuf>,
}

impl ModelArguments {
    /// The model with the head that was asked for.
    pub(super) fn open(&self) -> Result<ModelFile, Failure> {
        let file = ModelFile::read(&self.model)?;
        Ok(match &self.head {
            Some(head) => file.with_head(head)?,
            None => file,
        })
    }
}
