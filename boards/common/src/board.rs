//! What a program needs from the board it runs on.

use core::fmt::{Arguments, Display};

/// A board, or a host that stands in for one.
pub trait Board {
    /// Prints one line. These lines are the same on every machine: numbers that depend on the target or
    /// on the compiler go to [`measured`](Self::measured).
    fn line(&mut self, text: Arguments<'_>);

    /// Reports a measurement.
    fn measured(&mut self, name: impl Display, value: usize) {
        self.line(format_args!("measured {name} {value}"));
    }

    /// Starts counting instructions.
    fn start_counting(&mut self);

    /// Instructions executed since [`start_counting`](Self::start_counting).
    fn instructions(&self) -> usize;

    /// The most bytes of stack that were in use at any time so far; None if it was used to its end, and
    /// may have overwritten other memory.
    fn stack_peak(&self) -> Option<usize>;
}
