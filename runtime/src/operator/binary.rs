//! Functions of two elements: of two tensors, of a tensor and constants.

use kinglet_kernels::{Activation, BinaryFunction, Kernels, Shape, params};
use serde::{Deserialize, Serialize};

use super::memory::Memory;
use super::parameters::Span;
use super::site::Site;
use super::{InFile, Lens, Resolve, Run, Storage, wire, without_parameters};
use crate::model::LoadError;
use crate::record::Region;

/// A function of each element of the first input and the element of the second at its place. The second has the shape
/// of the first, or 1 along any axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Binary {
    /// Of an element and its operand.
    #[serde(with = "wire::BinaryFunction")]
    pub function: BinaryFunction,
    /// Applied to each output.
    #[serde(with = "wire::Activation")]
    pub activation: Activation,
}

/// The same with an operand of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct BinaryConstant<P: Storage = InFile> {
    /// Of an element and its operand.
    #[serde(with = "wire::BinaryFunction")]
    pub function: BinaryFunction,
    /// Applied to each output.
    #[serde(with = "wire::Activation")]
    pub activation: Activation,
    /// Shape of the operand: the input's, or 1 along any axis.
    #[serde(with = "wire::Shape")]
    pub shape: Shape,
    /// `[height, width, channels]` of that shape.
    pub operand: P::Of<f32>,
}

/// `x * scale + shift`, channel by channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ChannelAffine<P: Storage = InFile> {
    /// Applied to each output.
    #[serde(with = "wire::Activation")]
    pub activation: Activation,
    /// One for each channel.
    pub scale: P::Of<f32>,
    /// One for each channel.
    pub shift: P::Of<f32>,
}

without_parameters!(Binary);

/// A function of two tensors, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BinaryF32 {
    pub(crate) params: params::Binary,
    pub(crate) operand: Region,
}

impl Resolve<Binary> for BinaryF32 {
    fn resolve(operator: &Binary, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let Binary {
            function,
            activation,
        } = *operator;
        let (shape, operand) = (site.shape(), site.second()?);
        let params = params::Binary::new(function, activation, shape, operand.shape);
        let ready = Self {
            params: site.params(params)?,
            operand: Region::of(operand),
        };
        Ok((ready, shape))
    }
}

impl Run for BinaryF32 {
    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        memory.in_place_with(self.operand, |kernels, operand, data| {
            kernels.binary_f32(&self.params, operand, data);
        });
    }
}

/// A function of a tensor and constants, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BinaryConstantF32 {
    pub(crate) params: params::Binary,
    pub(crate) operand: Span<f32>,
}

impl Resolve<BinaryConstant> for BinaryConstantF32 {
    fn resolve(operator: &BinaryConstant, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let BinaryConstant {
            function,
            activation,
            shape,
            operand,
        } = *operator;
        let params = params::Binary::new(function, activation, site.shape(), shape);
        let params = site.params(params)?;
        let operand = site.span(operand, params.operand_len())?;
        Ok((Self { params, operand }, site.shape()))
    }
}

impl Run for BinaryConstantF32 {
    fn lens(&self) -> Lens {
        [Some(self.operand.len()), None, None]
    }

    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        let operand = self.operand.of(memory.file);
        memory.in_place(|kernels, data| kernels.binary_f32(&self.params, operand, data));
    }
}

/// A scale and shift of each channel, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ChannelAffineF32 {
    pub(crate) activation: Activation,
    pub(crate) scale: Span<f32>,
    pub(crate) shift: Span<f32>,
}

impl Resolve<ChannelAffine> for ChannelAffineF32 {
    fn resolve(operator: &ChannelAffine, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let channels = site.shape().channels;
        let ready = Self {
            activation: operator.activation,
            scale: site.span(operator.scale, channels)?,
            shift: site.span(operator.shift, channels)?,
        };
        Ok((ready, site.shape()))
    }
}

impl Run for ChannelAffineF32 {
    fn lens(&self) -> Lens {
        [Some(self.scale.len()), Some(self.shift.len()), None]
    }

    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        let (scale, shift) = (self.scale.of(memory.file), self.shift.of(memory.file));
        memory.in_place(|kernels, data| {
            kernels.channel_affine_f32(self.activation, scale, shift, data);
        });
    }
}

#[cfg(feature = "std")]
mod map {
    use super::{BinaryConstant, ChannelAffine, Storage};
    use crate::operator::parameters::{Convert, Map};

    impl<P: Storage, Q: Storage> Map<P, Q> for BinaryConstant<P> {
        type To = BinaryConstant<Q>;

        fn map<C: Convert<P, Q>>(&self, convert: &mut C) -> Result<BinaryConstant<Q>, C::Error> {
            Ok(BinaryConstant {
                function: self.function,
                activation: self.activation,
                shape: self.shape,
                operand: convert.convert(&self.operand)?,
            })
        }
    }

    impl<P: Storage, Q: Storage> Map<P, Q> for ChannelAffine<P> {
        type To = ChannelAffine<Q>;

        fn map<C: Convert<P, Q>>(&self, convert: &mut C) -> Result<ChannelAffine<Q>, C::Error> {
            Ok(ChannelAffine {
                activation: self.activation,
                scale: convert.convert(&self.scale)?,
                shift: convert.convert(&self.shift)?,
            })
        }
    }
}
