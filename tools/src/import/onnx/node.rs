//! One node of an ONNX graph: its attributes, and what it reads.

use super::door::Numbers;
use super::messages::{AttributeProto, NodeProto, TensorProto};
use super::operand::{Budget, Operand};
use super::tensor::Tensor;
use crate::import::NodeProblem;
use crate::import::builder::{Builder, Value};

/// What a node computes, in the order of its outputs.
pub(super) type Outputs = Result<Vec<Operand>, NodeProblem>;

/// A node on its way into a graph.
pub(super) struct Node<'a> {
    pub(super) proto: &'a NodeProto,
    /// What messages and the graph call it.
    pub(super) name: &'a str,
    /// Version of the operator set of its domain.
    pub(super) opset: i64,
    /// What it reads; None for an optional input that is left out.
    pub(super) inputs: Vec<Option<Operand>>,
    pub(super) builder: &'a mut Builder,
    /// What the numbers of each input of the network mean, where they are of 8 bits and once that is known.
    pub(super) input_numbers: &'a mut [Option<Numbers>],
    pub(super) budget: &'a mut Budget,
}

impl<'a> Node<'a> {
    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.proto.attribute.iter().find(|a| a.name == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.i)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |a| a.f)
    }

    pub(super) fn text(&self, name: &str, default: &str) -> String {
        let text = |a: &AttributeProto| String::from_utf8_lossy(&a.s).into_owned();
        self.attribute(name).map_or(default.to_owned(), text)
    }

    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|a| a.ints.as_slice())
    }

    pub(super) fn floats(&self, name: &str) -> Option<&'a [f32]> {
        self.attribute(name).map(|a| a.floats.as_slice())
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&'a TensorProto> {
        self.attribute(name).and_then(|a| a.t.as_ref())
    }

    /// `count` numbers of at least `least`; `default` repeated if they are not there.
    pub(super) fn sizes(
        &self,
        name: &'static str,
        count: usize,
        default: usize,
        least: usize,
    ) -> Result<Vec<usize>, NodeProblem> {
        let Some(found) = self.ints(name) else {
            return Ok(vec![default; count]);
        };
        let size = |n: &i64| usize::try_from(*n).ok().filter(|n| *n >= least);
        let sizes: Option<Vec<usize>> = found.iter().map(size).collect();
        match sizes {
            Some(sizes) if sizes.len() == count => Ok(sizes),
            _ => Err(NodeProblem::Attribute {
                name,
                found: format!("{found:?}"),
                right: format!("a list of {count} numbers of at least {least}"),
            }),
        }
    }

    /// An attribute that must have one value, which is also its default.
    pub(super) fn require_int(&self, name: &'static str, right: i64) -> Result<(), NodeProblem> {
        match self.int(name, right) {
            found if found == right => Ok(()),
            found => Err(NodeProblem::Attribute {
                name,
                found: found.to_string(),
                right: right.to_string(),
            }),
        }
    }

    /// The axis that `axis` means: negative numbers count from the end. `rank` axes are there to choose from.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize, NodeProblem> {
        let rank_i64 = i64::try_from(rank).unwrap_or(i64::MAX);
        let found = if axis < 0 { axis + rank_i64 } else { axis };
        let found = usize::try_from(found).ok().filter(|found| *found < rank);
        found.ok_or_else(|| NodeProblem::Attribute {
            name: "axis",
            found: axis.to_string(),
            right: format!("from {} to {}", -rank_i64, rank_i64 - 1),
        })
    }

    pub(super) fn optional(&self, index: usize) -> Option<&Operand> {
        self.inputs.get(index).and_then(Option::as_ref)
    }

    pub(super) fn input(&self, index: usize, what: &'static str) -> Result<Operand, NodeProblem> {
        let input = self.optional(index).cloned();
        input.ok_or(NodeProblem::Missing { what })
    }

    /// An input that depends on the network's input.
    pub(super) fn value(&self, index: usize, what: &'static str) -> Result<Value, NodeProblem> {
        match self.input(index, what)? {
            Operand::Value(value) => Ok(value),
            Operand::Constant(tensor) => Err(NodeProblem::Constant {
                what,
                found: format!("a constant, {}", tensor.describe()),
                right: "what depends on the network's input".into(),
            }),
            Operand::Quantized(..) => Err(NodeProblem::Constant {
                what,
                found: "quantized".into(),
                right: "a DequantizeLinear before it".into(),
            }),
        }
    }

    /// An input that does not.
    pub(super) fn constant(&self, index: usize, what: &'static str) -> Result<Tensor, NodeProblem> {
        match self.input(index, what)? {
            Operand::Constant(tensor) => Ok(tensor),
            Operand::Value(_) | Operand::Quantized(..) => Err(NodeProblem::NotConstant {
                what,
                value: self.proto.input[index].clone(),
            }),
        }
    }

    /// A constant of float32: its dimensions and elements.
    pub(super) fn float_constant(
        &self,
        index: usize,
        what: &'static str,
    ) -> Result<(Vec<usize>, Vec<f32>), NodeProblem> {
        let tensor = self.constant(index, what)?;
        match tensor.to_floats() {
            Some(values) => Ok((tensor.dims().to_vec(), values)),
            None => Err(wrong(what, &tensor, "float32")),
        }
    }

    /// A constant of `len` numbers along one axis.
    pub(super) fn vector(
        &self,
        index: usize,
        what: &'static str,
        len: usize,
    ) -> Result<Vec<f32>, NodeProblem> {
        let (dims, values) = self.float_constant(index, what)?;
        match dims == [len] {
            true => Ok(values),
            false => Err(NodeProblem::Constant {
                what,
                found: format!("of shape {dims:?}"),
                right: format!("[{len}]"),
            }),
        }
    }

    /// A constant of one number.
    pub(super) fn scalar(&self, index: usize, what: &'static str) -> Result<f32, NodeProblem> {
        match self.float_constant(index, what)?.1.as_slice() {
            [value] => Ok(*value),
            values => Err(NodeProblem::Constant {
                what,
                found: format!("{} numbers", values.len()),
                right: "one number".into(),
            }),
        }
    }

    /// A constant of integers.
    pub(super) fn integers(
        &self,
        index: usize,
        what: &'static str,
    ) -> Result<Vec<i64>, NodeProblem> {
        let tensor = self.constant(index, what)?;
        let integers = tensor.to_integers();
        integers.ok_or_else(|| wrong(what, &tensor, "integers"))
    }

    /// Integers that were an attribute in older operator sets and are an input in newer ones.
    pub(super) fn ints_or_input(
        &self,
        name: &'static str,
        index: usize,
    ) -> Result<Option<Vec<i64>>, NodeProblem> {
        match (self.ints(name), self.optional(index)) {
            (Some(ints), _) => Ok(Some(ints.to_vec())),
            (None, Some(_)) => self.integers(index, name).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// A feature map of one sample: `[1, channels, length]` or `[1, channels, height, width]`.
    pub(super) fn feature_map(&self) -> Result<Value, NodeProblem> {
        let value = self.value(0, "input")?;
        match value.dims.as_slice() {
            [1, _, _] | [1, _, _, _] => Ok(value),
            &[batch, _, _] | &[batch, _, _, _] => Err(NodeProblem::Batch { found: batch }),
            dims => Err(NodeProblem::Input {
                found: format!("a tensor of the shape {dims:?}"),
                right: "[1, channels, length] or [1, channels, height, width]",
            }),
        }
    }
}

/// A constant of the wrong type.
pub(super) fn wrong(what: &'static str, tensor: &Tensor, right: &str) -> NodeProblem {
    NodeProblem::Constant {
        what,
        found: tensor.describe(),
        right: right.into(),
    }
}
