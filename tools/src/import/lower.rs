//! What the runtime has no operator for, made of those that it has: any choice of elements along an axis, products along
//! an axis, normalizations, rearranged blocks, and convolutions the other way round.

use kinglet_kernels::{
    Activation, Axis, BinaryFunction, Conv2d, CountPadding, Padding, Pool2d, Rounding, Shape,
    Unary, Window,
};

use super::builder::{BuildError, Builder, Value};
use crate::graph::Operation;

/// What a transposed convolution is made of.
pub(crate) struct TransposedConv {
    /// Of the kernel: height and width.
    pub(crate) kernel: [usize; 2],
    /// How far apart two inputs write.
    pub(crate) stride: [usize; 2],
    /// How far apart two taps write.
    pub(crate) dilation: [usize; 2],
    /// Rows and columns of what is written that are left out before the output.
    pub(crate) cut: [usize; 2],
    /// Height and width of the output.
    pub(crate) output: [usize; 2],
    /// Groups of channels.
    pub(crate) groups: usize,
    /// `[out_channels, kernel_h, kernel_w, in_channels / groups]`; the tap `y, x` of an input writes that many steps of the
    /// dilation below and to the right of its first place.
    pub(crate) weights: Vec<f32>,
    /// `[out_channels]`.
    pub(crate) bias: Option<Vec<f32>>,
}

/// Elements of an axis, equally far apart.
struct Run {
    start: usize,
    step: usize,
    count: usize,
}

/// The fewest runs that `indices` are.
fn runs(indices: &[usize]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for index in indices.iter().copied() {
        match runs.last_mut() {
            Some(run) if run.count == 1 && index > run.start => {
                run.step = index - run.start;
                run.count = 2;
            }
            Some(run) if run.count > 1 && index == run.start + run.step * run.count => {
                run.count += 1;
            }
            _ => runs.push(Run {
                start: index,
                step: 1,
                count: 1,
            }),
        }
    }
    runs
}

/// More runs than this are not copied one by one.
const MOST_RUNS: usize = 64;

/// More elements of an axis than this are not named one by one.
pub(crate) const MOST_INDICES: usize = 1 << 16;

/// No matrix that chooses elements is larger.
const MOST_FACTORS: usize = 1 << 22;

impl Builder {
    /// The axis in the middle: what is before it, itself, and what is behind it.
    fn around(&mut self, name: &str, value: &Value, axis: usize) -> Result<usize, BuildError> {
        let (before, behind) = (&value.dims[..axis], &value.dims[axis + 1..]);
        let shape = Shape::new(
            before.iter().product(),
            value.dims[axis],
            behind.iter().product(),
        );
        Ok(self.view(name, value.number, shape)?)
    }

    /// The elements at `indices` along an axis, in their order and as often as they are named; at least one is.
    pub(crate) fn gather(
        &mut self,
        name: &str,
        value: &Value,
        axis: usize,
        indices: &[usize],
    ) -> Result<Value, BuildError> {
        let runs = runs(indices);
        let mut dims = value.dims.clone();
        dims[axis] = indices.len();
        if runs.len() > MOST_RUNS {
            let (found, extent) = (indices.len(), value.dims[axis]);
            if found.saturating_mul(extent) > MOST_FACTORS {
                return Err(BuildError::Choice { found, extent });
            }
            let mut matrix = vec![0.0; found * extent];
            for (row, index) in matrix.chunks_exact_mut(extent).zip(indices) {
                row[*index] = 1.0;
            }
            return self.along_axis(name, value, axis, matrix);
        }
        let input = self.around(name, value, axis)?;
        let Shape {
            height, channels, ..
        } = self.shape(input);
        let mut parts = Vec::with_capacity(runs.len());
        for run in runs {
            let whole = run.start == 0 && run.step == 1 && run.count == value.dims[axis];
            parts.push(match whole {
                true => input,
                false => {
                    let operation = Operation::Slice {
                        start: [0, run.start, 0],
                        step: [1, run.step, 1],
                        output: Shape::new(height, run.count, channels),
                    };
                    self.push(name, operation, &[input])?
                }
            });
        }
        let number = match parts.as_slice() {
            [only] => *only,
            several => self.push(name, Operation::Concat { axis: Axis::Width }, several)?,
        };
        Ok(Value { number, dims })
    }

