//! The nodes of a network without the channels that are left out.

use kinglet::operator::{LayerI8, Owned};
use kinglet_kernels::{Conv2d, Linear, ParamsError, Pool2d, Quantization, Shape};

use super::geometry::Geometry;
use super::interval::Interval;
use crate::graph::{Graph, Int8Operation, Node, Operation};

/// The graph with the channels that `kept` says of every value.
///
/// # Errors
/// None that channels which `removable` chose could cause.
pub(super) fn shrink(
    graph: &Graph,
    intervals: &[Vec<Interval>],
    kept: &[Vec<bool>],
) -> Result<Graph, ParamsError> {
    let meanings = graph.meanings();
    let before = graph.shapes();
    let places = |kept: &Vec<bool>| {
        let channels = kept.iter().enumerate().filter(|(_, kept)| **kept);
        channels.map(|(channel, _)| channel).collect()
    };
    let kept: Vec<Vec<usize>> = kept.iter().map(places).collect();
    let mut shrunk = graph.clone();
    let mut after: Vec<Shape> = graph.inputs.iter().map(|input| input.shape).collect();
    for (index, node) in graph.nodes.iter().enumerate() {
        let (input, output) = (node.inputs[0], graph.value_of(index));
        let site = Site {
            node,
            before: before[input],
            after: after[input],
            inputs: &kept[input],
            outputs: &kept[output],
            intervals: &intervals[input],
            meaning: meanings[input],
        };
        let to = &mut shrunk.nodes[index];
        to.operation = site.operation()?;
        if kept[output].len() < before[output].channels {
            to.view = None;
        }
        let read: Vec<Shape> = node.inputs.iter().map(|value| after[*value]).collect();
        after.push(to.operation.output(&read)?);
    }
    Ok(shrunk)
}

/// A node, what it reads first and what is kept of that and of what it writes.
struct Site<'a> {
    node: &'a Node,
    before: Shape,
    after: Shape,
    inputs: &'a [usize],
    outputs: &'a [usize],
    intervals: &'a [Interval],
    meaning: Option<Quantization>,
}

impl Site<'_> {
    fn operation(&self) -> Result<Operation, ParamsError> {
        let pool = |params: &Pool2d, input: Shape| {
            let (window, rounding) = (params.window(), params.rounding());
            Pool2d::new(input, window, rounding, params.count_padding())
        };
        Ok(match self.node.operation.clone() {
            Operation::Conv2d {
                params,
                weights,
                weight_scale,
                bias,
                pool: max_pool,
            } => {
                let layer = self.layer(Geometry::of_conv2d(&params));
                let params = self.conv2d(&params)?;
                let max_pool = max_pool.map(|own| pool(&own, params.output()));
                Operation::Conv2d {
                    params,
                    bias: layer.real_bias(&weights, bias),
                    weights: layer.weights(&weights),
                    weight_scale: weight_scale.map(|scale| self.of_outputs(&scale)),
                    pool: max_pool.transpose()?,
                }
            }
            Operation::Linear {
                params,
                weights,
                weight_scale,
                bias,
            } => {
                let layer = self.layer(Geometry::of_linear(&params, self.before));
                Operation::Linear {
                    params: self.linear(&params)?,
                    bias: layer.real_bias(&weights, bias),
                    weights: layer.weights(&weights),
                    weight_scale: weight_scale.map(|scale| self.of_outputs(&scale)),
                }
            }
            Operation::MaxPool2d(params) => Operation::MaxPool2d(pool(&params, self.after)?),
            Operation::AvgPool2d(params) => Operation::AvgPool2d(pool(&params, self.after)?),
            Operation::ChannelAffine {
                activation,
                scale,
                shift,
            } => Operation::ChannelAffine {
                activation,
                scale: self.of_outputs(&scale),
                shift: self.of_outputs(&shift),
            },
            Operation::BinaryConstant {
                function,
                activation,
                shape,
                operand,
            } if shape.channels == self.before.channels => Operation::BinaryConstant {
                function,
                activation,
                shape: Shape::new(shape.height, shape.width, self.outputs.len()),
                operand: operand
                    .chunks_exact(shape.channels)
                    .flat_map(|position| self.of_outputs(position))
                    .collect(),
            },
            Operation::Slice {
                start,
                step,
                output,
            } => Operation::Slice {
                start,
                step,
                output: self.output(output),
            },
            Operation::Reshape { output } => Operation::Reshape {
                output: self.output(output),
            },
            Operation::Int8 { operation, output } => Operation::Int8 {
                operation: match operation {
                    Int8Operation::Conv2d {
                        params,
                        layer,
                        bounds,
                    } => Int8Operation::Conv2d {
                        params: self.conv2d(&params)?,
                        layer: self.int8_layer(Geometry::of_conv2d(&params), layer),
                        bounds,
                    },
                    Int8Operation::Linear {
                        params,
                        layer,
                        bounds,
                    } => Int8Operation::Linear {
                        params: self.linear(&params)?,
                        layer: self.int8_layer(Geometry::of_linear(&params, self.before), layer),
                        bounds,
                    },
                    Int8Operation::AvgPool2d(params) => {
                        Int8Operation::AvgPool2d(pool(&params, self.after)?)
                    }
                    other => other,
                },
                output,
            },
            other => other,
        })
    }

    /// A shape with the channels that are kept of the output.
    fn output(&self, shape: Shape) -> Shape {
        Shape::new(shape.height, shape.width, self.outputs.len())
    }

    fn of_outputs<T: Copy>(&self, all: &[T]) -> Vec<T> {
        self.outputs.iter().map(|channel| all[*channel]).collect()
    }

    fn conv2d(&self, params: &Conv2d) -> Result<Conv2d, ParamsError> {
        let groups = match params.groups() {
            1 => 1,
            // Whole groups are left.
            _ => self.outputs.len() / params.group_out_channels().max(1),
        };
        let channels = self.outputs.len();
        Conv2d::new(
            self.after,
            channels,
            params.window(),
            groups,
            params.activation(),
        )
    }

    fn linear(&self, params: &Linear) -> Result<Linear, ParamsError> {
        Linear::new(self.after.len(), self.outputs.len(), params.activation())
    }

    fn layer(&self, geometry: Geometry) -> Layer<'_> {
        Layer {
            site: self,
            geometry,
        }
    }

    fn int8_layer(&self, geometry: Geometry, own: LayerI8<Owned>) -> LayerI8<Owned> {
        let layer = self.layer(geometry);
        let taken = layer.taken_over(&own.weights);
        // Whole numbers, which an `i32` holds: the removed terms are not larger than those that the layer was checked with.
        let bias = own.bias.as_deref();
        let sums = self.outputs.iter().zip(&taken);
        let sums = sums.map(|(channel, taken)| bias.map_or(0, |b| b[*channel]) + *taken as i32);
        LayerI8 {
            bias: (bias.is_some() || taken.iter().any(|taken| *taken != 0.0))
                .then(|| sums.collect()),
            weights: layer.weights(&own.weights),
            scale: self.of_outputs(&own.scale),
        }
    }
}

