//! The model file as data: what each field of the one postcard message means. `FORMAT.md` is this page in
//! prose. Field order and variant order *are* the format; variants are only ever appended. The operators of nodes
//! are in [`crate::operator`].

use heapless::Vec;
use kinglet_kernels::{Axis, Quantization, Shape};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use crate::operator::{Element, Operator, bits, operation_name};

use crate::operator::{Storage, wire};

/// First eight bytes of every model file.
pub const MAGIC: [u8; 8] = *b"kinglet\0";
/// The format this crate reads and writes.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes of the prefix.
pub const PREFIX_LEN: usize = 108;
/// Weights begin at a multiple of this within the file.
pub const WEIGHTS_ALIGN: usize = 64;
/// Tensors in the arena, and parameters within the weights, begin at a multiple of this.
pub const TENSOR_ALIGN: usize = 16;
/// Most tensors of one graph. The overlap check is quadratic in it: the cap bounds the time a hostile
/// file can cost.
pub const MAX_TENSORS: usize = 1024;
/// Most inputs of a node.
pub const MAX_INPUTS: usize = kinglet_kernels::Concat::MAX_INPUTS;
/// Most inputs, and most outputs, of a model.
pub const MAX_ENDS: usize = 16;
/// Most elements of one tensor.
pub const MAX_ELEMENTS: usize = kinglet_kernels::params::MAX_ELEMENTS;
/// Bytes of a tensor's description.
pub const TENSOR_LEN: usize = 24;
/// Most axes of a source's shape.
pub const MAX_RANK: usize = 8;

/// What a tensor's elements are.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DType {
    /// IEEE 754 binary32, little-endian.
    F32,
    /// 8-bit two's complement: `real = scale * (q - zero_point)`.
    I8 {
        /// Finite and positive.
        scale: f32,
        /// The number that means 0.
        zero_point: i8,
    },
}

impl DType {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::I8 { .. } => 1,
        }
    }

    /// The type of its elements, whatever they mean.
    pub const fn element(self) -> Element {
        match self {
            Self::F32 => Element::F32,
            Self::I8 { .. } => Element::I8,
        }
    }

    /// What its numbers mean, if it is quantized.
    pub const fn quantization(self) -> Option<Quantization> {
        match self {
            Self::F32 => None,
            Self::I8 { scale, zero_point } => Some(Quantization { scale, zero_point }),
        }
    }
}

impl From<Quantization> for DType {
    fn from(Quantization { scale, zero_point }: Quantization) -> Self {
        Self::I8 { scale, zero_point }
    }
}

/// One tensor of a graph: [`TENSOR_LEN`] bytes of the file, so that any of them is found at once.
///
/// The first tensors are the inputs of the model, the others the outputs of its nodes, in their order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tensor {
    /// Shape of one sample.
    pub shape: Shape,
    /// What its elements are.
    pub dtype: DType,
    /// Where the plan puts it: bytes from the start of the arena, for one sample. A batch of B multiplies
    /// offset and size by B.
    pub offset: u32,
    /// The last node that reads it (for an output of the model: the last node).
    pub last_use: u16,
}

impl Tensor {
    /// Bytes of one sample.
    pub const fn bytes(&self) -> usize {
        self.shape.len().saturating_mul(self.dtype.size())
    }

    /// The tensor that `bytes` describe; None if its element type is unknown, or it is real and has a scale.
    pub(crate) fn read(bytes: &[u8; TENSOR_LEN]) -> Option<Self> {
        let (words, _) = bytes.as_chunks::<4>();
        let [height, width, channels, offset, rest, scale] = words else {
            return None;
        };
        let size = |word: &[u8; 4]| u32::from_le_bytes(*word) as usize;
        let [last_low, last_high, element, zero_point] = *rest;
        let zero_point = zero_point as i8;
        let scale = f32::from_le_bytes(*scale);
        let dtype = match element {
            0 if zero_point == 0 && scale.to_bits() == 0 => DType::F32,
            1 => DType::I8 { scale, zero_point },
            _ => return None,
        };
        Some(Self {
            shape: Shape::new(size(height), size(width), size(channels)),
            dtype,
            offset: u32::from_le_bytes(*offset),
            last_use: u16::from_le_bytes([last_low, last_high]),
        })
    }

    /// Its description; None if an extent has more than 32 bits.
    fn written(&self) -> Option<[u8; TENSOR_LEN]> {
        let (element, scale, zero_point) = match self.dtype {
            DType::F32 => (0, 0.0, 0),
            DType::I8 { scale, zero_point } => (1, scale, zero_point),
        };
        let size = |size: usize| u32::try_from(size).ok().map(u32::to_le_bytes);
        let [last_low, last_high] = self.last_use.to_le_bytes();
        let words = [
            size(self.shape.height)?,
            size(self.shape.width)?,
            size(self.shape.channels)?,
            self.offset.to_le_bytes(),
            [last_low, last_high, element, zero_point as u8],
            f32::to_le_bytes(scale),
        ];
        let mut bytes = [0; TENSOR_LEN];
        let target = bytes.iter_mut().zip(words.as_flattened());
        target.for_each(|(byte, from)| *byte = *from);
        Some(bytes)
    }
}

impl Serialize for Tensor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.written();
        let bytes = bytes.ok_or(serde::ser::Error::custom("an extent above 32 bits"))?;
        bytes.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tensor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <[u8; TENSOR_LEN]>::deserialize(deserializer)?;
        Self::read(&bytes).ok_or(serde::de::Error::custom("an unknown element type"))
    }
}

