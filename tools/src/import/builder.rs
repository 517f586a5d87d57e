//! Builds a graph from nodes whose tensors have any number of axes, as importers meet them.
//!
//! Everything is taken literally: a tensor of the file is a value of the graph with the same elements in the same
//! row-major order, and what an operator wants otherwise (rows, columns and channels in this order) is
//! arranged by transpositions around it. [`crate::optimize`] gets rid of them.

use kinglet_kernels::{Activation, Axis, BinaryFunction, ParamsError, PerAxis, Shape};

use crate::graph::{AXES, Graph, Input, Operation, Output};

/// A tensor of the imported file that the graph computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    /// The value of the graph.
    pub(crate) number: usize,
    /// Its axes as the file has them, the batch of 1 in front included.
    pub(crate) dims: Vec<usize>,
}

/// Why an operation on tensors of a file has no counterpart in a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BuildError {
    /// No kernel could compute this.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// Shapes that do not go together.
    #[error("shapes {first:?} and {second:?} do not broadcast to each other")]
    Broadcast {
        /// Of the one.
        first: Vec<usize>,
        /// Of the other.
        second: Vec<usize>,
    },
    /// More elements chosen one by one, or a larger matrix to choose them, than any network has.
    #[error(
        "it takes {found} elements of an axis of {extent}, in no order that a few copies make; fewer are right"
    )]
    Choice {
        /// How many are chosen.
        found: usize,
        /// Of how many.
        extent: usize,
    },
    /// More axes than three behave differently.
    #[error("{what} needs {found} axes that cannot be joined; up to 3 are right")]
    Axes {
        /// What was to be done.
        what: String,
        /// How many would be needed.
        found: usize,
    },
}

/// A graph that grows, and the shapes of its values.
pub(crate) struct Builder {
    graph: Graph,
    shapes: Vec<Shape>,
}

impl Builder {
    /// A graph of these inputs.
    pub(crate) fn new(name: &str, inputs: Vec<Input>) -> Self {
        Self {
            shapes: inputs.iter().map(|input| input.shape).collect(),
            graph: Graph::new(name, inputs),
        }
    }

    /// The graph, with `outputs` as what it computes.
    pub(crate) fn finish(mut self, outputs: Vec<Output>) -> Graph {
        self.graph.outputs = outputs;
        self.graph
    }

    /// Shape of a value of the graph.
    pub(crate) fn shape(&self, number: usize) -> Shape {
        self.shapes[number]
    }

    /// Appends a node; returns the value it computes.
    ///
    /// # Errors
    /// [`ParamsError`] if the operation does not fit the shapes of `inputs`.
    pub(crate) fn push(
        &mut self,
        name: &str,
        operation: Operation,
        inputs: &[usize],
    ) -> Result<usize, ParamsError> {
        let shapes: Vec<Shape> = inputs.iter().map(|value| self.shapes[*value]).collect();
        self.shapes.push(operation.output(&shapes)?);
        Ok(self.graph.push(name, operation, inputs))
    }

    /// The same elements in the same order as a tensor of `shape`.
    ///
    /// # Errors
    /// [`ParamsError`] if it has another number of elements.
    pub(crate) fn view(
        &mut self,
        name: &str,
        number: usize,
        shape: Shape,
    ) -> Result<usize, ParamsError> {
        if self.shapes[number] == shape {
            return Ok(number);
        }
        self.push(name, Operation::Reshape { output: shape }, &[number])
    }

    /// The axes of `value` in the order `order`, which names each of its axes once.
    ///
    /// # Errors
    /// [`BuildError`] if it is empty or too large.
    pub(crate) fn transpose(
        &mut self,
        name: &str,
        value: &Value,
        order: &[usize],
    ) -> Result<Value, BuildError> {
        let dims: Vec<usize> = order.iter().map(|axis| value.dims[*axis]).collect();
        // Axes that stay together are one; an axis of 1 is none.
        let moved = order.iter().filter(|axis| value.dims[**axis] != 1);
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for axis in moved.copied() {
            match groups.last_mut() {
                Some(group) if follows(&value.dims, group[group.len() - 1], axis) => {
                    group.push(axis);
                }
                _ => groups.push(vec![axis]),
            }
        }
        if groups.len() > 3 {
            return self.transpose_in_steps(name, value, order);
        }
        let extent = |group: &Vec<usize>| group.iter().map(|axis| value.dims[*axis]).product();
        let mut before: Vec<usize> = (0..groups.len()).collect();
        before.sort_by_key(|group| groups[*group][0]);
        let missing = 3 - groups.len();
        let mut extents = [1; 3];
        let mut axes = AXES;
        for (place, group) in before.iter().enumerate() {
            extents[missing + place] = extent(&groups[*group]);
            axes[missing + group] = AXES[missing + place];
        }
        let [height, width, channels] = extents;
        let mut number = self.view(name, value.number, Shape::new(height, width, channels))?;
        if axes != AXES {
            number = self.push(name, Operation::Transpose { order: axes }, &[number])?;
        }
        Ok(Value { number, dims })
    }

