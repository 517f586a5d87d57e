//! One operator of a file: its options, and what it reads and adds to the graph.

use std::collections::HashMap;

use kinglet_kernels::{ParamsError, Shape, Unary};

use super::constant::Floats;
use super::names::ActivationFunctionType;
use super::schema::Operator;
use super::tensor::{Tensors, elements, wrong};
use crate::graph::Operation;
use crate::import::{Builder, NodeProblem, Value};

/// Where the elements of a tensor come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// The graph computes them.
    Value(Value),
    /// They are those of a constant of the file.
    Constant(usize),
}

/// What an operator reads: a value of the graph, or a constant.
pub(super) enum Operand {
    Value(Value),
    Constant(Floats),
}

/// An operator within its file and the graph that grows.
pub(super) struct Node<'r, 'a> {
    pub(super) operator: Operator<'a>,
    /// The name of its nodes in the graph.
    pub(super) name: &'r str,
    pub(super) tensors: &'r mut Tensors<'a>,
    /// What earlier operators have computed, by the number of the tensor.
    pub(super) sources: &'r HashMap<usize, Source>,
    pub(super) builder: &'r mut Builder,
}

impl Node<'_, '_> {
    /// How many inputs it names.
    pub(super) fn inputs(&self) -> usize {
        self.operator.inputs().map_or(0, |inputs| inputs.len())
    }

    /// The tensor that is input number `index`; None where an optional one was left out.
    pub(super) fn input(&self, index: usize) -> Option<usize> {
        let tensor = self.operator.inputs().iter().flatten().nth(index)?;
        usize::try_from(tensor).ok()
    }

    fn required(&self, index: usize, what: &'static str) -> Result<usize, NodeProblem> {
        self.input(index).ok_or(NodeProblem::Missing { what })
    }

    /// The first tensor it computes.
    pub(super) fn output(&self) -> Option<usize> {
        let tensor = self.operator.outputs().iter().flatten().next()?;
        usize::try_from(tensor).ok()
    }

    /// Where the elements of input number `index` come from.
    pub(super) fn source(&self, index: usize) -> Result<Source, NodeProblem> {
        let tensor = self.required(index, "input")?;
        match self.sources.get(&tensor) {
            Some(source) => Ok(source.clone()),
            None if self.tensors.is_constant(tensor) => Ok(Source::Constant(tensor)),
            None => Err(NodeProblem::Value {
                value: self.tensors.name(tensor),
            }),
        }
    }

    /// The value of the graph that input number `index` is, in real numbers.
    pub(super) fn value(&mut self, index: usize) -> Result<Value, NodeProblem> {
        match self.source(index)? {
            Source::Value(value) => {
                let quantization = self.tensors.quantization(self.required(index, "input")?)?;
                let Some(quantization) = quantization else {
                    return Ok(value);
                };
                let number = self.push(Operation::Dequantize(quantization), &[value.number])?;
                Ok(Value { number, ..value })
            }
            Source::Constant(tensor) => Err(NodeProblem::Refused {
                reason: format!(
                    "it reads the constant \"{}\"; what depends on the input is right",
                    self.tensors.name(tensor)
                ),
            }),
        }
    }

    /// Input number `index`, whichever it is.
    pub(super) fn operand(&mut self, index: usize) -> Result<Operand, NodeProblem> {
        Ok(match self.source(index)? {
            Source::Value(_) => Operand::Value(self.value(index)?),
            Source::Constant(tensor) => Operand::Constant(self.tensors.floats(tensor, "operand")?),
        })
    }

    /// A constant of real numbers.
    pub(super) fn floats(
        &mut self,
        index: usize,
        what: &'static str,
    ) -> Result<Floats, NodeProblem> {
        let tensor = self.required(index, what)?;
        match self.sources.get(&tensor) {
            Some(Source::Constant(constant)) => self.tensors.floats(*constant, what),
            _ => self.tensors.floats(tensor, what),
        }
    }

    /// The weights that are input number 1. Where they are 8-bit numbers and the input is real ("dynamic range"), they
    /// are what they mean.
    pub(super) fn weights(&mut self) -> Result<Floats, NodeProblem> {
        let weights = self.required(1, "weights")?;
        let input = self.input(0);
        let is_quantized = |tensor: usize| self.tensors.is_quantized(tensor);
        let is_hybrid = is_quantized(weights) && !input.is_some_and(is_quantized);
        let mut floats = self.floats(1, "weights")?;
        if is_hybrid {
            floats.scales = None;
            self.tensors.hybrid_layers += 1;
        }
        Ok(floats)
    }

    /// The bias that is input number `index`, one value for each of `channels`; None if there is none.
    pub(super) fn bias(
        &mut self,
        index: usize,
        channels: usize,
    ) -> Result<Option<Vec<f32>>, NodeProblem> {
        if self.input(index).is_none() {
            return Ok(None);
        }
        let bias = self.floats(index, "bias")?;
        if bias.values.len() != channels {
            let right = format!("[{channels}]");
            return Err(wrong("bias", format!("of shape {:?}", bias.dims), right));
        }
        Ok(Some(bias.values))
    }

