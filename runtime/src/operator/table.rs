//! Any function of one 8-bit number, as the list of what it makes of each.

use kinglet_kernels::{Kernels, Shape, TableI8};
use serde::{Deserialize, Serialize};

use super::memory::Memory;
use super::parameters::Span;
use super::site::Site;
use super::{InFile, Lens, Resolve, Run, Storage};
use crate::model::LoadError;

/// A function of each 8-bit number: sigmoid, say, between the input's meaning and the output's, with the rounding of
/// whoever made the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Table<P: Storage = InFile> {
    /// What each number becomes: those of 0 to 127, then those of -128 to -1.
    pub entries: P::Of<i8>,
}

/// Entries of a table: one for each number of 8 bits.
const ENTRIES: usize = size_of::<TableI8>();

/// A table, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ReadyTable {
    entries: Span<i8>,
}

impl Resolve<Table> for ReadyTable {
    fn resolve(operator: &Table, site: &Site<'_>) -> Result<(Self, Shape), LoadError> {
        let entries = site.span(operator.entries, ENTRIES)?;
        Ok((Self { entries }, site.shape()))
    }
}

impl Run for ReadyTable {
    fn lens(&self) -> Lens {
        [Some(self.entries.len()), None, None]
    }

    #[inline]
    fn run<const OPS: u128, K: Kernels>(&self, memory: &mut Memory<'_, K>) {
        let entries = self.entries.of(memory.file).as_array();
        debug_assert!(entries.is_some(), "a table has an entry for each number");
        if let Some(table) = entries {
            memory.in_place(|kernels, data| kernels.table_i8(table, data));
        }
    }
}

#[cfg(feature = "std")]
impl<P: Storage, Q: Storage> super::Map<P, Q> for Table<P> {
    type To = Table<Q>;

    fn map<C: super::Convert<P, Q>>(&self, convert: &mut C) -> Result<Table<Q>, C::Error> {
        Ok(Table {
            entries: convert.convert(&self.entries)?,
        })
    }
}
