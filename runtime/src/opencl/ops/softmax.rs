//! Softmax and its logarithm.
#![allow(unsafe_code)]

use kinglet_kernels::opencl::SOFTMAX;

use super::common_element;
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{OpenClError, Recording, Slice};

/// Runs as long as this are shared by the work-items of a group.
const LONG: usize = 64;

/// What is written, by its number in `softmax.cl`.
#[derive(Debug, Clone, Copy)]
enum Output {
    Probabilities,
    Logarithms,
}

impl Recording {
    /// Softmax over each run of `channels` values, in place.
    ///
    /// # Errors
    /// [`OpenClError::Length`] if `data` is not made of whole runs, or one of the driver's.
    pub fn softmax_f32(&mut self, channels: usize, data: Slice<'_>) -> Result<(), OpenClError> {
        self.softmax(Output::Probabilities, channels, data)
    }

    /// The logarithm of softmax over each run of `channels` values, in place.
    ///
    /// # Errors
    /// As [`softmax_f32`](Self::softmax_f32).
    pub fn log_softmax_f32(&mut self, channels: usize, data: Slice<'_>) -> Result<(), OpenClError> {
        self.softmax(Output::Logarithms, channels, data)
    }

    fn softmax(
        &mut self,
        output: Output,
        channels: usize,
        data: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let runs = data.len().div_ceil(channels.max(1));
        at_least("softmax: data", data, runs * channels.max(1))?;
        if runs == 0 {
            return Ok(());
        }
        // The same for any number of runs: the order of a sum must not depend on it.
        let local = if channels < LONG {
            [1, 32, 1]
        } else {
            [32, 1, 1]
        };
        let call = Call::new(&SOFTMAX, "softmax")
            .storage(common_element(&[data])?)
            .slice(data)
            .int(runs)
            .int(channels)
            .int(output as usize)
            .local_floats(local.iter().product())
            .global([local[0], runs, 1])
            .local(local);
        // SAFETY: the slice has `runs * channels` elements; a work-item writes elements that it alone reads between
        // the barriers and the end.
        unsafe { self.push(call) }
    }
}
