//! A buffer that notices writes around it.

/// Elements on either side.
const MARGIN: usize = 32;

/// An element of a guarded buffer.
pub trait Guard: Copy {
    /// What stands in the margins.
    const CANARY: Self;
    /// What stands in a buffer that has not been written.
    const GARBAGE: Self;

    /// True for what stands in the margins.
    fn is_canary(self) -> bool;
}

impl Guard for f32 {
    /// A NaN that no kernel makes.
    const CANARY: Self = Self::from_bits(0x7fc0_dead);
    const GARBAGE: Self = Self::NAN;

    fn is_canary(self) -> bool {
        self.to_bits() == Self::CANARY.to_bits()
    }
}

impl Guard for i8 {
    /// Any number may be written, but hardly this one in all places.
    const CANARY: Self = 0x5a;
    const GARBAGE: Self = -0x5b;

    fn is_canary(self) -> bool {
        self == Self::CANARY
    }
}

/// A buffer between two margins of known content.
#[derive(Debug, Clone)]
pub struct Guarded<T = f32>(Vec<T>);

impl<T: Guard> Guarded<T> {
    /// A buffer that holds `values`.
    pub fn new(values: &[T]) -> Self {
        let margin = [T::CANARY; MARGIN];
        Self([&margin, values, &margin].concat())
    }

    /// A buffer of `len` NaNs, or odd numbers: what is read before it is written will show.
    pub fn garbage(len: usize) -> Self {
        Self::new(&vec![T::GARBAGE; len])
    }

    /// The buffer.
    pub fn get(&mut self) -> &mut [T] {
        let len = self.0.len();
        &mut self.0[MARGIN..len - MARGIN]
    }

    /// The buffer's content.
    ///
    /// # Panics
    /// If something was written around it.
    pub fn finish(mut self, about: (&dyn core::fmt::Debug, &str)) -> Vec<T> {
        let len = self.0.len();
        let (before, after) = (&self.0[..MARGIN], &self.0[len - MARGIN..]);
        let intact = before.iter().chain(after).all(|x| x.is_canary());
        let (problem, what) = about;
        assert!(intact, "{what} of {problem:?} wrote out of bounds");
        self.get().to_vec()
    }
}