    /// A transposition of more than three groups of axes: those that are not at the front already go to the end, one after
    /// the other.
    fn transpose_in_steps(
        &mut self,
        name: &str,
        value: &Value,
        order: &[usize],
    ) -> Result<Value, BuildError> {
        let ascending = order
            .windows(2)
            .take_while(|pair| pair[0] < pair[1])
            .count();
        let (_, moved) = order.split_at((ascending + 1).min(order.len()));
        let mut value = value.clone();
        // The axes of the original that are where now.
        let mut axes: Vec<usize> = (0..order.len()).collect();
        for axis in moved {
            let place = axes.iter().position(|own| own == axis).unwrap_or_default();
            let others = (0..axes.len()).filter(|other| *other != place);
            let step: Vec<usize> = others.chain([place]).collect();
            value = self.transpose(name, &value, &step)?;
            axes = step.iter().map(|place| axes[*place]).collect();
        }
        Ok(value)
    }

    /// A feature map `[1, channels, height, width]`, `[1, channels, length]` or `[1, channels]` in NHWC; the shape
    /// is that of the result.
    ///
    /// # Errors
    /// [`BuildError::Axes`] if it has another number of axes or another batch.
    pub(crate) fn channels_last(&mut self, name: &str, value: &Value) -> Result<usize, BuildError> {
        let shape = match value.dims.as_slice() {
            &[1, channels, height, width] => Shape::new(channels, height, width),
            &[1, channels, length] => Shape::new(channels, 1, length),
            &[1, channels] => Shape::new(channels, 1, 1),
            dims => {
                return Err(BuildError::Axes {
                    what: format!("a feature map of the shape {dims:?}"),
                    found: dims.len(),
                });
            }
        };
        let number = self.view(name, value.number, shape)?;
        let order = [Axis::Width, Axis::Channels, Axis::Height];
        Ok(self.push(name, Operation::Transpose { order }, &[number])?)
    }

    /// An NHWC value as `[1, channels]` and as many axes of space as `axes` minus 2.
    ///
    /// # Errors
    /// [`ParamsError`] if it is empty.
    pub(crate) fn channels_first(
        &mut self,
        name: &str,
        number: usize,
        axes: usize,
    ) -> Result<Value, ParamsError> {
        let Shape {
            height,
            width,
            channels,
        } = self.shapes[number];
        let order = [Axis::Channels, Axis::Height, Axis::Width];
        let number = self.push(name, Operation::Transpose { order }, &[number])?;
        let dims = match axes {
            2 => vec![1, channels],
            3 => vec![1, channels, width],
            _ => vec![1, channels, height, width],
        };
        Ok(Value { number, dims })
    }

    /// `value` repeated along its axes of 1 to `dims`, to which its shape is broadcast.
    ///
    /// # Errors
    /// [`BuildError`] if it is not, or not within three axes.
    pub(crate) fn expand(
        &mut self,
        name: &str,
        value: &Value,
        dims: &[usize],
    ) -> Result<Value, BuildError> {
        let broadcast = Broadcast::of(&value.dims, dims)?;
        let number = self.view(name, value.number, broadcast.first)?;
        let number = self.repeat(name, number, broadcast.output)?;
        let dims = broadcast.dims;
        Ok(Value { number, dims })
    }

    /// A value repeated along its axes of 1 to the shape `output`.
    fn repeat(&mut self, name: &str, number: usize, output: Shape) -> Result<usize, ParamsError> {
        let input = self.shapes[number];
        let factor = |from: usize, to: usize| if from == to { 1 } else { to };
        let mut repeated = number;
        let [factor_h, factor_w] = [
            factor(input.height, output.height),
            factor(input.width, output.width),
        ];
        if [factor_h, factor_w] != [1; 2] {
            let operation = Operation::Upsample { factor_h, factor_w };
            repeated = self.push(name, operation, &[repeated])?;
        }
        if input.channels != output.channels {
            // Columns of one channel, each repeated, are that many channels.
            let operation = Operation::Upsample {
                factor_h: 1,
                factor_w: output.channels,
            };
            repeated = self.push(name, operation, &[repeated])?;
            repeated = self.view(name, repeated, output)?;
        }
        Ok(repeated)
    }

