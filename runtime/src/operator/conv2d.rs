//! Convolution, alone and with the max pool that follows.

use kinglet_kernels::{Activation, Kernels, PooledConv2d, Rounding, Shape, Window, params};
use serde::{Deserialize, Serialize};

use super::memory::{Memory, Packable, elements};
use super::parameters::Span;
use super::site::Site;
use super::{InFile, Layer, Lens, Resolve, Run, Storage, Workspace, wire};
use crate::model::LoadError;

/// Convolution with fused activation; the layer's weights are OHWI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Conv2d<P: Storage = InFile> {
    /// Kernel, stride, dilation, padding.
    #[serde(with = "wire::Window")]
    pub window: Window,
    /// Channel groups.
    pub groups: u32,
    /// Applied to each output.
    #[serde(with = "wire::Activation")]
    pub activation: Activation,
    /// Weights and bias.
    pub layer: Layer<P>,
}

/// Convolution with fused activation, and the maximum over each window of the result, which is never stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Conv2dMaxPool2d<P: Storage = InFile> {
    /// The convolution.
    pub conv: Conv2d<P>,
    /// Window of the pool: no padding, no dilation, no overlap.
    #[serde(with = "wire::Window")]
    pub pool: Window,
    /// Which way the pool's output size was rounded.
    #[serde(with = "wire::Rounding")]
    pub rounding: Rounding,
}

/// A convolution, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Conv2dF32 {
    pub(crate) params: params::Conv2d,
    pub(crate) weights: Packable<f32>,
    pub(crate) bias: Option<Span<f32>>,
}

impl Resolve<Conv2d> for Conv2dF32 {
    fn resolve(operator: &Conv2d, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let channels = site.output().shape.channels;
        let (window, groups) = (operator.window, operator.groups as usize);
        let params =
            params::Conv2d::new(site.shape(), channels, window, groups, operator.activation);
        let params = site.params(params)?;
        let layer = site.layer(&operator.layer, params.weights_len(), channels)?;
        let ready = Self {
            params,
            weights: Packable::in_file(layer.weights),
            bias: layer.bias,
        };
        Ok((ready, params.output()))
    }
}

impl Run for Conv2dF32 {
    fn lens(&self) -> Lens {
        let weights = self.params.weights_len();
        [Some(weights), self.bias.map(Span::len), None]
    }

    fn terms(&self) -> usize {
        self.params.taps()
    }

    fn workspace<K: Kernels>(&self, kernels: &K) -> Workspace {
        Workspace {
            packed: bytes(kernels.conv2d_f32_packed_len(&self.params)),
            scratch: bytes(kernels.conv2d_f32_scratch_len(&self.params)),
        }
    }

    fn pack<K: Kernels>(&mut self, kernels: &K, file: &[f32], packed: &mut [u8], offset: usize) {
        let params = &self.params;
        self.weights.pack(file, packed, offset, |weights, packed| {
            kernels.conv2d_f32_pack(params, weights, packed);
        });
    }

    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        let weights = memory.weights(self.weights);
        let bias = self.bias.map(|bias| bias.of(memory.file));
        memory.apart(|kernels, input, scratch, output| {
            let scratch = elements(scratch);
            kernels.conv2d_f32(&self.params, input, weights, bias, scratch, output);
        });
    }
}

/// A convolution and its pool, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Conv2dMaxPool2dF32 {
    pub(crate) params: PooledConv2d,
    pub(crate) weights: Packable<f32>,
    pub(crate) bias: Option<Span<f32>>,
}

impl Resolve<Conv2dMaxPool2d> for Conv2dMaxPool2dF32 {
    fn resolve(operator: &Conv2dMaxPool2d, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let (conv, _) = Conv2dF32::resolve(&operator.conv, site)?;
        let params = PooledConv2d::new(conv.params, operator.pool, operator.rounding);
        let ready = Self {
            params: site.params(params)?,
            weights: conv.weights,
            bias: conv.bias,
        };
        Ok((ready, ready.params.output()))
    }
}

impl Run for Conv2dMaxPool2dF32 {
    fn lens(&self) -> Lens {
        let weights = self.params.conv().weights_len();
        [Some(weights), self.bias.map(Span::len), None]
    }

    fn terms(&self) -> usize {
        self.params.conv().taps()
    }

    fn workspace<K: Kernels>(&self, kernels: &K) -> Workspace {
        Workspace {
            packed: bytes(kernels.conv2d_f32_packed_len(self.params.conv())),
            scratch: bytes(kernels.conv2d_max_pool2d_f32_scratch_len(&self.params)),
        }
    }

    fn pack<K: Kernels>(&mut self, kernels: &K, file: &[f32], packed: &mut [u8], offset: usize) {
        let params = self.params.conv();
        self.weights.pack(file, packed, offset, |weights, packed| {
            kernels.conv2d_f32_pack(params, weights, packed);
        });
    }

    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        let weights = memory.weights(self.weights);
        let bias = self.bias.map(|bias| bias.of(memory.file));
        memory.apart(|kernels, input, scratch, output| {
            let scratch = elements(scratch);
            kernels.conv2d_max_pool2d_f32(&self.params, input, weights, bias, scratch, output);
        });
    }
}

/// Bytes of so many `f32`.
fn bytes(elements: usize) -> usize {
    elements.saturating_mul(size_of::<f32>())
}

#[cfg(feature = "std")]
mod map {
    use super::{Conv2d, Conv2dMaxPool2d, Storage};
    use crate::operator::parameters::{Convert, Map};

    impl<P: Storage, Q: Storage> Map<P, Q> for Conv2d<P> {
        type To = Conv2d<Q>;

        fn map<C: Convert<P, Q>>(&self, convert: &mut C) -> Result<Conv2d<Q>, C::Error> {
            Ok(Conv2d {
                window: self.window,
                groups: self.groups,
                activation: self.activation,
                layer: self.layer.map(convert)?,
            })
        }
    }

    impl<P: Storage, Q: Storage> Map<P, Q> for Conv2dMaxPool2d<P> {
        type To = Conv2dMaxPool2d<Q>;

        fn map<C: Convert<P, Q>>(&self, convert: &mut C) -> Result<Conv2dMaxPool2d<Q>, C::Error> {
            Ok(Conv2dMaxPool2d {
                conv: self.conv.map(convert)?,
                pool: self.pool,
                rounding: self.rounding,
            })
        }
    }
}
