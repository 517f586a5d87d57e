//! How deep the stack has been. Start-up code fills it with a pattern (`paint-stack` of cortex-m-rt).

use cortex_m_rt::STACK_PAINT_VALUE;
use kinglet_board_common::stack::high_water_mark;

unsafe extern "C" {
    /// One past the highest word of the stack.
    static _stack_start: u32;
    /// The lowest word of it: everything below belongs to statics.
    static _stack_end: u32;
}

/// The most bytes in use so far; None if all were.
pub(crate) fn peak() -> Option<usize> {
    let (low, high) = (&raw const _stack_end, &raw const _stack_start);
    let words = (high as usize).saturating_sub(low as usize) / size_of::<u32>();
    // Read word by word, volatile: the words above the stack pointer change while we look, in the frame of
    // this very function. They hold no pattern, so what is read there does not matter.
    let untouched = (0..words)
        // SAFETY: the linker script gives both ends of the stack, aligned, and `index` stays between them.
        .take_while(|index| unsafe { low.add(*index).read_volatile() } == STACK_PAINT_VALUE)
        .count();
    high_water_mark(words, untouched)
}
