//! Which kernel set computes: chosen by name, or the fastest that this machine can run.

use kinglet_kernels::arch::{Set, detect, detect_training, sets};
use kinglet_kernels::{BackwardKernels, Kernels};

/// A kernel set that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelSetError {
    /// No set has this name.
    #[error("there is no kernel set \"{name}\"; this program has auto, {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// This CPU lacks instructions that the set needs.
    #[error("this CPU cannot run the kernel set \"{0}\"; `kinglet devices` lists those it can")]
    Unsupported(String),
}

/// The set of that name, to infer with; `auto` is the fastest that this machine can run.
///
/// # Errors
/// [`KernelSetError`].
pub fn select(name: &str) -> Result<&'static dyn Kernels, KernelSetError> {
    match name {
        "auto" => Ok(detect()),
        _ => available(name, find(name)?.kernels()),
    }
}

/// The same set, to train with.
///
/// # Errors
/// [`KernelSetError`].
pub fn select_training(name: &str) -> Result<&'static dyn BackwardKernels, KernelSetError> {
    match name {
        "auto" => Ok(detect_training()),
        _ => available(name, find(name)?.training_kernels()),
    }
}

fn find(name: &str) -> Result<&'static Set, KernelSetError> {
    let set = sets().iter().find(|set| set.name() == name);
    set.ok_or_else(|| KernelSetError::Unknown {
        name: name.to_owned(),
        known: sets()
            .iter()
            .map(|set| set.name())
            .collect::<Vec<_>>()
            .join(", "),
    })
}

fn available<K>(name: &str, kernels: Option<K>) -> Result<K, KernelSetError> {
    kernels.ok_or_else(|| KernelSetError::Unsupported(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_found_by_name() {
        assert_eq!(select("portable").unwrap().name(), "portable");
        assert_eq!(select("auto").unwrap().name(), detect().name());
        assert_eq!(select_training("portable").unwrap().name(), "portable");
        assert_eq!(select_training("auto").unwrap().name(), detect().name());
        let error = select("avx3").err().unwrap().to_string();
        assert!(
            error.starts_with("there is no kernel set \"avx3\"; this program has auto, "),
            "{error}"
        );
        assert!(error.ends_with("portable, reference"), "{error}");
    }
}
