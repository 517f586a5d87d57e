//! Reading the graph without building it: lists stay bytes. Tensors have a fixed size, so that any is found at once;
//! other lists are decoded as they are walked.

use core::marker::PhantomData;

use kinglet_kernels::Shape;
use serde::Deserialize;

use super::schema::{
    DType, Extension, Input, MAX_ENDS, Node, Operator, Output, TENSOR_LEN, Tensor, WEIGHTS_ALIGN,
};
use super::{LoadError, Prefix};
use crate::session::InputError;

/// A list of a model file, decoded element by element each time it is walked.
#[derive(Debug)]
pub struct List<'a, T> {
    bytes: &'a [u8],
    len: usize,
    element: PhantomData<T>,
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<'a, T> List<'a, T> {
    /// The `len` elements that were taken off the front of `start` until `rest` was left.
    fn between(start: &'a [u8], rest: &[u8], len: u32) -> Self {
        let bytes = start.get(..start.len().saturating_sub(rest.len()));
        Self {
            bytes: bytes.unwrap_or_default(),
            len: len as usize,
            element: PhantomData,
        }
    }
}

impl<'a, T: Deserialize<'a>> List<'a, T> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        let mut rest = self.bytes;
        // Every element was decoded once when the file was loaded, so `ok()?` never ends the walk early.
        (0..self.len).map_while(move |_| take(&mut rest).ok())
    }
}

/// The tensors of a model file.
#[derive(Debug, Clone, Copy)]
pub struct Tensors<'a> {
    all: &'a [[u8; TENSOR_LEN]],
}

impl<'a> Tensors<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Tensor number `index`.
    pub fn get(&self, index: usize) -> Option<Tensor> {
        self.all.get(index).and_then(Tensor::read)
    }

    /// The tensors in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Tensor> + ExactSizeIterator + use<'a> {
        // Every tensor was read once when the file was loaded.
        self.all.iter().map(|bytes| {
            Tensor::read(bytes).unwrap_or(Tensor {
                shape: Shape::new(0, 0, 0),
                dtype: DType::F32,
                offset: 0,
                last_use: 0,
            })
        })
    }
}

/// The class names of an output.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    text: &'a str,
}

impl<'a> Labels<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.text.bytes().filter(|byte| *byte == b'\n').count()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The name of one class.
    pub fn get(&self, class: usize) -> Option<&'a str> {
        self.iter().nth(class)
    }

    /// The names in the order of the outputs.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.text.split_terminator('\n')
    }
}

/// How pictures become numbers: `(pixel / 255 - mean) / std`, channel by channel.
#[derive(Debug, Clone, Copy)]
pub struct Normalization<'a> {
    mean: &'a [[u8; 4]],
    std: &'a [[u8; 4]],
}

impl<'a> Normalization<'a> {
    /// That of `bytes`, which the check at load has found to be whole.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let (words, _) = bytes.as_chunks::<4>();
        let (mean, std) = words.split_at_checked(words.len() / 2).unwrap_or_default();
        Self { mean, std }
    }

    /// True where pictures are not normalized: their values are `pixel / 255`.
    pub fn is_empty(&self) -> bool {
        self.std.is_empty()
    }

    /// Mean of each channel.
    pub fn mean(&self) -> impl ExactSizeIterator<Item = f32> + Clone + use<'a> {
        self.mean.iter().map(|word| f32::from_le_bytes(*word))
    }

    /// Writes what each of `pixels` becomes, as `to` makes an element of it, to `target`: any number of whole samples.
    pub(crate) fn apply<T>(
        &self,
        pixels: &[u8],
        target: &mut [T],
        to: impl Fn(f32) -> T,
    ) -> Result<(), InputError> {
        if pixels.len() != target.len() {
            return Err(InputError::Length {
                expected: target.len(),
                found: pixels.len(),
            });
        }
        let mut pairs = target.iter_mut().zip(pixels);
        if self.is_empty() {
            pairs.for_each(|(t, pixel)| *t = to(f32::from(*pixel) / 255.0));
            return Ok(());
        }
        // One round per position: as many pairs as the input has channels. Lengths agree by the check at
        // load, so the outer loop ends exactly when the pixels do.
        let mut left = pixels.len();
        while left > 0 {
            for ((mean, std), (t, pixel)) in self.mean().zip(self.std()).zip(&mut pairs) {
                *t = to((f32::from(*pixel) / 255.0 - mean) / std);
                left = left.saturating_sub(1);
            }
        }
        Ok(())
    }

    /// Standard deviation of each channel.
    pub fn std(&self) -> impl ExactSizeIterator<Item = f32> + Clone + use<'a> {
        self.std.iter().map(|word| f32::from_le_bytes(*word))
    }
}

