//! How an operator holds its parameters: by their places in a model file, or by value.

use core::fmt::Debug;
use core::marker::PhantomData;

use bytemuck::Pod;
use kinglet_kernels::RowOrder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::LoadError;
use crate::model::schema::TENSOR_ALIGN;

/// A type of parameters: `f32`, `i32` or `i8`, little-endian in the file.
pub trait Parameter: Pod + Debug + PartialEq + Serialize + DeserializeOwned {}

impl Parameter for f32 {}
impl Parameter for i32 {}
impl Parameter for i8 {}

/// How parameters are held.
pub trait Storage: Debug + Clone + PartialEq + 'static {
    /// Several parameters of type `T`.
    type Of<T: Parameter>: Debug + Clone + PartialEq + Serialize + DeserializeOwned;
    /// The weights of a convolution or linear layer, which may be stored in more than one order.
    type Weights<T: Parameter>: Debug + Clone + PartialEq + Serialize + DeserializeOwned;
}

/// By their places in the weights of a model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFile;

impl Storage for InFile {
    type Of<T: Parameter> = Offset<T>;
    type Weights<T: Parameter> = WeightsInFile<T>;
}

/// By value, to be written; weights are in the order [`WeightsOrder::OHWI`].
#[cfg(feature = "std")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned;

#[cfg(feature = "std")]
impl Storage for Owned {
    type Of<T: Parameter> = std::vec::Vec<T>;
    type Weights<T: Parameter> = std::vec::Vec<T>;
}

/// In which order a file has the weights of a layer. A number that a reader does not know is refused, with its
/// number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[serde(transparent)]
pub struct WeightsOrder(pub u32);

impl WeightsOrder {
    /// `[out_channels, kernel_h, kernel_w, in_channels / groups]`, or `[out_features, in_features]`.
    pub const OHWI: Self = Self(0);
    /// Rows of OHWI two by two, of 8-bit weights: see [`RowOrder::Pairs`].
    pub const PAIRS: Self = Self(1);

    /// What it is to kernels of 8-bit numbers, if there is such a one.
    pub(crate) const fn of_rows(self) -> Option<RowOrder> {
        match self {
            Self::OHWI => Some(RowOrder::Rows),
            Self::PAIRS => Some(RowOrder::Pairs),
            _ => None,
        }
    }
}

/// Where weights of type `T` lie, and in which order.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct WeightsInFile<T> {
    /// The order.
    pub order: WeightsOrder,
    /// The place of the first.
    pub offset: Offset<T>,
}

impl<T> Clone for WeightsInFile<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for WeightsInFile<T> {}

impl<T> From<Offset<T>> for WeightsInFile<T> {
    /// Those in the order [`WeightsOrder::OHWI`].
    fn from(offset: Offset<T>) -> Self {
        Self {
            order: WeightsOrder::OHWI,
            offset,
        }
    }
}

impl<T> WeightsInFile<T> {
    /// The place of `len` weights of node number `node` in a file of `words` words of weights.
    pub(crate) fn span(self, node: usize, len: usize, words: usize) -> Result<Span<T>, LoadError> {
        match self.order {
            WeightsOrder::OHWI => self.offset.span(node, len, words),
            order => Err(LoadError::WeightsOrder { node, order }),
        }
    }
}

/// Where parameters of type `T` lie: bytes from the start of the weights. How many there are follows from the shapes
/// of the node's tensors.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "", transparent)]
pub struct Offset<T> {
    bytes: u32,
    element: PhantomData<T>,
}

impl<T> Clone for Offset<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Offset<T> {}

impl<T> Offset<T> {
    /// So many bytes from the start of the weights.
    pub const fn new(bytes: u32) -> Self {
        Self {
            bytes,
            element: PhantomData,
        }
    }

    /// Bytes from the start of the weights.
    pub const fn bytes(self) -> u32 {
        self.bytes
    }

    /// The place of `len` parameters of node number `node` in a file of `words` words of weights.
    pub(crate) fn span(self, node: usize, len: usize, words: usize) -> Result<Span<T>, LoadError> {
        let offset = self.bytes as usize;
        let end = offset.saturating_add(len.saturating_mul(size_of::<T>()));
        if offset.is_multiple_of(TENSOR_ALIGN) && end <= words.saturating_mul(4) {
            Ok(Span {
                offset: offset / size_of::<T>(),
                len,
                element: PhantomData,
            })
        } else {
            Err(LoadError::Weights { node })
        }
    }
}

