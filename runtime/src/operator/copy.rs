//! What moves elements of either type and computes none. Quantized numbers go on meaning what they meant.

use core::marker::PhantomData;

use kinglet_kernels::{Axis, Kernels, PerAxis, Shape, StridedCopy, params};
use serde::{Deserialize, Serialize};

use super::memory::Memory;
use super::site::{Site, regions};
use super::{Number, Resolve, Run, wire, without_parameters};
use crate::model::LoadError;
use crate::model::schema::MAX_INPUTS;
use crate::record::Region;

/// The inputs one after the other along an axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concat {
    /// Along which.
    #[serde(with = "wire::Axis")]
    pub axis: Axis,
}

/// Every `step`-th row, column and channel from `start` on, as many as the output has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The first.
    #[serde(with = "wire::per_axis")]
    pub start: PerAxis,
    /// From one to the next.
    #[serde(with = "wire::per_axis")]
    pub step: PerAxis,
}

/// The input within a larger tensor that is `value` everywhere else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pad {
    /// Rows above, columns to the left and channels before; the output's shape tells what is behind.
    #[serde(with = "wire::per_axis")]
    pub before: PerAxis,
    /// What surrounds the input; of quantized numbers the one nearest to it.
    pub value: f32,
}

/// Each row and column repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Upsample {
    /// How often each row.
    pub factor_h: u32,
    /// How often each column.
    pub factor_w: u32,
}

/// The axes in another order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transpose {
    /// Which axis of the input becomes height, width and channels of the output.
    #[serde(with = "wire::order")]
    pub order: [Axis; 3],
}

/// The same elements, in NHWC order, in another shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reshape;

without_parameters!(Concat, Slice, Pad, Upsample, Transpose, Reshape);

/// A concatenation, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ConcatOf<T> {
    pub(crate) params: params::Concat,
    /// The inputs after the first.
    pub(crate) others: [Region; MAX_INPUTS - 1],
    element: PhantomData<T>,
}

impl<T: Number> Resolve<Concat> for ConcatOf<T> {
    fn resolve(operator: &Concat, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        site.keeps_quantization()?;
        let mut shapes = [Shape::default(); MAX_INPUTS];
        let inputs = core::iter::once(site.input()).chain(site.others());
        for (shape, input) in shapes.iter_mut().zip(inputs) {
            *shape = input.shape;
        }
        let shapes = shapes.get(..=site.others().len()).unwrap_or_default();
        let ready = Self {
            params: site.params(params::Concat::new(operator.axis, shapes))?,
            others: regions(site.others()),
            element: PhantomData,
        };
        Ok((ready, ready.params.output()))
    }
}

impl<T: Number> Run for ConcatOf<T> {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        let inputs = core::iter::once(memory.input).chain(self.others);
        for (copy, input) in self.params.copies().zip(inputs) {
            memory.strided_copy::<T>(&copy, input);
        }
    }
}

/// A slice or a transposition, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CopyOf<T> {
    pub(crate) copy: StridedCopy,
    element: PhantomData<T>,
}

impl<T: Number> Resolve<Slice> for CopyOf<T> {
    fn resolve(operator: &Slice, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        site.keeps_quantization()?;
        let output = site.output().shape;
        let copy = StridedCopy::slice(site.shape(), operator.start, operator.step, output);
        let ready = Self {
            copy: site.params(copy)?,
            element: PhantomData,
        };
        Ok((ready, output))
    }
}

impl<T: Number> Resolve<Transpose> for CopyOf<T> {
    fn resolve(operator: &Transpose, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        site.keeps_quantization()?;
        let copy = StridedCopy::transpose(site.shape(), operator.order);
        let ready = Self {
            copy: site.params(copy)?,
            element: PhantomData,
        };
        Ok((ready, params::transposed(site.shape(), operator.order)))
    }
}

impl<T: Number> Run for CopyOf<T> {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.strided_copy::<T>(&self.copy, memory.input);
    }
}

/// A padding, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PadOf<T> {
    pub(crate) copy: StridedCopy,
    pub(crate) value: T,
}

impl<T: Number> Resolve<Pad> for PadOf<T> {
    fn resolve(operator: &Pad, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        site.keeps_quantization()?;
        let output = site.output().shape;
        let copy = StridedCopy::place(site.shape(), operator.before, output);
        let ready = Self {
            copy: site.params(copy)?,
            value: T::nearest(operator.value, site)?,
        };
        Ok((ready, output))
    }
}

impl<T: Number> Run for PadOf<T> {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.fill(self.value);
        memory.strided_copy::<T>(&self.copy, memory.input);
    }
}

/// An upsampling, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct UpsampleOf<T> {
    pub(crate) params: params::Upsample,
    element: PhantomData<T>,
}

impl<T: Number> Resolve<Upsample> for UpsampleOf<T> {
    fn resolve(operator: &Upsample, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        site.keeps_quantization()?;
        let (factor_h, factor_w) = (operator.factor_h as usize, operator.factor_w as usize);
        let params = params::Upsample::new(site.shape(), factor_h, factor_w);
        let ready = Self {
            params: site.params(params)?,
            element: PhantomData,
        };
        Ok((ready, ready.params.output()))
    }
}

impl<T: Number> Run for UpsampleOf<T> {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        for copy in self.params.copies() {
            memory.strided_copy::<T>(&copy, memory.input);
        }
    }
}

/// A reshape, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ReshapeOf<T> {
    element: PhantomData<T>,
}

impl<T: Number> Resolve<Reshape> for ReshapeOf<T> {
    fn resolve(_: &Reshape, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        site.keeps_quantization()?;
        let output = site.output().shape;
        if site.shape().len() != output.len() {
            return Err(site.mismatch());
        }
        let element = PhantomData;
        Ok((Self { element }, output))
    }
}

impl<T: Number> Run for ReshapeOf<T> {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.move_input::<T>();
    }
}
