//! Checked parameters of the operations that have a geometry: what each means, how large its output is.
//!
//! Every type is made by a constructor that refuses what no kernel could compute (a stride of 0, a
//! window larger than its padded input), so kernels rely on it and do not check again.

use crate::Shape;

/// Largest value of any extent, kernel, stride, padding or dilation. It keeps every product of two
/// of them within 32 bits, so that the formulas below cannot overflow on a microcontroller.
pub const MAX_EXTENT: usize = 1 << 15;

/// Zeros (for a convolution), nothing at all (for a pool) around the input, in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
            (Ok(h), Ok(w)) => Ok((h, w)),
            (Err(e), _) | (_, Err(e)) => Err(e),
        }
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
    if extent > MAX_EXTENT
        || before > MAX_EXTENT
        || after > MAX_EXTENT
        || kernel > MAX_EXTENT
        || stride > MAX_EXTENT
        || dilation > MAX_EXTENT
    {
        return Err(ParamsError::TooLarge);
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

/// What is applied to each output of a convolution or linear layer on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
}

/// A two-dimensional convolution (cross-correlation, as in every framework) with bias and activation.
///
/// Input `[batch, height, width, in_channels]`, weights OHWI
/// `[out_channels, kernel_h, kernel_w, in_channels / groups]`, output
/// `[batch, out_height, out_width, out_channels]`. Output channel `o` reads the input channels of its
/// group `o / (out_channels / groups)`. `groups == in_channels` is a depthwise convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Conv2d {
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    pub(crate) window: Window,
    pub(crate) groups: usize,
    pub(crate) activation: Activation,
}

impl Conv2d {
    /// A convolution of `input` to `out_channels`.
    ///
    /// # Errors
    /// [`ParamsError`] if the window does not fit or `groups` does not divide both channel counts.
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
        if input.channels > MAX_EXTENT || out_channels > MAX_EXTENT {
            return Err(ParamsError::TooLarge);
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
        Ok(Self {
            input,
            output: Shape::new(height, width, out_channels),
            window,
            groups,
            activation,
        })
    }

    /// Shape of one input sample.
    pub const fn input(&self) -> Shape {
        self.input
    }

    /// Shape of one output sample.
    pub const fn output(&self) -> Shape {
        self.output
    }

    /// The sliding window.
    pub const fn window(&self) -> &Window {
        &self.window
    }

    /// Number of independent channel groups.
    pub const fn groups(&self) -> usize {
        self.groups
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
        match self.input.channels.checked_div(self.groups) {
            Some(channels) => channels,
            None => 0,
        }
    }

    /// Output channels of one group.
    pub const fn group_out_channels(&self) -> usize {
        match self.output.channels.checked_div(self.groups) {
            Some(channels) => channels,
            None => 0,
        }
    }

    /// True when every channel is a group of its own: one input and one output channel each.
    pub const fn is_depthwise(&self) -> bool {
        self.groups == self.input.channels && self.groups == self.output.channels
    }

    /// Elements of one output channel's weights: `kernel_h * kernel_w * in_channels / groups`.
    pub const fn taps(&self) -> usize {
        self.window
            .kernel_h
            .saturating_mul(self.window.kernel_w)
            .saturating_mul(self.group_in_channels())
    }

    /// Elements of all weights.
    pub const fn weights_len(&self) -> usize {
        self.output.channels.saturating_mul(self.taps())
    }

    /// Multiply-accumulates of one sample, padding included.
    pub const fn macs(&self) -> u64 {
        self.output.len() as u64 * self.taps() as u64
    }
}

/// A pool: the maximum or the average over a window, channel by channel.
///
/// Padding never wins a maximum (it counts as minus infinity).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pool2d {
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    pub(crate) window: Window,
    pub(crate) rounding: Rounding,
    pub(crate) count_padding: CountPadding,
}

