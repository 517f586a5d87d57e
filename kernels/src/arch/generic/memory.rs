//! Vectors from and to memory where the last of a row may not be a whole one.

use super::Vector;

/// Loads a vector, or the first `count` values of one.
///
/// # Safety
/// As for the [`Vector`]'s own functions.
#[inline(always)]
pub(super) unsafe fn load<V: Vector>(p: *const f32, count: usize) -> V {
    // SAFETY: as the caller vouches.
    unsafe {
        if count == V::LANES {
            V::load(p)
        } else {
            V::load_partial(p, count)
        }
    }
}

/// Stores a vector, or the first `count` values of one.
///
/// # Safety
/// As for the [`Vector`]'s own functions.
#[inline(always)]
pub(super) unsafe fn store<V: Vector>(vector: V, p: *mut f32, count: usize) {
    // SAFETY: as the caller vouches.
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
