//! The algorithms of the SIMD sets, written once over a vector.
