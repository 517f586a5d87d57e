//! A node made ready to run: its operation, and where its tensors lie.
//!
//! The check at load resolves every node once to see that it can be; a session resolves them again into
//! the arena, so that running decodes nothing.

use crate::model::schema::{MAX_INPUTS, Tensor};
use crate::model::{LoadError, Model};
use crate::operator::{Operation, Site, resolve};

/// The tensors that a node reads.
pub(crate) type Inputs = heapless::Vec<Tensor, MAX_INPUTS>;

/// A tensor's place in the arena, in bytes, for one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

impl Region {
    pub(crate) fn of(tensor: &Tensor) -> Self {
        Self {
            offset: tensor.offset as usize,
            len: tensor.bytes(),
        }
    }

    pub(crate) fn end(&self) -> usize {
        self.offset.saturating_add(self.len)
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.offset < other.end() && other.offset < self.end()
    }
}

/// One node, ready to run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Record {
    pub(crate) operation: Operation,
    pub(crate) input: Region,
    pub(crate) output: Region,
}

/// Resolves every node of a checked model, in one walk. No item is an error if `OPS` has all of its operators.
pub(crate) fn records<'a, const OPS: u128>(
    model: &Model<'a>,
) -> impl Iterator<Item = Result<Record, LoadError>> + use<'a, OPS> {
    let tensors = model.tensors();
    let words = model.weights().len();
    let nodes = model.graph().nodes_with_outputs::<OPS>().enumerate();
    nodes.map(move |(index, (node, output))| {
        let mut inputs = Inputs::new();
        for input in &node.inputs {
            let tensor = tensors.get(usize::from(*input));
            let tensor = tensor.ok_or(LoadError::Malformed)?;
            inputs.push(tensor).map_err(|_| LoadError::Malformed)?;
        }
        let site = Site::new(index, &inputs, &output, words)?;
        let (operation, _) = resolve::<OPS>(&node.operator, &site)?;
        Ok(Record {
            operation,
            input: Region::of(site.input()),
            output: Region::of(&output),
        })
    })
}

// A record for each node lies in the arena of a microcontroller. The joined convolution and pool is the largest there, the
// operators of two tensors are on hosts.
const _: () = assert!(
    size_of::<Record>()
        <= match size_of::<usize>() {
            4 => 92,
            _ => 152,
        }
);