/// Whether an average divides by the padded positions too (`count_include_pad`). A maximum ignores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
    /// [`ParamsError`] if the window does not fit, or if the padding exceeds half of the window: then
    /// some output would see padding alone.
    pub const fn new(
        input: Shape,
        window: Window,
        rounding: Rounding,
        count_padding: CountPadding,
    ) -> Result<Self, ParamsError> {
        if input.channels == 0 {
            return Err(ParamsError::Zero);
        }
        if input.channels > MAX_EXTENT {
            return Err(ParamsError::TooLarge);
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
        Ok(Self {
            input,
            output: Shape::new(height, width, input.channels),
            window,
            rounding,
            count_padding,
        })
    }

    /// Shape of one input sample.
    pub const fn input(&self) -> Shape {
        self.input
    }

    /// Shape of one output sample.
    pub const fn output(&self) -> Shape {
        self.output
    }

    /// The sliding window.
    pub const fn window(&self) -> &Window {
        &self.window
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
        let pool = match Pool2d::new(conv.output, window, rounding, CountPadding::Include) {
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
            output: (pool.output.height as u16, pool.output.width as u16),
        })
    }

    /// The convolution.
    pub const fn conv(&self) -> &Conv2d {
        &self.conv
    }

    /// Shape of one input sample.
    pub const fn input(&self) -> Shape {
        self.conv.input
    }

    /// Shape of one output sample: what the pool leaves.
    pub const fn output(&self) -> Shape {
        Shape::new(
            self.output.0 as usize,
            self.output.1 as usize,
            self.conv.output.channels,
        )
    }

    /// The rows of the convolution's output that a row of the pool's sees.
    pub(crate) fn rows(&self, row: usize) -> core::ops::Range<usize> {
        seen(row, self.stride.0, self.kernel.0, self.conv.output.height)
    }

    /// The columns of the convolution's output that a column of the pool's sees.
    pub(crate) fn columns(&self, column: usize) -> core::ops::Range<usize> {
        seen(column, self.stride.1, self.kernel.1, self.conv.output.width)
    }
}

/// The positions below `extent` that window number `at` sees.
fn seen(at: usize, stride: u16, kernel: u16, extent: usize) -> core::ops::Range<usize> {
    let start = at.wrapping_mul(usize::from(stride));
    start..start.wrapping_add(usize::from(kernel)).min(extent)
}

/// A linear (fully connected) layer: `output[o] = activation(bias[o] + sum over i of input[i] * weights[o][i])`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Linear {
    pub(crate) in_features: usize,
    pub(crate) out_features: usize,
    pub(crate) activation: Activation,
}

impl Linear {
    /// Largest number of input or output features.
    pub const MAX_FEATURES: usize = 1 << 24;

    /// A linear layer.
    ///
    /// # Errors
    /// [`ParamsError`] if either count is 0 or above [`Self::MAX_FEATURES`].
    pub const fn new(
        in_features: usize,
        out_features: usize,
        activation: Activation,
    ) -> Result<Self, ParamsError> {
        if in_features == 0 || out_features == 0 {
            return Err(ParamsError::Zero);
        }
        if in_features > Self::MAX_FEATURES || out_features > Self::MAX_FEATURES {
            return Err(ParamsError::TooLarge);
        }
        Ok(Self {
            in_features,
            out_features,
            activation,
        })
    }

    /// Values read for each sample.
    pub const fn in_features(&self) -> usize {
        self.in_features
    }

    /// Values written for each sample.
    pub const fn out_features(&self) -> usize {
        self.out_features
    }

    /// What is applied to each output.
    pub const fn activation(&self) -> Activation {
        self.activation
    }

    /// The same layer with another activation.
    pub const fn with_activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Elements of the weights, `[out_features, in_features]`.
    pub const fn weights_len(&self) -> usize {
        self.in_features.saturating_mul(self.out_features)
    }
}

/// Why parameters were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ParamsError {
    /// An extent, kernel, stride, dilation, channel or group count is 0.
    Zero,
    /// A number is above [`MAX_EXTENT`] (or [`Linear::MAX_FEATURES`]).
    TooLarge,
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
}

impl core::fmt::Display for ParamsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Zero => write!(
                f,
                "extents, kernel, stride, dilation, channels and groups must be at least 1"
            ),
            Self::TooLarge => write!(f, "a number is above the limit of {MAX_EXTENT}"),
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
        }
    }
}

