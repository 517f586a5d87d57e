//! What computes: the CPU with a kernel set, or an OpenCL device that is found at run time, with the CPU behind it.

#[cfg(feature = "opencl")]
mod features;
#[cfg(feature = "opencl")]
mod opencl;
#[cfg(not(feature = "opencl"))]
mod without;

use std::fmt;
use std::str::FromStr;

use kinglet::{AnySession, InputError, Model, SessionError, SessionMemory, Values, ValuesMut};
use kinglet_kernels::Kernels;

#[cfg(feature = "opencl")]
use kinglet::opencl::FallbackSession;
#[cfg(feature = "opencl")]
pub use opencl::{Device, cache_folder, open};
#[cfg(not(feature = "opencl"))]
pub use without::{Device, open};

use crate::evaluate::Input;

/// Which device is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The GPU where there is one and it is faster than the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The first GPU.
    Gpu,
    /// The first device with this in its name or in its platform's. Only so are devices used that are CPUs.
    Named(String),
}

impl FromStr for DeviceChoice {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "auto" => Self::Auto,
            "cpu" => Self::Cpu,
            "gpu" => Self::Gpu,
            name => Self::Named(name.to_owned()),
        })
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Named(name) => name,
        })
    }
}

/// The device that was asked for does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// There is no GPU.
    #[error("there is no OpenCL GPU here: {0}; `kinglet devices` lists what there is")]
    NoGpu(String),
    /// No device has this name.
    #[error("there is no OpenCL device \"{name}\" here: {found}")]
    Unknown {
        /// The name.
        name: String,
        /// What there is instead.
        found: String,
    },
}

/// What weights and activations are stored in on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "program", derive(clap::ValueEnum))]
pub enum Storage {
    /// Results as on the CPU, but for the order of sums
    #[default]
    F32,
    /// Half the memory and half the traffic; results are good to about three digits
    F16,
}

/// A session on the CPU, or on a device with the CPU behind it.
pub enum HostSession<'a> {
    /// On the CPU alone.
    Cpu(Box<AnySession<'a, &'static dyn Kernels>>),
    /// On a device.
    #[cfg(feature = "opencl")]
    Device(Box<FallbackSession<'a, &'static dyn Kernels>>),
}

impl<'a> HostSession<'a> {
    /// A session of `model` in `memory`, on `device` if there is one, and what there is to say about the choice.
    /// Where the choice is measured, the device is compared with `threads` threads of the CPU.
    ///
    /// # Errors
    /// [`SessionError`] if `memory` was made for another model or kernel set.
    pub fn new(
        memory: &'a mut SessionMemory,
        model: &Model<'a>,
        kernels: &'static dyn Kernels,
        device: Option<&Device>,
        threads: usize,
    ) -> Result<(Self, Option<String>), SessionError> {
        let cpu = memory.session(model, kernels)?;
        Ok(match device {
            None => (Self::Cpu(Box::new(cpu)), None),
            #[cfg(feature = "opencl")]
            Some(device) => device.session(cpu, threads),
            #[cfg(not(feature = "opencl"))]
            Some(device) => {
                let _ = threads;
                match *device {}
            }
        })
    }

    /// Samples per run.
    pub fn batch(&self) -> usize {
        match self {
            Self::Cpu(session) => session.batch(),
            #[cfg(feature = "opencl")]
            Self::Device(session) => session.batch(),
        }
    }

    /// Sets input number `index`, the whole batch in NHWC; quantizes it where the model takes 8-bit numbers.
    ///
    /// # Errors
    /// [`InputError`] if it has another length, as that of an input that there is not.
    pub fn set_input(&mut self, index: usize, values: &[f32]) -> Result<(), InputError> {
        let input = match self {
            Self::Cpu(session) => session.input_mut(index),
            #[cfg(feature = "opencl")]
            Self::Device(session) => session.input_mut(index),
        };
        input.unwrap_or(ValuesMut::F32(&mut [])).set_f32(values)
    }

    /// Output number `index` as the last run has left it, until an input is set; None if there is no such output.
    pub fn output(&self, index: usize) -> Option<Values<'_>> {
        match self {
            Self::Cpu(session) => session.output(index),
            #[cfg(feature = "opencl")]
            Self::Device(session) => session.output(index),
        }
    }

    /// Computes all outputs of the whole batch and returns the first; the inputs are used up.
    pub fn run(&mut self) -> Values<'_> {
        match self {
            Self::Cpu(session) => session.run(),
            #[cfg(feature = "opencl")]
            Self::Device(session) => session.run(),
        }
    }

    /// What there is to say about a device that failed since this was last called.
    pub fn failure(&mut self) -> Option<String> {
        match self {
            Self::Cpu(_) => None,
            #[cfg(feature = "opencl")]
            Self::Device(session) => {
                let error = session.failure()?;
                Some(format!("the device failed, the CPU went on: {error}"))
            }
        }
    }

    /// The name of the device in use; None is the CPU.
    pub fn device_name(&self) -> Option<&str> {
        match self {
            Self::Cpu(_) => None,
            #[cfg(feature = "opencl")]
            Self::Device(session) => {
                let device = session.device()?;
                Some(&device.executor().info().name)
            }
        }
    }
}

impl Input for HostSession<'_> {
    fn image(&mut self, pixels: &[u8]) -> Result<(), InputError> {
        match self {
            Self::Cpu(session) => session.set_image_u8(pixels),
            #[cfg(feature = "opencl")]
            Self::Device(session) => session.set_image_u8(pixels),
        }
    }

    fn input(&mut self, values: &[f32]) -> Result<(), InputError> {
        match self {
            Self::Cpu(session) => session.set_input_f32(values),
            #[cfg(feature = "opencl")]
            Self::Device(session) => session.set_input_f32(values),
        }
    }
}
