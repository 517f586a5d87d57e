//! Copies between tensors of different shapes: what concatenation, padding, slices, transposition and nearest
//! neighbour resizing have in common.

use super::nest::{Loop, Nest};
use super::{MAX_EXTENT, ParamsError};
use crate::Shape;

/// An axis of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Axis {
    /// Rows.
    Height,
    /// Columns.
    Width,
    /// Values at each position.
    Channels,
}

/// One number for each axis, in the order height, width, channels.
pub type PerAxis = [usize; 3];

/// A copy of a box of elements from one tensor into another, sample by sample. Each loop over the box has a step
/// of its own in both tensors. What the box does not cover stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StridedCopy {
    input_len: usize,
    output_len: usize,
    pub(crate) starts: (usize, usize),
    pub(crate) nest: Nest,
}

/// Elements from one row, column and channel to the next.
const fn steps(shape: Shape) -> PerAxis {
    [shape.width.wrapping_mul(shape.channels), shape.channels, 1]
}

/// The index of the element at `position`.
const fn index([y, x, channel]: PerAxis, shape: Shape) -> usize {
    let [down, right, _] = steps(shape);
    y.wrapping_mul(down)
        .wrapping_add(x.wrapping_mul(right))
        .wrapping_add(channel)
}

/// True if `count` positions from `start` in steps of `step` are all below `extent`.
const fn within(start: usize, step: usize, count: usize, extent: usize) -> bool {
    count > 0 && start.saturating_add(step.saturating_mul(count.wrapping_sub(1))) < extent
}

impl StridedCopy {
    const fn new(
        (input, from, from_steps): (Shape, usize, PerAxis),
        (output, to, to_steps): (Shape, usize, PerAxis),
        extents: PerAxis,
    ) -> Self {
        let [height, width, channels] = extents;
        let ([f0, f1, f2], [t0, t1, t2]) = (from_steps, to_steps);
        Self {
            input_len: input.len(),
            output_len: output.len(),
            starts: (from, to),
            nest: Nest::new(
                step(height, f0, t0),
                step(width, f1, t1),
                step(channels, f2, t2),
            ),
        }
    }

    /// The whole of `input` into `output`, its first element at `position`: a part of a concatenation, or the
    /// inside of a padded tensor.
    ///
    /// # Errors
    /// [`ParamsError::Zero`] if `input` is empty, [`ParamsError::OutOfRange`] if it does not fit there.
    pub const fn place(
        input: Shape,
        position: PerAxis,
        output: Shape,
    ) -> Result<Self, ParamsError> {
        if input.is_empty() {
            return Err(ParamsError::Zero);
        }
        let [y, x, channel] = position;
        if !within(y, 1, input.height, output.height)
            || !within(x, 1, input.width, output.width)
            || !within(channel, 1, input.channels, output.channels)
        {
            return Err(ParamsError::OutOfRange);
        }
        Ok(Self::new(
            (input, 0, steps(input)),
            (output, index(position, output), steps(output)),
            [input.height, input.width, input.channels],
        ))
    }

    /// `output` as the part of `input` that begins at `start` and takes every `step`-th row, column, channel.
    ///
    /// # Errors
    /// [`ParamsError::Zero`] if `output` is empty or a step is 0, [`ParamsError::OutOfRange`] if it reaches
    /// beyond `input`.
    pub const fn slice(
        input: Shape,
        start: PerAxis,
        step: PerAxis,
        output: Shape,
    ) -> Result<Self, ParamsError> {
        let ([y, x, channel], [step_y, step_x, step_channel]) = (start, step);
        if output.is_empty() || step_y == 0 || step_x == 0 || step_channel == 0 {
            return Err(ParamsError::Zero);
        }
        if !within(y, step_y, output.height, input.height)
            || !within(x, step_x, output.width, input.width)
            || !within(channel, step_channel, output.channels, input.channels)
        {
            return Err(ParamsError::OutOfRange);
        }
        let [down, right, _] = steps(input);
        let from_steps = [
            down.wrapping_mul(step_y),
            right.wrapping_mul(step_x),
            step_channel,
        ];
        Ok(Self::new(
            (input, index(start, input), from_steps),
            (output, 0, steps(output)),
            [output.height, output.width, output.channels],
        ))
    }

