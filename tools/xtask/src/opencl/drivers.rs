//! Which drivers a program finds, whatever else is installed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::target_dir;
use crate::setup::{OCLGRIND_ICD, POCL_ICD};

/// Variables of the user's that would change what is tested.
const FOREIGN: &[&str] = &["KINGLET_OPENCL_LIB", "KINGLET_FAULT"];

/// The one driver that a program finds.
#[derive(Clone, Copy)]
pub(super) enum Drivers {
    /// None: a loader without drivers.
    None,
    /// The CPU as an OpenCL device.
    Pocl,
    /// An interpreter of kernels that checks what they do.
    Oclgrind,
}

impl Drivers {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pocl => "pocl",
            Self::Oclgrind => "oclgrind",
        }
    }

    /// What its platform is called: tests insist on a device of it.
    fn platform(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Pocl => "Portable Computing Language",
            Self::Oclgrind => "Oclgrind",
        }
    }

    /// The name or path of its library.
    fn library(self) -> Result<Option<String>> {
        match self {
            Self::None => Ok(None),
            Self::Pocl => fs::read_to_string(POCL_ICD)
                .map(Some)
                .with_context(|| format!("cannot read {POCL_ICD}")),
            Self::Oclgrind => Ok(Some(OCLGRIND_ICD.to_owned())),
        }
    }

    /// Lets `command` find this driver and no other.
    pub(super) fn set_for(self, command: &mut Command) -> Result<()> {
        // A folder in place of /etc/OpenCL/vendors.
        let vendors = folder().join(self.name());
        fs::create_dir_all(&vendors)?;
        if let Some(library) = self.library()? {
            fs::write(vendors.join("driver.icd"), library)?;
        }
        for variable in FOREIGN {
            command.env_remove(variable);
        }
        command
            .env("OCL_ICD_VENDORS", vendors)
            .env("KINGLET_REQUIRE_OPENCL", self.platform())
            .env("KINGLET_CACHE_DIR", folder().join("cache"))
            .env("POCL_CACHE_DIR", pocl_cache());
        Ok(())
    }
}

/// Forgets what drivers and programs have compiled and measured: it would hide what a first start takes.
pub(super) fn forget() -> Result<()> {
    match fs::remove_dir_all(folder()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder().display()))
        }
        _ => Ok(()),
    }
}

/// Where all of this is kept.
pub(super) fn folder() -> PathBuf {
    target_dir().join("opencl")
}

fn pocl_cache() -> PathBuf {
    folder().join("pocl-cache")
}
