//! Real numbers as 8-bit integers: what a quantized number means, and the one way back to it from a sum.
//!
//! `real = scale * (q - zero_point)`. A sum of products is an `i32`, the accumulator, at the product of both scales.
//! Requantizing takes it to the output's scale:
//!
//! ```text
//! q = clamp(rint(accumulator as f32 * scale), low - zero_point, high - zero_point) + zero_point
//! ```
//!
//! One conversion to `f32` and one multiplication, each rounded to nearest, then `rint`, ties to even. `low` and
//! `high` bound the output: a fused ReLU is `low = zero_point`. This is the only rounding there is: every kernel
//! set, on every machine, gives these bits, and they are those of ONNX's `QLinearConv` and `QuantizeLinear`.

use crate::params::ParamsError;

/// What the numbers of an 8-bit tensor mean: `real = scale * (q - zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quantization {
    /// The real distance of neighbouring numbers.
    pub scale: f32,
    /// The number that means 0.
    pub zero_point: i8,
}

impl Quantization {
    /// Numbers `scale` apart, of which `zero_point` means 0.
    pub const fn new(scale: f32, zero_point: i8) -> Self {
        Self { scale, zero_point }
    }

    /// Whether such numbers mean anything.
    ///
    /// # Errors
    /// [`ParamsError::Scale`] if the scale is not finite and positive.
    pub const fn check(self) -> Result<(), ParamsError> {
        check_scale(self.scale)
    }

    /// The number nearest to `x`, ties to even, within -128 to 127: `rint(x / scale) + zero_point`. NaN becomes -128.
    #[inline(always)]
    pub fn quantize(self, x: f32) -> i8 {
        Requantize::whole(self.zero_point).round(x / self.scale)
    }

    /// What `q` means.
    #[inline(always)]
    pub fn dequantize(self, q: i8) -> f32 {
        (i32::from(q) - i32::from(self.zero_point)) as f32 * self.scale
    }

    /// What numbers of this scale are multiplied by to have that of `output`.
    ///
    /// # Errors
    /// [`ParamsError::Scale`] if it is not finite and positive.
    pub(crate) const fn factor_to(self, output: Self) -> Result<f32, ParamsError> {
        let factor = self.scale / output.scale;
        match check_scale(factor) {
            Ok(()) => Ok(factor),
            Err(e) => Err(e),
        }
    }
}

/// Finite and positive, as every scale.
pub(crate) const fn check_scale(scale: f32) -> Result<(), ParamsError> {
    if scale > 0.0 && scale < f32::INFINITY {
        Ok(())
    } else {
        Err(ParamsError::Scale)
    }
}

/// From sums to the numbers of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Requantize {
    zero_point: i8,
    low: i8,
    high: i8,
}

/// One and a half times 2^23. Adding it to a small `f32` leaves no bits for a fraction: the sum is rounded to an
/// integer, ties to even, which is then the lowest bits of the number.
pub(crate) const ROUNDER: f32 = 12_582_912.0;

impl Requantize {
    /// To numbers of `low..=high`, of which `zero_point` means 0.
    ///
    /// # Errors
    /// [`ParamsError::Bounds`] if `low` is above `high`.
    pub const fn new(zero_point: i8, low: i8, high: i8) -> Result<Self, ParamsError> {
        if low > high {
            return Err(ParamsError::Bounds);
        }
        Ok(Self {
            zero_point,
            low,
            high,
        })
    }

    /// To all numbers there are.
    pub const fn whole(zero_point: i8) -> Self {
        Self {
            zero_point,
            low: i8::MIN,
            high: i8::MAX,
        }
    }

    /// The number that means 0.
    pub const fn zero_point(self) -> i8 {
        self.zero_point
    }

    /// The smallest number of the output.
    pub const fn low(self) -> i8 {
        self.low
    }

    /// The largest number of the output.
    pub const fn high(self) -> i8 {
        self.high
    }

    /// The number of the output for a sum that is to be multiplied by `scale`.
    #[inline(always)]
    pub fn requantize(self, accumulator: i32, scale: f32) -> i8 {
        self.round(accumulator as f32 * scale)
    }

