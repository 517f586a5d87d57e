//! Depthwise convolution: every channel by itself, neighbouring channels in one vector. Weights are
//! packed as `[kernel_h][kernel_w][channels]`.

use core::ops::Range;
use core::ptr::NonNull;

use super::Vector;
use super::conv2d_backward::padded;
use super::memory::{for_each_vector, load, store};
use super::microkernel::for_each_tile;
use super::sliding::{Cursor, Region, Sliding};
use crate::params::Conv2d;

/// Taps that are computed side by side: enough to hide the latency of their sums.
const SIDE_BY_SIDE: usize = 8;

/// Packs weights `[channels][taps]` as `[taps][channels]`.
pub(crate) fn pack(params: &Conv2d, weights: &[f32], packed: &mut [f32]) {
    let (channels, taps) = (params.input().channels.max(1), params.taps().max(1));
    for (k, packed) in packed.chunks_exact_mut(channels).take(taps).enumerate() {
        for (value, row) in packed.iter_mut().zip(weights.chunks_exact(taps)) {
            *value = row.get(k).copied().unwrap_or(0.0);
        }
    }
}

/// The rows `rows` of one sample of a depthwise convolution.
///
/// # Safety
/// A sample can be read from `source`, all weights from `packed`, all channels from
/// `bias`; these rows of a sample can be written, the first row of the sample being at `output`.
#[inline(always)]
pub(super) unsafe fn slide<V: Vector>(
    isa: V::Isa,
    sliding: &Sliding,
    rows: Range<usize>,
    source: *const f32,
    packed: *const f32,
    bias: Option<NonNull<f32>>,
    output: *mut f32,
) {
    for_each_vector!(V, sliding.channels, |at, count| {
        // SAFETY: the lanes are of the channels; a region's pixels are of the sample.
        unsafe {
            let (source, packed) = (source.add(at), packed.add(at));
            let output = output.wrapping_add(at);
            let bias = match bias {
                Some(bias) => load::<V>(isa, bias.as_ptr().add(at), count),
                None => V::splat(isa, 0.0),
            };
            sliding.for_each_region(
                rows.clone(),
                #[inline(always)]
                |region| {
                    let mut cursor = Cursor::new(sliding, region);
                    for_each_tile!(V, region.height * region.width, |_pixel, M| {
                        let (sources, outputs) = cursor.next_tile::<M>(source, output);
                        let of = (sliding, region);
                        pixels(isa, of, sources, packed, bias, outputs, count);
                    });
                },
            );
        }
    });
}

/// One vector of channels of `M` pixels of a region, which start to read at `sources`.
///
/// # Safety
/// As for [`slide`].
#[inline(always)]
unsafe fn pixels<V: Vector, const M: usize>(
    isa: V::Isa,
    (sliding, region): (&Sliding, &Region),
    sources: [*const f32; M],
    packed: *const f32,
    bias: V,
    outputs: [*mut f32; M],
    count: usize,
) {
    let horizontal = &sliding.horizontal;
    // A step that is never taken, of a window of one row, may be larger than memory.
    let row_step = sliding.vertical.dilation.wrapping_mul(sliding.source_row());
    let column_step = horizontal.dilation.wrapping_mul(sliding.channels);
    let mut sums = [bias; M];
    // SAFETY: as the caller vouches: every pixel reads the taps that its region sees.
    unsafe {
        for y in 0..region.rows.count {
            let tap = (region.rows.first + y) * horizontal.kernel + region.columns.first;
            let packed = packed.add(tap * sliding.channels);
            for x in 0..region.columns.count {
                let weight = load::<V>(isa, packed.add(x * sliding.channels), count);
                let offset = y * row_step + x * column_step;
                for (sum, source) in sums.iter_mut().zip(&sources) {
                    let value = load::<V>(isa, source.add(offset), count);
                    *sum = sum.add_product(value, weight);
                }
            }
        }
        let (low, high) = sliding.range;
        let (low, high) = (V::splat(isa, low), V::splat(isa, high));
        for (sum, output) in sums.iter().zip(outputs) {
            store(sum.clamp(low, high), output, count);
        }
    }
}

/// Adds one sample's weight gradient to the sums `[taps][channels]`.
///
/// # Safety
/// A padded sample and an output sample can be read; the sums read and written.
#[inline(always)]
pub(super) unsafe fn weights<V: Vector>(
    isa: V::Isa,
    params: &Conv2d,
    source: *const f32,
    d_output: *const f32,
    sums: *mut f32,
) {
    let channels = params.input().channels;
    let taps = params.taps();
    let mut at = 0;
    while at < channels {
        let count = (channels - at).min(V::LANES);
        let mut tap = 0;
        while tap < taps {
            // SAFETY: the taps from `tap` exist, and the lanes are of the channels.
            unsafe {
                let (source, d_output) = (source.add(at), d_output.add(at));
                let sums = sums.add(tap * channels + at);
                if taps - tap >= SIDE_BY_SIDE {
                    tap_sums::<V, SIDE_BY_SIDE>(isa, params, tap, source, d_output, sums, count);
                    tap += SIDE_BY_SIDE;
                } else {
                    tap_sums::<V, 1>(isa, params, tap, source, d_output, sums, count);
                    tap += 1;
                }
            }
        }
        at += V::LANES;
    }
}

/// One vector of channels of `M` taps from `tap`.
///
/// # Safety
/// As for [`weights`].
#[inline(always)]
unsafe fn tap_sums<V: Vector, const M: usize>(
    isa: V::Isa,
    params: &Conv2d,
    tap: usize,
    source: *const f32,
    d_output: *const f32,
    to: *mut f32,
    count: usize,
) {
    let (window, output, channels) = (params.window(), params.output(), params.input().channels);
    let width = padded(params).1;
    let mut offsets = [0; M];
    for (m, offset) in offsets.iter_mut().enumerate() {
        let (y, x) = ((tap + m) / window.kernel_w, (tap + m) % window.kernel_w);
        *offset = (y * window.dilation_h * width + x * window.dilation_w) * channels;
    }
    // SAFETY: as the caller vouches: every tap is read at every output pixel.
    unsafe {
        let mut sums = [V::splat(isa, 0.0); M];
        for y in 0..output.height {
            for x in 0..output.width {
                let d = d_output.add((y * output.width + x) * channels);
                let d = load::<V>(isa, d, count);
                let position = y * window.stride_h * width + x * window.stride_w;
                let source = source.add(position * channels);
                for (sum, offset) in sums.iter_mut().zip(&offsets) {
                    *sum = sum.add_product(load(isa, source.add(*offset), count), d);
                }
            }
        }
        for (m, sum) in sums.iter().enumerate() {
            let to = to.add(m * channels);
            store(load::<V>(isa, to, count).add(*sum), to, count);
        }
    }
}
