//! The inner loop: `M` pixels times `N` panels of output channels, in registers.

use super::Sums;
use crate::arch::generic::Vector;
use crate::quant::Requantize;

/// How the words of a window lie, in bytes from the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    pub(super) rows: usize,
    pub(super) row_step: usize,
    pub(super) columns: usize,
    pub(super) column_step: usize,
    /// Words that follow each other in each column.
    pub(super) words: usize,
    /// From a pixel's window to the next pixel's.
    pub(super) pixel_step: usize,
}

/// Operands of a tile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operands {
    /// The first word of the first pixel's window.
    pub(super) terms: *const u8,
    /// The first panel.
    pub(super) weights: *const u8,
    pub(super) panel_len: usize,
    /// Of each channel of the panels: what sums begin with.
    pub(super) first: *const u8,
    /// Of each channel: what its sums are multiplied by.
    pub(super) scale: *const f32,
    /// The first pixel's first channel.
    pub(super) output: *mut i8,
    /// From a pixel to the next.
    pub(super) output_step: usize,
    /// Channels of the panels that there are.
    pub(super) channels: usize,
}

/// Where a word of the input goes.
pub(super) trait Terms<S: Sums> {
    /// # Safety
    /// What is to be read is there.
    unsafe fn load(isa: S::Isa, p: *const u8) -> S;
}

/// To every channel: each reads all channels of the input.
pub(super) struct Broadcast;

impl<S: Sums> Terms<S> for Broadcast {
    #[inline(always)]
    unsafe fn load(isa: S::Isa, p: *const u8) -> S {
        // SAFETY: the caller vouches for a word.
        S::splat(isa, unsafe { p.cast::<i32>().read_unaligned() })
    }
}

/// To its own channel: words of neighbouring channels lie beside each other.
pub(super) struct Each;

impl<S: Sums> Terms<S> for Each {
    #[inline(always)]
    unsafe fn load(isa: S::Isa, p: *const u8) -> S {
        // SAFETY: the caller vouches for `LANES` words.
        unsafe { S::load(isa, p) }
    }
}

/// Computes `M` pixels of `N` panels.
///
/// # Safety
/// All that `windows` and `of` speak of can be read, and the output written; `first` and `scale` hold whole panels.
#[inline(always)]
unsafe fn tile<S: Sums, T: Terms<S>, const M: usize, const N: usize>(
    isa: S::Isa,
    to: Requantize,
    windows: &Windows,
    of: &Operands,
) {
    let bytes = 4 * S::LANES;
    // SAFETY: the caller vouches for the operands; steps stay among them.
    unsafe {
        let mut sums = [[S::splat(isa, 0); N]; M];
        for n in 0..N {
            let first = S::load(isa, of.first.add(n * bytes));
            for row in &mut sums {
                row[n] = first;
            }
        }
        let mut weights = of.weights;
        for row in 0..windows.rows {
            for column in 0..windows.columns {
                let mut terms = of
                    .terms
                    .add(row * windows.row_step + column * windows.column_step);
                for _ in 0..windows.words {
                    let mut w = [S::splat(isa, 0); N];
                    for (n, w) in w.iter_mut().enumerate() {
                        *w = S::load(isa, weights.add(n * of.panel_len));
                    }
                    for (m, sums) in sums.iter_mut().enumerate() {
                        let x = T::load(isa, terms.add(m * windows.pixel_step));
                        for (sum, w) in sums.iter_mut().zip(w) {
                            *sum = sum.add_products(x, w);
                        }
                    }
                    weights = weights.add(bytes);
                    terms = terms.add(4);
                }
            }
        }
        let zero_point = i32::from(to.zero_point());
        let bound = |bound: i8| S::Real::splat(isa.into(), (i32::from(bound) - zero_point) as f32);
        let (low, high) = (bound(to.low()), bound(to.high()));
        let zero_point = S::splat(isa, zero_point);
        for n in 0..N {
            let at = n * S::LANES;
            let count = (of.channels - at).min(S::LANES);
            let scale = S::Real::load(isa.into(), of.scale.add(at));
            for (m, sums) in sums.iter().enumerate() {
                let real = sums[n].to_real().mul(scale).clamp(low, high);
                let number = S::from_real(real).add(zero_point);
                number.store_bytes(of.output.add(m * of.output_step + at), count);
            }
        }
    }
}

/// Most panels of a tile.
pub(super) const MAX_PANELS: usize = 4;

/// Most panels of a tile of these sums: with their words of weights they leave registers for sums.
pub(super) const fn most_panels<S: Sums>() -> usize {
    if S::REGISTERS >= 32 { MAX_PANELS } else { 2 }
}

/// Most pixels of a tile of `panels`.
const fn most_pixels<S: Sums>(panels: usize) -> usize {
    match (S::REGISTERS >= 32, panels) {
        (true, 4) => 6,
        (true, _) => 8,
        (false, 1) => 8,
        (false, _) => 5,
    }
}

/// Computes `pixels` pixels of `panels` panels, in tiles of about the same size.
///
/// # Safety
/// As of [`tile`]; there are at most [`most_panels`].
#[inline(always)]
pub(super) unsafe fn tiles<S: Sums, T: Terms<S>>(
    isa: S::Isa,
    to: Requantize,
    windows: &Windows,
    mut of: Operands,
    (mut pixels, panels): (usize, usize),
) {
    let mut left = pixels.div_ceil(most_pixels::<S>(panels));
    while pixels > 0 {
        let now = pixels.div_ceil(left);
        // SAFETY: the caller vouches for all pixels.
        unsafe {
            match panels {
                1 => tiles_of::<S, T, 1>(isa, to, windows, &of, now),
                2 => tiles_of::<S, T, 2>(isa, to, windows, &of, now),
                3 if S::REGISTERS >= 32 => tiles_of::<S, T, 3>(isa, to, windows, &of, now),
                4 if S::REGISTERS >= 32 => tiles_of::<S, T, 4>(isa, to, windows, &of, now),
                _ => debug_assert!(false, "{panels} panels"),
            }
            of.terms = of.terms.add(now * windows.pixel_step);
            of.output = of.output.add(now * of.output_step);
        }
        pixels -= now;
        left -= 1;
    }
}

/// Computes `pixels` pixels.
///
/// # Safety
/// As of [`tile`].
#[inline(always)]
unsafe fn tiles_of<S: Sums, T: Terms<S>, const N: usize>(
    isa: S::Isa,
    to: Requantize,
    windows: &Windows,
    of: &Operands,
    pixels: usize,
) {
    // SAFETY: the caller vouches for everything.
    unsafe {
        match pixels {
            1 => tile::<S, T, 1, N>(isa, to, windows, of),
            2 => tile::<S, T, 2, N>(isa, to, windows, of),
            3 => tile::<S, T, 3, N>(isa, to, windows, of),
            4 => tile::<S, T, 4, N>(isa, to, windows, of),
            5 => tile::<S, T, 5, N>(isa, to, windows, of),
            6 if most_pixels::<S>(N) >= 6 => tile::<S, T, 6, N>(isa, to, windows, of),
            7 if most_pixels::<S>(N) >= 7 => tile::<S, T, 7, N>(isa, to, windows, of),
            8 if most_pixels::<S>(N) >= 8 => tile::<S, T, 8, N>(isa, to, windows, of),
            _ => debug_assert!(false, "{pixels} pixels"),
        }
    }
}
