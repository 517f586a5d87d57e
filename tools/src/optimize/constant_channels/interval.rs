//! What numbers each channel of a value can have, whatever the input of the network: an interval for each.
//!
//! On 8-bit numbers an interval's ends are computed by the kernels themselves, whose operations are monotone: the ends of a
//! channel go through, and what lies between them stays between. Of a convolution the largest sum has from every term the
//! larger end, the sign of its weight decides which; sums of integers are exact. An output position at the edge lacks the
//! terms that lie in padding, so that each kind of position has a sum of its own.
//!
//! On real numbers a sum's ends are widened by what rounding may make of it in any order of its terms. A sum of nothing but
//! terms that are not positive is not positive in any order, however it is rounded, which is all that a ReLU needs.
//!
//! Real numbers are taken to be finite: 0 times infinity would be NaN.

use kinglet::operator::{LayerI8, Owned};
use kinglet_kernels::params::{AddI8, AvgPool2dI8, BinaryI8, RequantizeI8};
use kinglet_kernels::{
    Activation, Axis, Binary, BinaryFunction, Kernels, ParamsError, Pool2d, Portable, Quantization,
    Requantize, Shape, Unary,
};

use super::geometry::Geometry;
use crate::graph::{Graph, Int8Operation, Node, Operation};

/// All numbers from one to another: real ones, or those of 8 bits as they are stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    low: f32,
    high: f32,
}

/// One of the two.
type End = fn(&Interval) -> f32;

impl Interval {
    const REAL: Self = Self::new(f32::NEG_INFINITY, f32::INFINITY);
    const INT8: Self = Self::new(i8::MIN as f32, i8::MAX as f32);

    const fn new(low: f32, high: f32) -> Self {
        Self { low, high }
    }

    const fn point(x: f32) -> Self {
        Self::new(x, x)
    }

    /// The only number there is, if there is one.
    pub(super) fn constant(self) -> Option<f32> {
        (self.low == self.high && self.low.is_finite()).then_some(self.low)
    }

    fn union(self, other: Self) -> Self {
        Self::new(self.low.min(other.low), self.high.max(other.high))
    }

    fn clamped(self, (low, high): (f32, f32)) -> Self {
        let clamped = |x: f32| x.max(low).min(high);
        Self::new(clamped(self.low), clamped(self.high))
    }

    /// What lies between the ends that sums, as they are rounded, have within `margin`; terms that are all on one side of 0
    /// have their sum on that side.
    fn rounded(low: f64, high: f64, margin: f64, is_positive: bool, is_negative: bool) -> Self {
        let low = low - margin;
        let low = if is_positive { low.max(0.0) } else { low };
        let high = high + margin;
        let high = if is_negative { high.min(0.0) } else { high };
        Self::new(low as f32, high as f32)
    }
}

/// The part of what is summed up by which a sum of `terms` terms may be off: each product, each sum and the conversion
/// from `f64` is rounded once, by half of this.
fn rounding(terms: usize) -> f64 {
    (terms + 2) as f64 * f64::from(f32::EPSILON)
}

/// The intervals of every value, one for each channel.
pub(super) fn intervals(graph: &Graph) -> Vec<Vec<Interval>> {
    let (shapes, meanings) = (graph.shapes(), graph.meanings());
    let anything = |value: usize| {
        let any = match meanings[value] {
            Some(_) => Interval::INT8,
            None => Interval::REAL,
        };
        vec![any; shapes[value].channels]
    };
    let mut intervals: Vec<Vec<Interval>> = (0..graph.inputs.len()).map(anything).collect();
    for (index, node) in graph.nodes.iter().enumerate() {
        let value = graph.value_of(index);
        let site = Site {
            node,
            inputs: node.inputs.iter().map(|v| &intervals[*v][..]).collect(),
            shapes: node.inputs.iter().map(|v| shapes[*v]).collect(),
            meanings: node.inputs.iter().map(|v| meanings[*v]).collect(),
            output: shapes[value],
        };
        let known = site.intervals().ok().flatten();
        let known = known.filter(|known| known.len() == shapes[value].channels);
        intervals.push(known.unwrap_or_else(|| anything(value)));
    }
    intervals
}

