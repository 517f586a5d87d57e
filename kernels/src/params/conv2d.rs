//! Convolution.

use super::compact::{CompactShape, CompactWindow};
use super::window::check_elements;
use super::{Activation, MAX_EXTENT, ParamsError, Rounding, Window};
use crate::Shape;

/// A two-dimensional convolution (cross-correlation, as in every framework) with bias and activation.
///
/// Input `[batch, height, width, in_channels]`, weights OHWI
/// `[out_channels, kernel_h, kernel_w, in_channels / groups]`, output
/// `[batch, out_height, out_width, out_channels]`. Output channel `o` reads the input channels of its
/// group `o / (out_channels / groups)`. `groups == in_channels` is a depthwise convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Conv2d {
    input: CompactShape,
    output: CompactShape,
    window: CompactWindow,
    groups: u16,
    activation: Activation,
}

impl Conv2d {
    /// A convolution of `input` to `out_channels`.
    ///
    /// # Errors
    /// [`ParamsError`] if the window does not fit, `groups` does not divide both channel counts, or a sample has more than
    /// [`MAX_ELEMENTS`](super::MAX_ELEMENTS).
    pub const fn new(
        input: Shape,
        out_channels: usize,
        window: Window,
        groups: usize,
        activation: Activation,
    ) -> Result<Self, ParamsError> {
        if input.channels == 0 || out_channels == 0 || groups == 0 {
            return Err(ParamsError::Zero);
        }
        if let Err(error) = ParamsError::within(&[input.channels, out_channels], MAX_EXTENT) {
            return Err(error);
        }
        if !input.channels.is_multiple_of(groups) || !out_channels.is_multiple_of(groups) {
            return Err(ParamsError::Groups {
                groups,
                in_channels: input.channels,
                out_channels,
            });
        }
        let (height, width) = match window.output_size(input.height, input.width, Rounding::Floor) {
            Ok(size) => size,
            Err(e) => return Err(e),
        };
        let output = Shape::new(height, width, out_channels);
        if let Err(error) = check_elements(input, &window, output) {
            return Err(error);
        }
        Ok(Self {
            input: CompactShape::new(input),
            output: CompactShape::new(output),
            window: CompactWindow::new(window),
            groups: groups as u16,
            activation,
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

    /// Number of independent channel groups.
    pub const fn groups(&self) -> usize {
        self.groups as usize
    }

    /// What is applied to each output.
    pub const fn activation(&self) -> Activation {
        self.activation
    }

    /// The same convolution with another activation.
    pub const fn with_activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Input channels of one group.
    pub const fn group_in_channels(&self) -> usize {
        // Division by zero cannot happen, but the optimizer does not know that `new` checked it.
        match self.input().channels.checked_div(self.groups()) {
            Some(channels) => channels,
            None => 0,
        }
    }

    /// Output channels of one group.
    pub const fn group_out_channels(&self) -> usize {
        match self.output().channels.checked_div(self.groups()) {
            Some(channels) => channels,
            None => 0,
        }
    }

    /// True when every channel is a group of its own: one input and one output channel each.
    pub const fn is_depthwise(&self) -> bool {
        self.groups() == self.input().channels && self.groups() == self.output().channels
    }

    /// Elements of one output channel's weights: `kernel_h * kernel_w * in_channels / groups`.
    pub const fn taps(&self) -> usize {
        let window = self.window();
        window
            .kernel_h
            .saturating_mul(window.kernel_w)
            .saturating_mul(self.group_in_channels())
    }

    /// Elements of all weights.
    pub const fn weights_len(&self) -> usize {
        self.output().channels.saturating_mul(self.taps())
    }

    /// Multiply-accumulates of one sample, padding included.
    pub const fn macs(&self) -> u64 {
        self.output().len() as u64 * self.taps() as u64
    }
}
