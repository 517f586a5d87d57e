//! Devices that OpenCL finds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kinglet::AnySession;
use kinglet::opencl::{
    Comparison, DeviceInfo, DeviceKind, Element, Executor, FallbackSession, Options, Session,
    devices, library,
};
use kinglet_kernels::Kernels;

use super::{DeviceChoice, DeviceError, HostSession, Storage};

/// A device in use.
#[derive(Debug, Clone)]
pub struct Device {
    /// The device, open.
    pub executor: Arc<Executor>,
    /// What models are stored in on it.
    pub storage: Element,
    /// Whether the CPU is taken where it is faster.
    pub measured: bool,
}

/// The device for `choice`, and what there is to say about it: of devices that could not be used. None is the CPU.
///
/// # Errors
/// [`DeviceError`] if a GPU or a name was asked for that does not exist. A device that exists and fails is no
/// error: the CPU takes its place.
pub fn open(
    choice: &DeviceChoice,
    storage: Storage,
) -> Result<(Option<Device>, Vec<String>), DeviceError> {
    let mut notes = Vec::new();
    for candidate in candidates(choice)? {
        match Executor::open(&candidate, options()) {
            Ok(executor) => {
                let measured = *choice == DeviceChoice::Auto;
                let storage = match storage {
                    Storage::F32 => Element::F32,
                    Storage::F16 => Element::F16,
                };
                let device = Device {
                    executor,
                    storage,
                    measured,
                };
                return Ok((Some(device), notes));
            }
            Err(error) => notes.push(format!("{} is not used: {error}", candidate.name)),
        }
    }
    Ok((None, notes))
}

/// The devices that `choice` allows, in the order in which they are tried.
fn candidates(choice: &DeviceChoice) -> Result<Vec<DeviceInfo>, DeviceError> {
    if *choice == DeviceChoice::Cpu {
        return Ok(Vec::new());
    }
    let all = devices().unwrap_or_default();
    let allowed = |device: &DeviceInfo| match choice {
        DeviceChoice::Named(name) => device.is_called(name),
        _ => device.kind != DeviceKind::Cpu,
    };
    let found: Vec<_> = all
        .iter()
        .filter(|device| allowed(device))
        .cloned()
        .collect();
    match choice {
        DeviceChoice::Gpu if found.is_empty() => Err(DeviceError::NoGpu(what_is_there(&all))),
        DeviceChoice::Named(name) if found.is_empty() => Err(DeviceError::Unknown {
            name: name.clone(),
            found: what_is_there(&all),
        }),
        _ => Ok(found),
    }
}

/// The devices, or why there are none.
fn what_is_there(all: &[DeviceInfo]) -> String {
    if let Err(reason) = library() {
        return reason.to_string();
    }
    let names: Vec<_> = all
        .iter()
        .map(|device| format!("{} ({}, {})", device.name, device.kind, device.platform))
        .collect();
    match names.is_empty() {
        true => "the OpenCL library has no devices: no driver is installed".to_owned(),
        false => format!("there is {}", names.join(", ")),
    }
}

/// How devices are used: with the cache of this user, and the time limit of the environment.
fn options() -> Options {
    let mut options = Options {
        cache: cache_folder(),
        ..Options::default()
    };
    let seconds = std::env::var("KINGLET_OPENCL_BUILD_SECONDS");
    if let Some(seconds) = seconds.ok().and_then(|text| text.parse().ok()) {
        options.build_limit = Duration::from_secs(seconds);
    }
    options
}

/// Where compiled kernels and measurements are kept: `KINGLET_CACHE_DIR`, or the user's folder for such things.
pub fn cache_folder() -> Option<PathBuf> {
    match std::env::var_os("KINGLET_CACHE_DIR") {
        Some(folder) if !folder.is_empty() => Some(PathBuf::from(folder).join("opencl")),
        _ => Some(dirs::cache_dir()?.join("kinglet").join("opencl")),
    }
}

impl Device {
    /// The name of the device.
    pub fn name(&self) -> &str {
        &self.executor.info().name
    }

    /// A session here with `cpu` behind it, or `cpu` alone if that is faster on `threads` threads or if the device
    /// fails; and what there is to say about it.
    pub(super) fn session<'a>(
        &self,
        mut cpu: AnySession<'a, &'static dyn Kernels>,
        threads: usize,
    ) -> (HostSession<'a>, Option<String>) {
        let (executor, storage) = (&self.executor, self.storage);
        let chosen = match self.measured {
            true => Comparison::of(executor, &mut cpu, storage, threads).map(|(found, session)| {
                let note = self.verdict(found, session.is_some(), cpu.batch(), threads);
                (session, Some(note))
            }),
            false => Session::new(executor, cpu.model(), cpu.batch(), storage)
                .map(|session| (Some(session), None)),
        };
        match chosen {
            Ok((Some(session), note)) => {
                let session = FallbackSession::new(cpu, session);
                (HostSession::Device(Box::new(session)), note)
            }
            Ok((None, note)) => (HostSession::Cpu(Box::new(cpu)), note),
            Err(error) => {
                let note = format!("{} is not used: {error}", self.name());
                (HostSession::Cpu(Box::new(cpu)), Some(note))
            }
        }
    }

    /// What was measured, in words.
    fn verdict(&self, found: Comparison, taken: bool, batch: usize, threads: usize) -> String {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let (name, cpu) = (self.name(), "the CPU");
        let taken = if taken { name } else { cpu };
        let of_threads = match threads {
            0 | 1 => String::new(),
            threads => format!(", of which there are {threads}"),
        };
        format!(
            "{taken} is taken: a batch of {batch} takes {:.0} us on {name}, {:.0} us on a thread of the CPU{of_threads}",
            micros(found.device),
            micros(found.cpu),
        )
    }
}
