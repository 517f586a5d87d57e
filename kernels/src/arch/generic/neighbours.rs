//! Convolution of few input channels to one vector of output channels, as first layers have it.
//!
//! There a tile of [`super::microkernel`] would wait for its operands: each multiplication needs a value of the
//! input in all lanes, which is a load. But the windows of neighbouring pixels overlap, and of what one row of the
//! window reads, `LEN` values, all but `STEP` are read by the next pixel as well. With both known when this is
//! compiled, a value is loaded once for all the pixels that see it, and the weights of a row stay in registers.
//!
//! Every sum takes its terms in the order of the tiles elsewhere, so it has the same bits.

use core::ptr::NonNull;

use super::Vector;
use super::memory::{load, store};
use super::sliding::{Region, Sliding};

/// Pixels side by side. With the weights of a row and the values in flight their sums fit 32 registers.
const PIXELS: usize = 8;

/// What the pixels of a region compute with: the source and the output at the region's first pixel, the panel of
/// one vector, `last` lanes of which are stored.
#[derive(Clone, Copy)]
pub(super) struct Operands {
    pub(super) source: *const f32,
    pub(super) panel: *const f32,
    pub(super) bias: Option<NonNull<f32>>,
    pub(super) output: *mut f32,
    pub(super) last: usize,
}

/// Computes a region this way, if it is worth it: there are registers, the region's pixels see whole rows of the
/// window, and step and length are among those that were compiled.
///
/// # Safety
/// The operands are complete for all pixels of the region.
#[inline(always)]
pub(super) unsafe fn region<V: Vector>(
    isa: V::Isa,
    sliding: &Sliding,
    region: &Region,
    of: Operands,
) -> bool {
    let horizontal = &sliding.horizontal;
    let whole_rows = sliding.whole_rows() && region.columns.count == horizontal.kernel;
    if V::ROWS < PIXELS || region.width < PIXELS || !whole_rows {
        return false;
    }
    let step = horizontal.stride * sliding.channels;
    let len = horizontal.kernel * sliding.channels;
    // SAFETY: the caller vouches for the operands.
    unsafe {
        match (step, len) {
            // One channel, windows 3, 5 and 7 wide; three channels, 3 wide, one and two pixels further.
            (1, 3) => rows::<V, 1, 3>(isa, sliding, region, of),
            (1, 5) => rows::<V, 1, 5>(isa, sliding, region, of),
            (1, 7) => rows::<V, 1, 7>(isa, sliding, region, of),
            (3, 9) => rows::<V, 3, 9>(isa, sliding, region, of),
            (6, 9) => rows::<V, 6, 9>(isa, sliding, region, of),
            _ => return false,
        }
    }
    true
}

/// All rows of a region.
///
/// # Safety
/// As for [`region`]; a row has at least [`PIXELS`] pixels.
#[inline(always)]
unsafe fn rows<V: Vector, const STEP: usize, const LEN: usize>(
    isa: V::Isa,
    sliding: &Sliding,
    region: &Region,
    of: Operands,
) {
    for y in 0..region.height {
        let mut done = 0;
        while done < region.width {
            // The last pixels of a row are computed with some of those before them, once more to the same bits.
            let x = done.min(region.width - PIXELS);
            // SAFETY: as the caller vouches: the pixels from `(y, x)` are of the region.
            unsafe {
                let source_row = y * sliding.vertical.stride * sliding.source_row();
                let output_pixel = y * sliding.out_w + x;
                let of = Operands {
                    source: of.source.add(source_row + x * STEP),
                    output: of.output.wrapping_add(output_pixel * sliding.out_channels),
                    ..of
                };
                pixels::<V, STEP, LEN>(isa, sliding, region, of);
            }
            done = x + PIXELS;
        }
    }
}

/// Neighbouring pixels of one row.
///
/// # Safety
/// As for [`region`].
#[inline(always)]
unsafe fn pixels<V: Vector, const STEP: usize, const LEN: usize>(
    isa: V::Isa,
    sliding: &Sliding,
    region: &Region,
    of: Operands,
) {
    // SAFETY: as the caller vouches: each pixel reads `LEN` values in each row of the window that it sees, and as
    // many vectors of the panel.
    unsafe {
        let bias = match of.bias {
            Some(bias) => load::<V>(isa, bias.as_ptr(), of.last),
            None => V::splat(isa, 0.0),
        };
        let mut sums = [bias; PIXELS];
        for row in 0..region.rows.count {
            let source = of
                .source
                .add(row * sliding.vertical.dilation * sliding.source_row());
            let panel = of.panel.add((region.rows.first + row) * LEN * V::LANES);
            let mut weights = [V::splat(isa, 0.0); LEN];
            for (k, weights) in weights.iter_mut().enumerate() {
                *weights = V::load(isa, panel.add(k * V::LANES));
            }
            for (m, sum) in sums.iter_mut().enumerate() {
                for (k, weights) in weights.iter().enumerate() {
                    *sum = sum.add_product(V::splat(isa, *source.add(m * STEP + k)), *weights);
                }
            }
        }
        let (low, high) = sliding.range;
        let (low, high) = (V::splat(isa, low), V::splat(isa, high));
        for (m, sum) in sums.iter().enumerate() {
            let to = of.output.wrapping_add(m * sliding.out_channels);
            store(sum.clamp(low, high), to, of.last);
        }
    }
}
