//! `kinglet devices`: what this machine can compute with.

use clap::Args;
use kinglet_kernels::arch::{detect, sets};
use serde::Serialize;

use super::{Failure, document};

/// List kernel sets and OpenCL devices, which of them this machine can use, and which `auto` takes
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet devices
  kinglet devices --json
  KINGLET_OPENCL_LIB=none kinglet devices       as if there were no OpenCL")]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Everything there is.
#[derive(Debug, Serialize)]
struct Report {
    architecture: &'static str,
    threads: usize,
    sets: Vec<Set>,
    opencl: OpenCl,
}

#[derive(Debug, Serialize)]
struct Set {
    name: &'static str,
    runs: bool,
    chosen: bool,
}

/// What OpenCL has to offer.
#[derive(Debug, Default, Serialize)]
struct OpenCl {
    /// The library that was loaded.
    library: Option<String>,
    devices: Vec<Device>,
    /// What `--device auto` does, and why.
    auto: String,
    /// Where compiled kernels and measurements are kept.
    cache: Option<std::path::PathBuf>,
}

#[derive(Debug, Serialize)]
struct Device {
    name: String,
    platform: String,
    platform_version: String,
    vendor: String,
    version: String,
    driver: String,
    kind: String,
    compute_units: u32,
    clock_mhz: u32,
    memory: u64,
    largest_buffer: u64,
    local_memory: u64,
    work_group: usize,
    work_items: [usize; 3],
    fp16: bool,
    /// How it is used, or why not.
    used: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let chosen = detect().name();
    let sets = sets().iter().map(|set| Set {
        name: set.name(),
        runs: set.kernels().is_some(),
        chosen: set.name() == chosen,
    });
    let report = Report {
        architecture: std::env::consts::ARCH,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        sets: sets.collect(),
        opencl: opencl(),
    };
    match arguments.json {
        true => document::print("devices", &report)?,
        false => print(&report),
    }
    Ok(())
}

#[cfg(feature = "opencl")]
fn opencl() -> OpenCl {
    use kinglet::opencl::{DeviceKind, devices, library};

    let library = match library() {
        Ok(library) => library,
        Err(reason) => {
            return OpenCl {
                auto: format!("the CPU: {reason}"),
                ..OpenCl::default()
            };
        }
    };
    let (found, failure) = match devices() {
        Ok(found) => (found, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let candidate = found
        .iter()
        .find(|device| device.kind != DeviceKind::Cpu && device.unusable.is_none());
    let auto = match (candidate, failure) {
        (Some(device), _) => format!(
            "{}, where it is faster than the CPU: measured with each model and batch",
            device.name
        ),
        (None, Some(error)) => format!("the CPU: {error}"),
        (None, None) if found.is_empty() => {
            "the CPU: the OpenCL library finds no devices (is the GPU's driver installed?)"
                .to_owned()
        }
        (None, None) => "the CPU: no device is a GPU that can be used".to_owned(),
    };
    let describe = |device: kinglet::opencl::DeviceInfo| Device {
        used: match (&device.unusable, device.kind) {
            (Some(reason), _) => format!("never: {reason}"),
            (None, DeviceKind::Cpu) => "when named: it is a CPU".to_owned(),
            (None, _) => "by auto, by gpu, or when named".to_owned(),
        },
        name: device.name,
        platform: device.platform,
        platform_version: device.platform_version,
        vendor: device.vendor,
        version: device.version,
        driver: device.driver,
        kind: device.kind.to_string(),
        compute_units: device.compute_units,
        clock_mhz: device.clock,
        memory: device.memory,
        largest_buffer: device.largest_buffer,
        local_memory: device.local_memory,
        work_group: device.work_group,
        work_items: device.work_items,
        fp16: device.fp16,
    };
    OpenCl {
        library: Some(library.to_owned()),
        devices: found.into_iter().map(describe).collect(),
        auto,
        cache: crate::device::cache_folder(),
    }
}

#[cfg(not(feature = "opencl"))]
fn opencl() -> OpenCl {
    OpenCl {
        auto: "the CPU: this program was built without OpenCL".to_owned(),
        ..OpenCl::default()
    }
}

fn print(report: &Report) {
    println!(
        "{} CPU, {} threads; kernel sets, fastest first:",
        report.architecture, report.threads
    );
    for set in &report.sets {
        let note = match (set.runs, set.chosen) {
            (true, true) => "taken by --kernels auto",
            (true, false) => "available",
            (false, _) => "not on this CPU",
        };
        println!("  {:<10} {note}", set.name);
    }
    let opencl = &report.opencl;
    match &opencl.library {
        Some(library) => println!("\nOpenCL devices, by {library}:"),
        None => println!("\nOpenCL devices: none"),
    }
    for device in &opencl.devices {
        let mebibytes = |bytes: u64| bytes >> 20;
        println!("  {}", device.name);
        println!(
            "    {} of {}, driver {}, {}",
            device.kind, device.platform, device.driver, device.version
        );
        println!(
            "    {} compute units at {} MHz, {} MiB of memory, {} MiB in one buffer, {} KiB local, work-groups of {}{}",
            device.compute_units,
            device.clock_mhz,
            mebibytes(device.memory),
            mebibytes(device.largest_buffer),
            device.local_memory >> 10,
            device.work_group,
            if device.fp16 { ", fp16" } else { "" }
        );
        println!("    used {}", device.used);
    }
    println!("--device auto takes {}", opencl.auto);
    if let Some(cache) = &opencl.cache {
        println!(
            "compiled kernels and measurements are kept in {}",
            cache.display()
        );
    }
}