    /// Each line along an axis multiplied by a matrix, which has a row for each element of the result.
    pub(crate) fn along_axis(
        &mut self,
        name: &str,
        value: &Value,
        axis: usize,
        matrix: Vec<f32>,
    ) -> Result<Value, BuildError> {
        let last = value.dims.len() - 1;
        let from = value.dims[axis];
        let to = matrix.len() / from;
        let there: Vec<usize> = (0..=last).filter(|a| *a != axis).chain([axis]).collect();
        let moved = self.transpose(name, value, &there)?;
        let mut others = moved.dims[..last].iter().copied().filter(|d| *d != 1);
        let width = others.next_back().unwrap_or(1);
        let shape = Shape::new(others.product(), width, from);
        let input = self.view(name, moved.number, shape)?;
        let operation = Operation::Conv2d {
            params: Conv2d::new(shape, to, Window::new(1, 1), 1, Activation::Identity)?,
            weights: matrix,
            weight_scale: None,
            bias: None,
            pool: None,
        };
        let number = self.push(name, operation, &[input])?;
        let mut dims = moved.dims;
        dims[last] = to;
        let product = Value { number, dims };
        let back: Vec<usize> = (0..axis).chain([last]).chain(axis..last).collect();
        self.transpose(name, &product, &back)
    }

    /// A pool over all of the named axes, which stay as axes of 1.
    pub(crate) fn pool_axes(
        &mut self,
        name: &str,
        value: &Value,
        axes: &[usize],
        operation: fn(Pool2d) -> Operation,
    ) -> Result<Value, BuildError> {
        let (gone, kept): (Vec<usize>, Vec<usize>) =
            (0..value.dims.len()).partition(|axis| axes.contains(axis));
        let extent = |axes: &[usize]| axes.iter().map(|axis| value.dims[*axis]).product();
        let long = |axis: &usize| value.dims[*axis] != 1;
        let first = gone.iter().copied().find(long).unwrap_or(0);
        let last = gone.iter().copied().rfind(long).unwrap_or(first);
        let between: Vec<usize> = (first..=last).filter(long).collect();
        let before: usize = value.dims[..first].iter().product();
        let (number, shape, window) = if before > 1 && between.iter().all(|a| gone.contains(a)) {
            // Neighbors are the columns of as many rows as there are elements before them.
            let within = extent(&between);
            let behind = value.dims[last + 1..].iter().product();
            (
                value.number,
                Shape::new(before, within, behind),
                Window::new(1, within),
            )
        } else {
            let order: Vec<usize> = gone.iter().chain(&kept).copied().collect();
            let moved = self.transpose(name, value, &order)?;
            let (rows, columns) = gone.split_at(gone.len().min(1));
            let shape = Shape::new(extent(rows), extent(columns), extent(&kept));
            (moved.number, shape, Window::new(shape.height, shape.width))
        };
        let params = Pool2d::new(shape, window, Rounding::Floor, CountPadding::Exclude)?;
        let number = self.view(name, number, shape)?;
        let number = self.push(name, operation(params), &[number])?;
        let dims = value.dims.iter().enumerate();
        let dims = dims.map(|(axis, extent)| if axes.contains(&axis) { 1 } else { *extent });
        let dims = dims.collect();
        Ok(Value { number, dims })
    }

    /// A function of each element and one number.
    pub(crate) fn with_scalar(
        &mut self,
        name: &str,
        function: BinaryFunction,
        value: &Value,
        operand: f32,
    ) -> Result<Value, BuildError> {
        self.binary_constant(name, function, value, &[], vec![operand])
    }

    /// A function of each element.
    pub(crate) fn each(
        &mut self,
        name: &str,
        function: Unary,
        value: &Value,
    ) -> Result<Value, BuildError> {
        let number = self.push(name, Operation::Unary(function), &[value.number])?;
        let dims = value.dims.clone();
        Ok(Value { number, dims })
    }

