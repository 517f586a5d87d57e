//! The devices of this machine: what they are, what they can hold, which may be used.

use std::format;
use std::string::{String, ToString};
use std::sync::Mutex;
use std::vec::Vec;

use ocl::core::{
    self, DeviceFpConfig, DeviceInfo as Request, DeviceInfoResult as Answer, DeviceType,
    PlatformInfo,
};
use ocl::core::{DeviceId, PlatformId};

use super::OpenClError;

/// What a device computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// A graphics processor.
    Gpu,
    /// An accelerator of another kind.
    Accelerator,
    /// The CPU itself: PoCL, llvmpipe, Intel's runtime. Used only when named.
    Cpu,
}

impl std::fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gpu => "GPU",
            Self::Accelerator => "accelerator",
            Self::Cpu => "CPU",
        })
    }
}

/// A device of an OpenCL platform.
#[derive(Debug, Clone)]
pub struct DeviceInfo {
    pub(super) id: DeviceId,
    /// Name of the platform: the driver.
    pub platform: String,
    /// The platform's version.
    pub platform_version: String,
    /// Name of the device.
    pub name: String,
    /// Who made it.
    pub vendor: String,
    /// `OpenCL 3.0 ...`: what it implements.
    pub version: String,
    /// The driver's own version.
    pub driver: String,
    /// GPU, CPU or another.
    pub kind: DeviceKind,
    /// Processors that run work-groups.
    pub compute_units: u32,
    /// MHz at most, as the driver says.
    pub clock: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of one buffer at most.
    pub largest_buffer: u64,
    /// Bytes of memory that a work-group shares.
    pub local_memory: u64,
    /// Work-items of one work-group at most.
    pub work_group: usize,
    /// The same on each of its axes.
    pub work_items: [usize; 3],
    /// True if the device names `cl_khr_fp16`. Storage in f16 does without: see [`Element::F16`](super::Element::F16).
    pub fp16: bool,
    /// Why it cannot be used, if it cannot.
    pub unusable: Option<String>,
}

impl DeviceInfo {
    /// True if `name` is a part of the device's or its platform's name, in any case of letters.
    pub fn is_called(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let holds = |text: &str| text.to_lowercase().contains(&name);
        holds(&self.name) || holds(&self.platform)
    }

    fn read(platform: (&str, &str), id: DeviceId) -> Self {
        let mut device = Self {
            id,
            platform: platform.0.into(),
            platform_version: platform.1.into(),
            name: text(id, Request::Name),
            vendor: text(id, Request::Vendor),
            version: raw_text(id, Request::Version),
            driver: text(id, Request::DriverVersion),
            kind: kind(id),
            compute_units: number(id, Request::MaxComputeUnits) as u32,
            clock: number(id, Request::MaxClockFrequency) as u32,
            memory: number(id, Request::GlobalMemSize),
            largest_buffer: number(id, Request::MaxMemAllocSize),
            local_memory: number(id, Request::LocalMemSize),
            work_group: number(id, Request::MaxWorkGroupSize) as usize,
            work_items: work_items(id),
            fp16: text(id, Request::Extensions)
                .split_whitespace()
                .any(|extension| extension == "cl_khr_fp16"),
            unusable: None,
        };
        device.unusable = device.find_fault();
        device
    }

    /// What keeps it from being used.
    fn find_fault(&self) -> Option<String> {
        let flag = |request| number(self.id, request) != 0;
        if !flag(Request::Available) {
            Some("the driver says that it is not available".into())
        } else if !flag(Request::CompilerAvailable) {
            Some("its driver has no compiler".into())
        } else if version(&self.version) < (1, 2) {
            Some(format!(
                "it implements \"{}\", OpenCL 1.2 is needed",
                self.version
            ))
        } else if !flag(Request::EndianLittle) {
            Some("it is big-endian".into())
        } else if !rounds_to_nearest(self.id) {
            Some("it does not round to nearest, or knows no infinity".into())
        } else {
            None
        }
    }
}

