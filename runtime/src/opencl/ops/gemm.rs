//! Matrix products.
#![allow(unsafe_code)]

use std::format;

use kinglet_kernels::opencl::GEMM;

use super::{TILES, Tile, common_element};
use crate::opencl::recording::{Call, at_least};
use crate::opencl::{OpenClError, Recording, Slice};

/// A matrix of each group: rows are contiguous, `stride` apart; group `g` begins at `g * group`.
#[derive(Debug, Clone, Copy)]
pub(in crate::opencl) struct Matrix<'a> {
    pub(in crate::opencl) slice: Slice<'a>,
    pub(in crate::opencl) stride: usize,
    pub(in crate::opencl) group: usize,
}

impl Matrix<'_> {
    /// `Ok` if `groups` matrices of `rows x columns` lie within the slice.
    fn check(
        &self,
        tensor: &'static str,
        groups: usize,
        rows: usize,
        columns: usize,
    ) -> Result<(), OpenClError> {
        let last = (groups - 1)
            .saturating_mul(self.group)
            .saturating_add((rows - 1).saturating_mul(self.stride));
        at_least(tensor, self.slice, last.saturating_add(columns))
    }
}

/// `c = clamp(bias + a * b)`, for each group.
#[derive(Debug, Clone, Copy)]
pub(in crate::opencl) struct Gemm<'a> {
    pub(in crate::opencl) groups: usize,
    /// Rows of `c`.
    pub(in crate::opencl) m: usize,
    /// Columns of `c`.
    pub(in crate::opencl) n: usize,
    /// Terms of each sum. They are added in order, whatever `m` and `n` are.
    pub(in crate::opencl) k: usize,
    /// `[m][k]`, or if `transpose_a`, `[k][m]`.
    pub(in crate::opencl) a: Matrix<'a>,
    pub(in crate::opencl) transpose_a: bool,
    /// `[k][b_columns]`.
    pub(in crate::opencl) b: Matrix<'a>,
    /// Columns of `b` that may be read: `n`, or more if its rows are padded.
    pub(in crate::opencl) b_columns: usize,
    /// `[m][n]`. It overlaps neither `a` nor `b`.
    pub(in crate::opencl) c: Matrix<'a>,
    /// A value for each column, `[groups][n]`; 0 if absent.
    pub(in crate::opencl) bias: Option<Slice<'a>>,
    /// The range outputs are clamped to.
    pub(in crate::opencl) range: (f32, f32),
}

impl Recording {
    /// Matrix products, with the fastest tile for their size.
    pub(in crate::opencl) fn gemm(&mut self, gemm: &Gemm<'_>) -> Result<(), OpenClError> {
        let Gemm {
            groups, m, n, k, ..
        } = *gemm;
        if groups == 0 || m == 0 || n == 0 {
            return Ok(());
        }
        let element = common_element(&[gemm.a.slice, gemm.b.slice, gemm.c.slice])?;
        let problem = format!(
            "gemm {groups} {m} {n} {k} {element:?} transpose_a {}",
            gemm.transpose_a
        );
        self.with_fastest_tile(&problem, TILES, |recording, tile| {
            recording.gemm_tiled(gemm, tile)
        })
    }

    fn gemm_tiled(&mut self, gemm: &Gemm<'_>, tile: Tile) -> Result<(), OpenClError> {
        let Gemm {
            groups,
            m,
            n,
            k,
            a,
            b,
            c,
            ..
        } = *gemm;
        let (a_rows, a_columns) = if gemm.transpose_a { (k, m) } else { (m, k) };
        if k > 0 {
            a.check("gemm: a", groups, a_rows, a_columns)?;
            b.check("gemm: b", groups, k, gemm.b_columns.max(n))?;
        }
        c.check("gemm: c", groups, m, n)?;
        if let Some(bias) = gemm.bias {
            at_least("gemm: bias", bias, groups * n)?;
        }
        let element = common_element(&[a.slice, b.slice, c.slice, gemm.bias.unwrap_or(c.slice)])?;
        let mut call = Call::new(&GEMM, "gemm")
            .storage(element)
            .define("TILE_M", tile.m)
            .define("TILE_N", tile.n);
        if gemm.transpose_a {
            call = call.define("TRANSPOSE_A", 1);
        }
        let call = call
            .int(m)
            .int(n)
            .int(k)
            .slice(a.slice)
            .int(a.stride)
            .int(a.group)
            .slice(b.slice)
            .int(b.stride)
            .int(b.group)
            .int(gemm.b_columns)
            .optional(gemm.bias, c.slice)
            .slice(c.slice)
            .int(c.stride)
            .int(c.group)
            .float(gemm.range.0)
            .float(gemm.range.1)
            .global([n.div_ceil(tile.n), m.div_ceil(tile.m), groups])
            .local(tile.local);
        // SAFETY: the matrices lie within their slices, as was checked; each work-item writes a tile of its own.
        unsafe { self.push(call) }
    }
}
