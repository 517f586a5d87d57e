//! Functions of one value.

use super::ParamsError;

/// What is applied to each output of a convolution or linear layer on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Activation {
    /// Nothing.
    #[default]
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
}

impl Activation {
    /// The range outputs are clamped to: infinite where there is no limit.
    pub const fn range(self) -> (f32, f32) {
        match self {
            Self::Identity => (f32::NEG_INFINITY, f32::INFINITY),
            Self::Relu => (0.0, f32::INFINITY),
            Self::Relu6 => (0.0, 6.0),
        }
    }

    /// The activation of one value. NaN stays NaN and -0 stays -0, on every kernel set.
    #[inline(always)]
    pub fn apply(self, x: f32) -> f32 {
        let (low, high) = self.range();
        clamp(x, low, high)
    }
}

/// `x` limited to `low..=high`; NaN passes through. SIMD sets get the same bits from
/// `min(high, max(low, x))` with `x` as the operand that wins ties and NaN.
#[inline(always)]
pub fn clamp(x: f32, low: f32, high: f32) -> f32 {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

/// A function applied to every element by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Unary {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x` where positive, `slope * x` elsewhere.
    LeakyRelu {
        /// Factor of negative inputs; PyTorch's default is 0.01.
        slope: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `min(max(x, low), high)`.
    Clip {
        /// Smallest value; may be minus infinity.
        low: f32,
        /// Largest value, not below `low`; may be infinite.
        high: f32,
    },
    /// `x` where positive, `alpha * (exp(x) - 1)` elsewhere.
    Elu {
        /// What it tends to for small inputs, negated.
        alpha: f32,
    },
    /// `min(max(alpha * x + beta, 0), 1)`.
    HardSigmoid {
        /// Slope; 1/6 in PyTorch, 0.2 by default in ONNX.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// `x * min(max(x / 6 + 1/2, 0), 1)`.
    HardSwish,
}

/// A sixth, rounded to nearest: the slope of [`Unary::HardSwish`]'s factor.
pub(crate) const SIXTH: f32 = 1.0 / 6.0;

/// `min(max(alpha * x + beta, 0), 1)`, the product rounded before the sum.
#[inline(always)]
pub(crate) fn hard_sigmoid(x: f32, alpha: f32, beta: f32) -> f32 {
    clamp(x * alpha + beta, 0.0, 1.0)
}

impl Unary {
    /// True if the function has a derivative that its output tells: it may be trained through.
    pub const fn has_backward(self) -> bool {
        match self {
            Self::Relu | Self::Relu6 | Self::Sigmoid | Self::Tanh => true,
            // The sides are told apart by the sign of the output.
            Self::LeakyRelu { slope } => slope >= 0.0,
            Self::Clip { .. } | Self::Elu { .. } | Self::HardSigmoid { .. } | Self::HardSwish => {
                false
            }
        }
    }

    /// What is wrong with the function's numbers, if anything.
    ///
    /// # Errors
    /// [`ParamsError::Function`] if one is not finite, or if a range is empty; the ends of a range may be infinite.
    pub const fn check(self) -> Result<(), ParamsError> {
        let valid = match self {
            Self::LeakyRelu { slope } => slope.is_finite(),
            Self::Clip { low, high } => low <= high,
            Self::Elu { alpha } => alpha.is_finite(),
            Self::HardSigmoid { alpha, beta } => alpha.is_finite() && beta.is_finite(),
            Self::Relu | Self::Relu6 | Self::Sigmoid | Self::Tanh | Self::HardSwish => true,
        };
        if valid {
            Ok(())
        } else {
            Err(ParamsError::Function)
        }
    }
}
