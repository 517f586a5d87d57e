//! What the algorithms need to know of a vector register.

/// A register of [`Self::LANES`] f32 values.
///
/// A vector is made of the set's token or of another vector, so there is one only where the CPU has the
/// instruction set: what computes with vectors is safe, and only pointers are left to vouch for.
///
/// Implementations are `#[inline(always)]` and use the instructions of one instruction set.
pub(crate) trait Vector: Copy {
    /// The token: the kernel set, of which a value exists only where the CPU has the instruction set.
    type Isa: Copy;

    /// For each lane yes or no.
    type Mask: Copy;

    /// Values in one vector.
    const LANES: usize;

    /// Rows of the largest tile, 6 or 8. With two vectors in each and what a step needs they must fit the
    /// registers, and be enough to hide the latency of their sums.
    const ROWS: usize;

    /// `x` in every lane.
    fn splat(isa: Self::Isa, x: f32) -> Self;

    /// The `LANES` values from `p`, at any alignment.
    ///
    /// # Safety
    /// All values can be read.
    unsafe fn load(isa: Self::Isa, p: *const f32) -> Self;

    /// The first `count` values from `p`, and 0 in the other lanes.
    ///
    /// # Safety
    /// `count <= LANES`; those values can be read.
    unsafe fn load_partial(isa: Self::Isa, p: *const f32, count: usize) -> Self;

    /// Writes all lanes, at any alignment.
    ///
    /// # Safety
    /// `LANES` values can be written.
    unsafe fn store(self, p: *mut f32);

    /// Writes the first `count` lanes.
    ///
    /// # Safety
    /// `count <= LANES`; those values can be written.
    unsafe fn store_partial(self, p: *mut f32, count: usize);

    /// `self + other`.
    fn add(self, other: Self) -> Self;

    /// `self + a * b`, rounded once, or twice where the instruction set has no fused form. One set does it
    /// in one way only.
    fn add_product(self, a: Self, b: Self) -> Self;

    /// [`crate::params::clamp`] of each lane: NaN and -0 stay.
    fn clamp(self, low: Self, high: Self) -> Self;

    /// The sum of all lanes, in an order that is always the same.
    fn sum(self) -> f32;

    /// `self - other`.
    fn sub(self, other: Self) -> Self;

    /// `self * other`.
    fn mul(self, other: Self) -> Self;

    /// `self / other`, rounded correctly.
    fn div(self, other: Self) -> Self;

    /// The lanes in which `self > other`; a NaN is not larger than anything, nor smaller.
    fn greater(self, other: Self) -> Self::Mask;

    /// The lanes in which `self == other`; a NaN is equal to nothing.
    fn equal(self, other: Self) -> Self::Mask;

    /// `yes` in the lanes of `mask`, `no` in the others.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;

    /// The nearest whole number, of two equally near the even one. Lanes of 2^22 or more, and NaN, may
    /// become anything.
    fn round(self) -> Self;

    /// `2^self`, if every lane is a whole number from -126 to 127; other lanes may become anything.
    fn power_of_two(self) -> Self;
}
