//! How much of a painted stack was used. Start-up code fills the stack with one value; whatever was
//! written since, even once and for a moment, no longer has it. The board counts the words, from the
//! lowest address (the last to be used) up, that still have it.

/// Bytes in use at the deepest point of a stack of `words` words, of which the lowest `untouched` were
/// never written. None if the very lowest was: then the stack may have run into what lies below.
pub const fn high_water_mark(words: usize, untouched: usize) -> Option<usize> {
    match untouched {
        0 => None,
        _ => Some(words.saturating_sub(untouched).saturating_mul(4)),
    }
}

#[cfg(test)]
mod tests {
    use super::high_water_mark;

    #[test]
    fn a_stack_that_was_used_to_its_end_has_no_mark() {
        assert_eq!(high_water_mark(100, 100), Some(0));
        assert_eq!(high_water_mark(100, 90), Some(40));
        assert_eq!(high_water_mark(100, 1), Some(396));
        assert_eq!(high_water_mark(100, 0), None);
    }
}
