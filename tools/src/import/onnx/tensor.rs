//! Constants: tensors of any rank, from the file or computed from others.
//!
//! Two types stand for all of ONNX's: float32 for numbers, i64 for integers and truth values. What a tensor was
//! in the file is remembered, since integers of 8 bits mean quantized values.

use std::path::Path;
use std::sync::Arc;

use half::{bf16, f16};
use kinglet::model::schema::MAX_ELEMENTS;
use ndarray::{ArcArray, ArrayD, IxDyn};

use super::external;
use super::messages::{DataLocation, DataType, TensorProto};
use crate::import::NodeProblem;

/// An array whose copies share their elements.
pub(super) type Array<T> = ArcArray<T, IxDyn>;

/// A constant.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    /// What it is in the file.
    pub(super) data_type: DataType,
    pub(super) values: Values,
    /// What its elements are whole multiples of, from -128 to 127 times.
    pub(super) scale: Option<WeightScale>,
}

/// The scale of quantized weights.
#[derive(Debug, Clone)]
pub(super) struct WeightScale {
    /// One, or one for each index along the axis.
    pub(super) scales: Arc<[f32]>,
    pub(super) axis: Option<usize>,
}

/// The elements of a constant.
#[derive(Debug, Clone)]
pub(super) enum Values {
    Floats(Array<f32>),
    Integers(Array<i64>),
}

/// Why a tensor of the file is no constant: what it is, and what would be right.
pub(super) struct TensorProblem {
    pub(super) found: String,
    pub(super) right: String,
}

/// The same expression over either type's array.
macro_rules! each_type {
    ($values:expr, $array:ident => $result:expr) => {
        match $values {
            $crate::import::onnx::tensor::Values::Floats($array) => {
                $crate::import::onnx::tensor::Values::Floats($result)
            }
            $crate::import::onnx::tensor::Values::Integers($array) => {
                $crate::import::onnx::tensor::Values::Integers($result)
            }
        }
    };
}
pub(super) use each_type;

impl Tensor {
    /// A constant of float32.
    pub(super) fn floats(values: ArrayD<f32>) -> Self {
        Self {
            data_type: DataType::Float,
            values: Values::Floats(values.into_shared()),
            scale: None,
        }
    }

    /// A constant of int64, as shapes are; as many values as the dimensions say.
    pub(super) fn int64(dims: &[usize], values: &[i64]) -> Self {
        Self {
            data_type: DataType::Int64,
            values: Values::Integers(array(dims, values.iter().copied())),
            scale: None,
        }
    }

    pub(super) fn dims(&self) -> &[usize] {
        match &self.values {
            Values::Floats(array) => array.shape(),
            Values::Integers(array) => array.shape(),
        }
    }

    pub(super) fn len(&self) -> usize {
        match &self.values {
            Values::Floats(array) => array.len(),
            Values::Integers(array) => array.len(),
        }
    }

    /// A tensor with other elements of the same type.
    pub(super) fn with(&self, values: Values) -> Self {
        Self {
            data_type: self.data_type,
            values,
            scale: None,
        }
    }

    /// A tensor with the same elements at other places.
    pub(super) fn rearranged(&self, values: Values) -> Self {
        let scale = self.scale.clone().filter(|scale| scale.axis.is_none());
        Self {
            scale,
            ..self.with(values)
        }
    }

    /// The scale of each of `len` indices along `axis`, if the elements are quantized that way.
    pub(super) fn scale_along(&self, axis: usize, len: usize) -> Option<Vec<f32>> {
        let WeightScale { scales, axis: own } = self.scale.as_ref()?;
        match own {
            None => Some(vec![scales[0]; len]),
            Some(own) => (*own == axis).then(|| scales.to_vec()),
        }
    }

    /// The elements in row-major order, if they are floats.
    pub(super) fn to_floats(&self) -> Option<Vec<f32>> {
        match &self.values {
            Values::Floats(array) => Some(array.iter().copied().collect()),
            Values::Integers(_) => None,
        }
    }

