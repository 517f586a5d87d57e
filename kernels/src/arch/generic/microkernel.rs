//! The register tile: `M` rows of `NV` vectors that stay in registers while they take in one outer
//! product after the other.

use super::Vector;

/// Where the vectors of an outer product lie: value `k` of lane `l` is at `k * step + l`.
#[derive(Clone, Copy)]
pub(super) struct Lanes {
    pub(super) start: *const f32,
    pub(super) step: usize,
    /// How many values the last vector of the tile has, if it is not a whole one.
    pub(super) last: usize,
}

/// A tile of accumulators. `PARTIAL` says that the last vector of each row is not a whole one.
#[derive(Clone, Copy)]
pub(super) struct Tile<V, const M: usize, const NV: usize, const PARTIAL: bool>(
    pub(super) [[V; NV]; M],
);

/// Loads `NV` vectors.
///
/// # Safety
/// `(NV - 1) * LANES + last` values can be read, or `NV * LANES` if not `PARTIAL`.
#[inline(always)]
unsafe fn load<V: Vector, const NV: usize, const PARTIAL: bool>(
    isa: V::Isa,
    p: *const f32,
    last: usize,
) -> [V; NV] {
    // SAFETY: the caller vouches for the values, of which each vector reads its own.
    unsafe {
        let mut vectors = [V::splat(isa, 0.0); NV];
        for (v, vector) in vectors.iter_mut().enumerate() {
            let p = p.add(v * V::LANES);
            *vector = if PARTIAL && v == NV - 1 {
                V::load_partial(isa, p, last)
            } else {
                V::load(isa, p)
            };
        }
        vectors
    }
}

impl<V: Vector, const M: usize, const NV: usize, const PARTIAL: bool> Tile<V, M, NV, PARTIAL> {
    /// A tile of zeros.
    #[inline(always)]
    pub(super) fn zero(isa: V::Isa) -> Self {
        Self([[V::splat(isa, 0.0); NV]; M])
    }

    /// A tile whose rows all start as the values from `p`.
    ///
    /// # Safety
    /// The values of one row can be read from `p`.
    #[inline(always)]
    pub(super) unsafe fn broadcast(isa: V::Isa, p: *const f32, last: usize) -> Self {
        // SAFETY: the caller vouches for the row.
        Self([unsafe { load::<V, NV, PARTIAL>(isa, p, last) }; M])
    }

    /// A tile whose row `m` starts as the values from `p + m * pitch`.
    ///
    /// # Safety
    /// The values of each row can be read.
    #[inline(always)]
    pub(super) unsafe fn load(isa: V::Isa, p: *const f32, pitch: usize, last: usize) -> Self {
        let mut tile = Self::zero(isa);
        for (m, row) in tile.0.iter_mut().enumerate() {
            // SAFETY: the caller vouches for the rows, of which this is one.
            *row = unsafe { load::<V, NV, PARTIAL>(isa, p.add(m * pitch), last) };
        }
        tile
    }

    /// Row `m`, lane `l` gets `+= scalars[m][k * scalar_step] * lanes[k][l]` for `k` of `0..len`, in
    /// order, rounded as [`Vector::add_product`] does. `CUT` says that the last vector of lanes is not a whole one, either.
    ///
    /// # Safety
    /// All those values can be read.
    #[inline(always)]
    pub(super) unsafe fn accumulate<const CUT: bool>(
        &mut self,
        isa: V::Isa,
        scalars: [*const f32; M],
        scalar_step: usize,
        lanes: Lanes,
        len: usize,
    ) {
        let mut tile = self.0;
        for k in 0..len {
            // SAFETY: `k < len`, for which the caller vouches.
            unsafe {
                let p = lanes.start.add(k * lanes.step);
                let vectors = load::<V, NV, CUT>(isa, p, lanes.last);
                for (row, scalars) in tile.iter_mut().zip(&scalars) {
                    let scalar = V::splat(isa, *scalars.add(k * scalar_step));
                    for (sum, vector) in row.iter_mut().zip(&vectors) {
                        *sum = sum.add_product(scalar, *vector);
                    }
                }
            }
        }
        self.0 = tile;
    }

