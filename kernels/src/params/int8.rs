//! Operations on 8-bit numbers: the geometry of their `f32` sisters, and what the numbers mean.

use super::{Binary, BinaryFunction, Conv2d, Linear, ParamsError, Pool2d, RowOrder};
use crate::Shape;
use crate::quant::{Quantization, Requantize, check_scale};

/// The largest size of a term: a number less its zero point, times a weight.
const MAX_TERM: i32 = 255 * 128;

/// The most terms of one sum that cannot overflow an `i32` where there is no bias.
const MAX_TERMS: usize = (i32::MAX / MAX_TERM) as usize;

/// The parameters of a convolution or linear layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeightsI8<'a> {
    /// Rows of OHWI, or `[out_features, in_features]`; their zero point is 0.
    pub weights: &'a [i8],
    /// In which order they lie, unless a set has packed them.
    pub order: RowOrder,
    /// `[out_channels]`, at the scale of the input times that of the weights.
    pub bias: Option<&'a [i32]>,
    /// `[out_channels]`: what each sum is multiplied by, `(input scale * weight scale) / output scale`.
    pub scale: &'a [f32],
}

impl WeightsI8<'_> {
    /// Weight `column` of row `row`, of rows of `row_len`, where they are not packed.
    #[inline(always)]
    pub(crate) fn get(&self, row_len: usize, at: (usize, usize)) -> i8 {
        self.order.get(self.weights, row_len, at)
    }

    /// Whether the numbers are ones that sums of `terms` products can do with.
    ///
    /// # Errors
    /// [`ParamsError::Scale`] if a scale is not finite and positive, [`ParamsError::Accumulator`] if a bias with all
    /// products on its side would not fit an `i32`.
    pub fn check(&self, terms: usize) -> Result<(), ParamsError> {
        for scale in self.scale {
            check_scale(*scale)?;
        }
        let largest = i32::try_from(terms).ok();
        let largest = largest.and_then(|terms| terms.checked_mul(MAX_TERM));
        let room = largest.and_then(|largest| i32::MAX.checked_sub(largest));
        let room = room.ok_or(ParamsError::Accumulator)?.unsigned_abs();
        match self.bias.unwrap_or_default() {
            bias if bias.iter().all(|bias| bias.unsigned_abs() <= room) => Ok(()),
            _ => Err(ParamsError::Accumulator),
        }
    }
}

/// A convolution of 8-bit numbers. The padding is the input's zero point, which means 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Conv2dI8 {
    pub(crate) geometry: Conv2d,
    pub(crate) input_zero_point: i8,
    pub(crate) output: Requantize,
}

impl Conv2dI8 {
    /// `geometry` over numbers of which `input_zero_point` means 0. Bounds of the output take the place of the
    /// geometry's activation, which is ignored.
    ///
    /// # Errors
    /// [`ParamsError::Accumulator`] if the sum of so many products could overflow an `i32`.
    pub const fn new(
        geometry: Conv2d,
        input_zero_point: i8,
        output: Requantize,
    ) -> Result<Self, ParamsError> {
        if geometry.taps() > MAX_TERMS {
            return Err(ParamsError::Accumulator);
        }
        Ok(Self {
            geometry,
            input_zero_point,
            output,
        })
    }

    /// Shapes, window and groups.
    pub const fn geometry(&self) -> &Conv2d {
        &self.geometry
    }

    /// The number of the input that means 0.
    pub const fn input_zero_point(&self) -> i8 {
        self.input_zero_point
    }

    /// How sums become numbers of the output.
    pub const fn output(&self) -> Requantize {
        self.output
    }

    /// How many weights lie in such an order.
    pub const fn weights_len(&self, order: RowOrder) -> usize {
        order.len(self.geometry.output().channels, self.geometry.taps())
    }
}

/// A linear layer of 8-bit numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LinearI8 {
    pub(crate) geometry: Linear,
    pub(crate) input_zero_point: i8,
    pub(crate) output: Requantize,
}

impl LinearI8 {
    /// `geometry` over numbers of which `input_zero_point` means 0; its activation is ignored, as that of
    /// [`Conv2dI8`].
    ///
    /// # Errors
    /// [`ParamsError::Accumulator`] if the sum of so many products could overflow an `i32`.
    pub const fn new(
        geometry: Linear,
        input_zero_point: i8,
        output: Requantize,
    ) -> Result<Self, ParamsError> {
        if geometry.in_features() > MAX_TERMS {
            return Err(ParamsError::Accumulator);
        }
        Ok(Self {
            geometry,
            input_zero_point,
            output,
        })
    }

