//! Operators whose numbers mean something: to and from 8-bit numbers, and layers of them.

use kinglet_kernels::{
    Activation, BinaryFunction, Kernels, ParamsError, Quantization, RequantizeI8, Shape, Window,
    params,
};
use serde::{Deserialize, Serialize};

use super::memory::Memory;
use super::site::{ReadyLayerI8, Site};
use super::{InFile, LayerI8, Lens, Resolve, Run, Storage, Workspace, wire, without_parameters};
use crate::model::LoadError;
use crate::record::Region;

/// 8-bit numbers from real ones: `rint(x / scale) + zero_point` by the output's scale and zero point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantize;

/// Real numbers from 8-bit ones: `(q - zero_point) * scale` by the input's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dequantize;

/// 8-bit numbers as such of another scale or zero point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Requantize {
    /// Smallest number of the output.
    pub low: i8,
    /// Largest number of the output.
    pub high: i8,
}

/// The sum of two tensors of 8-bit numbers and one shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantizedAdd {
    /// Smallest number of the output.
    pub low: i8,
    /// Largest number of the output.
    pub high: i8,
}

/// A function of each number of the first tensor and that of the second at its place. The second has the shape of the
/// first, or 1 along any axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantizedBinary {
    /// Of a number and its operand.
    #[serde(with = "wire::BinaryFunction")]
    pub function: BinaryFunction,
    /// Smallest number of the output.
    pub low: i8,
    /// Largest number of the output.
    pub high: i8,
}

/// Convolution of 8-bit numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct QuantizedConv2d<P: Storage = InFile> {
    /// Kernel, stride, dilation, padding; the padding is the input's zero point.
    #[serde(with = "wire::Window")]
    pub window: Window,
    /// Channel groups.
    pub groups: u32,
    /// Smallest number of the output.
    pub low: i8,
    /// Largest number of the output.
    pub high: i8,
    /// Weights, bias and scale.
    pub layer: LayerI8<P>,
}

/// Linear layer of 8-bit numbers over the whole input read as one vector, in NHWC order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct QuantizedLinear<P: Storage = InFile> {
    /// Smallest number of the output.
    pub low: i8,
    /// Largest number of the output.
    pub high: i8,
    /// Weights, bias and scale.
    pub layer: LayerI8<P>,
}

without_parameters!(
    Quantize,
    Dequantize,
    Requantize,
    QuantizedAdd,
    QuantizedBinary
);

/// A quantization, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct QuantizeI8(Quantization);

impl Resolve<Quantize> for QuantizeI8 {
    fn resolve(_: &Quantize, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        Ok((Self(site.quantization(site.output())?), site.shape()))
    }
}

impl Run for QuantizeI8 {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.apart(|kernels, input, _, output| kernels.quantize_i8(self.0, input, output));
    }
}

/// The way back, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DequantizeI8(Quantization);

impl Resolve<Dequantize> for DequantizeI8 {
    fn resolve(_: &Dequantize, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        Ok((Self(site.quantization(site.input())?), site.shape()))
    }
}

impl Run for DequantizeI8 {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.apart(|kernels, input, _, output| kernels.dequantize_i8(self.0, input, output));
    }
}

impl Resolve<Requantize> for RequantizeI8 {
    fn resolve(operator: &Requantize, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let from = site.quantization(site.input())?;
        let to = site.quantization(site.output())?;
        let params = Self::new(from, to, (operator.low, operator.high));
        Ok((site.params(params)?, site.shape()))
    }
}

impl Run for RequantizeI8 {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.in_place(|kernels, data| kernels.requantize_i8(self, data));
    }
}

/// A sum, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AddI8 {
    params: params::AddI8,
    operand: Region,
}

impl Resolve<QuantizedAdd> for AddI8 {
    fn resolve(operator: &QuantizedAdd, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let operand = site.second()?;
        if operand.shape != site.shape() {
            return Err(site.mismatch());
        }
        let params = params::AddI8::new(
            site.quantization(site.input())?,
            site.quantization(operand)?,
            site.quantization(site.output())?,
            (operator.low, operator.high),
        );
        let ready = Self {
            params: site.params(params)?,
            operand: Region::of(operand),
        };
        Ok((ready, site.shape()))
    }
}

impl Run for AddI8 {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.in_place_with(self.operand, |kernels, operand, data| {
            kernels.add_i8(&self.params, operand, data);
        });
    }
}

/// A function of two tensors, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BinaryI8 {
    params: params::BinaryI8,
    operand: Region,
}

impl Resolve<QuantizedBinary> for BinaryI8 {
    fn resolve(operator: &QuantizedBinary, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let (shape, operand, none) = (site.shape(), site.second()?, Activation::Identity);
        let geometry = params::Binary::new(operator.function, none, shape, operand.shape);
        let params = params::BinaryI8::new(
            site.params(geometry)?,
            site.quantization(site.input())?,
            site.quantization(operand)?,
            site.quantization(site.output())?,
            (operator.low, operator.high),
        );
        let ready = Self {
            params: site.params(params)?,
            operand: Region::of(operand),
        };
        Ok((ready, shape))
    }
}

impl Run for BinaryI8 {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.in_place_with(self.operand, |kernels, operand, data| {
            kernels.binary_i8(&self.params, operand, data);
        });
    }
}

