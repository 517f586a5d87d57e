//! Linear layers.

use kinglet_kernels::{Activation, Kernels, Shape, params};
use serde::{Deserialize, Serialize};

use super::memory::Memory;
use super::parameters::Span;
use super::site::{ReadyLayer, Site};
use super::{InFile, Layer, Lens, Resolve, Run, Storage, wire};
use crate::model::LoadError;

/// Linear layer over the whole input read as one vector, in NHWC order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Linear<P: Storage = InFile> {
    /// Applied to each output.
    #[serde(with = "wire::Activation")]
    pub activation: Activation,
    /// Weights and bias.
    pub layer: Layer<P>,
}

/// A linear layer, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LinearF32 {
    pub(crate) params: params::Linear,
    pub(crate) layer: ReadyLayer,
}

impl Resolve<Linear> for LinearF32 {
    fn resolve(operator: &Linear, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let features = site.output().shape.len();
        let params = params::Linear::new(site.shape().len(), features, operator.activation);
        let params = site.params(params)?;
        let layer = site.layer(&operator.layer, params.weights_len(), features)?;
        Ok((Self { params, layer }, Shape::vector(features)))
    }
}

impl Run for LinearF32 {
    fn lens(&self) -> Lens {
        let ReadyLayer { weights, bias } = self.layer;
        [Some(weights.len()), bias.map(Span::len), None]
    }

    fn terms(&self) -> usize {
        self.params.in_features()
    }

    fn trainable(&self, _: bool) -> bool {
        true
    }

    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        let weights = self.layer.weights.of(memory.file);
        let bias = self.layer.bias.map(|bias| bias.of(memory.file));
        memory.apart(|kernels, input, _, output| {
            kernels.linear_f32(&self.params, input, weights, bias, output);
        });
    }
}

#[cfg(feature = "std")]
impl<P: Storage, Q: Storage> super::parameters::Map<P, Q> for Linear<P> {
    type To = Linear<Q>;

    fn map<C: super::parameters::Convert<P, Q>>(
        &self,
        convert: &mut C,
    ) -> Result<Linear<Q>, C::Error> {
        Ok(Linear {
            activation: self.activation,
            layer: self.layer.map(convert)?,
        })
    }
}