    /// `input` with its axes in another order: `order` names, for height, width and channels of the output, the
    /// axis of the input that becomes it.
    ///
    /// # Errors
    /// [`ParamsError::Zero`] if `input` is empty, [`ParamsError::Order`] if an axis is named twice.
    pub const fn transpose(input: Shape, order: [Axis; 3]) -> Result<Self, ParamsError> {
        if input.is_empty() {
            return Err(ParamsError::Zero);
        }
        let [a, b, c] = order;
        let (a, b, c) = (a as usize, b as usize, c as usize);
        if a == b || b == c || a == c {
            return Err(ParamsError::Order);
        }
        let output = transposed(input, order);
        let from_steps = steps(input);
        Ok(Self::new(
            (
                input,
                0,
                [
                    on(order[0], from_steps),
                    on(order[1], from_steps),
                    on(order[2], from_steps),
                ],
            ),
            (output, 0, steps(output)),
            [output.height, output.width, output.channels],
        ))
    }

    /// Elements of one input sample.
    pub const fn input_len(&self) -> usize {
        self.input_len
    }

    /// Elements of one output sample.
    pub const fn output_len(&self) -> usize {
        self.output_len
    }

    /// The first element that is read, and where it is written.
    pub const fn starts(&self) -> (usize, usize) {
        self.starts
    }

    /// Elements of the box.
    pub const fn len(&self) -> usize {
        let [rows, columns, run] = self.nest.loops();
        rows.extent
            .wrapping_mul(columns.extent)
            .wrapping_mul(run.extent)
    }

    /// Never true: an empty box is refused.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The copy of the same box back to where it came from.
    #[must_use]
    pub const fn reversed(&self) -> Self {
        let (from, to) = self.starts;
        Self {
            input_len: self.output_len,
            output_len: self.input_len,
            starts: (to, from),
            nest: self.nest.reversed(),
        }
    }

    /// Three loops within each other, the innermost last, that reach every element of the box.
    pub const fn loops(&self) -> [Loop; 3] {
        self.nest.loops()
    }
}

const fn step(extent: usize, from: usize, to: usize) -> Loop {
    Loop { extent, from, to }
}

/// What `values` has for `axis`.
const fn on(axis: Axis, [height, width, channels]: PerAxis) -> usize {
    match axis {
        Axis::Height => height,
        Axis::Width => width,
        Axis::Channels => channels,
    }
}

/// The shape of `input` with its axes in the order `order`.
pub const fn transposed(input: Shape, order: [Axis; 3]) -> Shape {
    let extents = [input.height, input.width, input.channels];
    let [height, width, channels] = order;
    Shape::new(
        on(height, extents),
        on(width, extents),
        on(channels, extents),
    )
}

/// A feature map made larger by whole factors, each element repeated: nearest neighbour resizing where the output
/// at `y` is the input at `floor(y / factor)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Upsample {
    input: Shape,
    factor_h: usize,
    factor_w: usize,
}

impl Upsample {
    /// `factor_h` times the rows, `factor_w` times the columns of `input`.
    ///
    /// # Errors
    /// [`ParamsError::Zero`] if something is 0, [`ParamsError::TooLarge`] if an extent of input or output is
    /// above [`MAX_EXTENT`].
    pub const fn new(input: Shape, factor_h: usize, factor_w: usize) -> Result<Self, ParamsError> {
        if input.is_empty() || factor_h == 0 || factor_w == 0 {
            return Err(ParamsError::Zero);
        }
        let rows = input.height.saturating_mul(factor_h);
        let columns = input.width.saturating_mul(factor_w);
        if let Err(error) = ParamsError::within(&[rows, columns, input.channels], MAX_EXTENT) {
            return Err(error);
        }
        Ok(Self {
            input,
            factor_h,
            factor_w,
        })
    }

