//! The elements of a tensor, whatever their type.

use bytemuck::Pod;
use kinglet_kernels::Quantization;

use crate::model::schema::Tensor;
use crate::operator::{values, values_mut};
use crate::record::Region;
use crate::session::InputError;

/// The elements of a tensor, the whole batch, NHWC.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Values<'a> {
    /// Real numbers.
    F32(&'a [f32]),
    /// 8-bit numbers.
    I8 {
        /// The numbers.
        numbers: &'a [i8],
        /// What they mean.
        quantization: Quantization,
    },
}

impl<'a> Values<'a> {
    /// The elements of `tensor`.
    #[inline]
    pub(crate) fn of(activations: &'a [u8], batch: usize, tensor: &Tensor) -> Self {
        let region = Region::of(tensor);
        match tensor.dtype.quantization() {
            None => Self::F32(values(activations, batch, region)),
            Some(quantization) => Self::I8 {
                numbers: values(activations, batch, region),
                quantization,
            },
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::I8 { numbers, .. } => numbers.len(),
        }
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The real numbers; None if they are quantized.
    pub fn as_f32(&self) -> Option<&'a [f32]> {
        match self {
            Self::F32(numbers) => Some(numbers),
            Self::I8 { .. } => None,
        }
    }

    /// The 8-bit numbers; None if they are real.
    pub fn as_i8(&self) -> Option<&'a [i8]> {
        match self {
            Self::F32(_) => None,
            Self::I8 { numbers, .. } => Some(numbers),
        }
    }

    /// The element at `index`, or what it means.
    pub fn get(&self, index: usize) -> Option<f32> {
        match self {
            Self::F32(numbers) => numbers.get(index).copied(),
            Self::I8 {
                numbers,
                quantization,
            } => numbers.get(index).map(|q| quantization.dequantize(*q)),
        }
    }

    /// The elements, or what they mean, in order.
    pub fn iter(&self) -> impl Iterator<Item = f32> + use<'a> {
        let all = *self;
        (0..all.len()).map_while(move |index| all.get(index))
    }

    /// All elements, or what they mean.
    #[cfg(feature = "alloc")]
    pub fn to_f32(&self) -> alloc::borrow::Cow<'a, [f32]> {
        match self {
            Self::F32(numbers) => (*numbers).into(),
            Self::I8 { .. } => self.iter().collect(),
        }
    }

    /// The position of the largest element, the first of equals: the class that a classifier has found, in a batch of 1.
    /// None if there is no number.
    pub fn argmax(&self) -> Option<usize> {
        match self {
            Self::F32(numbers) => argmax(numbers),
            // Scales are positive: the largest number means the largest.
            Self::I8 { numbers, .. } => argmax(numbers),
        }
    }
}

/// The position of the largest value, the first of equals; None if there is none, or NaN alone.
pub(crate) fn argmax<T: PartialOrd + Copy>(values: &[T]) -> Option<usize> {
    let mut best: Option<(usize, T)> = None;
    for (index, value) in values.iter().enumerate() {
        // A NaN is larger than nothing.
        let larger = match best {
            Some((_, largest)) => *value > largest,
            None => value.partial_cmp(value).is_some(),
        };
        if larger {
            best = Some((index, *value));
        }
    }
    best.map(|(index, _)| index)
}

/// The elements of a tensor to be written, the whole batch, NHWC.
#[derive(Debug, PartialEq)]
pub enum ValuesMut<'a> {
    /// Real numbers.
    F32(&'a mut [f32]),
    /// 8-bit numbers.
    I8 {
        /// The numbers.
        numbers: &'a mut [i8],
        /// What they mean.
        quantization: Quantization,
    },
}

impl<'a> ValuesMut<'a> {
    /// The elements of `tensor`.
    pub(crate) fn of(activations: &'a mut [u8], batch: usize, tensor: &Tensor) -> Self {
        let region = Region::of(tensor);
        match tensor.dtype.quantization() {
            None => Self::F32(values_mut(activations, batch, region)),
            Some(quantization) => Self::I8 {
                numbers: values_mut(activations, batch, region),
                quantization,
            },
        }
    }

    /// The real numbers; None if they are quantized.
    pub fn into_f32(self) -> Option<&'a mut [f32]> {
        match self {
            Self::F32(numbers) => Some(numbers),
            Self::I8 { .. } => None,
        }
    }

    /// Copies real numbers, or quantizes them.
    ///
    /// # Errors
    /// [`InputError::Length`] if there are more or fewer; nothing is changed.
    pub fn set_f32(self, from: &[f32]) -> Result<(), InputError> {
        match self {
            Self::F32(numbers) => copy(from, numbers, |x| x),
            Self::I8 {
                numbers,
                quantization,
            } => copy(from, numbers, |x| quantization.quantize(x)),
        }
    }

    /// Copies 8-bit numbers, which mean what the tensor's do.
    ///
    /// # Errors
    /// [`InputError::Length`] if there are more or fewer, [`InputError::Real`] if the tensor's are real; nothing is
    /// changed.
    pub fn set_i8(self, from: &[i8]) -> Result<(), InputError> {
        match self {
            Self::F32(_) => Err(InputError::Real),
            Self::I8 { numbers, .. } => copy(from, numbers, |q| q),
        }
    }
}

fn copy<T: Copy, U: Pod>(
    from: &[T],
    to: &mut [U],
    convert: impl Fn(T) -> U,
) -> Result<(), InputError> {
    if from.len() != to.len() {
        return Err(InputError::Length {
            expected: to.len(),
            found: from.len(),
        });
    }
    to.iter_mut().zip(from).for_each(|(t, x)| *t = convert(*x));
    Ok(())
}
