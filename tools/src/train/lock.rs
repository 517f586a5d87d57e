//! One run at a time in a folder.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::TrainError;

/// Held as long as a run writes into its folder; the system gives it back when the process ends, however it does.
#[derive(Debug)]
pub(super) struct FolderLock {
    _folder: Option<File>,
}

impl FolderLock {
    /// Takes the folder, where the system can lock folders: no file is left in it.
    pub(super) fn take(folder: &Path) -> Result<Self, TrainError> {
        // Windows opens no folders, and some file systems have no locks: a run must not fail for that.
        let Ok(file) = File::open(folder) else {
            return Ok(Self { _folder: None });
        };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(TrainError::FolderInUse {
                path: folder.to_owned(),
            }),
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self {
                _folder: Some(file),
            }),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_once_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let held = FolderLock::take(folder.path()).unwrap();
        let refused = FolderLock::take(folder.path()).unwrap_err().to_string();
        assert!(
            refused.contains("is being written by another run"),
            "{refused}"
        );
        drop(held);
        FolderLock::take(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
