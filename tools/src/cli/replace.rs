//! What a command may not replace unless it is told to: models, heads and training runs. What can be made again at once
//! from what is there (arrays, pages, pictures) is written anew.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;

/// What is there already
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct ReplaceArguments {
    /// Replace what is there already
    #[arg(long)]
    pub(super) force: bool,
}

impl ReplaceArguments {
    /// Refuses to go on if one of `files` is there: before the work that would be in vain.
    pub(super) fn check_free<'a>(
        self,
        files: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Result<(), Failure> {
        match files.into_iter().find(|file| !self.force && file.is_file()) {
            Some(file) => Err(taken(file)),
            None => Ok(()),
        }
    }

    /// Refuses to replace a file by another content: the same may be written again.
    pub(super) fn check_same(self, file: &Path, content: &[u8]) -> Result<(), Failure> {
        let differs = file.is_file() && !std::fs::read(file).is_ok_and(|old| old == content);
        match differs && !self.force {
            true => Err(taken(file)),
            false => Ok(()),
        }
    }
}

fn taken(file: &Path) -> Failure {
    format!(
        "{} is there already: choose another place, or replace it with --force",
        file.display()
    )
    .into()
}
