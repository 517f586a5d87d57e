//! A session on a device with one on the CPU behind it.

use kinglet_kernels::Kernels;

use super::{OpenClError, Session, agreement};
use crate::AnySession;
use crate::model::Model;
use crate::session::InputError;
use crate::values::{Values, ValuesMut};

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

    /// Input number `index` of the whole batch, NHWC, to be written before each run; None if there is no such input.
    pub fn input_mut(&mut self, index: usize) -> Option<ValuesMut<'_>> {
        match &mut self.device {
            Some(device) => device.input_mut(index).map(ValuesMut::F32),
            None => self.cpu.input_mut(index),
        }
    }

    /// Sets the first input: copies `input`, the whole batch in NHWC, as it is.
    ///
    /// # Errors
    /// [`InputError`] if it has another length.
    pub fn set_input_f32(&mut self, input: &[f32]) -> Result<(), InputError> {
        match &mut self.device {
            Some(device) => device.set_input_f32(input),
            None => self.cpu.set_input_f32(input),
        }
    }

    /// Sets the first input from pictures; see [`Session::set_image_u8`](crate::Session::set_image_u8).
    ///
    /// # Errors
    /// [`InputError`] if there are more or fewer pixels.
    pub fn set_image_u8(&mut self, pixels: &[u8]) -> Result<(), InputError> {
        match &mut self.device {
            Some(device) => device.set_image_u8(pixels),
            None => self.cpu.set_image_u8(pixels),
        }
    }

    /// Computes all outputs of the whole batch and returns the first, NHWC. The inputs are used up: set them again before
    /// the next call.
    pub fn run(&mut self) -> Values<'_> {
        if let Err(failure) = self.run_on_device() {
            // The inputs are where the device's session keeps them.
            if let Some(device) = self.device.take() {
                // Their lengths agree, or there are no inputs to go on with.
                let _ = set_inputs(&mut self.cpu, &device);
            }
            self.failure = Some(failure);
        }
        if self.device.is_none() {
            self.cpu.run();
        }
        self.output(0).unwrap_or(Values::F32(&[]))
    }

    /// Output number `index` as the last run has left it, until an input is set; None if there is no such output.
    pub fn output(&self, index: usize) -> Option<Values<'_>> {
        match &self.device {
            Some(device) => device.output(index).map(Values::F32),
            None => self.cpu.output(index),
        }
    }

    fn run_on_device(&mut self) -> Result<(), OpenClError> {
        let Some(device) = &mut self.device else {
            return Ok(());
        };
        device.run()?;
        if !self.checked {
            let inputs = set_inputs(&mut self.cpu, device);
            inputs.map_err(|error| OpenClError::Unsupported {
                reason: std::format!("the CPU does not take the device's input: {error}"),
            })?;
            self.cpu.run();
            for index in 0..self.cpu.model().outputs().len() {
                let expected = self.cpu.output(index).and_then(|output| output.as_f32());
                let found = device.output(index).unwrap_or_default();
                let expected = expected.unwrap_or_default();
                agreement::check("first result", found, expected, device.storage())?;
            }
            self.checked = true;
        }
        Ok(())
    }
}

/// Hands the CPU what the device was given.
fn set_inputs<K: Kernels>(
    cpu: &mut AnySession<'_, K>,
    device: &Session<'_>,
) -> Result<(), InputError> {
    for index in 0..device.model().inputs().len() {
        if let (Some(input), Some(values)) = (cpu.input_mut(index), device.input(index)) {
            input.set_f32(values)?;
        }
    }
    Ok(())
}