    /// Shape of one output sample.
    pub const fn output(&self) -> Shape {
        Shape::new(
            self.input.height.wrapping_mul(self.factor_h),
            self.input.width.wrapping_mul(self.factor_w),
            self.input.channels,
        )
    }

    /// The copies that make it up: each writes one element of every block of `factor_h x factor_w`.
    pub fn copies(&self) -> impl Iterator<Item = StridedCopy> {
        let (input, output) = (self.input, self.output());
        let [down, right, next] = steps(output);
        let to_steps = [
            down.wrapping_mul(self.factor_h),
            right.wrapping_mul(self.factor_w),
            next,
        ];
        let columns = 0..self.factor_w;
        (0..self.factor_h)
            .flat_map(move |y| columns.clone().map(move |x| index([y, x, 0], output)))
            .map(move |start| {
                StridedCopy::new(
                    (input, 0, steps(input)),
                    (output, start, to_steps),
                    [input.height, input.width, input.channels],
                )
            })
    }
}

/// Tensors one after the other along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Concat {
    /// Rows of the copies: what lies outside of the axis.
    rows: usize,
    /// Elements of a row that each input brings; 0 where there is no input.
    lens: [usize; Self::MAX_INPUTS],
    output: Shape,
}

impl Concat {
    /// Most tensors of one concatenation; more are put together in several steps.
    pub const MAX_INPUTS: usize = 4;

    /// `inputs` along `axis`.
    ///
    /// # Errors
    /// [`ParamsError::Zero`] if there are none, or an empty one; [`ParamsError::TooLarge`] if there are more
    /// than [`Self::MAX_INPUTS`]; [`ParamsError::Concat`] if they differ in an extent along another axis.
    pub fn new(axis: Axis, inputs: &[Shape]) -> Result<Self, ParamsError> {
        let Some(first) = inputs.first() else {
            return Err(ParamsError::Zero);
        };
        ParamsError::within(&[inputs.len()], Self::MAX_INPUTS)?;
        let (mut extent, mut lens) = (0usize, [0; Self::MAX_INPUTS]);
        for (len, shape) in lens.iter_mut().zip(inputs) {
            if shape.is_empty() {
                return Err(ParamsError::Zero);
            }
            let own = on(axis, [shape.height, shape.width, shape.channels]);
            if with_extent(*first, axis, own) != *shape {
                return Err(ParamsError::Concat);
            }
            extent = extent.saturating_add(own);
            *len = match axis {
                Axis::Height => shape.len(),
                Axis::Width => shape.width.saturating_mul(shape.channels),
                Axis::Channels => shape.channels,
            };
        }
        let rows = match axis {
            Axis::Height => 1,
            Axis::Width => first.height,
            Axis::Channels => first.height.saturating_mul(first.width),
        };
        Ok(Self {
            rows,
            lens,
            output: with_extent(*first, axis, extent),
        })
    }

    /// Shape of one output sample.
    pub const fn output(&self) -> Shape {
        self.output
    }

    /// The copies that make it up, one for each input.
    pub fn copies(&self) -> impl Iterator<Item = StridedCopy> {
        let whole = self
            .lens
            .iter()
            .fold(0, |sum: usize, len| sum.wrapping_add(*len));
        let output = Shape::new(self.rows, 1, whole);
        let rows = self.rows;
        let lens = self.lens.into_iter().take_while(|len| *len > 0);
        lens.scan(0usize, move |at, len| {
            let input = Shape::new(rows, 1, len);
            let copy = StridedCopy::place(input, [0, 0, *at], output).ok();
            *at = at.wrapping_add(len);
            copy
        })
    }
}

/// `shape` with another extent along `axis`.
const fn with_extent(shape: Shape, axis: Axis, extent: usize) -> Shape {
    match axis {
        Axis::Height => Shape::new(extent, shape.width, shape.channels),
        Axis::Width => Shape::new(shape.height, extent, shape.channels),
        Axis::Channels => Shape::new(shape.height, shape.width, extent),
    }
}
