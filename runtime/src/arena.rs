//! The one block of memory a session lives in, and the one place of this crate with unsafe code.
//!
//! An [`Arena`] is plain zeroed bytes, aligned for the widest vector loads, so that as a `static` it lies
//! in `.bss` and costs no flash and no stack. [`ArenaMut`] borrows it: its private field proves the
//! alignment. Tensors are views of its bytes (checked casts, no unsafe); only the session's records, which
//! are Rust values, are carved out of it here. They have padding, which has no value: so nobody is lent the bytes of an
//! arena as `u8` who could still read them after a session.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::mem::{MaybeUninit, align_of, size_of};
use core::sync::atomic::{AtomicBool, Ordering};

/// Alignment of an arena, and of the weights within a model file.
pub const ARENA_ALIGN: usize = 64;

/// Memory for a session (`SIZES.arena` bytes) or for training (`SIZES.training::<O>()` bytes).
///
/// ```
/// use kinglet::Arena;
/// static mut ARENA: Arena<1024> = Arena::new(); // zeroed: it lies in .bss
/// ```
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Arena<const N: usize> {
    bytes: [MaybeUninit<u8>; N],
}

impl<const N: usize> Arena<N> {
    /// A zeroed arena.
    #[allow(clippy::new_without_default)] // a large value should be made in place, in a static
    pub const fn new() -> Self {
        Self {
            bytes: [MaybeUninit::new(0); N],
        }
    }
}

/// An arena in a static, which is given out once.
///
/// ```
/// use kinglet::StaticArena;
/// static ARENA: StaticArena<1024> = StaticArena::new(); // .bss, never the stack
/// assert!(ARENA.take().is_some());
/// assert!(ARENA.take().is_none());
/// ```
///
/// Where the processor has no instruction to set a flag and look at it at once (Cortex-M0), the program must bring a
/// [`critical_section`](https://docs.rs/critical-section) implementation, as chip crates do.
#[derive(Debug)]
pub struct StaticArena<const N: usize> {
    taken: AtomicBool,
    arena: UnsafeCell<Arena<N>>,
}

// SAFETY: the arena is only reached through the one reference that `take` gives out.
unsafe impl<const N: usize> Sync for StaticArena<N> {}

impl<const N: usize> StaticArena<N> {
    /// A zeroed arena that nobody has.
    #[allow(clippy::new_without_default)] // it is meant for statics
    pub const fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            arena: UnsafeCell::new(Arena::new()),
        }
    }

    /// The arena, the first time; None ever after.
    #[allow(clippy::mut_from_ref)] // the flag lets one reference out
    pub fn take(&'static self) -> Option<&'static mut Arena<N>> {
        if self.set_taken() {
            return None;
        }
        // SAFETY: the flag was not set before, so this is the only reference there will ever be; it lives as long as
        // `self`, forever.
        Some(unsafe { &mut *self.arena.get() })
    }

    /// Sets the flag, and returns whether it was set before.
    #[cfg(target_has_atomic = "8")]
    fn set_taken(&self) -> bool {
        self.taken.swap(true, Ordering::AcqRel)
    }

    /// Sets the flag, and returns whether it was set before.
    #[cfg(not(target_has_atomic = "8"))]
    fn set_taken(&self) -> bool {
        critical_section::with(|_| {
            let before = self.taken.load(Ordering::Relaxed);
            self.taken.store(true, Ordering::Relaxed);
            before
        })
    }
}

/// A borrowed arena of any origin.
#[derive(Debug)]
pub struct ArenaMut<'a> {
    bytes: &'a mut [MaybeUninit<u8>],
}

impl<'a, const N: usize> From<&'a mut Arena<N>> for ArenaMut<'a> {
    fn from(arena: &'a mut Arena<N>) -> Self {
        Self {
            bytes: &mut arena.bytes,
        }
    }
}

impl<'a> ArenaMut<'a> {
    /// Uses `bytes`, whatever is in them, from the first multiple of [`ARENA_ALIGN`] on; up to 63 are lost.
    pub fn align(bytes: &'a mut [MaybeUninit<u8>]) -> Self {
        let skip = bytes.as_ptr().align_offset(ARENA_ALIGN);
        Self {
            bytes: bytes.get_mut(skip..).unwrap_or_default(),
        }
    }

