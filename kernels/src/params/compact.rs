//! Shapes and windows as parameters keep them: every number is at most [`MAX_EXTENT`](super::MAX_EXTENT), and a record on
//! a microcontroller counts every byte.

use super::{Padding, Window};
use crate::Shape;

/// A [`Shape`] of small extents.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct CompactShape([u16; 3]);

impl CompactShape {
    /// Extents are at most `u16::MAX`.
    pub(crate) const fn new(shape: Shape) -> Self {
        Self([
            shape.height as u16,
            shape.width as u16,
            shape.channels as u16,
        ])
    }

    #[inline]
    pub(crate) const fn get(self) -> Shape {
        let [height, width, channels] = self.0;
        Shape::new(height as usize, width as usize, channels as usize)
    }
}

/// A [`Window`] of small numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct CompactWindow {
    kernel: [u16; 2],
    stride: [u16; 2],
    dilation: [u16; 2],
    padding: [u16; 4],
}

impl CompactWindow {
    /// All numbers are at most `u16::MAX`.
    pub(crate) const fn new(window: Window) -> Self {
        let p = window.padding;
        Self {
            kernel: [window.kernel_h as u16, window.kernel_w as u16],
            stride: [window.stride_h as u16, window.stride_w as u16],
            dilation: [window.dilation_h as u16, window.dilation_w as u16],
            padding: [p.top as u16, p.bottom as u16, p.left as u16, p.right as u16],
        }
    }

    #[inline]
    pub(crate) const fn get(self) -> Window {
        let [top, bottom, left, right] = self.padding;
        Window {
            kernel_h: self.kernel[0] as usize,
            kernel_w: self.kernel[1] as usize,
            stride_h: self.stride[0] as usize,
            stride_w: self.stride[1] as usize,
            dilation_h: self.dilation[0] as usize,
            dilation_w: self.dilation[1] as usize,
            padding: Padding {
                top: top as usize,
                bottom: bottom as usize,
                left: left as usize,
                right: right as usize,
            },
        }
    }
}

impl core::fmt::Debug for CompactShape {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.get().fmt(f)
    }
}

impl core::fmt::Debug for CompactWindow {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.get().fmt(f)
    }
}