    /// The number of the output for `x`, a multiple of its scale. NaN becomes `low`.
    #[inline(always)]
    pub fn round(self, x: f32) -> i8 {
        let zero_point = i32::from(self.zero_point);
        let low = (i32::from(self.low) - zero_point) as f32;
        let high = (i32::from(self.high) - zero_point) as f32;
        // The bounds are integers, so clamping before rounding is the same, and keeps the number small.
        let x = if x > low { x } else { low };
        let x = if x < high { x } else { high };
        let rounded = (x + ROUNDER).to_bits().wrapping_sub(ROUNDER.to_bits());
        (rounded as i32).wrapping_add(zero_point) as i8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    /// The definition in `f64`, where every sum and product of `f32` is exact and rounding is written out.
    fn exact(x: f64, to: Requantize) -> i8 {
        let zero_point = f64::from(to.zero_point);
        let (low, high) = (
            f64::from(to.low) - zero_point,
            f64::from(to.high) - zero_point,
        );
        let floor = x.floor();
        let rounded = match x - floor {
            above if above < 0.5 => floor,
            above if above > 0.5 => floor + 1.0,
            _ if floor % 2.0 == 0.0 => floor,
            _ => floor + 1.0,
        };
        (rounded.clamp(low, high) + zero_point) as i8
    }

    fn problems(random: &mut Random) -> Requantize {
        let mut number = || random.below(256) as u8 as i8;
        let (zero_point, a, b) = (number(), number(), number());
        Requantize::new(zero_point, a.min(b), a.max(b)).expect("in order")
    }

    #[test]
    fn ties_go_to_even() {
        let to = Requantize::whole(0);
        let rounded = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 126.5, 127.5].map(|x| to.round(x));
        assert_eq!(rounded, [-2, -2, 0, 0, 2, 2, 126, 127]);
        let to = Requantize::whole(-3);
        assert_eq!([0.5, 1.5, -0.5].map(|x| to.round(x)), [-3, -1, -3]);
        assert_eq!(to.requantize(7, 0.5), 4 - 3);
        assert_eq!(to.requantize(-5, 0.5), -2 - 3);
    }

    #[test]
    fn every_half_of_the_range_is_rounded_as_defined() {
        let mut random = Random::new(21);
        for _ in 0..200 {
            let to = problems(&mut random);
            for halves in -1100..=1100 {
                let x = halves as f32 / 2.0;
                for x in [x, x.next_up(), x.next_down()] {
                    assert_eq!(to.round(x), exact(f64::from(x), to), "{x:?} by {to:?}");
                }
            }
        }
    }

    #[test]
    fn a_sum_is_rounded_three_times_and_no_more() {
        let mut random = Random::new(22);
        for _ in 0..2_000_000 {
            let to = problems(&mut random);
            // Accumulators and scales of all magnitudes whose product is near the range.
            let bits = 1 + random.below(31);
            let accumulator = (random.value() * (1u32 << bits.min(30)) as f32) as i32;
            let accumulator = accumulator.wrapping_add(random.below(64) as i32);
            let target = random.value().abs() * 300.0;
            let scale = target / (accumulator.unsigned_abs().max(1) as f32);
            let scale = scale.max(f32::MIN_POSITIVE);
            // An i32 and a product of two f32 are exact in f64; `as f32` rounds to nearest, ties to even.
            let converted = f64::from(accumulator) as f32;
            let product = (f64::from(converted) * f64::from(scale)) as f32;
            assert_eq!(
                to.requantize(accumulator, scale),
                exact(f64::from(product), to),
                "{accumulator} * {scale:?} by {to:?}"
            );
        }
        for accumulator in [i32::MIN, i32::MIN + 1, -1, 0, 1, i32::MAX] {
            for scale in [f32::from_bits(1), f32::MIN_POSITIVE, 1.0, f32::MAX] {
                let to = problems(&mut random);
                let product = f64::from(accumulator as f32 * scale);
                assert_eq!(to.requantize(accumulator, scale), exact(product, to));
            }
        }
    }

    #[test]
    fn what_is_no_number_has_a_place() {
        let to = Requantize::new(3, -7, 90).expect("in order");
        assert_eq!(to.round(f32::NAN), -7);
        assert_eq!(to.round(-f32::NAN), -7);
        assert_eq!(to.round(f32::INFINITY), 90);
        assert_eq!(to.round(f32::NEG_INFINITY), -7);
        assert_eq!(Requantize::new(0, 1, 0), Err(ParamsError::Bounds));
    }

    #[test]
    fn quantized_numbers_come_back() {
        for zero_point in [-128, -1, 0, 5, 127] {
            for scale in [1e-30, 0.003, 0.1, 1.0, 7e20] {
                let quantization = Quantization::new(scale, zero_point);
                for q in i8::MIN..=i8::MAX {
                    assert_eq!(quantization.quantize(quantization.dequantize(q)), q);
                }
            }
        }
        let quantization = Quantization::new(0.5, 10);
        assert_eq!(quantization.quantize(0.25), 10);
        assert_eq!(quantization.quantize(0.75), 12);
        assert_eq!(quantization.quantize(-1e9), -128);
        assert_eq!(quantization.quantize(f32::NAN), -128);
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert_eq!(Quantization::new(scale, 0).check(), Err(ParamsError::Scale));
        }
    }
}