    /// The number of features on either side.
    pub const fn geometry(&self) -> &Linear {
        &self.geometry
    }

    /// The number of the input that means 0.
    pub const fn input_zero_point(&self) -> i8 {
        self.input_zero_point
    }

    /// How sums become numbers of the output.
    pub const fn output(&self) -> Requantize {
        self.output
    }

    /// How many weights lie in such an order.
    pub const fn weights_len(&self, order: RowOrder) -> usize {
        order.len(self.geometry.out_features(), self.geometry.in_features())
    }
}

/// An average pool of 8-bit numbers. Padding that counts is the input's zero point.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AvgPool2dI8 {
    pub(crate) geometry: Pool2d,
    pub(crate) input_zero_point: i8,
    pub(crate) factor: f32,
    pub(crate) output: Requantize,
}

impl AvgPool2dI8 {
    /// `geometry` from numbers of `input` to such of `output`.
    ///
    /// # Errors
    /// [`ParamsError::Accumulator`] if the sum of a window could overflow an `i32`, [`ParamsError::Scale`] if the
    /// quotient of the scales is not finite and positive.
    pub const fn new(
        geometry: Pool2d,
        input: Quantization,
        output: Quantization,
    ) -> Result<Self, ParamsError> {
        let window = geometry.window();
        if window.kernel_h.saturating_mul(window.kernel_w) > (i32::MAX / 255) as usize {
            return Err(ParamsError::Accumulator);
        }
        let factor = match input.factor_to(output) {
            Ok(factor) => factor,
            Err(e) => return Err(e),
        };
        Ok(Self {
            geometry,
            input_zero_point: input.zero_point,
            factor,
            output: Requantize::whole(output.zero_point),
        })
    }

    /// Shapes and window.
    pub const fn geometry(&self) -> &Pool2d {
        &self.geometry
    }

    /// The number of the input that means 0.
    pub const fn input_zero_point(&self) -> i8 {
        self.input_zero_point
    }

    /// How sums become numbers of the output.
    pub const fn output(&self) -> Requantize {
        self.output
    }

    /// What the sum of `count` positions is multiplied by: the quotient of the scales, divided by `count`.
    #[inline(always)]
    pub fn scale(&self, count: f32) -> f32 {
        self.factor / count
    }
}

/// The sum of two tensors of one shape: `(a - zero point) * factor` of each, added, rounded once.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AddI8 {
    pub(crate) terms: [Rescale; 2],
    pub(crate) output: Requantize,
}

/// Numbers on their way to another scale, before they are rounded.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Rescale {
    pub(crate) zero_point: i8,
    pub(crate) factor: f32,
}

impl Rescale {
    const fn new(input: Quantization, output: Quantization) -> Result<Self, ParamsError> {
        match input.factor_to(output) {
            Ok(factor) => Ok(Self {
                zero_point: input.zero_point,
                factor,
            }),
            Err(e) => Err(e),
        }
    }

    /// `q` as a multiple of the output's scale.
    #[inline(always)]
    pub(crate) fn apply(self, q: i8) -> f32 {
        (i32::from(q) - i32::from(self.zero_point)) as f32 * self.factor
    }
}

impl AddI8 {
    /// Numbers of `first` plus such of `second`, as numbers of `output` within `low..=high`.
    ///
    /// # Errors
    /// [`ParamsError::Scale`] if a quotient of scales is not finite and positive, [`ParamsError::Bounds`] if `low`
    /// is above `high`.
    pub const fn new(
        first: Quantization,
        second: Quantization,
        output: Quantization,
        (low, high): (i8, i8),
    ) -> Result<Self, ParamsError> {
        let to = Requantize::new(output.zero_point, low, high);
        match (
            Rescale::new(first, output),
            Rescale::new(second, output),
            to,
        ) {
            (Ok(first), Ok(second), Ok(output)) => Ok(Self {
                terms: [first, second],
                output,
            }),
            (Err(e), _, _) | (_, Err(e), _) | (_, _, Err(e)) => Err(e),
        }
    }

    /// How sums become numbers of the output.
    pub const fn output(&self) -> Requantize {
        self.output
    }
}

