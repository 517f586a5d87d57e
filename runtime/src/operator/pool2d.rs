//! Pools.

use core::marker::PhantomData;

use kinglet_kernels::{AvgPool2dI8, CountPadding, Kernels, Pool2d, Rounding, Shape, Window};
use serde::{Deserialize, Serialize};

use super::memory::Memory;
use super::site::Site;
use super::{Number, Resolve, Run, wire, without_parameters};
use crate::model::LoadError;

/// Maximum over each window, of numbers of either type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaxPool2d {
    /// Kernel, stride, dilation, padding.
    #[serde(with = "wire::Window")]
    pub window: Window,
    /// Which way the output size was rounded.
    #[serde(with = "wire::Rounding")]
    pub rounding: Rounding,
}

/// Average over each window, of numbers of either type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AvgPool2d {
    /// Kernel, stride, dilation, padding.
    #[serde(with = "wire::Window")]
    pub window: Window,
    /// Which way the output size was rounded.
    #[serde(with = "wire::Rounding")]
    pub rounding: Rounding,
    /// What an average divides by.
    #[serde(with = "wire::CountPadding")]
    pub count_padding: CountPadding,
}

without_parameters!(MaxPool2d, AvgPool2d);

impl AvgPool2d {
    fn geometry(&self, site: &Site<'_>) -> Result<Pool2d, LoadError> {
        let Self {
            window,
            rounding,
            count_padding,
        } = *self;
        site.params(Pool2d::new(site.shape(), window, rounding, count_padding))
    }
}

/// A max pool, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MaxPool2dOf<T> {
    pub(crate) params: Pool2d,
    element: PhantomData<T>,
}

impl<T: Number> Resolve<MaxPool2d> for MaxPool2dOf<T> {
    fn resolve(operator: &MaxPool2d, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        site.keeps_quantization()?;
        let any = CountPadding::default();
        let params = Pool2d::new(site.shape(), operator.window, operator.rounding, any);
        let ready = Self {
            params: site.params(params)?,
            element: PhantomData,
        };
        Ok((ready, ready.params.output()))
    }
}

impl<T: Number> Run for MaxPool2dOf<T> {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.apart(|kernels, input, _, output| {
            T::max_pool2d(kernels, &self.params, input, output);
        });
    }
}

impl Resolve<AvgPool2d> for Pool2d {
    fn resolve(operator: &AvgPool2d, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let params = operator.geometry(site)?;
        Ok((params, params.output()))
    }
}

impl Run for Pool2d {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.apart(|kernels, input, _, output| kernels.avg_pool2d_f32(self, input, output));
    }
}

impl Resolve<AvgPool2d> for AvgPool2dI8 {
    fn resolve(operator: &AvgPool2d, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let geometry = operator.geometry(site)?;
        let from = site.quantization(site.input())?;
        let to = site.quantization(site.output())?;
        let params = site.params(Self::new(geometry, from, to))?;
        Ok((params, geometry.output()))
    }
}

impl Run for AvgPool2dI8 {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.apart(|kernels, input, _, output| kernels.avg_pool2d_i8(self, input, output));
    }
}