/// All devices of all platforms. Without a library, or with a loader that finds no drivers, there is none.
///
/// # Errors
/// [`OpenClError`] if the library answers with an error. A platform that fails by itself is left out.
pub fn devices() -> Result<Vec<DeviceInfo>, OpenClError> {
    // Loader and drivers make themselves ready in the first call, and PoCL crashes where two threads make it.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock();
    let platforms = core::get_platform_ids();
    let platforms = platforms.map_err(|e| OpenClError::driver("clGetPlatformIDs", &e))?;
    Ok(platforms
        .into_iter()
        .flat_map(|platform| {
            let name = platform_text(platform, PlatformInfo::Name);
            let version = platform_text(platform, PlatformInfo::Version);
            // A platform without devices says CL_DEVICE_NOT_FOUND: that is no error here. The number of
            // devices is not limited: with a limit this function of `ocl` writes past its vector.
            let ids = core::get_device_ids(platform, Some(DeviceType::ALL), None);
            let ids = ids.unwrap_or_default().into_iter();
            ids.map(|id| DeviceInfo::read((&name, &version), id))
                .collect::<Vec<_>>()
        })
        .collect())
}

fn platform_text(platform: PlatformId, request: PlatformInfo) -> String {
    core::get_platform_info(platform, request).map_or_else(|_| String::new(), |x| x.to_string())
}

fn text(id: DeviceId, request: Request) -> String {
    core::get_device_info(id, request)
        .map_or_else(|_| String::new(), |x| x.to_string().trim().into())
}

/// The text as the driver has it: `ocl` reads no more than the two numbers from a version.
fn raw_text(id: DeviceId, request: Request) -> String {
    let bytes = core::get_device_info_raw(id, request as u32).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.trim_matches(['\0', ' ']).into()
}

fn number(id: DeviceId, request: Request) -> u64 {
    match core::get_device_info(id, request) {
        Ok(
            Answer::MaxComputeUnits(n) | Answer::MaxClockFrequency(n) | Answer::MemBaseAddrAlign(n),
        ) => n.into(),
        Ok(Answer::GlobalMemSize(n) | Answer::MaxMemAllocSize(n) | Answer::LocalMemSize(n)) => n,
        Ok(Answer::MaxWorkGroupSize(n)) => n as u64,
        Ok(Answer::Available(yes) | Answer::CompilerAvailable(yes) | Answer::EndianLittle(yes)) => {
            yes.into()
        }
        _ => 0,
    }
}

fn work_items(id: DeviceId) -> [usize; 3] {
    match core::get_device_info(id, Request::MaxWorkItemSizes) {
        Ok(Answer::MaxWorkItemSizes(sizes)) => {
            std::array::from_fn(|axis| sizes.get(axis).copied().unwrap_or(1))
        }
        _ => [1; 3],
    }
}

/// The embedded profile allows truncation, which adds up over a long sum.
fn rounds_to_nearest(id: DeviceId) -> bool {
    let needed = DeviceFpConfig::ROUND_TO_NEAREST | DeviceFpConfig::INF_NAN;
    match core::get_device_info(id, Request::SingleFpConfig) {
        Ok(Answer::SingleFpConfig(config)) => config.contains(needed),
        _ => false,
    }
}

fn kind(id: DeviceId) -> DeviceKind {
    match core::get_device_info(id, Request::Type) {
        Ok(Answer::Type(kind)) if kind.contains(DeviceType::GPU) => DeviceKind::Gpu,
        Ok(Answer::Type(kind)) if kind.contains(DeviceType::ACCELERATOR) => DeviceKind::Accelerator,
        _ => DeviceKind::Cpu,
    }
}

/// The numbers of `OpenCL 1.2 whatever the vendor adds`; (0, 0) of anything else.
fn version(text: &str) -> (u32, u32) {
    let numbers = text.strip_prefix("OpenCL ").and_then(|rest| {
        let (major, rest) = rest.split_once('.')?;
        let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    numbers.unwrap_or((0, 0))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_read_as_the_standard_writes_them() {
        assert_eq!(version("OpenCL 1.2 pocl HSTR: pthread"), (1, 2));
        assert_eq!(version("OpenCL 3.0"), (3, 0));
        assert_eq!(version("OpenCL 2.0AMD-APP"), (2, 0));
        assert_eq!(version("pocl 1.2"), (0, 0));
    }
}
