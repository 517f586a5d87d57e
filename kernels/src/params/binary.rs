//! Functions of two tensors, element by element.

use super::nest::{Loop, Nest};
use super::{Activation, ParamsError};
use crate::Shape;

/// A function of an element `x` and the operand `o` at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum BinaryFunction {
    /// `x + o`.
    Add,
    /// `x - o`.
    Subtract,
    /// `o - x`.
    ReverseSubtract,
    /// `x * o`.
    Multiply,
    /// `x / o`.
    Divide,
    /// `o / x`.
    ReverseDivide,
    /// The smaller one; NaN if either is. Of 0 and -0 it is `o`.
    Minimum,
    /// The larger one; NaN if either is. Of 0 and -0 it is `o`.
    Maximum,
    /// `x` where positive, `x * o` elsewhere: a leaky ReLU with slopes that were learned.
    PRelu,
}

impl BinaryFunction {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Add,
        Self::Subtract,
        Self::ReverseSubtract,
        Self::Multiply,
        Self::Divide,
        Self::ReverseDivide,
        Self::Minimum,
        Self::Maximum,
        Self::PRelu,
    ];

    /// The function's value, on every kernel set.
    #[inline(always)]
    pub fn apply(self, x: f32, o: f32) -> f32 {
        match self {
            Self::Add => x + o,
            Self::Subtract => x - o,
            Self::ReverseSubtract => o - x,
            Self::Multiply => x * o,
            Self::Divide => x / o,
            Self::ReverseDivide => o / x,
            Self::Minimum if x < o || x.is_nan() => x,
            Self::Maximum if x > o || x.is_nan() => x,
            Self::Minimum | Self::Maximum => o,
            Self::PRelu if x > 0.0 => x,
            Self::PRelu => x * o,
        }
    }

    /// True where `x` and `o` may change places.
    pub const fn commutes(self) -> bool {
        matches!(self, Self::Add | Self::Multiply)
    }
}

/// A function of each element of a tensor and the operand at its place, and an activation of the result.
///
/// The operand has the tensor's extents, or 1 on any axis: then it is the same all along that axis. A vector of
/// channels scales a feature map, a map of one channel masks all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Binary {
    pub(crate) function: BinaryFunction,
    pub(crate) activation: Activation,
    // Along which axes the operand is the same.
    spread: [bool; 3],
    shape: Shape,
}

impl Binary {
    /// `function` over a tensor of `shape` with an operand of the shape `operand`.
    ///
    /// # Errors
    /// [`ParamsError::Zero`] if a shape is empty, [`ParamsError::Broadcast`] if the operand does not fit.
    pub const fn new(
        function: BinaryFunction,
        activation: Activation,
        shape: Shape,
        operand: Shape,
    ) -> Result<Self, ParamsError> {
        if shape.is_empty() || operand.is_empty() {
            return Err(ParamsError::Zero);
        }
        let fits = (operand.height == shape.height || operand.height == 1)
            && (operand.width == shape.width || operand.width == 1)
            && (operand.channels == shape.channels || operand.channels == 1);
        if !fits {
            return Err(ParamsError::Broadcast { operand, shape });
        }
        Ok(Self {
            function,
            activation,
            spread: [
                operand.height == 1,
                operand.width == 1,
                operand.channels == 1,
            ],
            shape,
        })
    }

    const fn operand(&self) -> Shape {
        let [height, width, channels] = self.spread;
        Shape {
            height: if height { 1 } else { self.shape.height },
            width: if width { 1 } else { self.shape.width },
            channels: if channels { 1 } else { self.shape.channels },
        }
    }

    /// From the operand to the tensor. It is made when it is needed: it takes several times the room of what it is made of.
    pub(crate) const fn nest(&self) -> Nest {
        let (shape, operand) = (self.shape, self.operand());
        let row = shape.width.wrapping_mul(shape.channels);
        let operand_row = operand.width.wrapping_mul(operand.channels);
        Nest::new(
            broadcast(shape.height, operand.height, operand_row, row),
            broadcast(shape.width, operand.width, operand.channels, shape.channels),
            broadcast(shape.channels, operand.channels, 1, 1),
        )
    }

    /// The same with another activation.
    #[must_use]
    pub const fn with_activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// What is computed of an element and its operand.
    pub const fn function(&self) -> BinaryFunction {
        self.function
    }

    /// What is applied to each result.
    pub const fn activation(&self) -> Activation {
        self.activation
    }

    /// Elements of one sample of the tensor, and of the output.
    pub const fn len(&self) -> usize {
        self.shape.len()
    }

    /// Never true: a sample without elements is refused.
    pub const fn is_empty(&self) -> bool {
        self.shape.is_empty()
    }

    /// Elements of one sample of the operand.
    pub const fn operand_len(&self) -> usize {
        self.operand().len()
    }

    /// Three loops within each other, the innermost last, from the operand to the tensor: they reach every element of
    /// the tensor in its order.
    pub const fn loops(&self) -> [Loop; 3] {
        self.nest().loops()
    }
}

/// The loop along an axis of `extent`, on which the operand has `own` elements.
const fn broadcast(extent: usize, own: usize, from: usize, to: usize) -> Loop {
    Loop {
        extent,
        from: if own == 1 { 0 } else { from },
        to,
    }
}
