//! The constants of a file as numbers: weights, shapes, axes.

use half::f16;

use super::names::TensorType;
use super::tensor::{Scales, Tensors, wrong};
use crate::import::NodeProblem;

/// No list of axes, sizes or paddings is longer.
const LONGEST_LIST: usize = 64;

/// A constant of real numbers with its shape.
pub(super) struct Floats {
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<f32>,
    /// Where the values are 8-bit numbers times a scale, without a zero point.
    pub(super) scales: Option<Scales>,
}

impl Floats {
    /// Values that are not multiples of anything.
    fn real(dims: Vec<usize>, values: Vec<f32>) -> Self {
        Self {
            dims,
            values,
            scales: None,
        }
    }

    /// The scale of each index of `axis`, if the values are 8-bit numbers times that.
    pub(super) fn scale_along(&self, axis: usize) -> Option<Vec<f32>> {
        let scales = self.scales.as_ref()?;
        match scales.scale.as_slice() {
            [one] => Some(vec![*one; *self.dims.get(axis)?]),
            several => Some(several.to_vec()).filter(|_| scales.axis == axis),
        }
    }
}

impl Tensors<'_> {
    /// A constant of real numbers, or of what its integers mean.
    pub(super) fn floats(
        &mut self,
        index: usize,
        what: &'static str,
    ) -> Result<Floats, NodeProblem> {
        let data_type = self.get(index)?.type_();
        let size = match data_type {
            TensorType::FLOAT32 | TensorType::INT32 => 4,
            TensorType::FLOAT16 => 2,
            TensorType::INT8 | TensorType::UINT8 => 1,
            _ => {
                let right = "float32, float16, int8, uint8 or int32";
                return Err(wrong(what, self.describe(index), right.into()));
            }
        };
        let (dims, bytes) = self.elements(index, what, size)?;
        let left = self.values_left.checked_sub(bytes.len() / size);
        self.values_left = left.ok_or_else(|| NodeProblem::Refused {
            reason:
                "so many operators read the constants that a file of this size has no reason to"
                    .into(),
        })?;
        match data_type {
            TensorType::FLOAT32 => Ok(Floats::real(dims, words(bytes, f32::from_le_bytes))),
            TensorType::FLOAT16 => {
                let real = |word| f16::from_le_bytes(word).to_f32();
                Ok(Floats::real(dims, words(bytes, real)))
            }
            TensorType::INT8 => {
                self.dequantized(index, what, dims, words(bytes, i8::from_le_bytes))
            }
            TensorType::UINT8 => {
                // Lowered as their zero points are.
                let lowered = |[byte]: [u8; 1]| byte.wrapping_sub(128).cast_signed();
                self.dequantized(index, what, dims, words(bytes, lowered))
            }
            _ => self.dequantized(index, what, dims, words(bytes, i32::from_le_bytes)),
        }
    }

    /// The real numbers that the integers of a constant mean.
    fn dequantized<T: Copy + Into<i64>>(
        &self,
        index: usize,
        what: &'static str,
        dims: Vec<usize>,
        integers: Vec<T>,
    ) -> Result<Floats, NodeProblem> {
        let scales = self.scales(index)?;
        let behind = match scales.scale.len() {
            1 => 1,
            several if dims.get(scales.axis) == Some(&several) => {
                dims[scales.axis + 1..].iter().product()
            }
            several => {
                let found = format!("of {several} scales along axis {} of {dims:?}", scales.axis);
                let right = "one scale, or one for each index".into();
                return Err(wrong(what, found, right));
            }
        };
        let real = |(n, integer): (usize, &T)| {
            let channel = n / behind % scales.scale.len();
            ((*integer).into() - scales.zero_point[channel]) as f32 * scales.scale[channel]
        };
        let values = integers.iter().enumerate().map(real).collect();
        let is_symmetric = scales.zero_point.iter().all(|zero_point| *zero_point == 0);
        Ok(Floats {
            dims,
            values,
            scales: Some(scales).filter(|_| is_symmetric && size_of::<T>() == 1),
        })
    }

    /// A constant list of integers: a shape, axes, paddings.
    pub(super) fn integers(
        &self,
        index: usize,
        what: &'static str,
    ) -> Result<Vec<i64>, NodeProblem> {
        let size = match self.get(index)?.type_() {
            TensorType::INT32 => 4,
            TensorType::INT64 => 8,
            _ => return Err(wrong(what, self.describe(index), "int32 or int64".into())),
        };
        let (_, bytes) = self.elements(index, what, size)?;
        if bytes.len() > LONGEST_LIST * size {
            let right = format!("a list of at most {LONGEST_LIST}");
            return Err(wrong(what, self.describe(index), right));
        }
        Ok(match size {
            4 => words(bytes, |word| i64::from(i32::from_le_bytes(word))),
            _ => words(bytes, i64::from_le_bytes),
        })
    }
}

/// The numbers that `bytes` are, `N` bytes each.
fn words<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|word| number(*word))
        .collect()
}
