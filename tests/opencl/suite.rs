//! The suite of the kernel sets, with each variant of the kernels, and with launches in parts.

use std::sync::LazyLock;

use kinglet_kernels::{BackwardKernels, kernel_suite};

use crate::device::{with_groups, with_variant};
use crate::on_device::OnDevice;

/// Variants of the kernel that has the most.
const VARIANTS: usize = 7;

/// The device with one of the variants, opened when it is first needed.
fn variant(name: &'static str, at: usize) -> Option<&'static dyn BackwardKernels> {
    static DEVICES: [LazyLock<OnDevice>; VARIANTS] = [
        LazyLock::new(|| device(0)),
        LazyLock::new(|| device(1)),
        LazyLock::new(|| device(2)),
        LazyLock::new(|| device(3)),
        LazyLock::new(|| device(4)),
        LazyLock::new(|| device(5)),
        LazyLock::new(|| device(6)),
    ];
    let device: &'static OnDevice = &DEVICES[at];
    assert_eq!(device.name, name);
    Some(device)
}

const NAMES: [&str; VARIANTS] = [
    "variant_0",
    "variant_1",
    "variant_2",
    "variant_3",
    "variant_4",
    "variant_5",
    "variant_6",
];

fn device(at: usize) -> OnDevice {
    OnDevice {
        name: NAMES[at],
        executor: with_variant(at),
    }
}

/// The device where a launch has three groups on an axis at most.
fn parts() -> Option<&'static dyn BackwardKernels> {
    static DEVICE: LazyLock<OnDevice> = LazyLock::new(|| OnDevice {
        name: "in_parts",
        executor: with_groups(0, 3),
    });
    let device: &'static OnDevice = &DEVICE;
    Some(device)
}

kernel_suite!(in_parts, parts(), Within);
kernel_suite!(variant_0, variant("variant_0", 0), Within);
kernel_suite!(variant_1, variant("variant_1", 1), Within);
kernel_suite!(variant_2, variant("variant_2", 2), Within);
kernel_suite!(variant_3, variant("variant_3", 3), Within);
kernel_suite!(variant_4, variant("variant_4", 4), Within);
kernel_suite!(variant_5, variant("variant_5", 5), Within);
kernel_suite!(variant_6, variant("variant_6", 6), Within);
