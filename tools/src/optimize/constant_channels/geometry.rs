//! Which weights of a layer meet which channels, and where a window meets padding. A linear layer is a convolution whose
//! window is its whole input.

use std::collections::BTreeSet;
use std::ops::Range;

use kinglet_kernels::{Conv2d, Linear, Shape};

/// A layer's weights, `[out_channels, kernel_h, kernel_w, in_channels / groups]`, and its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Geometry {
    kernel: (usize, usize),
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    pub(super) groups: usize,
    /// The rows of the window that lie within the input, of every output row: each such range once.
    rows: Vec<Range<usize>>,
    columns: Vec<Range<usize>>,
}

impl Geometry {
    pub(super) fn of_conv2d(params: &Conv2d) -> Self {
        let (input, output, window) = (params.input(), params.output(), params.window());
        let rows = Axis {
            kernel: window.kernel_h,
            stride: window.stride_h,
            dilation: window.dilation_h,
            padding: window.padding.top,
            input: input.height,
            output: output.height,
        };
        let columns = Axis {
            kernel: window.kernel_w,
            stride: window.stride_w,
            dilation: window.dilation_w,
            padding: window.padding.left,
            input: input.width,
            output: output.width,
        };
        Self {
            kernel: (window.kernel_h, window.kernel_w),
            in_channels: input.channels,
            out_channels: output.channels,
            groups: params.groups(),
            rows: rows.seen(),
            columns: columns.seen(),
        }
    }

    /// The layer over `input` as one vector.
    pub(super) fn of_linear(params: &Linear, input: Shape) -> Self {
        let all = |extent| std::iter::once(0..extent).collect();
        Self {
            kernel: (input.height, input.width),
            in_channels: input.channels,
            out_channels: params.out_features(),
            groups: 1,
            rows: all(input.height),
            columns: all(input.width),
        }
    }

    /// Places of the window.
    pub(super) fn places(&self) -> usize {
        self.kernel.0 * self.kernel.1
    }

    pub(super) fn group_in_channels(&self) -> usize {
        self.in_channels / self.groups
    }

    pub(super) fn group_out_channels(&self) -> usize {
        self.out_channels / self.groups
    }

    /// The first input channel that an output channel reads.
    pub(super) fn first_in_channel(&self, out_channel: usize) -> usize {
        out_channel / self.group_out_channels() * self.group_in_channels()
    }

    /// Where the weights of an output channel at a place of the window begin.
    pub(super) fn weights_at(&self, out_channel: usize, place: usize) -> usize {
        (out_channel * self.places() + place) * self.group_in_channels()
    }

    /// The places that lie within the input, of every output position: each such set once.
    pub(super) fn seen(&self) -> impl Iterator<Item = impl Iterator<Item = usize>> {
        let width = self.kernel.1;
        self.rows.iter().flat_map(move |rows| {
            self.columns.iter().map(move |columns| {
                rows.clone()
                    .flat_map(move |row| columns.clone().map(move |column| row * width + column))
            })
        })
    }

    /// True if no output position sees padding.
    pub(super) fn is_inside(&self) -> bool {
        let is_whole =
            |seen: &[Range<usize>], kernel: usize| seen.iter().all(|seen| *seen == (0..kernel));
        is_whole(&self.rows, self.kernel.0) && is_whole(&self.columns, self.kernel.1)
    }
}

/// A window along one axis.
struct Axis {
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: usize,
    input: usize,
    output: usize,
}

impl Axis {
    /// Which taps lie within the input.
    fn seen(&self) -> Vec<Range<usize>> {
        let range = |position: usize| {
            let start = position * self.stride;
            let before = self.padding.saturating_sub(start);
            let within = (self.input + self.padding).saturating_sub(start);
            let first = before.div_ceil(self.dilation).min(self.kernel);
            let end = within.div_ceil(self.dilation).min(self.kernel);
            (first, end.max(first))
        };
        let ranges: BTreeSet<(usize, usize)> = (0..self.output).map(range).collect();
        ranges.into_iter().map(|(first, end)| first..end).collect()
    }
}

#[cfg(test)]
mod tests {
    use kinglet_kernels::{Activation, Padding, Window};

    use super::*;

    #[test]
    fn each_edge_sees_a_part_of_the_window() {
        let window = Window::new(3, 2).with_padding(Padding {
            top: 1,
            bottom: 1,
            left: 0,
            right: 1,
        });
        let conv = |shape| Conv2d::new(shape, 4, window, 1, Activation::Identity).unwrap();
        let geometry = Geometry::of_conv2d(&conv(Shape::new(5, 6, 3)));
        assert_eq!(geometry.rows, [0..2, 0..3, 1..3]);
        assert_eq!(geometry.columns, [0..1, 0..2]);
        assert!(!geometry.is_inside());
        let first: Vec<usize> = geometry.seen().next().unwrap().collect();
        assert_eq!(first, [0, 2]);
        // One row alone sees the middle of the window.
        let geometry = Geometry::of_conv2d(&conv(Shape::new(1, 6, 3)));
        assert_eq!(geometry.rows.first(), Some(&(1..2)));
        assert_eq!(geometry.rows.len(), 1);
    }

    #[test]
    fn spread_taps_may_all_lie_in_padding() {
        let window = Window::new(2, 1)
            .with_dilation(3, 1)
            .with_padding(Padding::symmetric(1, 0));
        let conv = Conv2d::new(Shape::new(2, 1, 1), 1, window, 1, Activation::Identity).unwrap();
        let geometry = Geometry::of_conv2d(&conv);
        assert_eq!(geometry.rows.first(), Some(&(1..1)));
        assert_eq!(geometry.seen().next().unwrap().count(), 0);
    }
}
