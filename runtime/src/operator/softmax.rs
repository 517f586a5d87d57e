//! Softmax over the channels of each position.

use kinglet_kernels::{Kernels, Shape, SoftmaxI8};
use serde::{Deserialize, Serialize};

use super::memory::Memory;
use super::site::Site;
use super::{Resolve, Run, without_parameters};
use crate::model::LoadError;

/// Softmax over the channels of each position, of numbers of either type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Softmax;

/// Logarithm of softmax over the channels of each position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogSoftmax;

without_parameters!(Softmax, LogSoftmax);

/// A softmax, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SoftmaxF32 {
    pub(crate) channels: usize,
}

impl Resolve<Softmax> for SoftmaxF32 {
    fn resolve(_: &Softmax, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let shape = site.shape();
        let channels = shape.channels;
        Ok((Self { channels }, shape))
    }
}

impl Run for SoftmaxF32 {
    fn trainable(&self, last: bool) -> bool {
        last
    }

    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.in_place(|kernels, data| kernels.softmax_f32(self.channels, data));
    }
}

/// A logarithm of softmax, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LogSoftmaxF32 {
    pub(crate) channels: usize,
}

impl Resolve<LogSoftmax> for LogSoftmaxF32 {
    fn resolve(_: &LogSoftmax, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let shape = site.shape();
        let channels = shape.channels;
        Ok((Self { channels }, shape))
    }
}

impl Run for LogSoftmaxF32 {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.in_place(|kernels, data| kernels.log_softmax_f32(self.channels, data));
    }
}

impl Resolve<Softmax> for SoftmaxI8 {
    fn resolve(_: &Softmax, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let shape = site.shape();
        let from = site.quantization(site.input())?;
        let to = site.quantization(site.output())?;
        Ok((site.params(Self::new(shape, from, to))?, shape))
    }
}

impl Run for SoftmaxI8 {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.in_place(|kernels, data| kernels.softmax_i8(self, data));
    }
}
