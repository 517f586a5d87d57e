//! Vectors from and to memory where the last of a row may not be a whole one.

use super::Vector;

/// Loads a vector, or the first `count` values of one.
///
/// # Safety
/// `count <= LANES`; those values can be read.
#[inline(always)]
pub(super) unsafe fn load<V: Vector>(isa: V::Isa, p: *const f32, count: usize) -> V {
    // SAFETY: the caller vouches for the values.
    unsafe {
        if count == V::LANES {
            V::load(isa, p)
        } else {
            V::load_partial(isa, p, count)
        }
    }
}

/// Stores a vector, or the first `count` values of one.
///
/// # Safety
/// `count <= LANES`; those values can be written.
#[inline(always)]
pub(super) unsafe fn store<V: Vector>(vector: V, p: *mut f32, count: usize) {
    // SAFETY: the caller vouches for the values.
    unsafe {
        if count == V::LANES {
            vector.store(p);
        } else {
            vector.store_partial(p, count);
        }
    }
}

/// Runs `$body` for each vector of a row of `$len` values: from value `$at`, the first `$count` lanes.
macro_rules! for_each_vector {
    ($v:ident, $len:expr, |$at:ident, $count:ident| $body:expr) => {{
        let len: usize = $len;
        let whole = len - len % $v::LANES;
        let mut $at = 0;
        while $at < whole {
            let $count = $v::LANES;
            $body;
            $at += $v::LANES;
        }
        if whole < len {
            let $count = len - whole;
            $body;
        }
    }};
}
pub(super) use for_each_vector;

/// Turns each `x` of `data` into `f(x)`.
#[inline(always)]
pub(super) fn each<V: Vector>(isa: V::Isa, data: &mut [f32], mut f: impl FnMut(V) -> V) {
    each_with(
        isa,
        [],
        data,
        #[inline(always)]
        |x, []| f(x),
    );
}

/// Turns each `x` of `data` into `f(x, o)` with the values of `operands` at its place, as far as all of them
/// go.
#[inline(always)]
pub(super) fn each_with<V: Vector, const N: usize>(
    isa: V::Isa,
    operands: [&[f32]; N],
    data: &mut [f32],
    mut f: impl FnMut(V, [V; N]) -> V,
) {
    let mut len = data.len();
    for operand in &operands {
        len = len.min(operand.len());
    }
    let p = data.as_mut_ptr();
    for_each_vector!(V, len, |at, count| {
        // SAFETY: `count` values from `at` are of all slices, none of which is shorter than `len`.
        unsafe {
            let mut values = [V::splat(isa, 0.0); N];
            for (value, operand) in values.iter_mut().zip(&operands) {
                *value = load(isa, operand.as_ptr().add(at), count);
            }
            store(f(load(isa, p.add(at), count), values), p.add(at), count);
        }
    });
}

/// The sum of the products of `a` and `b`, as far as both go.
#[inline(always)]
pub(super) fn dot<V: Vector>(isa: V::Isa, a: &[f32], b: &[f32]) -> f32 {
    let mut sum = V::splat(isa, 0.0);
    for_each_vector!(V, a.len().min(b.len()), |at, count| {
        // SAFETY: `count` values from `at` are of both slices.
        let (a, b): (V, V) = unsafe {
            (
                load(isa, a.as_ptr().add(at), count),
                load(isa, b.as_ptr().add(at), count),
            )
        };
        sum = sum.add_product(a, b);
    });
    sum.sum()
}
