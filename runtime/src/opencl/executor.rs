//! A device that is open: its context, one queue, its programs and what is known about them.

use std::format;
use std::path::PathBuf;
use std::string::String;
use std::sync::Arc;
use std::time::Duration;

use kinglet_kernels::opencl::Source;
use ocl::core::{self, CommandQueue, Context, Program};

use super::cache::{Cache, Key};
use super::program::Programs;
use super::tuning::Findings;
use super::{DeviceInfo, OpenClError, Tuning, self_test};

/// How a device is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where compiled programs and what tuning found are kept; nothing is kept if absent.
    pub cache: Option<PathBuf>,
    /// How long the driver may take to compile one file of kernels.
    pub build_limit: Duration,
    /// How variants of kernels are chosen.
    pub tuning: Tuning,
    /// How many work-groups a launch may have on one axis; work that needs more is launched in parts. Some drivers
    /// count them in 16 bits.
    pub max_groups: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache: None,
            build_limit: Duration::from_secs(60),
            tuning: Tuning::default(),
            max_groups: u16::MAX as usize,
        }
    }
}

/// A device ready to compute. Everything is enqueued in order; sessions and trainers share one.
#[derive(Debug)]
pub struct Executor {
    info: DeviceInfo,
    pub(super) options: Options,
    pub(super) context: Context,
    pub(super) queue: CommandQueue,
    programs: Programs,
    cache: Cache,
    pub(super) findings: Findings,
    findings_key: Key,
}

impl Executor {
    /// Opens `device`. On its first use with these kernels and this driver a convolution, a pool, a linear layer
    /// and a softmax are compared with the CPU's.
    ///
    /// # Errors
    /// [`OpenClError::Unsupported`] for a device that [`DeviceInfo::unusable`] speaks of,
    /// [`OpenClError::WrongResult`] if it miscalculates, and any other [`OpenClError`] of the driver's.
    pub fn open(device: &DeviceInfo, options: Options) -> Result<Arc<Self>, OpenClError> {
        if let Some(reason) = &device.unusable {
            return Err(OpenClError::Unsupported {
                reason: format!("{}: {reason}", device.name),
            });
        }
        let context = core::create_context(None, &[device.id], None, None)
            .map_err(|e| OpenClError::driver("clCreateContext", &e))?;
        let queue = core::create_command_queue(&context, device.id, None)
            .map_err(|e| OpenClError::driver("clCreateCommandQueue", &e))?;
        let identity = [
            &device.platform,
            &device.platform_version,
            &device.vendor,
            &device.name,
            &device.version,
            &device.driver,
        ];
        let identity: std::vec::Vec<String> = identity.into_iter().cloned().collect();
        let cache = Cache::new(options.cache.clone());
        let names = identity.iter().map(String::as_str);
        let sources = kinglet_kernels::opencl::ALL;
        let version = [env!("CARGO_PKG_VERSION")];
        let texts = sources.iter().map(|source| source.text).chain(version);
        let findings_key = Key::of(names.chain(texts));
        let executor = Arc::new(Self {
            info: device.clone(),
            programs: Programs::new(&context, device.id, identity, options.build_limit),
            findings: Findings::read(&cache, findings_key),
            findings_key,
            context,
            queue,
            cache,
            options,
        });
        self_test::run(&executor)?;
        Ok(executor)
    }

    /// The device.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Waits for everything that was enqueued.
    ///
    /// # Errors
    /// [`OpenClError::Driver`] if something of it failed.
    pub fn finish(&self) -> Result<(), OpenClError> {
        core::finish(&self.queue).map_err(|e| OpenClError::driver("clFinish", &e))
    }

    /// Writes what the next start can use to the cache: best after a first run.
    pub fn save(&self) {
        self.programs.save(&self.cache);
        self.findings.save(&self.cache, self.findings_key);
    }

    pub(super) fn program(
        &self,
        source: &'static Source,
        options: &str,
    ) -> Result<Program, OpenClError> {
        self.programs.get(source, options, &self.cache)
    }
}
