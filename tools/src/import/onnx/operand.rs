//! What nodes read and write, and the steps that operators are made of: each computes at once what is constant,
//! and adds nodes to the graph for what depends on the network's input.

use kinglet_kernels::{Axis, BinaryFunction, Shape};
use ndarray::{Axis as ArrayAxis, IxDyn};

use super::door::Numbers;
use super::fold;
use super::joined::{Joined, shape};
use super::node::Node;
use super::tensor::{self, Tensor, each_type};
use crate::graph::Operation;
use crate::import::NodeProblem;
use crate::import::builder::{Value, exchanged};
use crate::import::lower::MOST_INDICES;

/// What the 8-bit numbers of a value mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Meaning {
    /// This.
    Known(Numbers),
    /// They are those of an input of the network, of which only its first reader tells.
    OfInput {
        /// The input's number.
        input: usize,
        /// Whether they are int8, or else uint8.
        signed: bool,
    },
}

/// What a node reads or writes.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    /// Depends on the network's input.
    Value(Value),
    /// The same as 8-bit numbers in the file: what they mean as real ones, and how.
    Quantized(Value, Meaning),
    /// Does not depend on it.
    Constant(Tensor),
}

impl Operand {
    pub(super) fn dims(&self) -> &[usize] {
        match self {
            Self::Value(value) | Self::Quantized(value, _) => &value.dims,
            Self::Constant(tensor) => tensor.dims(),
        }
    }
}

/// How many elements may still be computed while a file is read: a small file must not ask for much memory.
pub(super) struct Budget(usize);

impl Budget {
    /// Each tensor of a file is rearranged a few times at most.
    const PER_BYTE: usize = 4;
    /// For what is computed from nothing but a shape.
    const LEAST: usize = 1 << 20;

    /// Of a file of so many bytes.
    pub(super) fn of_file(bytes: usize) -> Self {
        Self(
            bytes
                .saturating_mul(Self::PER_BYTE)
                .saturating_add(Self::LEAST),
        )
    }

    /// Room for a constant of the shape `dims`.
    pub(super) fn take(&mut self, dims: &[usize]) -> Result<(), NodeProblem> {
        let left = tensor::elements(dims).and_then(|len| self.0.checked_sub(len));
        self.0 = left.ok_or_else(|| NodeProblem::TooLarge {
            found: tensor::describe_large(dims),
            right: format!(
                "at most {} more elements of constants that a file of this size computes",
                self.0
            ),
        })?;
        Ok(())
    }
}

/// The elements of an axis that are taken: `count` from `start` on in steps of `step`, which may be negative.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) axis: usize,
    pub(super) start: usize,
    pub(super) step: isize,
    pub(super) count: usize,
}