impl core::error::Error for ParamsError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes that PyTorch 2 gives for `Conv2d` and `MaxPool2d` of the same parameters.
    #[test]
    fn output_sizes() {
        let size = |window: Window, extent, rounding| {
            let size = window.output_size(extent, extent, rounding);
            size.map(|(height, _)| height)
        };
        let padded = |kernel, padding| {
            Window::new(kernel, kernel).with_padding(Padding::symmetric(padding, padding))
        };
        let floor = Rounding::Floor;
        assert_eq!(size(Window::new(3, 3), 130, floor), Ok(128));
        assert_eq!(size(padded(5, 2), 32, floor), Ok(32));
        assert_eq!(
            size(Window::new(4, 4).with_stride(4, 4), 128, floor),
            Ok(32)
        );
        assert_eq!(size(Window::new(2, 2).with_stride(2, 2), 7, floor), Ok(3));
        assert_eq!(size(padded(3, 1).with_stride(2, 2), 28, floor), Ok(14));
        assert_eq!(
            size(Window::new(3, 3).with_dilation(2, 2), 10, floor),
            Ok(6)
        );
        // A last window hangs over the end, but not if it would start in the trailing padding.
        let ceil = Rounding::Ceil;
        assert_eq!(size(Window::new(2, 2).with_stride(2, 2), 7, ceil), Ok(4));
        assert_eq!(size(Window::new(2, 2).with_stride(3, 3), 7, ceil), Ok(3));
        assert_eq!(size(padded(2, 1).with_stride(2, 2), 4, ceil), Ok(3));
        assert_eq!(size(padded(2, 1).with_stride(3, 3), 5, ceil), Ok(2));
    }

    #[test]
    fn axes_are_their_own() -> Result<(), ParamsError> {
        let window = Window::new(3, 1).with_stride(1, 2).with_padding(Padding {
            top: 2,
            bottom: 0,
            left: 0,
            right: 1,
        });
        let input = Shape::new(5, 8, 4);
        let params = Conv2d::new(input, 6, window, 2, Activation::Identity)?;
        assert_eq!(params.output(), Shape::new(5, 5, 6));
        assert_eq!((params.taps(), params.weights_len()), (6, 36));
        assert_eq!(params.macs(), 5 * 5 * 6 * 6);
        Ok(())
    }

    #[test]
    fn what_no_kernel_could_compute_is_refused() {
        let conv = |shape, out_channels, window, groups| {
            Conv2d::new(shape, out_channels, window, groups, Activation::Identity).map(|_| ())
        };
        let shape = Shape::new(4, 4, 6);
        let window = Window::new(3, 3);
        assert_eq!(conv(shape, 4, window, 1), Ok(()));
        assert_eq!(conv(shape, 0, window, 1), Err(ParamsError::Zero));
        assert_eq!(
            conv(shape, 4, window.with_stride(0, 1), 1),
            Err(ParamsError::Zero)
        );
        assert_eq!(
            conv(shape, 4, window.with_dilation(1, 0), 1),
            Err(ParamsError::Zero)
        );
        assert_eq!(
            conv(Shape::new(0, 4, 6), 4, window, 1),
            Err(ParamsError::Zero)
        );
        assert_eq!(
            conv(shape, MAX_EXTENT + 1, window, 1),
            Err(ParamsError::TooLarge)
        );
        assert_eq!(
            conv(shape, 4, Window::new(5, 3), 1),
            Err(ParamsError::WindowTooLarge { span: 5, padded: 4 })
        );
        assert_eq!(
            conv(shape, 4, window, 3),
            Err(ParamsError::Groups {
                groups: 3,
                in_channels: 6,
                out_channels: 4
            })
        );
        let half = Window::new(3, 3).with_padding(Padding::symmetric(2, 1));
        let pool = Pool2d::new(shape, half, Rounding::Floor, CountPadding::Include);
        assert_eq!(pool.map(|_| ()), Err(ParamsError::PoolPadding));
        let linear = Linear::new(Linear::MAX_FEATURES + 1, 1, Activation::Identity);
        assert_eq!(linear.map(|_| ()), Err(ParamsError::TooLarge));
    }

    #[test]
    fn only_pools_of_disjoint_windows_join_a_convolution() -> Result<(), ParamsError> {
        let conv = Conv2d::new(
            Shape::new(7, 9, 2),
            4,
            Window::new(1, 1),
            1,
            Activation::Relu,
        )?;
        let pooled = |window, rounding| PooledConv2d::new(conv, window, rounding);
        let two = Window::new(2, 2).with_stride(2, 2);
        assert_eq!(pooled(two, Rounding::Floor)?.output(), Shape::new(3, 4, 4));
        let ceil = pooled(two, Rounding::Ceil)?;
        assert_eq!(ceil.output(), Shape::new(4, 5, 4));
        assert_eq!((ceil.rows(3), ceil.columns(1)), (6..7, 2..4));
        assert!(pooled(two.with_stride(3, 2), Rounding::Floor).is_ok());
        for window in [
            Window::new(2, 2),
            Window::new(2, 3).with_stride(2, 2),
            two.with_dilation(1, 2),
            two.with_padding(Padding::symmetric(1, 0)),
        ] {
            let refused = pooled(window, Rounding::Floor).map(|_| ());
            assert_eq!(refused, Err(ParamsError::NotFusible), "{window:?}");
        }
        let refused = pooled(Window::new(8, 2).with_stride(8, 2), Rounding::Floor).map(|_| ());
        let expected = Err(ParamsError::WindowTooLarge { span: 8, padded: 7 });
        assert_eq!(refused, expected);
        Ok(())
    }

    #[test]
    fn clamp_keeps_nan_and_signed_zero() {
        assert!(clamp(f32::NAN, 0.0, 6.0).is_nan());
        assert_eq!(clamp(-0.0, 0.0, 6.0).to_bits(), (-0.0f32).to_bits());
        assert_eq!(clamp(-1.0, 0.0, 6.0).to_bits(), 0.0f32.to_bits());
        assert_eq!(clamp(7.0, 0.0, 6.0), 6.0);
    }
}
