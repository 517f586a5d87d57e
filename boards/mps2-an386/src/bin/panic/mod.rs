//! Prints a panic and ends the emulator.

use core::panic::PanicInfo;

use kinglet_mps2_an386::semihosting::{PANIC, exit, line};

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    line(format_args!("failed: {info}"));
    exit(PANIC)
}