impl Node<'_> {
    /// The same elements in another shape.
    pub(super) fn reshape(
        &mut self,
        operand: Operand,
        dims: Vec<usize>,
    ) -> Result<Operand, NodeProblem> {
        if tensor::elements(&dims) != tensor::elements(operand.dims()) {
            return Err(NodeProblem::Refused {
                reason: format!("{:?} cannot become {dims:?}", operand.dims()),
            });
        }
        Ok(match operand {
            Operand::Value(value) => Operand::Value(Value { dims, ..value }),
            Operand::Quantized(value, numbers) => {
                Operand::Quantized(Value { dims, ..value }, numbers)
            }
            Operand::Constant(tensor) => {
                self.budget.take(&dims)?;
                let values = each_type!(&tensor.values, array => {
                    tensor::array(&dims, array.iter().copied())
                });
                Operand::Constant(tensor.rearranged(values))
            }
        })
    }

    /// The axes in another order.
    pub(super) fn transpose(
        &mut self,
        operand: &Operand,
        order: &[usize],
    ) -> Result<Operand, NodeProblem> {
        Ok(match operand {
            Operand::Value(value) => {
                Operand::Value(self.builder.transpose(self.name, value, order)?)
            }
            Operand::Quantized(value, numbers) => {
                let value = self.builder.transpose(self.name, value, order)?;
                Operand::Quantized(value, *numbers)
            }
            Operand::Constant(tensor) => {
                self.budget.take(tensor.dims())?;
                let values = each_type!(&tensor.values, array => {
                    array.view().permuted_axes(IxDyn(order)).as_standard_layout().into_owned().into_shared()
                });
                Operand::Constant(tensor.rearranged(values))
            }
        })
    }

    /// Parts of some axes.
    pub(super) fn slice(
        &mut self,
        operand: &Operand,
        parts: &[Part],
    ) -> Result<Operand, NodeProblem> {
        match operand {
            Operand::Value(value) => self.slice_value(value, parts).map(Operand::Value),
            Operand::Quantized(value, numbers) => {
                let part = self.slice_value(value, parts)?;
                Ok(Operand::Quantized(part, *numbers))
            }
            Operand::Constant(tensor) => {
                let mut tensor = tensor.clone();
                for part in parts {
                    let at = |i: usize| part.start.wrapping_add_signed(part.step * i as isize);
                    let indices: Vec<usize> = (0..part.count).map(at).collect();
                    let mut dims = tensor.dims().to_vec();
                    dims[part.axis] = part.count;
                    self.budget.take(&dims)?;
                    let values = each_type!(&tensor.values, array => {
                        array.select(ArrayAxis(part.axis), &indices).into_shared()
                    });
                    tensor = tensor.with(values);
                }
                Ok(Operand::Constant(tensor))
            }
        }
    }

    fn slice_value(&mut self, value: &Value, parts: &[Part]) -> Result<Value, NodeProblem> {
        // Backwards the elements are taken by themselves.
        let is_backward = |part: &Part| part.step < 0 && part.count > 1;
        if let Some(place) = parts.iter().position(is_backward) {
            let part = parts[place];
            let at = |i: usize| part.start.wrapping_add_signed(part.step * i as isize);
            self.check_indices(part.count)?;
            let indices: Vec<usize> = (0..part.count).map(at).collect();
            let turned = self.builder.gather(self.name, value, part.axis, &indices)?;
            let others = [&parts[..place], &parts[place + 1..]].concat();
            return self.slice_value(&turned, &others);
        }
        let whole = |p: &Part| p.start == 0 && p.step == 1 && p.count == value.dims[p.axis];
        let parts: Vec<Part> = parts.iter().filter(|p| !whole(p)).copied().collect();
        let axes: Vec<usize> = parts.iter().map(|part| part.axis).collect();
        let Some(joined) = Joined::new(&value.dims, &axes) else {
            // Too many axes at once.
            let first = self.slice_value(value, &parts[..1])?;
            return self.slice_value(&first, &parts[1..]);
        };
        let mut dims = value.dims.clone();
        let (mut start, mut step, mut output) = ([0; 3], [1; 3], joined.extents);
        for part in &parts {
            if part.count == 0 {
                return Err(NodeProblem::Refused {
                    reason: format!(
                        "axis {} is cut to no element; at least one is right",
                        part.axis
                    ),
                });
            }
            let place = joined.place(part.axis);
            start[place] = part.start;
            step[place] = part.step.unsigned_abs();
            output[place] = part.count;
            dims[part.axis] = part.count;
        }
        if parts.is_empty() {
            return Ok(value.clone());
        }
        let number = self.builder.view(self.name, value.number, joined.shape())?;
        let output = shape(output);
        let operation = Operation::Slice {
            start,
            step,
            output,
        };
        let number = self.builder.push(self.name, operation, &[number])?;
        Ok(Value { number, dims })
    }

    /// Elements of `value` before and behind each axis.
    pub(super) fn pad(
        &mut self,
        value: &Value,
        before: &[usize],
        after: &[usize],
        filling: f32,
    ) -> Result<Value, NodeProblem> {
        let rank = value.dims.len();
        let axes: Vec<usize> = (0..rank).filter(|a| before[*a] + after[*a] > 0).collect();
        if axes.is_empty() {
            return Ok(value.clone());
        }
        let Some(joined) = Joined::new(&value.dims, &axes) else {
            let only = |amounts: &[usize]| {
                let mut first = vec![0; rank];
                first[axes[0]] = amounts[axes[0]];
                let mut others = amounts.to_vec();
                others[axes[0]] = 0;
                (first, others)
            };
            let ((before, before_others), (after, after_others)) = (only(before), only(after));
            let first = self.pad(value, &before, &after, filling)?;
            return self.pad(&first, &before_others, &after_others, filling);
        };
        let (mut first, mut last) = ([0; 3], [0; 3]);
        let mut dims = value.dims.clone();
        for axis in axes {
            let place = joined.place(axis);
            (first[place], last[place]) = (before[axis], after[axis]);
            dims[axis] = dims[axis]
                .saturating_add(before[axis])
                .saturating_add(after[axis]);
        }
        self.check(&dims)?;
        let number = self.builder.view(self.name, value.number, joined.shape())?;
        let operation = Operation::Pad {
            before: first,
            after: last,
            value: filling,
        };
        let number = self.builder.push(self.name, operation, &[number])?;
        Ok(Value { number, dims })
    }

    /// Tensors one after the other along `axis`; all have the same other extents.
    pub(super) fn concat(
        &mut self,
        axis: usize,
        operands: &[Operand],
    ) -> Result<Operand, NodeProblem> {
        let mut dims = operands[0].dims().to_vec();
        dims[axis] = operands
            .iter()
            .map(|o| o.dims()[axis])
            .fold(0, usize::saturating_add);
        self.check(&dims)?;
        let is_constant = |operand: &&Operand| matches!(operand, Operand::Constant(_));
        if operands.iter().all(|o| is_constant(&o)) {
            self.budget.take(&dims)?;
            return fold::concat(axis, operands).map(Operand::Constant);
        }
        // Constants before, constants behind: the values are padded, and the constants added to the padding.
        let leading = operands.iter().take_while(is_constant).count();
        let trailing = operands.iter().rev().take_while(is_constant).count();
        let values = &operands[leading..operands.len() - trailing];
        let values: Option<Vec<&Value>> = values
            .iter()
            .map(|operand| match operand {
                Operand::Value(value) => Some(value),
                Operand::Constant(_) | Operand::Quantized(..) => None,
            })
            .collect();
        let values = values.ok_or_else(|| NodeProblem::Refused {
            reason: "a constant or quantized tensor stands between others; constants before or behind them all are right".into(),
        })?;
        let joined = self.concat_values(axis, &values)?;
        if leading + trailing == 0 {
            return Ok(Operand::Value(joined));
        }
        let len = |operands: &[Operand]| operands.iter().map(|o| o.dims()[axis]).sum();
        let (mut before, mut after) = (vec![0; dims.len()], vec![0; dims.len()]);
        before[axis] = len(&operands[..leading]);
        after[axis] = len(&operands[operands.len() - trailing..]);
        let padded = self.pad(&joined, &before, &after, 0.0)?;
        self.budget.take(&dims)?;
        let zeros = Operand::Constant(fold::filled(&joined.dims, 0.0));
        let mut summands = operands[..leading].to_vec();
        summands.push(zeros);
        summands.extend_from_slice(&operands[operands.len() - trailing..]);
        let summand = Operand::Constant(fold::concat(axis, &summands)?);
        self.binary(BinaryFunction::Add, &Operand::Value(padded), &summand)
    }

    fn concat_values(&mut self, axis: usize, values: &[&Value]) -> Result<Value, NodeProblem> {
        if let [value] = values {
            return Ok((*value).clone());
        }
        let mut dims = values[0].dims.clone();
        dims[axis] = values.iter().map(|value| value.dims[axis]).sum();
        let mut inputs = Vec::with_capacity(values.len());
        let mut place = 0;
        // The joined axes must be the same for all of them, also where the axis is 1 for some.
        for value in values {
            let joined = Joined::of_like(&dims, &value.dims, axis);
            place = joined.place(axis);
            inputs.push(self.builder.view(self.name, value.number, joined.shape())?);
        }
        let axis = [Axis::Height, Axis::Width, Axis::Channels][place];
        let operation = Operation::Concat { axis };
        let number = self.builder.push(self.name, operation, &inputs)?;
        Ok(Value { number, dims })
    }

    /// A function of two tensors that are broadcast to each other.
    pub(super) fn binary(
        &mut self,
        function: BinaryFunction,
        first: &Operand,
        second: &Operand,
    ) -> Result<Operand, NodeProblem> {
        if let (Operand::Constant(a), Operand::Constant(b)) = (first, second) {
            let dims = fold::broadcast(a.dims(), b.dims())?;
            self.budget.take(&dims)?;
            return fold::binary(function, a, b, &dims).map(Operand::Constant);
        }
        let floats = |tensor: &Tensor| {
            tensor.to_floats().ok_or_else(|| NodeProblem::Constant {
                what: "operand",
                found: tensor.describe(),
                right: "float32".into(),
            })
        };
        let value = match (first, second) {
            (Operand::Value(a), Operand::Value(b)) => {
                self.builder.binary(self.name, function, a, b)?
            }
            (Operand::Value(a), Operand::Constant(b)) => {
                let operand = floats(b)?;
                self.builder
                    .binary_constant(self.name, function, a, b.dims(), operand)?
            }
            (Operand::Constant(a), Operand::Value(b)) => {
                let operand = floats(a)?;
                match exchanged(function) {
                    Some(function) => {
                        self.builder
                            .binary_constant(self.name, function, b, a.dims(), operand)?
                    }
                    None => self.prelu_of_constant((a.dims(), operand), b)?,
                }
            }
            _ => {
                return Err(NodeProblem::Refused {
                    reason: "it reads quantized numbers; a DequantizeLinear before it is right"
                        .into(),
                });
            }
        };
        Ok(Operand::Value(value))
    }

    /// A leaky ReLU of a constant with `slopes` that are computed: the negative part of it times these, and the rest.
    fn prelu_of_constant(
        &mut self,
        (dims, constant): (&[usize], Vec<f32>),
        slopes: &Value,
    ) -> Result<Value, NodeProblem> {
        let negative = constant.iter().map(|x| x.min(0.0)).collect();
        let positive = constant.iter().map(|x| x.max(0.0)).collect();
        let (multiply, add) = (BinaryFunction::Multiply, BinaryFunction::Add);
        let name = self.name;
        let scaled = self
            .builder
            .binary_constant(name, multiply, slopes, dims, negative)?;
        Ok(self
            .builder
            .binary_constant(name, add, &scaled, dims, positive)?)
    }

    /// `value` as the graph's value whose channels are its axis `axis`, and the axes of that one.
    pub(super) fn channels(
        &mut self,
        value: &Value,
        axis: usize,
    ) -> Result<(usize, Vec<usize>), NodeProblem> {
        let order: Vec<usize> = (0..value.dims.len())
            .filter(|a| *a != axis)
            .chain([axis])
            .collect();
        let moved = self.builder.transpose(self.name, value, &order)?;
        let (channels, others) = moved.dims.split_last().expect("it has this axis");
        let mut others: Vec<usize> = others.iter().copied().filter(|d| *d != 1).collect();
        let width = others.pop().unwrap_or(1);
        let shape = Shape::new(others.iter().product(), width, *channels);
        let number = self.builder.view(self.name, moved.number, shape)?;
        Ok((number, moved.dims))
    }

    /// The way back from [`Self::channels`].
    pub(super) fn channels_back(
        &mut self,
        number: usize,
        dims: Vec<usize>,
        axis: usize,
    ) -> Result<Value, NodeProblem> {
        let last = dims.len() - 1;
        let order: Vec<usize> = (0..axis).chain([last]).chain(axis..last).collect();
        let value = Value { number, dims };
        Ok(self.builder.transpose(self.name, &value, &order)?)
    }

    /// Refuses more elements than are named one by one.
    pub(super) fn check_indices(&self, found: usize) -> Result<(), NodeProblem> {
        match found {
            ..=MOST_INDICES => Ok(()),
            _ => Err(NodeProblem::TooLarge {
                found: format!("of {found} elements that are named one by one"),
                right: format!("at most {MOST_INDICES} of them"),
            }),
        }
    }

    /// Refuses a tensor that no model may have.
    pub(super) fn check(&self, dims: &[usize]) -> Result<(), NodeProblem> {
        tensor::elements(dims)
            .map(|_| ())
            .ok_or_else(|| NodeProblem::TooLarge {
                found: tensor::describe_large(dims),
                right: tensor::largest(),
            })
    }
}
