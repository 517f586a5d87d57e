//! The tensors of a file: their shapes, the bytes of those that are constant, and what 8-bit numbers mean.

use kinglet_kernels::Quantization;

use super::names::TensorType;
use super::schema::{Buffer, Model, SubGraph, Tensor};
use super::table::List;
use crate::import::NodeProblem;

/// No model has a tensor of more elements.
pub(super) const MAX_ELEMENTS: usize = 1 << 28;

/// How many values may be read in all for each byte of the file: what several operators read is read several times,
/// but a small file must not ask for much memory.
const VALUES_PER_BYTE: usize = 4;

/// The tensors of a graph.
pub(super) struct Tensors<'a> {
    tensors: Vec<Tensor<'a>>,
    buffers: Option<List<'a, Buffer<'a>>>,
    /// How many values may still be read: see [`VALUES_PER_BYTE`].
    pub(super) values_left: usize,
    /// Layers with 8-bit weights whose input is real.
    pub(super) hybrid_layers: usize,
}

/// What the integers of a tensor mean: `scale * (q - zero_point)`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scales {
    /// One for the tensor, or one for each index of the axis.
    pub(super) scale: Vec<f32>,
    /// As many. Those of unsigned numbers are lowered with the numbers, by 128.
    pub(super) zero_point: Vec<i64>,
    /// The axis of several scales.
    pub(super) axis: usize,
}

impl<'a> Tensors<'a> {
    /// Those of `subgraph` in a model of so many bytes.
    pub(super) fn new(model: Model<'a>, subgraph: SubGraph<'a>, file_bytes: usize) -> Self {
        Self {
            tensors: subgraph.tensors().iter().flatten().collect(),
            buffers: model.buffers(),
            values_left: file_bytes.saturating_mul(VALUES_PER_BYTE),
            hybrid_layers: 0,
        }
    }

    /// What to say of layers with 8-bit weights whose input is real, if there are any.
    pub(super) fn hybrid_note(&self) -> Option<String> {
        let layers = match self.hybrid_layers {
            0 => return None,
            1 => "1 layer has".to_owned(),
            layers => format!("{layers} layers have"),
        };
        Some(format!(
            "{layers} 8-bit weights for inputs of real numbers (dynamic range quantization): the model computes in float32 with what the weights mean, which takes four times their space; TensorFlow Lite would round those inputs, too, each time it runs"
        ))
    }

