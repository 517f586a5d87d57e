//! A window that slides over an input, and the formula of the output size.

use super::{MAX_ELEMENTS, MAX_EXTENT, ParamsError};
use crate::Shape;

/// Zeros (for a convolution), nothing at all (for a pool) around the input, in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// The same number of rows above and below, of columns left and right.
    pub const fn symmetric(vertical: usize, horizontal: usize) -> Self {
        Self {
            top: vertical,
            bottom: vertical,
            left: horizontal,
            right: horizontal,
        }
    }

    /// True when there is none.
    pub const fn is_zero(&self) -> bool {
        self.top == 0 && self.bottom == 0 && self.left == 0 && self.right == 0
    }
}

/// Which way a pool rounds the number of windows that fit (`ceil_mode` of PyTorch and ONNX).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Rounding {
    /// Windows that do not fit whole are dropped.
    #[default]
    Floor,
    /// A last window may hang over the end, if it starts inside the input or its leading padding.
    Ceil,
}

/// A sliding window: extent, step, spread and the padding it slides over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Window {
    /// Rows of the window.
    pub kernel_h: usize,
    /// Columns of the window.
    pub kernel_w: usize,
    /// Rows from one output row to the next.
    pub stride_h: usize,
    /// Columns from one output column to the next.
    pub stride_w: usize,
    /// Rows between neighbouring taps; 1 means adjacent.
    pub dilation_h: usize,
    /// Columns between neighbouring taps; 1 means adjacent.
    pub dilation_w: usize,
    /// What surrounds the input.
    pub padding: Padding,
}

impl Window {
    /// A window of the given extent with stride 1, dilation 1 and no padding.
    pub const fn new(kernel_h: usize, kernel_w: usize) -> Self {
        Self {
            kernel_h,
            kernel_w,
            stride_h: 1,
            stride_w: 1,
            dilation_h: 1,
            dilation_w: 1,
            padding: Padding::symmetric(0, 0),
        }
    }

    /// The same window with another step.
    pub const fn with_stride(mut self, stride_h: usize, stride_w: usize) -> Self {
        self.stride_h = stride_h;
        self.stride_w = stride_w;
        self
    }

    /// The same window with its taps spread.
    pub const fn with_dilation(mut self, dilation_h: usize, dilation_w: usize) -> Self {
        self.dilation_h = dilation_h;
        self.dilation_w = dilation_w;
        self
    }

    /// The same window over another padding.
    pub const fn with_padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// Output height and width over `height x width` of input:
    /// `floor((extent + padding - dilation * (kernel - 1) - 1) / stride) + 1` on each axis, as in the
    /// documentation of `torch.nn.Conv2d` and the ONNX operator `Conv`.
    ///
    /// With [`Rounding::Ceil`] the quotient is rounded up, and one window less is taken if the last
    /// would start beyond the input and its leading padding (`torch.nn.MaxPool2d`).
    ///
    /// # Errors
    /// [`ParamsError`] names what cannot be: a zero or an excessive extent, or a window that does not
    /// fit the padded input even once.
    pub const fn output_size(
        &self,
        height: usize,
        width: usize,
        rounding: Rounding,
    ) -> Result<(usize, usize), ParamsError> {
        let p = &self.padding;
        let h = axis_output(
            height,
            p.top,
            p.bottom,
            self.kernel_h,
            self.stride_h,
            self.dilation_h,
            rounding,
        );
        let w = axis_output(
            width,
            p.left,
            p.right,
            self.kernel_w,
            self.stride_w,
            self.dilation_w,
            rounding,
        );
        match (h, w) {
            (Ok(h), Ok(w)) => match ParamsError::within(&[h, w], MAX_EXTENT) {
                Ok(()) => Ok((h, w)),
                Err(e) => Err(e),
            },
            (Err(e), _) | (_, Err(e)) => Err(e),
        }
    }
}

/// Refuses an input whose padded sample, or an output whose sample, has more than [`MAX_ELEMENTS`].
pub(super) const fn check_elements(
    input: Shape,
    window: &Window,
    output: Shape,
) -> Result<(), ParamsError> {
    let p = &window.padding;
    let padded = Shape::new(
        input.height.saturating_add(p.top).saturating_add(p.bottom),
        input.width.saturating_add(p.left).saturating_add(p.right),
        input.channels,
    );
    let found = match padded.len() > output.len() {
        true => padded.len(),
        false => output.len(),
    };
    match found > MAX_ELEMENTS {
        true => Err(ParamsError::Elements { found }),
        false => Ok(()),
    }
}

const fn axis_output(
    extent: usize,
    before: usize,
    after: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    rounding: Rounding,
) -> Result<usize, ParamsError> {
    if extent == 0 || kernel == 0 || stride == 0 || dilation == 0 {
        return Err(ParamsError::Zero);
    }
    let numbers = [extent, before, after, kernel, stride, dilation];
    if let Err(error) = ParamsError::within(&numbers, MAX_EXTENT) {
        return Err(error);
    }
    let span = dilation * (kernel - 1) + 1;
    let padded = extent + before + after;
    if span > padded {
        return Err(ParamsError::WindowTooLarge { span, padded });
    }
    let room = padded - span;
    let windows = match rounding {
        Rounding::Floor => room / stride + 1,
        Rounding::Ceil => {
            let windows = room.div_ceil(stride) + 1;
            if (windows - 1) * stride >= extent + before {
                windows - 1
            } else {
                windows
            }
        }
    };
    Ok(windows)
}