/// A node and what it reads.
struct Site<'a> {
    node: &'a Node,
    inputs: Vec<&'a [Interval]>,
    shapes: Vec<Shape>,
    meanings: Vec<Option<Quantization>>,
    output: Shape,
}

impl Site<'_> {
    /// The intervals of the output; None if nothing is known of them.
    fn intervals(&self) -> Result<Option<Vec<Interval>>, ParamsError> {
        let input = self.inputs[0];
        let each = |f: &dyn Fn(Interval) -> Interval| Some(input.iter().map(|i| f(*i)).collect());
        Ok(match &self.node.operation {
            Operation::Conv2d {
                params,
                weights,
                bias,
                ..
            } => {
                let sums = Sums::of(&Geometry::of_conv2d(params), weights, input, 0.0);
                Some(sums.real(bias.as_deref(), params.activation()))
            }
            Operation::Linear {
                params,
                weights,
                bias,
                ..
            } => {
                let geometry = Geometry::of_linear(params, self.shapes[0]);
                let sums = Sums::of(&geometry, weights, input, 0.0);
                Some(sums.real(bias.as_deref(), params.activation()))
            }
            Operation::ChannelAffine {
                activation,
                scale,
                shift,
            } => {
                let terms = input.iter().zip(scale).zip(shift);
                let sums = terms.map(|((input, scale), shift)| {
                    let mut sum = Sum::default();
                    sum.add(f64::from(*scale), *input, 0.0);
                    sum.real(1, *shift).clamped(activation.range())
                });
                Some(sums.collect())
            }
            Operation::Binary { activation, .. } | Operation::BinaryConstant { activation, .. } => {
                each(&|_| Interval::REAL.clamped(activation.range()))
            }
            Operation::Unary(function) => match function {
                Unary::Relu => each(&|input| input.clamped(Activation::Relu.range())),
                Unary::Relu6 => each(&|input| input.clamped(Activation::Relu6.range())),
                Unary::Clip { low, high } => each(&|input| input.clamped((*low, *high))),
                _ => None,
            },
            Operation::MaxPool2d(params) => Some(self.max_pool(params)),
            Operation::AvgPool2d(params) => Some(self.avg_pool(params)),
            Operation::Quantize(to) => {
                let number = |x| f32::from(to.quantize(x));
                each(&|input| Interval::new(number(input.low), number(input.high)))
            }
            Operation::Dequantize(from) => {
                let real = |number| from.dequantize(number as i8);
                each(&|input| Interval::new(real(input.low), real(input.high)))
            }
            Operation::Int8 { operation, output } => self.int8(operation, *output)?,
            Operation::Concat {
                axis: Axis::Channels,
            } => Some(self.inputs.concat()),
            Operation::Concat { .. } => {
                let all = self.inputs.iter().map(|input| input.to_vec());
                all.reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| a.union(b)).collect())
            }
            Operation::Slice { start, step, .. } => {
                let kept = input.iter().skip(start[2]).step_by(step[2].max(1));
                Some(kept.take(self.output.channels).copied().collect())
            }
            Operation::Pad {
                before,
                after,
                value,
            } => Some(self.padded(before[2], after[2], *value)),
            Operation::Upsample { .. } | Operation::Identity | Operation::Dropout { .. } => {
                Some(input.to_vec())
            }
            Operation::Transpose { order } if order[2] == Axis::Channels => Some(input.to_vec()),
            Operation::Reshape { output } if output.channels == input.len() => Some(input.to_vec()),
            // A vector has the channels of one position after those of the other.
            Operation::Reshape { output } if output.channels == output.len() => {
                let all = input.iter().cycle().take(output.channels);
                Some(all.copied().collect())
            }
            Operation::Transpose { .. } | Operation::Reshape { .. } => {
                let any = input.iter().copied().reduce(Interval::union);
                any.map(|any| vec![any; self.output.channels])
            }
            Operation::Softmax
            | Operation::LogSoftmax
            | Operation::BatchNorm2d(_)
            | Operation::FakeQuantize(_) => None,
        })
    }

    fn int8(
        &self,
        operation: &Int8Operation,
        output: Quantization,
    ) -> Result<Option<Vec<Interval>>, ParamsError> {
        let (input, shape) = (self.inputs[0], self.shapes[0]);
        let meaning = |input: usize| {
            let meaning = self.meanings.get(input).copied().flatten();
            meaning.ok_or(ParamsError::OutOfRange)
        };
        let from = meaning(0)?;
        let layer = |geometry: &Geometry, layer: &LayerI8<Owned>, (low, high): (i8, i8)| {
            let to = Requantize::new(output.zero_point, low, high)?;
            let zero_point = f32::from(from.zero_point);
            let sums = Sums::of(geometry, &layer.weights, input, zero_point);
            Ok(Some(sums.int8(layer.bias.as_deref(), &layer.scale, to)))
        };
        match operation {
            Int8Operation::Conv2d {
                params,
                layer: own,
                bounds,
            } => layer(&Geometry::of_conv2d(params), own, *bounds),
            Int8Operation::Linear {
                params,
                layer: own,
                bounds,
            } => layer(&Geometry::of_linear(params, shape), own, *bounds),
            Int8Operation::AvgPool2d(params) => {
                let params = AvgPool2dI8::new(*params, from, output)?;
                let pool = |input: &[i8]| {
                    let mut output = vec![0; self.output.len()];
                    Portable.avg_pool2d_i8(&params, input, &mut output);
                    output
                };
                Ok(Some(self.through_maps(pool)))
            }
            Int8Operation::Add { bounds } => {
                let params = AddI8::new(from, meaning(1)?, output, *bounds)?;
                let sum = |end: fn(&Interval) -> f32| {
                    let [mut data, operand] = [0, 1].map(|input| numbers(self.inputs[input], end));
                    Portable.add_i8(&params, &operand, &mut data);
                    data
                };
                Ok(Some(joined(sum(|i| i.low), sum(|i| i.high))))
            }
            Int8Operation::Requantize { bounds } => {
                let params = RequantizeI8::new(from, output, *bounds)?;
                let requantized = |end: fn(&Interval) -> f32| {
                    let mut data = numbers(input, end);
                    Portable.requantize_i8(&params, &mut data);
                    data
                };
                Ok(Some(joined(
                    requantized(|i| i.low),
                    requantized(|i| i.high),
                )))
            }
            Int8Operation::Binary { function, bounds } => {
                use BinaryFunction::{Divide, PRelu, ReverseDivide};
                if matches!(function, Divide | ReverseDivide | PRelu) {
                    return Ok(None);
                }
                let own = [0, 1].map(|input| Shape::vector(self.shapes[input].channels));
                let geometry = Binary::new(*function, Activation::Identity, own[0], own[1])?;
                let params = BinaryI8::new(geometry, from, meaning(1)?, output, *bounds)?;
                let result = |first: End, second: End| {
                    let mut data = numbers(self.inputs[0], first);
                    Portable.binary_i8(&params, &numbers(self.inputs[1], second), &mut data);
                    data
                };
                // Whichever way it goes in one of them, its ends are at those of both.
                let (low, high): (End, End) = (|i| i.low, |i| i.high);
                let corners = [(low, low), (low, high), (high, low), (high, high)];
                let corners = corners.map(|(a, b)| joined(result(a, b), result(a, b)));
                let all = corners.into_iter();
                Ok(all.reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| a.union(b)).collect()))
            }
            Int8Operation::Table { entries, .. } => {
                let entries_of = |interval: &Interval| {
                    let numbers = interval.low as i8..=interval.high as i8;
                    let all = numbers.map(|q| entries[usize::from(q.cast_unsigned())]);
                    let all = all.map(|entry| Interval::point(entry.into()));
                    all.reduce(Interval::union).unwrap_or(Interval::INT8)
                };
                Ok(Some(input.iter().map(entries_of).collect()))
            }
            Int8Operation::Softmax => Ok(None),
        }
    }

    /// Both ends of every channel as maps of 8-bit numbers, through a monotone operation of channels by themselves.
    fn through_maps(&self, operation: impl Fn(&[i8]) -> Vec<i8>) -> Vec<Interval> {
        let through = |end: fn(&Interval) -> f32| {
            let ends = numbers(self.inputs[0], end);
            let input: Vec<i8> = ends
                .into_iter()
                .cycle()
                .take(self.shapes[0].len())
                .collect();
            operation(&input)
        };
        let all = joined(through(|i| i.low), through(|i| i.high));
        by_channel(&all, self.output.channels)
    }

    fn max_pool(&self, params: &Pool2d) -> Vec<Interval> {
        if self.meanings[0].is_some() {
            return self.through_maps(|input| {
                let mut output = vec![0; self.output.len()];
                Portable.max_pool2d_i8(params, input, &mut output);
                output
            });
        }
        let pool = |input: &[f32], output: &mut [f32]| {
            Portable.max_pool2d_f32(params, input, output);
        };
        self.through_real_maps(pool)
    }

    fn avg_pool(&self, params: &Pool2d) -> Vec<Interval> {
        let window = params.window();
        let rounding = rounding(window.kernel_h * window.kernel_w);
        let pool = |input: &[f32], output: &mut [f32]| {
            Portable.avg_pool2d_f32(params, input, output);
        };
        let means = self.through_real_maps(pool).into_iter();
        let widened = means.zip(self.inputs[0]).map(|(mean, input)| {
            // The mean of zeros is 0.
            if input.constant() == Some(0.0) {
                return Interval::point(0.0);
            }
            let (low, high) = (f64::from(mean.low), f64::from(mean.high));
            let margin = rounding * low.abs().max(high.abs());
            Interval::rounded(low, high, margin, input.low >= 0.0, input.high <= 0.0)
        });
        widened.collect()
    }

    /// [`Self::through_maps`] of real numbers.
    fn through_real_maps(&self, operation: impl Fn(&[f32], &mut [f32])) -> Vec<Interval> {
        let through = |end: fn(&Interval) -> f32| {
            let ends = self.inputs[0].iter().map(end);
            let input: Vec<f32> = ends.cycle().take(self.shapes[0].len()).collect();
            let mut output = vec![0.0; self.output.len()];
            operation(&input, &mut output);
            output
        };
        let ends = through(|i| i.low).into_iter().zip(through(|i| i.high));
        let all: Vec<Interval> = ends.map(|(low, high)| Interval::new(low, high)).collect();
        by_channel(&all, self.output.channels)
    }

    /// What lies within a larger tensor whose other elements are `value`.
    fn padded(&self, before: usize, after: usize, value: f32) -> Vec<Interval> {
        let value = match self.meanings[0] {
            Some(meaning) => f32::from(meaning.quantize(value)),
            None => value,
        };
        let value = Interval::point(value);
        let is_larger = (self.output.height, self.output.width)
            != (self.shapes[0].height, self.shapes[0].width);
        let own = self.inputs[0].iter().map(|own| match is_larger {
            true => own.union(value),
            false => *own,
        });
        let [before, after] = [before, after].map(|count| std::iter::repeat_n(value, count));
        before.chain(own).chain(after).collect()
    }
}

