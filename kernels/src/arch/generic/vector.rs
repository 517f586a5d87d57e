//! What the algorithms need to know of a vector register.

/// A register of [`Self::LANES`] f32 values.
///
/// Implementations are `#[inline(always)]` and use the instructions of one instruction set.
pub(crate) trait Vector: Copy {
    /// For each lane yes or no.
    type Mask: Copy;

    /// Values in one vector.
    const LANES: usize;

    /// Rows of the largest tile, 6 or 8. With two vectors in each and what a step needs they must fit the
    /// registers, and be enough to hide the latency of their sums.
    const ROWS: usize;

    /// `x` in every lane.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn splat(x: f32) -> Self;

    /// The `LANES` values from `p`, at any alignment.
    ///
    /// # Safety
    /// The CPU has the instruction set; all values can be read.
    unsafe fn load(p: *const f32) -> Self;

    /// The first `count` values from `p`, and 0 in the other lanes.
    ///
    /// # Safety
    /// The CPU has the instruction set; `count <= LANES`; those values can be read.
    unsafe fn load_partial(p: *const f32, count: usize) -> Self;

    /// Writes all lanes, at any alignment.
    ///
    /// # Safety
    /// The CPU has the instruction set; `LANES` values can be written.
    unsafe fn store(self, p: *mut f32);

    /// Writes the first `count` lanes.
    ///
    /// # Safety
    /// The CPU has the instruction set; `count <= LANES`; those values can be written.
    unsafe fn store_partial(self, p: *mut f32, count: usize);

    /// `self + other`.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn add(self, other: Self) -> Self;

    /// `self + a * b`, rounded once, or twice where the instruction set has no fused form. One set does it
    /// in one way only.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;

    /// [`crate::params::clamp`] of each lane: NaN and -0 stay.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn clamp(self, low: Self, high: Self) -> Self;

    /// The sum of all lanes, in an order that is always the same.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn sum(self) -> f32;

    /// `self - other`.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn sub(self, other: Self) -> Self;

    /// `self * other`.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn mul(self, other: Self) -> Self;

    /// `self / other`, rounded correctly.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn div(self, other: Self) -> Self;

    /// The lanes in which `self > other`; a NaN is not larger than anything, nor smaller.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn greater(self, other: Self) -> Self::Mask;

    /// The lanes in which `self == other`; a NaN is equal to nothing.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn equal(self, other: Self) -> Self::Mask;

    /// `yes` in the lanes of `mask`, `no` in the others.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;

    /// The nearest whole number, of two equally near the even one. Lanes of 2^22 or more, and NaN, may
    /// become anything.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn round(self) -> Self;

    /// `2^self`, if every lane is a whole number from -126 to 127; other lanes may become anything.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn power_of_two(self) -> Self;
}
