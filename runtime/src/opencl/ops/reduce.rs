//! Sums over many rows, in two stages: partial sums of chunks of rows, then their sum in order.
#![allow(unsafe_code)]

use kinglet_kernels::opencl::REDUCE;

use super::arguments::{expect, plane};
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{Element, OpenClError, Recording, Slice};

/// Fewer rows than this are not worth a chunk of their own.
const LEAST_ROWS: usize = 16;

/// Rows cut into chunks: as many as one has rows, so that both stages have short sums. It depends on the number of
/// rows alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunks {
    pub(super) rows: usize,
    pub(super) rows_in_chunk: usize,
    pub(super) count: usize,
}

impl Chunks {
    pub(super) fn of(rows: usize) -> Self {
        let rows_in_chunk = rows.isqrt().max(LEAST_ROWS);
        Self {
            rows,
            rows_in_chunk,
            count: rows.div_ceil(rows_in_chunk),
        }
    }

    /// Elements of the partial sums of that many columns.
    pub(super) fn partials_len(self, columns: usize) -> usize {
        self.count.saturating_mul(columns)
    }
}

/// What [`Recording::add_partials`] begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    Zero,
    /// What the output holds.
    Output,
}

impl Recording {
    /// `partials[chunk][column]` becomes the sum over the chunk's rows of `input[row][column]`.
    pub(super) fn column_sums(
        &mut self,
        chunks: Chunks,
        columns: usize,
        input: Slice<'_>,
        partials: Slice<'_>,
    ) -> Result<(), OpenClError> {
        expect(Element::F32, &[input, partials])?;
        at_least("sums: input", input, chunks.rows.saturating_mul(columns))?;
        at_least("sums: partials", partials, chunks.partials_len(columns))?;
        let call = Call::new(&REDUCE, "column_sums")
            .slice(input)
            .slice(partials)
            .int(chunks.rows)
            .int(columns)
            .int(chunks.rows_in_chunk)
            .global([columns, chunks.count, 1])
            .local(plane(columns));
        // SAFETY: both slices have every element, as was checked; each work-item writes one of its own.
        unsafe { self.push(call) }
    }

    /// `output[column]` becomes the sum over `chunks` rows of `partials[chunk][column]`, divided by `divisor`.
    pub(super) fn add_partials(
        &mut self,
        chunks: usize,
        begin: Begin,
        divisor: f32,
        partials: Slice<'_>,
        output: Slice<'_>,
    ) -> Result<(), OpenClError> {
        let columns = output.len();
        expect(Element::F32, &[partials, output])?;
        at_least("sums: partials", partials, chunks.saturating_mul(columns))?;
        let call = Call::new(&REDUCE, "add_partials")
            .slice(partials)
            .slice(output)
            .int(chunks)
            .int(columns)
            .int(usize::from(begin == Begin::Output))
            .float(divisor)
            .global([columns, 1, 1])
            .local([64, 1, 1]);
        // SAFETY: both slices have every element, as was checked; each work-item writes one of its own, and reads
        // of the output that one alone.
        unsafe { self.push(call) }
    }
}
