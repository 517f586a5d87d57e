//! Slices cut into rows of equal length, like `chunks_exact` but without its division and its panic at
//! length 0: both would stay in firmware that is compiled for size.

/// The rows of `slice`; what is shorter than a row at its end is left over. There is no row of length 0.
#[inline(always)]
pub(crate) fn rows_of<T>(slice: &[T], len: usize) -> Rows<'_, T> {
    Rows { rest: slice, len }
}

/// The rows of `slice`, to write to.
#[inline(always)]
pub(crate) fn rows_of_mut<T>(slice: &mut [T], len: usize) -> RowsMut<'_, T> {
    RowsMut { rest: slice, len }
}

/// See [`rows_of`].
#[derive(Clone)]
pub(crate) struct Rows<'a, T> {
    rest: &'a [T],
    len: usize,
}

impl<'a, T> Rows<'a, T> {
    /// What was not taken yet.
    #[inline(always)]
    pub(crate) fn rest(&self) -> &'a [T] {
        self.rest
    }
}

impl<'a, T> Iterator for Rows<'a, T> {
    type Item = &'a [T];

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.len == 0 {
            return None;
        }
        let (row, rest) = self.rest.split_at_checked(self.len)?;
        self.rest = rest;
        Some(row)
    }
}

/// See [`rows_of_mut`].
pub(crate) struct RowsMut<'a, T> {
    rest: &'a mut [T],
    len: usize,
}

impl<'a, T> RowsMut<'a, T> {
    /// What was not taken yet.
    #[inline(always)]
    pub(crate) fn rest(self) -> &'a mut [T] {
        self.rest
    }
}

impl<'a, T> Iterator for RowsMut<'a, T> {
    type Item = &'a mut [T];

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.len == 0 || self.rest.len() < self.len {
            return None;
        }
        let (row, rest) = core::mem::take(&mut self.rest).split_at_mut_checked(self.len)?;
        self.rest = rest;
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_whole() {
        let mut values = [0.0, 1.0, 2.0, 3.0, 4.0];
        for len in 0..7 {
            let expected: Vec<&[f32]> = match len {
                0 => vec![],
                len => values.chunks_exact(len).collect(),
            };
            let mut found = rows_of(&values, len);
            assert_eq!(found.by_ref().collect::<Vec<_>>(), expected);
            let taken = expected.len() * len;
            assert_eq!(found.rest(), &values[taken..]);
            let mut found = rows_of_mut(&mut values, len);
            assert_eq!(found.by_ref().count() * len, taken);
            assert_eq!(found.rest().len(), 5 - taken);
        }
    }
}
