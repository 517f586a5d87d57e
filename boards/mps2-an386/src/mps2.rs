//! The board as the programs see it.

use core::fmt::Arguments;

use kinglet_board_common::{Board, Failure};

use crate::counter::Counter;
use crate::{semihosting, stack};

/// An MPS2 board with the AN386 image: a Cortex-M4F.
pub struct Mps2 {
    counter: Counter,
}

impl Mps2 {
    /// Runs `program` and ends the emulator: with success, or with the failure in one line.
    pub fn run(program: impl FnOnce(&mut Self) -> Result<(), Failure>) -> ! {
        let mut board = Self {
            counter: Counter::new(),
        };
        match program(&mut board) {
            Ok(()) => semihosting::exit(semihosting::SUCCESS),
            Err(failure) => {
                semihosting::line(format_args!("failed: {failure}"));
                semihosting::exit(semihosting::FAILURE)
            }
        }
    }
}

impl Board for Mps2 {
    fn line(&mut self, text: Arguments<'_>) {
        semihosting::line(text);
    }

    fn start_counting(&mut self) {
        self.counter.start();
    }

    fn instructions(&self) -> usize {
        self.counter.instructions() as usize
    }

    fn stack_peak(&self) -> Option<usize> {
        stack::peak()
    }
}
