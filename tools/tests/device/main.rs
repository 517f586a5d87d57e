//! Training on an OpenCL device against the CPU. `KINGLET_REQUIRE_OPENCL` is a part of the name of the platform or
//! device that must be there: `KINGLET_REQUIRE_OPENCL=portable cargo test -p kinglet-tools --features _opencl-tests`.
//! Tests with `small` in their names are small enough for a simulator that watches every access to memory.

mod curve;
mod faults;
mod gradients;
mod normalization;
mod recipes;
mod runs;
mod steps;

use std::path::PathBuf;
use std::sync::Arc;

use kinglet::opencl::{Buffer, Element, Executor, Options, Recording, Tuning, devices};

thread_local! {
    // Tests have a thread each: a simulator may not follow a device from one thread to another.
    static EXECUTOR: Arc<Executor> = open();
}

/// The device that the environment names. A test without it would show nothing, so it fails.
fn open() -> Arc<Executor> {
    let name = std::env::var("KINGLET_REQUIRE_OPENCL")
        .expect("KINGLET_REQUIRE_OPENCL names the OpenCL platform to test");
    let devices = devices().unwrap();
    let device = devices.iter().find(|device| device.is_called(&name));
    let device = device.unwrap_or_else(|| panic!("no OpenCL device is called {name}"));
    let options = Options {
        // The tiles have tests of their own.
        tuning: Tuning::Fixed(0),
        // One run of these tests may leave something for the next: that the device has passed its self-test.
        cache: std::env::var_os("KINGLET_CACHE_DIR").map(PathBuf::from),
        ..Options::default()
    };
    Executor::open(device, options).unwrap()
}

/// The device, open.
pub(crate) fn executor() -> Arc<Executor> {
    EXECUTOR.with(Arc::clone)
}

/// A buffer with these values.
pub(crate) fn buffer(values: &[f32]) -> Buffer {
    let buffer = executor().buffer(values.len(), Element::F32).unwrap();
    executor().write_f32(buffer.whole(), values).unwrap();
    buffer
}

/// A buffer of NaN, for what is going to be written.
pub(crate) fn unwritten(len: usize) -> Buffer {
    buffer(&vec![f32::NAN; len])
}

/// Records, enqueues.
pub(crate) fn run(record: impl FnOnce(&mut Recording)) {
    let mut recording = Recording::new(&executor());
    record(&mut recording);
    recording.enqueue().unwrap();
}

/// What a buffer holds.
pub(crate) fn read(buffer: &Buffer) -> Vec<f32> {
    let mut values = vec![0.0; buffer.len()];
    executor().read_f32(buffer.whole(), &mut values).unwrap();
    values
}

/// Fails unless each value is within `bound` of `expected`, relative to the larger of 1 and what is expected.
#[track_caller]
pub(crate) fn assert_close(what: &str, bound: f32, found: &Buffer, expected: &[f32]) {
    let found = read(found);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (x, y)) in found.iter().zip(expected).enumerate() {
        let close = (x - y).abs() <= bound * y.abs().max(1.0);
        let same = x == y || (x.is_nan() && y.is_nan());
        assert!(close || same, "{what}: element {i} is {x}, not {y}");
    }
}
