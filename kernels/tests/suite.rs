//! The suite on every kernel set of this build. Apart from the unit tests: on other machines and under
//! AddressSanitizer the kernels are compiled once for it.

use kinglet_kernels::testing::required_sets;
use kinglet_kernels::{arch, kernel_suites};

kernel_suites!();

#[test]
fn required_sets_exist() {
    for name in required_sets() {
        assert!(
            arch::sets().iter().any(|set| set.name() == name),
            "KINGLET_REQUIRE_SETS names {name}, which this build does not have"
        );
    }
}

#[test]
fn what_is_detected_runs_and_none_before_it_does() {
    let detected = arch::detect().name();
    let mut before = arch::sets().iter().take_while(|set| set.name() != detected);
    assert!(before.all(|set| set.kernels().is_none()), "{detected}");
    assert!(kinglet_kernels::testing::find(detected).is_some());
}

/// A set that the build has the instructions for is a constant, and needs no detection.
#[cfg(all(
    target_arch = "x86_64",
    target_feature = "avx2",
    target_feature = "fma"
))]
const _: arch::x86_64::Avx2 = arch::x86_64::Avx2::new();

#[cfg(all(
    target_arch = "x86_64",
    target_feature = "avx512f",
    target_feature = "avx512dq"
))]
const _: arch::x86_64::Avx512 = arch::x86_64::Avx512::new();