/// Takes one value off the front of `rest`.
pub(crate) fn take<'a, T: Deserialize<'a>>(rest: &mut &'a [u8]) -> Result<T, LoadError> {
    let (value, after) = postcard::take_from_bytes(rest).map_err(|_| LoadError::Malformed)?;
    *rest = after;
    Ok(value)
}

/// Takes a list: the number of elements, then each.
fn take_list<'a, T: Deserialize<'a>>(rest: &mut &'a [u8]) -> Result<List<'a, T>, LoadError> {
    let len: u32 = take(rest)?;
    let start = *rest;
    for _ in 0..len {
        let before = rest.len();
        let _: T = take(rest)?;
        if rest.len() == before {
            // No element of the schema is empty: this bounds the loop by the length of the file.
            return Err(LoadError::Malformed);
        }
    }
    Ok(List::between(start, rest, len))
}

/// Takes node number `index`, of an operator in `OPS`.
fn take_node<const OPS: u128>(rest: &mut &[u8], index: usize) -> Result<Node, LoadError> {
    #[cfg(all(test, feature = "std"))]
    tests::TAKEN.set(tests::TAKEN.get() + 1);
    Ok(Node {
        operator: Operator::take::<OPS>(rest, index)?,
        inputs: take(rest)?,
    })
}

/// Takes the nodes, as [`take_list`] does: each has a byte at least.
fn take_nodes<'a, const OPS: u128>(rest: &mut &'a [u8]) -> Result<List<'a, Node>, LoadError> {
    let len: u32 = take(rest)?;
    let start = *rest;
    for index in 0..len as usize {
        take_node::<OPS>(rest, index)?;
    }
    Ok(List::between(start, rest, len))
}

/// Takes the inputs or outputs: at most [`MAX_ENDS`].
fn take_ends<'a, T: Deserialize<'a>>(rest: &mut &'a [u8]) -> Result<List<'a, T>, LoadError> {
    let ends: List<'a, T> = take_list(rest)?;
    match ends.len {
        1..=MAX_ENDS => Ok(ends),
        found => Err(LoadError::Ends { found }),
    }
}

/// Takes the tensors.
fn take_tensors<'a>(rest: &mut &'a [u8]) -> Result<Tensors<'a>, LoadError> {
    let len: u32 = take(rest)?;
    let bytes = (len as usize).saturating_mul(TENSOR_LEN);
    let (tensors, after) = rest.split_at_checked(bytes).ok_or(LoadError::Malformed)?;
    *rest = after;
    let (all, _) = tensors.as_chunks();
    match all.iter().all(|tensor| Tensor::read(tensor).is_some()) {
        true => Ok(Tensors { all }),
        false => Err(LoadError::Malformed),
    }
}

/// The graph of a model file, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GraphView<'a> {
    pub(crate) name: &'a str,
    pub(crate) tensors: Tensors<'a>,
    pub(crate) nodes: List<'a, Node>,
    pub(crate) inputs: List<'a, Input<'a>>,
    pub(crate) outputs: List<'a, Output<'a>>,
    pub(crate) trainable_nodes: u16,
    pub(crate) extensions: List<'a, Extension<'a>>,
}

