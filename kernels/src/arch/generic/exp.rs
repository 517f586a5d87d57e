//! The exponential function and its kin.
//!
//! `x = n * ln 2 + r` with `n` whole and `|r| <= ln 2 / 2`, so `e^x = 2^n * e^r` (W. J. Cody and W. Waite,
//! Software Manual for the Elementary Functions, 1980). `ln 2` is subtracted in two parts, of which the
//! first has so few bits that its product with `n` is exact. `e^r - 1` is its Taylor polynomial of degree 7,
//! whose error on that range, `(ln 2 / 2)^8 / 8! = 5e-9`, is below half a unit in the last place.

use super::Vector;

const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `1 / k!` for `k` from 7 down to 2.
const COEFFICIENTS: [f32; 6] = [
    1.0 / 5040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    1.0 / 2.0,
];

/// `(n, e^r - 1)` of `x = n * ln 2 + r`.
#[inline(always)]
fn reduced<V: Vector>(isa: V::Isa, x: V) -> (V, V) {
    let n = x.mul(V::splat(isa, core::f32::consts::LOG2_E)).round();
    let r = x.add_product(n, V::splat(isa, -LN_2_HIGH));
    let r = r.add_product(n, V::splat(isa, -LN_2_LOW));
    let mut sum = V::splat(isa, COEFFICIENTS[0]);
    for coefficient in &COEFFICIENTS[1..] {
        sum = V::splat(isa, *coefficient).add_product(sum, r);
    }
    // r + r^2 * sum
    (n, r.add_product(r.mul(r), sum))
}

/// `e^x`, within 2 units in the last place: 0 below -104, infinite above 88.8, NaN of NaN.
#[inline(always)]
pub(super) fn exp<V: Vector>(isa: V::Isa, x: V) -> V {
    // Beyond this range the result is what it is at its ends; within it `n` is from -151 to 129.
    let x = x.clamp(V::splat(isa, -104.5), V::splat(isa, 89.0));
    let (n, p) = reduced(isa, x);
    let e_r = p.add(V::splat(isa, 1.0));
    // In two steps, since 2^n alone may be out of range where the result is not.
    let half = n.mul(V::splat(isa, 0.5)).round();
    e_r.mul(half.power_of_two()).mul(n.sub(half).power_of_two())
}

/// `e^x - 1` of `x` that are not positive, within a few units in the last place of 1; of others it is 0.
#[inline(always)]
pub(super) fn expm1_of_negative<V: Vector>(isa: V::Isa, x: V) -> V {
    // Below -30 the result is -1.
    let (n, p) = reduced(isa, x.clamp(V::splat(isa, -30.0), V::splat(isa, 0.0)));
    let power = n.power_of_two();
    power.sub(V::splat(isa, 1.0)).add_product(p, power)
}

/// Hyperbolic tangent, within a few units in the last place of 1: `(e^2x - 1) / (e^2x + 1)`.
#[inline(always)]
pub(super) fn tanh<V: Vector>(isa: V::Isa, x: V) -> V {
    // From 10 on the result is 1.
    let x = x.clamp(V::splat(isa, -10.0), V::splat(isa, 10.0));
    let (n, p) = reduced(isa, x.add(x));
    let power = n.power_of_two();
    // e^2x - 1 without loss where it is small: there `power` is 1.
    let difference = power.sub(V::splat(isa, 1.0)).add_product(p, power);
    difference.div(difference.add(V::splat(isa, 2.0)))
}

/// Numerator and denominator of [`erf`] by `x` as polynomials of `x^2`, highest power first.
const ERF: ([f32; 7], [f32; 5]) = (
    [
        -2.726_142e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ],
    [
        -1.456_607_2e-5,
        -2.133_740_5e-4,
        -1.682_827e-3,
        -7.373_329e-3,
        -1.426_473_9e-2,
    ],
);

/// Error function, within 5 units in the last place of 1: a rational minimax approximation on -4 to 4, as Eigen and XLA
/// have it.
#[inline(always)]
pub(super) fn erf<V: Vector>(isa: V::Isa, x: V) -> V {
    let (one, end) = (V::splat(isa, 1.0), V::splat(isa, 3.92));
    let t = x.clamp(V::splat(isa, -4.0), V::splat(isa, 4.0));
    let square = t.mul(t);
    let polynomial = |coefficients: &[f32]| {
        let mut sum = V::splat(isa, coefficients[0]);
        for coefficient in &coefficients[1..] {
            sum = V::splat(isa, *coefficient).add_product(sum, square);
        }
        sum
    };
    let y = t.mul(polynomial(&ERF.0)).div(polynomial(&ERF.1));
    // From here on the nearest number is 1, which what multiplies the difference from it by a large number relies on.
    let y = V::select(t.greater(end), one, y);
    let zero = V::splat(isa, 0.0);
    V::select(zero.sub(end).greater(t), zero.sub(one), y)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) fn sigmoid<V: Vector>(isa: V::Isa, x: V) -> V {
    let one = V::splat(isa, 1.0);
    one.div(one.add(exp(isa, V::splat(isa, 0.0).sub(x))))
}