/// The place of parameters, in their own elements: within the file's weights, or once packed within all that is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Span<T> {
    offset: usize,
    len: usize,
    element: PhantomData<T>,
}

impl<T> Clone for Span<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Span<T> {}

impl<T> Span<T> {
    pub(crate) const fn new(offset: usize, len: usize) -> Self {
        Self {
            offset,
            len,
            element: PhantomData,
        }
    }

    #[cfg(feature = "opencl")]
    pub(crate) const fn offset(self) -> usize {
        self.offset
    }

    pub(crate) const fn len(self) -> usize {
        self.len
    }
}

impl<T: Pod> Span<T> {
    /// The part it names of the file's weights, or of packed ones. The check at load has found it in range.
    pub(crate) fn of<W: Pod>(self, all: &[W]) -> &[T] {
        // Words are bytes, and words of another kind, and packed weights begin as words do: no cast fails.
        let values: &[T] = bytemuck::try_cast_slice(all).unwrap_or_default();
        let part = values.get(self.offset..self.offset.saturating_add(self.len));
        debug_assert!(part.is_some(), "parameters outside of the weights");
        part.unwrap_or_default()
    }
}

/// Weights and bias of a convolution or linear layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Layer<P: Storage = InFile> {
    /// `[out_channels, kernel_h, kernel_w, in_channels / groups]`, or `[out_features, in_features]`.
    pub weights: P::Weights<f32>,
    /// One for each output channel or feature.
    pub bias: Option<P::Of<f32>>,
}

/// The parameters of a convolution or linear layer of 8-bit numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct LayerI8<P: Storage = InFile> {
    /// As those of a [`Layer`]; their zero point is 0.
    pub weights: P::Weights<i8>,
    /// One for each output channel, at the scale of the input times that of the channel's weights.
    pub bias: Option<P::Of<i32>>,
    /// One for each output channel, what its sums are multiplied by: `(input scale * weight scale) / output scale`, in
    /// `f32` and in this order.
    pub scale: P::Of<f32>,
}

/// Takes parameters from one way of holding them to another.
#[cfg(feature = "std")]
pub(crate) trait Convert<P: Storage, Q: Storage> {
    type Error;

    fn convert<T: Parameter>(&mut self, from: &P::Of<T>) -> Result<Q::Of<T>, Self::Error>;

    fn weights<T: Parameter>(&mut self, from: &P::Weights<T>)
    -> Result<Q::Weights<T>, Self::Error>;

    fn optional<T: Parameter>(
        &mut self,
        from: Option<&P::Of<T>>,
    ) -> Result<Option<Q::Of<T>>, Self::Error> {
        from.map(|from| self.convert(from)).transpose()
    }
}

/// Something whose parameters can be taken from one way of holding them to another.
#[cfg(feature = "std")]
pub(crate) trait Map<P: Storage, Q: Storage> {
    type To;

    /// Parameters are converted in the order in which they are declared.
    fn map<C: Convert<P, Q>>(&self, convert: &mut C) -> Result<Self::To, C::Error>;
}

#[cfg(feature = "std")]
impl<P: Storage, Q: Storage> Map<P, Q> for Layer<P> {
    type To = Layer<Q>;

    fn map<C: Convert<P, Q>>(&self, convert: &mut C) -> Result<Layer<Q>, C::Error> {
        Ok(Layer {
            weights: convert.weights(&self.weights)?,
            bias: convert.optional(self.bias.as_ref())?,
        })
    }
}

#[cfg(feature = "std")]
impl<P: Storage, Q: Storage> Map<P, Q> for LayerI8<P> {
    type To = LayerI8<Q>;

    fn map<C: Convert<P, Q>>(&self, convert: &mut C) -> Result<LayerI8<Q>, C::Error> {
        Ok(LayerI8 {
            weights: convert.weights(&self.weights)?,
            bias: convert.optional(self.bias.as_ref())?,
            scale: convert.convert(&self.scale)?,
        })
    }
}

/// Implements [`Map`] for operators without parameters.
macro_rules! without_parameters {
    ($($Operator:ty),* $(,)?) => {$(
        #[cfg(feature = "std")]
        impl<P: $crate::operator::Storage, Q: $crate::operator::Storage>
            $crate::operator::Map<P, Q> for $Operator
        {
            type To = Self;

            fn map<C: $crate::operator::Convert<P, Q>>(&self, _: &mut C) -> Result<Self, C::Error> {
                Ok(self.clone())
            }
        }
    )*};
}
pub(super) use without_parameters;