    /// Adds row `m` of what is at `p + m * pitch` to the tile.
    ///
    /// # Safety
    /// The values of each row can be read.
    #[inline(always)]
    pub(super) unsafe fn add(&mut self, isa: V::Isa, p: *const f32, pitch: usize, last: usize) {
        for (m, row) in self.0.iter_mut().enumerate() {
            // SAFETY: the caller vouches for the rows, of which this is one.
            let vectors = unsafe { load::<V, NV, PARTIAL>(isa, p.add(m * pitch), last) };
            for (sum, vector) in row.iter_mut().zip(&vectors) {
                *sum = vector.add(*sum);
            }
        }
    }

    /// Limits every value to `low..=high`.
    #[inline(always)]
    pub(super) fn clamp(&mut self, isa: V::Isa, (low, high): (f32, f32)) {
        let (low, high) = (V::splat(isa, low), V::splat(isa, high));
        for row in &mut self.0 {
            for vector in row {
                *vector = vector.clamp(low, high);
            }
        }
    }

    /// Writes each row to its place.
    ///
    /// # Safety
    /// The values of each row can be written.
    #[inline(always)]
    pub(super) unsafe fn store_rows(self, rows: [*mut f32; M], last: usize) {
        for (row, p) in self.0.iter().zip(rows) {
            // SAFETY: the caller vouches for the rows.
            unsafe { Tile::<V, 1, NV, PARTIAL>([*row]).store(p, 0, last) };
        }
    }

    /// Writes row `m` to `p + m * pitch`.
    ///
    /// # Safety
    /// The values of each row can be written.
    #[inline(always)]
    pub(super) unsafe fn store(self, p: *mut f32, pitch: usize, last: usize) {
        // SAFETY: the caller vouches for the rows.
        unsafe {
            for (m, row) in self.0.iter().enumerate() {
                let p = p.add(m * pitch);
                for (v, vector) in row.iter().enumerate() {
                    let p = p.add(v * V::LANES);
                    if PARTIAL && v == NV - 1 {
                        vector.store_partial(p, last);
                    } else {
                        vector.store(p);
                    }
                }
            }
        }
    }
}

/// Runs `$body` for consecutive tiles of `$rows` (a constant) rows from `$at`, until all of `$count`
/// rows are done: as many tiles of [`Vector::ROWS`] as there are, then one of what is left.
macro_rules! for_each_tile {
    ($v:ident, $count:expr, |$at:ident, $rows:ident| $body:expr) => {{
        let count: usize = $count;
        let mut $at = 0;
        const { assert!($v::ROWS == 6 || $v::ROWS == 8) };
        while count - $at >= $v::ROWS {
            if $v::ROWS == 8 {
                const $rows: usize = 8;
                $body;
            } else {
                const $rows: usize = 6;
                $body;
            }
            $at += $v::ROWS;
        }
        match count - $at {
            7 => {
                const $rows: usize = 7;
                $body
            }
            6 => {
                const $rows: usize = 6;
                $body
            }
            5 => {
                const $rows: usize = 5;
                $body
            }
            4 => {
                const $rows: usize = 4;
                $body
            }
            3 => {
                const $rows: usize = 3;
                $body
            }
            2 => {
                const $rows: usize = 2;
                $body
            }
            1 => {
                const $rows: usize = 1;
                $body
            }
            _ => {}
        }
    }};
}
pub(super) use for_each_tile;

/// Runs `$body` for consecutive panels, at most two vectors wide, until all of `$count` lanes are done:
/// from lane `$at`, with the constants `$vectors` and `$partial`, the last vector having `$last` values.
macro_rules! for_each_panel {
    ($v:ident, $count:expr, |$at:ident, $vectors:ident, $partial:ident, $last:ident| $body:expr) => {{
        let count: usize = $count;
        let mut $at = 0;
        while $at < count {
            let left = count - $at;
            if left >= 2 * $v::LANES {
                const $vectors: usize = 2;
                const $partial: bool = false;
                let $last = $v::LANES;
                $body
            } else if left > $v::LANES {
                const $vectors: usize = 2;
                const $partial: bool = true;
                let $last = left - $v::LANES;
                $body
            } else if left == $v::LANES {
                const $vectors: usize = 1;
                const $partial: bool = false;
                let $last = $v::LANES;
                $body
            } else {
                const $vectors: usize = 1;
                const $partial: bool = true;
                let $last = left;
                $body
            }
            $at += 2 * $v::LANES;
        }
    }};
}
pub(super) use for_each_panel;