/// A convolution, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Conv2dI8 {
    params: params::Conv2dI8,
    layer: ReadyLayerI8,
}

impl Resolve<QuantizedConv2d> for Conv2dI8 {
    fn resolve(operator: &QuantizedConv2d, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let (channels, none) = (site.output().shape.channels, Activation::Identity);
        let (window, groups) = (operator.window, operator.groups as usize);
        let geometry = params::Conv2d::new(site.shape(), channels, window, groups, none);
        let geometry = site.params(geometry)?;
        let zero_point = site.quantization(site.input())?.zero_point;
        let to = site.requantize(operator.low, operator.high)?;
        let ready = Self {
            params: site.params(params::Conv2dI8::new(geometry, zero_point, to))?,
            layer: site.layer_i8(&operator.layer, geometry.weights_len(), channels)?,
        };
        Ok((ready, geometry.output()))
    }
}

impl Run for Conv2dI8 {
    fn check(&self, words: &[f32]) -> Result<(), ParamsError> {
        self.layer.of(words).check(self.terms())
    }

    fn terms(&self) -> usize {
        self.params.geometry().taps()
    }

    fn lens(&self) -> Lens {
        self.layer.lens(self.params.geometry().weights_len())
    }

    fn workspace<K: Kernels>(&self, kernels: &K) -> Workspace {
        Workspace {
            packed: kernels.conv2d_i8_packed_len(&self.params),
            scratch: kernels.conv2d_i8_scratch_len(&self.params),
        }
    }

    fn pack<K: Kernels>(&mut self, kernels: &K, file: &[f32], packed: &mut [u8], offset: usize) {
        let (params, order) = (&self.params, self.layer.order);
        let weights = &mut self.layer.weights;
        weights.pack(file, packed, offset, |weights, packed| {
            kernels.conv2d_i8_pack(params, (weights, order), packed);
        });
    }

    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        let weights = memory.weights(self.layer.weights);
        let weights = self.layer.with(weights, memory.file);
        memory.apart(|kernels, input, scratch, output| {
            kernels.conv2d_i8(&self.params, input, weights, scratch, output);
        });
    }
}

/// A linear layer, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LinearI8 {
    params: params::LinearI8,
    layer: ReadyLayerI8,
}

impl Resolve<QuantizedLinear> for LinearI8 {
    fn resolve(operator: &QuantizedLinear, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let (features, none) = (site.output().shape.len(), Activation::Identity);
        let geometry = params::Linear::new(site.shape().len(), features, none);
        let geometry = site.params(geometry)?;
        let zero_point = site.quantization(site.input())?.zero_point;
        let to = site.requantize(operator.low, operator.high)?;
        let ready = Self {
            params: site.params(params::LinearI8::new(geometry, zero_point, to))?,
            layer: site.layer_i8(&operator.layer, geometry.weights_len(), features)?,
        };
        Ok((ready, Shape::vector(features)))
    }
}

impl Run for LinearI8 {
    fn check(&self, words: &[f32]) -> Result<(), ParamsError> {
        self.layer.of(words).check(self.terms())
    }

    fn terms(&self) -> usize {
        self.params.geometry().in_features()
    }

    fn lens(&self) -> Lens {
        self.layer.lens(self.params.geometry().weights_len())
    }

    fn workspace<K: Kernels>(&self, kernels: &K) -> Workspace {
        Workspace {
            packed: kernels.linear_i8_packed_len(&self.params),
            scratch: kernels.linear_i8_scratch_len(&self.params),
        }
    }

    fn pack<K: Kernels>(&mut self, kernels: &K, file: &[f32], packed: &mut [u8], offset: usize) {
        let (params, order) = (&self.params, self.layer.order);
        let weights = &mut self.layer.weights;
        weights.pack(file, packed, offset, |weights, packed| {
            kernels.linear_i8_pack(params, (weights, order), packed);
        });
    }

    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        let weights = memory.weights(self.layer.weights);
        let weights = self.layer.with(weights, memory.file);
        memory.apart(|kernels, input, scratch, output| {
            kernels.linear_i8(&self.params, input, weights, scratch, output);
        });
    }
}

#[cfg(feature = "std")]
mod map {
    use super::{QuantizedConv2d, QuantizedLinear, Storage};
    use crate::operator::parameters::{Convert, Map};

    impl<P: Storage, Q: Storage> Map<P, Q> for QuantizedConv2d<P> {
        type To = QuantizedConv2d<Q>;

        fn map<C: Convert<P, Q>>(&self, convert: &mut C) -> Result<QuantizedConv2d<Q>, C::Error> {
            Ok(QuantizedConv2d {
                window: self.window,
                groups: self.groups,
                low: self.low,
                high: self.high,
                layer: self.layer.map(convert)?,
            })
        }
    }

    impl<P: Storage, Q: Storage> Map<P, Q> for QuantizedLinear<P> {
        type To = QuantizedLinear<Q>;

        fn map<C: Convert<P, Q>>(&self, convert: &mut C) -> Result<QuantizedLinear<Q>, C::Error> {
            Ok(QuantizedLinear {
                low: self.low,
                high: self.high,
                layer: self.layer.map(convert)?,
            })
        }
    }
}
