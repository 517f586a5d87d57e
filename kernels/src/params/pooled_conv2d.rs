//! Convolution and pool as one operation.

use super::{Conv2d, CountPadding, ParamsError, Pool2d, Rounding, Window};
use crate::Shape;

/// A convolution whose output only a max pool reads, as one operation: the whole output of the convolution is
/// never stored.
///
/// The windows of the pool do not overlap and have no padding and no gaps, so every output of the convolution
/// is computed at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PooledConv2d {
    conv: Conv2d,
    // All of these are at most MAX_EXTENT: a record on a microcontroller counts every byte.
    kernel: (u16, u16),
    stride: (u16, u16),
    output: (u16, u16),
}

impl PooledConv2d {
    /// `conv` and then a max pool over `window` of its output.
    ///
    /// # Errors
    /// [`ParamsError`] if the window does not fit, and [`ParamsError::NotFusible`] if it has padding or
    /// dilation, or if windows overlap.
    pub const fn new(
        conv: Conv2d,
        window: Window,
        rounding: Rounding,
    ) -> Result<Self, ParamsError> {
        let pool = match Pool2d::new(conv.output(), window, rounding, CountPadding::Include) {
            Ok(pool) => pool,
            Err(e) => return Err(e),
        };
        let disjoint = window.stride_h >= window.kernel_h && window.stride_w >= window.kernel_w;
        let dense = window.dilation_h == 1 && window.dilation_w == 1;
        if !disjoint || !dense || !window.padding.is_zero() {
            return Err(ParamsError::NotFusible);
        }
        Ok(Self {
            conv,
            kernel: (window.kernel_h as u16, window.kernel_w as u16),
            stride: (window.stride_h as u16, window.stride_w as u16),
            output: (pool.output().height as u16, pool.output().width as u16),
        })
    }

    /// The convolution.
    pub const fn conv(&self) -> &Conv2d {
        &self.conv
    }

    /// Shape of one input sample.
    pub const fn input(&self) -> Shape {
        self.conv.input()
    }

    /// Shape of one output sample: what the pool leaves.
    pub const fn output(&self) -> Shape {
        Shape::new(
            self.output.0 as usize,
            self.output.1 as usize,
            self.conv.output().channels,
        )
    }

    /// Rows and columns of the pool's window.
    pub const fn kernel(&self) -> (usize, usize) {
        (self.kernel.0 as usize, self.kernel.1 as usize)
    }

    /// Rows and columns from one window of the pool to the next.
    pub const fn stride(&self) -> (usize, usize) {
        (self.stride.0 as usize, self.stride.1 as usize)
    }

    /// The rows of the convolution's output that a row of the pool's sees.
    pub(crate) fn rows(&self, row: usize) -> core::ops::Range<usize> {
        seen(row, self.stride.0, self.kernel.0, self.conv.output().height)
    }

    /// The columns of the convolution's output that a column of the pool's sees.
    pub(crate) fn columns(&self, column: usize) -> core::ops::Range<usize> {
        seen(
            column,
            self.stride.1,
            self.kernel.1,
            self.conv.output().width,
        )
    }
}

/// The positions below `extent` that window number `at` sees.
fn seen(at: usize, stride: u16, kernel: u16, extent: usize) -> core::ops::Range<usize> {
    let start = at.wrapping_mul(usize::from(stride));
    start..start.wrapping_add(usize::from(kernel)).min(extent)
}