    /// A function of two tensors of the graph, broadcast to each other.
    ///
    /// # Errors
    /// [`BuildError`] if their shapes do not go together, or not within three axes.
    pub(crate) fn binary(
        &mut self,
        name: &str,
        function: BinaryFunction,
        first: &Value,
        second: &Value,
    ) -> Result<Value, BuildError> {
        let broadcast = Broadcast::of(&first.dims, &second.dims)?;
        let mut inputs = [
            self.view(name, first.number, broadcast.first)?,
            self.view(name, second.number, broadcast.second)?,
        ];
        let activation = Activation::Identity;
        let mut function = function;
        // The first input has the shape of the output.
        if broadcast.first != broadcast.output {
            match exchanged(function) {
                Some(exchanged) if broadcast.second == broadcast.output => {
                    inputs.reverse();
                    function = exchanged;
                }
                _ => inputs[0] = self.repeat(name, inputs[0], broadcast.output)?,
            }
        }
        let operation = Operation::Binary {
            function,
            activation,
        };
        let number = self.push(name, operation, &inputs)?;
        Ok(Value {
            number,
            dims: broadcast.dims,
        })
    }

    /// A function of a tensor of the graph and a constant of the shape `dims`.
    ///
    /// # Errors
    /// [`BuildError`] if their shapes do not go together, or not within three axes.
    pub(crate) fn binary_constant(
        &mut self,
        name: &str,
        function: BinaryFunction,
        value: &Value,
        dims: &[usize],
        operand: Vec<f32>,
    ) -> Result<Value, BuildError> {
        let broadcast = Broadcast::of(&value.dims, dims)?;
        let input = self.view(name, value.number, broadcast.first)?;
        let input = self.repeat(name, input, broadcast.output)?;
        let operation = Operation::BinaryConstant {
            function,
            activation: Activation::Identity,
            shape: broadcast.second,
            operand,
        };
        let number = self.push(name, operation, &[input])?;
        Ok(Value {
            number,
            dims: broadcast.dims,
        })
    }
}

/// The function with its arguments exchanged, if there is one. What commutes stays.
pub(crate) fn exchanged(function: BinaryFunction) -> Option<BinaryFunction> {
    Some(match function {
        BinaryFunction::Subtract => BinaryFunction::ReverseSubtract,
        BinaryFunction::ReverseSubtract => BinaryFunction::Subtract,
        BinaryFunction::Divide => BinaryFunction::ReverseDivide,
        BinaryFunction::ReverseDivide => BinaryFunction::Divide,
        BinaryFunction::PRelu => return None,
        commutes => commutes,
    })
}

/// True if `axis` is the next one behind `last` that is not of extent 1.
fn follows(dims: &[usize], last: usize, axis: usize) -> bool {
    axis > last && dims[last + 1..axis].iter().all(|extent| *extent == 1)
}

/// Two shapes that are broadcast to each other, as ONNX and NumPy do it, within three axes.
struct Broadcast {
    first: Shape,
    second: Shape,
    output: Shape,
    dims: Vec<usize>,
}

impl Broadcast {
    fn of(first: &[usize], second: &[usize]) -> Result<Self, BuildError> {
        let refused = || BuildError::Broadcast {
            first: first.to_vec(),
            second: second.to_vec(),
        };
        let rank = first.len().max(second.len());
        let extent = |dims: &[usize], axis: usize| match (axis + dims.len()).checked_sub(rank) {
            Some(own) => dims[own],
            None => 1,
        };
        let pairs: Vec<[usize; 2]> = (0..rank)
            .map(|axis| [extent(first, axis), extent(second, axis)])
            .collect();
        if pairs.iter().any(|[a, b]| a != b && *a != 1 && *b != 1) {
            return Err(refused());
        }
        let dims = pairs.iter().map(|[a, b]| *a.max(b)).collect();
        // The batch is no axis of a graph.
        let batch = pairs.iter().take_while(|pair| **pair == [1, 1]).count();
        let mut joined = pairs[batch.min(rank.saturating_sub(3))..].to_vec();
        if joined.len() > 3 {
            joined = join_axes(&joined);
        }
        if joined.len() > 3 {
            return Err(BuildError::Axes {
                what: format!("broadcasting {first:?} and {second:?} to each other"),
                found: joined.len(),
            });
        }
        let of = |pick: fn([usize; 2]) -> usize| {
            let mut extents: PerAxis = [1; 3];
            let missing = 3 - joined.len();
            for (place, pair) in joined.iter().enumerate() {
                extents[missing + place] = pick(*pair);
            }
            let [height, width, channels] = extents;
            Shape::new(height, width, channels)
        };
        Ok(Self {
            first: of(|[a, _]| a),
            second: of(|[_, b]| b),
            output: of(|[a, b]| a.max(b)),
            dims,
        })
    }
}