    /// Mean 0 and variance 1 over all of the named axes together: the values, the means, and what they were divided by.
    pub(crate) fn normalized(
        &mut self,
        name: &str,
        value: &Value,
        axes: &[usize],
        epsilon: f32,
    ) -> Result<[Value; 3], BuildError> {
        let mean = self.pool_axes(name, value, axes, Operation::AvgPool2d)?;
        let distance = self.binary(name, BinaryFunction::Subtract, value, &mean)?;
        let deviation = self.root_mean_square(name, &distance, axes, epsilon)?;
        let normalized = self.binary(name, BinaryFunction::Divide, &distance, &deviation)?;
        Ok([normalized, mean, deviation])
    }

    /// The root of the mean of the squares over all of the named axes together, and of `epsilon`.
    pub(crate) fn root_mean_square(
        &mut self,
        name: &str,
        value: &Value,
        axes: &[usize],
        epsilon: f32,
    ) -> Result<Value, BuildError> {
        let square = self.binary(name, BinaryFunction::Multiply, value, value)?;
        let variance = self.pool_axes(name, &square, axes, Operation::AvgPool2d)?;
        let variance = self.with_scalar(name, BinaryFunction::Add, &variance, epsilon)?;
        self.each(name, Unary::Sqrt, &variance)
    }

    /// What each input of feature maps `[1, height, width, channels]` writes around it through the kernel, added up.
    ///
    /// It is a convolution by the turned kernel over the inputs with zeros between them; where no two inputs write to
    /// one place, it is a product for each place and a rearrangement.
    pub(crate) fn transposed_conv(
        &mut self,
        name: &str,
        input: usize,
        conv: TransposedConv,
    ) -> Result<usize, BuildError> {
        let apart = conv.kernel == conv.stride
            && conv.dilation == [1; 2]
            && conv.groups == 1
            && conv.cut == [0; 2];
        let shape = self.shape(input);
        let extents = [shape.height, shape.width];
        if apart && (0..2).all(|axis| conv.output[axis] == extents[axis] * conv.stride[axis]) {
            return self.blocks_of_products(name, input, conv);
        }
        let mut value = self.with_zeros_between(name, input, conv.stride)?;
        let stuffed = self.shape(value);
        // How many rows and columns the output reads beyond the first and the last.
        let mut padding = [[0i64; 2]; 2];
        for (axis, extent) in [stuffed.height, stuffed.width].into_iter().enumerate() {
            let span = conv.dilation[axis].saturating_mul(conv.kernel[axis] - 1);
            let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
            let before = number(span).saturating_sub(number(conv.cut[axis]));
            let reach = number(conv.output[axis]).saturating_add(number(span));
            let behind = reach.saturating_sub(number(extent)).saturating_sub(before);
            padding[axis] = [before, behind];
        }
        // What the output does not read is cut off.
        let cut = |[before, behind]: [i64; 2]| [before, behind].map(|n| n.min(0).unsigned_abs());
        let cuts = padding.map(cut);
        if cuts != [[0; 2]; 2] {
            let [[top, bottom], [left, right]] = cuts.map(|pair| pair.map(|n| n as usize));
            let output = Shape::new(
                stuffed.height.saturating_sub(top.saturating_add(bottom)),
                stuffed.width.saturating_sub(left.saturating_add(right)),
                stuffed.channels,
            );
            let operation = Operation::Slice {
                start: [top, left, 0],
                step: [1; 3],
                output,
            };
            value = self.push(name, operation, &[value])?;
        }
        let [[top, bottom], [left, right]] =
            padding.map(|pair| pair.map(|n| usize::try_from(n).unwrap_or(0)));
        let [kernel_h, kernel_w] = conv.kernel;
        let window = Window::new(kernel_h, kernel_w)
            .with_dilation(conv.dilation[0], conv.dilation[1])
            .with_padding(Padding {
                top,
                bottom,
                left,
                right,
            });
        let in_channels = shape.channels / conv.groups.max(1);
        let out_channels = conv.weights.len() / (kernel_h * kernel_w * in_channels.max(1)).max(1);
        // Each output channel's taps the other way round, the channels of a tap as they are.
        let mut weights = Vec::with_capacity(conv.weights.len());
        for of_output in conv
            .weights
            .chunks_exact((kernel_h * kernel_w * in_channels).max(1))
        {
            let taps = of_output.chunks_exact(in_channels.max(1)).rev();
            weights.extend(taps.flatten());
        }
        let input = self.shape(value);
        let operation = Operation::Conv2d {
            params: Conv2d::new(
                input,
                out_channels,
                window,
                conv.groups,
                Activation::Identity,
            )?,
            weights,
            weight_scale: None,
            bias: conv.bias,
            pool: None,
        };
        Ok(self.push(name, operation, &[value])?)
    }

