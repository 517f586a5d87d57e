//! Faults end the emulator instead of hanging it.

use cortex_m_rt::{ExceptionFrame, exception};

use crate::semihosting::{FAULT, exit, line};

// SAFETY: it never returns, so it need not keep the state of what it interrupted.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    line(format_args!("failed: fault at {:#010x}", frame.pc()));
    exit(FAULT)
}
