//! A session on a device with one on the CPU behind it.

use kinglet_kernels::Kernels;

use super::{OpenClError, Session, agreement};
use crate::AnySession;
use crate::model::Model;
use crate::session::InputError;
use crate::values::Values;

/// Runs on a device as long as that goes well, and on the CPU from then on. The first result is compared with the
/// CPU's: that costs one run there.
///
/// An answer is always given: [`failure`](Self::failure) tells, once it is asked, why it was the CPU's.
#[derive(Debug)]
pub struct FallbackSession<'a, K> {
    cpu: AnySession<'a, K>,
    device: Option<Session<'a>>,
    checked: bool,
    failure: Option<OpenClError>,
}

impl<'a, K: Kernels> FallbackSession<'a, K> {
    /// A session on the CPU, and one for the same model and batch on a device: of another one the CPU's result
    /// differs, and the CPU's is taken.
    pub fn new(cpu: AnySession<'a, K>, device: Session<'a>) -> Self {
        Self {
            cpu,
            device: Some(device),
            checked: false,
            failure: None,
        }
    }

    /// The model.
    pub fn model(&self) -> &Model<'a> {
        self.cpu.model()
    }

    /// Samples per run.
    pub fn batch(&self) -> usize {
        self.cpu.batch()
    }

    /// The session on the device, while that is in use.
    pub fn device(&self) -> Option<&Session<'a>> {
        self.device.as_ref()
    }

    /// Why the device is no longer used, the first time this is called after that.
    pub fn failure(&mut self) -> Option<OpenClError> {
        self.failure.take()
    }

    /// Copies `input`, the whole batch in NHWC, as it is.
    ///
    /// # Errors
    /// [`InputError`] if it has another length.
    pub fn set_input_f32(&mut self, input: &[f32]) -> Result<(), InputError> {
        match &mut self.device {
            Some(device) => device.set_input_f32(input),
            None => self.cpu.set_input_f32(input),
        }
    }

    /// Sets the input from pictures; see [`Session::set_image_u8`](crate::Session::set_image_u8).
    ///
    /// # Errors
    /// [`InputError`] if there are more or fewer pixels.
    pub fn set_image_u8(&mut self, pixels: &[u8]) -> Result<(), InputError> {
        match &mut self.device {
            Some(device) => device.set_image_u8(pixels),
            None => self.cpu.set_image_u8(pixels),
        }
    }

    /// Computes the outputs of the whole batch and returns the first, NHWC. The input is used up: set it again before the
    /// next call.
    pub fn run(&mut self) -> Values<'_> {
        if let Err(failure) = self.run_on_device() {
            // The input is where the device's session keeps it.
            if let Some(device) = self.device.take() {
                // Their lengths agree, or there is no input to go on with.
                let _ = self.cpu.set_input_f32(device.input());
            }
            self.failure = Some(failure);
        }
        match &self.device {
            Some(device) => Values::F32(device.output()),
            None => self.cpu.run(),
        }
    }

    fn run_on_device(&mut self) -> Result<(), OpenClError> {
        let Some(device) = &mut self.device else {
            return Ok(());
        };
        device.run()?;
        if !self.checked {
            let input = self.cpu.set_input_f32(device.input());
            input.map_err(|error| OpenClError::Unsupported {
                reason: std::format!("the CPU does not take the device's input: {error}"),
            })?;
            let expected = self.cpu.run().as_f32().unwrap_or_default();
            let storage = device.storage();
            agreement::check("first result", device.output(), expected, storage)?;
            self.checked = true;
        }
        Ok(())
    }
}