impl<'a> GraphView<'a> {
    /// Walks the graph, which is checked to be well formed, and returns what follows it.
    pub(crate) fn read<const OPS: u128>(body: &'a [u8]) -> Result<(Self, &'a [u8]), LoadError> {
        let mut rest = body;
        let rest = &mut rest;
        let graph = Self {
            name: take(rest)?,
            tensors: take_tensors(rest)?,
            nodes: take_nodes::<OPS>(rest)?,
            inputs: take_ends(rest)?,
            outputs: take_ends(rest)?,
            trainable_nodes: take(rest)?,
            extensions: take_list(rest)?,
        };
        Ok((graph, rest))
    }

    /// The nodes, whose operators are in `OPS` as the graph was read, in the order they run.
    pub(crate) fn nodes<const OPS: u128>(&self) -> impl Iterator<Item = Node> + use<'a, OPS> {
        let mut rest = self.nodes.bytes;
        (0..self.nodes.len).map_while(move |index| take_node::<OPS>(&mut rest, index).ok())
    }

    /// The same with their outputs.
    pub(crate) fn nodes_with_outputs<const OPS: u128>(
        &self,
    ) -> impl Iterator<Item = (Node, Tensor)> + use<'a, OPS> {
        let outputs = self.tensors.iter().skip(self.inputs.len);
        self.nodes::<OPS>().zip(outputs)
    }
}

/// Reads the padding and the weights, the last two fields of the file.
pub(crate) fn read_weights<'a>(
    rest: &'a [u8],
    prefix: &Prefix,
    file_len: usize,
) -> Result<&'a [u8], LoadError> {
    let mut rest = rest;
    let padding: &[u8] = take(&mut rest)?;
    let weights: &[u8] = take(&mut rest)?;
    let offset = file_len.saturating_sub(weights.len());
    let placed = rest.is_empty()
        && padding.iter().all(|byte| *byte == 0)
        && offset == prefix.weights_offset
        && offset.is_multiple_of(WEIGHTS_ALIGN)
        && weights.len() == prefix.weights_len
        && weights.len().is_multiple_of(4);
    if placed {
        Ok(weights)
    } else {
        Err(LoadError::WeightsPlace)
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use std::cell::Cell;
    use std::vec::Vec;

    use kinglet_kernels::{Portable, Unary};

    use super::*;
    use crate::model::{GraphSpec, InputSpec, NodeSpec, OutputSpec, encode};
    use crate::{AlignedBytes, Model, SessionMemory};

    std::thread_local! {
        /// Values that this thread has decoded.
        pub(super) static TAKEN: Cell<usize> = const { Cell::new(0) };
    }

    /// Values that are decoded to load a chain of so many nodes, each of which reads the first tensor if it `looks_back`
    /// and the one before it if not, and to make a session of it.
    fn decoded(nodes: usize, looks_back: bool) -> [usize; 2] {
        let shape = Shape::vector(4);
        let node = |index| NodeSpec {
            operator: Unary::Relu.into(),
            inputs: std::vec![if looks_back { 0 } else { index }],
            output: shape.into(),
        };
        let spec = GraphSpec {
            name: "chain".into(),
            inputs: std::vec![InputSpec::new("input", shape)],
            nodes: (0..nodes).map(node).collect::<Vec<_>>(),
            outputs: std::vec![OutputSpec::new("output", nodes)],
            trainable_nodes: 0,
        };
        let (file, _) = encode(&spec).unwrap();
        let file = AlignedBytes::from(file.as_slice());
        TAKEN.set(0);
        let model = Model::load(&file).unwrap();
        let loaded = TAKEN.replace(0);
        let mut memory = SessionMemory::new(&model, &Portable, 1);
        memory.session(&model, Portable).unwrap();
        [loaded, TAKEN.get()]
    }

    /// As FORMAT.md promises of files of unknown origin: how much is decoded grows with the nodes, not with their square.
    #[test]
    fn loading_walks_over_the_nodes_three_times_and_a_session_twice() {
        for looks_back in [false, true] {
            let (few, many) = (decoded(10, looks_back), decoded(410, looks_back));
            let [loaded, made] = [0, 1].map(|step| many[step] - few[step]);
            assert_eq!((loaded, made), (3 * 400, 2 * 400), "{looks_back}");
        }
    }
}