/// An end of each interval as an 8-bit number.
fn numbers(intervals: &[Interval], end: fn(&Interval) -> f32) -> Vec<i8> {
    intervals
        .iter()
        .map(|interval| end(interval) as i8)
        .collect()
}

fn joined(low: Vec<i8>, high: Vec<i8>) -> Vec<Interval> {
    let ends = low.into_iter().zip(high);
    ends.map(|(low, high)| Interval::new(low.into(), high.into()))
        .collect()
}

/// What a channel has at any position.
fn by_channel(all: &[Interval], channels: usize) -> Vec<Interval> {
    let channel = |channel: usize| {
        let positions = all.iter().skip(channel).step_by(channels).copied();
        positions.reduce(Interval::union).unwrap_or(Interval::REAL)
    };
    (0..channels).map(channel).collect()
}

/// The ends of a sum of products.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    low: f64,
    high: f64,
    /// What those of its terms that can be positive are at most, and what those that can be negative are at least.
    positive: f64,
    negative: f64,
}

impl Sum {
    /// Adds what `weight` times a number less `zero_point` may be.
    fn add(&mut self, weight: f64, input: Interval, zero_point: f32) {
        // 0 times an end that is infinite is no number.
        if weight == 0.0 {
            return;
        }
        let ends = [input.low, input.high];
        let [a, b] = ends.map(|end| weight * (f64::from(end) - f64::from(zero_point)));
        let (low, high) = (a.min(b), a.max(b));
        self.low += low;
        self.high += high;
        self.positive += high.max(0.0);
        self.negative += low.min(0.0);
    }

