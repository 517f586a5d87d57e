//! One suite that every kernel set instantiates, with [`kernel_suite!`](crate::kernel_suite).
//!
//! Each function takes a set and checks one operation against [`crate::reference`] over problems whose
//! sizes straddle any likely tile: agreement, batch invariance bit by bit, that every output is written
//! and nothing around it, that scratch may hold anything, NaN and signed zeros, and what becomes of
//! slices that are too short. A failing check names its problem.
//!
//! Agreement within a bound is `|found - reference| <= k * EPSILON * sum of |terms|` where `k` is the
//! number of terms of the sum: what two different orders of summation, fused or not, can at most differ by.

mod aligned;
mod binary;
mod conv2d;
mod elementwise;
mod guarded;
mod int8;
mod linear;
mod peak;
mod pool2d;
mod random;
mod strided_copy;

pub use aligned::Aligned;
pub use binary::{binary, channel_affine};
pub use conv2d::conv2d;
pub use elementwise::{log_softmax, softmax, unary};
pub use guarded::{Guard, Guarded};
pub use int8::{
    binary_i8, conv2d_i8, elementwise_i8, linear_i8, pool2d_i8, softmax_i8, strided_copy_i8,
};
pub use linear::linear;
pub use peak::peak;
pub use pool2d::pool2d;
pub use random::Random;
pub use strided_copy::strided_copy;

use core::fmt::Debug;

use crate::ops::BackwardKernels;

/// How closely a set's sums agree with the oracle's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// The same bits.
    Exact,
    /// Within the bound of another order of summation.
    Within,
}

/// Panics unless `found` agrees with `expected`. `magnitude` holds the sum of the absolute values of
/// each element's terms, of which there are `terms`; it matters for [`Agreement::Within`] only.
///
/// # Panics
/// With the problem, the operation and the first element that differs.
pub fn assert_agrees(
    agreement: Agreement,
    (problem, what): (&dyn Debug, &str),
    found: &[f32],
    expected: &[f32],
    (terms, magnitude): (usize, &[f32]),
) {
    assert_eq!(found.len(), expected.len(), "{what} of {problem:?}: length");
    for (i, (&x, &y)) in found.iter().zip(expected).enumerate() {
        let same = x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan());
        let bound = match agreement {
            Agreement::Exact => 0.0,
            Agreement::Within => f64::from(magnitude[i]) * f64::from(f32::EPSILON) * terms as f64,
        };
        let close = agreement == Agreement::Within && f64::from((x - y).abs()) <= bound;
        assert!(
            same || close,
            "{what} of {problem:?}: element {i} is {x:?} instead of {y:?}, allowed {bound:e}"
        );
    }
}

/// Panics unless both have the same bits, any NaN being like any other.
///
/// # Panics
/// With the problem, the operation and the first element that differs.
pub fn assert_same(about: (&dyn Debug, &str), found: &[f32], expected: &[f32]) {
    assert_agrees(Agreement::Exact, about, found, expected, (0, &[]));
}

/// Calls `f`, which hands a kernel slices that do not fit. A debug build must stop at it, a release
/// build must come back; the caller checks that nothing was written out of bounds.
pub(crate) fn call_wrongly(about: (&dyn Debug, &str), f: impl FnOnce()) {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
    assert_eq!(
        result.is_err(),
        cfg!(debug_assertions),
        "{} of {:?} with a slice that does not fit",
        about.1,
        about.0
    );
}

/// Runs `check` on a set, or says on the standard error stream that this machine cannot.
///
/// # Panics
/// If the machine cannot but the environment variable `KINGLET_REQUIRE_SETS`, a list separated by
/// commas, names the set; and as `check` does.
pub fn run(
    name: &str,
    set: Option<&dyn BackwardKernels>,
    check: impl FnOnce(&dyn BackwardKernels),
) {
    if let Some(set) = set {
        assert_eq!(set.name(), name, "the name of the set");
        return check(set);
    }
    assert!(
        !required_sets().iter().any(|required| required == name),
        "KINGLET_REQUIRE_SETS names {name}, which this CPU cannot run"
    );
    // Not `eprintln`, which the test harness hides when the test passes.
    let line = format!("{name}: NOT RUN on this CPU\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
}

/// The set of that name, if this machine can run it.
pub fn find(name: &str) -> Option<&'static dyn BackwardKernels> {
    let set = crate::arch::sets().iter().find(|set| set.name() == name);
    set?.training_kernels()
}

/// The sets that `KINGLET_REQUIRE_SETS` names.
pub fn required_sets() -> Vec<String> {
    let names = std::env::var("KINGLET_REQUIRE_SETS").unwrap_or_default();
    let names = names.split(',').map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// Makes a module `$name` with one test for each operation of the set `$kernels`, an expression of type
/// `Option<&'static dyn BackwardKernels>` that is `None` where the machine cannot run it.
///
/// ```
/// kinglet_kernels::kernel_suite!(portable, Some(&kinglet_kernels::Portable), Exact);
/// ```
#[macro_export]
macro_rules! kernel_suite {
    ($name:ident, $kernels:expr, $agreement:ident) => {
        $crate::kernel_suite!(@tests $name, $kernels, $agreement,
            conv2d, linear, pool2d, unary, softmax, log_softmax, binary, channel_affine, strided_copy, peak,
            conv2d_i8, linear_i8, pool2d_i8, elementwise_i8, binary_i8, softmax_i8, strided_copy_i8);
    };
    (@tests $name:ident, $kernels:expr, $agreement:ident, $($operation:ident),*) => {
        mod $name {
            #[allow(unused_imports, reason = "the set is an expression of the caller's")]
            use super::*;
            $(
                #[test]
                fn $operation() {
                    $crate::testing::run(stringify!($name), $kernels, |set| {
                        let agreement = $crate::testing::Agreement::$agreement;
                        $crate::testing::$operation(set, agreement);
                    });
                }
            )*
        }
    };
}