    /// Tensor number `index` as an operator names it.
    pub(super) fn get(&self, index: usize) -> Result<Tensor<'a>, NodeProblem> {
        let tensor = self.tensors.get(index).copied();
        tensor.ok_or_else(|| NodeProblem::Value {
            value: format!("tensor {index}"),
        })
    }

    /// Its name, or its number if it has none.
    pub(super) fn name(&self, index: usize) -> String {
        let name = self.tensors.get(index).and_then(|tensor| tensor.name());
        match name {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => format!("tensor {index}"),
        }
    }

    /// The bytes of a constant; None if operators compute the tensor.
    fn bytes(&self, tensor: Tensor<'a>) -> Option<&'a [u8]> {
        let number = tensor.buffer() as usize;
        let data = self.buffers?.get(number)?.data()?;
        Some(data.bytes()).filter(|bytes| !bytes.is_empty())
    }

    /// True if the tensor's values are in the file.
    pub(super) fn is_constant(&self, index: usize) -> bool {
        let tensor = self.tensors.get(index).copied();
        tensor.is_some_and(|tensor| self.bytes(tensor).is_some())
    }

    /// The shape that the file gives a tensor, with None where it leaves an axis open, or None if it leaves all open.
    pub(super) fn recorded_dims(&self, index: usize) -> Option<Vec<Option<usize>>> {
        let tensor = self.tensors.get(index)?;
        let shape: Vec<i32> = tensor.shape().iter().flatten().collect();
        if shape.is_empty() && !tensor.has_rank() {
            return None;
        }
        let signature: Vec<i32> = tensor.shape_signature().iter().flatten().collect();
        let is_open = |axis: usize| signature.get(axis).is_some_and(|extent| *extent < 0);
        let dims = shape.iter().enumerate();
        let dims =
            dims.map(|(axis, extent)| usize::try_from(*extent).ok().filter(|_| !is_open(axis)));
        Some(dims.collect())
    }

    /// The type and shape in words; an axis that the file leaves open is -1.
    pub(super) fn describe(&self, index: usize) -> String {
        let Some(tensor) = self.tensors.get(index) else {
            return "not there".to_owned();
        };
        let signature = tensor
            .shape_signature()
            .filter(|signature| !signature.is_empty());
        let shape: Vec<i32> = signature.or(tensor.shape()).iter().flatten().collect();
        format!("{} {shape:?}", type_name(tensor.type_()))
    }

    /// What the integers of a tensor mean.
    pub(super) fn scales(&self, index: usize) -> Result<Scales, NodeProblem> {
        let tensor = self.get(index)?;
        let found = tensor.quantization();
        let scale: Vec<f32> = found.and_then(|q| q.scale()).iter().flatten().collect();
        let mut zero_point: Vec<i64> = found
            .and_then(|q| q.zero_point())
            .iter()
            .flatten()
            .collect();
        if zero_point.len() <= 1 {
            let shared = zero_point.first().copied().unwrap_or_default();
            zero_point = vec![shared; scale.len()];
        }
        let axis = found.map(|q| q.quantized_dimension()).unwrap_or_default();
        let (least, lowered) = match tensor.type_() {
            TensorType::UINT8 => (0, 128),
            _ => (-128, 0),
        };
        let is_scale = |scale: &f32| scale.is_finite() && *scale > 0.0;
        let is_zero_point = |zero_point: &i64| (least..least + 256).contains(zero_point);
        if scale.is_empty()
            || zero_point.len() != scale.len()
            || !scale.iter().all(is_scale)
            || !zero_point.iter().all(is_zero_point)
        {
            return Err(NodeProblem::Refused {
                reason: format!(
                    "\"{}\" is {} without a finite scale and a zero point of 8 bits for each",
                    self.name(index),
                    self.describe(index)
                ),
            });
        }
        zero_point
            .iter_mut()
            .for_each(|zero_point| *zero_point -= lowered);
        Ok(Scales {
            scale,
            zero_point,
            axis: usize::try_from(axis).unwrap_or(usize::MAX),
        })
    }

    /// What the 8-bit numbers of a tensor mean that the graph computes; None if they are real.
    pub(super) fn quantization(&self, index: usize) -> Result<Option<Quantization>, NodeProblem> {
        let tensor = self.get(index)?;
        let refused = |found: String| NodeProblem::Refused {
            reason: format!(
                "\"{}\" is {found}; float32, or int8 or uint8 of one scale, is right",
                self.name(index)
            ),
        };
        if tensor.is_variable() {
            return Err(refused(format!("a variable of {}", self.describe(index))));
        }
        match tensor.type_() {
            TensorType::FLOAT32 => Ok(None),
            TensorType::INT8 | TensorType::UINT8 => {
                let scales = self.scales(index)?;
                match (scales.scale.as_slice(), scales.zero_point.as_slice()) {
                    (&[scale], &[zero_point]) => {
                        Ok(Some(Quantization::new(scale, zero_point as i8)))
                    }
                    (several, _) => Err(refused(format!(
                        "{} of {} scales",
                        self.describe(index),
                        several.len()
                    ))),
                }
            }
            _ => Err(refused(self.describe(index))),
        }
    }

    /// True if the elements of a tensor are 8-bit numbers.
    pub(super) fn is_quantized(&self, index: usize) -> bool {
        let tensor = self.tensors.get(index);
        tensor.is_some_and(|tensor| matches!(tensor.type_(), TensorType::INT8 | TensorType::UINT8))
    }

    /// The bytes of a constant and its shape, which they fill with elements of `size` bytes.
    pub(super) fn elements(
        &self,
        index: usize,
        what: &'static str,
        size: usize,
    ) -> Result<(Vec<usize>, &'a [u8]), NodeProblem> {
        let tensor = self.get(index)?;
        let bytes = self.bytes(tensor).ok_or_else(|| NodeProblem::NotConstant {
            what,
            value: self.name(index),
        })?;
        if tensor.sparsity().is_some() {
            return Err(wrong(what, "sparse".into(), "a dense tensor".into()));
        }
        let shape: Vec<i32> = tensor.shape().iter().flatten().collect();
        let dims = shape.iter().map(|extent| usize::try_from(*extent).ok());
        let dims = dims.collect::<Option<Vec<usize>>>();
        let len = dims.as_deref().and_then(elements);
        match dims {
            Some(dims) if len.map(|len| len * size) == Some(bytes.len()) => Ok((dims, bytes)),
            _ => Err(wrong(
                what,
                format!("{} with {} bytes", self.describe(index), bytes.len()),
                "as many values as the shape has".into(),
            )),
        }
    }
}

/// Number of elements of a shape; None if it has none or more than a model may have.
pub(super) fn elements(dims: &[usize]) -> Option<usize> {
    let mut extents = dims.iter();
    let len = extents.try_fold(1usize, |len, extent| len.checked_mul(*extent))?;
    Some(len).filter(|len| (1..=MAX_ELEMENTS).contains(len))
}

/// A type as the schema calls it, in small letters.
pub(super) fn type_name(data_type: TensorType) -> String {
    match data_type.variant_name() {
        Some(name) => name.to_lowercase(),
        None => format!("data type {}", data_type.0),
    }
}

/// A constant of another type or shape.
pub(super) fn wrong(what: &'static str, found: String, right: String) -> NodeProblem {
    NodeProblem::Constant { what, found, right }
}
