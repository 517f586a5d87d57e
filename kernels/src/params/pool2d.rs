//! Pools.

use super::compact::{CompactShape, CompactWindow};
use super::window::check_elements;
use super::{MAX_EXTENT, ParamsError, Rounding, Window};
use crate::Shape;

/// A pool: the maximum or the average over a window, channel by channel.
///
/// Padding never wins a maximum (it counts as minus infinity).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pool2d {
    input: CompactShape,
    output: CompactShape,
    window: CompactWindow,
    rounding: Rounding,
    count_padding: CountPadding,
}

/// Whether an average divides by the padded positions too (`count_include_pad`). A maximum ignores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CountPadding {
    /// Divide by all positions within the padded input: PyTorch's default. What hangs over the padding
    /// in [`Rounding::Ceil`] is not counted.
    #[default]
    Include,
    /// Divide by the positions within the input only.
    Exclude,
}

impl Pool2d {
    /// A pool over `input`.
    ///
    /// # Errors
    /// [`ParamsError`] if the window does not fit, if the padding exceeds half of the window: then some output would see
    /// padding alone; or if a sample has more than [`MAX_ELEMENTS`](super::MAX_ELEMENTS).
    pub const fn new(
        input: Shape,
        window: Window,
        rounding: Rounding,
        count_padding: CountPadding,
    ) -> Result<Self, ParamsError> {
        if input.channels == 0 {
            return Err(ParamsError::Zero);
        }
        if let Err(error) = ParamsError::within(&[input.channels], MAX_EXTENT) {
            return Err(error);
        }
        let p = &window.padding;
        if p.top > window.kernel_h / 2
            || p.bottom > window.kernel_h / 2
            || p.left > window.kernel_w / 2
            || p.right > window.kernel_w / 2
        {
            return Err(ParamsError::PoolPadding);
        }
        let (height, width) = match window.output_size(input.height, input.width, rounding) {
            Ok(size) => size,
            Err(e) => return Err(e),
        };
        let output = Shape::new(height, width, input.channels);
        if let Err(error) = check_elements(input, &window, output) {
            return Err(error);
        }
        Ok(Self {
            input: CompactShape::new(input),
            output: CompactShape::new(output),
            window: CompactWindow::new(window),
            rounding,
            count_padding,
        })
    }

    /// Shape of one input sample.
    pub const fn input(&self) -> Shape {
        self.input.get()
    }

    /// Shape of one output sample.
    pub const fn output(&self) -> Shape {
        self.output.get()
    }

    /// The sliding window.
    pub const fn window(&self) -> Window {
        self.window.get()
    }

    /// Which way the number of windows was rounded.
    pub const fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// What an average divides by.
    pub const fn count_padding(&self) -> CountPadding {
        self.count_padding
    }
}
