//! When a device's result counts as the CPU's.

use std::string::ToString;

use super::{Element, OpenClError};

/// Refuses `found` if it is further from `expected` than another order of summation explains: than 1e-4 of the
/// largest magnitude there, or 2e-2 of it where storage is f16. A NaN agrees with a NaN.
pub(super) fn check(
    what: &str,
    found: &[f32],
    expected: &[f32],
    storage: Element,
) -> Result<(), OpenClError> {
    let share = match storage {
        Element::F16 => 2e-2,
        Element::F32 | Element::U32 => 1e-4,
    };
    let finite = expected.iter().filter(|x| x.is_finite());
    let largest = finite.fold(f32::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let differs = |(found, expected): (&f32, &f32)| {
        let both_nan = found.is_nan() && expected.is_nan();
        // Of infinities only the same one is near; the difference is NaN then, and no comparison holds.
        found != expected
            && !both_nan
            && (found - expected)
                .abs()
                .partial_cmp(&(share * largest))
                .is_none_or(|order| order.is_gt())
    };
    match found.iter().zip(expected).position(differs) {
        None => Ok(()),
        Some(element) => Err(OpenClError::WrongResult {
            what: what.to_string(),
            element,
            found: found[element],
            expected: expected[element],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_agrees_and_nothing_else() {
        let agrees = |found: f32, expected: f32| {
            check("x", &[found, 2.0], &[expected, 2.0], Element::F32).is_ok()
        };
        assert!(agrees(1.0, 1.0001) && agrees(f32::NAN, f32::NAN));
        assert!(agrees(f32::INFINITY, f32::INFINITY));
        for (found, expected) in [
            (1.0, 1.001),
            (f32::NAN, 1.0),
            (1.0, f32::NAN),
            (f32::INFINITY, 1.0),
            (1.0, f32::INFINITY),
            (f32::NEG_INFINITY, f32::INFINITY),
        ] {
            assert!(!agrees(found, expected), "{found} {expected}");
        }
        assert!(check("x", &[1.0], &[1.01], Element::F16).is_ok());
    }
}
