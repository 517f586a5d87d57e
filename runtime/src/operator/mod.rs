//! The operators: what a node of a model file computes, each said once.
//!
//! `operators!`, below, is the table. From it follow the enum [`Operator`], which a file has and a writer makes, and
//! `Operation`, an operator for one type of elements with its parameters checked and found, ready to run. Each file here
//! has a few operators: their fields, how they are resolved, how they run.

mod binary;
mod conv2d;
mod copy;
mod element;
mod linear;
mod memory;
mod parameters;
mod pool2d;
mod quantized;
mod site;
mod softmax;
mod table;
pub(crate) mod unary;
pub(crate) mod wire;

use core::ops::RangeInclusive;

use kinglet_kernels::{
    AvgPool2dI8, Kernels, ParamsError, Pool2d, RequantizeI8, Shape, SoftmaxI8, Unary,
};
use serde::{Deserialize, Serialize};

pub use binary::{Binary, BinaryConstant, ChannelAffine};
pub use conv2d::{Conv2d, Conv2dMaxPool2d};
pub use copy::{Concat, Pad, Reshape, Slice, Transpose, Upsample};
pub use element::Element;
pub(crate) use element::Number;
pub use linear::Linear;
pub(crate) use linear::LinearF32;
pub(crate) use memory::{Memory, values, values_mut};
#[cfg(feature = "std")]
pub use parameters::Owned;
pub(crate) use parameters::Span;
use parameters::without_parameters;
#[cfg(feature = "std")]
pub(crate) use parameters::{Convert, Map};
pub use parameters::{
    InFile, Layer, LayerI8, Offset, Parameter, Storage, WeightsInFile, WeightsOrder,
};
pub use pool2d::{AvgPool2d, MaxPool2d};
pub use quantized::{
    Dequantize, Quantize, QuantizedAdd, QuantizedBinary, QuantizedConv2d, QuantizedLinear,
    Requantize,
};
pub(crate) use site::Site;
pub use softmax::{LogSoftmax, Softmax};
pub use table::Table;

use crate::model::LoadError;
use crate::model::schema::MAX_INPUTS;
use crate::model::take;

/// How many parameters an operator has: of each kind, in the order of their declaration.
pub(crate) type Lens = [Option<usize>; 3];

/// What a kernel set asks for beside input and output, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Workspace {
    /// For the weights in its own order, as long as a session lives.
    pub(crate) packed: usize,
    /// For as long as the node runs.
    pub(crate) scratch: usize,
}

/// How an operator `O` becomes ready to run.
pub(crate) trait Resolve<O>: Sized {
    /// Checks the operator's numbers and finds its parameters; returns the shape of its output, too. The number of
    /// inputs and the types of elements have been found to fit.
    fn resolve(operator: &O, site: &Site<'_>) -> Result<(Self, Shape), LoadError>;
}

/// An operator that is ready to run.
pub(crate) trait Run {
    /// Its bit in the prefix's bitmap, `row` being that of its row in the table.
    fn bit(&self, row: u128) -> u128 {
        row
    }

    /// Whether the values it computes with are possible: those of a function, and parameters in the file's weights.
    fn check(&self, words: &[f32]) -> Result<(), ParamsError> {
        let _ = words;
        Ok(())
    }

    /// How many parameters it has.
    fn lens(&self) -> Lens {
        [None; 3]
    }

    /// Products of the longest sum it computes.
    fn terms(&self) -> usize {
        0
    }

    /// True for what may stand in a trainable suffix: linear layers and functions with a way back anywhere, softmax at
    /// its end.
    fn trainable(&self, last: bool) -> bool {
        let _ = last;
        false
    }

    /// What `kernels` asks for.
    fn workspace<K: Kernels>(&self, kernels: &K) -> Workspace {
        let _ = kernels;
        Workspace::default()
    }

