//! What is refused.

use crate::Shape;

/// Why parameters were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ParamsError {
    /// An extent, kernel, stride, dilation, channel or group count is 0.
    Zero,
    /// A number is above what it may be: [`MAX_EXTENT`](super::MAX_EXTENT),
    /// [`Linear::MAX_FEATURES`](super::Linear::MAX_FEATURES) or [`Concat::MAX_INPUTS`](super::Concat::MAX_INPUTS).
    TooLarge {
        /// The number.
        found: usize,
        /// The largest that is possible.
        limit: usize,
    },
    /// A sample of the input, padding included, or of the output has more than [`MAX_ELEMENTS`](super::MAX_ELEMENTS).
    Elements {
        /// How many it has.
        found: usize,
    },
    /// The window spans more than the padded input has.
    WindowTooLarge {
        /// `dilation * (kernel - 1) + 1`.
        span: usize,
        /// Input plus padding on that axis.
        padded: usize,
    },
    /// `groups` does not divide both channel counts.
    Groups {
        /// What was asked for.
        groups: usize,
        /// Input channels.
        in_channels: usize,
        /// Output channels.
        out_channels: usize,
    },
    /// The padding of a pool is more than half of its kernel.
    PoolPadding,
    /// A pool that is joined to a convolution overlaps itself, or has padding or dilation.
    NotFusible,
    /// An operand has neither the extents of the tensor it is applied to nor 1.
    Broadcast {
        /// Shape of the operand.
        operand: Shape,
        /// Shape of the tensor.
        shape: Shape,
    },
    /// Tensors that are to be concatenated differ in an extent along another axis.
    Concat,
    /// A part of a tensor reaches beyond it.
    OutOfRange,
    /// An order of axes names one of them twice.
    Order,
    /// A number of a function is not finite, or a range has no values.
    Function,
    /// A scale, or the quotient of two, is not finite and positive.
    Scale,
    /// The least quantized number of an output is above the largest.
    Bounds,
    /// A sum of 8-bit products and its bias could overflow 32 bits.
    Accumulator,
}

impl ParamsError {
    /// Refuses the first of `numbers` that is above `limit`.
    pub(super) const fn within(mut numbers: &[usize], limit: usize) -> Result<(), Self> {
        while let [found, rest @ ..] = numbers {
            if *found > limit {
                return Err(Self::TooLarge {
                    found: *found,
                    limit,
                });
            }
            numbers = rest;
        }
        Ok(())
    }
}

impl core::fmt::Display for ParamsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Zero => write!(
                f,
                "extents, kernel, stride, dilation, channels and groups must be at least 1"
            ),
            Self::TooLarge { found, limit } => write!(f, "{found} is above the limit of {limit}"),
            Self::Elements { found } => write!(
                f,
                "a sample has {found} elements, padding included; at most {} are possible",
                super::MAX_ELEMENTS
            ),
            Self::WindowTooLarge { span, padded } => write!(
                f,
                "the window spans {span} but the padded input has only {padded}"
            ),
            Self::Groups {
                groups,
                in_channels,
                out_channels,
            } => write!(
                f,
                "groups = {groups} must divide both {in_channels} input and {out_channels} output channels"
            ),
            Self::PoolPadding => write!(
                f,
                "the padding of a pool must be at most half of its kernel"
            ),
            Self::NotFusible => write!(
                f,
                "the windows of a pool that is joined to a convolution must not overlap, and have neither padding nor dilation"
            ),
            Self::Broadcast { operand, shape } => write!(
                f,
                "an operand of {operand} cannot be spread over {shape}: each extent must be the same or 1"
            ),
            Self::Concat => write!(
                f,
                "concatenated tensors must have the same extents along the other axes"
            ),
            Self::OutOfRange => write!(f, "a part of a tensor reaches beyond it"),
            Self::Order => write!(f, "an order of axes must name each of them once"),
            Self::Function => write!(
                f,
                "the numbers of a function must be finite, and its range not empty"
            ),
            Self::Scale => write!(
                f,
                "a scale, and the quotient of two, must be finite and positive"
            ),
            Self::Bounds => write!(f, "the bounds of an output are not in order"),
            Self::Accumulator => write!(
                f,
                "a sum of 8-bit products and its bias could overflow 32 bits"
            ),
        }
    }
}

impl core::error::Error for ParamsError {}