    /// The elements in row-major order, if they are integers.
    pub(super) fn to_integers(&self) -> Option<Vec<i64>> {
        match &self.values {
            Values::Integers(array) => Some(array.iter().copied().collect()),
            Values::Floats(_) => None,
        }
    }

    /// Type and dimensions, for messages.
    pub(super) fn describe(&self) -> String {
        let name = self.data_type.name().to_lowercase();
        format!("{name} {:?}", self.dims())
    }
}

/// The tensor of a message. `folder` is where the file lies, for elements that it keeps beside it.
pub(super) fn read(proto: &TensorProto, folder: Option<&Path>) -> Result<Tensor, TensorProblem> {
    let problem = |found: String, right: &str| TensorProblem {
        found,
        right: right.into(),
    };
    let Ok(data_type) = DataType::try_from(proto.data_type) else {
        return Err(problem(
            format!("of data type {}", proto.data_type),
            "a type of the ONNX standard",
        ));
    };
    let dims: Option<Vec<usize>> = proto
        .dims
        .iter()
        .map(|d| usize::try_from(*d).ok())
        .collect();
    let len = dims.as_deref().and_then(elements);
    let (Some(dims), Some(len)) = (dims, len) else {
        return Err(problem(
            format!("of shape {:?}", proto.dims),
            "at most 2^28 elements along at most 32 axes",
        ));
    };
    if proto.segment.is_some() {
        return Err(problem("a part of a tensor".into(), "the whole of it"));
    }
    let Some(size) = size_of(data_type) else {
        return Err(problem(
            format!("of {}", data_type.name()),
            "float32, float16, bfloat16, float64, bool, or integers of 8 to 64 bits",
        ));
    };
    let external = proto.data_location == Some(DataLocation::External as i32);
    let stored;
    let bytes = if external {
        stored = external::read(&proto.external_data, len * size, folder)?;
        Some(stored.as_slice())
    } else {
        // An empty tensor has no bytes either way.
        (!proto.raw_data.is_empty()).then_some(proto.raw_data.as_slice())
    };
    let values = match bytes {
        Some(bytes) if bytes.len() == len * size => Some(from_bytes(data_type, bytes, &dims)),
        Some(_) => None,
        None => from_fields(data_type, proto, len, &dims),
    };
    let values = values.ok_or_else(|| {
        let found = bytes.map_or_else(|| fields_len(data_type, proto), |b| b.len() / size);
        problem(
            format!("of shape {dims:?} with {found} values"),
            &format!("{len} values"),
        )
    })?;
    Ok(Tensor {
        data_type,
        values,
        scale: None,
    })
}

/// Axes a tensor may have: many more than any network uses.
const MAX_AXES: usize = 32;

/// How many elements a tensor of these dimensions has; None if more than a model may have, or too many axes.
pub(super) fn elements(dims: &[usize]) -> Option<usize> {
    if dims.len() > MAX_AXES {
        return None;
    }
    // A dimension of 0 would let the others be as large as they like.
    let mut nonzero = dims.iter().filter(|d| **d > 0);
    let bound = nonzero.try_fold(1usize, |len, d| len.checked_mul(*d))?;
    (bound <= MAX_ELEMENTS).then(|| dims.iter().product())
}

/// A shape that has too many elements, for messages.
pub(super) fn describe_large(dims: &[usize]) -> String {
    let elements = dims.iter().fold(1u128, |n, d| n.saturating_mul(*d as u128));
    format!("{dims:?} ({elements} elements, {} axes)", dims.len())
}

/// How many elements are right, for messages.
pub(super) fn largest() -> String {
    format!("at most {MAX_ELEMENTS} elements along {MAX_AXES} axes")
}

/// Bytes of one element; None for types that are not read.
fn size_of(data_type: DataType) -> Option<usize> {
    Some(match data_type {
        DataType::Bool | DataType::Int8 | DataType::Uint8 => 1,
        DataType::Int16 | DataType::Uint16 | DataType::Float16 | DataType::Bfloat16 => 2,
        DataType::Int32 | DataType::Uint32 | DataType::Float => 4,
        DataType::Int64 | DataType::Uint64 | DataType::Double => 8,
        _ => return None,
    })
}