/// Neighbours along which the same of the two is repeated, or neither, as one axis.
fn join_axes(pairs: &[[usize; 2]]) -> Vec<[usize; 2]> {
    let repeated = |[a, b]: [usize; 2]| (a == 1, b == 1);
    let mut joined: Vec<[usize; 2]> = Vec::new();
    for pair in pairs.iter().filter(|pair| **pair != [1, 1]) {
        match joined.last_mut() {
            Some(last) if repeated(*last) == repeated(*pair) => {
                last[0] *= pair[0];
                last[1] *= pair[1];
            }
            _ => joined.push(*pair),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_joined_only_where_there_are_too_many() {
        let scaled = Broadcast::of(&[1, 8, 4, 5], &[8, 1, 1]).unwrap();
        assert_eq!(scaled.first, Shape::new(8, 4, 5));
        assert_eq!(scaled.second, Shape::new(8, 1, 1));
        assert_eq!(scaled.dims, [1, 8, 4, 5]);
        let joined = Broadcast::of(&[2, 3, 4, 5], &[4, 5]).unwrap();
        assert_eq!(joined.first, Shape::new(1, 6, 20));
        assert_eq!(joined.second, Shape::new(1, 1, 20));
        let crossed = Broadcast::of(&[2, 3, 4, 5], &[2, 1, 4, 1]);
        assert!(matches!(crossed, Err(BuildError::Axes { found: 4, .. })));
        assert!(matches!(
            Broadcast::of(&[1, 3], &[1, 4]),
            Err(BuildError::Broadcast { .. })
        ));
    }

    #[test]
    fn tensors_that_repeat_each_other_are_repeated() {
        let inputs = vec![
            Input::new("a", Shape::new(3, 4, 1)),
            Input::new("b", Shape::new(1, 1, 5)),
        ];
        let mut builder = Builder::new("outer", inputs);
        let value = |number, dims: &[usize]| Value {
            number,
            dims: dims.to_vec(),
        };
        let (a, b) = (value(0, &[3, 4, 1]), value(1, &[1, 1, 5]));
        let sum = builder.binary("sum", BinaryFunction::PRelu, &a, &b);
        let sum = sum.unwrap();
        assert_eq!(sum.dims, [3, 4, 5]);
        assert_eq!(builder.shape(sum.number), Shape::new(3, 4, 5));
        let constant = vec![1.0; 8];
        let add = BinaryFunction::Add;
        let larger = builder.binary_constant("larger", add, &a, &[2, 1, 1, 4], constant);
        assert_eq!(larger.unwrap().dims, [2, 3, 4, 4]);
    }

    #[test]
    fn neighbours_that_stay_together_are_transposed_as_one() {
        let mut builder = Builder::new("shuffle", vec![Input::new("x", Shape::new(6, 4, 5))]);
        let value = Value {
            number: 0,
            dims: vec![1, 2, 3, 4, 5],
        };
        let shuffled = builder.transpose("t", &value, &[0, 2, 1, 3, 4]).unwrap();
        assert_eq!(shuffled.dims, [1, 3, 2, 4, 5]);
        assert_eq!(builder.shape(shuffled.number), Shape::new(3, 2, 20));
        let reversed = builder.transpose("t", &value, &[0, 4, 3, 2, 1]).unwrap();
        assert_eq!(reversed.dims, [1, 5, 4, 3, 2]);
    }

    #[test]
    fn a_transposition_of_nothing_but_ones_is_no_node() {
        let mut builder = Builder::new("squeeze", vec![Input::new("x", Shape::vector(7))]);
        let value = Value {
            number: 0,
            dims: vec![1, 7, 1, 1],
        };
        let moved = builder.transpose("t", &value, &[0, 2, 3, 1]).unwrap();
        assert_eq!((moved.number, moved.dims), (0, vec![1, 1, 1, 7]));
    }
}
