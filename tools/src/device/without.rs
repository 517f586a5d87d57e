//! A program that was built without OpenCL.

use kinglet::Model;

use super::{DeviceChoice, DeviceError, Storage};
use crate::dataset::Dataset;
use crate::fine_tune::Features;

/// There is none.
#[derive(Debug, Clone)]
pub enum Device {}

impl Device {
    /// Not called: there is no device.
    pub fn features(
        &self,
        _model: &Model<'_>,
        _data: &Dataset,
        _indices: impl Iterator<Item = usize>,
    ) -> Result<Features, String> {
        match *self {}
    }
}

/// The CPU.
///
/// # Errors
/// [`DeviceError`] if something else was asked for.
pub fn open(
    choice: &DeviceChoice,
    _storage: Storage,
) -> Result<(Option<Device>, Vec<String>), DeviceError> {
    let reason = "this program was built without OpenCL".to_owned();
    match choice {
        DeviceChoice::Auto | DeviceChoice::Cpu => Ok((None, Vec::new())),
        DeviceChoice::Gpu => Err(DeviceError::NoGpu(reason)),
        DeviceChoice::Named(name) => Err(DeviceError::Unknown {
            name: name.clone(),
            found: reason,
        }),
    }
}