/// A convolution or linear layer at its place.
struct Layer<'a> {
    site: &'a Site<'a>,
    geometry: Geometry,
}

impl Layer<'_> {
    /// The channels that an output channel's weights meet: of one group those that are kept, of more all of its own.
    fn met(&self) -> Vec<usize> {
        match self.geometry.groups {
            1 => self.site.inputs.to_vec(),
            _ => (0..self.geometry.group_in_channels()).collect(),
        }
    }

    fn weights<W: Copy>(&self, all: &[W]) -> Vec<W> {
        let geometry = &self.geometry;
        let met = self.met();
        let outputs = self.site.outputs.iter();
        let starts = outputs
            .flat_map(|out| (0..geometry.places()).map(|place| geometry.weights_at(*out, place)));
        starts
            .flat_map(|start| met.iter().map(move |channel| all[start + channel]))
            .collect()
    }

    /// What the channels that are left out add to each sum.
    fn taken_over<W: Copy + Into<f64>>(&self, weights: &[W]) -> Vec<f64> {
        let (site, geometry) = (self.site, &self.geometry);
        let zero_point = site
            .meaning
            .map_or(0.0, |meaning| f64::from(meaning.zero_point));
        let channels = (0..geometry.group_in_channels())
            .filter(|channel| geometry.groups == 1 && site.inputs.binary_search(channel).is_err());
        // One without a number is met by no weight.
        let constants: Vec<(usize, f64)> = channels
            .filter_map(|channel| {
                let constant = site.intervals[channel].constant()?;
                Some((channel, f64::from(constant) - zero_point))
            })
            .filter(|(_, constant)| *constant != 0.0)
            .collect();
        let sum = |out: &usize| {
            let starts = (0..geometry.places()).map(|place| geometry.weights_at(*out, place));
            let terms = starts.flat_map(|start| {
                let terms = constants.iter();
                terms.map(move |(channel, constant)| weights[start + channel].into() * constant)
            });
            terms.sum()
        };
        site.outputs.iter().map(sum).collect()
    }

    fn real_bias(&self, weights: &[f32], bias: Option<Vec<f32>>) -> Option<Vec<f32>> {
        let taken = self.taken_over(weights);
        let has_bias = bias.is_some() || taken.iter().any(|taken| *taken != 0.0);
        let own = |channel: usize| bias.as_ref().map_or(0.0, |bias| f64::from(bias[channel]));
        let sums = self.site.outputs.iter().zip(&taken);
        has_bias.then(|| {
            sums.map(|(channel, taken)| (own(*channel) + taken) as f32)
                .collect()
        })
    }
}