/// One node: an operator and the tensors it reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// What it computes.
    pub operator: Operator,
    /// Tensors it reads, in the operator's order.
    pub inputs: Vec<u16, MAX_INPUTS>,
}

impl Node {
    /// The tensor whose place the output may take, once nobody reads it any more. Not one that is read twice: it
    /// would change while it is read.
    pub fn replaces(&self) -> Option<u16> {
        replaced(&self.operator, &self.inputs)
    }
}

/// The tensor of `inputs` whose place the output of `operator` may take.
pub(crate) fn replaced<P: Storage, T: PartialEq + Copy>(
    operator: &Operator<P>,
    inputs: &[T],
) -> Option<T> {
    let (first, others) = inputs.split_first()?;
    (operator.in_place() && !others.contains(first)).then_some(*first)
}

/// How a tensor at an end of the model lies in the file that the model was made from: its elements, with the axes in
/// another order, as an array of another shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The shape of one sample there.
    pub shape: Vec<u32, MAX_RANK>,
    /// The order of the axes there, the outermost first: that of NCHW is channels, height, width.
    #[serde(with = "wire::order")]
    pub order: [Axis; 3],
}

/// An input of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input<'a> {
    /// What it is called.
    pub name: &'a str,
    /// How it lies in the source; None if as it does here.
    pub source: Option<Source>,
    /// For pictures the mean of each channel, then the standard deviation of each, for values from 0 to 1:
    /// little-endian `f32`; empty if they are not normalized.
    pub normalization: &'a [u8],
}

/// An output of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output<'a> {
    /// What it is called.
    pub name: &'a str,
    /// The tensor's number.
    pub tensor: u16,
    /// How it lies in the source; None if as it does here.
    pub source: Option<Source>,
    /// Class names, one for each element, each ended by a line feed; or none.
    pub labels: &'a str,
}

/// Something a later version added. A reader that does not know a required one refuses the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension<'a> {
    /// What it is; assigned in `FORMAT.md`.
    pub id: u32,
    /// Whether the model means something else without it.
    pub required: bool,
    /// Its content.
    pub bytes: &'a [u8],
}

/// The whole file, for hosts: any postcard implementation can read a model from this alone.
///
/// A microcontroller never builds it; [`Model`](crate::Model) walks the same bytes in place.
#[cfg(feature = "std")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct File<'a> {
    /// Identity and sizes.
    pub prefix: Prefix,
    /// Tensors, nodes and what goes with them.
    #[serde(borrow)]
    pub graph: Graph<'a>,
    /// Zeros that bring `weights` to a multiple of [`WEIGHTS_ALIGN`].
    pub padding: &'a [u8],
    /// All parameters.
    pub weights: &'a [u8],
}

/// Identity and sizes, in fixed-size byte arrays: postcard writes them as they are, so their places are
/// known to a `const fn`. All numbers are little-endian `u32` unless said otherwise.
#[cfg(feature = "std")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefix {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`FORMAT_VERSION`].
    pub format_version: [u8; 4],
    /// What the model computes: see `FORMAT.md`.
    pub model_id: [u8; 16],
    /// The model this one was fine-tuned from; zeros if none.
    pub parent_id: [u8; 16],
    /// CRC-32/ISO-HDLC of everything after the prefix.
    pub body_crc: [u8; 4],
    /// Length of the file.
    pub file_len: [u8; 4],
    /// Where the weights begin.
    pub weights_offset: [u8; 4],
    /// Bytes of weights.
    pub weights_len: [u8; 4],
    /// Elements of one sample of the first input.
    pub input_len: [u8; 4],
    /// Elements of one sample of the first output.
    pub output_len: [u8; 4],
    /// Bytes of tensors at the plan's peak, for one sample.
    pub activation_bytes: [u8; 4],
    /// Products of the longest sum of any node: what scratch of kernel sets for microcontrollers grows with.
    pub sum_terms: [u8; 4],
    /// Session records: one for each node.
    pub records: [u8; 4],
    /// Parameters of the trainable suffix.
    pub trainable_parameters: [u8; 4],
    /// Elements of the outputs of the trainable suffix's nodes, for one sample.
    pub suffix_values: [u8; 4],
    /// Bitmap of the operators in use, `u128`.
    pub operators: [u8; 16],
    /// CRC-32/ISO-HDLC of all of the above.
    pub prefix_crc: [u8; 4],
}

/// What is computed, where everything lies, and what the numbers mean.
#[cfg(feature = "std")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph<'a> {
    /// The model's name.
    pub name: &'a str,
    /// Tensors; see [`Tensor`] for their order.
    pub tensors: std::vec::Vec<Tensor>,
    /// Nodes in the order they run.
    pub nodes: std::vec::Vec<Node>,
    /// Inputs of the model.
    #[serde(borrow)]
    pub inputs: std::vec::Vec<Input<'a>>,
    /// Outputs of the model.
    #[serde(borrow)]
    pub outputs: std::vec::Vec<Output<'a>>,
    /// How many nodes at the end make up the trainable suffix.
    pub trainable_nodes: u16,
    /// What later versions added.
    #[serde(borrow)]
    pub extensions: std::vec::Vec<Extension<'a>>,
}
