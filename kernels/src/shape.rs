//! The shape of one sample's tensor.

/// Height, width and channels of one sample, laid out NHWC: channels are innermost, and a batch of
/// samples lies one after the other. A vector (the output of a linear layer) is `1 x 1 x channels`.
///
/// The batch is not part of a shape. Kernels take it from the length of their slices, which are
/// always a whole number of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Values at each position.
    pub channels: usize,
}

impl Shape {
    /// A shape of the given extents.
    pub const fn new(height: usize, width: usize, channels: usize) -> Self {
        Self {
            height,
            width,
            channels,
        }
    }

    /// `1 x 1 x len`: what linear layers read and write.
    pub const fn vector(len: usize) -> Self {
        Self::new(1, 1, len)
    }

    /// Number of elements of one sample. Saturates, so that a hostile shape can be compared
    /// against a limit.
    pub const fn len(&self) -> usize {
        self.height
            .saturating_mul(self.width)
            .saturating_mul(self.channels)
    }

    /// True when a sample has no element.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl core::fmt::Display for Shape {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}x{}x{}", self.height, self.width, self.channels)
    }
}
