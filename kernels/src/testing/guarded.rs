//! A buffer that notices writes around it.

/// Elements on either side.
const MARGIN: usize = 32;

/// A NaN that no kernel makes.
const CANARY: u32 = 0x7fc0_dead;

/// A buffer between two margins of known content.
#[derive(Debug, Clone)]
pub struct Guarded(Vec<f32>);

impl Guarded {
    /// A buffer that holds `values`.
    pub fn new(values: &[f32]) -> Self {
        let margin = [f32::from_bits(CANARY); MARGIN];
        Self([&margin, values, &margin].concat())
    }

    /// A buffer of `len` NaNs: what is read before it is written will show.
    pub fn garbage(len: usize) -> Self {
        Self::new(&vec![f32::NAN; len])
    }

    /// The buffer.
    pub fn get(&mut self) -> &mut [f32] {
        let len = self.0.len();
        &mut self.0[MARGIN..len - MARGIN]
    }

    /// The buffer's content.
    ///
    /// # Panics
    /// If something was written around it.
    pub fn finish(mut self, about: (&dyn core::fmt::Debug, &str)) -> Vec<f32> {
        let len = self.0.len();
        let (before, after) = (&self.0[..MARGIN], &self.0[len - MARGIN..]);
        let intact = before.iter().chain(after).all(|x| x.to_bits() == CANARY);
        let (problem, what) = about;
        assert!(intact, "{what} of {problem:?} wrote out of bounds");
        self.get().to_vec()
    }
}
