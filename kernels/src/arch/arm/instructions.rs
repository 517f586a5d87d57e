//! Instructions that Rust has no word for, on registers alone: bytes and halfwords side by side in one word.

use core::arch::asm;

/// Bytes 0 and 2 of `x`, each with its sign in 16 bits.
#[inline(always)]
pub(super) fn even_bytes(x: u32) -> u32 {
    let halves;
    // SAFETY: this module is for targets that have the instruction, which reads and writes registers alone.
    unsafe {
        asm!("sxtb16 {}, {}", lateout(reg) halves, in(reg) x, options(pure, nomem, nostack, preserves_flags));
    }
    halves
}

/// Bytes 1 and 3 of `x`, each with its sign in 16 bits.
#[inline(always)]
pub(super) fn odd_bytes(x: u32) -> u32 {
    let halves;
    // SAFETY: as in `even_bytes`.
    unsafe {
        asm!("sxtb16 {}, {}, ror #8", lateout(reg) halves, in(reg) x, options(pure, nomem, nostack, preserves_flags));
    }
    halves
}

/// The difference of each half.
#[inline(always)]
pub(super) fn less(x: u32, y: u32) -> u32 {
    let halves;
    // SAFETY: as in `even_bytes`; it writes flags that nothing else here reads.
    unsafe {
        asm!("ssub16 {}, {}, {}", lateout(reg) halves, in(reg) x, in(reg) y, options(pure, nomem, nostack));
    }
    halves
}

/// Each byte of `x`, but no less than that of `low` and no more than that of `high`.
#[inline(always)]
fn within(x: u32, low: u32, high: u32) -> u32 {
    let mut bytes = x;
    // SAFETY: as in `even_bytes`; the flags that it reads are those it has just written.
    unsafe {
        asm!(
            "ssub8 {t}, {x}, {low}",
            "sel {x}, {x}, {low}",
            "ssub8 {t}, {x}, {high}",
            "sel {x}, {high}, {x}",
            x = inout(reg) bytes,
            low = in(reg) low,
            high = in(reg) high,
            t = out(reg) _,
            options(pure, nomem, nostack),
        );
    }
    bytes
}

/// The larger number at each of four places.
#[inline(always)]
pub(super) fn larger(x: [i8; 4], y: [i8; 4]) -> [i8; 4] {
    let word = |numbers: [i8; 4]| u32::from_le_bytes(numbers.map(|q| q as u8));
    let mut bytes = word(x);
    // SAFETY: as in `within`.
    unsafe {
        asm!(
            "ssub8 {t}, {x}, {y}",
            "sel {x}, {x}, {y}",
            x = inout(reg) bytes,
            y = in(reg) word(y),
            t = out(reg) _,
            options(pure, nomem, nostack),
        );
    }
    bytes.to_le_bytes().map(|q| q as i8)
}

/// The word of four times the byte `x`.
const fn four(x: i8) -> u32 {
    u32::from_le_bytes([x as u8; 4])
}

/// The word of twice the number `x`.
#[inline(always)]
pub(super) fn twice(x: i8) -> u32 {
    let half = u32::from(i16::from(x) as u16);
    half | half << 16
}

/// Bounds numbers, each of which is one of all that there are: where bounds are narrower, they come after the rounding.
pub(super) fn bound(numbers: &mut [i8], low: i8, high: i8) {
    if (low, high) == (i8::MIN, i8::MAX) {
        return;
    }
    let (words, rest) = numbers.as_chunks_mut::<4>();
    for word in words {
        let bytes = u32::from_le_bytes(word.map(|q| q as u8));
        let bytes = within(bytes, four(low), four(high));
        *word = bytes.to_le_bytes().map(|q| q as i8);
    }
    for q in rest {
        *q = (*q).max(low).min(high);
    }
}

/// What the assembler does not take from the target, to begin a naked function with.
#[cfg(not(arm_v8m))]
macro_rules! target {
    () => {
        ".fpu fpv4-sp-d16"
    };
}

/// What the assembler does not take from the target, to begin a naked function with.
#[cfg(arm_v8m)]
macro_rules! target {
    () => {
        ".cpu cortex-m33\n.fpu fpv5-sp-d16"
    };
}

pub(super) use target;
