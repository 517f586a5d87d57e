//! Reading the graph without building it: lists stay bytes and are decoded as they are walked.

use core::marker::PhantomData;

use serde::Deserialize;

use super::schema::{DType, Extension, Node, Tensor, WEIGHTS_ALIGN};
use super::{LoadError, Prefix};
use kinglet_kernels::Shape;

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

impl List<'_, f32> {
    /// The elements' bytes: postcard writes an f32 as its four bytes, little-endian.
    pub(crate) fn words(&self) -> &[[u8; 4]] {
        self.bytes.as_chunks().0
    }
}

/// Takes one value off the front of `rest`.
fn take<'a, T: Deserialize<'a>>(rest: &mut &'a [u8]) -> Result<T, LoadError> {
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
    let bytes = start
        .get(..start.len().saturating_sub(rest.len()))
        .ok_or(LoadError::Malformed)?;
    Ok(List {
        bytes,
        len: len as usize,
        element: PhantomData,
    })
}

/// The graph of a model file, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GraphView<'a> {
    pub(crate) name: &'a str,
    pub(crate) tensors: List<'a, Tensor>,
    pub(crate) nodes: List<'a, Node>,
    pub(crate) mean: List<'a, f32>,
    pub(crate) std: List<'a, f32>,
    pub(crate) labels: List<'a, &'a str>,
    pub(crate) trainable_nodes: u16,
    pub(crate) extensions: List<'a, Extension<'a>>,
}

impl<'a> GraphView<'a> {
    /// Walks the graph, which is checked to be well formed, and returns what follows it.
    pub(crate) fn read(body: &'a [u8]) -> Result<(Self, &'a [u8]), LoadError> {
        let mut rest = body;
        let rest = &mut rest;
        let graph = Self {
            name: take(rest)?,
            tensors: take_list(rest)?,
            nodes: take_list(rest)?,
            mean: take_list(rest)?,
            std: take_list(rest)?,
            labels: take_list(rest)?,
            trainable_nodes: take(rest)?,
            extensions: take_list(rest)?,
        };
        Ok((graph, rest))
    }

    /// Tensor `index`. Callers pass numbers that the check has found in range; beyond that an empty tensor.
    pub(crate) fn tensor(&self, index: usize) -> Tensor {
        self.tensors.iter().nth(index).unwrap_or(Tensor {
            shape: Shape::new(0, 0, 0),
            dtype: DType::F32,
            offset: 0,
            last_use: 0,
        })
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
