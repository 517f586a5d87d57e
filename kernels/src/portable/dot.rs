//! The inner loops that convolution and linear layer share: several dot products side by side, and
//! several scaled rows added to one. Every sum keeps its own order.

/// Output channels or features that are computed side by side. With two inputs this makes eight
/// chains, which with their operands fit the 32 registers of a Cortex-M4F and hide its latencies.
pub(super) const BLOCK: usize = 4;

/// The rows, `len` long each, of a block of weights.
#[inline(always)]
pub(super) fn block_rows<T>(block: &[T], len: usize) -> Option<[&[T]; BLOCK]> {
    let (r0, rest) = block.split_at_checked(len)?;
    let (r1, rest) = rest.split_at_checked(len)?;
    let (r2, r3) = rest.split_at_checked(len)?;
    Some([r0, r1, r2, r3])
}

/// `sums[p][o] += x[p][i] * w[o][i]` for `i` ascending.
#[inline(always)]
pub(super) fn dot_2(sums: &mut [[f32; BLOCK]; 2], x: [&[f32]; 2], w: [&[f32]; BLOCK]) {
    let [mut a, mut b] = *sums;
    let [xa, xb] = x;
    let [w0, w1, w2, w3] = w;
    for (((((xa, xb), w0), w1), w2), w3) in xa.iter().zip(xb).zip(w0).zip(w1).zip(w2).zip(w3) {
        a = [
            a[0] + xa * w0,
            a[1] + xa * w1,
            a[2] + xa * w2,
            a[3] + xa * w3,
        ];
        b = [
            b[0] + xb * w0,
            b[1] + xb * w1,
            b[2] + xb * w2,
            b[3] + xb * w3,
        ];
    }
    *sums = [a, b];
}

/// `sums[o] += x[i] * w[o][i]` for `i` ascending.
#[inline(always)]
pub(super) fn dot(sums: &mut [f32; BLOCK], x: &[f32], w: [&[f32]; BLOCK]) {
    let mut a = *sums;
    let [w0, w1, w2, w3] = w;
    for ((((x, w0), w1), w2), w3) in x.iter().zip(w0).zip(w1).zip(w2).zip(w3) {
        a = [a[0] + x * w0, a[1] + x * w1, a[2] + x * w2, a[3] + x * w3];
    }
    *sums = a;
}

/// `sum + x[0] * w[0] + x[1] * w[1] + ..`, from left to right.
#[inline(always)]
pub(super) fn dot_1(sum: f32, x: &[f32], w: &[f32]) -> f32 {
    x.iter().zip(w).fold(sum, |sum, (x, w)| sum + x * w)
}

/// `y[i] = y[i] + scales[0] * rows[0][i] + .. + scales[3] * rows[3][i]`, from left to right.
#[inline(always)]
pub(super) fn add_rows(y: &mut [f32], scales: [f32; BLOCK], rows: [&[f32]; BLOCK]) {
    let [s0, s1, s2, s3] = scales;
    let [r0, r1, r2, r3] = rows;
    for ((((y, r0), r1), r2), r3) in y.iter_mut().zip(r0).zip(r1).zip(r2).zip(r3) {
        *y = *y + s0 * r0 + s1 * r1 + s2 * r2 + s3 * r3;
    }
}

/// `y[i] += scale * row[i]`.
#[inline(always)]
pub(super) fn add_row(y: &mut [f32], scale: f32, row: &[f32]) {
    for (y, x) in y.iter_mut().zip(row) {
        *y += scale * x;
    }
}