    /// Packs its weights, which lie in `file`, into `packed`, and remembers that they lie there, at byte `offset` of all
    /// packed weights. Called where the set wants them packed.
    fn pack<K: Kernels>(&mut self, kernels: &K, file: &[f32], packed: &mut [u8], offset: usize) {
        let _ = (kernels, file, packed, offset);
    }

    /// Computes the output. Functions of one element are behind their bits of `OPS`.
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>);
}

/// Makes everything that is to be said of all operators from the table:
///
/// - `Name(Fields) = number`, the variant's number on the wire, appended only;
/// - how many inputs it has, and whether the output may take the place of the first;
/// - a row for each type of elements: the bit in the prefix's bitmap, appended only, the types of inputs and output,
///   and what is ready to run.
macro_rules! operators {
    ($(
        $(#[$doc:meta])*
        $Name:ident($(#[$field:meta])* $Fields:ty) = $number:literal, $inputs:expr, $place:ident {
            $($BIT:ident = $bit:expr, $In:ident to $Out:ident: $Operation:ident($Ready:ty);)+
        }
    )*) => {
        /// What a node computes.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(bound = "")]
        pub enum Operator<P: Storage = InFile> {
            $($(#[$doc])* $Name($(#[$field])* $Fields),)*
        }

        $(
            impl<P: Storage> From<$Fields> for Operator<P> {
                fn from(operator: $Fields) -> Self {
                    Self::$Name(operator)
                }
            }
        )*

        // The numbers are those that the derived code counts.
        const _: () = {
            let numbers = [$($number),*];
            let mut at = 0;
            while at < numbers.len() {
                assert!(numbers[at] == at);
                at += 1;
            }
        };

        /// Bits of the prefix's bitmap of operators: one for each operator and type of elements.
        pub mod bits {
            use super::unary;

            $($(
                #[doc = concat!("`", stringify!($Operation), "`.")]
                pub const $BIT: u128 = $bit;
            )+)*
            /// Everything this crate has: what hosts take.
            pub const ALL: u128 = $($($BIT)|+)|*;
        }

        // No two rows have a bit in common.
        const _: () = assert!(
            0 $($(+ bits::$BIT.count_ones())+)* == bits::ALL.count_ones()
        );

        /// Names of operators by their numbers.
        static OPERATORS: [&str; [$($number),*].len()] = [$(stringify!($Name)),*];

        /// Names by bits: a table is the smallest code.
        static NAMES: [&str; NAMED] = {
            let mut names = unary::names();
            $($(
                if bits::$BIT.is_power_of_two() {
                    names[bits::$BIT.trailing_zeros() as usize] = stringify!($Operation);
                }
            )+)*
            names
        };

        impl<P: Storage> Operator<P> {
            /// Its name.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$Name(_) => stringify!($Name),)*
                }
            }

            /// How many tensors it reads.
            pub const fn inputs(&self) -> RangeInclusive<usize> {
                match self {
                    $(Self::$Name(_) => $inputs,)*
                }
            }

            /// True when the output may take the place of the first input.
            pub const fn in_place(&self) -> bool {
                match self {
                    $(Self::$Name(_) => operators!(@place $place),)*
                }
            }
        }

        impl Operator {
            /// Takes the operator of node number `node` off the front of `rest`, if it is one of those in the bitmap
            /// `OPS`: others are not linked.
            pub(crate) fn take<const OPS: u128>(
                rest: &mut &[u8],
                node: usize,
            ) -> Result<Self, LoadError> {
                // How the table's fields are held here.
                type P = InFile;
                let number: u32 = take(rest)?;
                match number {
                    $($number if OPS & ($(bits::$BIT)|+) != 0 => {
                        #[derive(Deserialize)]
                        struct Only($(#[$field])* $Fields);
                        let Only(fields) = take(rest)?;
                        Ok(Self::$Name(fields))
                    })*
                    // A table is smaller than an arm for each.
                    _ => Err(match OPERATORS.get(number as usize) {
                        Some(name) => LoadError::Operator { node, name },
                        None => LoadError::Malformed,
                    }),
                }
            }
        }

        #[cfg(feature = "std")]
        impl<P: Storage, Q: Storage> Map<P, Q> for Operator<P> {
            type To = Operator<Q>;

            fn map<C: Convert<P, Q>>(&self, convert: &mut C) -> Result<Operator<Q>, C::Error> {
                Ok(match self {
                    $(Self::$Name(operator) => Operator::$Name(operator.map(convert)?),)*
                })
            }
        }

        /// An operator for one type of elements, ready to run.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub(crate) enum Operation {
            $($($Operation($Ready),)+)*
        }

        impl Operation {
            /// Its bit in the prefix's bitmap.
            pub(crate) fn bit(&self) -> u128 {
                match self {
                    $($(Self::$Operation(ready) => ready.bit(bits::$BIT),)+)*
                }
            }

            /// True when the output may take the place of the first input.
            #[cfg(feature = "opencl")]
            pub(crate) const fn in_place(&self) -> bool {
                match self {
                    $($(Self::$Operation(_) => operators!(@place $place),)+)*
                }
            }

            /// See [`Run::terms`].
            pub(crate) fn terms(&self) -> usize {
                match self {
                    $($(Self::$Operation(ready) => ready.terms(),)+)*
                }
            }

            /// See [`Run::trainable`].
            pub(crate) fn trainable(&self, last: bool) -> bool {
                match self {
                    $($(Self::$Operation(ready) => ready.trainable(last),)+)*
                }
            }

            /// See [`Run::check`].
            pub(crate) fn check<const OPS: u128>(&self, words: &[f32]) -> Result<(), ParamsError> {
                match self {
                    $($(Self::$Operation(ready) if OPS & bits::$BIT != 0 => ready.check(words),)+)*
                    _ => Ok(()),
                }
            }

            /// See [`Run::lens`].
            pub(crate) fn lens(&self) -> Lens {
                match self {
                    $($(Self::$Operation(ready) => ready.lens(),)+)*
                }
            }

            /// See [`Run::workspace`].
            pub(crate) fn workspace<const OPS: u128, K: Kernels>(&self, kernels: &K) -> Workspace {
                match self {
                    $($(Self::$Operation(ready) if OPS & bits::$BIT != 0 => ready.workspace(kernels),)+)*
                    _ => Workspace::default(),
                }
            }

            /// See [`Run::pack`].
            pub(crate) fn pack<const OPS: u128, K: Kernels>(
                &mut self,
                kernels: &K,
                file: &[f32],
                packed: &mut [u8],
                offset: usize,
            ) {
                match self {
                    $($(Self::$Operation(ready) if OPS & bits::$BIT != 0 => {
                        ready.pack(kernels, file, packed, offset);
                    })+)*
                    _ => {}
                }
            }

            /// See [`Run::run`]. Each is behind its bit of `OPS`, so that no other is linked.
            pub(crate) fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
                match self {
                    $($(Self::$Operation(ready) if OPS & bits::$BIT != 0 => {
                        ready.run::<OPS, K>(memory);
                    })+)*
                    _ => debug_assert!(false, "{self:?} is not linked"),
                }
            }
        }

        /// Makes the operator of a node ready to run, if it is one of those in the bitmap `OPS`: each is behind its
        /// bit, so that no other is linked. Returns the shape of its output, too.
        pub(crate) fn resolve<const OPS: u128>(
            operator: &Operator,
            site: &Site<'_>,
        ) -> Result<(Operation, Shape), LoadError> {
            let inputs = site.others().len().saturating_add(1);
            if !operator.inputs().contains(&inputs) {
                return Err(site.mismatch());
            }
            let (operation, shape) = match (operator, site.input().dtype.element()) {
                $($((Operator::$Name(operator), Element::$In) if OPS & bits::$BIT != 0 => {
                    site.types(Element::$In, Element::$Out)?;
                    let (ready, shape) = <$Ready as Resolve<_>>::resolve(operator, site)?;
                    (Operation::$Operation(ready), shape)
                })+)*
                // With all of them linked, this type of elements has no row.
                _ if OPS == bits::ALL => return Err(site.wrong_type()),
                _ => return Err(site.not_linked(operator.name())),
            };
            if operation.bit() & OPS == 0 {
                return Err(site.not_linked(operation_name(operation.bit().trailing_zeros())));
            }
            Ok((operation, shape))
        }
    };
    (@place in_place) => { true };
    (@place apart) => { false };
}

operators! {
    /// Convolution with fused activation.
    Conv2d(Conv2d<P>) = 0, ONE, apart {
        CONV2D_F32 = 1 << 0, F32 to F32: Conv2dF32(conv2d::Conv2dF32);
    }
    /// Linear layer.
    Linear(Linear<P>) = 1, ONE, apart {
        LINEAR_F32 = 1 << 1, F32 to F32: LinearF32(linear::LinearF32);
    }
    /// Convolution and max pool in one.
    Conv2dMaxPool2d(Conv2dMaxPool2d<P>) = 2, ONE, apart {
        CONV2D_MAX_POOL2D_F32 = 1 << 2, F32 to F32: Conv2dMaxPool2dF32(conv2d::Conv2dMaxPool2dF32);
    }
    /// Maximum over a window.
    MaxPool2d(MaxPool2d) = 3, ONE, apart {
        MAX_POOL2D_F32 = 1 << 3, F32 to F32: MaxPool2dF32(pool2d::MaxPool2dOf<f32>);
        MAX_POOL2D_I8 = 1 << 28, I8 to I8: MaxPool2dI8(pool2d::MaxPool2dOf<i8>);
    }
    /// Average over a window.
    AvgPool2d(AvgPool2d) = 4, ONE, apart {
        AVG_POOL2D_F32 = 1 << 4, F32 to F32: AvgPool2dF32(Pool2d);
        AVG_POOL2D_I8 = 1 << 29, I8 to I8: AvgPool2dI8(AvgPool2dI8);
    }
    /// A function of each element. Each function has a bit of its own.
    Unary(#[serde(with = "unary::Wire")] Unary) = 5, ONE, in_place {
        UNARY_F32 = unary::BITS, F32 to F32: UnaryF32(Unary);
    }
    /// Softmax over the channels of each position.
    Softmax(Softmax) = 6, ONE, in_place {
        SOFTMAX_F32 = 1 << 14, F32 to F32: SoftmaxF32(softmax::SoftmaxF32);
        SOFTMAX_I8 = 1 << 30, I8 to I8: SoftmaxI8(SoftmaxI8);
    }
    /// Logarithm of softmax over the channels of each position.
    LogSoftmax(LogSoftmax) = 7, ONE, in_place {
        LOG_SOFTMAX_F32 = 1 << 15, F32 to F32: LogSoftmaxF32(softmax::LogSoftmaxF32);
    }
    /// A function of each element of two tensors.
    Binary(Binary) = 8, TWO, in_place {
        BINARY_F32 = 1 << 16, F32 to F32: BinaryF32(binary::BinaryF32);
    }
    /// A function of each element of a tensor and constants.
    BinaryConstant(BinaryConstant<P>) = 9, ONE, in_place {
        BINARY_CONSTANT_F32 = 1 << 17, F32 to F32: BinaryConstantF32(binary::BinaryConstantF32);
    }
    /// A factor and a summand for each channel.
    ChannelAffine(ChannelAffine<P>) = 10, ONE, in_place {
        CHANNEL_AFFINE_F32 = 1 << 18, F32 to F32: ChannelAffineF32(binary::ChannelAffineF32);
    }
    /// The inputs one after the other.
    Concat(Concat) = 11, 1..=MAX_INPUTS, apart {
        CONCAT_F32 = 1 << 19, F32 to F32: ConcatF32(copy::ConcatOf<f32>);
        CONCAT_I8 = 1 << 31, I8 to I8: ConcatI8(copy::ConcatOf<i8>);
    }
    /// A part of the input.
    Slice(Slice) = 12, ONE, apart {
        SLICE_F32 = 1 << 20, F32 to F32: SliceF32(copy::CopyOf<f32>);
        SLICE_I8 = 1 << 32, I8 to I8: SliceI8(copy::CopyOf<i8>);
    }
    /// The input within a larger tensor.
    Pad(Pad) = 13, ONE, apart {
        PAD_F32 = 1 << 21, F32 to F32: PadF32(copy::PadOf<f32>);
        PAD_I8 = 1 << 33, I8 to I8: PadI8(copy::PadOf<i8>);
    }
    /// Each row and column repeated.
    Upsample(Upsample) = 14, ONE, apart {
        UPSAMPLE_F32 = 1 << 22, F32 to F32: UpsampleF32(copy::UpsampleOf<f32>);
        UPSAMPLE_I8 = 1 << 34, I8 to I8: UpsampleI8(copy::UpsampleOf<i8>);
    }
    /// The axes in another order.
    Transpose(Transpose) = 15, ONE, apart {
        TRANSPOSE_F32 = 1 << 23, F32 to F32: TransposeF32(copy::CopyOf<f32>);
        TRANSPOSE_I8 = 1 << 35, I8 to I8: TransposeI8(copy::CopyOf<i8>);
    }
    /// The same elements in another shape.
    Reshape(Reshape) = 16, ONE, in_place {
        RESHAPE_F32 = 1 << 24, F32 to F32: ReshapeF32(copy::ReshapeOf<f32>);
        RESHAPE_I8 = 1 << 36, I8 to I8: ReshapeI8(copy::ReshapeOf<i8>);
    }
    /// 8-bit numbers from real ones.
    Quantize(Quantize) = 17, ONE, apart {
        QUANTIZE_I8 = 1 << 25, F32 to I8: QuantizeI8(quantized::QuantizeI8);
    }
    /// Real numbers from 8-bit ones.
    Dequantize(Dequantize) = 18, ONE, apart {
        DEQUANTIZE_I8 = 1 << 26, I8 to F32: DequantizeI8(quantized::DequantizeI8);
    }
    /// 8-bit numbers of another scale or zero point.
    Requantize(Requantize) = 19, ONE, in_place {
        REQUANTIZE_I8 = 1 << 27, I8 to I8: RequantizeI8(RequantizeI8);
    }
    /// Convolution of 8-bit numbers.
    QuantizedConv2d(QuantizedConv2d<P>) = 20, ONE, apart {
        CONV2D_I8 = 1 << 37, I8 to I8: Conv2dI8(quantized::Conv2dI8);
    }
    /// Linear layer of 8-bit numbers.
    QuantizedLinear(QuantizedLinear<P>) = 21, ONE, apart {
        LINEAR_I8 = 1 << 38, I8 to I8: LinearI8(quantized::LinearI8);
    }
    /// The sum of two tensors of 8-bit numbers.
    QuantizedAdd(QuantizedAdd) = 22, TWO, in_place {
        ADD_I8 = 1 << 39, I8 to I8: AddI8(quantized::AddI8);
    }
    /// A function of each 8-bit number, as a table.
    Table(Table<P>) = 23, ONE, in_place {
        TABLE_I8 = 1 << 53, I8 to I8: TableI8(table::ReadyTable);
    }
    /// A function of each number of two tensors.
    QuantizedBinary(QuantizedBinary) = 24, TWO, in_place {
        BINARY_I8 = 1 << 54, I8 to I8: BinaryI8(quantized::BinaryI8);
    }
}

/// How many bits have a name.
const NAMED: usize = (u128::BITS - bits::ALL.leading_zeros()) as usize;

/// Name of what has a bit of the bitmap.
pub fn operation_name(bit: u32) -> &'static str {
    let name = NAMES.get(bit as usize);
    name.copied().unwrap_or("an unknown operator")
}

const ONE: RangeInclusive<usize> = 1..=1;
const TWO: RangeInclusive<usize> = 2..=2;