    /// Bytes available.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The first `len` bytes, which are 0 now, and the rest; None if there are fewer.
    pub(crate) fn zeroed(self, len: usize) -> Option<(&'a mut [u8], Free<'a>)> {
        let (bytes, rest) = self.bytes.split_at_mut_checked(len)?;
        bytes.fill(MaybeUninit::new(0));
        // SAFETY: the line above wrote every byte. `MaybeUninit<u8>` has the layout of `u8`, and through the result only
        // bytes that have a value are written.
        let bytes = unsafe { &mut *(core::ptr::from_mut(bytes) as *mut [u8]) };
        Some((bytes, rest))
    }
}

/// An arena on the heap, for hosts that learn the size at run time.
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub struct HeapArena {
    blocks: alloc::vec::Vec<Arena<ARENA_ALIGN>>,
}

#[cfg(feature = "alloc")]
impl HeapArena {
    /// At least `bytes` zeroed bytes.
    pub fn new(bytes: usize) -> Self {
        Self {
            blocks: (0..bytes.div_ceil(ARENA_ALIGN))
                .map(|_| Arena::new())
                .collect(),
        }
    }
}

#[cfg(feature = "alloc")]
impl<'a> From<&'a mut HeapArena> for ArenaMut<'a> {
    fn from(arena: &'a mut HeapArena) -> Self {
        let len = arena.blocks.len() * ARENA_ALIGN;
        let start = arena.blocks.as_mut_ptr().cast::<MaybeUninit<u8>>();
        // SAFETY: the vector holds `len / ARENA_ALIGN` blocks without padding (the size of `Arena<64>` is its
        // alignment), borrowed mutably for 'a; they consist of such bytes and may hold any.
        let bytes = unsafe { core::slice::from_raw_parts_mut(start, len) };
        Self { bytes }
    }
}

/// A model file's bytes on the heap, aligned as [`Model::load`](crate::Model::load) wants them.
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub struct AlignedBytes {
    arena: HeapArena,
    len: usize,
}

#[cfg(feature = "alloc")]
impl From<&[u8]> for AlignedBytes {
    fn from(bytes: &[u8]) -> Self {
        let mut arena = HeapArena::new(bytes.len());
        if let Some((target, _)) = ArenaMut::from(&mut arena).zeroed(bytes.len()) {
            target.copy_from_slice(bytes);
        }
        Self {
            arena,
            len: bytes.len(),
        }
    }
}

#[cfg(feature = "alloc")]
impl core::ops::Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let start = self.arena.blocks.as_ptr().cast::<u8>();
        // SAFETY: `from` made at least `len` bytes of blocks and gave each a value, nothing was carved out of them, and
        // they are borrowed as long as `self` is.
        unsafe { core::slice::from_raw_parts(start, self.len) }
    }
}

#[cfg(feature = "alloc")]
impl AsRef<[u8]> for AlignedBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Bytes that nobody uses yet.
type Free<'a> = &'a mut [MaybeUninit<u8>];

/// Splits `count` uninitialized values of `T` off the front of `bytes`, and returns what is left, too. None if they do not
/// fit.
pub(crate) fn carve<T>(
    bytes: &mut [MaybeUninit<u8>],
    count: usize,
) -> Option<(&mut [MaybeUninit<T>], Free<'_>)> {
    let skip = bytes.as_ptr().align_offset(align_of::<T>());
    let (_, bytes) = bytes.split_at_mut_checked(skip)?;
    let len = count.checked_mul(size_of::<T>())?;
    let (values, rest) = bytes.split_at_mut_checked(len)?;
    // SAFETY: both may hold any bytes, and none; the borrow of the values' bytes goes into the result.
    let (_, values, _) = unsafe { values.align_to_mut::<MaybeUninit<T>>() };
    Some((values.get_mut(..count)?, rest))
}

/// Bytes that [`carve`] may need for `count` values, wherever they start.
pub(crate) const fn carve_len<T>(count: usize) -> usize {
    count
        .saturating_mul(size_of::<T>())
        .saturating_add(align_of::<T>() - 1)
}

/// Fills `slots` from `values` and returns them initialized; None if there are fewer values than slots.
///
/// `T: Copy` rules out values that would have to be dropped.
pub(crate) fn initialize<T: Copy, E>(
    slots: &mut [MaybeUninit<T>],
    mut values: impl Iterator<Item = Result<T, E>>,
) -> Result<Option<&mut [T]>, E> {
    for slot in slots.iter_mut() {
        match values.next() {
            Some(value) => {
                slot.write(value?);
            }
            None => return Ok(None),
        }
    }
    // SAFETY: the loop above wrote every slot, or returned. `MaybeUninit<T>` has the layout of `T`.
    let initialized = unsafe { &mut *(core::ptr::from_mut(slots) as *mut [T]) };
    Ok(Some(initialized))
}
