//! `--device` and `--storage`, for the commands that compute.

use clap::Args;

use super::Failure;
use crate::device::{Device, DeviceChoice, HostSession, Storage, open};

/// What computes
#[derive(Debug, Args)]
pub(super) struct DeviceArguments {
    /// auto, cpu, gpu, or a part of a name from `kinglet devices`
    ///
    /// auto measures the first OpenCL GPU against the CPU and takes the faster; without a GPU it is the CPU. gpu takes
    /// the first GPU without asking. OpenCL devices that are CPUs (PoCL, llvmpipe) must be named. If a device fails,
    /// the CPU goes on, and a note says why.
    #[arg(long, default_value_t, value_name = "DEVICE")]
    device: DeviceChoice,
    /// What weights and activations are stored in on an OpenCL device; sums are f32
    #[arg(long, value_enum, default_value_t)]
    storage: Storage,
}

impl std::fmt::Display for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        })
    }
}

impl DeviceArguments {
    /// The device that was asked for; None is the CPU.
    pub(super) fn open(&self) -> Result<Option<Device>, Failure> {
        let (device, notes) = open(&self.device, self.storage)?;
        notes.iter().for_each(|text| note(text));
        Ok(device)
    }
}

/// Tells what is no error and still should be known.
pub(super) fn note(text: &str) {
    eprintln!("note: {text}");
}

/// Tells of a device that has failed.
pub(super) fn note_failure(session: &mut HostSession<'_>) {
    if let Some(text) = session.failure() {
        note(&text);
    }
}