    fn plus(self, other: Self) -> Self {
        Self {
            low: self.low + other.low,
            high: self.high + other.high,
            positive: self.positive + other.positive,
            negative: self.negative + other.negative,
        }
    }

    /// The sum of real numbers, `bias` among them, in any order.
    fn real(self, terms: usize, bias: f32) -> Interval {
        if self.positive == 0.0 && self.negative == 0.0 {
            return Interval::point(bias);
        }
        let mut sum = self;
        sum.add(1.0, Interval::point(bias), 0.0);
        // Products that are too small for an `f32` become 0 or the smallest number.
        let margin = rounding(terms) * (sum.positive - sum.negative) + f64::from(f32::MIN_POSITIVE);
        let (is_positive, is_negative) = (sum.negative == 0.0, sum.positive == 0.0);
        Interval::rounded(sum.low, sum.high, margin, is_positive, is_negative)
    }
}

/// The sums of a layer, without bias: of each output channel one for every kind of position.
struct Sums {
    of_channels: Vec<Vec<Sum>>,
    /// Products in each.
    terms: usize,
}

impl Sums {
    fn of<W: Copy + Into<f64>>(
        geometry: &Geometry,
        weights: &[W],
        input: &[Interval],
        zero_point: f32,
    ) -> Self {
        let group = geometry.group_in_channels();
        let of_place = |out_channel: usize, place: usize| {
            let weights = &weights[geometry.weights_at(out_channel, place)..][..group];
            let input = &input[geometry.first_in_channel(out_channel)..][..group];
            let mut sum = Sum::default();
            for (weight, input) in weights.iter().zip(input) {
                sum.add((*weight).into(), *input, zero_point);
            }
            sum
        };
        let of_channel = |out_channel: usize| {
            let places = 0..geometry.places();
            let places: Vec<Sum> = places.map(|place| of_place(out_channel, place)).collect();
            let seen = geometry.seen();
            let sums = seen.map(|seen| seen.map(|p| places[p]).fold(Sum::default(), Sum::plus));
            sums.collect()
        };
        Self {
            of_channels: (0..geometry.out_channels).map(of_channel).collect(),
            terms: geometry.places() * group,
        }
    }