/// The smallest and the largest integer of a type.
pub(super) fn range(data_type: DataType) -> (i64, i64) {
    match data_type {
        DataType::Bool => (0, 1),
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Uint8 => (0, u8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Uint16 => (0, u16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Uint32 => (0, u32::MAX.into()),
        DataType::Uint64 => (0, i64::MAX),
        _ => (i64::MIN, i64::MAX),
    }
}

pub(super) fn is_float(data_type: DataType) -> bool {
    matches!(
        data_type,
        DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16
    )
}

/// Little-endian elements, as many as `dims` say.
fn from_bytes(data_type: DataType, bytes: &[u8], dims: &[usize]) -> Values {
    macro_rules! floats {
        ($type:ty, $convert:expr) => {
            floats(
                dims,
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| $convert(<$type>::from_le_bytes(*b))),
            )
        };
    }
    macro_rules! integers {
        ($type:ty) => {
            integers(
                dims,
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| <$type>::from_le_bytes(*b) as i64),
            )
        };
    }
    match data_type {
        DataType::Float => floats!(f32, |x| x),
        DataType::Double => floats!(f64, |x| x as f32),
        DataType::Float16 => floats!(f16, f16::to_f32),
        DataType::Bfloat16 => floats!(bf16, bf16::to_f32),
        DataType::Int8 => integers!(i8),
        DataType::Int16 => integers!(i16),
        DataType::Uint16 => integers!(u16),
        DataType::Int32 => integers!(i32),
        DataType::Uint32 => integers!(u32),
        DataType::Int64 => integers!(i64),
        DataType::Uint64 => integers!(u64),
        _ => integers!(u8),
    }
}

/// Elements from the field for their type; None if there are not as many as `dims` say.
fn from_fields(
    data_type: DataType,
    proto: &TensorProto,
    len: usize,
    dims: &[usize],
) -> Option<Values> {
    if fields_len(data_type, proto) != len {
        return None;
    }
    let half = |bits: &i32| *bits as u16;
    Some(match data_type {
        DataType::Float => floats(dims, proto.float_data.iter().copied()),
        DataType::Double => floats(dims, proto.double_data.iter().map(|x| *x as f32)),
        DataType::Float16 => floats(
            dims,
            proto
                .int32_data
                .iter()
                .map(|b| f16::from_bits(half(b)).to_f32()),
        ),
        DataType::Bfloat16 => floats(
            dims,
            proto
                .int32_data
                .iter()
                .map(|b| bf16::from_bits(half(b)).to_f32()),
        ),
        DataType::Int64 => integers(dims, proto.int64_data.iter().copied()),
        DataType::Uint32 | DataType::Uint64 => {
            integers(dims, proto.uint64_data.iter().map(|x| *x as i64))
        }
        _ => integers(dims, proto.int32_data.iter().map(|x| i64::from(*x))),
    })
}

fn fields_len(data_type: DataType, proto: &TensorProto) -> usize {
    match data_type {
        DataType::Float => proto.float_data.len(),
        DataType::Double => proto.double_data.len(),
        DataType::Int64 => proto.int64_data.len(),
        DataType::Uint32 | DataType::Uint64 => proto.uint64_data.len(),
        _ => proto.int32_data.len(),
    }
}

fn floats(dims: &[usize], values: impl Iterator<Item = f32>) -> Values {
    Values::Floats(array(dims, values))
}

fn integers(dims: &[usize], values: impl Iterator<Item = i64>) -> Values {
    Values::Integers(array(dims, values))
}

/// The caller has counted the values.
pub(super) fn array<T: Clone>(dims: &[usize], values: impl Iterator<Item = T>) -> Array<T> {
    let array = ArrayD::from_shape_vec(dims, values.collect());
    array
        .expect("as many values as the dimensions say")
        .into_shared()
}

/// What is wrong with a tensor that a node reads.
pub(super) fn problem(name: &str, problem: TensorProblem) -> NodeProblem {
    NodeProblem::Tensor {
        value: name.to_owned(),
        found: problem.found,
        right: problem.right,
    }
}
