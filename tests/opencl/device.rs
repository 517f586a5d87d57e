//! The device under test.

use std::path::PathBuf;
use std::sync::Arc;

use kinglet::opencl::{DeviceInfo, Executor, Options, Tuning, devices};

/// The device that the environment names.
pub(crate) fn required() -> DeviceInfo {
    let name = std::env::var("KINGLET_REQUIRE_OPENCL").unwrap_or_default();
    let found = devices().expect("OpenCL lists its devices");
    let names: Vec<_> = found.iter().map(|d| (&d.platform, &d.name)).collect();
    let device = found.iter().find(|device| device.is_called(&name));
    device
        .unwrap_or_else(|| panic!("there is no OpenCL device \"{name}\", only {names:?}"))
        .clone()
}

/// The device, open, with the variant of each kernel at this place.
pub(crate) fn with_variant(variant: usize) -> Arc<Executor> {
    with_groups(variant, Options::default().max_groups)
}

/// The same, with so few work-groups in a launch that most work is launched in parts.
pub(crate) fn with_groups(variant: usize, max_groups: usize) -> Arc<Executor> {
    let options = Options {
        tuning: Tuning::Fixed(variant),
        max_groups,
        // One run of these tests may leave something for the next: that the device has passed its self-test.
        cache: std::env::var_os("KINGLET_CACHE_DIR").map(PathBuf::from),
        ..Options::default()
    };
    Executor::open(&required(), options).expect("the device can be used")
}

/// The device, open as programs open it, with a cache in `folder`.
pub(crate) fn with_cache(folder: &Folder) -> Arc<Executor> {
    let options = Options {
        cache: Some(folder.0.clone()),
        ..Options::default()
    };
    Executor::open(&required(), options).expect("the device can be used")
}

/// A folder for one test, gone at its end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("kinglet-opencl-{name}-{}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        let _ = std::fs::remove_dir_all(&folder.0);
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
