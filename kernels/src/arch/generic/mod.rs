//! The algorithms of the SIMD sets, written once over [`Vector`]. A file for an instruction set says what
//! a vector is and hands it to [`simd_set`]; everything here is inlined into functions that are
//! compiled for that instruction set.
//!
//! Nearly all of the work goes through one inner loop, [`microkernel::accumulate`]: a tile of vector
//! accumulators that stays in registers while it takes in outer products. What differs from operation to
//! operation is only where the operands lie. Linear layers forward are the exception: their weights are
//! read once and in place, as [`dot`](linear) products.
//!
//! What computes with vectors is safe, since a vector exists only where the CPU has the instruction set: see
//! [`Vector`]. Functions that take pointers are not, and say what must lie there.
//!
//! Closures are marked `inline(always)`, too: one that is not inlined would be compiled without the
//! instruction set.
//!
//! Every accumulator takes its terms in an order that depends on the layer alone, never on the tile that
//! it is part of. So one sample's bits do not depend on its batch.

mod bands;
pub(crate) mod binary;
pub(crate) mod conv2d;
pub(crate) mod conv2d_backward;
pub(crate) mod depthwise;
pub(crate) mod elementwise;
mod exp;
pub(crate) mod int8;
pub(crate) mod linear;
mod memory;
mod microkernel;
mod neighbours;
pub(crate) mod peak;
pub(crate) mod pool2d;
mod set;
mod sliding;
pub(crate) mod strided_copy;
mod vector;

pub(crate) use set::simd_set;
pub(crate) use vector::Vector;

/// Where a slice starts. An `Option` of this is a single word, unlike that of a raw pointer.
fn first_of(slice: &[f32]) -> core::ptr::NonNull<f32> {
    core::ptr::NonNull::from(slice).cast()
}

#[cfg(test)]
mod tests;
