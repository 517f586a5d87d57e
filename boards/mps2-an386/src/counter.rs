//! Counting executed instructions with the board's timer.
//!
//! The emulator is told (`-icount shift=7`) that each instruction takes 128 ns. CMSDK timer 0 counts down
//! at 25 MHz, a tick each 40 ns: 3.2 ticks an instruction, so the count is exact. It is no count of
//! cycles: the emulator knows no pipeline and no flash wait states. 32 bits of ticks last for 1.34e9
//! instructions. Without `-icount` the timer shows the time of the machine that runs the emulator.

/// CMSDK timer 0: control, value, reload.
const CONTROL: *mut u32 = 0x4000_0000 as *mut u32;
const VALUE: *mut u32 = 0x4000_0004 as *mut u32;
const RELOAD: *mut u32 = 0x4000_0008 as *mut u32;
const ENABLE: u32 = 1;

/// Ticks in ten instructions.
const TICKS_PER_TEN: u64 = 32;

/// The timer, from its last start on.
pub(crate) struct Counter {
    _private: (),
}

impl Counter {
    /// The timer, started.
    pub(crate) fn new() -> Self {
        let mut counter = Self { _private: () };
        counter.start();
        counter
    }

    /// Starts at 0.
    pub(crate) fn start(&mut self) {
        // SAFETY: these are the registers of the board's timer 0, which nothing else in these images uses;
        // they are word-sized, aligned, and may be written at any time.
        unsafe {
            CONTROL.write_volatile(0);
            RELOAD.write_volatile(u32::MAX);
            VALUE.write_volatile(u32::MAX);
            CONTROL.write_volatile(ENABLE);
        }
    }

    /// Instructions since the start, to the nearest.
    pub(crate) fn instructions(&self) -> u32 {
        // SAFETY: as in `start`; reading changes nothing.
        let ticks = u32::MAX - unsafe { VALUE.read_volatile() };
        ((u64::from(ticks) * 10 + TICKS_PER_TEN / 2) / TICKS_PER_TEN) as u32
    }
}
