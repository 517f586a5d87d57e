//! Parameters on their way out of a file and into one: by value in one order here, in the order of a machine there.

use std::vec::Vec;

use kinglet_kernels::RowOrder;
use kinglet_kernels::params::write_pairs;

use super::schema::TENSOR_ALIGN;
use super::{EncodeError, LoadError};
use crate::operator::{Convert, InFile, Offset, Owned, Parameter, WeightsInFile, WeightsOrder};

/// Takes the parameters of node number `node` out of a file, in the order of their declaration.
pub(super) struct Fetch<'w, L> {
    pub(super) node: usize,
    /// Rows of the weights, where they are of 8 bits.
    pub(super) rows: usize,
    /// How many there are of each kind.
    pub(super) lens: L,
    /// The weights of the file.
    pub(super) words: &'w [f32],
}

impl<L: Iterator<Item = usize>> Convert<InFile, Owned> for Fetch<'_, L> {
    type Error = LoadError;

    fn convert<T: Parameter>(&mut self, from: &Offset<T>) -> Result<Vec<T>, LoadError> {
        let len = self.lens.next().unwrap_or(0);
        let span = from.span(self.node, len, self.words.len())?;
        Ok(span.of(self.words).to_vec())
    }

    fn weights<T: Parameter>(&mut self, from: &WeightsInFile<T>) -> Result<Vec<T>, LoadError> {
        let (node, len) = (self.node, self.lens.next().unwrap_or(0));
        let row_len = len.checked_div(self.rows).unwrap_or(0);
        if from.order != WeightsOrder::PAIRS {
            let span = from.span(node, len, self.words.len())?;
            return Ok(span.of(self.words).to_vec());
        }
        let stored = RowOrder::Pairs.len(self.rows, row_len);
        let stored = from.offset.span(node, stored, self.words.len())?;
        let stored: &[i8] = bytemuck::cast_slice(stored.of(self.words));
        let rows = (0..self.rows).flat_map(|row| (0..row_len).map(move |column| (row, column)));
        let weights = rows.map(|at| RowOrder::Pairs.get(stored, row_len, at));
        Ok(bytemuck::cast_slice(&weights.collect::<Vec<i8>>()).to_vec())
    }
}

/// Puts parameters one after the other into the weights, each at a multiple of [`TENSOR_ALIGN`], and counts those of
/// a node. The last are never 8-bit weights, which scales follow: they end with a whole word.
#[derive(Default)]
pub(super) struct Store {
    pub(super) bytes: Vec<u8>,
    pub(super) lens: Vec<usize>,
    /// Of the node whose 8-bit weights are to be pairs of rows.
    pub(super) row_len_of_pairs: Option<usize>,
}

impl Store {
    /// Puts numbers behind what is there, and returns their place.
    fn put<T: Parameter>(&mut self, numbers: &[T]) -> Result<u32, EncodeError> {
        let start = self.bytes.len().next_multiple_of(TENSOR_ALIGN);
        self.bytes.resize(start, 0);
        // As they lie in memory: this crate is for little-endian machines.
        self.bytes.extend_from_slice(bytemuck::cast_slice(numbers));
        EncodeError::word(start)
    }
}

impl Convert<Owned, InFile> for Store {
    type Error = EncodeError;

    fn convert<T: Parameter>(&mut self, from: &Vec<T>) -> Result<Offset<T>, EncodeError> {
        self.lens.push(from.len());
        Ok(Offset::new(self.put(from)?))
    }

    fn weights<T: Parameter>(&mut self, from: &Vec<T>) -> Result<WeightsInFile<T>, EncodeError> {
        let numbers = bytemuck::try_cast_slice(from);
        let (Some(row_len), Ok(rows)) = (self.row_len_of_pairs, numbers) else {
            return Ok(self.convert(from)?.into());
        };
        let count = rows.len().checked_div(row_len).unwrap_or(0);
        let mut pairs = std::vec![0; RowOrder::Pairs.len(count, row_len)];
        write_pairs(rows, row_len, &mut pairs);
        self.lens.push(from.len());
        Ok(WeightsInFile {
            order: WeightsOrder::PAIRS,
            offset: Offset::new(self.put(&pairs)?),
        })
    }
}