    /// A constant list of integers.
    pub(super) fn integers(
        &self,
        index: usize,
        what: &'static str,
    ) -> Result<Vec<i64>, NodeProblem> {
        self.tensors.integers(self.required(index, what)?, what)
    }

    /// Adds a node to the graph.
    pub(super) fn push(
        &mut self,
        operation: Operation,
        inputs: &[usize],
    ) -> Result<usize, NodeProblem> {
        let shape = self.builder.shape(inputs[0]);
        let number = self.builder.push(self.name, operation, inputs);
        number.map_err(|reason| refused(shape, reason))
    }

    /// The elements of `value` as a tensor of `shape`.
    pub(super) fn view(&mut self, value: &Value, shape: Shape) -> Result<usize, NodeProblem> {
        Ok(self.builder.view(self.name, value.number, shape)?)
    }

    /// The shape of feature maps `[1, height, width, channels]`.
    pub(super) fn maps(&mut self, value: &Value) -> Result<(usize, Shape), NodeProblem> {
        let &[1, height, width, channels] = value.dims.as_slice() else {
            return Err(NodeProblem::Input {
                found: format!("{:?}", value.dims),
                right: "[1, height, width, channels]",
            });
        };
        let shape = Shape::new(height, width, channels);
        Ok((self.view(value, shape)?, shape))
    }

    /// `value` with the function that an operator applies to its output.
    pub(super) fn activated(
        &mut self,
        value: Value,
        fused: Option<ActivationFunctionType>,
    ) -> Result<Value, NodeProblem> {
        let function = match fused.unwrap_or(ActivationFunctionType::NONE) {
            ActivationFunctionType::NONE => return Ok(value),
            ActivationFunctionType::RELU => Unary::Relu,
            ActivationFunctionType::RELU6 => Unary::Relu6,
            ActivationFunctionType::RELU_N1_TO_1 => RELU_N1_TO_1,
            other => {
                return Err(NodeProblem::Attribute {
                    name: "fused_activation_function",
                    found: format!("{other:?}"),
                    right: "NONE, RELU, RELU6 or RELU_N1_TO_1".into(),
                });
            }
        };
        let name = fused
            .and_then(|fused| fused.variant_name())
            .unwrap_or_default();
        let operation = Operation::Unary(function);
        let number = self.builder.push(name, operation, &[value.number])?;
        Ok(Value { number, ..value })
    }

    /// What the tensor `output` is once `source` is its elements.
    pub(super) fn written(&mut self, output: usize, source: Source) -> Result<Source, NodeProblem> {
        let Source::Value(value) = source else {
            return Ok(source);
        };
        let shape = self.builder.shape(value.number);
        if elements(&value.dims) != Some(shape.len()) {
            return Err(NodeProblem::Refused {
                reason: format!(
                    "it computes {:?}; 2^28 elements at most are right",
                    value.dims
                ),
            });
        }
        // An option that the schema does not know, or a mistake here: better refused than computed.
        let fits = |recorded: &Vec<Option<usize>>| {
            let pairs = recorded.iter().zip(&value.dims);
            let differ = pairs.filter(|(recorded, own)| recorded.is_some_and(|r| r != **own));
            recorded.len() == value.dims.len() && differ.count() == 0
        };
        if self
            .tensors
            .recorded_dims(output)
            .is_some_and(|recorded| !fits(&recorded))
        {
            return Err(NodeProblem::Refused {
                reason: format!(
                    "it computes {:?}, but the file says that \"{}\" is {}",
                    value.dims,
                    self.tensors.name(output),
                    self.tensors.describe(output)
                ),
            });
        }
        let Some(quantization) = self.tensors.quantization(output)? else {
            return Ok(Source::Value(value));
        };
        let number = self.push(Operation::Quantize(quantization), &[value.number])?;
        Ok(Source::Value(Value { number, ..value }))
    }
}

/// `min(max(x, -1), 1)`.
pub(super) const RELU_N1_TO_1: Unary = Unary::Clip {
    low: -1.0,
    high: 1.0,
};

/// Parameters that do not fit an input of `shape`.
pub(super) fn refused(shape: Shape, reason: ParamsError) -> NodeProblem {
    NodeProblem::Refused {
        reason: format!("on an input of {shape} (height x width x channels): {reason}"),
    }
}

/// An axis counted from the front, or from behind where it is negative.
pub(super) fn axis(found: i64, rank: usize) -> Result<usize, NodeProblem> {
    let from_front = if found < 0 {
        found.checked_add_unsigned(rank as u64)
    } else {
        Some(found)
    };
    let axis = from_front.and_then(|axis| usize::try_from(axis).ok());
    axis.filter(|axis| *axis < rank)
        .ok_or_else(|| NodeProblem::Attribute {
            name: "axis",
            found: found.to_string(),
            right: format!("one of the {rank} axes of what it reads"),
        })
}
