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
    /// `gamma * x` where positive, `gamma * alpha * (exp(x) - 1)` elsewhere (Klambauer et al., arXiv 1706.02515).
    Selu {
        /// What it tends to for small inputs before it is scaled, negated; 1.673 as published.
        alpha: f32,
        /// Factor of the whole; 1.051 as published.
        gamma: f32,
    },
    /// `x / (1 + exp(-alpha * x))`: SiLU where alpha is 1.
    Swish {
        /// Factor within the sigmoid.
        alpha: f32,
    },
    /// `ln(1 + exp(x))`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `x * tanh(ln(1 + exp(x)))` (Misra, arXiv 1908.08681).
    Mish,
    /// `x * (1 + erf(x / sqrt 2)) / 2` (Hendrycks and Gimpel, arXiv 1606.08415).
    Gelu,
    /// `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2`: the approximation in the same paper.
    GeluTanh,
    /// Error function.
    Erf,
    /// Magnitude.
    Abs,
    /// `exp(x)`.
    Exp,
    /// Natural logarithm: NaN of what is negative.
    Log,
    /// Square root: NaN of what is negative.
    Sqrt,
    /// `x` to the power `exponent`, as C's `pow`.
    Power {
        /// Any finite number.
        exponent: f32,
    },
}

/// A sixth, rounded to nearest: the slope of [`Unary::HardSwish`]'s factor.
pub(crate) const SIXTH: f32 = 1.0 / 6.0;

/// `min(max(alpha * x + beta, 0), 1)`, the product rounded before the sum.
#[inline(always)]
pub(crate) fn hard_sigmoid(x: f32, alpha: f32, beta: f32) -> f32 {
    clamp(x * alpha + beta, 0.0, 1.0)
}

/// `ln(1 + exp(x))` without overflow: the exponential is of what is not positive.
#[inline(always)]
pub(crate) fn softplus(x: f32) -> f32 {
    libm::log1pf(libm::expf(-x.abs())) + if x < 0.0 { 0.0 } else { x }
}

/// Factors of `x` and of `x^3` in the argument of [`Unary::GeluTanh`]: `sqrt(2 / pi)`, and that times 0.044715.
pub(crate) const GELU_TANH: [f32; 2] = [0.797_884_6, 0.035_677_407];

/// The argument of the hyperbolic tangent in [`Unary::GeluTanh`].
#[inline(always)]
pub(crate) fn gelu_tanh_argument(x: f32) -> f32 {
    (x * x * GELU_TANH[1] + GELU_TANH[0]) * x
}

/// The derivative of [`gelu_tanh_argument`].
#[inline(always)]
pub(crate) fn gelu_tanh_slope(x: f32) -> f32 {
    x * x * (3.0 * GELU_TANH[1]) + GELU_TANH[0]
}

impl Unary {
    /// True if the function has a derivative that its output tells: it may be trained through.
    pub const fn has_backward(self) -> bool {
        match self {
            Self::Relu | Self::Relu6 | Self::Sigmoid | Self::Tanh => true,
            Self::Softplus | Self::Softsign => true,
            // The sides are told apart by the sign of the output.
            Self::LeakyRelu { slope } => slope >= 0.0,
            Self::Elu { alpha } => alpha >= 0.0,
            Self::Selu { alpha, gamma } => alpha >= 0.0 && gamma > 0.0,
            Self::Clip { .. } | Self::HardSigmoid { .. } | Self::HardSwish => false,
            // They fall and rise again: the output does not tell where the input was.
            Self::Swish { .. } | Self::Mish | Self::Gelu | Self::GeluTanh => false,
            Self::Erf | Self::Abs | Self::Exp | Self::Log | Self::Sqrt | Self::Power { .. } => {
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
            Self::Selu { alpha, gamma } => alpha.is_finite() && gamma.is_finite(),
            Self::Swish { alpha } => alpha.is_finite(),
            Self::Power { exponent } => exponent.is_finite(),
            Self::Relu | Self::Relu6 | Self::Sigmoid | Self::Tanh | Self::HardSwish => true,
            Self::Softplus | Self::Softsign | Self::Mish | Self::Gelu | Self::GeluTanh => true,
            Self::Erf | Self::Abs | Self::Exp | Self::Log | Self::Sqrt => true,
        };
        if valid {
            Ok(())
        } else {
            Err(ParamsError::Function)
        }
    }
}