    /// As outputs of a layer of real numbers.
    fn real(&self, bias: Option<&[f32]>, activation: Activation) -> Vec<Interval> {
        let channels = self.of_channels.iter().enumerate().map(|(channel, sums)| {
            let bias = bias.map_or(0.0, |bias| bias[channel]);
            let all = sums.iter().map(|sum| sum.real(self.terms, bias));
            let all = all.reduce(Interval::union).unwrap_or(Interval::REAL);
            all.clamped(activation.range())
        });
        channels.collect()
    }

    /// As outputs of a layer of 8-bit numbers.
    fn int8(&self, bias: Option<&[i32]>, scale: &[f32], to: Requantize) -> Vec<Interval> {
        let channels = self.of_channels.iter().enumerate().map(|(channel, sums)| {
            let bias = bias.map_or(0.0, |bias| f64::from(bias[channel]));
            // Whole numbers of fewer bits than an `f64` has; an `i32` holds them, or the layer would have been refused.
            let number = |sum: f64| f32::from(to.requantize((sum + bias) as i32, scale[channel]));
            let all = sums
                .iter()
                .map(|sum| Interval::new(number(sum.low), number(sum.high)));
            all.reduce(Interval::union).unwrap_or(Interval::INT8)
        });
        channels.collect()
    }
}