    /// Feature maps with `stride - 1` rows and columns of zeros behind each of their own.
    fn with_zeros_between(
        &mut self,
        name: &str,
        input: usize,
        [stride_h, stride_w]: [usize; 2],
    ) -> Result<usize, BuildError> {
        let Shape {
            height,
            width,
            channels,
        } = self.shape(input);
        let mut value = input;
        if stride_w > 1 {
            value = self.view(name, value, Shape::new(height * width, 1, channels))?;
            value = self.zeros_behind(name, value, stride_w - 1)?;
        }
        let columns = width * stride_w;
        if stride_h > 1 {
            value = self.view(name, value, Shape::new(height, 1, columns * channels))?;
            value = self.zeros_behind(name, value, stride_h - 1)?;
        }
        let shape = Shape::new(height * stride_h, columns, channels);
        Ok(self.view(name, value, shape)?)
    }

    fn zeros_behind(
        &mut self,
        name: &str,
        value: usize,
        columns: usize,
    ) -> Result<usize, BuildError> {
        let operation = Operation::Pad {
            before: [0; 3],
            after: [0, columns, 0],
            value: 0.0,
        };
        Ok(self.push(name, operation, &[value])?)
    }

    /// A transposed convolution whose stride is its kernel: each input writes a block of its own.
    fn blocks_of_products(
        &mut self,
        name: &str,
        input: usize,
        conv: TransposedConv,
    ) -> Result<usize, BuildError> {
        let shape = self.shape(input);
        let [kernel_h, kernel_w] = conv.kernel;
        let (taps, ins) = (kernel_h * kernel_w, shape.channels);
        let outs = conv.weights.len() / (taps * ins).max(1);
        // From [out_channels, taps, in_channels] to an output channel for each tap and channel.
        let mut weights = Vec::with_capacity(conv.weights.len());
        for tap in 0..taps {
            for out in 0..outs {
                weights.extend(&conv.weights[(out * taps + tap) * ins..][..ins]);
            }
        }
        let bias = conv.bias.map(|bias| bias.repeat(taps));
        let window = Window::new(1, 1);
        let operation = Operation::Conv2d {
            params: Conv2d::new(shape, taps * outs, window, 1, Activation::Identity)?,
            weights,
            weight_scale: None,
            bias,
            pool: None,
        };
        let number = self.push(name, operation, &[input])?;
        let dims = vec![shape.height, shape.width, kernel_h, kernel_w, outs];
        let blocks = Value { number, dims };
        let rows = self.transpose(name, &blocks, &[0, 2, 1, 3, 4])?;
        let output = Shape::new(shape.height * kernel_h, shape.width * kernel_w, outs);
        Ok(self.view(name, rows.number, output)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_few_runs() {
        let found: Vec<(usize, usize, usize)> = runs(&[2, 1, 0, 1, 2, 3, 3, 3, 5, 7])
            .iter()
            .map(|run| (run.start, run.step, run.count))
            .collect();
        assert_eq!(
            found,
            [(2, 1, 1), (1, 1, 1), (0, 1, 4), (3, 1, 1), (3, 2, 3)]
        );
    }
}