/// A function of each number of a tensor and the operand at its place: `function(x, o) * factor` of both less their zero points
/// and times a factor of their own, rounded once. What adds or compares brings both to the output's scale first; of a product
/// of whole numbers nothing is rounded before its end.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BinaryI8 {
    pub(crate) geometry: Binary,
    pub(crate) terms: [Rescale; 2],
    pub(crate) factor: f32,
    pub(crate) output: Requantize,
}

impl BinaryI8 {
    /// `geometry` of numbers of `first` and operands of `second`, as numbers of `output` within `low..=high`. Bounds take the
    /// place of the geometry's activation, which is ignored.
    ///
    /// # Errors
    /// As [`AddI8::new`].
    pub const fn new(
        geometry: Binary,
        first: Quantization,
        second: Quantization,
        output: Quantization,
        (low, high): (i8, i8),
    ) -> Result<Self, ParamsError> {
        let (a, b, to) = (first.scale, second.scale, output.scale);
        let (of_first, of_second, factor) = match geometry.function() {
            BinaryFunction::Add
            | BinaryFunction::Subtract
            | BinaryFunction::ReverseSubtract
            | BinaryFunction::Minimum
            | BinaryFunction::Maximum => (a / to, b / to, 1.0),
            BinaryFunction::Multiply => (1.0, 1.0, (a * b) / to),
            BinaryFunction::Divide => (1.0, 1.0, (a / b) / to),
            BinaryFunction::ReverseDivide => (1.0, 1.0, (b / a) / to),
            BinaryFunction::PRelu => (1.0, b, a / to),
        };
        let checked = (
            check_scale(of_first),
            check_scale(of_second),
            check_scale(factor),
        );
        if !matches!(checked, (Ok(()), Ok(()), Ok(()))) {
            return Err(ParamsError::Scale);
        }
        match Requantize::new(output.zero_point, low, high) {
            Ok(output) => Ok(Self {
                geometry,
                terms: [
                    Rescale {
                        zero_point: first.zero_point,
                        factor: of_first,
                    },
                    Rescale {
                        zero_point: second.zero_point,
                        factor: of_second,
                    },
                ],
                factor,
                output,
            }),
            Err(e) => Err(e),
        }
    }

    /// Function and shapes.
    pub const fn geometry(&self) -> &Binary {
        &self.geometry
    }

    /// How results become numbers of the output.
    pub const fn output(&self) -> Requantize {
        self.output
    }
}

/// Numbers of one scale and zero point as such of another; with bounds, a ReLU by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RequantizeI8 {
    pub(crate) input: Rescale,
    pub(crate) output: Requantize,
}

impl RequantizeI8 {
    /// Numbers of `input` as such of `output` within `low..=high`.
    ///
    /// # Errors
    /// As [`AddI8::new`].
    pub const fn new(
        input: Quantization,
        output: Quantization,
        (low, high): (i8, i8),
    ) -> Result<Self, ParamsError> {
        let to = Requantize::new(output.zero_point, low, high);
        match (Rescale::new(input, output), to) {
            (Ok(input), Ok(output)) => Ok(Self { input, output }),
            (Err(e), _) | (_, Err(e)) => Err(e),
        }
    }

    /// How products become numbers of the output.
    pub const fn output(&self) -> Requantize {
        self.output
    }
}

/// A function of 8-bit numbers: what each of them becomes, at the place that its byte is as a number without sign, so that those
/// of 0 to 127 come first and those of -128 to -1 after them. A look-up takes no sum then.
pub type TableI8 = [i8; 256];

/// Softmax over each run of channels, in `f32` between two quantizations.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SoftmaxI8 {
    pub(crate) channels: usize,
    pub(crate) input: Quantization,
    pub(crate) output: Quantization,
}

impl SoftmaxI8 {
    /// Softmax of numbers of `input` as such of `output` over the channels of each position of `shape`.
    ///
    /// # Errors
    /// [`ParamsError::Scale`] if a scale is not finite and positive.
    pub const fn new(
        shape: Shape,
        input: Quantization,
        output: Quantization,
    ) -> Result<Self, ParamsError> {
        match (input.check(), output.check()) {
            (Ok(()), Ok(())) => Ok(Self {
                channels: shape.channels,
                input,
                output,
            }),
            (Err(e), _) | (_, Err(e)) => Err(e),
        }
    }

    /// Values of each run.
    pub const fn channels(&self) -> usize {
        self.channels
    }
}
